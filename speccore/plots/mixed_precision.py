"""Figures of chapter 12: gradients against the range of a format, curves, scales and bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new

OCTAVE = 1.0  # width of a bar of a histogram, in powers of two


@rc_context(STYLE)
def gradient_histogram(
    exact: ArrayLike,
    stored: ArrayLike,
    *,
    tiny: float,
    normal: float,
    largest: float,
    limits: tuple[float, float] = (-44.0, 20.0),
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Gradients in FP32 and as a narrow format has them, on the scale of its exponents.

    Args:
        exact: (numbers,) magnitudes in FP32, scaled; zeros are left out.
        stored: (numbers,) the same as the narrow format has them; what is zero, infinite or NaN is
            left out.
        tiny: the format's smallest number > 0.
        normal: its smallest normal number: below it, digits are missing.
        largest: its largest number.
        limits: of the horizontal axis, as exponents of two; what lies beyond is counted at the end.
        legend: whether to explain the colours; once is enough in a row of figures.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    edges = np.arange(limits[0], limits[1] + OCTAVE, OCTAVE)
    total = max(1, np.asarray(exact).size)
    looks: tuple[tuple[ArrayLike, str, dict[str, Any]], ...] = (
        (exact, "FP32", {"color": "0.72"}),
        (stored, "as stored", {"facecolor": f"{COLOURS[0]}80", "edgecolor": COLOURS[0]}),
    )
    for values, name, style in looks:
        magnitudes = np.abs(np.asarray(values, dtype=float))
        found = magnitudes[(magnitudes > 0) & np.isfinite(magnitudes)]
        inside = np.clip(np.log2(found), edges[0], edges[-1] - 1e-9)
        counts, _ = np.histogram(inside, edges)
        ax.stairs(100 * counts / total, edges, fill=True, label=name, **style)
    low, subnormal, high = np.log2([tiny / 2, normal, largest])
    ax.axvspan(limits[0], low, color=COLOURS[1], alpha=0.15, label="flushed to zero", linewidth=0)
    ax.axvspan(low, subnormal, color=COLOURS[4], alpha=0.15, label="digits missing", linewidth=0)
    if high < limits[1]:
        ax.axvspan(high, limits[1], color=COLOURS[3], alpha=0.25, label="overflow", linewidth=0)
    ax.set_xlim(*limits)
    ax.set(xlabel=r"$\log_2$ |scale $\times$ gradient|", ylabel="Share of gradients (%)")
    ax.set_title(title)
    if legend:
        ax.legend(loc="upper left", fontsize=8)
    return ax


@rc_context(STYLE)
def update_histogram(
    ratios: Mapping[str, ArrayLike], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Updates in units of the spacing of the weights that they are added to.

    Args:
        ratios: label → (numbers,) |update| / spacing; zeros are left out. Below 1/2 an update is
            rounded away.
    """
    ax = axes_or_new(ax, (6.4, 3.4))
    edges = np.arange(-12.0, 12.5, 0.5)
    for i, (label, values) in enumerate(ratios.items()):
        found = np.asarray(values, dtype=float)
        found = np.clip(np.log2(found[found > 0]), edges[0], edges[-1] - 1e-9)
        counts, _ = np.histogram(found, edges)
        ax.stairs(
            100 * counts / max(1, found.size),
            edges,
            color=COLOURS[i],
            linestyle=DASHES[i],
            linewidth=1.8,
            label=label,
        )
    ax.axvspan(edges[0], -1, color=COLOURS[1], alpha=0.15, label="lost", linewidth=0)
    ax.set_xlim(edges[0], edges[-1])
    ax.set(xlabel=r"$\log_2$ (|update| / spacing of the weight)", ylabel="Share of updates (%)")
    ax.set_title(title)
    ax.legend()
    return ax


