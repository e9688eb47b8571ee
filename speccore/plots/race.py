"""Figures of chapter 19: methods against kinds of text, who wrote a text, what was foreseen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patches import Patch, Rectangle
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, STYLE, axes_or_new, ink_on, mark
from speccore.plots.drafters import BY_TARGET, GUESSED

EM = 0.602
"""Width of a letter of the monospaced font, in its size."""


@rc_context(STYLE)
def race_map(
    values: Mapping[str, Mapping[str, float]],
    *,
    label: str,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Numbers by method and kind of text, as a heat map: purple above 1, orange below.

    Args:
        values: method → (kind → number > 0); the same kinds for each.
        label: what the numbers are.
    """
    methods = list(values)
    kinds = list(next(iter(values.values())))
    grid = np.array([[values[method][kind] for method in methods] for kind in kinds])
    ax = axes_or_new(ax, (1.8 + 0.95 * len(methods), 1.5 + 0.34 * len(kinds)))
    far = max(1.1, float(np.exp(np.abs(np.log(grid)).max())))
    image = ax.imshow(
        np.log2(grid),
        cmap=colormaps["PuOr"],
        norm=TwoSlopeNorm(0.0, -np.log2(far), np.log2(far)),
        aspect="auto",
    )
    ink = ink_on(image.to_rgba(np.log2(grid)))
    for (row, column), value in np.ndenumerate(grid):
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=ink[row, column])
    ax.set_xticks(range(len(methods)), _broken(methods))
    ax.set_yticks(range(len(kinds)), kinds)
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set(xlabel=f"Method; numbers: {label}", ylabel="Kind of prompt", title=title)
    return ax


def _broken(methods: Iterable[str]) -> list[str]:
    """Names with an addition, on two lines."""
    return [each.replace(", ", ",\n") for each in methods]


@rc_context(STYLE)
def clouds(
    points: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    diagonal: bool = False,
    level: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Points in groups, each group with a colour and a marker.

    Args:
        points: label of a group → its horizontal and vertical numbers.
        diagonal: whether to draw where both are equal, and to give both axes the same range.
        level: drawn as a horizontal line.
    """
    ax = axes_or_new(ax, (5.6, 4.2))
    for i, (label, (x, y)) in enumerate(points.items()):
        ax.plot(
            np.asarray(x, dtype=float),
            np.asarray(y, dtype=float),
            linestyle="none",
            alpha=0.75,
            label=label,
            **mark(i),
        )
    if diagonal:
        numbers = [np.asarray(each, dtype=float) for pair in points.values() for each in pair]
        far = 1.06 * max(float(each.max()) for each in numbers)
        ax.plot([0, far], [0, far], color="0.5", linewidth=1, linestyle=DASHES[1])
        ax.set(xlim=(0, far), ylim=(0, far))
    if level is not None:
        ax.axhline(level, color="0.5", linewidth=1, linestyle=DASHES[1])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@rc_context(STYLE)
def written_tokens(
    pieces: Sequence[str],
    guessed: Sequence[bool],
    *,
    columns: int = 80,
    rows: int | None = None,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A text, a box a token, coloured by who wrote it.

    Args:
        pieces: (n,) the text of each token; a line break is shown as a backslash and an n, and ends
            the row; other letters that do not print are dots.
        guessed: (n,) whether a drafter guessed the token.
        columns: letters a row.
        rows: height of the picture in rows, of which the last ones are shown; None for as many as
            the text needs.
        legend: whether to explain the colours.

    Raises:
        ValueError: one of the two is longer.
    """
    if len(pieces) != len(guessed):
        raise ValueError(f"guessed: takes {len(pieces)} values, got {len(guessed)}")
    boxes, needed = _boxes(pieces, columns)
    height = needed if rows is None else rows
    ax = axes_or_new(ax, (9.0, 0.7 + 0.22 * height))
    width = ax.get_window_extent().width / ax.get_figure(root=True).dpi  # type: ignore[union-attr]
    size = min(9.5, 72 * width / columns / EM)
    above = max(0, needed - height)
    for (row, column, text), each in zip(boxes, guessed, strict=True):
        if row < above:
            continue
        colour = GUESSED if each else BY_TARGET
        box = Rectangle(
            (column, row - above), len(text), 1, facecolor=colour, edgecolor="white", linewidth=1
        )
        ax.add_patch(box)
        ax.text(
            column + len(text) / 2,
            row - above + 0.52,
            text,
            ha="center",
            va="center",
            family="monospace",
            size=size,
            parse_math=False,
        )
    ax.set(xlim=(0, columns), ylim=(max(height, 1), 0), xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    if legend:
        looks = {"guessed": GUESSED, "by the target": BY_TARGET}
        ax.legend(
            handles=[Patch(color=colour, label=name) for name, colour in looks.items()],
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            ncols=2,
        )
    return ax


def _boxes(pieces: Sequence[str], columns: int) -> tuple[list[tuple[int, int, str]], int]:
    """(row, column, what is shown) of each token, and how many rows there are."""
    boxes = []
    row = column = last = 0
    for piece in pieces:
        shown = "".join(
            each if each.isascii() and each.isprintable() else "·"
            for each in piece.replace("\n", r"\n")
        )[:columns]
        if column + len(shown) > columns:
            row, column = row + 1, 0
        boxes.append((row, column, shown))
        last = row
        column += len(shown)
        if "\n" in piece:
            row, column = row + 1, 0
    return boxes, last + 1


@rc_context(STYLE)
def progress_bars(
    done: Mapping[str, int],
    total: int,
    *,
    chosen: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How far each method has come at one moment, the chosen one in blue.

    Args:
        done: method → tokens written.
        total: tokens of the whole text; the right end.
        chosen: name of a method.
    """
    ax = axes_or_new(ax, (4.0, 0.8 + 0.3 * len(done)))
    places = np.arange(len(done))
    colours = [COLOURS[0] if name == chosen else "0.7" for name in done]
    ax.barh(places, list(done.values()), height=0.65, color=colours)
    for place, (name, count) in enumerate(done.items()):
        inside = count > 0.8 * total
        ax.annotate(
            str(count),
            (count, place),
            (-3 if inside else 3, 0),
            textcoords="offset points",
            ha="right" if inside else "left",
            va="center",
            color="white" if inside and name == chosen else "black",
        )
    ax.set_yticks(places, _broken(done))
    ax.set(xlim=(0, total), ylim=(len(done) - 0.4, -0.6), xlabel="Tokens written", title=title)
    ax.grid(False, axis="y")
    return ax
