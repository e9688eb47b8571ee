"""Figures of chapter 09: modules and functions."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE

_HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "oo")


@rc_context(STYLE)
def stacked_counts(
    counts: Mapping[str, Mapping[str, int]],
    *,
    xlabel: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Counts as horizontal bars, split into kinds; the longest bar is on top.

    Args:
        counts: name of a bar → kind → count.
    """
    bars = sorted(counts, key=lambda name: (sum(counts[name].values()), name))
    kinds = list(dict.fromkeys(kind for parts in counts.values() for kind in parts))
    if ax is None:
        _, ax = plt.subplots(figsize=(7.5, 0.27 * len(bars) + 1.2), layout="constrained")
    left = np.zeros(len(bars))
    for number, kind in enumerate(kinds):
        lengths = np.array([counts[name].get(kind, 0) for name in bars])
        ax.barh(
            bars,
            lengths,
            left=left,
            label=kind,
            color=COLOURS[number % len(COLOURS)],
            hatch=_HATCHES[number % len(_HATCHES)],
            edgecolor="white",
            linewidth=0.5,
        )
        left += lengths
    for position, total in enumerate(left):
        ax.text(total + 0.3, position, f"{total:.0f}", va="center")
    ax.grid(visible=False, axis="y")
    ax.set(xlabel=xlabel, title=title, xlim=(0, 1.08 * left.max()))
    ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def call_overhead(
    function: Mapping[str, float],
    extra: Mapping[str, float],
    quartiles: Mapping[str, tuple[float, float]],
    *,
    groups: Mapping[str, str],
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What a module's call costs more than the function's, against what the function costs.

    Args:
        function: name → time of the function, in microseconds.
        extra: name → median of module − function, in microseconds; one ≤ 0 is not drawn, since the
            axes are logarithmic.
        quartiles: name → the middle half of the repeats, drawn as a bar.
        groups: name → what it is listed under in the legend.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(7.0, 4.0), layout="constrained")
    for number, group in enumerate(dict.fromkeys(groups.values())):
        names = [name for name in extra if groups[name] == group and extra[name] > 0]
        times = [function[name] for name in names]
        colour = COLOURS[number % len(COLOURS)]
        low, high = np.array([quartiles[name] for name in names]).reshape(-1, 2).T
        ax.vlines(times, np.maximum(low, 1e-2), high, color=colour, alpha=0.35, linewidth=1)
        ax.plot(
            times,
            [extra[name] for name in names],
            MARKERS[number % len(MARKERS)],
            color=colour,
            label=group,
        )
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(0.1, 1000),
        xlabel=r"Time of the function ($\mu$s)",
        ylabel=r"Module $-$ function ($\mu$s)",
        title=title,
    )
    ax.legend(loc="upper left", ncols=2)
    return ax


@rc_context(STYLE)
def side_by_side(
    outputs: Mapping[str, ArrayLike],
    *,
    title: str = "",
    limit: float = 4.0,
    figure: Figure | None = None,
) -> Figure:
    """Matrices as pictures in one row, and the histograms of their entries.

    Args:
        outputs: name → (rows, columns).
        limit: colours reach from −limit to limit, as do the histograms; what lies beyond counts
            as lying at the end.
        figure: to draw into, or a new one.
    """
    arrays = {name: np.asarray(values) for name, values in outputs.items()}
    if figure is None:
        figure = plt.figure(figsize=(7.5, 3.2))
    axes = figure.subplots(1, len(arrays) + 1, width_ratios=[1] * len(arrays) + [1.35])
    figure.subplots_adjust(left=0.02, right=0.985, bottom=0.16, top=0.8, wspace=0.3)
    bins = np.linspace(-limit, limit, 42)  # 0 lies in the middle of a bin
    for number, (ax, (name, values)) in enumerate(zip(axes, arrays.items(), strict=False)):
        ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        zeros = (values == 0).mean()
        ax.set(title=name, xticks=[], yticks=[], xlabel=f"{zeros:.0%} zeros")
        axes[-1].hist(
            np.clip(values, -limit, limit).ravel(),
            bins,
            histtype="step",
            label=name,
            color=COLOURS[number % len(COLOURS)],
            linestyle=DASHES[number % len(DASHES)],
            linewidth=1.6,
        )
    axes[-1].set(xlabel="Value of an output", title="How many outputs", yscale="symlog")
    axes[-1].set_ylim(0, sum(next(iter(arrays.values())).shape) ** 2)
    # Plain numbers: setting powers of ten as formulas takes a quarter of the time of the figure.
    axes[-1].set_yticks([0, 1, 10, 100, 1000], ["0", "1", "10", "100", "1000"])
    axes[-1].legend(loc="upper left", fontsize=7.5)
    figure.suptitle(title, x=0.02, ha="left", fontsize=11)
    return figure


@rc_context(STYLE)
def histogram(
    values: ArrayLike,
    bins: ArrayLike,
    *,
    reference: Mapping[str, float] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How often each value occurs, beside values that are to be compared with.

    Args:
        values: (n,) numbers.
        bins: edges of the bars.
        reference: name → a value, drawn as a vertical line.
    """
    if ax is None:
        _, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
    ax.hist(np.asarray(values), np.asarray(bins).tolist(), color=COLOURS[1])
    for number, (name, value) in enumerate((reference or {}).items()):
        ax.axvline(value, color=COLOURS[0], linestyle=DASHES[number], label=name)
    if reference:
        ax.legend(loc="upper left")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax
