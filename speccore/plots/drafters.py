"""Figures of chapter 15: who guessed a text, what guesses are worth and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from rlcore.plots import COLOURS, DASHES, MARKERS, STYLE, axes_or_new

GUESSED, BY_TARGET = COLOURS[5], COLOURS[1]  # apart in grey, too
GIVEN = "0.93"


@rc_context(STYLE)
def guessed_text(
    letters: Sequence[str],
    guessed: Sequence[bool],
    *,
    prompt: str = "",
    columns: int = 72,
    rows: int | None = None,
    title: str = "",
    legend: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """A text, letter by letter, coloured by who wrote each.

    Args:
        letters: (n,) the text of each token; a line break is shown as a backslash and an n, other
            letters that do not print as a dot.
        guessed: (n,) whether a drafter guessed the token.
        prompt: what stands before, grey.
        columns: letters a row.
        rows: height of the picture in rows, None for as many as the text needs.
        legend: whether to explain the colours.

    Raises:
        ValueError: one of the two is longer.
    """
    if len(letters) != len(guessed):
        raise ValueError(f"guessed: takes {len(letters)} values, got {len(guessed)}")
    cells = [(letter, GIVEN) for letter in prompt]
    cells += [
        (letter, GUESSED if each else BY_TARGET)
        for letter, each in zip(letters, guessed, strict=True)
    ]
    needed = -(-len(cells) // columns)
    height = needed if rows is None else rows
    ax = axes_or_new(ax, (9.0, 0.6 + 0.24 * height))
    for place, (letter, colour) in enumerate(cells):
        row, column = divmod(place, columns)
        box = Rectangle((column, row), 1, 1, facecolor=colour, edgecolor="white", linewidth=0.5)
        ax.add_patch(box)
        ax.text(
            column + 0.5,
            row + 0.52,
            _printable(letter),
            ha="center",
            va="center",
            family="monospace",
            size=8,
            parse_math=False,
        )
    ax.set(xlim=(0, columns), ylim=(height, 0), xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    ax.set_title(title)
    if legend:
        looks = {"prompt": GIVEN, "guessed": GUESSED, "by the target": BY_TARGET}
        ax.legend(
            handles=[Patch(color=colour, label=name) for name, colour in looks.items()],
            loc="upper left",
            bbox_to_anchor=(0.0, 0.0),
            ncols=3,
        )
    return ax


def _printable(letter: str) -> str:
    if letter == "\n":
        return r"\n"
    return letter if letter.isascii() and letter.isprintable() else "·"


@rc_context(STYLE)
def acceptance_and_cost(
    costs: ArrayLike,
    acceptance: ArrayLike,
    names: Sequence[str],
    *,
    measured: ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """How often a guess is kept, over what it costs; above the diagonal a draft pays.

    Args:
        costs: (n,) c, a guess over a pass of the target.
        acceptance: (n,) α in [0, 1].
        names: (n,) written beside the points.
        measured: (n,) c as measured here; None to leave them out.
    """
    ax = axes_or_new(ax, (5.6, 4.0))
    c, alpha = np.asarray(costs, dtype=float), np.asarray(acceptance, dtype=float)
    ax.fill_between([0, 1], [0, 1], 1, color=COLOURS[2], alpha=0.10, linewidth=0)
    ax.plot([0, 1], [0, 1], color="0.5", linewidth=1, linestyle=DASHES[1])
    ax.text(0.88, 0.80, r"$\alpha = c$", color="0.35", ha="left", va="top")
    if measured is not None:
        real = np.asarray(measured, dtype=float)
        ax.hlines(alpha, np.minimum(c, real), np.maximum(c, real), color="0.6", linewidth=1)
        ax.plot(
            real,
            alpha,
            linestyle="none",
            marker=MARKERS[1],
            color=COLOURS[1],
            markerfacecolor="white",
            label="cost measured here",
        )
    ax.plot(c, alpha, linestyle="none", marker=MARKERS[0], color=COLOURS[0], label="cost counted")
    for place, (x, y, name) in enumerate(sorted(zip(c, alpha, names, strict=True))):
        height = 6 if place else -14  # the cheapest one's neighbour needs the place above it
        ax.annotate(name, (x, y), (3, height), textcoords="offset points", size=8)
    ax.set(xlim=(-0.03, 1), ylim=(0, 1.05), title=title)
    ax.set(xlabel=r"Cost of a guess, $c$ (passes of the target)")
    ax.set(ylabel=r"Acceptance rate $\alpha$")
    ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def iterations(
    right: ArrayLike, verified: Sequence[int], *, title: str = "", ax: Axes | None = None
) -> Axes:
    """Guesses for the coming tokens, iteration by iteration, and which of them are right.

    Args:
        right: (iterations, tokens) whether a token is that of greedy decoding.
        verified: (iterations,) how many first tokens are certain after each iteration.
    """
    found = np.asarray(right, dtype=bool)
    ax = axes_or_new(ax, (6.4, 0.9 + 0.17 * len(found)))
    for row, count in enumerate(verified):
        for column in range(found.shape[1]):
            colour = GUESSED if found[row, column] else GIVEN
            colour = COLOURS[0] if column < count else colour
            ax.add_patch(Rectangle((column + 0.54, row + 0.54), 0.92, 0.92, facecolor=colour))
    ax.set(xlim=(0.5, found.shape[1] + 0.5), ylim=(len(found) + 0.5, 0.5))
    ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.grid(False)
    ax.set(xlabel="Token", ylabel="Iteration", title=title)
    looks = {"certain": COLOURS[0], "right, not yet known": GUESSED, "wrong": GIVEN}
    ax.legend(
        handles=[Patch(color=colour, label=name) for name, colour in looks.items()],
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
    )
    return ax


@rc_context(STYLE)
def draft_trade_off(
    curves: Mapping[str, Sequence[tuple[str, float, float]]],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Tokens a step over guesses in vain, for the settings of each way to draft.

    Args:
        curves: label → points (setting, guesses rejected a token, tokens a step).
    """
    ax = axes_or_new(ax, (6.4, 3.8))
    for i, (label, points) in enumerate(curves.items()):
        names, wasted, tokens = zip(*points, strict=True)
        ax.plot(
            wasted, tokens, color=COLOURS[i], linestyle=DASHES[i], marker=MARKERS[i], label=label
        )
        for name, x, y in zip(names, wasted, tokens, strict=True):
            offset, side = ((-5, 4), "right") if i else ((5, -10), "left")
            ax.annotate(
                name, (x, y), offset, textcoords="offset points", ha=side, size=8, color=COLOURS[i]
            )
    ax.margins(0.12)
    ax.set(xlabel="Guesses in vain, a token", ylabel="Tokens a step", title=title)
    ax.legend(loc="lower right")
    return ax


