"""Chapter 11: solutions as a reader would write them, without the package, and wrong ones."""

import math

import numpy as np


def decode_pattern(pattern, exponent_bits, fraction_bits):
    text = f"{pattern:0{1 + exponent_bits + fraction_bits}b}"
    field = int(text[1 : 1 + exponent_bits], 2)
    fraction = int(text[1 + exponent_bits :], 2) / 2**fraction_bits
    bias = 2 ** (exponent_bits - 1) - 1
    if field == 2**exponent_bits - 1:
        size = float("inf")
    elif field == 0:
        size = fraction * 2.0 ** (1 - bias)
    else:
        size = (1 + fraction) * 2.0 ** (field - bias)
    return -size if text[0] == "1" else size


def round_to_nearest_even(x, fraction_bits):
    spacing = 2.0 ** (math.floor(math.log2(abs(x))) - fraction_bits)
    below = math.floor(x / spacing)
    rest = x / spacing - below
    up = rest > 0.5 or (rest == 0.5 and below % 2 == 1)
    return (below + up) * spacing


def kahan_sum(x):
    total = np.float16(0)
    excess = np.float16(0)
    for term in x:
        wanted = term - excess
        new = total + wanted
        excess = (new - total) - wanted
        total = new
    return total


SOLUTIONS = (
    decode_pattern,
    round_to_nearest_even,
    kahan_sum,
)


# Wrong answers besides the usual mistakes.


def subnormals_flushed_to_zero(pattern, exponent_bits, fraction_bits):
    field = (pattern >> fraction_bits) % 2**exponent_bits
    return 0.0 if field == 0 else decode_pattern(pattern, exponent_bits, fraction_bits)


def two_s_complement(pattern, exponent_bits, fraction_bits):
    top = 2 ** (exponent_bits + fraction_bits)
    if pattern < top:
        return decode_pattern(pattern, exponent_bits, fraction_bits)
    return -decode_pattern(2 * top - pattern, exponent_bits, fraction_bits)


def towards_infinity(x, fraction_bits):
    spacing = 2.0 ** (math.floor(math.log2(abs(x))) - fraction_bits)
    return math.ceil(x / spacing) * spacing


def ties_up(x, fraction_bits):
    spacing = 2.0 ** (math.floor(math.log2(abs(x))) - fraction_bits)
    return math.floor(x / spacing + 0.5) * spacing


def decimal_digits(x, fraction_bits):
    return round(x, fraction_bits)


def sorted_first(x):
    total = np.float16(0)
    for term in sorted(x, key=abs):
        total += term
    return total


WRONG = {
    "decode_pattern": [subnormals_flushed_to_zero, two_s_complement],
    "round_to_nearest_even": [towards_infinity, ties_up, decimal_digits],
    "kahan_sum": [sorted_first],
}
