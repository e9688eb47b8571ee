"""Exercises of chapter 15: drafting without a second model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from rlcore.validation import Floats
from speccore.decoding.chance import Chance
from speccore.decoding.drafters import NGramDrafter
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import best_draft_length, speedup
from speccore.models.ngram import NGramModel

NOTHING = -1  # what the first exercise returns if there is no guess


def _lookup(text: list[int], longest: int, shortest: int) -> int:
    """The package's own drafter, asked for one guess."""
    drafter: Any = NGramDrafter(1, longest=longest, shortest=shortest)
    draft = drafter.begin(None).propose(text, Sampling(0.0), Chance(0), None)
    return int(draft.tree.tokens[0]) if len(draft.tree) else NOTHING


def _lookup_by(
    *, latest: bool = True, longest_first: bool = True, itself: bool = False, offset: int = 0
) -> Callable[..., int]:
    """The search with one of its details changed."""

    def wrong(text: list[int], longest: int, shortest: int) -> int:
        sizes = range(shortest, min(longest, len(text)) + 1)
        for size in reversed(sizes) if longest_first else sizes:
            last = len(text) - size + (1 if itself else 0)
            starts = range(last)
            for start in reversed(starts) if latest else starts:
                if text[start : start + size] == text[-size:]:
                    place = start + size + offset
                    return text[place] if place < len(text) else NOTHING
        return NOTHING

    return wrong


def _lookup_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"text": [1, 2, 3, 4, 1, 2, 5, 1, 2], "longest": 3, "shortest": 1}
    yield {"text": [9, 1, 2, 7, 8, 1, 2, 3, 9, 1, 2], "longest": 3, "shortest": 1}
    yield {"text": [1, 2, 3, 1], "longest": 3, "shortest": 2}
    yield {"text": [4, 4, 4], "longest": 5, "shortest": 1}
    yield {"text": [1, 2], "longest": 3, "shortest": 1}
    for _ in range(6):
        text = rng.integers(0, 3, size=int(rng.integers(8, 20))).tolist()
        yield {"text": text, "longest": 4, "shortest": int(rng.integers(1, 4))}


def _witten_bell(text: list[int], context: list[int], vocab_size: int) -> Floats:
    """The package's own model, of the context's length."""
    return NGramModel(text, len(context), vocab_size=vocab_size).law(context)


def _witten_bell_by(
    *,
    smooth: bool = True,
    add_one: bool = False,
    types: bool = True,
    base: bool = True,
    drop_last: bool = False,
    at_end: bool = False,
) -> Callable[..., Floats]:
    """The recursion with one of its parts changed."""

    def wrong(text: list[int], context: list[int], vocab_size: int) -> Floats:
        size = len(context)
        followers = [
            text[i + size]
            for i in range(len(text) - size)
            if list(text[i : i + size]) == list(context)
        ]
        counts = np.bincount(np.asarray(followers, dtype=int), minlength=vocab_size).astype(float)
        if add_one:
            return (counts + 1) / (counts.sum() + vocab_size)
        shorter = context[:-1] if drop_last else context[1:]
        if size:
            lower = wrong(text, shorter, vocab_size)
        else:
            lower = np.full(vocab_size, 1 / vocab_size) if base else np.zeros(vocab_size)
        if not smooth:
            return counts / counts.sum() if counts.any() else lower
        different = np.count_nonzero(counts) if types else 1
        total = counts.sum() + (1 if at_end and list(text[-size:]) == list(context) else 0)
        if total == 0 and different == 0:
            return lower
        return (counts + different * lower) / (total + different)

    return wrong


def _witten_bell_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    text = [0, 1, 0, 1, 0, 2, 0]
    yield {"text": text, "context": [], "vocab_size": 3}
    yield {"text": text, "context": [0], "vocab_size": 4}
    yield {"text": text, "context": [2, 1], "vocab_size": 3}
    yield {"text": text, "context": [1, 0], "vocab_size": 3}
    for _ in range(4):
        yield {
            "text": rng.integers(0, 3, size=20).tolist(),
            "context": rng.integers(0, 3, size=int(rng.integers(1, 4))).tolist(),
            "vocab_size": 4,
        }


