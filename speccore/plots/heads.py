"""Figures of chapter 18: what a guess is computed from, how good it is, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new, mark

FEATURE, TOKEN, GUESS, UNREAD = COLOURS[5], COLOURS[4], COLOURS[2], "0.93"


@rc_context(STYLE)
def guess_inputs(
    features: ArrayLike,
    tokens: ArrayLike,
    k: int,
    *,
    labels: Sequence[str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The last inputs before a guess, those that it reads in colour, with an arrow from each.

    Args:
        features: (n,) booleans: which of the features f_{i−n+1} … f_i guess k reads.
        tokens: (n + m,) the same of the tokens t_{i−n+1} … t_{i+m}; those after t_{i+1} are guesses
            themselves.
        k: >= 1, of the guess, for t_{i+1+k}.
        labels: (n + m,) what to write in the tokens, as their names if left out.
    """
    read = np.asarray(features, dtype=bool), np.asarray(tokens, dtype=bool)
    first = 1 - len(read[0])
    last = first + len(read[1]) - 1
    if not 1 <= k <= last:
        raise ValueError(f"k: takes a guess from 1 to {last}, the tokens after f_i, got {k}")
    if labels is not None and len(labels) != len(read[1]):
        raise ValueError(f"labels: takes {len(read[1])}, one a token, got {len(labels)}")
    ax = axes_or_new(ax, (4.2, 2.4))
    goal = (k + 1.0, 2.0)
    for height, kind, colour in ((0.0, read[0], FEATURE), (1.0, read[1], TOKEN)):
        for column, lit in enumerate(kind.tolist()):
            place = first + column
            if lit:
                ax.annotate(
                    "",
                    goal,
                    (place, height),
                    arrowprops={
                        "arrowstyle": "-|>",
                        "color": colour,
                        "shrinkA": 9,
                        "shrinkB": 10,
                        "linewidth": 1.2,
                    },
                    zorder=1,
                )
            guessed = height == 1.0 and place > 1
            name = "f" if height == 0.0 else r"\hat{t}" if guessed else "t"
            label = f"${name}_{{{_index(place)}}}$"
            mono = height == 1.0 and labels is not None
            if mono and labels is not None:
                label = labels[column]
            _node(ax, place, height, label, colour if lit else UNREAD, dashed=guessed, mono=mono)
    _node(ax, *goal, f"$\\hat{{t}}_{{{_index(k + 1)}}}$", GUESS, dashed=True)
    ax.set_xlim(first - 0.6, last + 1.6)
    ax.set_ylim(-0.45, 2.45)
    ax.set_xticks([])
    ax.set_yticks([0, 1, 2], ["features", "tokens", "guess"])
    ax.tick_params(length=0)
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set(title=title)
    return ax


def _index(place: int) -> str:
    return "i" if place == 0 else f"i{place:+d}"


def _node(
    ax: Axes, x: float, y: float, label: str, colour: str, *, dashed: bool, mono: bool = False
) -> None:
    ax.text(
        x,
        y,
        label,
        ha="center",
        va="center",
        size=9,
        family="monospace" if mono else None,
        parse_math=not mono,
        color="white" if colour == GUESS else "black",
        bbox={
            "boxstyle": "round,pad=0.25",
            "facecolor": colour,
            "edgecolor": "0.35",
            "linestyle": (0, (2, 1.5)) if dashed else "solid",
        },
        zorder=2,
    )


