"""Exercises of chapter 08: neural value functions and DQN."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from rlcore.approximation.dqn import Batch, ReplayMemory, q_targets
from rlcore.exercises.exercise import (
    NO_GAMMA,
    THROUGH_THE_END,
    Arguments,
    Exercise,
    with_fixed,
)


def _huber_gradient(y: Any, q: Any) -> Any:
    """∂/∂q of the mean Huber loss, by automatic differentiation."""
    estimates = torch.tensor(q, dtype=torch.float64, requires_grad=True)
    loss = F.huber_loss(estimates, torch.tensor(y, dtype=torch.float64))
    (gradient,) = torch.autograd.grad(loss, estimates)
    return gradient.numpy()


def _huber_by(gradient: Callable[[Any], Any]) -> Callable[..., Any]:
    """Another gradient, as a function of the errors q − y."""
    return lambda y, q: gradient(q - y)


def _huber_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"y": np.array([1.0, 0.0]), "q": np.array([0.5, 3.0])}
    yield {"y": np.array([-4.0, 2.0, 0.0, 0.0]), "q": np.array([4.0, 1.5, 0.25, -2.0])}
    for size in (5, 8):
        yield {"y": rng.normal(size=size).round(2), "q": rng.normal(0, 3, size=size).round(2)}


def _dqn_targets(
    rewards: Any, terminated: Any, next_q: Any, next_q_target: Any, gamma: float, double: bool
) -> Any:
    """The package's targets, of networks that answer with the arrays given."""
    column = torch.tensor(rewards, dtype=torch.float64)[:, None]
    discounts = torch.tensor(np.where(terminated, 0.0, gamma)).expand(len(rewards))[:, None]
    batch = Batch(column, column, column, discounts, column)
    network: Any = lambda _: torch.tensor(next_q)  # noqa: E731
    target: Any = lambda _: torch.tensor(next_q_target)  # noqa: E731
    return q_targets(batch, network, target, double=double)[:, 0].numpy()


def _targets_by(value: Callable[[Any, Any, bool], Any]) -> Callable[..., Any]:
    """Other values of the next states."""

    def wrong(
        rewards: Any, terminated: Any, next_q: Any, next_q_target: Any, gamma: float, double: bool
    ) -> Any:
        discounts = np.where(terminated, 0.0, gamma)
        return rewards + discounts * value(next_q, next_q_target, double)

    return wrong


def _value(chooser: Any, judge: Any) -> Any:
    return judge[np.arange(len(judge)), chooser.argmax(axis=1)]


def _targets_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    small = {
        "rewards": np.array([1.0, 2.0]),
        "terminated": np.array([False, True]),
        "next_q": np.array([[3.0, 1.0], [0.0, 4.0]]),
        "next_q_target": np.array([[2.0, 8.0], [6.0, 5.0]]),
        "gamma": 0.5,
    }
    for double in (False, True):
        yield small | {"double": double}
    for double in (False, True, False, True):
        yield {
            "rewards": rng.integers(-3, 4, size=4).astype(float),
            "terminated": rng.random(4) < 0.3,
            "next_q": rng.normal(size=(4, 3)).round(2),
            "next_q_target": rng.normal(size=(4, 3)).round(2),
            "gamma": 0.9,
            "double": double,
        }


def _remember(memory: Any, position: int, size: int, new: Any) -> tuple[Any, int, int]:
    """What the package's memory holds after ``add``."""
    replay = ReplayMemory(len(memory), memory.shape[1])
    replay.columns[0][:] = memory
    replay.position, replay.size = position, size
    one_each = np.zeros(len(new))
    replay.add(new, one_each, one_each, one_each, new)
    return replay.columns[0], replay.position, replay.size


def _remember_without_wrapping(
    memory: Any, position: int, size: int, new: Any
) -> tuple[Any, int, int]:
    rows = np.minimum(position + np.arange(len(new)), len(memory) - 1)
    memory[rows] = new
    return memory, (position + len(new)) % len(memory), min(size + len(new), len(memory))


