"""Figures of Parts III and IV, one function a figure, in the style of ``rlcore.plots``."""
