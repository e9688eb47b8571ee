"""Widgets of Parts III and IV; the mechanism, ``panel``, is that of ``rlcore.widgets``."""

__all__: list[str] = []