def _remember_from_the_start(
    memory: Any, position: int, size: int, new: Any
) -> tuple[Any, int, int]:
    if position + len(new) > len(memory):
        position = 0
    return _remember(memory, position, size, new)


def _remember_by(
    counters: Callable[[int, int, int, int], tuple[int, int]],
) -> Callable[..., tuple[Any, int, int]]:
    """The right rows, and another (position, size) from position, size, new rows and capacity."""

    def wrong(memory: Any, position: int, size: int, new: Any) -> tuple[Any, int, int]:
        right = _remember(memory, position, size, new)[0]
        return right, *counters(position, size, len(new), len(memory))

    return wrong


def _remember_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "memory": np.array([[1.0], [2.0], [0.0], [0.0]]),
        "position": 2,
        "size": 2,
        "new": np.array([[3.0]]),
    }
    yield {
        "memory": np.array([[1.0], [2.0], [3.0], [0.0]]),
        "position": 3,
        "size": 3,
        "new": np.array([[4.0], [5.0]]),
    }
    for capacity, position, size, count in ((5, 1, 5, 3), (5, 4, 5, 5), (6, 4, 4, 2), (7, 6, 7, 4)):
        yield {
            "memory": rng.integers(1, 10, size=(capacity, 2)).astype(float),
            "position": position,
            "size": size,
            "new": rng.integers(10, 100, size=(count, 2)).astype(float),
        }


EXERCISES = (
    Exercise(
        8,
        1,
        "huber_gradient",
        "The gradient that the Huber loss lets through",
        "easy",
        5,
        _huber_gradient,
        _huber_cases,
        {
            "the sign is that of y − q: the loss falls when q moves towards y": _huber_by(
                lambda error: -np.clip(error, -1, 1) / len(error)
            ),
            "this is the gradient of the squared loss: nothing is clipped": _huber_by(
                lambda error: error / len(error)
            ),
            "this is the gradient of the absolute loss: small errors are not ±1": _huber_by(
                lambda error: np.sign(error) / len(error)
            ),
            "the loss is a mean over the batch: its gradient is divided by the size": _huber_by(
                lambda error: np.clip(error, -1, 1)
            ),
            "large errors still pull, with ±1; they are not left out": _huber_by(
                lambda error: np.where(np.abs(error) <= 1, error, 0) / len(error)
            ),
        },
    ),
    Exercise(
        8,
        2,
        "dqn_targets",
        "The targets of a batch",
        "medium",
        10,
        _dqn_targets,
        _targets_cases,
        {
            NO_GAMMA: with_fixed(_dqn_targets, gamma=1.0),
            THROUGH_THE_END: with_fixed(_dqn_targets, terminated=False),
            "next_q_target judges without double, too: it is the target network": _targets_by(
                lambda q, target, double: _value(q, target) if double else q.max(axis=1)
            ),
            "with double, next_q chooses and next_q_target judges: here they swap": _targets_by(
                lambda q, target, double: _value(target, q) if double else target.max(axis=1)
            ),
            "with double, next_q has to choose the action": with_fixed(_dqn_targets, double=False),
            "without double, the target network chooses for itself": with_fixed(
                _dqn_targets, double=True
            ),
            "one maximum over the whole batch: each row has its own": _targets_by(
                lambda q, target, double: _value(q, target) if double else target.max()
            ),
        },
    ),
    Exercise(
        8,
        3,
        "remember",
        "A memory that forgets the oldest",
        "medium",
        15,
        _remember,
        _remember_cases,
        {
            "rows beyond the last one have to wrap around to the first": _remember_without_wrapping,
            "fill the last rows first, then go on with row 0": _remember_from_the_start,
            "the position wraps around, like the rows": _remember_by(
                lambda position, size, count, capacity: (
                    position + count,
                    min(size + count, capacity),
                )
            ),
            "the memory never holds more than its capacity": _remember_by(
                lambda position, size, count, capacity: (
                    (position + count) % capacity,
                    size + count,
                )
            ),
            "the size is not the position: a full memory stays full": _remember_by(
                lambda position, size, count, capacity: (
                    (position + count) % capacity,
                    (position + count) % capacity,
                )
            ),
        },
    ),
)
