"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""

from speccore.plots.memory_overlap import memory_map, storage_bytes

__all__ = ["memory_map", "storage_bytes"]
