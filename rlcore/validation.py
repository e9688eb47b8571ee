"""Checks of arguments: each names the argument, the value it got and what it takes."""

from __future__ import annotations

import operator

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


def check_fraction(name: str, value: float) -> float:
    """A number in [0, 1]."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name}: takes a number in [0, 1], got {value!r}") from None
    if not 0 <= number <= 1:
        raise ValueError(f"{name}: takes a number in [0, 1], got {value!r}")
    return number


def check_schedule(name: str, value: ArrayLike, episodes: int, *, positive: bool) -> Floats:
    """A number, or one for each episode, in (0, 1] if ``positive``, else in [0, 1]."""
    allowed = "(0, 1]" if positive else "[0, 1]"
    numbers = np.asarray(value, dtype=np.float64)
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
    array = np.array(policy, dtype=np.float64, order="C")
    if array.shape != (num_states, num_actions):
        raise ValueError(
            f"{name}: takes shape (states, actions) = ({num_states}, {num_actions}), "
            f"got {array.shape}"
        )
    sums = array.sum(axis=1)
    wrong = (np.abs(sums - 1) > 1e-9) | (array < 0).any(axis=1)
    if not np.all(np.isfinite(array)) or wrong.any():
        row = int(np.flatnonzero(wrong | ~np.isfinite(sums))[0])
        raise ValueError(
            f"{name}: takes rows of probabilities >= 0 that sum to 1, got row {row}: {array[row]} "
            f"(sum {sums[row]:.6g})"
        )
    return array


def check_values(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Finite numbers of the given shape."""
    array = np.array(values, dtype=np.float64, order="C")
    if array.shape != shape:
        raise ValueError(f"{name}: takes shape {shape}, got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name}: takes finite numbers, got NaN or infinity")
    return array


def check_initial(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """A number for all entries, or an array of the given shape; finite. Returns a full array."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        array = np.full(shape, float(array))
    return check_values(name, array, shape)
