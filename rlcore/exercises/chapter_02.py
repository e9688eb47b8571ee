"""Exercises of chapter 02: TD learning of state values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import NO_GAMMA, THROUGH_THE_END, Arguments, Exercise, with_fixed
from rlcore.tabular.prediction import batch_td
from rlcore.tabular.targets import lambda_targets, td_target
from rlcore.transitions import Transitions


def _td_update(
    values: Any,
    state: int,
    reward: float,
    next_state: int,
    terminated: bool,
    alpha: float,
    gamma: float,
) -> Any:
    """V(s) ← V(s) + α [r + γ V(s′) − V(s)]."""
    discount = 0.0 if terminated else gamma
    values[state] += alpha * (td_target(reward, discount, values[next_state]) - values[state])
    return values


def _td_update_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {"values": np.array([1.0, 4.0, 2.0]), "state": 0, "reward": 3.0, "next_state": 1}
    yield {**first, "terminated": False, "alpha": 0.5, "gamma": 0.9}
    yield {**first, "terminated": True, "alpha": 0.5, "gamma": 0.9}
    for k in range(6):
        state, next_state = rng.choice(5, size=2, replace=False)
        yield {
            "values": rng.normal(size=5).round(2),
            "state": int(state),
            "reward": float(rng.integers(-3, 4)),
            "next_state": int(state if k == 5 else next_state),
            "terminated": bool(k % 3 == 1),
            "alpha": 0.1,
            "gamma": 0.8,
        }


def _no_update_at_the_end(*, values: Any, terminated: bool, **rest: Any) -> Any:
    return values if terminated else _td_update(values, terminated=False, **rest)


def _first_visit_returns(states: list[int], rewards: list[float], gamma: float) -> dict[int, float]:
    """The Monte Carlo targets (λ = 1) at the first visits."""
    discounts = np.full(len(rewards), gamma)
    discounts[-1] = 0.0
    returns = lambda_targets(np.array(rewards, float), discounts, np.zeros(len(rewards)), 1.0)
    return {state: float(returns[states.index(state)]) for state in dict.fromkeys(states)}


def _returns(rewards: list[float], gamma: float) -> list[float]:
    return [
        sum(gamma**k * reward for k, reward in enumerate(rewards[t:])) for t in range(len(rewards))
    ]


def _last_visit_returns(states: list[int], rewards: list[float], gamma: float) -> dict[int, float]:
    return dict(zip(states, _returns(rewards, gamma), strict=True))


def _returns_one_late(states: list[int], rewards: list[float], gamma: float) -> dict[int, float]:
    returns = [*_returns(rewards, gamma), 0.0]
    return {state: returns[states.index(state) + 1] for state in states}


def _returns_from_the_start(
    states: list[int], rewards: list[float], gamma: float
) -> dict[int, float]:
    weighted = [gamma**t * reward for t, reward in enumerate(rewards)]
    return {state: sum(weighted[states.index(state) :]) for state in states}


def _every_visit_mean(states: list[int], rewards: list[float], gamma: float) -> dict[int, float]:
    returns = np.array(_returns(rewards, gamma))
    return {state: float(returns[np.array(states) == state].mean()) for state in states}


def _first_visit_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"states": [0, 1, 2], "rewards": [1.0, 2.0, 4.0], "gamma": 0.5}
    yield {"states": [3, 1, 3, 1, 2], "rewards": [1.0, 0.0, 2.0, 0.0, 8.0], "gamma": 0.5}
    for length in (1, 4, 12):
        yield {
            "states": rng.integers(0, 4, size=length).tolist(),
            "rewards": rng.integers(-2, 3, size=length).astype(float).tolist(),
            "gamma": 0.9,
        }


Steps = list[tuple[int, float, int, bool]]


def _certainty_equivalence(steps: Steps, num_states: int, gamma: float) -> Any:
    """Where batch TD(0) comes to rest."""
    states, rewards, next_states, terminated = zip(*steps, strict=True)
    data = Transitions(
        states=np.array(states),
        actions=np.zeros(len(steps), dtype=int),
        rewards=np.array(rewards),
        next_states=np.array(next_states),
        terminated=np.array(terminated),
        ended=np.array(terminated),
        num_states=num_states,
        num_actions=1,
    )
    return batch_td(data, gamma=gamma, tolerance=1e-13)


def _batch_mean_returns(steps: Steps, num_states: int, gamma: float) -> Any:
    totals, visits, following = np.zeros(num_states), np.zeros(num_states), 0.0
    for state, reward, _, terminated in reversed(steps):
        following = reward + gamma * (0.0 if terminated else following)
        totals[state] += following
        visits[state] += 1
    return totals / np.maximum(visits, 1)


def _fitted_values(
    steps: Steps, num_states: int, gamma: float, *, through_the_end: bool, each_state: bool
) -> Any:
    matrix, rewards = np.zeros((num_states, num_states)), np.zeros(num_states)
    visits = np.zeros(num_states)
    for state, reward, next_state, terminated in steps:
        matrix[state, next_state] += through_the_end or not terminated
        rewards[state] += reward
        visits[state] += 1
    count = np.maximum(visits, 1) if each_state else np.full(num_states, len(steps))
    return np.linalg.solve(np.eye(num_states) - gamma * matrix / count[:, None], rewards / count)


def _certainty_equivalence_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    # Sutton & Barto 2018, example 6.4: "you are the predictor", A = 0, B = 1.
    ends: Steps = [(1, 1.0, 2, True)] * 6 + [(1, 0.0, 2, True)]
    yield {"steps": [(0, 0.0, 1, False), (1, 0.0, 2, True), *ends], "num_states": 3, "gamma": 1.0}
    for gamma in (0.9, 0.5):
        steps: Steps = []
        for _ in range(6):
            state = int(rng.integers(4))
            while True:
                terminated = bool(rng.random() < 0.3)
                # The end leads to a state with a value of its own, which must not be counted.
                next_state = int(rng.integers(4))
                steps.append((state, float(rng.integers(-1, 3)), next_state, terminated))
                state = next_state
                if terminated:
                    break
        yield {"steps": steps, "num_states": 5, "gamma": gamma}


EXERCISES = (
    Exercise(
        2,
        1,
        "td_update",
        "One TD(0) update, the last step included",
        "easy",
        5,
        _td_update,
        _td_update_cases,
        {
            NO_GAMMA: with_fixed(_td_update, gamma=1.0),
            THROUGH_THE_END: with_fixed(_td_update, terminated=False),
            "the last step of an episode must be learnt from too": _no_update_at_the_end,
            "the old value is replaced: α seems to be missing": with_fixed(_td_update, alpha=1.0),
            "the TD error has the wrong sign": lambda alpha, **rest: _td_update(
                alpha=-alpha, **rest
            ),
        },
    ),
    Exercise(
        2,
        2,
        "first_visit_returns",
        "The returns of first visits",
        "medium",
        10,
        _first_visit_returns,
        _first_visit_cases,
        {
            NO_GAMMA: with_fixed(_first_visit_returns, gamma=1.0),
            "these are the returns of the last visits": _last_visit_returns,
            "these are the means over every visit": _every_visit_mean,
            "the return leaves out the reward of the step itself": _returns_one_late,
            "γ is counted from the start of the episode, not from the visit": (
                _returns_from_the_start
            ),
        },
    ),
    Exercise(
        2,
        3,
        "certainty_equivalence",
        "Where batch TD(0) comes to rest",
        "hard",
        20,
        _certainty_equivalence,
        _certainty_equivalence_cases,
        {
            "these are the mean returns, the answer of batch Monte Carlo": _batch_mean_returns,
            NO_GAMMA: with_fixed(_certainty_equivalence, gamma=1.0),
            THROUGH_THE_END: lambda **arguments: _fitted_values(
                **arguments, through_the_end=True, each_state=True
            ),
            "divide by the visits of each state, not by the number of steps": lambda **arguments: (
                _fitted_values(**arguments, through_the_end=False, each_state=False)
            ),
            "this is the mean reward of one step; what follows is missing": with_fixed(
                _certainty_equivalence, gamma=0.0
            ),
        },
    ),
)
