"""One trainer: AdamW on the next token, in any precision of ``mixed_precision``."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from rlcore.checkpoint import load_arrays, save_arrays
from rlcore.validation import check_count, check_fraction, check_positive
from speccore.foundations.mixed_precision import (
    FP32,
    Autocast,
    Loss,
    LossScale,
    MixedPrecision,
    Precision,
    Step,
)

Batch = tuple[Tensor, Tensor]
HISTORY = ("losses", "scales", "overflows", "norms", "lost")  # in the order of Step's fields


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What happened in each step of a training run; all arrays have shape (steps,)."""

    losses: NDArray[np.float64]
    """Mean cross-entropy of the step's tokens, in nats, before the update."""
    scales: NDArray[np.float64]
    """The factor on the loss."""
    overflows: NDArray[np.bool_]
    """Whether the step was skipped."""
    norms: NDArray[np.float64]
    """2-norm of the gradients before clipping."""
    lost: NDArray[np.float64]
    """Share of the non-zero updates that changed nothing."""


def next_token_loss(batch: Batch) -> Loss:
    """The mean of −log p(target | tokens before it), in nats, as a function of the model.

    Args:
        batch: (B, T) tokens and (B, T) targets, each the token after.
    """
    tokens, targets = batch
    return lambda model: F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def early_exit_loss(batch: Batch, *, exits: Sequence[int], weight: float) -> Loss:
    """The loss of the last layer + weight · the mean of the losses at some earlier ones.

    Every exit uses the last norm and the output head, so that the first layers become a language
    model of their own, which drafts for the whole (LayerSkip, Elhoushi et al. 2024, section 4.2).

    Args:
        batch: (B, T) tokens and (B, T) targets.
        exits: numbers of layers after which to predict, each below that of all layers.
        weight: of the earlier losses, >= 0.
    """
    tokens, targets = batch

    def loss(model: Any) -> Tensor:
        features = model.features(tokens)
        final, *early = (
            F.cross_entropy(model.logits(features[layers]).flatten(0, 1), targets.flatten())
            for layers in (-1, *exits)
        )
        return final + weight * torch.stack(early).mean()

    return loss


def distillation_loss(batch: Batch, *, teacher: Callable[[Tensor], Tensor]) -> Loss:
    """The mean of −Σ_x p(x) log q(x), p of the teacher and q of the model, in nats.

    The entropy of p apart, which no student can change, it is the divergence KL(p ‖ q) (Hinton et
    al. 2015, section 2). A draft model that is trained so is accepted more often, because what is
    rejected, TV(p, q), is at most √(KL / 2) (Zhou et al. 2024, DistillSpec).

    Args:
        batch: (B, T) tokens; the targets are not read.
        teacher: (B, T) tokens → (B, T, V) logits; no gradients flow into it.
    """
    tokens, _ = batch
    with torch.no_grad():
        p = teacher(tokens).softmax(-1).flatten(0, 1)
    return lambda model: F.cross_entropy(model(tokens).flatten(0, 1), p)


