"""Train heads for a real language model on what it says itself.

``python -m speccore.race.train_real_heads FOLDER [NAME …]`` lets the model ask and answer, which
takes hours, then trains the heads, or those that are named. It keeps its state in FOLDER, goes on
from there if it was stopped, and leaves ``<name>.safetensors`` there.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from speccore.foundations.mixed_precision import Loss
from speccore.models.heads import EagleHead, Heads, MedusaHeads
from speccore.models.packed_linear import packed
from speccore.models.pretrained import load, save_heads
from speccore.models.train_course_models import CANDIDATES, how_trained
from speccore.models.training import eagle_loss, guess_accuracy, heads_loss, train
from speccore.models.transformer import TransformerConfig
from speccore.race.own_answers import Answers, read_answers, write_answers

TRUNK = "smollm2-135m"
FILES = 13
"""Of answers, for each of two seeds, as two processes have written them side by side."""
SEEDS = (0, 100_000)
HELD_OUT = 1
"""Of these, the last ones of each seed, on which the heads are judged."""
TOKENS = 12_000
"""That are guessed: with fewer, guesses are cheaper, and more of them cannot come true."""
WINDOWS, LENGTH = 4, 256
VALIDATION_BATCHES = 16


@dataclass(frozen=True)
class HeadsRecipe:
    """All that decides the heads' weights, beside the answers."""

    build: Callable[[TransformerConfig], Heads]
    steps: int
    learning_rate: float
    loss: Callable[..., Loss]
    sizes: str
    """Why they have the sizes that they have."""
    warmup: int = 100
    seed: int = 0
    """Of the order of the windows."""


HEADS_RECIPES: Mapping[str, HeadsRecipe] = {
    "smollm2-eagle": HeadsRecipe(
        EagleHead,
        steps=2500,
        learning_rate=1e-3,
        loss=partial(eagle_loss, classification=1.0),
        sizes="One block like the trunk's and the map before it, 4.2 M weights; with the rows of "
        "the output head for 12,000 tokens, 6.9 M, a guess reads 11 M numbers, 8 % of what a pass "
        "of the trunk reads.",
    ),
    "smollm2-medusa": HeadsRecipe(
        partial(MedusaHeads, count=3),
        steps=400,
        learning_rate=1e-3,
        loss=heads_loss,
        sizes="Three heads, each a square matrix: 1.0 M weights.",
    ),
}


def answers(folder: Path) -> tuple[Answers, Answers]:
    """What the heads learn from, and what they are judged on."""
    model = None
    for seed in SEEDS:
        place = folder / f"answers-{seed}"
        if len(list(place.glob("*.safetensors"))) < FILES:
            model = model or packed(load(TRUNK))
            place.mkdir(parents=True, exist_ok=True)
            write_answers(model, place, count=FILES, seed=seed, progress=True)
    files = [sorted((folder / f"answers-{seed}").glob("*.safetensors"))[:FILES] for seed in SEEDS]
    train_on = [path for each in files for path in each[:-HELD_OUT]]
    judged_on = [path for each in files for path in each[-HELD_OUT:]]
    return read_answers(train_on), read_answers(judged_on)


def train_heads(name: str, folder: Path) -> Heads:
    """Train heads, or take up their training, and save them; returns them as they are saved."""
    recipe = HEADS_RECIPES[name]
    trunk = load(TRUNK)
    learn, judge = answers(folder)
    heads = recipe.build(trunk.config)
    tokens = learn.frequent_tokens(TOKENS)
    heads.guess_among(tokens, trunk)
    result = train(
        heads,
        learn.batches(
            batch=WINDOWS, length=LENGTH, generator=torch.Generator().manual_seed(recipe.seed)
        ),
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        loss=partial(recipe.loss, trunk=trunk),
        checkpoint=folder / f"{name}.training.safetensors",
        progress=True,
    )
    heads.half().float()  # as readers will have them, so that this is what is judged
    heads.guess_among(tokens, trunk)
    held_out = judge.batches(
        batch=WINDOWS, length=LENGTH, generator=torch.Generator().manual_seed(recipe.seed)
    )
    right = guess_accuracy(heads, trunk, held_out, count=VALIDATION_BATCHES, best=CANDIDATES)
    covered = torch.isin(judge.tokens, torch.tensor(tokens))
    card: dict[str, Any] = {
        "sizes": recipe.sizes,
        "trunk": TRUNK,
        "text": "questions, tasks and answers that the trunk has written, greedily two files of "
        "three, else at temperature 0.7; see own_answers",
        "text_sha256": hashlib.sha256(learn.tokens.numpy().tobytes()).hexdigest(),
        "tokens_of_text": len(learn.tokens),
        "conversations": len(learn.starts),
        "held_out_tokens_among_draft_tokens": round(float(covered.double().mean()), 4),
        **how_trained(
            result,
            recipe.loss,
            windows=WINDOWS,
            learning_rate=recipe.learning_rate,
            warmup=recipe.warmup,
            seed=recipe.seed,
        ),
        "validation_accuracy": right.round(4).tolist(),
    }
    save_heads(heads, name, card, folder=folder, trunk=trunk)
    return heads


if __name__ == "__main__":
    torch.set_num_threads(1)  # the sums of one thread are the same on every run
    for name in sys.argv[2:] or HEADS_RECIPES:
        train_heads(name, Path(sys.argv[1]))
