"""Exercises of chapter 09: modules and functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from rlcore.exercises.exercise import Arguments, Exercise, with_fixed


def _dropout(x: Any, u: Any, p: float, training: bool) -> Any:
    """x · 1[u ≥ p] / (1 − p) in training, x in evaluation."""
    return np.where(u < p, 0.0, x / (1.0 - p)) if training else x


def _dropout_of_old(x: Any, u: Any, p: float, training: bool) -> Any:
    return np.where(u < p, 0.0, x) if training else (1.0 - p) * x


def _dropout_unscaled(x: Any, u: Any, p: float, training: bool) -> Any:
    return np.where(u < p, 0.0, x) if training else x


def _dropout_keeping(x: Any, u: Any, p: float, training: bool) -> Any:
    return np.where(u < p, x / p, 0.0) if training else x


def _dropout_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    x, u = np.array([1.0, 2.0, -3.0, 4.0]), np.array([0.1, 0.9, 0.3, 0.2])
    yield {"x": x, "u": u, "p": 0.25, "training": True}
    yield {"x": x, "u": u, "p": 0.25, "training": False}
    for p in (0.0, 0.5, 0.9):
        for training in (True, False):
            x, u = rng.normal(size=(2, 3)).round(2), rng.random((2, 3)).round(2)
            yield {"x": x, "u": u, "p": p, "training": training}


def _batch_norm(
    x: Any, running_mean: Any, running_var: Any, momentum: float, eps: float, training: bool
) -> tuple[Any, Any, Any]:
    """The package's answer: torch's own function."""
    mean, var = torch.tensor(running_mean), torch.tensor(running_var)
    y = F.batch_norm(torch.tensor(x), mean, var, training=training, momentum=momentum, eps=eps)
    return y.numpy(), mean.numpy(), var.numpy()


def _batch_norm_with(ddof: int, ddof_running: int) -> Any:
    """Sums divided by n − ddof for the batch, and by n − ddof_running for the running variance."""

    def wrong(
        x: Any, running_mean: Any, running_var: Any, momentum: float, eps: float, training: bool
    ) -> tuple[Any, Any, Any]:
        mean, var = running_mean, running_var
        if training:
            mean, var = x.mean(0), x.var(0, ddof=ddof)
            running_mean = (1 - momentum) * running_mean + momentum * mean
            new_var = x.var(0, ddof=ddof_running)
            running_var = (1 - momentum) * running_var + momentum * new_var
        return (x - mean) / np.sqrt(var + eps), running_mean, running_var

    return wrong


def _batch_norm_of_the_old(*, momentum: float, **rest: Any) -> tuple[Any, Any, Any]:
    return _batch_norm(momentum=1.0 - momentum, **rest)


def _batch_norm_forgets(
    *, running_mean: Any, running_var: Any, **rest: Any
) -> tuple[Any, Any, Any]:
    y, _, _ = _batch_norm(running_mean=running_mean, running_var=running_var, **rest)
    return y, running_mean, running_var


def _batch_norm_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for training in (True, False):
        yield {
            "x": np.array([[0.0], [2.0], [4.0]]),
            "running_mean": np.array([1.0]),
            "running_var": np.array([3.0]),
            "momentum": 0.25,
            "eps": 1.0,
            "training": training,
        }
    for training in (True, False):
        yield {
            "x": rng.normal(2.0, 3.0, size=(5, 2)).round(2),
            "running_mean": rng.normal(size=2).round(2),
            "running_var": rng.uniform(0.5, 2.0, size=2).round(2),
            "momentum": 0.1,
            "eps": 0.01,
            "training": training,
        }


Arrays = Mapping[str, Any]


def _mlp(state: Arrays, x: Any) -> Any:
    """The package's answer: modules that load the state."""
    numbers = sorted({int(name.partition(".")[0]) for name in state})
    layers: list[nn.Module] = []
    for number in numbers:
        rows, columns = state[f"{number}.weight"].shape
        layers += [nn.Linear(columns, rows, dtype=torch.float64), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    network.load_state_dict({name: torch.tensor(values) for name, values in state.items()})
    with torch.no_grad():
        return network(torch.tensor(x)).numpy()


def _mlp_with(
    *,
    order: Any = int,
    transposed: bool = True,
    bias: bool = True,
    between: bool = True,
    after: bool = False,
) -> Any:
    def wrong(state: Arrays, x: Any) -> Any:
        names = {name.partition(".")[0]: None for name in state}
        numbers = sorted(names, key=order) if order is not None else list(names)
        for number in numbers:
            weight = state[f"{number}.weight"]
            x = x @ (weight.T if transposed else weight)
            x = x + state[f"{number}.bias"] if bias else x
            if after or (between and number != numbers[-1]):
                x = np.maximum(x, 0.0)
        return x

    return wrong


def _mlp_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {
        "0.weight": np.array([[1.0, -2.0], [0.0, 1.0]]),
        "0.bias": np.array([0.5, -2.0]),
        "2.weight": np.array([[1.0, 3.0], [-1.0, 1.0]]),
        "2.bias": np.array([-3.0, 1.0]),
    }
    yield {"state": first, "x": np.array([[1.0, 1.0], [4.0, 0.0]])}
    yield {"state": dict(reversed(first.items())), "x": np.array([[2.0, -1.0]])}
    for depth in (3, 7):  # seven layers: number 10 comes after number 8
        state = {}
        for layer in range(depth):
            state[f"{2 * layer}.weight"] = rng.normal(size=(2, 2)).round(1)
            state[f"{2 * layer}.bias"] = rng.uniform(0.5, 1.5, size=2).round(1)
        yield {"state": state, "x": rng.normal(size=(2, 2)).round(1)}
    wide = {
        "0.weight": rng.normal(size=(4, 3)).round(1),
        "0.bias": rng.normal(size=4).round(1),
        "2.weight": rng.normal(size=(1, 4)).round(1),
        "2.bias": rng.normal(size=1).round(1),
    }
    yield {"state": wide, "x": rng.normal(size=(2, 3)).round(1)}


EXERCISES = (
    Exercise(
        9,
        1,
        "dropout_output",
        "Dropout, given the random numbers",
        "easy",
        5,
        _dropout,
        _dropout_cases,
        {
            "what is kept has to be divided by 1 − p": _dropout_unscaled,
            "in evaluation the input comes through unchanged": with_fixed(_dropout, training=True),
            "p is the probability of a zero, not of keeping": _dropout_keeping,
            "this scales in evaluation; torch scales in training": _dropout_of_old,
        },
    ),
    Exercise(
        9,
        2,
        "batch_norm_step",
        "One call of batch normalisation",
        "medium",
        15,
        _batch_norm,
        _batch_norm_cases,
        {
            "the running variance takes the unbiased variance, divided by n − 1": (
                _batch_norm_with(0, 0)
            ),
            "the batch is normalised with the biased variance, divided by n": _batch_norm_with(
                1, 1
            ),
            "momentum is the weight of the new batch, not of the old value": _batch_norm_of_the_old,
            "in training, the running statistics have to move": _batch_norm_forgets,
            "in evaluation, the running statistics are used and stay as they are": with_fixed(
                _batch_norm, training=True
            ),
        },
    ),
    Exercise(
        9,
        3,
        "mlp_from_state",
        "A network from nothing but its state_dict",
        "hard",
        20,
        _mlp,
        _mlp_cases,
        {
            "there is a ReLU between two layers": _mlp_with(between=False),
            "there is no ReLU after the last layer": _mlp_with(after=True),
            "a weight has shape (out, in): it has to be transposed": _mlp_with(transposed=False),
            "the biases are missing": _mlp_with(bias=False),
            'as text, "10" comes before "2": order the layers by number': _mlp_with(order=str),
            "a dictionary may be in any order: order the layers by number": _mlp_with(order=None),
        },
    ),
)
