"""Exercises of chapter 06: from table to function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.approximation.features import Phi, learn, read, tile_coding
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.exercises.exercise import (
    NO_GAMMA,
    THROUGH_THE_END,
    Arguments,
    Exercise,
    step_discount,
    with_fixed,
)
from rlcore.mdp import TabularMDP
from rlcore.tabular.targets import td_target


def _active_tiles(x: float, low: float, high: float, tiles: int, tilings: int) -> Any:
    return tile_coding(tiles, tilings, low, high)([x])[0]


def _wrong_tiles(
    *,
    shift: Callable[[Any, int], Any] = lambda tiling, tilings: tiling / tilings,
    whole: Callable[[Any], Any] = np.floor,
    inside: Callable[[Any, int], Any] = lambda tile, tiles: np.clip(tile, 0, tiles),
    first: Callable[[Any, int], Any] = lambda tiling, tiles: tiling * (tiles + 1),
) -> Callable[..., Any]:
    """Tile coding of one coordinate, part by part, so that one part can be wrong."""

    def active_tiles(x: float, low: float, high: float, tiles: int, tilings: int) -> Any:
        tiling = np.arange(tilings)
        at = (x - low) / (high - low) * tiles + shift(tiling, tilings)
        return first(tiling, tiles) + inside(whole(at), tiles)

    return active_tiles


def _tile_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"x": 0.6, "low": 0.0, "high": 1.0, "tiles": 4, "tilings": 1}
    yield {"x": 0.7, "low": 0.0, "high": 1.0, "tiles": 4, "tilings": 2}
    for x in (1.3, -0.4):
        yield {"x": x, "low": 0.0, "high": 1.0, "tiles": 4, "tilings": 2}
    for x, tilings in ((-0.87, 3), (0.21, 4), (-0.05, 8)):
        yield {"x": x, "low": -1.2, "high": 0.6, "tiles": 8, "tilings": tilings}


def _linear_td_update(
    weights: Any,
    features: Any,
    reward: float,
    next_features: Any,
    terminated: bool,
    alpha: float,
    gamma: float,
    *,
    gradient: Callable[[Any, Any, float], Any] = lambda phi, next_phi, discount: phi,
) -> Any:
    """w ← w + α [r + γ v̂(s′) − v̂(s)] φ(s) (Sutton & Barto 2018, section 9.3)."""
    every = np.arange(len(weights))
    discount = step_discount(terminated, gamma)
    phi, next_phi = Phi(every, features), Phi(every, next_features)
    td_error = td_target(reward, discount, read(weights, next_phi)) - read(weights, phi)
    learn(weights, Phi(every, gradient(features, next_features, discount)), alpha * td_error)
    return weights


def _along(gradient: Callable[[Any, Any, float], Any]) -> Callable[..., Any]:
    return lambda **arguments: _linear_td_update(**arguments, gradient=gradient)


def _td_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {"weights": np.array([1.0, 2.0]), "features": np.array([1.0, 0.5]), "reward": 3.0}
    for terminated in (False, True):
        then = {"next_features": np.array([0.0, 2.0]), "terminated": terminated}
        yield {**first, **then, "alpha": 0.1, "gamma": 0.5}
    for k in range(4):
        yield {
            "weights": rng.normal(size=4).round(2),
            "features": rng.normal(size=4).round(2),
            "reward": float(rng.integers(-3, 4)),
            "next_features": rng.normal(size=4).round(2),
            "terminated": k == 2,
            "alpha": 0.2,
            "gamma": 0.9,
        }


def _chain(transition: Any, rewards: Any) -> TabularMDP:
    """A Markov chain that pays ``rewards`` for leaving a state, as a problem with one action."""
    size = len(rewards)
    shape = (size, 1, size)
    return TabularMDP(
        probabilities=transition[:, None, :],
        next_states=np.broadcast_to(np.arange(size), shape),
        rewards=np.broadcast_to(rewards[:, None, None], shape),
        terminated=np.zeros(shape, dtype=bool),
        start=np.full(size, 1 / size),
    )


def _td_linear(
    features: Any, transition: Any, rewards: Any, distribution: Any, gamma: float
) -> tuple[Any, Any, Any]:
    exact = LinearEvaluation(
        _chain(transition, rewards),
        features,
        np.ones((len(rewards), 1)),
        gamma,
        distribution=distribution,
    )
    return (*exact.system, exact.td_fixed_point())


def _td_linear_by_hand(
    features: Any,
    transition: Any,
    rewards: Any,
    distribution: Any,
    gamma: float,
    *,
    weigh_rewards: bool = True,
    closest: bool = False,
) -> tuple[Any, Any, Any]:
    weighted = features.T * distribution
    discounted = gamma * transition
    A = weighted @ (features - discounted @ features)
    b = weighted @ rewards if weigh_rewards else features.T @ rewards
    if closest:
        A = weighted @ features
        b = weighted @ np.linalg.solve(np.eye(len(rewards)) - discounted, rewards)
    return A, b, np.linalg.solve(A, b)


def _td_linear_wrong(**changes: Any) -> Callable[..., Any]:
    return lambda **arguments: _td_linear_by_hand(**arguments, **changes)


def _unweighted(*, distribution: Any, **rest: Any) -> Any:
    return _td_linear_by_hand(distribution=np.ones(len(distribution)), **rest)


def _from_where(*, transition: Any, **rest: Any) -> Any:
    return _td_linear_by_hand(transition=transition.T, **rest)


def _td_linear_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "features": np.array([[2.0], [1.0]]),
        "transition": np.array([[0.0, 1.0], [1.0, 0.0]]),
        "rewards": np.array([-1.4, 2.2]),
        "distribution": np.array([0.5, 0.5]),
        "gamma": 0.8,
    }
    for size, count in ((3, 1), (3, 2), (5, 3)):
        transition = rng.dirichlet(np.ones(size), size=size)
        rewards = rng.normal(size=size).round(1)
        policy = np.ones((size, 1))
        yield {
            "features": rng.normal(size=(size, count)).round(1),
            "transition": transition,
            "rewards": rewards,
            "distribution": _chain(transition, rewards).stationary_distribution(policy),
            "gamma": 0.9,
        }


EXERCISES = (
    Exercise(
        6,
        1,
        "active_tiles",
        "The active tiles of a point",
        "easy",
        10,
        _active_tiles,
        _tile_cases,
        {
            "the tilings are not shifted: tiling k moves by k / tilings of a tile": _wrong_tiles(
                shift=lambda tiling, tilings: 0 * tiling
            ),
            "a shifted tiling has one tile more: each takes tiles + 1 numbers": _wrong_tiles(
                first=lambda tiling, tiles: tiling * tiles
            ),
            "the tilings share their numbers: each needs numbers of its own": _wrong_tiles(
                first=lambda tiling, tiles: 0 * tiling
            ),
            "a point outside counts as the nearest tile inside": _wrong_tiles(
                inside=lambda tile, tiles: tile
            ),
            "a tile begins at a whole number: round down, not to the nearest": _wrong_tiles(
                whole=np.round
            ),
        },
    ),
    Exercise(
        6,
        2,
        "linear_td_update",
        "One semi-gradient update",
        "medium",
        10,
        _linear_td_update,
        _td_cases,
        {
            NO_GAMMA: with_fixed(_linear_td_update, gamma=1.0),
            THROUGH_THE_END: with_fixed(_linear_td_update, terminated=False),
            "the gradient went through the target: only φ(s) belongs there": _along(
                lambda phi, next_phi, discount: phi - discount * next_phi
            ),
            "the features of the next state learn: it is the state left behind that learns": (
                _along(lambda phi, next_phi, discount: next_phi)
            ),
            "all weights move alike: the gradient φ(s) is missing": _along(
                lambda phi, next_phi, discount: np.ones_like(phi)
            ),
            "the step goes away from the target: add it": _along(
                lambda phi, next_phi, discount: -phi
            ),
        },
    ),
    Exercise(
        6,
        3,
        "td_linear",
        "The TD fixed point of a model",
        "hard",
        15,
        _td_linear,
        _td_linear_cases,
        {
            NO_GAMMA: with_fixed(_td_linear_by_hand, gamma=1.0),
            "D is missing: states count as often as they are visited": _unweighted,
            "P the other way round: its row s says where s leads to": _from_where,
            "b needs D as well": _td_linear_wrong(weigh_rewards=False),
            "this is the closest function, the projection of v, not where TD rests": (
                _td_linear_wrong(closest=True)
            ),
        },
    ),
)
