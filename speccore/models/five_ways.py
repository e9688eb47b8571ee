"""The experiment of chapter 12: one small language model, trained in five precisions.

``python -m speccore.models.five_ways FILE`` writes one line of JSON for each run, settings first,
and takes up where it was stopped. Two stages, because FP16 does not fail everywhere:

- *scratch*: Python sources, from random weights, with a large learning rate and a small batch;
- *late*: the FP32 model of the first stage goes on to English prose, as a large run spends its last
  weeks: with a small learning rate, and a batch so large that a token's share of the loss is tiny.
  Of that batch only the first 1024 tokens are computed, as if all others were equal to them: the
  loss is divided by their number in FP16's arithmetic, and the gradients are summed in FP32.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from speccore.foundations.mixed_precision import (
    BF16_AUTOCAST,
    FP16_MASTER,
    FP32,
    PURE_FP16,
    LossScale,
    Precision,
    flushed,
    gradients,
)
from speccore.models.text import batches, language_reference, standard_library
from speccore.models.training import TrainingResult, next_token_loss, train
from speccore.models.transformer import Transformer, TransformerConfig

WAYS: Mapping[str, tuple[Precision, bool]] = {
    "FP32": (FP32, False),
    "pure FP16": (replace(PURE_FP16, simulate=True), False),
    "FP16 + master weights": (replace(FP16_MASTER, simulate=True), False),
    "FP16 + master weights + loss scaling": (replace(FP16_MASTER, simulate=True), True),
    "BF16 autocast": (replace(BF16_AUTOCAST, simulate=True), False),
}
"""Name → formats, and whether the loss is scaled dynamically."""

CONFIG = TransformerConfig(
    vocab_size=256, layers=2, width=64, heads=4, kv_heads=2, hidden=192, context=64
)
BATCH = 16  # windows of CONFIG.context tokens each


@dataclass(frozen=True)
class Stage:
    """How the model is trained."""

    steps: int
    learning_rate: float
    warmup: int
    batch_tokens: int
    """Tokens of a whole batch, of which BATCH · context are computed."""

    @property
    def share(self) -> float:
        """The part of a batch that is computed, hence the factor on its loss."""
        return BATCH * CONFIG.context / self.batch_tokens


STAGES: Mapping[str, Stage] = {
    "scratch": Stage(steps=400, learning_rate=3e-3, warmup=40, batch_tokens=2**10),
    "late": Stage(steps=300, learning_rate=3e-5, warmup=15, batch_tokens=2**19),
}
SEEDS = 5
OTHER_WINDOWS = 5  # seeds from here on draw windows that no run is trained on
EVERY = 20  # steps that are averaged into one number of a curve


def run(
    model: Transformer, text: Tensor, stage: Stage, way: str, seed: int, *, progress: bool = False
) -> TrainingResult:
    """Train a model in place, in one of the five ways.

    The gradients are those of loss · share, divided by the share in FP32: a loss scale below 1.
    With dynamic scaling the same factor stands before a scale that begins at 2¹⁶.
    """
    precision, dynamic = WAYS[way]
    scale = stage.share * 2.0**16 if dynamic else stage.share
    return train(
        model,
        windows(text, seed),
        steps=stage.steps,
        learning_rate=stage.learning_rate,
        warmup=stage.warmup,
        weight_decay=0.0,  # so that every update is a gradient's
        precision=precision,
        loss_scale=LossScale(scale, interval=100 if dynamic else None),
        progress=progress,
    )


def windows(text: Tensor, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of a seed, the same for all five ways."""
    generator = torch.Generator().manual_seed(seed)
    return batches(text, batch=BATCH, length=CONFIG.context, generator=generator)


def settings() -> dict[str, Any]:
    """Everything that decides the numbers, but for the processor."""
    prose = language_reference()
    return {
        "model": asdict(CONFIG),
        "batch": BATCH,
        "every": EVERY,
        "stages": {name: asdict(stage) for name, stage in STAGES.items()},
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sources_sha256": standard_library().sha256,
        "prose_sha256": hashlib.sha256(prose.numpy().tobytes()).hexdigest(),
    }


def read(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Settings and runs of a file."""
    first, *runs = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return first, runs


def main(path: Path) -> None:
    """Compute the runs that the file lacks.

    Raises:
        ValueError: the file's runs were made with other settings.
    """
    torch.set_num_threads(1)  # the sums of one thread are the same on every run
    here = settings()
    if not path.exists():
        path.write_text(json.dumps(here) + "\n", encoding="utf-8", newline="\n")
    written, runs = read(path)
    if written != here:
        raise ValueError(f"path: takes a file of the same settings, got {written}, not {here}")
    done = {(each["stage"], each["way"], each["seed"]) for each in runs}
    sources, prose = standard_library().train, language_reference()
    for seed in range(SEEDS):
        if all((name, way, seed) in done for name in STAGES for way in WAYS):
            continue
        start = Transformer(CONFIG, seed=seed)
        for name, text in (("scratch", sources), ("late", prose)):
            following = None
            for way in WAYS:
                # The next stage starts from FP32's weights, which are not kept in the file.
                if (name, way, seed) in done and not (name == "scratch" and way == "FP32"):
                    continue
                model = Transformer(CONFIG, seed=seed)
                model.load_state_dict(start.state_dict())
                line = measured(model, text, name, way, seed)
                following = model if way == "FP32" else following
                if (name, way, seed) not in done:
                    with path.open("a", encoding="utf-8", newline="\n") as file:
                        file.write(json.dumps(line) + "\n")
            start = following or start


def measured(model: Transformer, text: Tensor, stage: str, way: str, seed: int) -> dict[str, Any]:
    """Train, and say how it went."""
    result = run(model, text, STAGES[stage], way, seed, progress=True)
    precision, _ = WAYS[way]
    # Which gradients survive, at the weights where this run has ended and on a batch of its own.
    loss = next_token_loss(next(windows(text, OTHER_WINDOWS + seed)))
    wide = Transformer(CONFIG)
    wide.load_state_dict(model.state_dict())
    exact = gradients(wide, loss)
    found = gradients(wide, loss, precision, scale=float(result.scales[-1]))
    weights = {name for name, _ in wide.named_parameters()}
    return {
        "stage": stage,
        "way": way,
        "seed": seed,
        "loss": _averaged(result.losses),
        "lost": _averaged(result.lost),
        "flushed_weights": round(flushed({n: exact[n] for n in exact if n in weights}, found), 4),
        "flushed_outputs": round(
            flushed({n: exact[n] for n in exact if n not in weights}, found), 4
        ),
        "skipped": int(result.overflows.sum()),
        "last_scale": float(result.scales[-1]),
    }


def _averaged(values: Any) -> list[float]:
    return [round(float(part), 4) for part in values.reshape(-1, EVERY).mean(axis=1)]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
