"""Figures of the course: one function a figure. Data in, Axes out; nothing is learnt here.

Every function takes an ``ax`` to draw into, or makes a figure of its own with ``pyplot``, and
returns the ``Axes``. Colours are those of Okabe and Ito (2008), which remain apart for colour-blind
readers; lines also differ in dashes and markers, so that a figure survives a grey printer. The
style holds inside these functions only: the settings of matplotlib stay as the reader has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Arc, Circle, Rectangle
from matplotlib.ticker import SymmetricalLogLocator
from numpy.typing import ArrayLike, NDArray

from rlcore.experiments import standard_error
from rlcore.mdp import Layout
from rlcore.validation import check_count

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (5, 1.5)),
    (0, (1, 1)),
    (0, (5, 1.5, 1, 1.5)),
    (0, (3, 1)),
    (0, (8, 2, 2, 2)),
    (0, (1, 2)),
)
MARKERS = "os^Dv<X"
STYLE: Any = {  # matplotlib's stub wants its own literal names
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "figure.dpi": 100,
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "mathtext.fontset": "cm",
}

Cell = tuple[int, int]
Point = tuple[float, float]
Floats = NDArray[np.float64]

# Width of a two-sided 95 % interval of a normal mean, in standard errors.
NORMAL_95 = 1.96


@rc_context(STYLE)
def value_map(
    values: ArrayLike,
    layout: Layout,
    policy: ArrayLike | None = None,
    *,
    forbidden: Iterable[Cell] = (),
    targets: Iterable[Cell] = (),
    fmt: str = ".1f",
    limits: tuple[float, float] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """State values as a heat map with the numbers in it, and the policy as arrows.

    Args:
        values: (states,); a state with the value NaN is left blank.
        layout: where the states lie; ``layout.moves`` gives the direction of each action.
        policy: (states, actions); every action with a probability > 0 gets an arrow, shorter where
            another one is likelier, and an action that stays gets a dot.
        forbidden: (row, column) of cells to hatch.
        targets: (row, column) of cells to frame.
        fmt: format of the numbers; "" for none.
        limits: values at the two ends of the colour scale; those of the data if None.
    """
    rows, columns = _shape(layout)
    grid = _per_state("values", values, layout).reshape(rows, columns)
    ax = axes_or_new(ax, (max(2.4, 0.82 * columns + 0.3), max(1.6, 0.82 * rows + 0.5)))
    low, high = limits or _range(grid)
    shown = np.ma.masked_invalid(grid)
    image = ax.imshow(shown, cmap=_VALUES, vmin=low, vmax=high)
    ink = ink_on(image.to_rgba(shown))
    for cell in forbidden:
        # Hatches take the colour of the edge, which has to show on any background.
        _frame(ax, cell, edgecolor=ink[cell], hatch="////", linewidth=0, alpha=0.45)
    for cell in targets:
        _frame(ax, cell, edgecolor=COLOURS[1], linewidth=3, inset=0.05)
    size = _font_size(ax, rows, columns)
    for cell, value in np.ndenumerate(grid):
        if fmt and np.isfinite(value):
            ax.text(
                cell[1],
                cell[0],
                f"{value:{fmt}}",
                ha="center",
                va="center",
                color=ink[cell],
                size=size,
            )
    if policy is not None:
        _arrows(ax, _per_state("policy", policy, layout), layout, ink, ~np.ma.getmaskarray(shown))
    _grid_lines(ax, rows, columns)
    ax.set_title(title)
    return ax


@rc_context(STYLE)
def paths(
    routes: Mapping[str, Sequence[int]],
    layout: Layout,
    *,
    shaded: Iterable[Cell] = (),
    labels: Mapping[Cell, str] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Routes through a grid, side by side where they share a cell.

    Args:
        routes: name → the states of a route, in order.
        layout: where the states lie.
        shaded: (row, column) of cells to shade, for example the cliff.
        labels: (row, column) → text in a cell, for example the start and the goal.
    """
    rows, columns = _shape(layout)
    ax = axes_or_new(ax, (max(3.0, 0.6 * columns + 0.3), 0.6 * rows + 1.0))
    for cell in shaded:
        _frame(ax, cell, facecolor="0.82", edgecolor="0.6", hatch="////", linewidth=0)
    for cell, text in (labels or {}).items():
        corner = (cell[1] - 0.45, cell[0] - 0.45)
        ax.text(*corner, text, ha="left", va="top", weight="bold", color="0.35")
    spread = 0.16 * (np.arange(len(routes)) - (len(routes) - 1) / 2)
    for i, (name, route) in enumerate(routes.items()):
        row, column = np.divmod(np.asarray(route, dtype=int), columns)
        ax.plot(
            column + spread[i],
            row + spread[i],
            color=COLOURS[i % len(COLOURS)],
            linestyle=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            markevery=[0, len(route) - 1],
            label=name,
        )
    ax.set_aspect("equal")
    _grid_lines(ax, rows, columns)
    if routes:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=len(routes))
    ax.set_title(title)
    return ax


