"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.mixed_precision import (
    bars_with_spread,
    flushed_shares,
    gradient_histogram,
    scale_trace,
    stacked_bars,
    training_curves,
    update_histogram,
)

__all__ = [
    "bars_with_spread",
    "flushed_shares",
    "gradient_histogram",
    "scale_trace",
    "stacked_bars",
    "training_curves",
    "update_histogram",
]
