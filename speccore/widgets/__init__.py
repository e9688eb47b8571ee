"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

from speccore.widgets.floating_point import bit_explorer

__all__ = ["bit_explorer"]
