"""Figures of chapter 13 and of those that follow: what passes cost, laws of the next token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new


@rc_context(STYLE)
def cost_curves(
    times: Mapping[str, ArrayLike],
    counts: ArrayLike,
    *,
    relative: bool = True,
    each_alone: bool = True,
    xlabel: str = "New tokens in the pass, n",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What a pass costs over the number of its new tokens: medians, and the middle half as a band.

    Args:
        times: label → (repeats, N) seconds, as ``cost.measure_passes`` returns them.
        counts: (N,) numbers of new tokens, increasing.
        relative: in units of the curve's own T(1), the median of the first column, which must then
            be that of one token; else in milliseconds.
        each_alone: show as well what n passes over one token each would cost.
        xlabel: what was varied, if it was something else; then neither of the two makes sense.

    Raises:
        ValueError: measurements of another number of counts; no T(1) where it is needed.
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    x = np.asarray(counts, dtype=float)
    if (relative or each_alone) and x[0] != 1:
        raise ValueError(f"counts: takes 1 first, for T(1), got {x[0]:g}")
    for i, (label, samples) in enumerate(times.items()):
        seconds = np.asarray(samples, dtype=float)
        if seconds.ndim != 2 or seconds.shape[1] != len(x):
            raise ValueError(
                f"times: takes shape (repeats, N) = (repeats, {len(x)}) for {label!r}, "
                f"got {seconds.shape}"
            )
        low, middle, high = np.quantile(seconds, [0.25, 0.5, 0.75], axis=0)
        unit = middle[0] if relative else 1e-3
        ax.fill_between(x, low / unit, high / unit, color=COLOURS[i], alpha=0.15, linewidth=0)
        ax.plot(
            x,
            middle / unit,
            color=COLOURS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            label=label,
        )
        if each_alone and not (relative and i):  # in units of T(1) it is the same for all
            ax.plot(
                x,
                x * middle[0] / unit,
                color="0.55" if relative else COLOURS[i],
                linestyle=(0, (2, 2)),
                linewidth=1.1,
                label="n passes over one token" if i == 0 else None,
            )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(x.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("")
    ax.set(
        xlabel=xlabel,
        ylabel="T(n) / T(1)" if relative else "Time of a pass (ms)",
        title=title,
    )
    ax.legend()
    return ax


@rc_context(STYLE)
def roofline(
    speeds: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    peak: float,
    bandwidth: float,
    names: Sequence[str] = (),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Speeds under their roof, min(peak, intensity · bandwidth) (Williams et al. 2009, figure 1).

    Args:
        speeds: label → (points,) operations a byte, and (points,) operations a second.
        peak: operations a second that the machine can do.
        bandwidth: bytes a second that it can read.
        names: written at the points of the first curve.
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    reached = np.concatenate([np.asarray(x, dtype=float) for x, _ in speeds.values()])
    ridge, giga = peak / bandwidth, 1e-9
    ends = np.array([min(reached.min(), ridge) / 2, ridge, 2 * max(reached.max(), ridge)])
    roof = np.minimum(peak, ends * bandwidth)
    ax.plot(ends, giga * roof, color="0.35", linewidth=1.4, label="roof")
    ax.axvspan(ends[0], ridge, color=COLOURS[5], alpha=0.13, linewidth=0, label="memory-bound")
    ax.axvspan(ridge, ends[2], color=COLOURS[4], alpha=0.13, linewidth=0, label="compute-bound")
    for i, (label, (x, y)) in enumerate(speeds.items()):
        ax.plot(
            np.asarray(x, dtype=float),
            giga * np.asarray(y, dtype=float),
            color=COLOURS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            label=label,
        )
    points = np.column_stack([np.asarray(each) for each in next(iter(speeds.values()))])
    for name, (x, y) in zip(names, points, strict=False):
        ax.annotate(name, (x, giga * y), (0, -12), textcoords="offset points", ha="center", size=8)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.margins(y=0.12)
    ax.set_xlim(ends[0], ends[2])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set(
        xlabel="Arithmetic intensity (FLOP a byte)",
        ylabel=r"Speed ($10^9$ FLOP/s)",
        title=title,
    )
    ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def next_token_law(
    before: ArrayLike,
    after: ArrayLike,
    labels: Sequence[str],
    *,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Probabilities of tokens before and after the improbable ones have been cut.

    Args:
        before: (tokens,) probabilities in the order in which they are to be shown.
        after: (tokens,) the same after cutting; 0 where a token was cut.
        labels: (tokens,) what to write below the bars.
    """
    ax = axes_or_new(ax, (6.4, 3.2))
    uncut, law = np.asarray(before, dtype=float), np.asarray(after, dtype=float)
    places, colours = np.arange(len(uncut)), np.where(law > 0, COLOURS[0], "#bfbfbf")
    ax.bar(places, np.where(law > 0, law, uncut), width=0.75, color=colours)
    ax.hlines(uncut, places - 0.375, places + 0.375, color="black", linewidth=1)
    ax.set_xticks(places, [each.replace("$", r"\$") for each in labels], family="monospace")
    ax.set_xlim(-0.7, len(uncut) - 0.3)
    ax.set_ylim(0, 1.05 * max(uncut.max(), law.max()))
    ax.grid(False, axis="x")
    ax.set(xlabel="Next byte", ylabel="Probability", title=title)
    if legend:
        ax.legend(
            handles=[
                Patch(color=COLOURS[0], label="law"),
                Patch(color="#bfbfbf", label="cut"),
                Line2D([], [], color="black", linewidth=1, label="before cutting"),
            ],
            loc="upper right",
        )
    return ax
