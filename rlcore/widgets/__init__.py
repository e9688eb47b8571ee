"""Widgets of the course: one function a widget, and one mechanism for all of them, ``panel``.

A widget is a picture with at most three controls. Each move of a control runs the real computation
again, with the same public functions that the text shows, and puts a new picture in the place of
the old one.
"""

from rlcore.widgets.linear import generalization, linear_prediction
from rlcore.widgets.linear_control import baird, mountain_car
from rlcore.widgets.neural import value_network
from rlcore.widgets.panel import (
    DPI,
    MOST_CONTROLS,
    WIDTH,
    Panel,
    blank_figure,
    choice,
    entry,
    panel,
    slider,
)
from rlcore.widgets.part_one import bellman, cliff_walking, n_step, td_prediction, unified_target

__all__ = [
    "DPI",
    "MOST_CONTROLS",
    "WIDTH",
    "Panel",
    "baird",
    "bellman",
    "blank_figure",
    "choice",
    "cliff_walking",
    "entry",
    "generalization",
    "linear_prediction",
    "mountain_car",
    "n_step",
    "panel",
    "slider",
    "td_prediction",
    "unified_target",
    "value_network",
]