@rc_context(STYLE)
def training_curves(
    steps: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    ylabel: str = "Cross-entropy (nats a byte)",
    title: str = "",
    ylim: tuple[float, float] | None = None,
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Mean curves over seeds, with the range from the lowest to the highest seed as a band.

    Args:
        steps: (points,) where the curves were measured.
        curves: label → (seeds, points).
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    x = np.asarray(steps, dtype=float)
    for i, (label, samples) in enumerate(curves.items()):
        runs = np.asarray(samples, dtype=float)
        if runs.ndim != 2 or runs.shape[1] != len(x):
            raise ValueError(
                f"curves: takes shape (seeds, points) = (seeds, {len(x)}) for {label!r}, "
                f"got {runs.shape}"
            )
        ax.fill_between(x, runs.min(axis=0), runs.max(axis=0), color=COLOURS[i], alpha=0.12, lw=0)
        ax.plot(
            x,
            runs.mean(axis=0),
            color=COLOURS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            markevery=(i, 5),  # curves that coincide still show all their markers
            label=label,
        )
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.margins(x=0.02)
    ax.set(xlabel="Step", ylabel=ylabel, title=title)
    if legend:
        ax.legend()
    return ax


@rc_context(STYLE)
def flushed_shares(
    exponents: ArrayLike,
    shares: Mapping[str, ArrayLike],
    *,
    overflow_from: int | None = None,
    marks: Mapping[str, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Share of gradients that become zero, over the loss scale.

    Args:
        exponents: (points,) k of the scale 2ᵏ.
        shares: label → (points,) shares in [0, 1].
        overflow_from: the first k at which a gradient overflows.
        marks: label → k, drawn as vertical lines.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    x = np.asarray(exponents, dtype=float)
    for i, (label, values) in enumerate(shares.items()):
        ax.plot(
            x,
            100 * np.asarray(values, dtype=float),
            color=COLOURS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            label=label,
        )
    for label, place in (marks or {}).items():
        ax.axvline(place, color="0.5", linewidth=1, linestyle=(0, (2, 2)))
        ax.text(place, 101, label, ha="center", va="bottom", size=8, color="0.35")
    if overflow_from is not None:
        ax.axvspan(
            overflow_from - 0.5, x[-1], color=COLOURS[3], alpha=0.25, label="overflow", linewidth=0
        )
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(0, 100)
    ax.set(xlabel=r"$\log_2$ of the loss scale", ylabel="Flushed to zero (%)")
    # Above the labels of the marks.
    ax.set_title(title, pad=18 if marks else 6)
    ax.legend()
    return ax


@rc_context(STYLE)
def scale_trace(
    scales: ArrayLike, overflows: ArrayLike, *, title: str = "", ax: Axes | None = None
) -> Axes:
    """The loss scale of each step, with the steps that were skipped.

    Args:
        scales: (steps,) factors on the loss.
        overflows: (steps,) whether the step was skipped.
    """
    ax = axes_or_new(ax, (6.4, 3.0))
    exponents = np.log2(np.asarray(scales, dtype=float))
    skipped = np.flatnonzero(np.asarray(overflows))
    ax.step(np.arange(len(exponents)), exponents, where="post", color=COLOURS[0], label="scale")
    ax.plot(
        skipped,
        exponents[skipped],
        color=COLOURS[1],
        marker="X",
        markersize=7,
        linestyle="none",
        label="skipped: a gradient overflowed",
    )
    ax.margins(x=0.02, y=0.15)
    ax.set(xlabel="Step", ylabel=r"$\log_2$ of the loss scale", title=title)
    ax.legend()
    return ax


@rc_context(STYLE)
def stacked_bars(
    parts: Mapping[str, Mapping[str, float]],
    *,
    xlabel: str,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Horizontal bars, each the sum of named parts.

    Args:
        parts: label of a bar → (name of a part → its length).
    """
    ax = axes_or_new(ax, (6.4, 0.9 + 0.5 * len(parts)))
    names = list(dict.fromkeys(name for bar in parts.values() for name in bar))
    left = np.zeros(len(parts))
    for i, name in enumerate(names):
        lengths = np.array([bar.get(name, 0.0) for bar in parts.values()])
        ax.barh(list(parts), lengths, left=left, height=0.6, color=COLOURS[i], label=name)
        left += lengths
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlabel=xlabel, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@rc_context(STYLE)
def bars_with_spread(
    samples: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Horizontal bars of medians, with a line from the lower to the upper quartile.

    Args:
        samples: label → measurements.
    """
    ax = axes_or_new(ax, (6.4, 0.9 + 0.4 * len(samples)))
    low, middle, high = np.array(
        [np.quantile(each, [0.25, 0.5, 0.75]) for each in samples.values()]
    ).T
    ax.barh(
        list(samples),
        middle,
        height=0.6,
        color=COLOURS[0],
        xerr=[(middle - low).tolist(), (high - middle).tolist()],
        error_kw={"capsize": 3},
    )
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.set(xlabel=xlabel, title=title)
    return ax
