"""Exercises of chapter 12: mixed-precision training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from rlcore.exercises.exercise import Arguments, Exercise, with_fixed
from speccore.foundations.mixed_precision import FP16_MASTER, LossScale, MixedPrecision

FP16_MAX = 65504.0


def _next_scale(
    scale: float, good_steps: int, overflow: bool, growth: float, backoff: float, interval: int
) -> tuple[float, int]:
    """The package's own scale, told of one step."""
    state = LossScale(scale, growth=growth, backoff=backoff, interval=interval)
    state.good_steps = good_steps
    state.update(overflow)
    return state.scale, state.good_steps


def _next_scale_by(
    *, reset_on_overflow: bool = True, reset_on_growth: bool = True, late: int = 0
) -> Callable[..., tuple[float, int]]:
    """The rule with one of its details changed."""

    def wrong(
        scale: float, good_steps: int, overflow: bool, growth: float, backoff: float, interval: int
    ) -> tuple[float, int]:
        if overflow:
            return scale * backoff, 0 if reset_on_overflow else good_steps
        good_steps += 1
        if good_steps >= interval + late:
            return scale * growth, 0 if reset_on_growth else good_steps
        return scale, good_steps

    return wrong


def _next_scale_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    rules = {"growth": 2.0, "backoff": 0.5, "interval": 3}
    for good_steps, overflow in ((0, False), (1, True), (2, False), (2, True)):
        yield {"scale": 8.0, "good_steps": good_steps, "overflow": overflow, **rules}
    for _ in range(6):
        interval = int(rng.integers(2, 6))
        yield {
            "scale": 2.0 ** int(rng.integers(0, 20)),
            "good_steps": int(rng.integers(interval)),
            "overflow": bool(rng.random() < 0.5),
            "growth": 4.0,
            "backoff": 0.25,
            "interval": interval,
        }


def _largest_scale(gradients: Any) -> float:
    """Found by trying: the largest 2ᵏ that leaves every gradient finite in FP16."""
    found = torch.tensor(np.asarray(gradients), dtype=torch.float64)
    exponent = 64
    while not bool(torch.isfinite((found * 2.0**exponent).half()).all()):
        exponent -= 1
    return 2.0**exponent


def _scale_from(reduce: Callable[[Any], float], largest: float = FP16_MAX) -> Callable[..., float]:
    """A power of two from one number of the gradients."""

    def wrong(gradients: Any) -> float:
        return float(2.0 ** math.floor(math.log2(largest / reduce(gradients))))

    return wrong


def _largest_scale_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"gradients": np.array([0.5, -1.0, 0.25])}
    yield {"gradients": np.array([1e-3, -2e-6, 0.0])}
    for _ in range(5):
        width = 10.0 ** rng.uniform(-8, 0)
        yield {"gradients": (width * rng.normal(size=6)).round(10)}
    yield {"gradients": np.array([-7.0, 3.0])}


def _master_step(
    master: Any, scaled_gradient: Any, scale: float, max_norm: float, learning_rate: float
) -> tuple[Any, Any]:
    """The package's own step, of a model whose gradient is what the exercise says."""
    parameters = torch.nn.ParameterList([torch.tensor(master, dtype=torch.float32)])
    mixed = MixedPrecision(parameters, FP16_MASTER, LossScale(scale, interval=None))
    optimizer = torch.optim.SGD(mixed.masters, lr=learning_rate)
    arriving = torch.tensor(scaled_gradient).half().float() / scale
    mixed.step([lambda model: (parameters[0].float() * arriving).sum()], optimizer, clip=max_norm)
    return mixed.masters[0].detach().double().numpy(), parameters[0].detach().double().numpy()


def _master_step_by(
    *,
    unscale: bool = True,
    skip: bool = True,
    clip_first: bool = False,
    clip: bool = True,
    keep_master: bool = True,
    scale_update: bool = False,
) -> Callable[..., tuple[Any, Any]]:
    """The step with one of its parts wrong or missing."""

    def wrong(
        master: Any, scaled_gradient: Any, scale: float, max_norm: float, learning_rate: float
    ) -> tuple[Any, Any]:
        gradient: Any = np.asarray(scaled_gradient, dtype=float)
        finite = np.isfinite(gradient)
        if skip and not finite.all():
            return master, np.float16(master).astype(float)
        gradient = np.where(finite, gradient, 0.0)
        for part in ("clip", "unscale") if clip_first else ("unscale", "clip"):
            if part == "unscale":
                gradient = gradient / scale if unscale else gradient
            elif clip:
                gradient = gradient * min(1.0, max_norm / np.linalg.norm(gradient))
        new = master - learning_rate * gradient * (scale if scale_update else 1.0)
        stored = np.float16(new).astype(float)
        return (new if keep_master else stored), stored

    return wrong


def _master_step_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    settings = {"scale": 1024.0, "max_norm": 1.0, "learning_rate": 0.125}
    yield {"master": np.array([1.0, 0.5]), "scaled_gradient": np.array([0.25, -1.0]), **settings}
    yield {
        "master": np.array([1.0, 0.5]),
        "scaled_gradient": np.array([8192.0, 0.0]),
        **settings,
    }
    yield {
        "master": np.array([1.0, 0.5]),
        "scaled_gradient": np.array([np.inf, 1.0]),
        **settings,
    }
    for _ in range(4):
        yield {
            "master": rng.normal(size=3).round(3),
            "scaled_gradient": np.float16(rng.normal(size=3) * 1000).astype(float),
            "scale": 256.0,
            "max_norm": float(rng.choice([0.5, 50.0])),
            "learning_rate": 0.01,
        }


EXERCISES = (
    Exercise(
        12,
        1,
        "next_scale",
        "The scale after a step",
        "easy",
        10,
        _next_scale,
        _next_scale_cases,
        {
            "the scale never backs off: a step that overflows must lower it": with_fixed(
                _next_scale, overflow=False
            ),
            "an overflow ends the row of good steps: the count starts again at 0": _next_scale_by(
                reset_on_overflow=False
            ),
            "after growing, the count starts again at 0": _next_scale_by(reset_on_growth=False),
            "the scale grows too late, or never": _next_scale_by(late=1),
        },
    ),
    Exercise(
        12,
        2,
        "largest_scale",
        "The largest scale that overflows nothing",
        "medium",
        10,
        _largest_scale,
        _largest_scale_cases,
        {
            "a gradient can be negative: its size counts": _scale_from(np.max),
            "the mean size is no bound: the largest gradient must fit": _scale_from(
                lambda gradients: float(np.abs(gradients).mean())
            ),
            "this fits BF16's range; FP16 ends at 65504": _scale_from(
                lambda gradients: float(np.abs(gradients).max()), 3.3895313892515355e38
            ),
        },
    ),
    Exercise(
        12,
        3,
        "master_step",
        "One whole step with master weights",
        "hard",
        20,
        _master_step,
        _master_step_cases,
        {
            "the gradients are never unscaled": _master_step_by(unscale=False),
            "clipping comes before unscaling: it must see the true gradients": _master_step_by(
                clip_first=True
            ),
            "one infinite gradient skips the whole step, not only its weight": _master_step_by(
                skip=False
            ),
            "nothing is clipped": _master_step_by(clip=False),
            "the master weights are rounded to FP16: keep them in full": _master_step_by(
                keep_master=False
            ),
            "the update is multiplied by the scale once more": _master_step_by(scale_update=True),
        },
    ),
)
