"""Exercises of chapter 01: Markov decision processes and Bellman equations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from rlcore.exercises.exercise import NO_GAMMA, THROUGH_THE_END, Arguments, Exercise, with_fixed
from rlcore.mdp import TabularMDP


def _bellman_backup(
    outcomes: dict[int, list[tuple[float, int, float, bool]]],
    policy: Any,
    values: Any,
    gamma: float,
) -> float:
    """Σ_a π(a|s) Σ_k p_k [r_k + γ v(s′_k)], v = 0 after the end."""
    return sum(
        policy[action] * p * (reward + gamma * (not terminated) * values[next_state])
        for action, possible in outcomes.items()
        for p, next_state, reward, terminated in possible
    )


def _bellman_backup_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "outcomes": {0: [(1.0, 1, 2.0, False)]},
        "policy": np.array([1.0]),
        "values": np.array([0.0, 10.0]),
        "gamma": 0.5,
    }
    yield {
        "outcomes": {0: [(1.0, 1, 2.0, False)], 1: [(0.5, 0, 0.0, False), (0.5, 2, 4.0, True)]},
        "policy": np.array([0.25, 0.75]),
        "values": np.array([1.0, 10.0, 5.0]),
        "gamma": 0.9,
    }
    table_of = gymnasium.make("FrozenLake-v1").unwrapped.P  # type: ignore[attr-defined]
    for state in (0, 6, 14):
        # Gymnasium counts in numpy's integers; a reader's message is easier to read without.
        outcomes = {
            a: [(float(p), int(s), float(r), bool(end)) for p, s, r, end in each]
            for a, each in table_of[state].items()
        }
        yield {
            "outcomes": outcomes,
            "policy": rng.dirichlet(np.ones(4)),
            "values": rng.normal(size=16).round(2),
            "gamma": 0.95,
        }


def _solve_values(transitions: Any, rewards: Any, policy: Any, gamma: float) -> Any:
    matrix = np.einsum("sa,sat->st", policy, transitions)
    expected = np.einsum("sa,sa->s", policy, rewards)
    return np.linalg.solve(np.eye(len(matrix)) - gamma * matrix, expected)


def _model(rng: np.random.Generator, states: int, actions: int, ending: bool) -> Arguments:
    """A random model; with ``ending``, some probability leads out of it."""
    transitions = rng.dirichlet(np.ones(states), size=(states, actions))
    if ending:
        transitions[-1] *= 0.5
    return {"transitions": transitions, "rewards": rng.normal(size=(states, actions)).round(1)}


def _transposed_values(transitions: Any, rewards: Any, policy: Any, gamma: float) -> Any:
    matrix = np.einsum("sa,sat->st", policy, transitions)
    expected = np.einsum("sa,sa->s", policy, rewards)
    return np.linalg.solve(np.eye(len(matrix)) - gamma * matrix.T, expected)


def _policy_values_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "transitions": np.array([[[0.0, 1.0]], [[0.0, 0.0]]]),
        "rewards": np.array([[1.0], [2.0]]),
        "policy": np.array([[1.0], [1.0]]),
        "gamma": 0.5,
    }
    for states, actions, gamma in ((2, 2, 0.9), (4, 3, 0.5), (6, 2, 0.99)):
        model = _model(rng, states, actions, ending=states > 2)
        yield {**model, "policy": rng.dirichlet(np.ones(actions), size=states), "gamma": gamma}


def _policy_values(transitions: Any, rewards: Any, policy: Any, gamma: float) -> Any:
    """The package's answer: the model as a ``TabularMDP`` whose last outcome ends the episode."""
    return _as_mdp(transitions, rewards).policy_values(policy, gamma)


def _as_mdp(transitions: Any, rewards: Any) -> TabularMDP:
    states, actions, _ = transitions.shape
    shape = (states, actions, states + 1)
    rest = np.maximum(0, 1 - transitions.sum(axis=2, keepdims=True))
    return TabularMDP(
        probabilities=np.concatenate((transitions, rest), axis=2),
        next_states=np.broadcast_to(np.append(np.arange(states), 0), shape),
        rewards=np.broadcast_to(rewards[:, :, None], shape),
        terminated=np.broadcast_to(np.arange(states + 1) == states, shape),
        start=np.full(states, 1 / states),
    )


