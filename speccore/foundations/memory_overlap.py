"""Which elements of a tensor are the same memory, and what torch does when one writes to them.

A strided tensor is a window on a storage. Element i = (i₁ … i_d) lies at the location

    offset + Σ_k i_k s_k,    0 ≤ i_k < n_k,    with sizes n and strides s (in elements).

Two different elements i ≠ j are the same memory if and only if the difference δ = i − j ≠ 0 solves

    Σ_k δ_k s_k = 0,    |δ_k| ≤ n_k − 1.

``explain`` answers two questions that are easily taken for one. *Do elements overlap?* is decided
exactly here, by arithmetic on sizes and strides. *Will torch refuse to write?* is decided by a
cheap check of torch (aten/src/ATen/MemoryOverlap.cpp), which gives up where the equation is hard:
then it lets the write pass, overlap or not.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import gcd, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INTERNAL_OVERLAP = (
    "unsupported operation: more than one element of the written-to tensor refers to a single "
    "memory location. Please clone() the tensor before performing the operation."
)
PARTIAL_OVERLAP = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to "
    "a single memory location. Please clone() the tensor before performing the operation."
)
LEAF = "a leaf Variable that requires grad is being used in an in-place operation."
VIEW_OF_LEAF = (
    "a view of a leaf Variable that requires grad is being used in an in-place operation."
)

Index = tuple[int, ...]
Pair = tuple[Index, Index]


# -- the location of each element ------------------------------------------------------------------


def locations(sizes: Sequence[int], strides: Sequence[int], offset: int = 0) -> NDArray[np.int64]:
    """offset + Σ_k i_k s_k for every element i: the number of its place in the storage.

    Enumerates; for pictures and for checks of what follows, which does not.

    Args:
        sizes: n_k ≥ 0.
        strides: s_k, in elements.
        offset: location of element (0, …, 0).

    Returns:
        int64 array of shape ``sizes``.

    Raises:
        ValueError: a negative size, or not as many strides as sizes.
    """
    _check_geometry(sizes, strides)
    found = np.full(tuple(sizes), offset, dtype=np.int64)
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        along = np.arange(size, dtype=np.int64) * stride
        found += along.reshape([-1 if k == axis else 1 for k in range(len(sizes))])
    return found


# -- the truth: an equation in bounded integers ----------------------------------------------------


def bounded_solution(
    coefficients: Sequence[int], bounds: Sequence[int], total: int
) -> tuple[int, ...] | None:
    """Whole numbers x with Σ_k x_k c_k = total and 0 ≤ x_k ≤ b_k, or None if there are none.

    Depth first, from the largest coefficient down. What the smaller ones can still reach, and
    their greatest common divisor, leave few values to try at each step. Two coefficients cost one
    Euclidean algorithm. The general problem contains subset sum and is NP-complete, so no method
    is fast for all; but each (k, rest) is visited once: (1 + total) · d steps at most for d
    coefficients, times the values tried in each.

    Args:
        coefficients: c_k > 0.
        bounds: b_k ≥ 0.
    """
    order = sorted(range(len(coefficients)), key=lambda k: coefficients[k])
    reach, divisor = [0], [0]  # of the k smallest coefficients: their largest sum, their gcd
    for k in order:
        reach.append(reach[-1] + bounds[k] * coefficients[k])
        divisor.append(gcd(divisor[-1], coefficients[k]))

    @cache
    def search(k: int, rest: int) -> tuple[int, ...] | None:
        if k == 0:
            return () if rest == 0 else None
        if not 0 <= rest <= reach[k] or rest % divisor[k]:
            return None
        coefficient = coefficients[order[k - 1]]
        low = max(0, -((reach[k - 1] - rest) // coefficient))
        high = min(bounds[order[k - 1]], rest // coefficient)
        # The smaller coefficients reach multiples of their divisor only: x c ≡ rest (mod divisor).
        step = max(1, divisor[k - 1] // divisor[k])
        first = rest // divisor[k] * pow(coefficient // divisor[k], -1, step) % step
        for x in range(low + (first - low) % step, high + 1, step):
            smaller = search(k - 1, rest - x * coefficient)
            if smaller is not None:
                return (*smaller, x)
        return None

    found = search(len(order), total)
    if found is None:
        return None
    return tuple(x for _, x in sorted(zip(order, found, strict=True)))


def shared_pair(sizes: Sequence[int], strides: Sequence[int]) -> Pair | None:
    """Two different elements that are the same memory, or None if no two are: the exact answer.

    Solves Σ δ_k s_k = 0, |δ_k| ≤ n_k − 1, δ ≠ 0, dimension by dimension in order of |s_k|: the
    largest δ that is not zero may be taken positive. Where every stride is larger than all that
    the smaller ones reach, as in any slice or transpose of a contiguous tensor, nothing is to be
    solved: O(d log d) for d dimensions, whatever their sizes. Else see ``bounded_solution``.

    Args:
        sizes: n_k ≥ 0.
        strides: s_k, in any unit; torch has none below 0, numpy has.

    Returns:
        Two indices, or None.

    Raises:
        ValueError: a negative size, or not as many strides as sizes.
    """
    _check_geometry(sizes, strides)
    if 0 in sizes:
        return None
    smaller: list[int] = []  # dimensions with a smaller stride
    reach = 0
    for k in sorted(range(len(sizes)), key=lambda k: abs(strides[k])):
        stride, most = abs(strides[k]), sizes[k] - 1
        if most == 0:
            continue  # one element: its stride is never used
        if stride == 0:
            return _pair_with_difference({k: 1}, len(sizes))
        if stride <= reach:
            # δ_k = 1 + y, and δ_j = x_j − (n_j − 1) for the smaller ones: unknowns from 0 on.
            found = bounded_solution(
                [*(abs(strides[j]) for j in smaller), stride],
                [*(2 * (sizes[j] - 1) for j in smaller), most - 1],
                reach - stride,
            )
            if found is not None:
                difference = {j: x - sizes[j] + 1 for j, x in zip(smaller, found[:-1], strict=True)}
                difference[k] = 1 + found[-1]
                signs = {j: -d if strides[j] < 0 else d for j, d in difference.items()}
                return _pair_with_difference(signs, len(sizes))
        smaller.append(k)
        reach += most * stride
    return None


def count_locations(sizes: Sequence[int], strides: Sequence[int]) -> int:
    """How many different locations the elements occupy; equal to their number if none overlap.

    A dimension whose stride is a multiple of another one's, and leaves no gap, continues it:
    (n₁, s) and (n₂, q s) with q ≤ n₁ are together (n₁ + (n₂ − 1) q, s). If what is left is free of
    overlap, the sizes are multiplied. Only strides that are neither, 2 and 3 for example, are
    counted one by one, as bits of one long integer: O(span/64 · Σ log n_k) steps and span/8 bytes,
    where span is the distance from the first location to the last, over the strides' gcd.

    Raises:
        ValueError: a negative size, or not as many strides as sizes.
    """
    _check_geometry(sizes, strides)
    if 0 in sizes:
        return 0
    runs: list[tuple[int, int]] = []
    for stride, size in sorted((abs(s), n) for n, s in zip(sizes, strides, strict=True)):
        if size == 1 or stride == 0:
            continue
        length, unit = runs[-1] if runs else (0, 1)
        if stride % unit == 0 and stride <= length * unit:
            runs[-1] = length + (size - 1) * stride // unit, unit
        else:
            runs.append((size, stride))
    if shared_pair([n for n, _ in runs], [s for _, s in runs]) is None:
        return prod(n for n, _ in runs)
    unit = gcd(*(s for _, s in runs))
    occupied = 1
    for size, stride in runs:
        copies = 1
        while copies < size:
            more = min(copies, size - copies)
            occupied |= occupied << more * (stride // unit)
            copies += more
    return occupied.bit_count()


def _pair_with_difference(difference: dict[int, int], dimensions: int) -> Pair:
    """The first two elements of which the one minus the other is δ."""
    delta = [difference.get(k, 0) for k in range(dimensions)]
    return tuple(max(-d, 0) for d in delta), tuple(max(d, 0) for d in delta)


# -- torch's check ---------------------------------------------------------------------------------


def is_non_overlapping_and_dense(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements fill one block of memory without gap, in some order of dimensions.

    Torch keeps this as a flag of each tensor: contiguous, transposed, channels-last.
    """
    if 0 in sizes:
        return True
    expected = 1
    for stride, size in sorted(zip(strides, sizes, strict=True)):
        if size > 1 and stride != expected:
            return False
        expected *= size
    return True


