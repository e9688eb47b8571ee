"""One trainer: AdamW on the next token, in any precision of ``mixed_precision``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from rlcore.validation import check_count, check_fraction, check_positive
from speccore.foundations.mixed_precision import (
    FP32,
    Autocast,
    Loss,
    LossScale,
    MixedPrecision,
    Precision,
)

Batch = tuple[Tensor, Tensor]


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
        progress: show a bar.

    Raises:
        ValueError, TypeError: an argument outside what it takes.
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
    taken = []
    for step in tqdm(range(steps), disable=not progress):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, steps, learning_rate, warmup)
        micro = [next_token_loss(next(batches)) for _ in range(accumulate)]
        taken.append(mixed.step(micro, optimizer, clip=clip))
        if not math.isfinite(taken[-1].loss) or taken[-1].scale < 2.0**-24:
            raise FloatingPointError(
                f"step {step}: loss {taken[-1].loss}, loss scale {taken[-1].scale}"
            )
    return TrainingResult(
        losses=np.array([each.loss for each in taken]),
        scales=np.array([each.scale for each in taken]),
        overflows=np.array([each.overflow for each in taken]),
        norms=np.array([each.norm for each in taken]),
        lost=np.array([each.lost for each in taken]),
    )


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