@rc_context(STYLE)
def candidates(
    labels: Sequence[str],
    probabilities: ArrayLike,
    *,
    right: int | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The most probable tokens of a guess as horizontal bars, the trunk's own choice in green.

    Args:
        labels: (n,) tokens, the most probable first.
        probabilities: (n,) theirs.
        right: the place of the trunk's own choice among them, None if it is none of them.
    """
    ax = axes_or_new(ax, (3.2, 2.4))
    places = np.arange(len(labels))
    colours = [GUESS if place == right else FEATURE for place in places]
    ax.barh(places, np.asarray(probabilities, dtype=float), height=0.65, color=colours)
    ax.set_yticks(places, [each.replace("$", r"\$") for each in labels], family="monospace")
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.grid(False, axis="y")
    ax.set(xlabel="Probability", title=title)
    return ax


@rc_context(STYLE)
def by_count(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    xlabel: str,
    ylabel: str,
    band: tuple[float, float] | None = None,
    band_label: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Curves over whole numbers, such as the distance of a guess or the number of heads.

    Args:
        curves: label → its numbers and its values.
        band: lowest and highest of a range to compare with.
        band_label: what the range is.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    if band is not None:
        ax.axhspan(*band, color="0.5", alpha=0.25, linewidth=0, label=band_label)
    for i, (label, (x, y)) in enumerate(curves.items()):
        ax.plot(
            np.asarray(x, dtype=float),
            np.asarray(y, dtype=float),
            linestyle=DASHES[i % len(DASHES)],
            label=label,
            **mark(i),
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylim(bottom=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@rc_context(STYLE)
def given_up(
    points: Mapping[str, tuple[float, float]], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """What a rule gives against what it gives up, a marker each, named beside it.

    Args:
        points: name of a rule → tokens a step, and how far its text is that of plain decoding.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    for i, (name, (tokens, same)) in enumerate(points.items()):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        ax.plot(
            tokens, 100 * same, marker=marker, color=colour, markersize=7, linestyle="", label=name
        )
    ax.margins(x=0.1)
    ax.set_ylim(0, 105)
    ax.set(
        xlabel="Tokens per step", ylabel="Before the first difference (% of the text)", title=title
    )
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@rc_context(STYLE)
def calibration(
    confidence: ArrayLike,
    share: ArrayLike,
    counts: ArrayLike,
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How often guesses are right over how sure the head was; on the diagonal it knows.

    Args:
        confidence: (bins,) mean probability of the guesses of each bin.
        share: (bins,) of them that were right.
        counts: (bins,) how many there are; the area of a marker.
    """
    ax = axes_or_new(ax, (4.4, 3.8))
    sizes = np.asarray(counts, dtype=float)
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle=DASHES[1])
    ax.plot(confidence, share, color=COLOURS[0], linewidth=1, zorder=2)
    ax.scatter(confidence, share, s=20 + 160 * sizes / sizes.max(), color=COLOURS[0], zorder=3)
    ax.set(xlim=(0, 1.03), ylim=(0, 1.03), title=title)
    ax.set(xlabel="Probability of the path, by the head", ylabel="Share that is right")
    return ax


@rc_context(STYLE)
def text_table(
    columns: Sequence[str],
    rows: Mapping[str, Sequence[str]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A table of words and numbers as a picture, for numbers that differ between machines.

    Args:
        columns: heads of the columns; a line break is kept.
        rows: name of a row → (columns,) what stands in it; all rows are as high as the highest.
    """
    for name, cells in rows.items():
        if len(cells) != len(columns):
            raise ValueError(
                f"rows: takes {len(columns)} cells a row, got {len(cells)} for {name!r}"
            )
    lines = 1 + max(cell.count("\n") for cells in rows.values() for cell in cells)
    height = (0.20 + 0.14 * lines) * len(rows)
    ax = axes_or_new(ax, (1.9 + 1.15 * len(columns), 0.9 + height))
    ax.set(xlim=(-1.7, len(columns) - 0.5), ylim=(len(rows) - 0.5, -1.25), title=title)
    ax.axis("off")
    for column, head in enumerate(columns):
        ax.text(column, -0.5, head, ha="center", va="bottom", weight="bold")
    ax.axhline(-0.4, color="0.3", linewidth=1)
    for row, (name, cells) in enumerate(rows.items()):
        if row % 2:
            ax.axhspan(row - 0.5, row + 0.5, color="0.95", linewidth=0)
        ax.text(-1.65, row, name, ha="left", va="center")
        for column, cell in enumerate(cells):
            ax.text(column, row, cell, ha="center", va="center")
    return ax
