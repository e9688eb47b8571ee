"""The widget of chapter 13: the law of the next byte under temperature, top-k and top-p."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure

from rlcore.validation import Floats
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.decoding.sampling import Sampling
from speccore.models.pretrained import load
from speccore.models.prompts import PROMPTS
from speccore.models.transformer import Transformer

SHOWN = 20


def entropy(law: Floats) -> float:
    """−Σ p log₂ p, in bits; 0 of a certain token."""
    held = law[law > 0]
    return float(-(held * np.log2(held)).sum()) + 0.0  # no −0


@torch.inference_mode()
def last_logits(model: Transformer, prompt: str) -> Floats:
    """(V,) logits of the token after a prompt."""
    if model.tokenizer is None:
        raise ValueError("model: takes one with a tokenizer")
    ids = torch.tensor([model.tokenizer.encode(prompt)])
    return model(ids)[0, -1].double().numpy()


def next_token(model: Transformer | None = None, prompt: str = PROMPTS[0]) -> Panel:
    """The law of the next token: the three numbers that shape it, and what they cut.

    Args:
        model: over bytes, with its tokenizer; None for the course's own.
        prompt: the text so far.
    """
    logits = last_logits(load("course-target") if model is None else model, prompt)
    order = np.argsort(-logits, kind="stable")[:SHOWN]
    labels = plots.byte_labels(order.tolist())

    def draw(temperature: float, top_k: int, top_p: float) -> Figure:
        before = Sampling(temperature).law(logits)
        after = Sampling(temperature, top_k, top_p).law(logits)
        figure = blank_figure(height=340)
        kept, limit = int((after > 0).sum()), "all" if top_k == len(after) else top_k
        plots.next_token_law(
            before[order],
            after[order],
            labels,
            title=f"T = {temperature:g}, top-k = {limit}, top-p = {top_p:g}: {kept} of "
            f"{len(after)} tokens kept, entropy {entropy(before):.3f} → {entropy(after):.3f} bits",
            ax=figure.add_axes((0.09, 0.14, 0.89, 0.76)),
        )
        return figure

    return panel(
        draw,
        hint="Lower the temperature: the first bar eats the others, and at 0 it is alone. Raise it "
        "to 2, then lower top-p: the tail that the temperature has lifted is cut off again.",
        alt="Bars of the probabilities of the 20 most probable next bytes; bytes that top-k or "
        "top-p has cut are grey, and a black line marks each probability before cutting.",
        temperature=slider("temperature", 1.0, 0.0, 2.0, 0.1),
        top_k=choice(
            "top-k",
            len(logits),
            [*((str(k), k) for k in (1, 2, 3, 5, 10, 50)), ("all", len(logits))],
            ordered=True,
        ),
        top_p=slider("top-p", 1.0, 0.05, 1.0, 0.05),
    )
