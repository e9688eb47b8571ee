"""Binary floating-point formats, bit by bit: encode, decode, round, and arithmetic made of them.

A pattern of bits is sign s, exponent field E and fraction field F; its value (IEEE 754-2019,
section 3.4) is

    (−1)ˢ · 1.F · 2^(E − bias)     if E > 0: a normal number,
    (−1)ˢ · 0.F · 2^(1 − bias)     if E = 0: a subnormal number, or zero.

Every format here has at most the 64 bits of FP64, so that FP64 numbers hold its values exactly, and
scaling by a power of two loses nothing. All roundings are therefore exact: one, never two in a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.validation import check_count

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Rounding = Literal["nearest", "toward_zero", "up", "down", "stochastic"]


@dataclass(frozen=True)
class Format:
    """A binary format: 1 sign bit, ``exponent_bits`` and ``fraction_bits``.

    Values are float64 arrays or numbers, patterns are unsigned integers. Everything works element
    by element.

    Raises:
        ValueError: fewer than 2 or more than 11 exponent bits (10 without infinity), fewer than 1
            or more than 52 fraction bits: float64 could not hold the values.
    """

    exponent_bits: int
    fraction_bits: int
    name: str = field(default="", compare=False)
    has_infinity: bool = True
    """Is the exponent field of all ones kept for infinity and NaN (IEEE 754)? If not, it holds
    numbers like any other, and all ones in exponent and fraction is the one NaN of each sign: the
    "fn" formats, E4M3 for example (Micikevicius et al. 2022, section 3)."""

    def __post_init__(self) -> None:
        check_count("exponent_bits", self.exponent_bits, 2)
        check_count("fraction_bits", self.fraction_bits)
        widest = 11 if self.has_infinity else 10
        if self.exponent_bits > widest or self.fraction_bits > 52:
            raise ValueError(
                f"Format: takes at most {widest} exponent bits and 52 fraction bits, got "
                f"{self.exponent_bits} and {self.fraction_bits}"
            )
        if not self.name:
            object.__setattr__(self, "name", f"E{self.exponent_bits}M{self.fraction_bits}")

    # -- what follows from the two numbers ----------------------------------------------------

    @property
    def bits(self) -> int:
        """Width of a pattern."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self) -> int:
        """What is subtracted from the exponent field: 2^(exponent_bits − 1) − 1."""
        return 2 ** (self.exponent_bits - 1) - 1

    @property
    def min_exponent(self) -> int:
        """Exponent of the smallest normal number, and of all subnormal ones: 1 − bias."""
        return 1 - self.bias

    @property
    def max(self) -> float:
        """The largest finite number."""
        if self.has_infinity:
            return float(np.ldexp(2 - self.epsilon, self.bias))
        return float(np.ldexp(2 - 2 * self.epsilon, self.bias + 1))  # all ones is NaN

    @property
    def smallest_normal(self) -> float:
        """2^(1 − bias); numbers below have fewer significant bits."""
        return float(np.ldexp(1.0, self.min_exponent))

    @property
    def smallest_subnormal(self) -> float:
        """The smallest number above 0: 2^(1 − bias − fraction_bits)."""
        return float(np.ldexp(1.0, self.min_exponent - self.fraction_bits))

    @property
    def epsilon(self) -> float:
        """Machine epsilon, the distance from 1 to the next number: 2^(−fraction_bits).

        Rounding a normal number to nearest changes it by a factor within 1 ± epsilon/2.
        """
        return float(np.ldexp(1.0, -self.fraction_bits))

    # -- patterns → values --------------------------------------------------------------------

    def fields(self, patterns: ArrayLike) -> tuple[Integers, Integers, Integers]:
        """Sign, exponent field and fraction field of patterns."""
        p = self._patterns(patterns)
        sign = p >> (self.bits - 1)
        exponent = (p >> self.fraction_bits) & self._exponent_mask
        fraction = p & self._fraction_mask
        return sign.astype(np.int64), exponent.astype(np.int64), fraction.astype(np.int64)

    def decode(self, patterns: ArrayLike) -> Any:
        """The values of patterns, as float64; a NaN keeps its sign and the bits of its fraction.

        Raises:
            TypeError, ValueError: patterns that are no whole numbers in [0, 2^bits).
        """
        sign, exponent, fraction = self.fields(patterns)
        hidden_bit = np.where(exponent > 0, 2**self.fraction_bits, 0)
        scale = np.maximum(exponent, 1) - self.bias - self.fraction_bits
        with np.errstate(over="ignore"):  # the exponent field of infinity in FP64
            magnitude = np.ldexp(np.float64(hidden_bit + fraction), scale.astype(np.int32))
        if self.has_infinity:
            magnitude = np.where(exponent == self._exponent_mask, np.inf, magnitude)
        nan = (sign << 63) | (0x7FF << 52) | (fraction << (52 - self.fraction_bits))
        values = np.where(sign == 1, -magnitude, magnitude)
        return np.where(self._is_nan(exponent, fraction), nan.view(np.float64), values)[()]

    def classify(self, patterns: ArrayLike) -> Any:
        """The kind of each pattern: "zero", "subnormal", "normal", "infinity" or "nan"."""
        _, exponent, fraction = self.fields(patterns)
        special = (exponent == self._exponent_mask) & self.has_infinity
        kinds = np.where(exponent > 0, "normal", np.where(fraction > 0, "subnormal", "zero"))
        kinds = np.where(special, "infinity", kinds)
        return np.where(self._is_nan(exponent, fraction), "nan", kinds)[()]

    def bit_string(self, pattern: int) -> str:
        """One pattern in binary: sign, exponent and fraction, with spaces between."""
        text = f"{int(self._patterns(pattern)):0{self.bits}b}"
        return f"{text[0]} {text[1 : 1 + self.exponent_bits]} {text[1 + self.exponent_bits :]}"

    # -- values → values of the format, and → patterns ----------------------------------------

    def round(
        self,
        x: ArrayLike,
        rounding: Rounding = "nearest",
        *,
        generator: np.random.Generator | None = None,
        saturate: bool = False,
    ) -> Any:
        """The neighbour of x in the format: spacing · [x / spacing], with [·] as asked for.

        Overflow (IEEE 754-2019, section 7.4): what rounds to a number beyond ``max`` becomes
        infinity, or NaN in a format without infinity; a direction that leads back towards zero
        stops at ``max`` instead.

        Args:
            x: numbers.
            rounding: "nearest", ties to the even fraction; "toward_zero"; "up"; "down";
                "stochastic", to one of the two neighbours with the probability that makes the
                mean x.
            generator: for "stochastic", and only for it.
            saturate: what overflows, infinity included, becomes ±``max``; NaN stays NaN.

        Returns:
            float64 values of the format, in the shape of x; the sign of a zero is that of x.
        """
        values = _numbers("x", x)
        _check_rounding(rounding, generator)
        with np.errstate(over="ignore", invalid="ignore"):
            exponent = self._exponent(values) - self.fraction_bits
            scaled = np.ldexp(values, -exponent)  # one unit is one spacing
            rounded = np.ldexp(_to_whole(scaled, rounding, generator), exponent)
            beyond = np.abs(rounded) > self.max
        stops = {"toward_zero": beyond, "up": values < 0, "down": values > 0}.get(rounding, False)
        stops = saturate | (stops & np.isfinite(values))
        infinity = np.inf if self.has_infinity else np.nan
        rounded = np.where(beyond, np.where(stops, self.max, infinity), rounded)
        return np.where(np.isnan(values), values, np.copysign(rounded, values))[()]

    def encode(
        self,
        x: ArrayLike,
        rounding: Rounding = "nearest",
        *,
        generator: np.random.Generator | None = None,
        saturate: bool = False,
    ) -> Any:
        """The patterns of the rounded x, see ``round``, in the smallest unsigned type they fit.

        A NaN keeps its sign and the first bits of its fraction; if those are all zeros, the first
        becomes one, since otherwise the pattern would be that of infinity.
        """
        values = np.asarray(self.round(x, rounding, generator=generator, saturate=saturate))
        finite = np.where(np.isfinite(values), np.abs(values), 0.0)
        exponent = self._exponent(finite)
        significand = np.ldexp(finite, self.fraction_bits - exponent).astype(np.uint64)
        # The hidden bit of the significand is what turns field 0 (subnormal) into field 1.
        field = (exponent - self.min_exponent).astype(np.uint64)
        magnitude = (field << self.fraction_bits) + significand
        all_ones = self._exponent_mask << self.fraction_bits
        magnitude = np.where(np.isinf(values), all_ones, magnitude)
        magnitude = np.where(np.isnan(values), all_ones | self._nan_fraction(values), magnitude)
        sign = np.signbit(values).astype(np.uint64)
        return ((sign << (self.bits - 1)) | magnitude).astype(self._pattern_type)[()]

    def spacing(self, x: ArrayLike) -> Any:
        """The unit in the last place (ulp): 2^(e − fraction_bits), where |x| is in [2ᵉ, 2ᵉ⁺¹).

        Constant below ``smallest_normal``: there it is ``smallest_subnormal``. NaN beyond ``max``.
        """
        values = _numbers("x", x)
        unit = np.ldexp(1.0, self._exponent(values) - self.fraction_bits)
        return np.where(np.abs(values) <= self.max, unit, np.nan)[()]

    def next(self, x: ArrayLike) -> Any:
        """The smallest value of the format above x; above ``max`` infinity, or NaN without it."""
        values = _numbers("x", x)
        below = np.asarray(self.round(values, "down"))
        finite = np.where(np.isfinite(below), below, 0.0)
        magnitude = self.encode(np.abs(finite)).astype(np.int64)
        # Counted from zero in both directions, patterns are in the order of their values.
        above = np.asarray(self.decode(np.where(finite < 0, magnitude - 1, magnitude + 1)))
        above = np.where(finite < 0, -above, above)
        above = np.where(values < -self.max, -self.max, above)
        return np.where(np.isnan(values) | (values == np.inf), values, above)[()]

    def previous(self, x: ArrayLike) -> Any:
        """The largest value of the format below x; below −``max`` −infinity, or NaN without it."""
        return -self.next(-_numbers("x", x))

    # -- what they share ----------------------------------------------------------------------

    @property
    def _exponent_mask(self) -> np.uint64:
        return np.uint64(2**self.exponent_bits - 1)

    @property
    def _fraction_mask(self) -> np.uint64:
        return np.uint64(2**self.fraction_bits - 1)

    @property
    def _pattern_type(self) -> np.dtype[Any]:
        size = next(size for size in (1, 2, 4, 8) if 8 * size >= self.bits)
        return np.dtype(f"u{size}")

    def _exponent(self, values: Floats) -> NDArray[np.int32]:
        """e of |x| in [2ᵉ, 2ᵉ⁺¹), but not below that of the smallest normal number."""
        exponent = np.frexp(values)[1] - 1
        return np.where(values == 0, self.min_exponent, np.maximum(exponent, self.min_exponent))

    def _is_nan(self, exponent: Integers, fraction: Integers) -> NDArray[np.bool_]:
        nan = fraction > 0 if self.has_infinity else fraction == self._fraction_mask
        return (exponent == self._exponent_mask) & nan

    def _nan_fraction(self, values: Floats) -> NDArray[np.uint64]:
        if not self.has_infinity:
            return np.full(values.shape, self._fraction_mask)
        kept = (values.view(np.uint64) >> (52 - self.fraction_bits)) & self._fraction_mask
        return np.where(kept > 0, kept, np.uint64(2 ** (self.fraction_bits - 1)))

    def _patterns(self, patterns: ArrayLike) -> NDArray[np.uint64]:
        given = np.asarray(patterns)
        if given.dtype.kind not in "iu":
            raise TypeError(f"patterns: takes whole numbers, got {patterns!r}")
        outside = (given < 0) | (given > 2**self.bits - 1)
        if np.any(outside):
            raise ValueError(
                f"patterns: takes whole numbers in [0, 2^{self.bits}) for {self.name}, "
                f"got {given[outside].flat[0]}"
            )
        return given.astype(np.uint64)