@rc_context(STYLE)
def learning_curves(
    curves: Mapping[str, ArrayLike],
    *,
    band: str | None = "ci",
    smooth: int = 1,
    reference: Mapping[str, float] | None = None,
    xlabel: str = "Episode",
    ylabel: str = "RMS error (value units)",
    title: str = "",
    ylim: tuple[float, float] | None = None,
    log_y: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Mean curves over independent runs, with a band that says how sure the mean is.

    Args:
        curves: label → (runs, episodes), or (episodes,) for a line without band.
        band: "ci", mean ± 1.96 standard errors, the normal 95 % interval of the mean at each
            episode; "se", mean ± 1 standard error; "sd", mean ± 1 standard deviation of the runs,
            which says how they differ and not how sure the mean is; None for none.
        smooth: each run is first replaced by its mean over the last ``smooth`` episodes, so the
            curve begins at episode ``smooth``.
        reference: label → the height of a horizontal line, for example an exact value.
    """
    if band not in ("ci", "se", "sd", None):
        raise ValueError(f"band: takes 'ci', 'se', 'sd' or None, got {band!r}")
    ax = axes_or_new(ax, (6.4, 3.6))
    for i, (label, samples) in enumerate(curves.items()):
        runs = _smoothed(label, samples, smooth)
        x = np.arange(smooth, smooth + runs.shape[1])
        mean, colour = runs.mean(axis=0), COLOURS[i % len(COLOURS)]
        ax.plot(x, mean, color=colour, linestyle=DASHES[i % len(DASHES)], label=label)
        if band is not None and len(runs) > 1:
            width = (
                standard_error(runs)
                * {
                    "ci": NORMAL_95,
                    "se": 1.0,
                    "sd": np.sqrt(len(runs)),
                }[band]
            )
            ax.fill_between(x, mean - width, mean + width, color=colour, alpha=0.22, linewidth=0)
    _references(ax, reference)
    if log_y:
        ax.set_yscale("log")
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.margins(x=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if curves or reference:
        ax.legend()
    return ax


@rc_context(STYLE)
def parameter_study(
    x: ArrayLike,
    mean: ArrayLike,
    standard_error: ArrayLike | None = None,
    *,
    labels: Sequence[str],
    xlabel: str = r"Step size $\alpha$",
    ylabel: str = "RMS error (value units)",
    title: str = "",
    legend_title: str | None = None,
    ylim: tuple[float, float] | None = None,
    log_x: bool = False,
    reference: Mapping[str, float] | None = None,
    highlight: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """A measure against a parameter, one line a setting, mean ± 1.96 standard errors.

    Args:
        x: (points,) values of the parameter.
        mean: (lines, points); what is not finite or beyond ``ylim`` is cut off.
        standard_error: (lines, points) of ``mean``, or None for lines without band.
        labels: (lines,) names in the legend. More than seven lines are taken for an ordered
            family and coloured from dark to light.
        reference: label → the height of a horizontal line.
        highlight: index of a line to draw over the others, which are then thinned.
    """
    x, mean = np.asarray(x, dtype=float), np.atleast_2d(np.asarray(mean, dtype=float))
    errors = None if standard_error is None else np.atleast_2d(np.asarray(standard_error, float))
    for name, lines in (("mean", mean), ("standard_error", errors)):
        if lines is not None and lines.shape != (len(labels), len(x)):
            raise ValueError(
                f"{name}: takes shape (lines, points) = ({len(labels)}, {len(x)}), "
                f"got {lines.shape}"
            )
    ax = axes_or_new(ax, (6.4, 3.8))
    family = colormaps["viridis"](np.linspace(0, 0.9, len(labels)))
    for i, label in enumerate(labels):
        colour = COLOURS[i] if len(labels) <= len(COLOURS) else family[i]
        dim = highlight is not None and i != highlight
        curve = _within(mean[i], ylim)
        ax.plot(
            x,
            curve,
            color=colour,
            linestyle=DASHES[i % len(DASHES)],
            marker=MARKERS[i % len(MARKERS)],
            markevery=max(1, len(x) // 8),
            label=label,
            alpha=0.35 if dim else 1,
            linewidth=1.0 if dim else 1.8 if highlight is None else 3.0,
            zorder=2 if dim else 3,
        )
        if errors is not None and not dim:
            ax.fill_between(
                x,
                _within(mean[i] - NORMAL_95 * errors[i], ylim),
                _within(mean[i] + NORMAL_95 * errors[i], ylim),
                color=colour,
                alpha=0.22,
                linewidth=0,
            )
    _references(ax, reference)
    if log_x:
        ax.set_xscale("log")
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    outside: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    ax.legend(title=legend_title, **(outside if len(labels) > 5 else {}))
    return ax


@rc_context(STYLE)
def state_values(
    estimates: Mapping[str, ArrayLike],
    true_values: ArrayLike | None = None,
    *,
    states: Sequence[Any] | None = None,
    xlabel: str = "State",
    ylabel: str = "Estimated value (reward units)",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Estimates of state values along a row of states, against the true ones.

    Args:
        estimates: label → (states,).
        true_values: (states,) drawn in black, or None.
        states: (states,) names on the axis; 0, 1, … if None.
    """
    ax = axes_or_new(ax, (6.4, 3.4))
    size = 0
    for i, (label, values) in enumerate(estimates.items()):
        values = np.asarray(values, dtype=float)
        size = max(size, len(values))
        ax.plot(
            np.arange(len(values)),
            values,
            color=COLOURS[i % (len(COLOURS) - 1)],
            linestyle=DASHES[1 + i % (len(DASHES) - 1)],
            marker=MARKERS[i % len(MARKERS)],
            label=label,
        )
    if true_values is not None:
        values = np.asarray(true_values, dtype=float)
        size = max(size, len(values))
        ax.plot(np.arange(len(values)), values, color="black", label="true values", zorder=1)
    if states is not None:
        ax.set_xticks(np.arange(size), [str(state) for state in states])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend()
    return ax


@rc_context(STYLE)
def functions_of_state(
    x: ArrayLike,
    functions: Mapping[str, ArrayLike],
    true_values: ArrayLike | None = None,
    *,
    at: float | None = None,
    legend: bool = True,
    xlabel: str = "State",
    ylabel: str = "Value (reward units)",
    title: str = "",
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Functions of a state that is a number: features, values, what an update changes.

    Args:
        x: (points,) where they are known.
        functions: label → (points,). More than seven are taken for an ordered family: coloured
            from dark to light, without a legend.
        true_values: (points,) drawn in black below the others, or None.
        at: a state to mark by a vertical line.
        legend: name up to seven functions.
    """
    x = np.asarray(x, dtype=float)
    shown: dict[str, Any] = dict(functions)
    if true_values is not None:
        shown = {"true values": true_values, **shown}
    for label, values in shown.items():
        if np.shape(values) != x.shape:
            raise ValueError(
                f"{label}: takes shape (points,) = {x.shape}, as x has, got {np.shape(values)}"
            )
    ax = axes_or_new(ax, (6.4, 3.4))
    family = colormaps["viridis"](np.linspace(0, 0.9, len(functions)))
    many = len(functions) > len(COLOURS)
    for i, (label, values) in enumerate(functions.items()):
        ax.plot(
            x,
            _within(np.asarray(values, dtype=float), ylim),
            color=family[i] if many else COLOURS[i],
            linestyle="solid" if many else DASHES[i],
            label=label,
        )
    if true_values is not None:
        ax.plot(x, true_values, color="black", label="true values", zorder=1)
    if at is not None:
        ax.axvline(at, color="0.25", linestyle=DASHES[2], linewidth=1.2, zorder=1)
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.margins(x=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if legend and not many:
        ax.legend()
    return ax


@rc_context(STYLE)
def value_plane(
    feature: Point,
    points: Mapping[str, Point],
    *,
    arrows: Mapping[str, tuple[Point, Point]] | None = None,
    limits: tuple[float, float] = (-4.0, 4.0),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The values of two states as a plane, in which one feature can represent a line.

    Args:
        feature: (φ(s₁), φ(s₂)), the direction of the line of all v̂ = φw.
        points: label → (v(s₁), v(s₂)).
        arrows: label → (from, to), for example what an operator does.
        limits: both axes, of equal scale, so that a right angle looks like one.
    """
    ax = axes_or_new(ax, (4.8, 4.8))
    direction = np.asarray(feature, dtype=float)
    ends = np.outer([-1, 1], direction) * 2 * np.abs(limits).max() / np.abs(direction).max()
    ax.plot(*ends.T, color="0.45", linewidth=1.4, zorder=1, label=r"all $\hat{v} = \phi w$")
    for label, (start, end) in (arrows or {}).items():
        ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "lw": 1.4, "color": "0.25"})
        x, y = (np.asarray(start, dtype=float) + 2 * np.asarray(end)) / 3
        ax.annotate(label, (x, y), (4, 4), textcoords="offset points", color="0.25", size=10)
    for i, (label, point) in enumerate(points.items()):
        ax.plot(
            *point,
            color=COLOURS[i % len(COLOURS)],
            marker=MARKERS[i % len(MARKERS)],
            markersize=8,
            linestyle="none",
            label=label,
        )
    ax.set_aspect("equal")
    ax.set_xlim(*limits)
    ax.set_ylim(*limits)
    ax.set(xlabel=r"value of $s_1$", ylabel=r"value of $s_2$", title=title)
    ax.legend()
    return ax


