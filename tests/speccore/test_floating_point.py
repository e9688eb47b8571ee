"""Formats agree with numpy, torch and ml_dtypes bit by bit, and with exact fractions."""

from bisect import bisect_left
from fractions import Fraction
from functools import cache

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speccore.foundations.floating_point import (
    BF16,
    FORMATS,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    FP64,
    TF32,
    Format,
    add,
    dot,
    multiply,
    sum_in_order,
    sum_kahan,
    sum_pairwise,
)

MILLIONS = 4_000_000
# The other libraries' types: numpy or ml_dtypes, torch.
OTHERS = {
    FP16: (np.float16, torch.float16),
    BF16: (ml_dtypes.bfloat16, torch.bfloat16),
    FP8_E4M3: (ml_dtypes.float8_e4m3fn, torch.float8_e4m3fn),
    FP8_E5M2: (ml_dtypes.float8_e5m2, torch.float8_e5m2),
}
SMALL = [
    Format(2, 1),
    Format(3, 2),
    Format(2, 3),
    Format(4, 3),
    Format(3, 2, "E3M2fn", has_infinity=False),
    Format(4, 3, "E4M3fn", has_infinity=False),
]
named = {"ids": lambda fmt: fmt.name}


def all_patterns(fmt):
    return np.arange(2**fmt.bits, dtype={8: np.uint8, 16: np.uint16}[fmt.bits])


