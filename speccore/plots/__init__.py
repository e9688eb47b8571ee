"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.modules import call_overhead, histogram, side_by_side, stacked_counts

__all__ = ["call_overhead", "histogram", "side_by_side", "stacked_counts"]