@rc_context(STYLE)
def heat_map(
    values: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    path: ArrayLike | None = None,
    limits: tuple[float, float] | None = None,
    label: str = "Cost to go (steps)",
    xlabel: str = "Position",
    ylabel: str = "Velocity (per step)",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A function of two state variables as colours, with a scale beside it.

    Args:
        values: (len(x), len(y)) the function at the points (x_i, y_j); NaN is left blank.
        x, y: increasing coordinates of the points; the defaults of the labels are Mountain Car's.
        path: (steps, 2) states of an episode, drawn over the colours, its start marked.
        limits: values at the two ends of the colour scale; those of the data if None.
        label: what the colours mean.
    """
    across, up = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    grid = np.asarray(values, dtype=float)
    if grid.shape != (len(across), len(up)):
        raise ValueError(
            f"values: takes shape (len(x), len(y)) = ({len(across)}, {len(up)}), got {grid.shape}"
        )
    ax = axes_or_new(ax, (4.6, 3.4))
    low, high = limits or _range(grid)
    colours = ax.pcolormesh(
        across, up, np.ma.masked_invalid(grid.T), cmap=_VALUES, vmin=low, vmax=high
    )
    ax.grid(False)
    bar = ax.figure.colorbar(colours, ax=ax)
    bar.set_label(label)
    bar.ax.tick_params(labelsize=STYLE["font.size"])
    if path is not None:
        route = np.asarray(path, dtype=float)
        # White on black shows on every colour of the scale.
        for colour, width in (("black", 3.0), ("white", 1.4)):
            ax.plot(route[:, 0], route[:, 1], color=colour, linewidth=width)
        ax.plot(*route[0], color="white", marker="o", markersize=7, markeredgecolor="black")
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


@rc_context(STYLE)
def weight_curves(
    weights: Mapping[str, ArrayLike],
    *,
    predicted: Mapping[str, ArrayLike] | None = None,
    samples: tuple[ArrayLike, Mapping[str, ArrayLike]] | None = None,
    linear_within: float = 1.0,
    xlabel: str = "Update",
    ylabel: str = "Weight (linear near 0, then logarithmic)",
    title: str = "",
    ylim: tuple[float, float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Weights over the updates, on an axis on which exponential growth of either sign is straight.

    Args:
        weights: label → (updates + 1,) a weight before the first and after each update.
        predicted: label → (updates + 1,) what it should be, in thin black dashes.
        samples: the numbers of some updates, and label → the weight in a sampled run after them,
            as markers.
        linear_within: the axis is linear between −this and this.
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    for i, (label, line) in enumerate(weights.items()):
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(np.asarray(line), color=colour, linestyle=DASHES[i % len(DASHES)], label=label)
        if samples is not None and label in samples[1]:
            ax.plot(
                np.asarray(samples[0]),
                np.asarray(samples[1][label]),
                color=colour,
                linestyle="none",
                marker=MARKERS[i % len(MARKERS)],
            )
    for i, line in enumerate((predicted or {}).values()):
        name = "_" if i else "predicted by eigenvalues"
        ax.plot(np.asarray(line), color="black", linestyle=(0, (4, 3)), linewidth=1.0, label=name)
    ax.set_yscale("symlog", linthresh=linear_within)
    ticks = SymmetricalLogLocator(base=10, linthresh=linear_within)
    ticks.set_params(numticks=7)  # of more decades, some go without a label
    ax.yaxis.set_major_locator(ticks)
    if ylim is not None:
        ax.set_ylim(*ylim)
    ax.margins(x=0)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend(loc="lower left")
    return ax


class Backup(NamedTuple):
    """How an update looks: from the root step by step down to the leaves."""

    title: str
    target: str  # in matplotlib's mathtext
    root: str  # what is updated: "s", a state, or "a", a state and action
    steps: str  # "0", "1" or "n" steps down, or to the "end", or "lambda" for all of these
    leaves: str = ""  # below the last step: "all" values, weighed, or the "max" of them


BACKUPS = {
    "policy_evaluation": Backup(
        "Policy evaluation",
        r"$\sum_a \pi(a|s) \sum_{s',r} p(s',r|s,a)\,[r + \gamma v(s')]$",
        root="s",
        steps="0",
        leaves="all",
    ),
    "value_iteration": Backup(
        "Value iteration",
        r"$\max_a \sum_{s',r} p(s',r|s,a)\,[r + \gamma v(s')]$",
        root="s",
        steps="0",
        leaves="max",
    ),
    "td0": Backup("TD(0)", r"$r + \gamma V(s')$", root="s", steps="1"),
    "n_step_td": Backup(
        "{n}-step TD",
        r"$r_1 + \gamma r_2 + \cdots + \gamma^{n-1} r_n + \gamma^n V(s_n)$",
        root="s",
        steps="n",
    ),
    "monte_carlo": Backup(
        "Monte Carlo",
        r"$r_1 + \gamma r_2 + \gamma^2 r_3 + \cdots$ (to the end)",
        root="s",
        steps="end",
    ),
    "td_lambda": Backup(
        r"TD($\lambda$)", r"$(1-\lambda) \sum_n \lambda^{n-1} G_n$", root="s", steps="lambda"
    ),
    "sarsa": Backup("Sarsa", r"$r + \gamma Q(s', a')$", root="a", steps="1"),
    "n_step_sarsa": Backup(
        "{n}-step Sarsa",
        r"$r_1 + \cdots + \gamma^{n-1} r_n + \gamma^n Q(s_n, a_n)$",
        root="a",
        steps="n",
    ),
    "expected_sarsa": Backup(
        "Expected Sarsa",
        r"$r + \gamma \sum_a \pi(a|s')\, Q(s', a)$",
        root="a",
        steps="0",
        leaves="all",
    ),
    "q_learning": Backup(
        "Q-learning", r"$r + \gamma \max_a Q(s', a)$", root="a", steps="0", leaves="max"
    ),
    "double_q_learning": Backup(
        "Double Q-learning",
        r"$r + \gamma Q_2(s', \mathrm{argmax}_a Q_1(s', a))$",
        root="a",
        steps="0",
        leaves="max",
    ),
}


@rc_context(STYLE)
def backup_diagram(name: str, *, n: int = 4, target: bool = True, ax: Axes | None = None) -> Axes:
    """What an update looks at: the backup diagram of an algorithm.

    In the convention of Sutton & Barto (2018, sections 3.5, 7.1 and 12.1): time runs downwards,
    open circles are states, filled dots are actions, an arc joins values of which the largest is
    taken, a grey square is the end of the episode. The root is what is updated; the leaves hold the
    values that it is updated from. Long paths are broken by dots.

    Args:
        name: one of ``BACKUPS``.
        n: number of rewards in the n-step diagrams, >= 1.
        target: write the target below the diagram.
    """
    if name not in BACKUPS:
        raise ValueError(f"name: takes one of {', '.join(BACKUPS)}, got {name!r}")
    check_count("n", n)
    backup = BACKUPS[name]
    ax = axes_or_new(ax, (3.2, 4.6))
    if backup.steps == "lambda":
        bottom = _draw_lambda(ax)
    elif backup.leaves:
        bottom = _draw_tree(ax, backup.root, backup.leaves == "max")
    else:
        step = "as" if backup.root == "s" else "sa"
        path = backup.root + _steps(step, {"1": 1, "n": n, "end": 0}[backup.steps])
        bottom = _draw_path(ax, 0.0, path)
    ax.set_aspect("equal")
    ax.set_axis_off()
    # One scale for all, so that diagrams side by side, or one after the other, can be compared.
    ax.set_xlim(-2.9, 2.9)
    ax.set_ylim(-2 * _LONGEST * _DOWN - 1.3, 0.4)
    ax.set_title(backup.title.format(n=n), loc="center")
    if target:
        ax.text(0, bottom - 0.5, backup.target, ha="center", va="top", size=11)
    return ax


# -- parts of the backup diagrams ------------------------------------------------------------------

_DOWN = 0.85  # from a node to the next
_LONGEST = 4  # steps that are drawn one by one
_RADIUS = {"s": 0.26, "a": 0.12, "T": 0.24, ".": 0.0}


def _steps(step: str, n: int) -> str:
    """n steps as letters; n = 0 goes on to the end of the episode."""
    if n == 0:
        return step + ".aT"
    return step * n if n <= _LONGEST else step * 2 + "." + step


def _draw_path(ax: Axes, x: float, path: str) -> float:
    """Draw a path downwards from y = 0; returns the y of its end."""
    previous = None
    for i, kind in enumerate(path):
        y = -_DOWN * i
        if kind == ".":
            ax.plot([x] * 3, y + np.array([0.22, 0, -0.22]), "k.", markersize=3)
        else:
            _draw_node(ax, x, y, kind)
        if previous not in (None, ".") and kind != ".":
            _draw_edge(ax, (x, y + _DOWN), (x, y), str(previous), kind)
        previous = kind
    return -_DOWN * (len(path) - 1)


def _draw_tree(ax: Axes, root: str, maximum: bool) -> float:
    """A root, all that can follow, and what can follow that; returns the y of the leaves.

    From a state all actions branch off and from each of them the states; from an action only one
    state is seen, from which all actions branch off.
    """
    _draw_node(ax, 0, 0, root)
    top = 0.0
    if root == "a":
        top = -_DOWN
        _draw_node(ax, 0, top, "s")
        _draw_edge(ax, (0, 0), (0, top), "a", "s")
    actions = [(x, top - 1.2 * _DOWN) for x in ((-1.5, 0.0, 1.5) if root == "s" else (-1, 0, 1))]
    for x, y in actions:
        _draw_node(ax, x, y, "a")
        _draw_edge(ax, (0, top), (x, y), "s", "a")
        for side in (-0.4, 0.4) if root == "s" else ():
            _draw_node(ax, x + side, y - 1.1 * _DOWN, "s")
            _draw_edge(ax, (x, y), (x + side, y - 1.1 * _DOWN), "a", "s")
    if maximum:
        x, y = actions[-1]
        angle = np.degrees(np.arctan2(y - top, x))
        ax.add_patch(Arc((0, top), 1.4, 1.4, theta1=-180 - angle, theta2=angle, linewidth=1.6))
    return actions[0][1] - (1.1 * _DOWN if root == "s" else 0)


def _draw_lambda(ax: Axes) -> float:
    """All n-step targets side by side with their weights; returns the y of the end."""
    columns = (
        (-2.4, "s" + _steps("as", 1), r"$1-\lambda$"),
        (-0.8, "s" + _steps("as", 2), r"$(1-\lambda)\lambda$"),
        (0.8, "", r"$\cdots$"),
        (2.4, "s" + _steps("as", 0), r"$\lambda^{T-t-1}$"),
    )
    ends = [_draw_path(ax, x, path) if path else 0.0 for x, path, _ in columns]
    for x, _, weight in columns:
        ax.text(x, min(ends) - 0.75, weight, ha="center", va="center")
    return min(ends) - 0.7


def _draw_node(ax: Axes, x: float, y: float, kind: str) -> None:
    radius = _RADIUS[kind]
    if kind == "T":
        ax.add_patch(
            Rectangle((x - radius, y - radius), 2 * radius, 2 * radius, fc="0.75", ec="k", lw=1.4)
        )
    else:
        ax.add_patch(Circle((x, y), radius, fc="white" if kind == "s" else "k", ec="k", lw=1.4))


def _draw_edge(ax: Axes, start: Point, end: Point, above: str, below: str) -> None:
    (x0, y0), (x1, y1) = start, end
    length = np.hypot(x1 - x0, y1 - y0)
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    top, bottom = _RADIUS[above], _RADIUS[below]
    ax.plot(
        [x0 + ux * top, x1 - ux * bottom], [y0 + uy * top, y1 - uy * bottom], "k-", lw=1.3, zorder=1
    )


# -- what the figures share ------------------------------------------------------------------------

_VALUES = "viridis"

# Black and white ink stand out equally from a background of this luminance (WCAG 2.1).
_EVEN_CONTRAST = 0.179


def axes_or_new(ax: Axes | None, size: tuple[float, float]) -> Axes:
    """The Axes to draw into; a new figure of so many inches if there are none."""
    if ax is None:
        return plt.subplots(figsize=size, layout="constrained")[1]
    # Axes that were made elsewhere did not hear of the style.
    ax.grid(STYLE["axes.grid"], alpha=STYLE["grid.alpha"])
    ax.set_axisbelow(STYLE["axes.axisbelow"])
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=STYLE["font.size"])
    return ax


def _shape(layout: Layout) -> Cell:
    if not isinstance(layout, Layout):
        raise TypeError(f"layout: takes a Layout, got {type(layout).__name__}")
    return layout.shape


def _per_state(name: str, array: ArrayLike, layout: Layout) -> Floats:
    numbers = np.asarray(array, dtype=float)
    size = layout.shape[0] * layout.shape[1]
    wanted = (size,) if name == "values" else (size, len(layout.moves))
    if numbers.shape != wanted:
        raise ValueError(f"{name}: takes shape {wanted}, as its layout says, got {numbers.shape}")
    return numbers


def _range(grid: Floats) -> tuple[float, float]:
    known = grid[np.isfinite(grid)]
    if not known.size:
        return 0.0, 1.0
    low, high = float(known.min()), float(known.max())
    return (low, high) if high - low > 1e-12 else (low - 0.5, high + 0.5)


def mark(number: int) -> dict[str, Any]:
    """Colour and marker of a curve or a group of points; hollow, once all colours are taken."""
    colour = COLOURS[number % len(COLOURS)]
    inside = colour if number < len(COLOURS) else "white"
    return {
        "color": colour,
        "marker": MARKERS[number % len(MARKERS)],
        "markerfacecolor": inside,
    }


def ink_on(rgba: Floats) -> NDArray[np.str_]:
    """The ink, black or white, that stands out more from each background (…, 3 or 4)."""
    return np.where(_luminance(rgba) > _EVEN_CONTRAST, "black", "white")


def _luminance(rgba: Floats) -> Floats:
    """Relative luminance of colours (W3C, WCAG 2.1, with gamma 2.2)."""
    return np.asarray(rgba[..., :3] ** 2.2 @ np.array([0.2126, 0.7152, 0.0722]))


def _font_size(ax: Axes, rows: int, columns: int) -> float:
    """Points that let five characters fit into half of a cell's width."""
    box = ax.get_window_extent()
    cell = min(box.width / columns, box.height / rows) / ax.figure.dpi  # inches
    return float(np.clip(72 * cell * 0.2, 5.5, 10))


def _arrows(ax: Axes, policy: Floats, layout: Layout, ink: Any, shown: Any) -> None:
    columns = layout.shape[1]
    state, action = np.nonzero((policy > 1e-12) & shown.reshape(-1, 1))
    row, column = np.divmod(state, columns)
    down, right = np.asarray(layout.moves, dtype=float)[action].T
    share = policy[state, action] / policy[state].max(axis=1)
    colour = ink[row, column]
    moves = (down != 0) | (right != 0)
    norm = np.maximum(np.hypot(right, down), 1)
    length = 0.17 * (0.4 + 0.6 * share)
    x, y = column + 0.385 * right, row + 0.385 * down
    ax.quiver(
        x[moves],
        y[moves],
        (length * right / norm)[moves],
        (length * down / norm)[moves],
        color=colour[moves],
        angles="xy",
        scale_units="xy",
        scale=1,
        units="x",
        width=0.032,
        headwidth=4,
        headlength=3.5,
        headaxislength=3.5,
        minlength=0,
        pivot="middle",
    )
    stays = ~moves
    if stays.any():
        ax.scatter(x[stays], y[stays] - 0.25, s=6 + 14 * share[stays], c=colour[stays])


def _frame(ax: Axes, cell: Cell, inset: float = 0.0, **style: Any) -> None:
    side = 1 - 2 * inset
    corner = (cell[1] - 0.5 + inset, cell[0] - 0.5 + inset)
    style.setdefault("facecolor", "none")
    ax.add_patch(Rectangle(corner, side, side, **style))


def _grid_lines(ax: Axes, rows: int, columns: int) -> None:
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])
    line: dict[str, Any] = {"color": "0.5", "linewidth": 0.5, "alpha": 0.6}
    ax.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, **line)
    ax.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, **line)
    ax.set_xlim(-0.5, columns - 0.5)
    ax.set_ylim(rows - 0.5, -0.5)
    for edge in ax.spines.values():
        edge.set_visible(True)


