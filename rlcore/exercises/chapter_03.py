"""Exercises of chapter 03: Sarsa, Expected Sarsa, n-step Sarsa."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import (
    NO_GAMMA,
    THROUGH_THE_END,
    Arguments,
    Exercise,
    random_steps,
    step_discount,
    with_fixed,
)
from rlcore.tabular.targets import expected_sarsa_target, n_step_target, sarsa_target


def _sarsa_target(
    q: Any, reward: float, next_state: int, next_action: int, terminated: bool, gamma: float
) -> float:
    return float(sarsa_target(reward, step_discount(terminated, gamma), q[next_state], next_action))


def _sarsa_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(random_steps(rng)):
        yield {
            "q": q,
            "reward": reward,
            "next_state": next_state,
            "next_action": 1 if k < 2 else int(rng.integers(3)),
            "terminated": terminated,
            "gamma": 0.5 if k < 2 else 0.9,
        }


def _sarsa_by(value: Callable[[Any], float]) -> Callable[..., float]:
    """Something else than q(s′, a′) in the place of q(s′, a′)."""

    def wrong(
        q: Any, reward: float, next_state: int, next_action: int, terminated: bool, gamma: float
    ) -> float:
        return reward + step_discount(terminated, gamma) * value(q[next_state])

    return wrong


def _expected_target(
    q: Any, reward: float, next_state: int, terminated: bool, epsilon: float, gamma: float
) -> float:
    discount = step_discount(terminated, gamma)
    return float(expected_sarsa_target(reward, discount, q[next_state], epsilon))


def _expected_by(weights: Callable[[Any, float], Any]) -> Callable[..., float]:
    """Other probabilities than those of the ε-greedy policy."""

    def wrong(
        q: Any, reward: float, next_state: int, terminated: bool, epsilon: float, gamma: float
    ) -> float:
        row = q[next_state]
        return float(reward + step_discount(terminated, gamma) * (weights(row, epsilon) @ row))

    return wrong


def _all_best_weights(row: Any, epsilon: float) -> Any:
    return epsilon / len(row) + (1 - epsilon) * (row == row.max())


def _others_only_weights(row: Any, epsilon: float) -> Any:
    best = np.eye(len(row))[row.argmax()]
    return (1 - epsilon) * best + epsilon / (len(row) - 1) * (1 - best)


def _best_without_share_weights(row: Any, epsilon: float) -> Any:
    best = np.eye(len(row))[row.argmax()]
    return (1 - epsilon) * best + epsilon / len(row) * (1 - best)


def _expected_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(random_steps(rng)):
        yield {
            "q": q,
            "reward": reward,
            "next_state": next_state,
            "terminated": terminated,
            "epsilon": 0.3,
            "gamma": 0.5 if k < 2 else 0.9,
        }
    tied = np.array([[0.0, 0.0, 0.0, 0.0], [2.0, 5.0, 5.0, 1.0]])
    yield {
        "q": tied,
        "reward": 1.0,
        "next_state": 1,
        "terminated": False,
        "epsilon": 0.4,
        "gamma": 1.0,
    }


def _n_step(
    states: list[int],
    rewards: list[float],
    terminated: bool,
    values: Any,
    t: int,
    n: int,
    gamma: float,
) -> float:
    """The package's n-step target of step t of a recorded episode."""
    last = min(t + n, len(rewards))
    discounts = np.full(len(rewards), gamma)
    if terminated:
        discounts[-1] = 0.0
    return float(n_step_target(np.array(rewards[t:last]), discounts[t:last], values[states[last]]))


def _n_step_wrong(
    *,
    shift: int = 0,
    power: int = 0,
    absolute: bool = False,
    through_the_end: bool = False,
    end_is_terminal: bool = False,
) -> Callable[..., float]:
    """An n-step target with one slip in it."""

    def wrong(
        states: list[int],
        rewards: list[float],
        terminated: bool,
        values: Any,
        t: int,
        n: int,
        gamma: float,
    ) -> float:
        length = len(rewards)
        last = min(t + n + shift, length)
        offset = 0 if absolute else t
        total = sum(gamma ** (i - offset) * rewards[i] for i in range(t, last))
        over = last == length and (terminated or end_is_terminal)
        if not over or through_the_end:
            total += gamma ** (last - offset + power) * values[states[last]]
        return float(total)

    return wrong


def _n_step_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {"states": [0, 1, 2, 3], "rewards": [1.0, 2.0, 4.0]}
    values = np.array([10.0, 20.0, 30.0, 40.0])
    for t, n, terminated in ((0, 2, True), (1, 1, True), (1, 2, True), (0, 5, True), (1, 5, False)):
        yield {**first, "terminated": terminated, "values": values, "t": t, "n": n, "gamma": 0.5}
    for terminated in (True, False):
        length = 6
        for t, n in ((0, 1), (2, 3), (3, 3), (4, 4)):
            yield {
                "states": rng.integers(0, 5, size=length + 1).tolist(),
                "rewards": rng.integers(-2, 3, size=length).astype(float).tolist(),
                "terminated": terminated,
                "values": rng.normal(size=5).round(2),
                "t": t,
                "n": n,
                "gamma": 0.9,
            }


EXERCISES = (
    Exercise(
        3,
        1,
        "sarsa_target",
        "The target of Sarsa",
        "easy",
        5,
        _sarsa_target,
        _sarsa_cases,
        {
            "this takes the best action; Sarsa takes the one that comes next": _sarsa_by(np.max),
            "this takes the mean over all actions; Sarsa takes the one that comes next": _sarsa_by(
                np.mean
            ),
            NO_GAMMA: with_fixed(_sarsa_target, gamma=1.0),
            THROUGH_THE_END: with_fixed(_sarsa_target, terminated=False),
        },
    ),
    Exercise(
        3,
        2,
        "expected_sarsa_target",
        "The expectation in Expected Sarsa, ties included",
        "medium",
        10,
        _expected_target,
        _expected_cases,
        {
            NO_GAMMA: with_fixed(_expected_target, gamma=1.0),
            THROUGH_THE_END: with_fixed(_expected_target, terminated=False),
            "this takes the best action: 1 − ε of the time is not always": with_fixed(
                _expected_target, epsilon=0.0
            ),
            "the best action is explored too: it has ε/|A| on top of 1 − ε": _expected_by(
                _best_without_share_weights
            ),
            "exploring means all actions, ε/|A| each, not ε/(|A| − 1) for the others": _expected_by(
                _others_only_weights
            ),
            "equal best actions share the 1 − ε: probabilities must sum to 1": _expected_by(
                _all_best_weights
            ),
        },
    ),
    Exercise(
        3,
        3,
        "n_step_target",
        "The n-step target, near the end of an episode too",
        "hard",
        15,
        _n_step,
        _n_step_cases,
        {
            NO_GAMMA: with_fixed(_n_step, gamma=1.0),
            "one reward too few": _n_step_wrong(shift=-1),
            "one reward too many": _n_step_wrong(shift=1),
            "the last value is discounted once too often": _n_step_wrong(power=1),
            "the last value is discounted once too little": _n_step_wrong(power=-1),
            "γ is counted from the start of the episode, not from t": _n_step_wrong(absolute=True),
            THROUGH_THE_END: _n_step_wrong(through_the_end=True),
            "the episode was cut off, not ended: the value of its last state counts": _n_step_wrong(
                end_is_terminal=True
            ),
        },
    ),
)