def _sweep(
    transitions: Any,
    rewards: Any,
    values: Any,
    gamma: float,
    *,
    best: Callable[..., Any] = np.max,
    factor: Callable[[float], float] = lambda gamma: gamma / (1 - gamma),
    size: Callable[[Any], Any] = lambda change: np.abs(change).max(),
) -> tuple[Any, Any]:
    new = best(rewards + gamma * transitions @ values, axis=1)
    return new, factor(gamma) * size(new - values)


def _value_iteration_sweep(
    transitions: Any, rewards: Any, values: Any, gamma: float
) -> tuple[Any, Any]:
    """New values from the package's one-step look-ahead, and the bound of value iteration."""
    new = _as_mdp(transitions, rewards).action_values(values, gamma).max(axis=1)
    return new, gamma / (1 - gamma) * np.abs(new - values).max()


def _sweep_in_place(transitions: Any, rewards: Any, values: Any, gamma: float) -> tuple[Any, Any]:
    new = values.copy()
    for state in range(len(new)):
        new[state] = np.max(rewards[state] + gamma * transitions[state] @ new)
    return new, gamma / (1 - gamma) * np.abs(new - values).max()


def _value_iteration_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "transitions": np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 0.0], [1.0, 0.0]]]),
        "rewards": np.array([[0.0, 1.0], [3.0, -1.0]]),
        "values": np.array([2.0, 8.0]),
        "gamma": 0.5,
    }
    for states, actions, gamma in ((3, 2, 0.8), (5, 4, 0.95)):
        model = _model(rng, states, actions, ending=True)
        yield {**model, "values": 5 + rng.normal(size=states).round(1), "gamma": gamma}


EXERCISES = (
    Exercise(
        1,
        1,
        "bellman_backup",
        "One Bellman backup from Gymnasium's own table",
        "easy",
        5,
        _bellman_backup,
        _bellman_backup_cases,
        {
            NO_GAMMA: with_fixed(_bellman_backup, gamma=1.0),
            THROUGH_THE_END: lambda outcomes, **rest: _bellman_backup(
                {a: [(p, s, r, False) for p, s, r, _ in each] for a, each in outcomes.items()},
                **rest,
            ),
            "the actions are not weighed by π(a|s)": lambda policy, **rest: _bellman_backup(
                policy=np.ones_like(policy), **rest
            ),
            "this is the largest action value, not the mean under π": lambda policy, **rest: max(
                _bellman_backup(policy=one, **rest) for one in np.eye(len(policy))
            ),
        },
    ),
    Exercise(
        1,
        2,
        "policy_values",
        "The values of a policy as a linear solve",
        "medium",
        10,
        _policy_values,
        _policy_values_cases,
        {
            NO_GAMMA: with_fixed(_solve_values, gamma=1.0),
            "these are the rewards of one step, r_π, without what follows": with_fixed(
                _solve_values, gamma=0.0
            ),
            "P_π seems to be transposed: rows are s, columns s′": _transposed_values,
            "the actions are averaged equally, not by π(a|s)": lambda policy, **rest: _solve_values(
                policy=np.full_like(policy, 1 / policy.shape[1]), **rest
            ),
        },
    ),
    Exercise(
        1,
        3,
        "value_iteration_sweep",
        "One sweep of value iteration, and how wrong it can still be",
        "hard",
        15,
        _value_iteration_sweep,
        _value_iteration_cases,
        {
            NO_GAMMA: lambda gamma, values, rewards, transitions: (
                lambda new: (new, gamma / (1 - gamma) * np.abs(new - values).max())
            )((rewards + transitions @ values).max(axis=1)),
            "the mean over the actions, not the largest": lambda **arguments: _sweep(
                **arguments, best=np.mean
            ),
            "the value is the max, a number; the argmax is the action": lambda **arguments: _sweep(
                **arguments, best=np.argmax
            ),
            "the bound is γ/(1−γ) times the change, not 1/(1−γ)": lambda **arguments: _sweep(
                **arguments, factor=lambda gamma: 1 / (1 - gamma)
            ),
            "the bound is γ/(1−γ) times the change, not the change itself": lambda **arguments: (
                _sweep(**arguments, factor=lambda gamma: 1.0)
            ),
            "the bound takes the largest |change|, of either sign": lambda **arguments: _sweep(
                **arguments, size=lambda change: change.max()
            ),
            "the sweep uses values that it has already changed; keep the old ones apart": (
                _sweep_in_place
            ),
        },
    ),
)
