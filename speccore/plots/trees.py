"""Figures of chapter 16: a token tree, its mask, what siblings give, and what a budget gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new
from speccore.decoding.tree import ROOT, TokenTree

_KEPT, _GUESS, _ROOT = COLOURS[2], COLOURS[5], "0.85"


@rc_context(STYLE)
def token_tree(
    tree: TokenTree,
    labels: Sequence[str],
    *,
    kept: Sequence[int] = (),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """A tree from left to right, one column a depth, with the number of each node beside it.

    Args:
        tree: n nodes.
        labels: (n,) what stands in each node: its token.
        kept: nodes of the accepted path, drawn in another colour.
    """
    if len(labels) != len(tree):
        raise ValueError(f"labels: takes one for each of the {len(tree)} nodes, got {len(labels)}")
    ax = axes_or_new(ax, (4.8, 3.4))
    across = np.array([0, *tree.depths])
    down = _rows(tree)
    for node in range(len(tree)):
        parent = int(tree.parents[node])
        chosen = node in kept
        ax.plot(
            across[[parent + 1, node + 1]],
            down[[parent + 1, node + 1]],
            color=_KEPT if chosen else "0.6",
            linewidth=2.4 if chosen else 1.2,
            zorder=1,
        )
    for row, label in enumerate(("root", *labels)):
        node = row - 1
        colour = _ROOT if node == ROOT else _KEPT if node in kept else _GUESS
        ax.text(
            across[row],
            down[row],
            label,
            ha="center",
            va="center",
            size=9,
            family="monospace",
            color="white" if node in kept else "black",
            bbox={"boxstyle": "round,pad=0.3", "facecolor": colour, "edgecolor": "0.4"},
        )
        if node != ROOT:
            ax.annotate(
                str(node),
                (across[row], down[row]),
                xytext=(0, 10),
                textcoords="offset points",
                ha="center",
                va="bottom",
                size=7,
                color="0.35",
            )
    ax.set_xlim(-0.5, max(2, across.max()) + 0.5)
    ax.set_ylim(max(down.max(), 1.0) + 0.6, -0.8)
    ax.set_xticks(range(max(2, int(across.max())) + 1))
    ax.set_yticks([])
    ax.grid(False)
    ax.spines["left"].set_visible(False)
    ax.set(xlabel="Depth = position after the root", title=title)
    return ax


@rc_context(STYLE)
def tree_mask(
    mask: ArrayLike,
    labels: Sequence[str],
    *,
    kept: Sequence[int] = (),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Who sees whom in the verifying pass: a filled square where the row sees the column.

    Args:
        mask: (n + 1, n + 1) booleans, the root first.
        labels: (n,) tokens of the nodes.
        kept: nodes of the accepted path, drawn in another colour.
    """
    seen = np.asarray(mask, dtype=bool)
    count = len(labels) + 1
    if seen.shape != (count, count):
        raise ValueError(f"mask: takes shape {(count, count)}, got {seen.shape}")
    ax = axes_or_new(ax, (3.6, 3.4))
    rows = np.isin(np.arange(count) - 1, kept)
    picture = np.ones((count, count, 3))
    picture[seen] = _rgb(_GUESS)
    picture[seen & rows[:, None]] = _rgb(_KEPT)
    ax.imshow(picture)
    ax.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    ax.grid(False)
    ax.grid(True, which="minor", color="0.8", linewidth=0.6)
    ax.tick_params(which="both", length=0)
    size = 8 if count <= 14 else 6
    numbers = ["", *map(str, range(len(labels)))]
    names = [
        f"{label} {number}".strip()
        for label, number in zip(("root", *labels), numbers, strict=True)
    ]
    ax.set_xticks(range(count), numbers, size=size)
    ax.set_yticks(range(count), names, family="monospace", size=size)
    ax.spines[:].set_visible(False)
    ax.set(xlabel="looks at node", title=title)
    return ax


@rc_context(STYLE)
def acceptance_curves(
    siblings: ArrayLike,
    curves: Mapping[str, ArrayLike],
    *,
    legend: bool = True,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How often one of several siblings is kept, over their number: means of pairs of laws.

    Args:
        siblings: (points,) numbers of siblings.
        curves: name of a scheme → (pairs, points) probabilities.
        legend: whether to name the schemes; once is enough in a row of figures.
    """
    ax = axes_or_new(ax, (6.4, 3.6))
    x = np.asarray(siblings, dtype=float)
    for i, (label, values) in enumerate(curves.items()):
        pairs = np.asarray(values, dtype=float)
        if pairs.ndim != 2 or pairs.shape[1] != len(x):
            raise ValueError(
                f"curves: takes shape (pairs, points) = (pairs, {len(x)}) for {label!r}, "
                f"got {pairs.shape}"
            )
        ax.plot(
            x,
            pairs.mean(axis=0),
            color=COLOURS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            label=label,
        )
    ax.set_xticks(x)
    ax.set_ylim(0, 1.03)
    ax.set(xlabel="Siblings", ylabel="P(one of them is kept)", title=title)
    if legend:
        ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def budget_curves(
    curves: Mapping[str, ArrayLike],
    *,
    ylabel: str,
    marks: Mapping[str, int] | None = None,
    level: float | None = None,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """What drafts of 0, 1, 2, … nodes give.

    Args:
        curves: name → (nodes + 1,) values, the first one without a draft.
        ylabel: what they are.
        marks: name → number of nodes at which its curve gets a ring.
        level: a horizontal line: plain decoding.
        legend: whether to name the curves.
    """
    ax = axes_or_new(ax, (6.4, 3.4))
    for i, (label, values) in enumerate(curves.items()):
        heights = np.asarray(values, dtype=float)
        ax.plot(heights, color=COLOURS[i], linestyle=DASHES[i], label=label)
        if marks and label in marks:
            ax.plot(
                marks[label],
                heights[marks[label]],
                color=COLOURS[i],
                marker="o",
                markersize=9,
                markerfacecolor="none",
                markeredgewidth=2,
                linestyle="none",
            )
    if level is not None:
        ax.axhline(level, color="0.5", linewidth=1, linestyle=(0, (2, 2)))
    ax.margins(x=0.02)
    ax.set(xlabel="Nodes of the draft", ylabel=ylabel, title=title)
    if legend:
        ax.legend()
    return ax


def _rows(tree: TokenTree) -> np.ndarray:
    """(n + 1,) vertical places: leaves below each other, parents amid their children."""
    places = np.zeros(len(tree) + 1)
    leaves = 0

    def place(node: int) -> float:
        nonlocal leaves
        children = tree.children(node)
        if children:
            below = [place(child) for child in children]
            places[node + 1] = (below[0] + below[-1]) / 2
        else:
            places[node + 1] = leaves
            leaves += 1
        return float(places[node + 1])

    place(ROOT)
    return places


def _rgb(colour: str) -> tuple[float, ...]:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def byte_labels(tokens: Sequence[int]) -> list[str]:
    """How bytes are written in a figure: a letter as it is, a space as ``' '``, others escaped."""
    return ["' '" if token == 32 else repr(bytes([token]))[2:-1] for token in tokens]


def shortened(text: str, longest: int = 32) -> str:
    """The end of a text on one line."""
    line = repr(text)[1:-1]
    return line if len(line) <= longest else "…" + line[1 - longest :]
