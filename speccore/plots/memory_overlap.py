"""Figures of chapter 10: memory maps, and what cures of the overlap error cost."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from rlcore.plots import COLOURS, STYLE
from speccore.foundations.memory_overlap import Explanation, locations

LARGEST_MAP = 96  # cells that can be told apart
STORAGE_ROW = 18  # locations a line
BLOCK_GAP = 0.7  # cells between the matrices of a 3-dimensional tensor


@rc_context(STYLE)
def memory_map(found: Explanation, *, title: str = "", ax: Axes | None = None) -> Axes:
    """A tensor, each element with the number of its location, above the storage itself.

    Elements that share a location have its colour and a thick frame, in the tensor and in the
    storage, where xn says how many elements a location serves. Locations that no element uses are
    hatched.

    Args:
        found: what ``explain`` says of a tensor with at most 3 dimensions, 96 elements and 96
            locations in its storage.
    """
    if len(found.shape) > 3 or max(found.elements, found.storage_size) > LARGEST_MAP:
        raise ValueError(
            f"found: takes at most 3 dimensions and {LARGEST_MAP} elements and locations, got "
            f"shape {found.shape} in a storage of {found.storage_size}"
        )
    places = locations(found.shape, found.strides, found.offset)
    served = np.bincount(places.ravel(), minlength=found.storage_size)
    colours = _colours(served)
    blocks = places.reshape(prod(found.shape[:-2]), *(1, 1, *found.shape)[-2:])
    rows, columns = blocks.shape[1:]
    width = max(len(blocks) * (columns + BLOCK_GAP) - BLOCK_GAP, min(len(served), STORAGE_ROW))
    lines = -(-len(served) // STORAGE_ROW)
    top = rows + 1.4  # of the storage
    bottom = top + 1.5 * lines
    if ax is None:
        size = (max(3.2, 0.36 * (width + 2.4)), 0.36 * (bottom + 2.2))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    for number, block in enumerate(blocks):
        left = number * (columns + BLOCK_GAP)
        for (row, column), place in np.ndenumerate(block):
            _cell(ax, left + column, row, f"{place}", colours[place], bool(served[place] > 1))
        if len(found.shape) == 3:
            ax.text(left + columns / 2, -0.2, f"[{number}]", ha="center", color="0.35")
    if not found.elements:
        ax.text(0, rows / 2, "no elements", va="center", color="0.35")
    ax.text(0, top - 0.2, "storage", color="0.35")
    for place, count in enumerate(served):
        x, y = place % STORAGE_ROW, top + 1.5 * (place // STORAGE_ROW)
        _cell(ax, x, y, f"{place}", colours[place], count > 1, unused=count == 0)
        if count > 1:
            ax.text(x + 0.5, y + 1.28, f"x{count}", ha="center", va="center", size=7)
    ax.set_xlim(-0.15, width + 0.15)
    ax.set_ylim(bottom, -0.9 if len(found.shape) == 3 else -0.25)
    ax.set_aspect("equal", anchor="NW")
    ax.set_axis_off()
    ax.set_title(title or f"shape {found.shape}, strides {found.strides}")
    return ax


@rc_context(STYLE)
def storage_bytes(sizes: Mapping[str, int], *, title: str = "", ax: Axes | None = None) -> Axes:
    """Bytes of storage by name, as bars on a logarithmic axis with the number beside each."""
    if ax is None:
        figure_size = (6.4, 0.4 * len(sizes) + 1.0)
        ax = plt.subplots(figsize=figure_size, layout="constrained")[1]
    names = list(sizes)
    ax.barh(names, list(sizes.values()), height=0.62, color=COLOURS[0])
    for i, count in enumerate(sizes.values()):
        ax.text(count * 1.15, i, f"{count:,}", va="center")
    ax.set_xscale("log")
    ax.set_xlim(1, max(sizes.values()) * 12)
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlabel="Storage (bytes)", title=title)
    return ax


def _colours(served: Any) -> list[tuple[float, ...]]:
    """Light colours for shared locations, neighbours apart; grey for the others."""
    colours: list[tuple[float, ...]] = [(0.94, 0.94, 0.94)] * len(served)
    for rank, place in enumerate(np.flatnonzero(served > 1)):
        tint = np.array(to_rgb(COLOURS[rank % 6]))
        colours[place] = tuple(0.45 * tint + 0.55)
    return colours


def _cell(
    ax: Axes,
    x: float,
    y: float,
    text: str,
    colour: tuple[float, ...],
    shared: bool,
    unused: bool = False,
) -> None:
    inset = 0.06
    style: dict[str, Any] = {"facecolor": colour, "edgecolor": "0.2", "linewidth": 0.6}
    if shared:
        style["linewidth"] = 1.8
    if unused:
        style |= {"facecolor": "white", "edgecolor": "0.75", "hatch": "////"}
    side = 1 - 2 * inset
    ax.add_patch(Rectangle((x + inset, y + inset), side, side, **style))
    if not unused:
        ax.text(x + 0.5, y + 0.52, text, ha="center", va="center", size=8)
