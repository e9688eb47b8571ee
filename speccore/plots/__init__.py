"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.floating_point import (
    BitRow,
    Range,
    bit_patterns,
    log_curves,
    magnitude_histogram,
    number_lines,
    ranges,
)

__all__ = [
    "BitRow",
    "Range",
    "bit_patterns",
    "log_curves",
    "magnitude_histogram",
    "number_lines",
    "ranges",
]
