"""Chapter 17: solutions as a reader would write them, without the package, and wrong ones."""

import math

import numpy as np


def head_targets(tokens, k):
    return [tokens[i + 1 + k] for i in range(len(tokens) - 1 - k)]


def candidate_tree(candidates, ranks, parents):
    depths, tokens = [], []
    for rank, parent in zip(ranks, parents, strict=True):
        depths.append(1 if parent == -1 else depths[parent] + 1)
        tokens.append(candidates[depths[-1] - 1][rank])
    return tokens


def typical_length(p, guesses, epsilon, delta):
    for kept, token in enumerate(guesses):
        entropy = -sum(x * math.log(x) for x in p[kept] if x > 0)
        if not p[kept][token] > min(epsilon, delta * math.exp(-entropy)):
            return kept
    return len(guesses)


SOLUTIONS = (
    head_targets,
    candidate_tree,
    typical_length,
)


# Wrong answers besides the usual mistakes.


def targets_without_the_last(tokens, k):
    return head_targets(tokens, k)[:-1]


def inputs_instead_of_targets(tokens, k):
    return list(tokens[: len(tokens) - 1 - k])


def candidates_of_the_next_head(candidates, ranks, parents):
    return [
        candidates[0 if parent == -1 else min(2, parent)][rank]
        for rank, parent in zip(ranks, parents, strict=True)
    ]


def ranks_themselves(candidates, ranks, parents):
    return list(ranks)


def entropy_with_nan(p, guesses, epsilon, delta):
    with np.errstate(divide="ignore", invalid="ignore"):
        for kept, token in enumerate(guesses):
            entropy = -(p[kept] * np.log(p[kept])).sum()
            if not p[kept][token] > min(epsilon, delta * np.exp(-entropy)):
                return kept
    return len(guesses)


def law_of_the_row_below(p, guesses, epsilon, delta):
    return typical_length(p[1:], guesses, epsilon, delta)


def counts_the_last_token(p, guesses, epsilon, delta):
    return typical_length(p, guesses, epsilon, delta) + 1


WRONG = {
    "head_targets": [targets_without_the_last, inputs_instead_of_targets],
    "candidate_tree": [candidates_of_the_next_head, ranks_themselves],
    "typical_length": [entropy_with_nan, law_of_the_row_below, counts_the_last_token],
}
