"""Train the language models of the course, and the heads, on Python's standard library.

``python -m speccore.models.train_course_models FOLDER [NAME …]`` keeps its state in FOLDER, goes on
from there if it was stopped, and leaves ``<name>.safetensors`` there for each model, or for those
that are named.
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speccore.foundations.mixed_precision import Loss
from speccore.models.heads import (
    BlockwiseHeads,
    EagleHead,
    Heads,
    MedusaHeads,
    MTPHeads,
    MTPModules,
)
from speccore.models.pretrained import load, save, save_heads
from speccore.models.text import Corpus, batches, standard_library
from speccore.models.training import (
    Batch,
    TrainingResult,
    distillation_loss,
    eagle_loss,
    early_exit_loss,
    evaluate,
    guess_accuracy,
    heads_loss,
    next_token_loss,
    train,
)
from speccore.models.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class Recipe:
    """All that decides a model's weights, beside the text."""

    build: Callable[[], Transformer | Heads]
    """The model before its training."""
    steps: int
    batch: int
    learning_rate: float
    sizes: str
    """Why the model has the sizes that it has."""
    loss: Callable[..., Loss] = next_token_loss
    teacher: str | None = None
    """The model, trained before, whose laws this one learns in place of the text's tokens."""
    trunk: str | None = None
    """The model, trained before, for which these heads guess; its loss is told."""
    warmup: int = 200
    seed: int = 0
    """Of the order of the text."""


TARGET = TransformerConfig(
    vocab_size=256, layers=5, width=256, heads=4, kv_heads=2, hidden=704, context=512
)
DRAFT = replace(TARGET, layers=1, width=128, heads=2, kv_heads=1, hidden=352)
TRAINED_ON_TARGET: Mapping[str, Any] = {
    "batch": 4,
    "learning_rate": 2e-3,
    "trunk": "course-target",
}
RECIPES: Mapping[str, Recipe] = {
    "course-target": Recipe(
        partial(Transformer, TARGET),
        steps=4500,
        batch=4,
        learning_rate=2e-3,
        sizes="Time of a pass over 1, 5 and 16 tokens, in ms (two threads of a server's CPU, FP32, "
        "packed): 4 layers of 256 numbers 0.86, 0.96, 1.21; 5 of 256 1.11, 1.21, 1.48; 6 of 256 "
        "1.37, 1.49, 1.86; 4 of 320 1.31, 1.22, 1.57; 3 of 384 1.40, 1.13, 1.40. So with 5 of 256 "
        "checking four guesses costs 9 % more than making a token; a sixth layer would have "
        "trained for a fifth longer.",
        loss=partial(early_exit_loss, exits=(1, 2), weight=0.2),
    ),
    "course-draft": Recipe(
        partial(Transformer, DRAFT),
        steps=2500,
        batch=4,
        learning_rate=4e-3,
        sizes="A pass takes 0.10 ms where the target's takes 1.11 ms, an eleventh; with 96 numbers "
        "in place of 128 it would be 0.096 ms.",
        teacher="course-target",
    ),
    "course-medusa": Recipe(
        partial(MedusaHeads, TARGET, 4),
        steps=1200,
        **TRAINED_ON_TARGET,
        sizes="Four heads, each a square matrix: 0.26 M weights, 7 % of the target's.",
        loss=heads_loss,
    ),
    "course-blockwise": Recipe(
        partial(BlockwiseHeads, TARGET, 4),
        steps=1000,
        **TRAINED_ON_TARGET,
        sizes="Four heads, each as wide inside as the target's feed-forward layers: "
        "1.44 M weights.",
        loss=heads_loss,
    ),
    "course-mtp-heads": Recipe(
        partial(MTPHeads, TARGET, 3),
        steps=1000,
        **TRAINED_ON_TARGET,
        sizes="Three heads beside the trunk's own, n = 4 in the paper's counting, each a block "
        "like the target's: 2.21 M weights.",
        loss=heads_loss,
    ),
    "course-mtp-modules": Recipe(
        partial(MTPModules, TARGET, 2),
        steps=1500,
        **TRAINED_ON_TARGET,
        sizes="Two modules, D = 2, each a block like the target's and the map before it: "
        "1.74 M weights.",
        loss=heads_loss,
    ),
    "course-eagle": Recipe(
        partial(EagleHead, TARGET, hidden=256),
        steps=6400,
        **TRAINED_ON_TARGET,
        sizes="One block as wide as the target and the map before it: 0.52 M weights. With a "
        "feed-forward layer as large as the target's, 0.87 M, a draft of four guesses took half as "
        "long again as a pass of the target, since each guess reads all of them.",
        loss=partial(eagle_loss, classification=1.0),
    ),
}
VALIDATION_BATCHES = 32
CANDIDATES = 8  # of each guess whose accuracy is in the card
EVERY = 100  # steps that are averaged into one number of the card's curve