@rc_context(STYLE)
def spread_by_group(
    samples: Mapping[str, Mapping[str, Sequence[float]]],
    *,
    xlabel: str,
    reference: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Rows of means, one marker a group, with a line from the smallest to the largest.

    Args:
        samples: name of a group → (label of a row → measurements); the same rows in each.
        reference: drawn as a vertical line.
    """
    rows = list(next(iter(samples.values())))
    ax = axes_or_new(ax, (6.4, 1.0 + 0.42 * len(rows)))
    for i, (group, measured) in enumerate(samples.items()):
        values = [np.asarray(measured[row], dtype=float) for row in rows]
        places = np.arange(len(rows)) + 0.22 * (i - (len(samples) - 1) / 2)
        low, high = [each.min() for each in values], [each.max() for each in values]
        ax.hlines(places, low, high, color=COLOURS[i], linewidth=1.2, alpha=0.6)
        ax.plot(
            [each.mean() for each in values],
            places,
            linestyle="none",
            marker=MARKERS[i],
            markersize=6,
            color=COLOURS[i],
            label=group,
        )
    if reference is not None:
        ax.axvline(reference, color="0.5", linewidth=1, linestyle=DASHES[1])
    ax.set_yticks(np.arange(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set(xlabel=xlabel, title=title)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


@rc_context(STYLE)
def break_even(
    costs: Mapping[str, ArrayLike],
    tokens: Mapping[str, ArrayLike],
    groups: Sequence[str],
    *,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Tokens of a step over its price; above the diagonal drafting is faster than plain decoding.

    Args:
        costs: label of a drafter → (groups,) time of a step, in steps of plain decoding. Its
            points have its colour, and its number in this order.
        tokens: label of a drafter → (groups,) tokens a step.
        groups: names, one marker each.
    """
    ax = axes_or_new(ax, (6.4, 4.2))
    far = 1.08 * max(1.5, *(float(np.max(each)) for each in (*costs.values(), *tokens.values())))
    ax.fill_between([0, far], [0, far], far, color=COLOURS[2], alpha=0.10, linewidth=0)
    ax.plot([0, far], [0, far], color="0.5", linewidth=1, linestyle=DASHES[1])
    for i, label in enumerate(costs):
        colour = COLOURS[i % len(COLOURS)]
        for k, (x, y) in enumerate(
            zip(_numbers(costs[label]), _numbers(tokens[label]), strict=True)
        ):
            filled = colour if i < len(COLOURS) else "white"
            ax.plot(x, y, marker=MARKERS[k], color=colour, markerfacecolor=filled, markersize=6)
            ax.annotate(str(i + 1), (x, y), (4, 3), textcoords="offset points", fontsize=7)
    drawn = [
        ax.plot([], [], "o", color=COLOURS[i % len(COLOURS)], label=f"{i + 1} {label}")[0]
        for i, label in enumerate(costs)
    ]
    for i, line in enumerate(drawn):
        line.set_markerfacecolor(COLOURS[i] if i < len(COLOURS) else "white")
    shapes = [
        ax.plot([], [], MARKERS[k], color="0.35", label=group)[0] for k, group in enumerate(groups)
    ]
    ax.set(xlim=(0, far), ylim=(0, far), title=title)
    ax.set(xlabel="Time of a step (steps of plain decoding)", ylabel="Tokens a step")
    ax.legend(handles=[*drawn, *shapes], loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _numbers(values: ArrayLike) -> list[float]:
    return [float(each) for each in np.asarray(values, dtype=float)]
