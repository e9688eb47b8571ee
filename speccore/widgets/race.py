"""The widget of chapter 19: a race that was run, at any moment of it."""

from __future__ import annotations

from textwrap import shorten

import numpy as np
from matplotlib.figure import Figure

from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.race import PLAIN, REAL, Race, Run, progress_at, stored

COLUMNS, ROWS = 50, 13


def race(run: Race | None = None) -> Panel:
    """A text as one method writes it, and how far all methods have come at the same moment.

    The times are those of the stored race, step by step; nothing is decoded here.

    Args:
        run: a race; None for that of the real model in ``race.RESULTS``.
    """
    given = stored()[REAL] if run is None else run
    names = [PLAIN, *given.methods]
    longest = max(len(each.output.tokens) for each in given.runs[PLAIN])

    def draw(prompt: int, method: str, moment: int) -> Figure:
        seconds = _moment(given.runs[PLAIN][prompt], moment)
        shown = given.runs[method][prompt]
        count = progress_at(shown, seconds)
        figure = blank_figure(height=330)
        plots.written_tokens(
            [given.vocabulary[token] for token in shown.output.tokens[:count]],
            shown.output.was_guessed[:count],
            columns=COLUMNS,
            rows=ROWS,
            title=f"{method}: {count} tokens in the time of {moment} plain steps",
            ax=figure.add_axes((0.01, 0.12, 0.59, 0.77)),
        )
        plots.progress_bars(
            {name: progress_at(given.runs[name][prompt], seconds) for name in names},
            len(given.runs[PLAIN][prompt].output.tokens),
            chosen=method,
            ax=figure.add_axes((0.77, 0.15, 0.21, 0.74)),
        )
        return figure

    labels = [
        (shorten(f"{each.kind}: {each.text}", 48, placeholder=" …"), n)
        for n, each in enumerate(given.prompts)
    ]
    return panel(
        draw,
        hint="Drag the time from 0 to the end, or click it and hold an arrow key. Expect blue runs "
        "where an answer repeats its prompt, and hardly any in a story. Then change the method: "
        "the text stays, the colours and the pace change.",
        alt="The tokens that a method has written so far, blue where they were guessed and orange "
        "where they are the target's own, and bars of how many tokens each method has written.",
        prompt=choice("prompt", 0, labels),
        method=choice("method", names[-1], names),
        moment=slider("time", longest // 2, 0, longest, 1),
    )


def _moment(plain: Run, steps: int) -> float:
    """Seconds of so many steps of plain decoding; behind its end, at its mean pace."""
    times = np.array(plain.step_seconds)
    return float(times[:steps].sum() + max(0, steps - len(times)) * times.mean())