FP64 = Format(11, 52, "FP64")
FP32 = Format(8, 23, "FP32")
TF32 = Format(8, 10, "TF32")
FP16 = Format(5, 10, "FP16")
BF16 = Format(8, 7, "BF16")
FP8_E5M2 = Format(5, 2, "FP8 E5M2")
FP8_E4M3 = Format(4, 3, "FP8 E4M3", has_infinity=False)
FORMATS = (FP64, FP32, TF32, BF16, FP16, FP8_E5M2, FP8_E4M3)


# -- arithmetic ------------------------------------------------------------------------------------


def add(
    a: ArrayLike,
    b: ArrayLike,
    fmt: Format,
    rounding: Rounding = "nearest",
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """a + b as a machine computes it in a format: the exact sum, rounded once.

    Where float64 cannot hold the sum it is rounded to odd, not to nearest: then the rounding to the
    format gives what it would give for the exact sum (Boldo & Melquiond 2008, theorem 1).

    Args:
        a, b: numbers; they are rounded to the format first, to nearest.
        fmt: at most 10 exponent bits and 25 fraction bits; or FP64, to nearest.
        rounding, generator: see ``Format.round``.
    """
    _check_arithmetic("fmt", fmt, rounding)
    return _add(fmt.round(a), fmt.round(b), fmt, rounding, generator)


def multiply(
    a: ArrayLike,
    b: ArrayLike,
    fmt: Format,
    rounding: Rounding = "nearest",
    *,
    generator: np.random.Generator | None = None,
) -> Any:
    """a · b as a machine computes it in a format: the exact product, rounded once.

    Two significands of at most 26 bits have a product of at most 52: float64 holds it.

    Args:
        a, b, fmt, rounding, generator: see ``add``.
    """
    _check_arithmetic("fmt", fmt, rounding)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        product = fmt.round(a) * fmt.round(b)
    return fmt.round(product, rounding, generator=generator)


def dot(a: ArrayLike, b: ArrayLike, *, inputs: Format, accumulator: Format) -> Any:
    """Σᵢ aᵢ bᵢ along the last axis, from the first to the last, accumulated in a format.

    The inputs are rounded to ``inputs``; each product and each partial sum to ``accumulator``. A
    product of two FP16 or BF16 numbers is exact in FP32: with ``accumulator=FP32`` only the sums
    round, as in the matrix units of GPUs (Micikevicius et al. 2018, section 3.3).

    Args:
        a, b: (..., n) numbers; their shapes are broadcast.
        inputs, accumulator: see ``fmt`` of ``add``.

    Returns:
        (...,) values of ``accumulator``.
    """
    _check_arithmetic("inputs", inputs, "nearest")
    _check_arithmetic("accumulator", accumulator, "nearest")
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        products = inputs.round(a) * inputs.round(b)
    return sum_in_order(products, accumulator)


def sum_in_order(x: ArrayLike, fmt: Format) -> Any:
    """((x₁ + x₂) + x₃) + … along the last axis, each sum rounded to the format.

    Its error is at most about n · epsilon/2 · Σ|xᵢ| (Higham 2002, section 4.2).
    """
    terms = _terms(x, fmt)
    total = np.zeros(terms.shape[:-1])
    for i in range(terms.shape[-1]):
        total = _add(total, terms[..., i], fmt)
    return total


def sum_pairwise(x: ArrayLike, fmt: Format) -> Any:
    """Sums of neighbours, then sums of those, until one is left; each rounded to the format.

    Its error is at most about log₂ n · epsilon/2 · Σ|xᵢ| (Higham 2002, section 4.2).
    """
    terms = _terms(x, fmt)
    if terms.shape[-1] == 0:
        return np.zeros(terms.shape[:-1])[()]
    while terms.shape[-1] > 1:
        odd_one = terms[..., 2 * (terms.shape[-1] // 2) :]
        pairs = _add(terms[..., 0:-1:2], terms[..., 1::2], fmt)
        terms = np.concatenate([pairs, odd_one], axis=-1)
    return terms[..., 0]


def sum_kahan(x: ArrayLike, fmt: Format) -> Any:
    """Sum in order that carries along what each rounding lost (Kahan 1965; Higham 2002, alg. 4.2).

    Its error is at most about epsilon · Σ|xᵢ|, however many terms there are.
    """
    terms = _terms(x, fmt)
    total = np.zeros(terms.shape[:-1])
    lost = np.zeros(terms.shape[:-1])
    for i in range(terms.shape[-1]):
        term = _add(terms[..., i], lost, fmt)
        new = _add(total, term, fmt)
        lost = _add(term, -_add(new, -total, fmt), fmt)  # what came in, minus what arrived
        total = new
    return total


_MOST_FRACTION_BITS = 25
_MOST_EXPONENT_BITS = 10


def _numbers(name: str, x: ArrayLike) -> Floats:
    """Numbers as float64, none of them changed by it."""
    try:
        given = np.asarray(x)
        if given.dtype.kind not in "iuf" or given.dtype.itemsize > 8:
            raise TypeError
    except (TypeError, ValueError):
        raise TypeError(f"{name}: takes a number or an array of numbers, got {x!r}") from None
    if given.dtype.kind in "iu" and given.size and max(given.max(), -int(given.min())) > 2**53:
        raise ValueError(f"{name}: takes whole numbers up to 2^53, which float64 holds, got {x!r}")
    return given.astype(np.float64)


def _check_rounding(rounding: str, generator: np.random.Generator | None) -> None:
    if rounding not in get_args(Rounding):
        raise ValueError(
            f"rounding: takes {', '.join(map(repr, get_args(Rounding)))}, got {rounding!r}"
        )
    if (generator is not None) != (rounding == "stochastic"):
        raise ValueError(
            f"generator: takes a numpy Generator with rounding='stochastic' and None otherwise, "
            f"got {generator!r} with rounding={rounding!r}"
        )


def _check_arithmetic(name: str, fmt: Format, rounding: str) -> None:
    narrow = fmt.fraction_bits <= _MOST_FRACTION_BITS and fmt.exponent_bits <= _MOST_EXPONENT_BITS
    if not narrow and (fmt != FP64 or rounding != "nearest"):
        raise ValueError(
            f"{name}: takes FP64 with rounding='nearest', or a format with at most "
            f"{_MOST_EXPONENT_BITS} exponent bits and {_MOST_FRACTION_BITS} fraction bits, "
            f"got {fmt.name} with rounding={rounding!r}"
        )


def _to_whole(scaled: Floats, rounding: Rounding, generator: np.random.Generator | None) -> Floats:
    if generator is not None:
        below = np.floor(scaled)
        return below + (generator.random(scaled.shape) < scaled - below)
    whole = {"nearest": np.rint, "toward_zero": np.trunc, "up": np.ceil, "down": np.floor}
    return whole[rounding](scaled)


def _add(
    x: Floats,
    y: Floats,
    fmt: Format,
    rounding: Rounding = "nearest",
    generator: np.random.Generator | None = None,
) -> Any:
    """``add`` for two numbers that are in the format already."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = x + y if fmt == FP64 else _sum_to_odd(np.asarray(x), np.asarray(y))
    return fmt.round(total, rounding, generator=generator)


def _sum_to_odd(a: Floats, b: Floats) -> Floats:
    """a + b in float64; if inexact, the neighbour whose last bit is 1, on either side of it."""
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)  # exact: TwoSum (Knuth 1997, section 4.2.2)
    inexact = np.isfinite(total) & (error != 0)
    is_even = (total.view(np.uint64) & np.uint64(1)) == 0
    return np.where(inexact & is_even, np.nextafter(total, np.copysign(np.inf, error)), total)


def _terms(x: ArrayLike, fmt: Format) -> Floats:
    _check_arithmetic("fmt", fmt, "nearest")
    terms = np.asarray(fmt.round(x))
    if terms.ndim == 0:
        raise ValueError(f"x: takes an array of at least one dimension, got {x!r}")
    return terms
