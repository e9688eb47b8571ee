"""The widget of chapter 10: shape and strides → which elements are the same memory."""

from __future__ import annotations

import textwrap

import torch
from matplotlib.figure import Figure

from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.foundations.memory_overlap import Explanation, explain

SHAPES = ((3, 4), (4, 3), (2, 6), (1, 5))
ROOM = 28  # every shape with every stride of the sliders fits


def memory_overlap() -> Panel:
    """Any window of two dimensions on a storage of 28 numbers, and whether it can be written to."""

    def draw(shape: tuple[int, int], row_stride: int, column_stride: int) -> Figure:
        window = torch.zeros(ROOM).as_strided(shape, (row_stride, column_stride))
        found = explain(window)
        figure = blank_figure(height=430)
        plots.memory_map(
            found,
            title=f"x.as_strided({shape}, ({row_stride}, {column_stride})): {_known_as(found)}",
            ax=figure.add_axes((0.02, 0.27, 0.96, 0.65)),
        )
        for line, name in enumerate(("overlap", "torch's check", "in-place write")):
            text = textwrap.shorten(found.rows[name], 72, placeholder=" ...")
            figure.text(0.02, 0.19 - 0.06 * line, name, size=10, weight="bold")
            figure.text(0.2, 0.19 - 0.06 * line, text, size=9)
        return figure

    return panel(
        draw,
        hint="Column stride 0: every row is one number, and torch refuses. Then row stride 1, "
        "column stride 1: windows that slide, overlap again, and torch says nothing.",
        alt="A small matrix with the storage location of each element, the storage below it with "
        "shared locations coloured, and what torch says about writing to it.",
        shape=choice("shape", (3, 4), [(f"{n} × {m}", (n, m)) for n, m in SHAPES]),
        row_stride=slider("row stride", 4, 0, 6, 1),
        column_stride=slider("column stride", 1, 0, 4, 1),
    )


def _known_as(found: Explanation) -> str:
    """The view that usually makes these strides."""
    (rows, columns), (down, across) = found.shape, found.strides
    if rows == 1 and columns > 1:
        return "one row" if across else "one number, expanded"
    if (down, across) == (0, 0):
        return "one number, expanded"
    if across == 0:
        return "a column, expanded"
    if down == 0:
        return "a row, expanded"
    if (down, across) == (columns, 1):
        return "contiguous"
    if (down, across) == (1, rows):
        return "transposed"
    if found.overlaps:
        return "windows that overlap"
    return "elements apart"
