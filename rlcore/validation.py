"""Checks of arguments: each names the argument, the value it got and what it takes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def check_count(name: str, value: int, minimum: int = 1) -> int:
    """A whole number >= ``minimum``."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{name}: takes a whole number >= {minimum}, got {value!r} ({type(value).__name__})"
        ) from None
    if count < minimum or isinstance(value, bool):
        raise ValueError(f"{name}: takes a whole number >= {minimum}, got {value!r}")
    return count


def as_floats(name: str, value: ArrayLike) -> Floats:
    """An own, C-ordered array of floats; nothing that only looks like a number."""
    try:
        array = np.array(value)
        if array.dtype.kind not in "iuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name}: takes a number or an array of numbers, got {value!r}") from None
    return np.array(array, dtype=np.float64, order="C")


def as_constant(name: str, value: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    """An own, C-ordered, read-only array of a type that holds all its values exactly."""
    try:
        given = np.array(value)
        if given.dtype.kind not in "biuf":
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name}: takes an array of numbers, got {value!r}") from None
    with np.errstate(invalid="ignore"):
        array = given.astype(dtype, order="C")
    if not np.array_equal(array, given, equal_nan=True):
        wrong = given[array != given][0]
        raise ValueError(f"{name}: takes an array of {np.dtype(dtype).name}, got {wrong!r}")
    array.setflags(write=False)
    return array


def check_number(name: str, value: float, allowed: str, inside: Callable[[float], bool]) -> float:
    """One number, where ``inside`` holds, which the message calls ``allowed``."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name}: takes {allowed}, got {value!r} ({type(value).__name__})")
    if not inside(float(value)):
        raise ValueError(f"{name}: takes {allowed}, got {value!r}")
    return float(value)


def check_fraction(name: str, value: float, *, positive: bool = False) -> float:
    """A number in [0, 1], or in (0, 1] if ``positive``."""
    if positive:
        return check_number(name, value, "a number in (0, 1]", lambda number: 0 < number <= 1)
    return check_number(name, value, "a number in [0, 1]", lambda number: 0 <= number <= 1)


def check_positive(name: str, value: float) -> float:
    """A finite number > 0."""
    return check_number(name, value, "a number > 0", lambda number: 0 < number < np.inf)


def check_schedule(name: str, value: ArrayLike, episodes: int, *, positive: bool) -> Floats:
    """A number, or one for each episode, in (0, 1] if ``positive``, else in [0, 1]."""
    allowed = "(0, 1]" if positive else "[0, 1]"
    numbers = as_floats(name, value)
    if numbers.ndim > 1 or (numbers.ndim == 1 and len(numbers) != episodes):
        raise ValueError(
            f"{name}: takes a number or an array of shape (episodes,) = ({episodes},), "
            f"got shape {numbers.shape}"
        )
    inside = (numbers > 0 if positive else numbers >= 0) & (numbers <= 1)
    if not np.all(inside):
        wrong = numbers if numbers.ndim == 0 else numbers[~inside][0]
        raise ValueError(f"{name}: takes numbers in {allowed}, got {float(wrong)!r}")
    return np.array(np.broadcast_to(numbers, episodes))


def check_policy(name: str, policy: ArrayLike, num_states: int, num_actions: int) -> Floats:
    """(states, actions) probabilities whose rows sum to 1."""
    array = as_floats(name, policy)
    if array.shape != (num_states, num_actions):
        raise ValueError(
            f"{name}: takes shape (states, actions) = ({num_states}, {num_actions}), "
            f"got {array.shape}"
        )
    finite = np.asarray(np.isfinite(array).all(axis=1))
    sums = np.where(finite[:, None], array, np.nan).sum(axis=1)
    right = finite & (np.abs(sums - 1) <= 1e-9) & np.all(array >= 0, axis=1)
    if not np.all(right):
        row = int(np.argmin(right))
        raise ValueError(
            f"{name}: takes rows of probabilities >= 0 that sum to 1, got row {row}: {array[row]} "
            f"(sum {sums[row]:.6g})"
        )
    return array


def check_values(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Finite numbers of the given shape."""
    array = as_floats(name, values)
    if array.shape != shape:
        raise ValueError(f"{name}: takes shape {shape}, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: takes finite numbers, got NaN or infinity")
    return array


def check_initial(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """A number for all entries, or an array of the given shape; finite. Returns a full array."""
    array = as_floats(name, value)
    if array.ndim == 0:
        array = np.full(shape, float(array))
    return check_values(name, array, shape)