def _smoothed(label: str, samples: ArrayLike, smooth: int) -> Floats:
    runs = np.atleast_2d(np.asarray(samples, dtype=float))
    if runs.ndim != 2 or runs.size == 0:
        raise ValueError(
            f"curves[{label!r}]: takes shape (runs, episodes) or (episodes,), got {runs.shape}"
        )
    if not 1 <= smooth <= runs.shape[1]:
        raise ValueError(f"smooth: takes a whole number in 1 … {runs.shape[1]}, got {smooth!r}")
    if smooth == 1:
        return runs
    return np.asarray(np.lib.stride_tricks.sliding_window_view(runs, smooth, axis=1).mean(axis=2))


def _within(line: Floats, ylim: tuple[float, float] | None) -> Floats:
    """The line without what is not finite or so far out that it would overflow the drawing."""
    if ylim is None:
        return np.where(np.isfinite(line), line, np.nan)
    room = 10 * (ylim[1] - ylim[0])
    return np.clip(np.nan_to_num(line, posinf=np.inf), ylim[0] - room, ylim[1] + room)


def _references(ax: Axes, reference: Mapping[str, float] | None) -> None:
    for i, (label, height) in enumerate((reference or {}).items()):
        ax.axhline(
            height, color="0.25", linestyle=DASHES[1:][i % 3], linewidth=1.2, label=label, zorder=1
        )
