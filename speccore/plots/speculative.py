"""Figures of chapter 14: two laws and their overlap, distances found, what a draft pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, STYLE, axes_or_new

ROUNDING = 1e-17  # left end of the scale of distances; an exact 0 is drawn there


@rc_context(STYLE)
def overlap(
    p: ArrayLike,
    q: ArrayLike,
    names: Sequence[str],
    *,
    shown: int = 8,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """What a draft and its target have in common, token by token, and what each has alone.

    A bar reaches to the larger of the two probabilities: their common part below, in grey, and on
    top what only the target has (it is drawn after a rejection) or only the draft (it is rejected).

    Args:
        p: (V,) law of the target.
        q: (V,) law of the draft.
        names: (V,) what to write below the bars.
        shown: tokens with a bar of their own, the most probable ones of either law; all others
            share one bar.
    """
    target, draft = np.asarray(p, dtype=float), np.asarray(q, dtype=float)
    if not target.shape == draft.shape == (len(names),):
        raise ValueError(
            f"p, q: take shape (V,) = ({len(names)},), got {target.shape} and {draft.shape}"
        )
    ax = axes_or_new(ax, (6.4, 3.2))
    order = np.argsort(-np.maximum(target, draft), kind="stable")
    first, rest = order[:shown], order[shown:]
    parts = {
        r"both: kept, $\min(p, q)$": (np.minimum(target, draft), "0.72", ""),
        r"target alone: drawn after a rejection, $p - q$": (
            np.maximum(target - draft, 0.0),
            COLOURS[0],
            "",
        ),
        r"draft alone: rejected, $q - p$": (np.maximum(draft - target, 0.0), COLOURS[1], "////"),
    }
    labels = [names[token] for token in first] + (["others"] if len(rest) else [])
    places, bottom = np.arange(len(labels)), np.zeros(len(labels))
    for name, (part, colour, hatch) in parts.items():
        heights = part[first]
        if len(rest):
            heights = np.append(heights, part[rest].sum())
        there = heights > 0  # the edge of an empty bar would show
        ax.bar(
            places[there],
            heights[there],
            bottom=bottom[there],
            width=0.7,
            label=name,
            facecolor="white" if hatch else colour,
            edgecolor=colour,
            hatch=hatch,
            linewidth=0.8,
        )
        bottom += heights
    ax.set_xticks(places, labels)
    ax.grid(False, axis="x")
    ax.set(xlabel="Next token", ylabel="Probability", title=title)
    ax.set_ylim(0.0, (1.4 if legend else 1.05) * float(bottom.max()))  # room for the legend
    if legend:
        ax.legend(loc="upper right", fontsize=8)
    return ax


@rc_context(STYLE)
def distances(
    found: Mapping[str, ArrayLike],
    quoted: Mapping[str, float] | None = None,
    *,
    xlabel: str = "Total variation from the target's law",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Distances from the right law on a logarithmic scale, one row a decoder.

    Args:
        found: name of a decoder → (pairs,) a distance for each pair of models, in [0, 1].
        quoted: name → a distance to compare with.
    """
    ax = axes_or_new(ax, (7.2, 1.1 + 0.3 * len(found)))
    known = quoted or {}
    for row, (name, values) in enumerate(found.items()):
        numbers = np.asarray(values, dtype=float)
        ax.plot(
            np.maximum(numbers, ROUNDING),
            np.full(numbers.shape, row),
            color=COLOURS[0],
            marker="o",
            markersize=5,
            alpha=0.45,
            linestyle="none",
            label="a pair of random models" if row == 0 else None,
        )
        if name in known:
            ax.plot(
                known[name],
                row,
                color=COLOURS[1],
                marker="D",
                markersize=6,
                markerfacecolor="none",
                markeredgewidth=1.6,
                linestyle="none",
                label="quoted, for one other pair" if name == next(iter(known)) else None,
            )
    ax.set_xscale("log")
    ax.set_xlim(ROUNDING / 2, 3.0)
    ax.set_yticks(range(len(found)), list(found))
    ax.set_ylim(len(found) - 0.4, -0.6)
    ax.set(xlabel=xlabel, title=title)
    ax.legend(loc="upper center", fontsize=8)
    return ax


