"""Exercises of chapter 18: multi-token prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from rlcore.validation import Floats
from speccore.decoding.tree import TokenTree

METHODS = ("Medusa", "blockwise", "Meta", "DeepSeek", "EAGLE")


# -- what a guess may look at ----------------------------------------------------------------------


def _guess_reads(method: str, k: int, i: int) -> tuple[list[int], list[int]]:
    if method in ("Medusa", "blockwise"):
        return [i], []
    features = list(range(i + 1))
    return features, list(range(1, i + k + 1)) if method in ("DeepSeek", "EAGLE") else []


def _guess_reads_by(change: Callable[..., Any]) -> Callable[..., Any]:
    """The right sets, changed by someone who knows how they came about."""
    return lambda method, k, i: change(*_guess_reads(method, k, i), method, k, i)


def _guess_reads_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for method in METHODS:
        yield {"method": method, "k": 1, "i": 3}
    for k, i in ((2, 3), (3, 5)):
        for method in METHODS:
            yield {"method": method, "k": k, "i": i}


# -- one head at a time ----------------------------------------------------------------------------


def _outputs(features: Floats, weights: Floats) -> Floats:
    """softmax(f W) of one head."""
    scores = np.exp(features @ weights - (features @ weights).max())
    return scores / scores.sum()


def _one_head_at_a_time(
    maps: Floats, heads: Sequence[Floats], x: Floats, targets: Sequence[int]
) -> tuple[Floats, list[Floats]]:
    features = x @ maps
    below = np.zeros_like(features)
    gradients = []
    for weights, target in zip(heads, targets, strict=True):
        error = _outputs(features, weights)
        error[target] -= 1.0
        gradients.append(np.outer(features, error))
        below += weights @ error
    return np.outer(x, below), gradients


def _last_head_alone(
    maps: Floats, heads: Sequence[Floats], x: Floats, targets: Sequence[int]
) -> tuple[Floats, list[Floats]]:
    _, gradients = _one_head_at_a_time(maps, heads, x, targets)
    alone, _ = _one_head_at_a_time(maps, heads[-1:], x, targets[-1:])
    return alone, gradients


def _mean_of_heads(
    maps: Floats, heads: Sequence[Floats], x: Floats, targets: Sequence[int]
) -> tuple[Floats, list[Floats]]:
    trunk, gradients = _one_head_at_a_time(maps, heads, x, targets)
    return trunk / len(heads), gradients


def _not_through_trunk(
    maps: Floats, heads: Sequence[Floats], x: Floats, targets: Sequence[int]
) -> tuple[Floats, list[Floats]]:
    trunk, gradients = _one_head_at_a_time(maps, heads, x, targets)
    return (trunk / x[:, None])[0], gradients


def _one_head_at_a_time_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for heads, size in ((1, 2), (2, 2), (2, 3), (3, 3)):
        yield {
            "maps": rng.normal(size=(size, size)).round(2),
            "heads": [rng.normal(size=(size, 4)).round(2) for _ in range(heads)],
            "x": rng.uniform(0.5, 1.5, size).round(2),
            "targets": rng.integers(0, 4, heads).tolist(),
        }


# -- the nodes of largest value --------------------------------------------------------------------


def _values(parents: Sequence[int], confidence: Sequence[float]) -> list[float]:
    values: list[float] = []
    for own, parent in zip(confidence, parents, strict=True):
        values.append(float(own) * (values[parent] if parent >= 0 else 1.0))
    return values


def _most_valuable(values: Sequence[float], count: int) -> list[int]:
    order = np.argsort(-np.asarray(values), kind="stable")
    return sorted(int(node) for node in order[:count])


def _best_nodes(parents: Sequence[int], confidence: Sequence[float], count: int) -> list[int]:
    return _most_valuable(_values(parents, confidence), count)


def _best_leaves(parents: Sequence[int], confidence: Sequence[float], count: int) -> list[int]:
    values = np.array(_values(parents, confidence))
    leaves = [node for node in range(len(parents)) if node not in parents]
    return sorted(sorted(leaves, key=lambda node: -values[node])[:count])


def _best_nodes_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"parents": [-1, -1], "confidence": [0.6, 0.3], "count": 1}
    # The second first guess is worth less than what hangs below the first.
    yield {"parents": [-1, -1, 0, 1], "confidence": [0.7, 0.2, 0.9, 0.95], "count": 2}
    for _ in range(5):
        parents = [-1, -1, -1, 0, 0, 1, 1, 3, 3]
        shares = rng.dirichlet(np.ones(3), size=5)
        rows = {-1: shares[0], 0: shares[1], 1: shares[2], 3: shares[3]}
        taken = dict.fromkeys(rows, 0)
        confidence = []
        for parent in parents:
            confidence.append(round(float(np.sort(rows[parent])[::-1][taken[parent]]), 3))
            taken[parent] += 1
        yield {"parents": parents, "confidence": confidence, "count": int(rng.integers(3, 7))}


def _breadth_first(parents: Sequence[int], confidence: Sequence[float], count: int) -> list[int]:
    depths = TokenTree(np.zeros(len(parents), dtype=int), parents).depths
    values = np.array(_values(parents, confidence))
    order = sorted(range(len(parents)), key=lambda node: (depths[node], -values[node]))
    return sorted(order[:count])


EXERCISES = (
    Exercise(
        18,
        1,
        "guess_reads",
        "What a guess may look at",
        "easy",
        10,
        _guess_reads,
        _guess_reads_cases,
        {
            "guess k is for t_{i+1+k}, and the last token that it can read is t_{i+k}": (
                _guess_reads_by(lambda f, t, *_: (f, [*t, t[-1] + 1] if t else t))
            ),
            "the first token that meets a feature is t_1, that after f_0": _guess_reads_by(
                lambda f, t, *_: (f, [0, *t] if t else t)
            ),
            "there is attention in the block: it reads the columns before, too": _guess_reads_by(
                lambda f, t, method, k, i: (f[-1:], t[-k:])
            ),
            "no head reads features behind f_i: the trunk has not been there": _guess_reads_by(
                lambda f, t, method, k, i: ([*f, *range(i + 1, i + k)], t)
            ),
            "this one does not know the tokens in between": _guess_reads_by(
                lambda f, t, method, k, i: (f, list(range(1, i + k + 1)))
            ),
        },
    ),
    Exercise(
        18,
        2,
        "one_head_at_a_time",
        "Two heads, one after the other",
        "medium",
        20,
        _one_head_at_a_time,
        _one_head_at_a_time_cases,
        {
            "the gradients of all heads meet at the features: add them up": _last_head_alone,
            "the losses are added, so the gradients are: no mean": _mean_of_heads,
            "this is the gradient at the features; one step more leads to the trunk": (
                _not_through_trunk
            ),
        },
    ),
    Exercise(
        18,
        3,
        "best_nodes",
        "The tree that grows where the head is sure",
        "hard",
        20,
        _best_nodes,
        _best_nodes_cases,
        {
            "a node is worth the product along its path, not its own probability": (
                lambda parents, confidence, count: _most_valuable(confidence, count)
            ),
            "nodes inside the tree count, not only the leaves": _best_leaves,
            "all levels compete: do not fill one before the next": _breadth_first,
        },
    ),
)