def torch_check(sizes: Sequence[int], strides: Sequence[int]) -> str:
    """What torch's check of the written-to tensor finds: "no", "yes" or "too hard".

    "no" if the tensor is dense, "yes" if a dimension of more than one element has stride 0, and
    "too hard" for everything else; only "yes" is refused (``at::has_internal_overlap``).
    """
    if is_non_overlapping_and_dense(sizes, strides):
        return "no"
    if any(size > 1 and stride == 0 for size, stride in zip(sizes, strides, strict=True)):
        return "yes"
    return "too hard"


def torch_pair_check(written: Tensor, read: Tensor) -> str:
    """What torch finds about two different tensors: "no", "full", "partial" or "too hard".

    Dense tensors of one storage are compared by the first and the last byte of their blocks; the
    same block in the same order is "full". Tensors that are not dense are "too hard". Only
    "partial" is refused (``at::get_overlap_status``).
    """
    _check_tensor("written", written)
    _check_tensor("read", read)
    if 0 in (written.numel(), read.numel()):
        return "no"
    if not all(is_non_overlapping_and_dense(each.shape, each.stride()) for each in (written, read)):
        return "too hard"
    first, second = (
        (each.data_ptr(), each.data_ptr() + each.numel() * each.element_size())
        for each in (written, read)
    )
    if first == second:
        return "full" if written.stride() == read.stride() else "partial"
    return "partial" if first[0] < second[1] and second[0] < first[1] else "no"


