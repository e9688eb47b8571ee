"""Train the language models of the course on the sources of Python's standard library.

``python -m speccore.models.train_course_models FOLDER`` keeps its state in FOLDER, goes on from
there if it was stopped, and leaves ``<name>.safetensors`` there for each model.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from speccore.foundations.mixed_precision import Loss
from speccore.models.text import batches, standard_library
from speccore.models.training import Batch, early_exit_loss, next_token_loss, train
from speccore.models.transformer import Transformer, TransformerConfig


@dataclass(frozen=True)
class Recipe:
    """All that decides a model's weights, beside the text."""

    config: TransformerConfig
    steps: int
    batch: int
    learning_rate: float
    loss: Callable[[Batch], Loss] = next_token_loss
    warmup: int = 200
    seed: int = 0


TARGET = TransformerConfig(
    vocab_size=256, layers=6, width=256, heads=4, kv_heads=2, hidden=704, context=512
)
RECIPES: Mapping[str, Recipe] = {
    "course-target": Recipe(
        TARGET,
        steps=6000,
        batch=4,
        learning_rate=2e-3,
        loss=partial(early_exit_loss, exits=(1, 2), weight=0.2),
    ),
}


def train_model(name: str, folder: Path) -> Transformer:
    """Train a model, or take up its training; returns it with its final weights."""
    recipe = RECIPES[name]
    model = Transformer(recipe.config, seed=recipe.seed)
    text = standard_library().train
    generator = torch.Generator().manual_seed(recipe.seed)
    train(
        model,
        batches(text, batch=recipe.batch, length=recipe.config.context, generator=generator),
        steps=recipe.steps,
        learning_rate=recipe.learning_rate,
        warmup=recipe.warmup,
        loss=recipe.loss,
        checkpoint=folder / f"{name}.training.safetensors",
        progress=True,
    )
    return model


if __name__ == "__main__":
    torch.set_num_threads(1)  # the sums of one thread are the same on every run
    for name in RECIPES:
        train_model(name, Path(sys.argv[1]))
