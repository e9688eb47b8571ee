"""The widgets of chapter 14: two real laws and their overlap, and what a draft is worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure

from rlcore.validation import Floats
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import acceptance_rate, best_draft_length, speedup
from speccore.models.pretrained import load
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer

TEXT = "def mean(values):\n    total = 0\n    for value in values:\n        total += value\n"
SHORTEST = 4  # tokens of the text that are always read
LONGEST_DRAFT = 16
ALPHAS = np.linspace(0.0, 0.99, 100)

NAMES = tuple(plots.byte_labels(range(ByteTokenizer.vocab_size)))


def acceptance(
    target: Transformer | None = None, draft: Transformer | None = None, text: str = TEXT
) -> Panel:
    """Two models' laws of the next byte of a text: what is kept, rejected and drawn instead.

    Args:
        target, draft: models over bytes; None for those of the course.
        text: read by both, from its beginning to the place that the reader chooses.
    """
    if len(text.encode()) <= SHORTEST:
        raise ValueError(f"text: takes more than {SHORTEST} bytes, got {text!r}")
    ids = ByteTokenizer().encode(text)
    scores = [
        _scores(model or _course_model(name), ids)
        for model, name in ((target, "course-target"), (draft, "course-draft"))
    ]

    def draw(place: int, temperature: float, mix: float) -> Figure:
        p, alone = (Sampling(temperature).law(each[place - 1]) for each in scores)
        q = (1.0 - mix) * alone + mix * p
        before = text.encode()[max(0, place - 18) : place].decode(errors="replace")
        figure = blank_figure(height=380)
        plots.overlap(
            p,
            q,
            NAMES,
            title=f"after {_on_one_line(before)} (byte {place}), T = {temperature:g}, "
            rf"mix {mix:.1f}: $\beta$ = {acceptance_rate(p, q):.3f}",
            ax=figure.add_axes((0.09, 0.13, 0.89, 0.78)),
        )
        return figure

    return panel(
        draw,
        hint="Walk through the text and see where the models agree and where they do not. Then mix "
        "the target into the draft: the coloured parts shrink together.",
        alt="Bars of the probabilities of the next byte: the part that target and draft have in "
        "common, the part of the target alone, and the part of the draft alone.",
        place=slider("bytes read", min(28, len(ids)), SHORTEST, len(ids), 1),
        temperature=choice("temperature", 1.0, [0.0, 0.3, 0.7, 1.0, 1.5], ordered=True),
        mix=slider("target mixed into draft", 0.0, 0.0, 1.0, 0.1),
    )


def draft_value(measured: tuple[float, int] | None = None) -> Panel:
    """Speed-up over acceptance rate and draft length, for a price of a guess.

    Args:
        measured: (α, γ) of a pair of models, to be marked.
    """
    lengths = np.arange(1, LONGEST_DRAFT + 1)

    def draw(alpha: float, draft_length: int, cost: float) -> Figure:
        figure = blank_figure(height=400)
        best = best_draft_length(alpha, cost, longest=LONGEST_DRAFT)
        plots.speedup_map(
            speedup(ALPHAS[:, None], lengths, cost),
            ALPHAS,
            lengths,
            best_lengths(cost),
            at=(alpha, draft_length),
            measured=measured,
            title=rf"c = {cost:g}, $\alpha$ = {alpha:.2f}, $\gamma$ = {draft_length}: "
            rf"{speedup(alpha, draft_length, cost):.2f} times; best $\gamma$ = {best}",
            ax=figure.add_axes((0.09, 0.13, 0.95, 0.78)),
        )
        return figure

    return panel(
        draw,
        hint="Raise the draft length at a fixed rate: the speed-up grows, then falls. Make guesses "
        "dearer: where the rate is below the cost no draft pays at all.",
        alt="Map of the speed-up over the acceptance rate and the draft length, with lines "
        "of equal speed-up, the best draft length of each rate, and the chosen point.",
        alpha=slider("acceptance rate", 0.7, 0.0, 0.95, 0.05),
        draft_length=slider("draft length", 4, 1, LONGEST_DRAFT, 1),
        cost=choice("cost of a guess", 0.1, [0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8], ordered=True),
    )


def best_lengths(cost: float, *, longest: int = LONGEST_DRAFT) -> Floats:
    """(100,) the best draft length at each rate of ``ALPHAS``, at most ``longest``."""
    return np.array([float(best_draft_length(each, cost, longest=longest)) for each in ALPHAS])


@torch.inference_mode()
def _scores(model: Transformer, ids: Sequence[int]) -> Floats:
    """(T, V) logits after each byte."""
    return model(torch.tensor([ids]))[0].double().numpy()


@cache
def _course_model(name: str) -> Transformer:
    return load(name)


def _on_one_line(text: str) -> str:
    return repr(text).replace("$", r"\$")