# -- reports ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Explanation:
    """What ``explain`` found out; shown as text and, in a notebook, as a table."""

    shape: Index
    strides: Index
    """In elements."""
    offset: int
    """Location of element (0, …, 0)."""
    dtype: str
    itemsize: int
    """Bytes of an element."""
    storage_size: int
    """Elements that the whole storage has room for."""
    elements: int
    occupied: int
    """Different locations of the elements."""
    pair: Pair | None
    """Two elements that are the same memory; None if there are none."""
    check: str
    """Torch's check: "no", "yes" or "too hard"."""
    error: str | None
    """The message of the RuntimeError of a checked in-place operation such as ``add_``; or None."""

    @property
    def overlaps(self) -> bool:
        """Whether two elements are the same memory: exact."""
        return self.pair is not None

    @property
    def write_is_legal(self) -> bool:
        """Whether torch lets an in-place operation such as ``add_`` pass."""
        return self.error is None

    @property
    def write_is_safe(self) -> bool:
        """Whether it passes and every element keeps what was written to it."""
        return self.write_is_legal and not self.overlaps

    @property
    def rows(self) -> dict[str, str]:
        """The report, line by line."""
        shared = "none: every element has a location of its own"
        if self.pair is not None:
            shared = f"yes: elements {list(self.pair[0])} and {list(self.pair[1])}, for example"
        return {
            "tensor": f"shape {self.shape}, strides {self.strides}, offset {self.offset}, "
            f"{self.dtype}",
            "memory": f"{self.elements} elements in {self.occupied} locations "
            f"({self.occupied * self.itemsize} bytes) of a storage of {self.storage_size} "
            f"({self.storage_size * self.itemsize} bytes)",
            "overlap": shared,
            "torch's check": {
                "no": "no overlap: one dense block",
                "yes": "overlap: a dimension of more than one element has stride 0",
                "too hard": "too hard to tell cheaply, so it lets writes pass",
            }[self.check],
            "in-place write": self._verdict(),
        }

    def _verdict(self) -> str:
        if self.error is not None:
            return f"refused, RuntimeError: {self.error}"
        if self.overlaps:
            return "passes, but must not be used: elements overwrite each other; clone() first"
        return "passes, and is safe"

    def __str__(self) -> str:
        return "\n".join(f"{name + ':':16}{text}" for name, text in self.rows.items())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align: left'>{html.escape(name)}</th>"
            f"<td style='text-align: left'>{html.escape(text)}</td></tr>"
            for name, text in self.rows.items()
        )
        return f"<table>{cells}</table>"


def explain(tensor: Tensor) -> Explanation:
    """Storage, strides, elements that share memory, and whether an in-place write is legal.

    ``error`` is the message with which an elementwise in-place operation (``add_``, ``mul_``,
    ``copy_``, ``normal_`` …) will fail: that of autograd, if the tensor is a leaf that requires
    gradients, or a view of one, and gradients are on; else that of overlap. Autograd has further
    rules, about views made by ``unbind`` or in inference mode, of which a tensor shows nothing.
    Some operations do not check overlap at all, ``fill_`` and ``zero_`` among them.

    No element is read and none enumerated: see ``shared_pair`` and ``count_locations`` for cost.

    Raises:
        TypeError: not a tensor.
        ValueError: a tensor without strided memory of its own (sparse, or on the meta device).
    """
    _check_tensor("tensor", tensor)
    sizes, strides = tuple(tensor.shape), tensor.stride()
    check = torch_check(sizes, strides)
    return Explanation(
        shape=sizes,
        strides=strides,
        offset=int(tensor.storage_offset()),
        dtype=str(tensor.dtype).removeprefix("torch."),
        itemsize=tensor.element_size(),
        storage_size=tensor.untyped_storage().nbytes() // tensor.element_size(),
        elements=tensor.numel(),
        occupied=count_locations(sizes, strides),
        pair=shared_pair(sizes, strides),
        check=check,
        error=_leaf_error(tensor) or (INTERNAL_OVERLAP if check == "yes" else None),
    )


