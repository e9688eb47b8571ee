"""Exercises of chapter 10: views, expand and the overlap error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from rlcore.exercises.exercise import Arguments, Exercise, with_fixed
from speccore.foundations.memory_overlap import count_locations, locations, torch_check

Numbers = tuple[int, ...]


def _location(index: Numbers, strides: Numbers, offset: int) -> int:
    """offset + Σ_k i_k s_k."""
    sizes = [i + 1 for i in index]
    return int(locations(sizes, strides, offset)[index])


def _location_of_a_contiguous_tensor(index: Numbers, strides: Numbers, offset: int) -> int:
    """As if the last dimension always moved by one."""
    return _location(index, (*strides[:-1], 1), offset)


def _location_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"index": (1, 2), "strides": (4, 1), "offset": 5}  # contiguous
    yield {"index": (1, 2), "strides": (2, 3), "offset": 5}
    yield {"index": (1, 2), "strides": (1, 0), "offset": 5}  # expanded
    for dimensions in (1, 3, 4):
        yield {
            "index": tuple(rng.integers(1, 5, size=dimensions).tolist()),
            "strides": tuple(rng.integers(2, 9, size=dimensions).tolist()),
            "offset": int(rng.integers(1, 9)),
        }


def _expand_backward(grad: Any, shape: Numbers) -> Any:
    """The sum over all elements that are the same memory: what autograd computes."""
    x = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    (summed,) = torch.autograd.grad(x.expand(grad.shape), x, torch.as_tensor(grad))
    return summed.numpy()


def _expand_backward_by(reduce: Callable[..., Any], *, lead: bool = True) -> Callable[..., Any]:
    """Something else than the sum; without ``lead``, new dimensions are only cut off."""

    def wrong(grad: Any, shape: Numbers) -> Any:
        more = grad.ndim - len(shape)
        folded = reduce(grad, axis=tuple(range(more))) if lead else grad[(0,) * more]
        stretched = (n == 1 and m > 1 for n, m in zip(shape, folded.shape, strict=True))
        axes = tuple(k for k, each in enumerate(stretched) if each)
        return reduce(folded, axis=axes, keepdims=True)

    return wrong


def _expand_backward_total(grad: Any, shape: Numbers) -> Any:
    return np.full(shape, grad.sum())


def _expand_backward_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"grad": np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), "shape": (2, 1)}
    yield {"grad": np.array([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]]), "shape": (3,)}
    for shape, expanded in (
        ((1,), (4,)),
        ((2, 1, 3), (2, 4, 3)),
        ((1, 3), (2, 4, 3)),
        ((1, 1), (3, 2)),
        ((), (2, 2)),
        ((2, 2), (2, 2)),
    ):
        yield {"grad": rng.integers(-9, 10, size=expanded).astype(float), "shape": shape}


def _has_overlap(sizes: Numbers, strides: Numbers) -> bool:
    return count_locations(sizes, strides) < np.prod(sizes, dtype=int)


def _has_overlap_by_reach(sizes: Numbers, strides: Numbers) -> bool:
    """Sorted strides must exceed what the smaller ones reach: sufficient, not necessary."""
    reach = 0
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1 and stride <= reach:
            return True
        reach += (size - 1) * stride
    return False


def _has_overlap_by_room(sizes: Numbers, strides: Numbers) -> bool:
    """More elements than locations between the first and the last: necessary, not sufficient."""
    room = 1 + sum((n - 1) * s for n, s in zip(sizes, strides, strict=True))
    return bool(np.prod(sizes, dtype=int) > room)


def _has_overlap_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for sizes, strides in (
        ((3, 4), (4, 1)),  # contiguous
        ((3, 4), (1, 0)),  # expanded
        ((4, 3), (1, 1)),  # windows
        ((3, 1), (1, 0)),  # stride 0 of one element
        ((3, 2), (2, 3)),  # interleaved, free of overlap
        ((3, 4), (4, 3)),
        ((3, 5), (4, 3)),
        ((2, 3), (3, 5)),  # sparse
        ((0, 3), (0, 0)),  # empty
    ):
        yield {"sizes": sizes, "strides": strides}
    for _ in range(12):
        dimensions = int(rng.integers(1, 4))
        yield {
            "sizes": tuple(rng.integers(1, 5, size=dimensions).tolist()),
            "strides": tuple(rng.integers(0, 9, size=dimensions).tolist()),
        }


EXERCISES = (
    Exercise(
        10,
        1,
        "location",
        "Where an element lies",
        "easy",
        5,
        _location,
        _location_cases,
        {
            "the offset seems to be missing: a view may begin in the middle of its storage": (
                with_fixed(_location, offset=0)
            ),
            "the strides seem to be in the opposite order": lambda index, strides, offset: (
                _location(index, strides[::-1], offset)
            ),
            "the last dimension need not have stride 1": _location_of_a_contiguous_tensor,
        },
    ),
    Exercise(
        10,
        2,
        "expand_backward",
        "The gradient of expand",
        "medium",
        10,
        _expand_backward,
        _expand_backward_cases,
        {
            "each copy contributes: a sum is needed, not a mean": _expand_backward_by(np.mean),
            "this keeps one of the copies; every one of them contributes": _expand_backward_by(
                lambda a, axis, keepdims=False: (
                    np.take(a, 0, axis=axis[0])
                    if not keepdims and axis
                    else a[tuple(slice(0, 1) if k in axis else slice(None) for k in range(a.ndim))]
                )
            ),
            "only the dimensions that were expanded are summed": _expand_backward_total,
            "dimensions that expand put in front are to be summed too": _expand_backward_by(
                np.sum, lead=False
            ),
        },
    ),
    Exercise(
        10,
        3,
        "has_overlap",
        "Does anything overlap?",
        "hard",
        20,
        _has_overlap,
        _has_overlap_cases,
        {
            "this is torch's check: a stride of 0 is not the only way to overlap": (
                lambda sizes, strides: torch_check(sizes, strides) == "yes"
            ),
            "a stride of 0 is harmless where there is one element": lambda sizes, strides: (
                0 not in sizes and (0 in strides or _has_overlap(sizes, strides))
            ),
            "strides that interleave need not overlap": _has_overlap_by_reach,
            "enough room does not mean that it is used well": _has_overlap_by_room,
        },
    ),
)
