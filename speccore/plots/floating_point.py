"""Figures of chapter 11: bits, ranges, spacings and magnitudes of floating-point numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, STYLE, axes_or_new


class BitRow(NamedTuple):
    """One number in one format, as ``bit_patterns`` shows it."""

    name: str
    bits: str
    """Sign, exponent and fraction in binary, with spaces between: ``Format.bit_string``."""
    value: str
    note: str = ""


class Range(NamedTuple):
    """The positive numbers that a format reaches."""

    smallest_subnormal: float
    smallest_normal: float
    max: float


@rc_context(STYLE)
def bit_patterns(
    rows: Sequence[BitRow], *, marked: str = "", title: str = "", ax: Axes | None = None
) -> Axes:
    """Patterns below each other, a box a bit: dark for 1, light for 0, a colour for each field.

    Args:
        rows: what to show, from the top down.
        marked: name of a row to frame.
    """
    ax = axes_or_new(ax, (6.4, 0.52 * len(rows) + 0.7))
    boxes, faces = [], []
    for i, row in enumerate(rows):
        x = 0.0
        for colour, field in zip(_FIELD_COLOURS, row.bits.split(" "), strict=True):
            for bit in field:
                boxes.append(Rectangle((x + 0.08, i - 0.24), 0.84, 0.48))
                faces.append((colour, 1.0 if bit == "1" else 0.2))
                x += 1.0
            x += _FIELD_GAP
        ax.text(-1.5, i, row.name, ha="right", va="center")
        ax.text(_TEXT_COLUMN, i - 0.02, row.value, va="bottom", size=8)
        ax.text(_TEXT_COLUMN, i + 0.02, row.note, va="top", size=8, color="0.35")
        if row.name == marked:
            frame = Rectangle((-13, i - 0.45), x + 13.5, 0.9, fill=False, edgecolor="0.4")
            ax.add_patch(frame)
    collection = PatchCollection(boxes, match_original=False)
    collection.set_facecolor(faces)
    ax.add_collection(collection)
    keys = [
        Patch(color=colour, label=name)
        for colour, name in zip(_FIELD_COLOURS, ("sign", "exponent", "fraction"), strict=True)
    ]
    # The narrow formats are the last rows: right of them there is room.
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(0.46, 0.0))
    ax.set(xlim=(-14, 98), ylim=(len(rows) - 0.4, -0.6), title=title)
    ax.axis("off")
    return ax


_FIELD_COLOURS = (COLOURS[1], COLOURS[2], COLOURS[0])
_FIELD_GAP = 0.6
_TEXT_COLUMN = 67.0


@rc_context(STYLE)
def number_lines(
    rows: Mapping[str, ArrayLike],
    *,
    subnormal_below: Mapping[str, float] | None = None,
    xlabel: str = "Value",
    xlim: tuple[float, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Each number of a format as a stroke on a line; lines below each other.

    Args:
        rows: name → numbers.
        subnormal_below: name → magnitude below which numbers are subnormal; those strokes are
            shorter and of another colour.
    """
    ax = axes_or_new(ax, (6.4, 0.55 * len(rows) + 0.9))
    for i, (name, numbers) in enumerate(rows.items()):
        values = np.asarray(numbers, dtype=float)
        ax.plot(xlim or (values.min(), values.max()), (i, i), color="0.7", linewidth=0.8)
        small = np.abs(values) < (subnormal_below or {}).get(name, 0.0)
        for inside, colour, size in ((~small, COLOURS[0], 0.3), (small, COLOURS[1], 0.18)):
            ax.vlines(values[inside], i - size, i + size, color=colour, linewidth=1.0)
    ax.set(yticks=range(len(rows)), yticklabels=list(rows), ylim=(len(rows) - 0.5, -0.5))
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if xlim is not None:
        ax.set_xlim(*xlim)
    if subnormal_below:
        keys = [Patch(color=COLOURS[0], label="normal"), Patch(color=COLOURS[1], label="subnormal")]
        ax.legend(handles=keys, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    ax.set(xlabel=xlabel, title=title)
    return ax


@rc_context(STYLE)
def log_curves(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    base: int = 10,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Curves on two logarithmic axes; what is not positive or not a number leaves a gap.

    Args:
        curves: label → (x, y), both (points,).
        base: of the logarithm of both axes.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    for i, (label, (x, y)) in enumerate(curves.items()):
        heights = np.asarray(y, dtype=float)
        ax.plot(
            np.asarray(x, dtype=float),
            np.where(heights > 0, heights, np.nan),
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            label=label,
        )
    ax.set_xscale("log", base=base)
    ax.set_yscale("log", base=base)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend()
    return ax


@rc_context(STYLE)
def ranges(rows: Mapping[str, Range], *, title: str = "", ax: Axes | None = None) -> Axes:
    """The magnitudes that formats reach, as bars on a logarithmic axis, widest range on top.

    Args:
        rows: name → its range; the part of subnormal numbers is drawn lighter.
    """
    ax = axes_or_new(ax, (6.4, 0.42 * len(rows) + 0.9))
    order = sorted(rows, key=lambda name: rows[name].max / rows[name].smallest_normal, reverse=True)
    for i, name in enumerate(order):
        low, normal, high = np.log10(rows[name])
        ax.barh(i, high - normal, left=normal, height=0.6, color=COLOURS[0])
        ax.barh(i, normal - low, left=low, height=0.6, color=COLOURS[0], alpha=0.35)
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(yticks=range(len(order)), yticklabels=order, ylim=(len(order) - 0.4, -0.6))
    ax.set(xlabel="Magnitude, $\\log_{10}|x|$", title=title)
    keys = [
        Patch(color=COLOURS[0], label="normal"),
        Patch(color=COLOURS[0], alpha=0.35, label="subnormal"),
    ]
    ax.legend(handles=keys, loc="lower left")
    return ax


@rc_context(STYLE)
def magnitude_histogram(
    samples: Mapping[str, ArrayLike],
    formats: Mapping[str, Range],
    *,
    xlim: tuple[float, float] | None = None,
    xlabel: str = "Magnitude, $\\log_2|x|$",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Histograms of log₂|x|, and above them what formats reach.

    Args:
        samples: label → numbers; zeros are left out.
        formats: name → its range, drawn as a bar over the histogram, subnormal numbers lighter.
        xlim: whole numbers, the ends of the axis in powers of two; those of the samples if None.
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    logs = {}
    for label, numbers in samples.items():
        sizes = np.abs(np.asarray(numbers, dtype=float).ravel())
        logs[label] = np.log2(sizes[sizes > 0])
    every = np.concatenate(list(logs.values()))
    low, high = xlim or (np.floor(every.min()), np.ceil(every.max()) + 1)
    tallest = 0.0
    for i, (label, sample) in enumerate(logs.items()):
        bins = np.arange(low, high + 1)
        share = np.histogram(sample, bins)[0] / len(sample) * 100
        tallest = max(tallest, share.max())
        ax.stairs(share, bins, fill=True, alpha=0.25, color=COLOURS[i % len(COLOURS)])
        outline = {"color": COLOURS[i % len(COLOURS)], "linestyle": DASHES[i % len(DASHES)]}
        ax.stairs(share, bins, label=label, linewidth=1.5, **outline)
    for i, (name, reach) in enumerate(formats.items()):
        height = tallest * (1.12 + 0.1 * i)
        subnormal, normal, largest = np.clip(np.log2(reach), low, high)
        bar: dict[str, Any] = {"height": 0.06 * tallest, "color": "0.3"}
        ax.barh(height, largest - normal, left=normal, **bar)
        ax.barh(height, normal - subnormal, left=subnormal, alpha=0.35, **bar)
        ax.text(high + 0.5, height, name, va="center", size=8, clip_on=False)
    ax.set(xlim=(low, high), ylim=(0, tallest * (1.12 + 0.1 * len(formats))))
    ax.set(xlabel=xlabel, ylabel="Share of the numbers (%)", title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, 1.1 / (1.12 + 0.1 * len(formats))))
    return ax
