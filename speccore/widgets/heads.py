"""The widgets of chapter 18: what each guess is computed from, and how far ahead it is right."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.models.guessing import guess_ahead, inputs_of_guesses, most_guesses, ranks_along
from speccore.models.heads import Heads
from speccore.models.packed_linear import packed
from speccore.models.pretrained import load, load_heads
from speccore.models.prompts import PROMPTS
from speccore.models.text import ByteTokenizer, own_text
from speccore.models.transformer import Transformer
from speccore.plots.trees import shortened

ARCHITECTURES = {
    "Medusa": "course-medusa",
    "blockwise": "course-blockwise",
    "Meta's heads": "course-mtp-heads",
    "DeepSeek's modules": "course-mtp-modules",
    "EAGLE": "course-eagle",
}
BEGINNINGS = PROMPTS[:6]
SHOWN, GUESSES, BEST = 4, 3, 6  # features, guesses and candidates in the picture
PLACES = 10  # of a text, at which guesses are counted


def what_flows_where(
    trunk: Transformer | None = None, heads: Mapping[str, Heads] | None = None
) -> Panel:
    """The inputs of guess k, found by gradients, and the candidates that come of them.

    Args:
        trunk: a model over bytes, not packed; that of the course if None.
        heads: name of an architecture → its heads, trained for the trunk; those of the course if
            None.
    """
    model = load("course-target") if trunk is None else trunk
    given: Mapping[str, Heads] = heads or {
        name: load_heads(file, model) for name, file in ARCHITECTURES.items()
    }
    encode, decode = ByteTokenizer().encode, ByteTokenizer().decode

    def draw(architecture: str, k: int, prompt: str) -> Figure:
        each, context = given[architecture], encode(prompt)
        count = min(GUESSES, most_guesses(each) or GUESSES)
        figure = blank_figure(height=330)
        flow = figure.add_axes((0.11, 0.06, 0.51, 0.80))
        if k > count:
            flow.axis("off")
            flow.text(0, 0.5, f"There are {count} modules here: no guess {k}.")
            flow.set_title(f"{architecture}, guess {k}", loc="left", size=11)
            return figure
        guesses, logits = guess_ahead(each, model, context, count)
        text = [*context, *guesses[:-1]]
        features, tokens = inputs_of_guesses(each, model, text, count)
        plots.guess_inputs(
            features[k - 1, -SHOWN:],
            tokens[k - 1, -SHOWN - count :],
            k,
            labels=plots.byte_labels(text[-SHOWN - count :]),
            title=f"{architecture}, guess {k}",
            ax=flow,
        )
        flow.set_xlim(0.4 - SHOWN, GUESSES + 1.6)  # the same, however many guesses there are
        probabilities, best = logits[k - 1].softmax(-1).topk(BEST)
        with torch.no_grad():  # after the guesses before, as if they were the text
            own = int(model(torch.tensor([[*context, *guesses[: k - 1]]]))[0, -1].argmax())
        before = decode(guesses[: k - 1])
        plots.candidates(
            plots.byte_labels(best.tolist()),
            probabilities,
            right=best.tolist().index(own) if own in best else None,
            title="After " + shortened(prompt + before, 12),
            ax=figure.add_axes((0.72, 0.15, 0.26, 0.71)),
        )
        return figure

    return panel(
        draw,
        hint="Go through the architectures at k = 2. Expect arrows from the text's features in "
        "all five, and one from the guess in between, dashed, only where guesses follow one "
        "another. Green among the candidates: the trunk's own choice at that place.",
        alt="Rows of features and tokens with arrows from those that the chosen guess reads, and "
        "bars of the most probable bytes of that guess.",
        architecture=choice("architecture", next(iter(given)), list(given)),
        k=slider("k", 1, 1, GUESSES, 1),
        prompt=choice("text", BEGINNINGS[0], [(shortened(text), text) for text in BEGINNINGS]),
    )


def accuracy_by_distance(
    trunk: Transformer | None = None, heads: Mapping[str, Heads] | None = None
) -> Panel:
    """How often the token is among the best candidates of each guess, on the trunk's own text.

    Args:
        trunk, heads: as of ``what_flows_where``.
    """
    model = load("course-target") if trunk is None else trunk
    given: Mapping[str, Heads] = heads or {
        name: load_heads(file, model) for name, file in ARCHITECTURES.items()
    }
    fast, tokenizer = packed(model), ByteTokenizer()

    @cache
    def ranks_of(prompt: str) -> dict[str, NDArray[np.int64]]:
        context = tokenizer.encode(prompt)
        text = torch.tensor([context])
        text = own_text(fast, text, PLACES + GUESSES, temperature=0.0, generator=torch.Generator())
        written: list[int] = text[0].tolist()
        return {
            name: ranks_along(
                each, fast, written, len(context) + 1, min(GUESSES, most_guesses(each) or GUESSES)
            )
            for name, each in given.items()
        }

    def draw(prompt: str, candidates: int) -> Figure:
        figure = blank_figure(height=330)
        shares = {
            name: 100 * (ranks < candidates).mean(axis=0)
            for name, ranks in ranks_of(prompt).items()
        }
        plots.by_count(
            {name: (range(1, len(share) + 1), share) for name, share in shares.items()},
            xlabel="Distance k",
            ylabel="The token is among them (%)",
            title=f"Best {candidates} of each guess, {PLACES} places after "
            + shortened(prompt, 16),
            ax=figure.add_axes((0.11, 0.15, 0.6, 0.74)),
        ).set_ylim(0, 102)
        return figure

    return panel(
        draw,
        hint="Give each guess more candidates and watch the parallel heads catch up: they know "
        "what may come, but not what came in between. At one candidate, who falls with k, and who "
        "does not?",
        alt="Curves of the share of places where the token is among the candidates, over the "
        "distance of the guess, one a method.",
        prompt=choice("text", BEGINNINGS[0], [(shortened(text), text) for text in BEGINNINGS]),
        candidates=slider("candidates", 1, 1, 8, 1),
    )
