"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

from speccore.widgets.memory_overlap import memory_overlap

__all__ = ["memory_overlap"]
