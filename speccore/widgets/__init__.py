"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

from speccore.widgets.mixed_precision import loss_scale

__all__ = ["loss_scale"]
