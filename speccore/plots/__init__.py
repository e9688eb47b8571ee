"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.decoding import cost_curves, next_token_law, roofline
from speccore.plots.floating_point import (
    BitRow,
    Range,
    bit_patterns,
    log_curves,
    magnitude_histogram,
    number_lines,
    ranges,
)
from speccore.plots.memory_overlap import memory_map, storage_bytes
from speccore.plots.mixed_precision import (
    bars_with_spread,
    flushed_shares,
    gradient_histogram,
    scale_trace,
    stacked_bars,
    training_curves,
    update_histogram,
)
from speccore.plots.modules import call_overhead, histogram, side_by_side, stacked_counts
from speccore.plots.speculative import acceptance_histogram, distances, overlap, speedup_map

__all__ = [
    "BitRow",
    "Range",
    "acceptance_histogram",
    "bars_with_spread",
    "bit_patterns",
    "call_overhead",
    "cost_curves",
    "distances",
    "flushed_shares",
    "gradient_histogram",
    "histogram",
    "log_curves",
    "magnitude_histogram",
    "memory_map",
    "next_token_law",
    "number_lines",
    "overlap",
    "ranges",
    "roofline",
    "scale_trace",
    "side_by_side",
    "speedup_map",
    "stacked_bars",
    "stacked_counts",
    "storage_bytes",
    "training_curves",
    "update_histogram",
]
