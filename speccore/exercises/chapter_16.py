"""Exercises of chapter 16: token trees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from rlcore.validation import Floats
from speccore.decoding.acceptance import without_replacement
from speccore.decoding.certificate import outcomes
from speccore.decoding.theory import expected_accepted
from speccore.decoding.tree import Draft, TokenTree

PARENTS = ([-1], [-1, 0, 1], [-1, -1], [-1, -1, 0, 1], [-1, 0, 0, -1, 3, 1])


def _random_parents(rng: np.random.Generator) -> list[int]:
    size = int(rng.integers(4, 8))
    return [int(rng.integers(-1, node)) for node in range(size)]


# -- the mask --------------------------------------------------------------------------------------


def _tree_mask(parents: Sequence[int]) -> Any:
    return TokenTree(np.zeros(len(parents), dtype=int), parents).mask.astype(int)


def _tree_mask_by(change: Callable[[Any, Sequence[int]], Any]) -> Callable[..., Any]:
    """The mask with something done to it."""
    return lambda parents: change(_tree_mask(parents), parents)


def _without_root(mask: Any, parents: Sequence[int]) -> Any:
    mask[1:, 0] = 0
    return mask


def _parent_alone(mask: Any, parents: Sequence[int]) -> Any:
    mask = np.eye(len(mask), dtype=int)
    mask[:, 0] = 1
    for row, parent in enumerate(parents, start=1):
        mask[row, parent + 1] = 1
    return mask


def _tree_mask_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for parents in PARENTS:
        yield {"parents": list(parents)}
    for _ in range(4):
        yield {"parents": _random_parents(rng)}


# -- what a tree is worth --------------------------------------------------------------------------


def _expected_kept(parents: Sequence[int], acceptance: Any) -> float:
    return expected_accepted(TokenTree(np.zeros(len(parents), dtype=int), parents), acceptance)


def _products(parents: Sequence[int], acceptance: Any) -> list[float]:
    kept: list[float] = []
    for own, parent in zip(acceptance, parents, strict=True):
        kept.append(float(own) * (kept[parent] if parent >= 0 else 1.0))
    return kept


def _of_leaves(parents: Sequence[int], acceptance: Any) -> float:
    products = _products(parents, acceptance)
    return sum(each for node, each in enumerate(products) if node not in parents)


def _expected_kept_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"parents": [-1], "acceptance": np.array([0.5])}
    yield {"parents": [-1, 0], "acceptance": np.array([0.5, 0.5])}
    yield {"parents": [-1, -1, 0], "acceptance": np.array([0.6, 0.2, 0.5])}
    for _ in range(5):
        parents = _random_parents(rng)
        siblings = np.array([parents.count(parent) for parent in parents])
        yield {
            "parents": parents,
            "acceptance": (rng.uniform(0.3, 1.0, len(parents)) / siblings).round(2),
        }


# -- two siblings without replacement --------------------------------------------------------------


def _two_siblings(p: Any, q: Any, first: int, second: int) -> tuple[float, float, Floats]:
    """By enumerating what the package's rule does with a draft of these two."""
    laws = np.stack([q, q, q])
    draft = Draft(TokenTree([first, second], [-1, -1]), laws)
    target = np.stack([p, p, p])
    kept = np.zeros(2)
    rejected = np.zeros(len(p))
    for weight, verdict in outcomes(lambda chance: without_replacement(draft, target, chance)):
        if verdict.path:
            kept[verdict.path[0]] += weight
        else:
            rejected[verdict.token] += weight
    return float(kept[0]), float(kept[1] / (1 - kept[0])), rejected / rejected.sum()


def _norm(values: Any) -> Any:
    return values / values.sum()


def _left(p: Any, q: Any) -> Any:
    return _norm(np.maximum(p - q, 0.0))


def _thinned(q: Any, token: int) -> Any:
    rest = q.copy()
    rest[token] = 0.0
    return rest


def _two_siblings_by(
    *,
    second_target: Callable[[Any, Any], Any] = _left,
    second_draft: Callable[[Any, int], Any] = lambda q, token: _norm(_thinned(q, token)),
    last: Callable[[Any, Any, Any, Any], Any] = lambda p, q, r, s: _left(r, s),
) -> Callable[..., tuple[float, float, Any]]:
    """The rule with one of its parts replaced."""

    def wrong(p: Any, q: Any, first: int, second: int) -> tuple[float, float, Any]:
        r, s = second_target(p, q), second_draft(q, first)
        return (
            min(1.0, p[first] / q[first]),
            min(1.0, r[second] / s[second]),
            last(p, q, r, s),
        )

    return wrong


def _two_siblings_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "p": np.array([0.2, 0.3, 0.5]),
        "q": np.array([0.5, 0.4, 0.1]),
        "first": 0,
        "second": 1,
    }
    found = 0
    while found < 6:
        p, q = rng.dirichlet(np.ones(4), size=2).round(2)
        p[-1], q[-1] = 1.0 - p[:-1].sum(), 1.0 - q[:-1].sum()
        first, second = (int(token) for token in rng.permutation(4)[:2])
        if min(p.min(), q.min()) < 0.02 or not p[first] < q[first]:
            continue
        a, b, _ = _two_siblings_by()(p, q, first, second)
        if a < 0.95 and 0.05 < b < 0.95:
            found += 1
            yield {"p": p, "q": q, "first": first, "second": second}


EXERCISES = (
    Exercise(
        16,
        1,
        "tree_mask",
        "The mask from the parents",
        "easy",
        10,
        _tree_mask,
        _tree_mask_cases,
        {
            "every node sees the root": _tree_mask_by(_without_root),
            "a node sees itself": _tree_mask_by(lambda mask, _: mask - np.eye(len(mask))),
            "a node sees all of its ancestors, not only its parent": _tree_mask_by(_parent_alone),
            "this is the mask of a chain: siblings must not see each other": _tree_mask_by(
                lambda mask, _: np.tri(len(mask))
            ),
            "rows look at columns: this is the transpose": _tree_mask_by(lambda mask, _: mask.T),
        },
    ),
    Exercise(
        16,
        2,
        "expected_kept",
        "What a tree is worth",
        "medium",
        10,
        _expected_kept,
        _expected_kept_cases,
        {
            "the token that ends the step is not asked for here": lambda parents, acceptance: (
                1.0 + _expected_kept(parents, acceptance)
            ),
            "a node is kept only if its parent is: multiply along the path": (
                lambda parents, acceptance: float(np.sum(acceptance))
            ),
            "nodes inside the tree count, not only the leaves": _of_leaves,
            "this is the probability of one whole path, not a number of nodes": (
                lambda parents, acceptance: max(_products(parents, acceptance))
            ),
        },
    ),
    Exercise(
        16,
        3,
        "two_siblings",
        "Two siblings without replacement",
        "hard",
        25,
        _two_siblings,
        _two_siblings_cases,
        {
            "the second guess was drawn from q without the first, divided by its sum": (
                _two_siblings_by(second_draft=_thinned)
            ),
            "after a rejection the residual is still to be produced, no longer p": _two_siblings_by(
                second_target=lambda p, q: p
            ),
            "the residual must be divided by its sum": _two_siblings_by(
                second_target=lambda p, q: np.maximum(p - q, 0.0)
            ),
            "the second rejection changes the residual once more": _two_siblings_by(
                last=lambda p, q, r, s: r
            ),
        },
    ),
)