def random_doubles(count, seed=0):
    """Half of them random patterns, half around the ranges of the narrow formats; no NaN."""
    rng = np.random.default_rng(seed)
    wild = rng.integers(0, 2**64, count // 2, dtype=np.uint64).view(np.float64)
    near = np.ldexp(rng.normal(size=count // 2), rng.integers(-170, 140, count // 2))
    values = np.concatenate([wild, near])
    return values[~np.isnan(values)]


def same_numbers(ours, theirs):
    """Equal, NaN where NaN, and zeros of the same sign."""
    theirs = np.asarray(theirs, dtype=np.float64)
    signs = np.isnan(ours) | (np.signbit(ours) == np.signbit(theirs))
    return np.array_equal(ours, theirs, equal_nan=True) and bool(signs.all())


def torch_patterns(values, fmt):
    """Patterns that torch rounds to."""
    kind = torch.uint8 if fmt.bits == 8 else torch.int16
    rounded = torch.from_numpy(values).to(OTHERS[fmt][1]).view(kind).numpy()
    return rounded.view(all_patterns(fmt).dtype)


def numpy_patterns(values, fmt):
    """Patterns that numpy or ml_dtypes rounds to."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(OTHERS[fmt][0]).view(all_patterns(fmt).dtype)


# -- the formats themselves ------------------------------------------------------------------------


def test_numbers_of_the_formats_are_the_published_ones():
    assert [fmt.bits for fmt in FORMATS] == [64, 32, 19, 16, 16, 8, 8]
    assert [fmt.bias for fmt in FORMATS] == [1023, 127, 127, 127, 15, 15, 7]
    assert (FP16.max, FP16.epsilon) == (65504, 0.0009765625)
    assert (FP16.smallest_normal, FP16.smallest_subnormal) == (
        6.103515625e-05,
        5.960464477539063e-08,
    )
    assert (BF16.max, BF16.smallest_normal, BF16.epsilon) == (
        3.3895313892515355e38,
        2**-126,
        2**-7,
    )
    assert (FP8_E4M3.max, FP8_E5M2.max) == (448, 57344)
    assert (FP8_E4M3.smallest_normal, FP8_E4M3.smallest_subnormal) == (2**-6, 2**-9)
    assert (FP8_E5M2.smallest_normal, FP8_E5M2.smallest_subnormal) == (2**-14, 2**-16)
    assert (TF32.epsilon, TF32.max) == (2**-10, (2 - 2**-10) * 2.0**127)


@pytest.mark.parametrize(("fmt", "kind"), [(FP64, np.float64), (FP32, np.float32)])
def test_numbers_of_the_wide_formats_are_numpys(fmt, kind):
    info = np.finfo(kind)
    assert (fmt.max, fmt.epsilon) == (info.max, info.eps)
    assert (fmt.smallest_normal, fmt.smallest_subnormal) == (
        info.smallest_normal,
        info.smallest_subnormal,
    )


@pytest.mark.parametrize("fmt", OTHERS, **named)
def test_numbers_of_the_narrow_formats_are_those_of_torch_and_ml_dtypes(fmt):
    for info in (torch.finfo(OTHERS[fmt][1]), ml_dtypes.finfo(OTHERS[fmt][0])):
        assert (fmt.bits, fmt.max, fmt.epsilon) == (info.bits, float(info.max), float(info.eps))
        assert fmt.smallest_normal == float(info.smallest_normal)


# -- every pattern ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fmt", OTHERS, **named)
def test_every_pattern_of_a_narrow_format_decodes_as_elsewhere(fmt):
    patterns = all_patterns(fmt)
    kind, torch_kind = OTHERS[fmt]
    as_torch = torch.from_numpy(patterns.view(f"i{fmt.bits // 8}")).view(torch_kind).double()
    with np.errstate(invalid="ignore"):  # widening a signalling NaN
        assert same_numbers(fmt.decode(patterns), patterns.view(kind).astype(np.float64))
    assert same_numbers(fmt.decode(patterns), as_torch.numpy())


@pytest.mark.parametrize("fmt", OTHERS, **named)
def test_every_pattern_survives_the_way_there_and_back_nan_included(fmt):
    patterns = all_patterns(fmt)
    encoded = fmt.encode(fmt.decode(patterns))
    assert encoded.dtype == patterns.dtype
    assert np.array_equal(encoded, patterns)


@pytest.mark.parametrize(("fmt", "kind"), [(FP64, np.float64), (FP32, np.float32)])
def test_millions_of_patterns_of_the_wide_formats(fmt, kind):
    unsigned = np.dtype(f"u{fmt.bits // 8}")
    rng = np.random.default_rng(1)
    patterns = rng.integers(0, 2**fmt.bits, MILLIONS, dtype=unsigned)
    # One in eight gets the exponent field 0 or all ones, which chance would hardly choose.
    field = unsigned.type((2**fmt.exponent_bits - 1) << fmt.fraction_bits)
    patterns[::16] &= ~field
    patterns[1::16] |= field
    decoded = fmt.decode(patterns)
    with np.errstate(invalid="ignore"):
        assert same_numbers(decoded, patterns.view(kind).astype(np.float64))
    assert np.array_equal(fmt.encode(decoded), patterns)


def test_every_pattern_of_tf32_is_a_pattern_of_fp32():
    patterns = np.arange(2**TF32.bits, dtype=np.uint32)
    in_fp32 = (patterns << 13).view(np.float32)
    with np.errstate(invalid="ignore"):
        assert same_numbers(TF32.decode(patterns), in_fp32.astype(np.float64))
    assert np.array_equal(TF32.encode(TF32.decode(patterns)), patterns)


@pytest.mark.parametrize("fmt", [*SMALL, TF32, FP16, FP32], **named)
def test_kinds_of_patterns_are_counted_right(fmt):
    patterns = np.arange(2 ** min(fmt.bits, 19), dtype=np.uint32)
    patterns <<= fmt.bits - min(fmt.bits, 19)
    kinds = fmt.classify(patterns)
    values = fmt.decode(patterns)
    size = np.abs(values)
    assert np.array_equal(kinds == "zero", size == 0)
    assert np.array_equal(kinds == "subnormal", (size > 0) & (size < fmt.smallest_normal))
    assert np.array_equal(kinds == "normal", (size >= fmt.smallest_normal) & (size <= fmt.max))
    assert np.array_equal(kinds == "infinity", np.isinf(values))
    assert np.array_equal(kinds == "nan", np.isnan(values))
    assert (kinds == "infinity").sum() == 2 * fmt.has_infinity
    if not fmt.has_infinity:
        assert (kinds == "nan").sum() == 2


def test_fields_and_bits_of_a_pattern():
    assert FP16.bit_string(0xC500) == "1 10001 0100000000"
    assert tuple(int(part) for part in FP16.fields(0xC500)) == (1, 17, 256)
    assert FP16.decode(0xC500) == -(1 + 256 / 1024) * 2 ** (17 - 15)
    assert FP8_E4M3.bit_string(0x7E) == "0 1111 110"


# -- NaN and infinity ------------------------------------------------------------------------------


def test_nan_keeps_its_sign_and_as_much_of_its_payload_as_fits():
    nan = np.array([0x7FF8 << 48, 0xFFFF << 48, 0x7FF4 << 48, 0x7FF0 << 48 | 1], dtype=np.uint64)
    assert [hex(p) for p in FP16.encode(nan.view(np.float64))] == [
        "0x7e00",
        "0xffc0",
        "0x7d00",
        "0x7e00",  # nothing of the payload fits, and it must not become infinity
    ]
    assert [hex(p) for p in FP8_E4M3.encode(nan.view(np.float64))] == [
        "0x7f",
        "0xff",
        "0x7f",
        "0x7f",
    ]
    for fmt, kind in {
        FP16: np.float16,
        BF16: ml_dtypes.bfloat16,
        FP8_E5M2: OTHERS[FP8_E5M2][0],
    }.items():
        assert fmt.encode(np.nan) == np.array(np.nan).astype(kind).view(f"u{fmt.bits // 8}")


def test_e5m2_nan_of_torch_is_another_pattern_but_a_nan():
    ours = int(FP8_E5M2.encode(np.nan))
    theirs = int(torch_patterns(np.array([np.nan], np.float32), FP8_E5M2)[0])
    assert (ours, theirs) == (0x7E, 0x7F)
    assert np.isnan(FP8_E5M2.decode([ours, theirs])).all()


def test_e4m3_has_no_infinity_and_one_nan_of_each_sign():
    values = FP8_E4M3.decode(all_patterns(FP8_E4M3))
    assert not np.isinf(values).any()
    assert np.flatnonzero(np.isnan(values)).tolist() == [0x7F, 0xFF]


def test_overflow_of_e4m3_is_nan_for_us_and_ml_dtypes_and_448_for_torch():
    # 464 lies half-way between 448 and 480, which would be next; 448 is the even one.
    x = np.array([448, 464, np.nextafter(464, 465, dtype=np.float32), 480, 1e6, np.inf], np.float32)
    x = np.concatenate([x, -x])
    ours = FP8_E4M3.encode(x)
    assert np.array_equal(ours & 0x7F, [0x7E, 0x7E, 0x7F, 0x7F, 0x7F, 0x7F] * 2)
    assert np.array_equal(ours, numpy_patterns(x, FP8_E4M3))
    saturated = FP8_E4M3.encode(x, saturate=True)
    assert np.array_equal(np.abs(FP8_E4M3.decode(saturated)), [448.0] * 12)
    assert np.array_equal(saturated, torch_patterns(x, FP8_E4M3))
    assert np.isnan(FP8_E4M3.round(np.nan, saturate=True))


def test_overflow_of_e5m2_is_infinity_for_all_three():
    x = np.array([57344, 61439, 61440, 1e9, np.inf, -61440], np.float32)
    assert FP8_E5M2.round(x).tolist() == [57344, 57344, np.inf, np.inf, np.inf, -np.inf]
    assert np.array_equal(FP8_E5M2.encode(x), numpy_patterns(x, FP8_E5M2))
    assert np.array_equal(FP8_E5M2.encode(x), torch_patterns(x, FP8_E5M2))
    assert np.abs(FP8_E5M2.round(x, saturate=True)).max() == 57344


def test_where_fp16_overflows():
    assert FP16.round([65519.99, 65520, -65520]).tolist() == [65504, np.inf, -np.inf]
    assert FP16.round([1e9, -1e9], saturate=True).tolist() == [65504, -65504]
    assert FP16.round([1e9, -1e9], "toward_zero").tolist() == [65504, -65504]
    assert FP16.round([1e9, -1e9], "up").tolist() == [np.inf, -65504]
    assert FP16.round([1e9, -1e9], "down").tolist() == [65504, -np.inf]
    for direction in ("nearest", "toward_zero", "up", "down"):
        assert FP16.round([np.inf, -np.inf], direction).tolist() == [np.inf, -np.inf]


# -- rounding to nearest, against the other libraries ----------------------------------------------


@pytest.mark.parametrize("fmt", OTHERS, **named)
def test_millions_of_floats_round_to_the_patterns_of_the_others(fmt):
    patterns = np.random.default_rng(2).integers(0, 2**32, MILLIONS // 2, dtype=np.uint32)
    wild = patterns.view(np.float32)
    with np.errstate(over="ignore"):
        near = random_doubles(MILLIONS // 2, seed=3).astype(np.float32)
    x = np.concatenate([wild[~np.isnan(wild)], near])
    assert np.array_equal(fmt.encode(x), numpy_patterns(x, fmt))
    assert np.array_equal(fmt.encode(x, saturate=fmt is FP8_E4M3), torch_patterns(x, fmt))


@pytest.mark.parametrize(("fmt", "kind"), [(FP32, np.float32), (FP16, np.float16)])
def test_millions_of_doubles_round_to_the_patterns_of_numpy(fmt, kind):
    x = random_doubles(MILLIONS, seed=4)
    with np.errstate(over="ignore"):
        assert np.array_equal(fmt.encode(x), x.astype(kind).view(f"u{fmt.bits // 8}"))


@pytest.mark.parametrize("fmt", OTHERS, **named)
def test_every_midpoint_goes_to_the_even_neighbour(fmt):
    values = fmt.decode(np.arange(2 ** (fmt.bits - 1)))  # from 0 upwards
    values = values[np.isfinite(values)]
    middle = (values[:-1] + values[1:]) / 2
    even = np.arange(1, len(values)) // 2 * 2  # of the patterns k − 1 and k, the even one
    assert np.array_equal(fmt.encode(middle), even)
    assert np.array_equal(fmt.encode(np.nextafter(middle, 0)), np.arange(len(middle)))
    assert np.array_equal(fmt.encode(np.nextafter(middle, np.inf)), np.arange(len(middle)) + 1)
    assert np.array_equal(fmt.encode(-middle), even + 2 ** (fmt.bits - 1))


@pytest.mark.parametrize("fmt", [FP16, BF16, FP8_E4M3, FP8_E5M2], **named)
def test_double_rounding_gives_another_number(fmt):
    """A little above the midpoint of 1 and its successor; FP32 forgets the little."""
    x = 1 + fmt.epsilon / 2 + 2**-30
    assert fmt.round(x) == 1 + fmt.epsilon
    assert FP32.round(x) == 1 + fmt.epsilon / 2
    assert fmt.round(FP32.round(x)) == 1


def test_numpy_rounds_once_and_torch_and_ml_dtypes_sometimes_twice():
    x = np.array([1 + 2**-11 + 2**-30])
    assert FP16.round(x) == x.astype(np.float16) == 1 + 2**-10
    assert x.astype(np.float32).astype(np.float16) == 1
    assert torch.from_numpy(x).to(torch.float16).item() == 1  # by way of float32
    x = np.array([1 + 2**-8 + 2**-30])
    assert BF16.round(x) == 1 + 2**-7
    assert x.astype(ml_dtypes.bfloat16) == torch.from_numpy(x).to(torch.bfloat16).item() == 1


def test_double_rounding_hits_subnormals_too():
    x = 1.5 * FP16.smallest_subnormal * (1 - 2**-40)
    assert FP16.round(x) == FP16.smallest_subnormal == float(np.float64(x).astype(np.float16))
    assert FP16.round(FP32.round(x)) == 2 * FP16.smallest_subnormal


# -- all roundings, against exact fractions --------------------------------------------------------


@cache
def all_values(fmt):
    """All finite values >= 0 in order, and the one that would be next: it stands for overflow."""
    values = fmt.decode(np.arange(2 ** (fmt.bits - 1)))
    grid = [Fraction(v) for v in values[np.isfinite(values)]]
    return [*grid, 2 * grid[-1] - grid[-2]]


def rounded_by_search(x, fmt, rounding):
    """The neighbour found in the sorted list of all values, in exact fractions."""
    grid = all_values(fmt)
    size, negative = abs(Fraction(x)), x < 0
    above = min(bisect_left(grid, size), len(grid) - 1)
    below = above if grid[above] == size else max(above - 1, 0)
    if rounding == "nearest":
        low, high = size - grid[below], grid[above] - size
        even = below if below % 2 == 0 else above
        index = below if low < high else above if high < low else even
    else:
        outwards = {"up": not negative, "down": negative, "toward_zero": False}[rounding]
        index = above if outwards else below
        if not outwards:
            index = min(index, len(grid) - 2)
    overflow = np.inf if fmt.has_infinity else np.nan
    result = overflow if index == len(grid) - 1 else float(grid[index])
    return -result if negative else result


@pytest.mark.parametrize("rounding", ["nearest", "toward_zero", "up", "down"])
@pytest.mark.parametrize("fmt", SMALL, **named)
def test_rounding_is_what_a_search_in_all_values_finds(fmt, rounding):
    rng = np.random.default_rng(5)
    values = fmt.decode(np.arange(2**fmt.bits))
    values = values[np.isfinite(values)]
    middles = (values[:-1] + values[1:]) / 2
    x = np.concatenate([values, middles, np.nextafter(middles, 9), rng.normal(size=300) * fmt.max])
    x = np.concatenate([x, 10.0 ** rng.uniform(-9, 3, 200), [1e300, -1e300, 5e-324, -5e-324]])
    expected = [rounded_by_search(each, fmt, rounding) for each in x]
    found = fmt.round(x, rounding)
    assert np.array_equal(found, expected, equal_nan=True)
    assert np.array_equal(np.signbit(found), np.signbit(x))
    assert np.array_equal(fmt.decode(fmt.encode(x, rounding)), found, equal_nan=True)


finite = st.floats(allow_nan=False, allow_infinity=False)
formats = st.sampled_from([*FORMATS, *SMALL])


@settings(max_examples=300)
@given(finite, formats)
def test_directed_roundings_enclose_and_nearest_is_one_of_them(x, fmt):
    down, up = fmt.round(x, "down"), fmt.round(x, "up")
    assert not down > x and not up < x
    assert fmt.round(x) in (down, up) or abs(x) > fmt.max
    if abs(x) <= fmt.max:
        assert fmt.round(x, "toward_zero") == (down if x > 0 else up)
        assert (down == up) == (x == down)
        assert up - down in (0, fmt.spacing(x))
        assert fmt.round(fmt.round(x)) == fmt.round(x)
        assert fmt.round(-x) == -fmt.round(x)


def test_stochastic_rounding_is_right_on_average_and_takes_the_neighbours_only():
    x = np.array([1 + 0.3 * 2**-10, -(2 + 0.9 * 2**-9), 0.25 * 2**-24, 3.0])
    draws = FP16.round(np.tile(x, (100_000, 1)), "stochastic", generator=np.random.default_rng(6))
    for column, value in zip(draws.T, x, strict=True):
        low, high = FP16.round(value, "down"), FP16.round(value, "up")
        assert set(column) == {low, high}
        chance = 0.0 if low == high else (value - low) / (high - low)
        error = np.sqrt(chance * (1 - chance) / len(column)) * (high - low)
        # False-alarm rate 1e-6 for each of three means at 5 standard errors.
        assert abs(column.mean() - value) <= 5 * error
    again = FP16.round(np.tile(x, (100_000, 1)), "stochastic", generator=np.random.default_rng(6))
    assert np.array_equal(draws, again)


# -- spacing, next, previous -----------------------------------------------------------------------


@pytest.mark.parametrize("fmt", [*SMALL, FP8_E4M3, FP8_E5M2, FP16, BF16], **named)
def test_next_previous_and_spacing_walk_through_every_value(fmt):
    values = np.unique(fmt.decode(np.arange(2**fmt.bits)))  # sorted; −0 and +0 are one
    values = values[np.isfinite(values)]
    assert np.array_equal(fmt.next(values[:-1]), values[1:])
    assert np.array_equal(fmt.previous(values[1:]), values[:-1])
    beyond = np.inf if fmt.has_infinity else np.nan
    assert np.array_equal(fmt.next(fmt.max), beyond, equal_nan=True)
    assert np.array_equal(fmt.previous(-fmt.max), -beyond, equal_nan=True)
    between = (values[:-1] + values[1:]) / 2
    assert np.array_equal(fmt.next(between), values[1:])
    assert np.array_equal(fmt.previous(between), values[:-1])
    positive = values[values >= 0]
    assert np.array_equal(fmt.spacing(positive[:-1]), np.diff(positive))
    assert np.array_equal(fmt.spacing(-positive), fmt.spacing(positive))


@pytest.mark.parametrize(
    ("fmt", "kind"), [(FP64, np.float64), (FP32, np.float32), (FP16, np.float16)]
)
def test_next_and_spacing_are_those_of_numpy(fmt, kind):
    rng = np.random.default_rng(7)
    unsigned = np.dtype(f"u{fmt.bits // 8}")
    x = rng.integers(0, 2**fmt.bits, 200_000, dtype=unsigned).view(kind)
    x = np.concatenate([x, np.array([0.0, -0.0, np.inf, -np.inf, fmt.max, -fmt.max], kind)])
    with np.errstate(all="ignore"):
        assert np.array_equal(fmt.next(x), np.nextafter(x, kind(np.inf)), equal_nan=True)
        assert np.array_equal(fmt.previous(x), np.nextafter(x, kind(-np.inf)), equal_nan=True)
        size = np.abs(x[np.abs(x) < fmt.max])
        assert np.array_equal(fmt.spacing(size), np.spacing(size))


def test_spacing_beyond_the_largest_number_is_nan():
    assert np.isnan(FP16.spacing([65505, np.inf, np.nan])).all()
    assert FP16.spacing([2047, 2048, 65504]).tolist() == [1, 2, 32]


# -- arithmetic ------------------------------------------------------------------------------------


def float16_pairs(count=2_000_000):
    rng = np.random.default_rng(8)
    wild = rng.integers(0, 2**16, (2, count // 2), dtype=np.uint16).view(np.float16)
    near = rng.normal(size=(2, count // 2)).astype(np.float16)  # sums that cancel and round
    return np.concatenate([wild, near], axis=1)


@pytest.mark.parametrize(("operation", "ufunc"), [(add, np.add), (multiply, np.multiply)])
def test_arithmetic_of_fp16_is_that_of_numpy(operation, ufunc):
    """numpy rounds the float32 result, and 24 bits >= 2·11 + 2 make that right (Figueroa 1995)."""
    a, b = float16_pairs()
    with np.errstate(all="ignore"):
        assert same_numbers(operation(a, b, FP16), ufunc(a, b))


@pytest.mark.parametrize(("operation", "ufunc"), [(add, np.add), (multiply, np.multiply)])
@pytest.mark.parametrize(("fmt", "kind"), [(FP32, np.float32), (FP64, np.float64)])
def test_arithmetic_of_wide_formats_is_that_of_the_machine(operation, ufunc, fmt, kind):
    rng = np.random.default_rng(9)
    wild = rng.integers(0, 2**fmt.bits, (2, 500_000), dtype=f"u{fmt.bits // 8}").view(kind)
    near = rng.normal(size=(2, 500_000)).astype(kind) * kind(2) ** rng.integers(-30, 30, 500_000)
    a, b = np.concatenate([wild, near.astype(kind)], axis=1)
    with np.errstate(all="ignore"):
        assert same_numbers(operation(a, b, fmt), ufunc(a, b))


@pytest.mark.parametrize("operation", [add, multiply])
def test_arithmetic_of_bf16_is_that_of_torch(operation):
    a, b = float16_pairs(500_000).astype(np.float32)
    a, b = torch.from_numpy(a).bfloat16(), torch.from_numpy(b).bfloat16()
    theirs = a + b if operation is add else a * b
    ours = operation(a.double().numpy(), b.double().numpy(), BF16)
    assert np.array_equal(ours, theirs.double().numpy(), equal_nan=True)


@pytest.mark.parametrize("rounding", ["nearest", "toward_zero", "up", "down"])
def test_sums_are_rounded_once_in_every_direction(rounding):
    """All pairs of an 8-bit format, and pairs of FP32 too far apart for float64, in fractions."""
    fmt = Format(4, 3)
    values = fmt.decode(np.arange(2**fmt.bits))
    values = values[np.isfinite(values)][::3]
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    assert np.array_equal(
        add(a, b, fmt, rounding),
        [rounded_by_search(x + y, fmt, rounding) for x, y in zip(a, b, strict=True)],
    )
    assert np.array_equal(
        multiply(a, b, fmt, rounding),
        [rounded_by_search(x * y, fmt, rounding) for x, y in zip(a, b, strict=True)],
    )
    up, down = 1 + 2**-23, 1 - 2**-24
    tiny = 2.0**-100
    expected = {"up": [up, 1.0], "down": [1.0, down], "toward_zero": [1.0, down]}
    assert add(1.0, [tiny, -tiny], FP32, rounding).tolist() == expected.get(rounding, [1.0, 1.0])


@settings(max_examples=300)
@given(
    st.floats(-(2.0**126), 2.0**126, width=32),
    st.floats(-(2.0**126), 2.0**126, width=32),
    st.sampled_from(["up", "down"]),
)
def test_directed_sums_of_fp32_are_the_tightest_bounds_of_the_exact_sum(a, b, rounding):
    exact = Fraction(a) + Fraction(b)
    bound = add(a, b, FP32, rounding)
    if rounding == "up":
        assert Fraction(bound) >= exact > Fraction(float(np.nextafter(np.float32(bound), -np.inf)))
    else:
        assert Fraction(bound) <= exact < Fraction(float(np.nextafter(np.float32(bound), np.inf)))


def test_swamping():
    assert add(2048, 1, FP16) == 2048
    assert add(2048, 2, FP16) == 2050
    assert add(256, 1, BF16) == 256
    assert add(2.0**24, 1, FP32) == 2.0**24
    generator = np.random.default_rng(10)
    draws = add(np.full(10_000, 2048.0), 1, FP16, "stochastic", generator=generator)
    assert set(draws) == {2048, 2050} and abs(draws.mean() - 2049) < 0.05  # 5 standard errors


def test_operands_and_terms_are_rounded_to_the_format_first():
    assert add(2049, 1, FP16) == 2048  # 2049 is 2048 in FP16
    assert add(1, 2049, FP16) == 2048
    assert multiply(2049, 3, FP16) == multiply(3, 2049, FP16) == 6144
    for total in (sum_in_order, sum_pairwise, sum_kahan):
        assert total([2049], FP16) == 2048
        assert total([1, 2049.5], FP16) == add(1, 2050, FP16)


# -- sums and dot products -------------------------------------------------------------------------


def loop_of_numpy(a, b, kind):
    total = kind(0)
    for x, y in zip(a, b, strict=True):
        total = kind(total + kind(x) * kind(y))
    return float(total)


def test_dot_products_are_the_loops_of_numpy():
    rng = np.random.default_rng(11)
    for scale in (1.0, 300.0):  # the second one overflows in FP16
        a = (rng.normal(size=(20, 500)) * scale).astype(np.float16)
        b = (rng.normal(size=(20, 500)) * scale).astype(np.float16)
        for accumulator, kind in ((FP16, np.float16), (FP32, np.float32), (FP64, np.float64)):
            found = dot(a, b, inputs=FP16, accumulator=accumulator)
            with np.errstate(over="ignore", invalid="ignore"):
                expected = [loop_of_numpy(x, y, kind) for x, y in zip(a, b, strict=True)]
            assert np.array_equal(found, expected, equal_nan=True)


def test_dot_rounds_its_inputs_and_broadcasts():
    third = FP8_E4M3.round(1 / 3)
    found = dot(np.full((2, 4), 1 / 3), np.ones(4), inputs=FP8_E4M3, accumulator=FP32)
    assert found.tolist() == [4 * third, 4 * third] != [4 / 3, 4 / 3]


def test_ones_add_up_to_2048_in_fp16_whatever_their_number():
    ones = np.ones(3000)
    assert dot(ones, ones, inputs=FP16, accumulator=FP16) == 2048
    assert dot(ones, ones, inputs=FP16, accumulator=FP32) == 3000
    assert sum_in_order(ones, FP16) == 2048
    assert sum_pairwise(ones, FP16) == sum_kahan(ones, FP16) == 3000
    assert sum_in_order(np.ones(400), BF16) == 256


def test_kahans_sum_is_that_of_numpys_float16():
    x = np.random.default_rng(12).random(700).astype(np.float16)
    total = lost = np.float16(0)
    for term in x:
        corrected = term + lost
        new = total + corrected
        lost, total = corrected - (new - total), new
    assert sum_kahan(x, FP16) == total


@settings(max_examples=50)
@given(
    st.lists(st.floats(-100, 100, width=16), min_size=1, max_size=200),
    st.sampled_from([FP16, BF16]),
)
def test_errors_of_the_sums_stay_within_their_bounds(terms, fmt):
    x = fmt.round(terms)
    exact, size, n = x.sum(), np.abs(x).sum(), len(x)  # float64 loses nothing here
    if size > fmt.max / 2:
        return
    unit = fmt.epsilon / 2
    # Higham (2002), section 4.2; (1 + u)^k - 1 without the first-order approximation.
    assert abs(sum_in_order(x, fmt) - exact) <= ((1 + unit) ** (n - 1) - 1) * size
    depth = int(np.ceil(np.log2(n)))
    assert abs(sum_pairwise(x, fmt) - exact) <= ((1 + unit) ** depth - 1) * size
    # Algorithm 4.2: 2u + O(n u²); subnormal results are exact.
    assert abs(sum_kahan(x, fmt) - exact) <= (2 * unit + 8 * n * unit**2) * size


def test_sums_of_nothing_and_of_rows():
    for total in (sum_in_order, sum_pairwise, sum_kahan):
        assert total([], FP16) == 0
        assert total(np.zeros((3, 0)), FP16).tolist() == [0, 0, 0]
        assert total([[1, 2, 3], [4, 5, 6]], FP16).tolist() == [6, 15]


# -- arguments -------------------------------------------------------------------------------------


def test_scalars_and_shapes():
    assert np.ndim(FP16.round(0.1)) == np.ndim(FP16.encode(1)) == np.ndim(FP16.decode(0)) == 0
    assert FP16.round(np.zeros((2, 3))).shape == FP16.encode(np.zeros((2, 3))).shape == (2, 3)
    assert FP16.round(np.zeros((0, 3))).shape == (0, 3)
    assert FP16.round(torch.tensor([0.1])).tolist() == [0.0999755859375]
    assert [fmt.encode(1.0).dtype.itemsize for fmt in FORMATS] == [8, 4, 4, 2, 2, 1, 1]


def test_formats_are_their_numbers_not_their_names():
    assert Format(5, 10) == FP16 and Format(5, 10).name == "E5M10"
    assert Format(4, 3) != FP8_E4M3
    assert len({*FORMATS, Format(8, 7)}) == len(FORMATS)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Format(1, 3), ValueError, "exponent_bits: takes a whole number >= 2, got 1"),
        (lambda: Format(4.0, 3), TypeError, "exponent_bits: .* got 4.0"),
        (lambda: Format(12, 3), ValueError, "Format: takes at most 11 exponent bits .* 12 and 3"),
        (lambda: Format(5, 53), ValueError, "Format: .* 52 fraction bits, got 5 and 53"),
        (lambda: Format(11, 3, has_infinity=False), ValueError, "at most 10 exponent bits"),
        (lambda: FP16.decode(0.5), TypeError, "patterns: takes whole numbers, got 0.5"),
        (lambda: FP16.decode([0, 65536]), ValueError, r"patterns: .* \[0, 2\^16\) .* got 65536"),
        (lambda: FP16.decode(-1), ValueError, "patterns: .* got -1"),
        (lambda: FP16.round("1"), TypeError, "x: takes a number or an array of numbers, got '1'"),
        (lambda: FP16.round(1j), TypeError, "x: takes"),
        (lambda: FP16.round(2**53 + 1), ValueError, r"x: takes whole numbers up to 2\^53"),
        (lambda: FP16.round(1.0, "even"), ValueError, "rounding: takes 'nearest', .* got 'even'"),
        (lambda: FP16.round(1.0, "stochastic"), ValueError, "generator: takes .* got None"),
        (
            lambda: FP16.round(1.0, generator=np.random.default_rng(0)),
            ValueError,
            "generator: .* rounding='nearest'",
        ),
        (lambda: add(1, 1, Format(11, 30)), ValueError, "fmt: takes FP64 .* got E11M30"),
        (lambda: multiply(1, 1, FP64, "up"), ValueError, "fmt: .* got FP64 with rounding='up'"),
        (
            lambda: dot([1], [1], inputs=Format(8, 26), accumulator=FP32),
            ValueError,
            "inputs: .* E8M26",
        ),
        (
            lambda: dot([1], [1], inputs=FP16, accumulator=Format(8, 26)),
            ValueError,
            "accumulator: .* E8M26",
        ),
        (lambda: sum_in_order(1.0, FP16), ValueError, "x: takes an array of at least one dim"),
        (lambda: sum_in_order([1.0], Format(8, 26)), ValueError, "fmt: .* E8M26"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
