"""The widget of chapter 15: a text coloured by who guessed each of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from matplotlib.figure import Figure

from rlcore.widgets.panel import Panel, blank_figure, choice, panel
from speccore import plots
from speccore.decoding.drafters import (
    DatastoreDrafter,
    Drafter,
    EarlyExitDrafter,
    ModelDrafter,
    NGramDrafter,
    NGramModelDrafter,
)
from speccore.decoding.generate import generate
from speccore.models.ngram import NGramModel
from speccore.models.packed_linear import packed
from speccore.models.pretrained import load
from speccore.models.prompts import KINDS
from speccore.models.text import ByteTokenizer, standard_library
from speccore.models.transformer import Transformer
from speccore.plots.trees import shortened

TOKENS = 32
COLUMNS, ROWS = 48, 3
LONGEST_SHOWN = COLUMNS * ROWS - TOKENS  # letters of a prompt, its last ones


def who_guessed(
    model: Transformer | None = None,
    drafters: Mapping[str, Drafter] | None = None,
    prompts: Sequence[str] | None = None,
) -> Panel:
    """A text generated anew for each picture, coloured by who guessed each token.

    Args:
        model: the target over bytes, ``packed`` or not; None loads the course's own.
        drafters: name → drafter for this model; needed with ``model``.
        prompts: beginnings to choose from; None for two of each kind.

    Raises:
        ValueError: a model without drafters, or the other way round.
    """
    if (model is None) != (drafters is None):
        raise ValueError("drafters: takes drafters if, and only if, there is a model")
    if model is None or drafters is None:
        model, drafters = _of_the_course()
    texts = [each for kind in KINDS.values() for each in kind[1:3]] if prompts is None else prompts
    encode, decode = ByteTokenizer().encode, ByteTokenizer().decode

    def draw(prompt: str, drafter: str, temperature: float) -> Figure:
        output = generate(
            model,
            encode(prompt),
            max_new_tokens=TOKENS,
            temperature=temperature,
            drafter=drafters[drafter],
        )
        figure = blank_figure(height=170)
        plots.guessed_text(
            [decode([token]) for token in output.tokens],
            output.was_guessed,
            prompt=prompt[-LONGEST_SHOWN:],
            columns=COLUMNS,
            rows=ROWS,
            title=f"{drafter}, T = {temperature:g}: {output.steps} passes for "
            f"{len(output.tokens)} tokens, {output.tokens_per_step:.2f} a pass",
            ax=figure.add_axes((0.02, 0.25, 0.96, 0.56)),
        )
        return figure

    return panel(
        draw,
        hint="Keep the prompt and change the drafter: at T = 0 the text stays the same, letter for "
        "letter, and only the colours move. Then raise the temperature: the text changes, and "
        "fewer guesses are kept.",
        alt="The letters of a generated text in rows. Letters that a drafter guessed are blue, "
        "letters that the target wrote itself are orange, and the prompt before them is grey.",
        prompt=choice("prompt", texts[0], [(shortened(each, 40), each) for each in texts]),
        drafter=choice("drafter", next(iter(drafters)), list(drafters)),
        temperature=choice("temperature", 0.0, [0.0, 0.5, 1.0], ordered=True),
    )


@cache
def _of_the_course() -> tuple[Transformer, dict[str, Drafter]]:
    """The course's target with a drafter of each kind."""
    text = standard_library().train.numpy()[:400_000]
    drafters: dict[str, Drafter] = {
        "this text": NGramDrafter(6),
        "store": DatastoreDrafter(text, 6),
        "counts": NGramModelDrafter(NGramModel(text, 4), 4),
        "early exit": EarlyExitDrafter(1, 3),
        "draft model": ModelDrafter(packed(load("course-draft")), 4),
    }
    return packed(load("course-target")), drafters