@rc_context(STYLE)
def acceptance_histogram(
    rates: Mapping[str, ArrayLike], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """How the acceptance probability is spread over contexts, with its mean as a vertical line.

    Args:
        rates: label → (contexts,) β of each, in [0, 1].
    """
    ax = axes_or_new(ax, (6.4, 3.2))
    edges = np.linspace(0.0, 1.0, 21)
    for i, (label, values) in enumerate(rates.items()):
        numbers = np.asarray(values, dtype=float)
        counts, _ = np.histogram(numbers, edges)
        look: dict[str, Any] = {"color": COLOURS[i], "linestyle": DASHES[i]}
        ax.stairs(100 * counts / max(1, numbers.size), edges, linewidth=1.8, label=label, **look)
        ax.axvline(numbers.mean(), linewidth=1.2, **look)
    ax.set_xlim(0.0, 1.0)
    ax.set(
        xlabel=r"Probability $\beta$ that a guess is kept (vertical lines: means)",
        ylabel="Share of contexts (%)",
        title=title,
    )
    ax.legend(loc="upper left")
    return ax


@rc_context(STYLE)
def speedup_map(
    gains: ArrayLike,
    alphas: ArrayLike,
    lengths: ArrayLike,
    best: ArrayLike,
    *,
    at: tuple[float, int] | None = None,
    measured: tuple[float, int] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Speed-up over acceptance rate and draft length, with the best draft length as a staircase.

    Where a draft loses, below 1, the map is orange; where it pays, purple.

    Args:
        gains: (len(alphas), len(lengths)) speed-up against plain decoding.
        alphas: increasing acceptance rates.
        lengths: increasing draft lengths.
        best: (len(alphas),) best draft length at each rate; 0 is not drawn.
        at: (rate, length) to mark.
        measured: (rate, length) of a real pair of models, to mark.
    """
    across, up = np.asarray(alphas, dtype=float), np.asarray(lengths, dtype=float)
    grid, longest = np.asarray(gains, dtype=float), np.asarray(best, dtype=float)
    if grid.shape != (len(across), len(up)):
        raise ValueError(
            f"gains: takes shape (len(alphas), len(lengths)) = ({len(across)}, {len(up)}), "
            f"got {grid.shape}"
        )
    ax = axes_or_new(ax, (6.4, 3.8))
    shades = ax.pcolormesh(across, up, np.log2(grid.T), cmap="PuOr", vmin=-2.0, vmax=2.0)
    ax.grid(False)
    lines = ax.contour(
        across, up, grid.T, [0.5, 1, 1.5, 2, 3], colors="0.25", linewidths=[1, 2.2, 1, 1, 1]
    )
    ax.clabel(lines, fmt="%g", fontsize=8)
    drawn = np.where((longest >= up[0]) & (longest <= up[-1]), longest, np.nan)
    ax.plot(across, drawn, color="black", linestyle=DASHES[1], label=r"best $\gamma$")
    for place, marker, name in ((at, "o", "chosen"), (measured, "*", "our two models")):
        if place is not None:
            ax.plot(
                *place,
                color="white",
                marker=marker,
                markersize=9 if marker == "o" else 14,
                markeredgecolor="black",
                linestyle="none",
                label=name,
                zorder=5,
                clip_on=False,
            )
    bar = ax.figure.colorbar(shades, ax=ax, ticks=[-2, -1, 0, 1, 2])
    bar.ax.set_yticklabels(["1/4", "1/2", "1", "2", "4"])
    bar.set_label("Speed-up")
    ax.set(
        xlabel=r"Acceptance rate $\alpha$",
        ylabel=r"Draft length $\gamma$ (guesses a step)",
        title=title,
    )
    ax.legend(loc="upper left", fontsize=8, frameon=True, framealpha=0.85)
    return ax