def _best_exit(acceptance: Any, layers: int) -> tuple[int, int]:
    return _best_exit_by()(acceptance, layers)


def _best_exit_by(
    *,
    cost: Callable[[int, int], float] = lambda exit_layer, layers: exit_layer / layers,
    by_acceptance: bool = False,
    always: bool = False,
    from_zero: bool = False,
) -> Callable[..., tuple[int, int]]:
    """The search of the best exit, right as it stands, or with one of its parts changed."""

    def search(acceptance: Any, layers: int) -> tuple[int, int]:
        best, gain = (0, 0), 0.0 if always else 1.0
        for exit_layer, alpha in enumerate(np.asarray(acceptance, dtype=float).tolist(), start=1):
            c = cost(exit_layer, layers)
            length = best_draft_length(alpha, c)
            if always:
                length = max(length, 1)
            worth = alpha if by_acceptance else float(speedup(alpha, length, c))
            if by_acceptance and length:
                worth += 1.0
            if worth > gain:
                best, gain = (exit_layer - (1 if from_zero else 0), length), worth
        return best

    return search


def _best_exit_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"acceptance": np.array([0.7, 0.8, 0.85, 0.9]), "layers": 5}
    yield {"acceptance": np.array([0.15, 0.3, 0.5, 0.7]), "layers": 5}
    yield {"acceptance": np.array([0.3, 0.85, 0.9]), "layers": 12}
    for _ in range(5):
        layers = int(rng.integers(4, 13))
        acceptance = np.sort(rng.uniform(0.05, 0.95, size=layers - 1)).round(2)
        yield {"acceptance": acceptance, "layers": layers}


EXERCISES = (
    Exercise(
        15,
        1,
        "lookup",
        "The longest suffix that stood there before",
        "easy",
        15,
        _lookup,
        _lookup_cases,
        {
            "of several places the latest counts": _lookup_by(latest=False),
            "the longest suffix decides, not the shortest": _lookup_by(longest_first=False),
            "the suffix finds itself at the end, where nothing follows": _lookup_by(itself=True),
            "this is the last token of the match, not the one after it": _lookup_by(offset=-1),
        },
    ),
    Exercise(
        15,
        2,
        "witten_bell",
        "A law from counts",
        "medium",
        20,
        _witten_bell,
        _witten_bell_cases,
        {
            "counts alone: what was never seen gets probability 0": _witten_bell_by(smooth=False),
            "this adds one to each count (Laplace); shorter contexts are not asked": (
                _witten_bell_by(add_one=True)
            ),
            "the weight of the shorter context is t(h), the number of different followers": (
                _witten_bell_by(types=False)
            ),
            "below the empty context stands the uniform law": _witten_bell_by(base=False),
            "the shorter context loses its first token, not its last": _witten_bell_by(
                drop_last=True
            ),
            "a context at the very end of the text has no follower to count": _witten_bell_by(
                at_end=True
            ),
        },
    ),
    Exercise(
        15,
        3,
        "best_exit",
        "When does an early exit pay?",
        "hard",
        20,
        _best_exit,
        _best_exit_cases,
        {
            "a guess costs as many layers as it passes through, not one": _best_exit_by(
                cost=lambda exit_layer, layers: 1 / layers
            ),
            "guesses cost time: the highest acceptance is not the best": _best_exit_by(
                by_acceptance=True
            ),
            "where no draft pays the answer is (0, 0)": _best_exit_by(always=True),
            "exits count from 1: acceptance[0] is that after one layer": _best_exit_by(
                from_zero=True
            ),
            "the guess is free here (c = 0)": _best_exit_by(cost=lambda exit_layer, layers: 0.0),
        },
    ),
)
