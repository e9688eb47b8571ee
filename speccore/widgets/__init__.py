"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

from speccore.widgets.modules import dropout_switch

__all__ = ["dropout_switch"]
