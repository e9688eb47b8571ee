"""Exercises of chapter 07: control with linear functions, and how it breaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.approximation.control import read_all
from rlcore.approximation.features import Phi, learn, read
from rlcore.exercises.exercise import (
    NO_GAMMA,
    THROUGH_THE_END,
    Arguments,
    Exercise,
    step_discount,
    with_fixed,
)
from rlcore.tabular.targets import q_learning_target, td_target


def _dense(features: Any) -> Phi:
    return Phi(np.arange(len(features)), features)


def _q_update(
    weights: Any,
    phi: Any,
    action: int,
    reward: float,
    next_phi: Any,
    terminated: bool,
    alpha: float,
    gamma: float,
) -> Any:
    """w_a ← w_a + α [r + γ max_a′ φ′ᵀw_a′ − φᵀw_a] φ."""
    here, following = _dense(phi), _dense(next_phi)
    discount = step_discount(terminated, gamma)
    target = q_learning_target(reward, discount, read_all(weights, following))
    learn(weights[action], here, alpha * (target - read(weights[action], here)))
    return weights


def _q_update_along(
    direction: Callable[..., Any], value: Callable[[Any], Any] = np.max
) -> Callable[..., Any]:
    """The weights moved elsewhere, or towards another value of the next state.

    ``direction`` gets the action taken and the best next one as unit vectors, φ, γ and φ′.
    """

    def wrong(
        weights: Any,
        phi: Any,
        action: int,
        reward: float,
        next_phi: Any,
        terminated: bool,
        alpha: float,
        gamma: float,
    ) -> Any:
        next_q, discount = weights @ next_phi, step_discount(terminated, gamma)
        td_error = reward + discount * value(next_q) - weights[action] @ phi
        taken, best = np.eye(len(weights))[[action, int(np.argmax(next_q))]]
        return weights + alpha * td_error * direction(taken, best, phi, discount, next_phi)

    return wrong


def _q_update_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for terminated in (False, True):
        yield {
            "weights": np.array([[1.0, 0.0, 2.0], [0.0, 4.0, 1.0]]),
            "phi": np.array([1.0, 0.0, 2.0]),
            "action": 0,
            "reward": 3.0,
            "next_phi": np.array([0.0, 1.0, 1.0]),
            "terminated": terminated,
            "alpha": 0.5,
            "gamma": 0.5,
        }
    for k in range(4):
        yield {
            "weights": rng.normal(size=(3, 4)).round(2),
            "phi": rng.normal(size=4).round(2),
            "action": int(rng.integers(3)),
            "reward": float(rng.integers(-3, 4)),
            "next_phi": rng.normal(size=4).round(2),
            "terminated": k == 2,
            "alpha": 0.1,
            "gamma": 0.9,
        }


def _one_weight(
    features: Any,
    distribution: Any,
    transition: Any,
    gamma: float,
    alpha: float,
    *,
    sign: float = 1.0,
) -> tuple[float, float]:
    """w ← (1 − αA) w with A = Σ_s d(s) φ(s) [φ(s) − γ (Pφ)(s)], and the γ at which A = 0."""
    here = float(distribution @ features**2)
    following = float(distribution @ (features * (transition @ features)))
    factor = 1 - sign * alpha * (here - gamma * following)
    return factor, here / following if following > 0 else np.inf


def _one_weight_everywhere(*, distribution: Any, **rest: Any) -> tuple[float, float]:
    return _one_weight(distribution=np.full(len(distribution), 1 / len(distribution)), **rest)


def _one_weight_no_next(*, transition: Any, **rest: Any) -> tuple[float, float]:
    return _one_weight(transition=np.eye(len(transition)), **rest)


def _one_weight_backwards(*, transition: Any, **rest: Any) -> tuple[float, float]:
    return _one_weight(transition=transition.T, **rest)


def _one_weight_not_squared(
    *, features: Any, distribution: Any, transition: Any, gamma: float, alpha: float
) -> tuple[float, float]:
    """The error, without the gradient φ(s) that multiplies it."""
    here = float(distribution @ features)
    following = float(distribution @ (transition @ features))
    return 1 - alpha * (here - gamma * following), here / following if following > 0 else np.inf


def _one_weight_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "features": np.array([1.0, 2.0]),
        "distribution": np.array([0.75, 0.25]),
        "transition": np.array([[0.0, 1.0], [0.5, 0.5]]),
        "gamma": 0.8,
        "alpha": 0.1,
    }
    yield {
        "features": np.array([1.0, 2.0]),
        "distribution": np.array([1.0, 0.0]),
        "transition": np.array([[0.0, 1.0], [0.0, 1.0]]),
        "gamma": 0.9,
        "alpha": 0.1,
    }
    yield {
        "features": np.array([1.0, -1.0]),  # the next value has the other sign: never too much
        "distribution": np.array([0.5, 0.5]),
        "transition": np.array([[0.0, 1.0], [1.0, 0.0]]),
        "gamma": 0.9,
        "alpha": 0.1,
    }
    for _ in range(3):
        yield {
            "features": rng.uniform(0.5, 3.0, size=4).round(2),
            "distribution": rng.dirichlet(np.ones(4)),
            "transition": 0.9 * rng.dirichlet(np.ones(4), size=4),  # episodes end
            "gamma": 0.95,
            "alpha": 0.2,
        }


def _tdc_update(
    w: Any,
    h: Any,
    phi: Any,
    reward: float,
    next_phi: Any,
    terminated: bool,
    ratio: float,
    alpha: float,
    beta: float,
    gamma: float,
    *,
    correction: float = 1.0,
    corrected: str = "next",
    predicted: float = 1.0,
    h_learns: str = "here",
    h_first: bool = False,
) -> tuple[Any, Any]:
    """w ← w + αρ [δφ − γφ′(φᵀh)], h ← h + βρ [δ − φᵀh] φ (Sutton & Barto 2018, section 11.7)."""
    here, following = _dense(phi), _dense(next_phi)
    discount = step_discount(terminated, gamma)
    td_error = td_target(reward, discount, read(w, following)) - read(w, here)
    at = {"here": here, "next": following}
    error = td_error - predicted * read(h, here)
    if h_first:
        learn(h, at[h_learns], beta * ratio * error)
    expected = read(h, here)
    learn(w, here, alpha * ratio * td_error)
    learn(w, at[corrected], -correction * alpha * ratio * discount * expected)
    if not h_first:
        learn(h, at[h_learns], beta * ratio * error)
    return w, h


def _tdc_wrong(**changes: Any) -> Callable[..., Any]:
    return lambda **arguments: _tdc_update(**arguments, **changes)


def _tdc_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for terminated in (False, True):
        yield {
            "w": np.array([1.0, 2.0]),
            "h": np.array([0.5, 1.0]),
            "phi": np.array([1.0, 0.0]),
            "reward": 1.0,
            "next_phi": np.array([0.0, 2.0]),
            "terminated": terminated,
            "ratio": 2.0,
            "alpha": 0.1,
            "beta": 0.5,
            "gamma": 0.5,
        }
    for k in range(4):
        yield {
            "w": rng.normal(size=4).round(2),
            "h": rng.normal(size=4).round(2),
            "phi": rng.normal(size=4).round(2),
            "reward": float(rng.integers(-3, 4)),
            "next_phi": rng.normal(size=4).round(2),
            "terminated": k == 2,
            "ratio": (1.0, 3.0, 0.5, 0.0)[k],
            "alpha": 0.05,
            "beta": 0.2,
            "gamma": 0.9,
        }


EXERCISES = (
    Exercise(
        7,
        1,
        "linear_q_update",
        "Q-learning with one weight vector an action",
        "easy",
        10,
        _q_update,
        _q_update_cases,
        {
            NO_GAMMA: with_fixed(_q_update, gamma=1.0),
            THROUGH_THE_END: with_fixed(_q_update, terminated=False),
            "only the weights of the action taken change": _q_update_along(
                lambda taken, best, phi, discount, next_phi: np.tile(phi, (len(taken), 1))
            ),
            "the action taken learns, not the best next one": _q_update_along(
                lambda taken, best, phi, discount, next_phi: np.outer(best, phi)
            ),
            "the gradient is φ of the state that was left, not φ′ of the next": _q_update_along(
                lambda taken, best, phi, discount, next_phi: np.outer(taken, next_phi)
            ),
            "this moves the target too: a semi-gradient holds it fixed": _q_update_along(
                lambda taken, best, phi, discount, next_phi: (
                    np.outer(taken, phi) - discount * np.outer(best, next_phi)
                )
            ),
            "argmax is the number of the best action; the target needs its value": _q_update_along(
                lambda taken, best, phi, discount, next_phi: np.outer(taken, phi), np.argmax
            ),
        },
    ),
    Exercise(
        7,
        2,
        "one_weight_divergence",
        "When a single weight diverges",
        "medium",
        15,
        _one_weight,
        _one_weight_cases,
        {
            "the distribution is missing: states are not updated equally often": (
                _one_weight_everywhere
            ),
            "the next state's feature is missing: (Pφ)(s), not φ(s)": _one_weight_no_next,
            "Pφ sums over the next states, a row of P for each state": _one_weight_backwards,
            "the sign: the update moves the value towards the target, 1 − αA": (
                lambda **arguments: _one_weight(**arguments, sign=-1.0)
            ),
            "the TD error is multiplied by φ(s), the gradient": _one_weight_not_squared,
        },
    ),
    Exercise(
        7,
        3,
        "tdc_update",
        "One update of TDC",
        "hard",
        15,
        _tdc_update,
        _tdc_cases,
        {
            NO_GAMMA: with_fixed(_tdc_update, gamma=1.0),
            THROUGH_THE_END: with_fixed(_tdc_update, terminated=False),
            "ρ seems to be missing": with_fixed(_tdc_update, ratio=1.0),
            "this is semi-gradient TD: the correction −γ φ′ (φᵀh) is missing": _tdc_wrong(
                correction=0.0
            ),
            "the correction has the other sign": _tdc_wrong(correction=-1.0),
            "the correction moves along φ′, not along φ": _tdc_wrong(corrected="here"),
            "h learns along φ, not along φ′": _tdc_wrong(h_learns="next"),
            "h learns what it does not yet predict: δ − φᵀh": _tdc_wrong(predicted=0.0),
            "w is corrected by h as it was before the update": _tdc_wrong(h_first=True),
        },
    ),
)
