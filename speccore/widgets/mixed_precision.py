"""The widget of chapter 12: the loss scale against the range of a format."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from rlcore.widgets.panel import Panel, blank_figure, choice, panel
from speccore import plots
from speccore.foundations.mixed_precision import (
    BF16_AUTOCAST,
    FP16_AUTOCAST,
    Loss,
    flushed,
    gradients,
)
from speccore.models.text import batches, language_reference
from speccore.models.training import next_token_loss, train
from speccore.models.transformer import Transformer, TransformerConfig

FORMATS = {
    "FP16": replace(FP16_AUTOCAST, simulate=True),
    "BF16": replace(BF16_AUTOCAST, simulate=True),
}


def loss_scale(model: nn.Module | None = None, compute_loss: Loss | None = None) -> Panel:
    """Gradients of a model under a loss scale: a forward and backward pass for each picture.

    Args:
        model: a language model in FP32; None trains a small one, which takes a second or two.
        compute_loss: its loss on some batch; needed with ``model``.
    """
    if (model is None) != (compute_loss is None):
        raise ValueError("compute_loss: takes a loss if, and only if, there is a model")
    if model is None or compute_loss is None:
        model, compute_loss = _small_model()
    exact = gradients(model, compute_loss)
    reference = _numbers(exact.values())

    def draw(exponent: int, dtype: str) -> Figure:
        precision = FORMATS[dtype]
        stored = gradients(model, compute_loss, precision, scale=2.0**exponent)
        zero = flushed(exact, stored)
        numbers = _numbers(stored.values())
        broken = float(np.mean(~np.isfinite(numbers)))
        limits = torch.finfo(precision.compute)
        figure = blank_figure(height=380)
        plots.gradient_histogram(
            reference * 2.0**exponent,
            numbers,
            tiny=limits.smallest_normal * limits.eps,
            normal=limits.smallest_normal,
            largest=limits.max,
            title=f"{dtype}, loss scale $2^{{{exponent}}}$: {100 * zero:.1f} % flushed to zero, "
            f"{100 * broken:.1f} % infinite or NaN",
            ax=figure.add_axes((0.09, 0.13, 0.89, 0.78)),
        )
        return figure

    return panel(
        draw,
        hint="Raise the scale from 2⁰: the gradients move to the right, and the share flushed to "
        "zero falls, until the largest overflow. Then switch to BF16, which needs no scale.",
        alt="Histogram of the magnitudes of all gradients on a scale of powers of two, in FP32 and "
        "as the narrow format has them, with the regions of underflow, missing digits and overflow "
        "shaded.",
        exponent=choice("loss scale", 0, [(f"2^{k}", k) for k in range(-16, 33, 2)], ordered=True),
        dtype=choice("format", "FP16", list(FORMATS)),
    )


def _numbers(tensors: Iterable[Tensor]) -> np.ndarray:
    return torch.cat([each.float().flatten() for each in tensors]).abs().numpy()


@cache
def _small_model() -> tuple[Transformer, Loss]:
    """A model that has learnt a little, and its loss on a batch of its own."""
    config = TransformerConfig(
        vocab_size=256, layers=2, width=32, heads=2, kv_heads=1, hidden=64, context=32
    )
    generator = torch.Generator().manual_seed(0)
    stream = batches(language_reference(), batch=8, length=config.context, generator=generator)
    model = Transformer(config)
    train(model, stream, steps=60, learning_rate=5e-3, warmup=5)
    return model, next_token_loss(next(stream))
