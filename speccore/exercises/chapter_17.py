"""Exercises of chapter 17: Medusa."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from speccore.decoding.acceptance import typical
from speccore.decoding.chance import Chance
from speccore.decoding.tree import Draft, TokenTree

# -- what a head is trained on ---------------------------------------------------------------------


def _head_targets(tokens: Sequence[int], k: int) -> list[int]:
    return list(tokens[k + 1 :])


def _head_targets_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"tokens": [10, 11, 12, 13, 14], "k": 1}
    yield {"tokens": [10, 11, 12, 13, 14], "k": 2}
    for k in (3, 1, 4):
        yield {"tokens": [int(token) for token in rng.permutation(50)[: 6 + k]], "k": k}


# -- from candidates to a tree ---------------------------------------------------------------------


def _candidate_tree(
    candidates: Sequence[Sequence[int]], ranks: Sequence[int], parents: Sequence[int]
) -> list[int]:
    """As the drafter does it."""
    tree = TokenTree(ranks, parents)
    return [int(each) for each in np.array(candidates)[tree.depths - 1, tree.tokens]]


def _candidate_tree_by(
    head: Callable[[TokenTree], Any], rank: Callable[[TokenTree], Any] = lambda tree: tree.tokens
) -> Callable[..., list[int]]:
    """With another head, or another rank, for each node."""

    def wrong(candidates: Any, ranks: Sequence[int], parents: Sequence[int]) -> list[int]:
        tree = TokenTree(ranks, parents)
        return [int(each) for each in np.array(candidates)[head(tree), rank(tree)]]

    return wrong


def _places_among_siblings(tree: TokenTree) -> list[int]:
    return [tree.children(parent).index(node) for node, parent in enumerate(tree.parents.tolist())]


def _candidate_tree_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    table = [[20, 21, 22], [30, 31, 32], [40, 41, 42]]
    yield {"candidates": table, "ranks": [0], "parents": [-1]}
    yield {"candidates": table, "ranks": [0, 0, 0], "parents": [-1, 0, 1]}
    yield {"candidates": table, "ranks": [0, 1, 0, 2], "parents": [-1, -1, 0, 1]}
    for _ in range(4):
        parents: list[int] = []
        depths: list[int] = []
        while len(parents) < 6:
            parent = int(rng.integers(-1, len(parents)))
            depth = depths[parent] + 1 if parent >= 0 else 1
            if depth <= 3:
                parents.append(parent)
                depths.append(depth)
        yield {
            "candidates": rng.permutation(90)[:9].reshape(3, 3).tolist(),
            "ranks": rng.integers(0, 3, len(parents)).tolist(),
            "parents": parents,
        }


# -- how much of a chain is typical ----------------------------------------------------------------


def _typical_length(p: Any, guesses: Sequence[int], epsilon: float, delta: float) -> int:
    draft = Draft(TokenTree.chain(guesses))
    return len(typical(draft, p, Chance(0), epsilon=epsilon, delta=delta).path)


def _entropy(p: Any) -> float:
    positive = p[p > 0]
    return float(-(positive * np.log(positive)).sum())


def _typical_length_by(
    least: Callable[[Any, float, float], float], *, stops: bool = True
) -> Callable[..., int]:
    """With another threshold, or without an end at the first guess that is refused."""

    def wrong(p: Any, guesses: Sequence[int], epsilon: float, delta: float) -> int:
        kept = [
            bool(law[token] > least(law, epsilon, delta))
            for law, token in zip(p, guesses, strict=False)
        ]
        return kept.index(False) if stops and False in kept else sum(kept)

    return wrong


def _threshold(p: Any, epsilon: float, delta: float) -> float:
    return min(epsilon, delta * float(np.exp(-_entropy(p))))


def _typical_length_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    sure, flat = np.array([0.94, 0.02, 0.02, 0.02]), np.full(4, 0.25)
    settings: dict[str, Any] = {"epsilon": 0.09, "delta": 0.3}
    yield {"p": np.stack([sure, sure]), "guesses": [0], **settings}
    yield {"p": np.stack([sure, sure]), "guesses": [1], **settings}
    yield {"p": np.stack([flat, sure, flat]), "guesses": [3, 0], **settings}
    point = np.array([1.0, 0.0, 0.0, 0.0])
    yield {"p": np.stack([point, flat, point]), "guesses": [0, 2], "epsilon": 0.5, "delta": 0.9}
    nearly, holes = np.array([0.9, 0.08, 0.01, 0.01]), np.array([0.3, 0.3, 0.3, 0.1, 0.0])
    yield {"p": np.stack([nearly, flat]), "guesses": [1], "epsilon": 0.3, "delta": 0.05}
    yield {"p": np.stack([holes, holes]), "guesses": [3], "epsilon": 0.3, "delta": 0.3}
    for epsilon, delta in (
        (0.3, 0.6),
        (0.2, 0.9),
        (0.4, 0.5),
        (0.15, 2.0),
        (0.3, 1.0),
        (0.25, 0.7),
    ):
        p = rng.dirichlet(np.full(5, 0.7), size=5).round(3)
        p[:, 0] = np.maximum(1.0 - p[:, 1:].sum(axis=1), 0.0)
        p /= p.sum(axis=1, keepdims=True)
        guesses = [int(rng.choice(5, p=law)) for law in p[:4]]
        yield {"p": p, "guesses": guesses, "epsilon": epsilon, "delta": delta}


EXERCISES = (
    Exercise(
        17,
        1,
        "head_targets",
        "What head k is trained on",
        "easy",
        5,
        _head_targets,
        _head_targets_cases,
        {
            "this trains head k on the guess of the head before it": lambda tokens, k: list(
                tokens[k:]
            ),
            "one place too far": lambda tokens, k: list(tokens[k + 2 :]),
            "places without a target must be left out, not wrapped around": lambda tokens, k: [
                *tokens[k + 1 :],
                *tokens[: k + 1],
            ],
        },
    ),
    Exercise(
        17,
        2,
        "candidate_tree",
        "From candidates to a tree",
        "medium",
        10,
        _candidate_tree,
        _candidate_tree_cases,
        {
            "the head of a node is given by its depth: 1 is the first head": _candidate_tree_by(
                lambda tree: tree.depths
            ),
            "all nodes take their tokens from the first head": _candidate_tree_by(
                lambda tree: np.zeros_like(tree.depths)
            ),
            "a node says which candidate it is; its place among its siblings does not": (
                _candidate_tree_by(lambda tree: tree.depths - 1, _places_among_siblings)
            ),
        },
    ),
    Exercise(
        17,
        3,
        "typical_length",
        "Typical enough",
        "hard",
        20,
        _typical_length,
        _typical_length_cases,
        {
            "the smaller of the two thresholds counts": _typical_length_by(
                lambda p, epsilon, delta: max(epsilon, delta * float(np.exp(-_entropy(p))))
            ),
            "the threshold falls with the entropy: exp(-H)": _typical_length_by(
                lambda p, epsilon, delta: min(epsilon, delta * float(np.exp(_entropy(p))))
            ),
            "the entropy has natural logarithms here": _typical_length_by(
                lambda p, epsilon, delta: min(
                    epsilon, delta * float(np.exp(-_entropy(p) / np.log(2)))
                )
            ),
            "epsilon alone is not the threshold": _typical_length_by(
                lambda p, epsilon, delta: epsilon
            ),
            "nothing is kept behind a guess that was refused": _typical_length_by(
                _threshold, stops=False
            ),
        },
    ),
)