def train_model(name: str, folder: Path) -> Transformer | Heads:
    """Train a model, or take up its training, and save it; returns it as it is saved."""
    recipe = RECIPES[name]
    loss: Callable[..., Loss] = recipe.loss
    trunk = None
    if recipe.teacher is not None:
        loss = partial(distillation_loss, teacher=load(recipe.teacher, folder=folder))
    if recipe.trunk is not None:
        trunk = load(recipe.trunk, folder=folder).requires_grad_(False)
        loss = partial(loss, trunk=trunk)
    corpus = standard_library()
    model = recipe.build()
    result = train(
        model,
        _windows(corpus.train, recipe, model.config),
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        loss=loss,
        checkpoint=folder / f"{name}.training.safetensors",
        progress=True,
    )
    model.half().float()  # as readers will have it, so that this is what is judged
    held_out = _windows(corpus.validation, recipe, model.config)
    card = card_of(recipe, corpus, result)
    if isinstance(model, Transformer):
        card["validation_loss"] = round(evaluate(model, held_out, count=VALIDATION_BATCHES), 4)
        save(model, name, card, folder=folder)
    else:
        assert trunk is not None
        right = guess_accuracy(model, trunk, held_out, count=VALIDATION_BATCHES, best=CANDIDATES)
        card["validation_accuracy"] = right.round(4).tolist()
        save_heads(model, name, card, folder=folder, trunk=trunk)
    return model


def card_of(recipe: Recipe, corpus: Corpus, result: TrainingResult) -> dict[str, Any]:
    """Where a model's weights come from; losses in nats a byte."""
    card = how_trained(
        result,
        recipe.loss,
        windows=recipe.batch,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        seed=recipe.seed,
    )
    if recipe.teacher is not None:
        card["loss"] = {"name": distillation_loss.__name__, "teacher": recipe.teacher}
    if recipe.trunk is not None:
        card["loss"]["trunk"] = recipe.trunk
    return {
        "sizes": recipe.sizes,
        "tokens": "bytes of UTF-8",
        "text": "sources of Python's standard library, split by file",
        "text_sha256": corpus.sha256,
        **card,
    }


def how_trained(
    result: TrainingResult,
    loss: Callable[..., Loss],
    *,
    windows: int,
    learning_rate: float,
    warmup: int,
    seed: int,
) -> dict[str, Any]:
    """What every card says of a training: versions, settings, and the curve of the loss."""
    how = loss if isinstance(loss, partial) else partial(loss)
    steps = len(result.losses)
    averaged = [result.losses[i : i + EVERY].mean() for i in range(0, steps, EVERY)]
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seed": seed,
        "steps": steps,
        "windows_a_step": windows,
        "learning_rate": learning_rate,
        "warmup": warmup,
        "loss": {"name": how.func.__name__, **how.keywords},
        "training_loss_every": EVERY,
        "training_loss": [round(float(each), 4) for each in averaged],
    }


def _windows(text: Tensor, recipe: Recipe, config: TransformerConfig) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(recipe.seed)
    return batches(text, batch=recipe.batch, length=config.context, generator=generator)


if __name__ == "__main__":
    torch.set_num_threads(1)  # the sums of one thread are the same on every run
    for name in sys.argv[2:] or RECIPES:
        train_model(name, Path(sys.argv[1]))