@dataclass(frozen=True)
class PairExplanation:
    """What ``explain_pair`` found out; shown as text."""

    pair: Pair | None
    """An element of the written tensor and one of the read tensor in the same memory, or None."""
    check: str
    """Torch's check: "same", "no", "full", "partial" or "too hard"."""
    error: str | None
    """The message of the RuntimeError of ``written.add_(read)`` about their overlap; or None."""

    def __str__(self) -> str:
        shared = "none"
        if self.pair is not None:
            shared = f"written{list(self.pair[0])} is read{list(self.pair[1])}, for example"
        verdict = "passes" if self.error is None else f"refused, RuntimeError: {self.error}"
        rows = {"shared memory": shared, "torch's check": self.check, "write": verdict}
        return "\n".join(f"{name + ':':16}{text}" for name, text in rows.items())

    __repr__ = __str__


def explain_pair(written: Tensor, read: Tensor) -> PairExplanation:
    """Whether a tensor that is written and one that is read share memory, and what torch says.

    Exact for any two strided tensors, also of different types: byte p of element i of the one is
    byte q of element j of the other if

        a + p + Σ i_k s_k = b + q + Σ j_k t_k    (addresses a, b and strides s, t in bytes),

    one equation in bounded integers. Torch's check compares blocks, and only of dense tensors.

    Raises:
        TypeError: not tensors.
        ValueError: a tensor without strided memory of its own.
    """
    check = "same" if written is read else torch_pair_check(written, read)
    return PairExplanation(
        pair=_common_byte(written, read),
        check=check,
        error=PARTIAL_OVERLAP if check == "partial" else None,
    )


def _common_byte(first: Tensor, second: Tensor) -> Pair | None:
    """Elements of two tensors with a byte in common."""
    if 0 in (first.numel(), second.numel()):
        return None
    item, other_item = first.element_size(), second.element_size()
    steps = [item * s for s in first.stride()] + [other_item * s for s in second.stride()]
    sizes = [*first.shape, *second.shape]
    # Count the second tensor's indices and bytes backwards: then all terms stand on one side.
    total = second.data_ptr() - first.data_ptr() + other_item - 1
    total += sum((n - 1) * s for n, s in zip(sizes[first.ndim :], steps[first.ndim :], strict=True))
    # Where elements can only meet whole, bytes need no unknowns.
    unit = gcd(item, other_item, second.data_ptr() - first.data_ptr())
    used = [k for k, (n, s) in enumerate(zip(sizes, steps, strict=True)) if n > 1 and s > 0]
    found = bounded_solution(
        [steps[k] // unit for k in used] + [1, 1],
        [sizes[k] - 1 for k in used] + [item // unit - 1, other_item // unit - 1],
        (total - (unit - 1)) // unit,
    )
    if found is None:
        return None
    index = [0] * first.ndim + [n - 1 for n in second.shape]
    for k, x in zip(used, found, strict=False):
        index[k] = x if k < first.ndim else sizes[k] - 1 - x
    return tuple(index[: first.ndim]), tuple(index[first.ndim :])


def _leaf_error(tensor: Tensor) -> str | None:
    if not (torch.is_grad_enabled() and tensor.requires_grad):
        return None
    if tensor.is_leaf:
        return LEAF
    base = tensor._base
    return VIEW_OF_LEAF if base is not None and base.is_leaf else None


def _check_tensor(name: str, value: Any) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: takes a torch.Tensor, got {value!r} ({type(value).__name__})")
    if value.layout != torch.strided or value.device.type == "meta":
        raise ValueError(
            f"{name}: takes a strided tensor with memory, got layout {value.layout} on device "
            f"{value.device}"
        )


def _check_geometry(sizes: Sequence[int], strides: Sequence[int]) -> None:
    if len(sizes) != len(strides):
        raise ValueError(
            f"strides: takes one for each of the {len(sizes)} sizes, got {tuple(strides)}"
        )
    if any(size < 0 for size in sizes):
        raise ValueError(f"sizes: takes whole numbers >= 0, got {tuple(sizes)}")
