"""Figures of chapter 17: what heads cannot know, what their candidates are worth, what is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new
from speccore.decoding.tree import TokenTree
from speccore.plots.trees import token_tree


@rc_context(STYLE)
def pair_law(
    law: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    ylabel: str = "Next token",
    xlabel: str = "The one after it",
    percent: bool = True,
    limit: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A table of probabilities as colours, with the numbers that are 1 % or more.

    Args:
        law: (R, C) probabilities.
        rows, columns: names of the tokens.
        percent: whether the numbers are written in percent; else as they are, all of them.
        limit: probability of the darkest colour; None for the largest of the law.
    """
    table = np.asarray(law, dtype=float)
    if table.shape != (len(rows), len(columns)):
        raise ValueError(f"law: takes shape {(len(rows), len(columns))}, got {table.shape}")
    ax = axes_or_new(ax, (4.4, 3.6))
    most = float(table.max()) if limit is None else limit
    ax.imshow(table, cmap="Blues", vmin=0.0, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        if percent and value < 0.01:
            continue
        ax.text(
            column,
            row,
            f"{100 * value:.0f}" if percent else f"{value:.2f}",
            ha="center",
            va="center",
            size=8,
            color="white" if value > 0.6 * most else "black",
        )
    ax.set_xticks(range(len(columns)), columns, family="monospace")
    ax.set_yticks(range(len(rows)), rows, family="monospace")
    ax.tick_params(length=0)
    ax.grid(False)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


@rc_context(STYLE)
def tree_budget(
    grown: ArrayLike,
    products: Mapping[str, tuple[int, float]],
    *,
    measured: Mapping[str, Mapping[int, float]] | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Tokens a step over the nodes of a tree: the grown tree as a line, Cartesian ones as points.

    Args:
        grown: (nodes + 1,) expected tokens of the grown tree, the first one without a draft.
        products: widths, such as "3·2·1" → nodes and expected tokens.
        measured: name of a series → nodes → tokens a step; drawn as open marks.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    heights = np.asarray(grown, dtype=float)
    ax.plot(heights, color=COLOURS[0], linestyle=DASHES[0], label="grown from the accuracies")
    if products:
        nodes, tokens = zip(*products.values(), strict=True)
        ax.plot(
            nodes,
            tokens,
            linestyle="none",
            marker=MARKERS[2],
            markersize=5,
            alpha=0.6,
            color=COLOURS[1],
            label="Cartesian products",
        )
    for i, (name, found) in enumerate((measured or {}).items()):
        ax.plot(
            list(found),
            list(found.values()),
            linestyle="none",
            marker=MARKERS[i],
            markersize=8,
            markerfacecolor="none",
            markeredgewidth=1.6,
            color=COLOURS[i + 2],
            label=name,
        )
    ax.set(xlabel="Nodes of the tree", ylabel="Tokens per step", title=title)
    ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def typical_threshold(
    settings: Mapping[str, tuple[float, float]],
    *,
    largest: float = 5.0,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """The least probability that typical acceptance asks for, over the entropy of the law.

    Args:
        settings: label → (ε, δ).
        largest: entropy at the right edge, in nats.
    """
    ax = axes_or_new(ax, (6.4, 3.2))
    entropy = np.linspace(0.0, largest, 201)
    ax.plot(entropy, np.exp(-entropy), color="0.6", linewidth=1, label=r"$e^{-H}$")
    for i, (label, (epsilon, delta)) in enumerate(settings.items()):
        least = np.minimum(epsilon, delta * np.exp(-entropy))
        ax.plot(entropy, least, color=COLOURS[i], linestyle=DASHES[i], label=label)
    ax.set_yscale("log")
    ax.set(xlabel="Entropy $H$ of the target's law (nats)", ylabel="Least $p(x)$", title=title)
    ax.legend(loc="lower left")
    return ax


@rc_context(STYLE)
def acceptance_trade_off(
    points: Mapping[str, tuple[float, float]],
    *,
    line: Sequence[str] = (),
    xlabel: str = "Tokens per step",
    ylabel: str = r"Mean $-\log p$ of the text (nats)",
    level: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """What rules give, against what they take from the text, a named point each.

    Args:
        points: name → (tokens a step, a measure of the text).
        line: names that are joined by a line, in this order: one rule with several settings.
        level: a horizontal line: the measure of the target's own samples.
    """
    unknown = set(line) - set(points)
    if unknown:
        raise ValueError(f"line: takes names of points, got {sorted(unknown)}")
    ax = axes_or_new(ax, (6.4, 3.8))
    if line:
        x, y = zip(*(points[name] for name in line), strict=True)
        ax.plot(x, y, color=COLOURS[1], linestyle=DASHES[1], marker=MARKERS[1])
    others = [name for name in points if name not in line]
    for i, name in enumerate(others):
        ax.plot(
            *points[name],
            linestyle="none",
            marker=MARKERS[2 * i % len(MARKERS)],
            markersize=9,
            color=COLOURS[2 * i % len(COLOURS)],
        )
    for i, (name, place) in enumerate(points.items()):  # in turns, as neighbours may be close
        offset, side = ((7, -12), "left") if i % 2 else ((-7, 5), "right")
        ax.annotate(name, place, offset, textcoords="offset points", ha=side, size=8)
    if level is not None:
        ax.axhline(level, color="0.5", linewidth=1, linestyle=DASHES[2])
    ax.margins(x=0.22, y=0.15)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


@rc_context(STYLE)
def judged_tree(
    tree: TokenTree,
    tokens: Sequence[str],
    probabilities: ArrayLike,
    *,
    kept: Sequence[int] = (),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A tree of guesses with what the target gives each of them, and the path that is kept.

    Args:
        tree: n nodes.
        tokens: (n,) the guesses.
        probabilities: (n,) p of each guess after its parent; written in percent.
        kept: nodes of the accepted path.
    """
    p = np.asarray(probabilities, dtype=float)
    if p.shape != (len(tree),):
        raise ValueError(f"probabilities: takes shape ({len(tree)},), got {p.shape}")
    shares = ("<1" if value < 0.01 else f"{100 * value:.0f}" for value in p)
    labels = [f"{token} {share}%" for token, share in zip(tokens, shares, strict=True)]
    return token_tree(tree, labels, kept=kept, title=title, ax=ax)
