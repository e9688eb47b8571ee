"""Chapter 16: solutions as a reader would write them, without the package, and wrong ones."""

import numpy as np


def tree_mask(parents):
    mask = np.zeros((len(parents) + 1, len(parents) + 1))
    mask[0, 0] = 1
    for node, parent in enumerate(parents):
        mask[node + 1] = mask[parent + 1]
        mask[node + 1, node + 1] = 1
    return mask


def expected_kept(parents, acceptance):
    total = 0.0
    for node in range(len(parents)):
        product, at = 1.0, node
        while at != -1:
            product *= acceptance[at]
            at = parents[at]
        total += product
    return total


def two_siblings(p, q, first, second):
    keep_first = min(1.0, p[first] / q[first])
    left = np.maximum(p - q, 0)
    left = left / left.sum()
    others = q.copy()
    others[first] = 0
    others = others / others.sum()
    keep_second = min(1.0, left[second] / others[second])
    last = np.maximum(left - others, 0)
    return keep_first, keep_second, last / last.sum()


SOLUTIONS = (
    tree_mask,
    expected_kept,
    two_siblings,
)


# Wrong answers besides the usual mistakes.


def mask_without_the_root(parents):
    return tree_mask(parents)[1:, 1:]


def everybody_sees_everybody(parents):
    return np.ones((len(parents) + 1, len(parents) + 1))


def mean_instead_of_sum(parents, acceptance):
    return expected_kept(parents, acceptance) / len(parents)


def deepest_level_alone(parents, acceptance):
    return float(np.prod(acceptance))


def second_sibling_unconditionally(p, q, first, second):
    a, b, law = two_siblings(p, q, first, second)
    return a, (1 - a) * b, law


def last_law_not_normalised(p, q, first, second):
    a, b, _ = two_siblings(p, q, first, second)
    return a, b, np.maximum(p - q, 0)


def draws_from_p_at_the_end(p, q, first, second):
    a, b, _ = two_siblings(p, q, first, second)
    return a, b, p


WRONG = {
    "tree_mask": [mask_without_the_root, everybody_sees_everybody],
    "expected_kept": [mean_instead_of_sum, deepest_level_alone],
    "two_siblings": [
        second_sibling_unconditionally,
        last_law_not_normalised,
        draws_from_p_at_the_end,
    ],
}
