"""Exercises of chapter 11: floating point."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise, with_fixed
from speccore.foundations.floating_point import FP16, Format, sum_in_order, sum_kahan


def _decode(pattern: int, exponent_bits: int, fraction_bits: int) -> Any:
    return Format(exponent_bits, fraction_bits).decode(pattern)


def _decode_by(
    pattern: int,
    exponent_bits: int,
    fraction_bits: int,
    *,
    sign: bool = True,
    hidden_bit: bool = True,
    bias_too_large: int = 0,
    subnormals: bool = True,
    lowest_field: int = 1,
    infinity: bool = True,
) -> float:
    """(−1)ˢ · 1.F · 2^(E − bias), with its parts to be left out."""
    fraction = pattern % 2**fraction_bits
    field = (pattern >> fraction_bits) % 2**exponent_bits
    bias = 2 ** (exponent_bits - 1) - 1 + bias_too_large
    is_normal = field > 0 or not subnormals
    significand = (is_normal and hidden_bit) + fraction / 2**fraction_bits
    value = significand * 2.0 ** ((field if is_normal else lowest_field) - bias)
    if infinity and field == 2**exponent_bits - 1:
        value = math.inf
    negative = sign and pattern >> (exponent_bits + fraction_bits)
    return -value if negative else value


def _decode_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    shapes = {"exponent_bits": 3, "fraction_bits": 2}
    for pattern in (0b0_011_10, 0b1_100_01, 0b0_000_11, 0b1_111_00):
        yield {"pattern": pattern, **shapes}
    for pattern in (0x3C00, 0xC500, 0x7BFF, 0x0000):
        yield {"pattern": pattern, "exponent_bits": 5, "fraction_bits": 10}
    for pattern in (0x4049, 0xFF80):
        yield {"pattern": pattern, "exponent_bits": 8, "fraction_bits": 7}
    for pattern in rng.integers(0, 2**6, 30).tolist():
        if not np.isnan(_decode(pattern, **shapes)):
            yield {"pattern": pattern, **shapes}


def _round(x: float, fraction_bits: int) -> Any:
    return Format(11, fraction_bits).round(x)


def _round_by(
    whole: Callable[[float], float], *, lost_bits: int = 0, grid: bool = False
) -> Callable[..., Any]:
    """spacing · [x / spacing] with another [·], or another spacing."""

    def wrong(x: float, fraction_bits: int) -> float:
        exponent = 0 if grid else math.frexp(x)[1] - 1
        spacing = 2.0 ** (exponent - fraction_bits + lost_bits)
        return math.copysign(whole(abs(x) / spacing) * spacing, x)

    return wrong


def _half_away(x: float) -> float:
    return math.floor(x + 0.5)


def _half_down(x: float) -> float:
    return math.ceil(x - 0.5)


def _round_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for x in (1.3, 1.25, 1.75, -1.25, 6.0, 2.5, 1.5):
        yield {"x": x, "fraction_bits": 1}
    for x in (1 + 2**-11, 2049.0, 2051.0, -0.1):
        yield {"x": x, "fraction_bits": 10}
    for x in (rng.normal(size=8) * 10.0 ** rng.integers(-1, 4, 8)).tolist():
        yield {"x": x, "fraction_bits": int(rng.integers(2, 8))}


def _kahan(x: Any) -> Any:
    return sum_kahan(x, FP16)


def _kahan_with_wrong_sign(x: Any) -> float:
    total = lost = np.float16(0)
    for term in x:
        corrected = term + lost
        new = total + corrected
        lost, total = (new - total) - corrected, new
    return float(total)


def _kahan_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"x": np.array([2048, 1, 1, 1, 1], dtype=np.float16)}
    yield {"x": np.full(600, 0.1, dtype=np.float16)}
    for count in (300, 1000):
        yield {"x": rng.random(count).astype(np.float16)}
    yield {"x": rng.normal(size=500).astype(np.float16)}


EXERCISES = (
    Exercise(
        11,
        1,
        "decode_pattern",
        "From bits to the number",
        "easy",
        10,
        _decode,
        _decode_cases,
        {
            "the 1 before the fraction of a normal number seems to be missing": with_fixed(
                _decode_by, hidden_bit=False
            ),
            "the bias seems too large: it is 2^(exponent_bits − 1) − 1": with_fixed(
                _decode_by, bias_too_large=1
            ),
            "an exponent field of 0 means subnormal: no 1 before the fraction": with_fixed(
                _decode_by, subnormals=False
            ),
            "subnormal numbers have the exponent 1 − bias, as the smallest normal ones": with_fixed(
                _decode_by, lowest_field=0
            ),
            "an exponent field of all ones is infinity, not one more binade": with_fixed(
                _decode_by, infinity=False
            ),
            "the sign bit seems to be missing": with_fixed(_decode_by, sign=False),
        },
    ),
    Exercise(
        11,
        2,
        "round_to_nearest_even",
        "Round to nearest, ties to even",
        "medium",
        15,
        _round,
        _round_cases,
        {
            "this cuts off, it does not round": _round_by(math.floor),
            "a tie goes to the even neighbour, not away from zero": _round_by(_half_away),
            "a tie goes to the even neighbour, not towards zero": _round_by(_half_down),
            "the grid has to grow with the number: spacing 2^(e − fraction_bits)": _round_by(
                round, grid=True
            ),
            "one fraction bit too few: frexp's significand is in [0.5, 1)": _round_by(
                round, lost_bits=1
            ),
        },
    ),
    Exercise(
        11,
        3,
        "kahan_sum",
        "The sum that forgets nothing",
        "hard",
        20,
        _kahan,
        _kahan_cases,
        {
            "this is the plain sum in FP16: nothing is carried along": lambda x: sum_in_order(
                x, FP16
            ),
            "the lost part has the wrong sign: it doubles the error": _kahan_with_wrong_sign,
            "this was summed in a wider format: stay in FP16": lambda x: np.sum(
                x, dtype=np.float64
            ),
        },
    ),
)