def learning_rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear from 0 to the peak during warm-up, then half a cosine down to a tenth of it.

    lr = peak · (step + 1) / warmup, then peak · (0.1 + 0.45 (1 + cos(π (step − warmup) / (steps −
    warmup)))) (Loshchilov & Hutter 2017; with a floor as in Touvron et al. 2023, section 2.3).
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    *,
    steps: int,
    learning_rate: float,
    warmup: int = 0,
    accumulate: int = 1,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float = 1.0,
    precision: Precision = FP32,
    loss_scale: LossScale | None = None,
    loss: Callable[[Batch], Loss] = next_token_loss,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    progress: bool = False,
) -> TrainingResult:
    """Train a model to predict the next token, with AdamW (Loshchilov & Hutter 2019).

    Deterministic: the model's weights and the batches decide the result. The model is trained in
    place, and is left in the formats of ``precision``.

    Args:
        model: (B, T) tokens → (B, T, V) logits.
        batches: (tokens, targets) pairs, ``steps`` · ``accumulate`` at least.
        steps: number of updates.
        learning_rate: the peak, > 0; see ``learning_rate_at``.
        warmup: steps until the peak.
        accumulate: micro-batches a step.
        weight_decay: of matrices; vectors (the norms' factors) do not decay.
        betas: of Adam's two means.
        clip: largest 2-norm of the gradient.
        precision: the formats of the numbers.
        loss_scale: the factor on the loss, None for none.
        loss: what is minimised, of a batch.
        checkpoint: file to which the whole state is saved, in safetensors format, and from which
            a run goes on that was stopped. It has to be given the same arguments; the result is
            that of a run that was never stopped, to the last bit.
        checkpoint_every: steps between two savings; it is saved at the end, too.
        progress: show a bar.

    Raises:
        ValueError, TypeError: an argument outside what it takes, a checkpoint that is damaged or
            of another run.
        FloatingPointError: the loss is NaN or infinite, or the loss scale has shrunk below 2⁻²⁴:
            no step can succeed any more.
    """
    check_count("steps", steps)
    check_count("warmup", warmup, minimum=0)
    check_count("accumulate", accumulate)
    check_positive("learning_rate", learning_rate)
    check_positive("clip", clip)
    check_fraction("weight_decay", weight_decay)
    mixed = MixedPrecision(model, precision, loss_scale)
    matrices = [each for each in mixed.masters if each.dim() >= 2]
    vectors = [each for each in mixed.masters if each.dim() < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas)
    taken: list[Step] = []
    settings = f"{steps=} {learning_rate=} {warmup=} {accumulate=} {weight_decay=} {betas=} {clip=}"
    if checkpoint is not None and Path(checkpoint).exists():
        taken = _resume(Path(checkpoint), settings, mixed, optimizer)
        for _ in range(len(taken) * accumulate):
            next(batches)
    for step in tqdm(range(steps), disable=not progress, initial=len(taken)):
        if step < len(taken):
            continue
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, learning_rate, warmup)
        micro = [loss(next(batches)) for _ in range(accumulate)]
        taken.append(mixed.step(micro, optimizer, clip=clip))
        if not math.isfinite(taken[-1].loss) or taken[-1].scale < 2.0**-24:
            raise FloatingPointError(
                f"step {step}: loss {taken[-1].loss}, loss scale {taken[-1].scale}"
            )
        if checkpoint is not None and (len(taken) % checkpoint_every == 0 or len(taken) == steps):
            _save(Path(checkpoint), settings, mixed, optimizer, taken)
    return _result(taken)


def _result(taken: Sequence[Step]) -> TrainingResult:
    return TrainingResult(
        losses=np.array([each.loss for each in taken]),
        scales=np.array([each.scale for each in taken]),
        overflows=np.array([each.overflow for each in taken]),
        norms=np.array([each.norm for each in taken]),
        lost=np.array([each.lost for each in taken]),
    )


def _save(
    path: Path,
    settings: str,
    mixed: MixedPrecision,
    optimizer: torch.optim.Optimizer,
    taken: Sequence[Step],
) -> None:
    """Write all that changes while a model is trained."""
    arrays = {f"history.{name}": np.array(values) for name, values in vars(_result(taken)).items()}
    for number, master in enumerate(mixed.masters):
        arrays[f"master.{number}"] = master.detach().cpu().numpy()
        for name, value in optimizer.state[master].items():
            arrays[f"{name}.{number}"] = value.cpu().numpy()
    scale = json.dumps([mixed.loss_scale.scale, mixed.loss_scale.good_steps])
    save_arrays(path, arrays, {"settings": settings, "loss_scale": scale})


@torch.no_grad()
def _resume(
    path: Path, settings: str, mixed: MixedPrecision, optimizer: torch.optim.Optimizer
) -> list[Step]:
    """Take up what ``_save`` wrote; returns the steps that were taken."""
    arrays, metadata = load_arrays(path, "checkpoint")
    if metadata["settings"] != settings:
        raise ValueError(
            f"checkpoint: takes one of a run with the same arguments; {path} has "
            f"{metadata['settings']}, got {settings}"
        )
    for number, master in enumerate(mixed.masters):
        found = {name: arrays[f"{name}.{number}"] for name in ("exp_avg", "exp_avg_sq", "step")}
        optimizer.state[master] = {name: torch.from_numpy(each) for name, each in found.items()}
        master.copy_(torch.from_numpy(arrays[f"master.{number}"]))
    mixed.store()
    mixed.loss_scale.scale, mixed.loss_scale.good_steps = json.loads(metadata["loss_scale"])
    columns = (arrays[f"history.{name}"].tolist() for name in HISTORY)
    return [Step(*values) for values in zip(*columns, strict=True)]


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterator[Batch], *, count: int, precision: Precision = FP32
) -> float:
    """Mean −log p(target | tokens before it) over ``count`` batches, in nats a token.

    Args:
        model: as ``train`` left it.
        batches: (tokens, targets) pairs, ``count`` at least.
        count: number of batches.
        precision: the formats in which the model was trained.
    """
    check_count("count", count)
    total = 0.0
    with Autocast(precision.compute, simulate=precision.simulate):
        for _ in range(count):
            total += float(next_token_loss(next(batches))(model))
    return total / count
