"""Exercises of chapter 05: one update, many targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import (
    NO_GAMMA,
    THROUGH_THE_END,
    Arguments,
    Exercise,
    step_discount,
    with_fixed,
)
from rlcore.tabular.targets import lambda_targets, td_target


def _trace_update(
    values: Any,
    traces: Any,
    state: int,
    reward: float,
    next_state: int,
    terminated: bool,
    alpha: float,
    gamma: float,
    lam: float,
    *,
    decay: Callable[[float, float], float] = lambda gamma, lam: gamma * lam,
    replacing: bool = False,
    late: bool = False,
    here_only: bool = False,
) -> tuple[Any, Any]:
    """z ← γ λ z, z(s) ← z(s) + 1, V ← V + α δ z (Sutton & Barto 2018, section 12.2)."""
    discount = step_discount(terminated, gamma)
    td_error = td_target(reward, discount, values[next_state]) - values[state]
    if late:
        traces[state] += 1.0
    traces *= decay(gamma, lam)
    if not late:
        traces[state] = 1.0 if replacing else traces[state] + 1.0
    values += alpha * td_error * (np.eye(len(values))[state] if here_only else traces)
    return values, traces


def _trace_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {"values": np.array([1.0, 4.0, 2.0]), "traces": np.array([1.0, 0.0, 0.5])}
    last = {"alpha": 0.5, "gamma": 0.5, "lam": 0.8}
    for state, terminated in ((1, False), (0, False), (1, True)):
        step = {"state": state, "reward": 3.0, "next_state": 2, "terminated": terminated}
        yield {**first, **step, **last}
    for k in range(4):
        yield {
            "values": rng.normal(size=5).round(2),
            "traces": rng.random(5).round(2),
            "state": int(rng.integers(5)),
            "reward": float(rng.integers(-3, 4)),
            "next_state": int(rng.integers(5)),
            "terminated": k == 2,
            "alpha": 0.1,
            "gamma": 0.9,
            "lam": 0.6,
        }


def _lambda_returns(
    rewards: list[float], next_values: list[float], terminated: bool, gamma: float, lam: float
) -> Any:
    discounts = np.full(len(rewards), gamma)
    if terminated:
        discounts[-1] = 0.0
    return lambda_targets(np.array(rewards), discounts, np.array(next_values), lam)


def _lambda_without_the_rest(
    rewards: list[float], next_values: list[float], terminated: bool, gamma: float, lam: float
) -> Any:
    """Σ_n (1 − λ) λⁿ⁻¹ G_n, cut off at the end of the episode."""
    length = len(rewards)
    targets = np.zeros(length)
    for t in range(length):
        total = 0.0
        for n in range(1, length - t + 1):
            total += gamma ** (n - 1) * rewards[t + n - 1]
            follows = 0.0 if t + n == length and terminated else next_values[t + n - 1]
            targets[t] += (1 - lam) * lam ** (n - 1) * (total + gamma**n * follows)
    return targets


def _lambda_swapped(*, lam: float, **rest: Any) -> Any:
    return _lambda_returns(lam=1 - lam, **rest)


def _lambda_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    first = {"rewards": [1.0, 2.0], "next_values": [10.0, 20.0]}
    for terminated in (True, False):
        yield {**first, "terminated": terminated, "gamma": 0.5, "lam": 0.8}
    for k, (gamma, lam) in enumerate(((0.9, 0.7), (1.0, 0.5), (0.9, 0.0), (0.9, 1.0))):
        yield {
            "rewards": rng.integers(-2, 3, size=5).astype(float).tolist(),
            "next_values": rng.normal(size=5).round(2).tolist(),
            "terminated": k % 2 == 0,
            "gamma": gamma,
            "lam": lam,
        }


def _tree_backup(
    rewards: Any,
    discounts: Any,
    next_q: Any,
    next_policy: Any,
    next_actions: Any,
    *,
    replace: Callable[..., float] = lambda mean, share, q, following: (
        mean + share * (following - q)
    ),
    last: Callable[..., float] = lambda q, policy, action: float(policy @ q),
    through_the_end: bool = False,
) -> float:
    """G_k = r_k+1 + γ [Σ_a π(a) q(s_k+1, a) + π(a_k+1) (G_k+1 − q(s_k+1, a_k+1))] (Sutton & Barto
    2018, eq. 7.16)."""
    if through_the_end:
        discounts = np.full(len(discounts), np.max(discounts))
    target = 0.0
    for k in reversed(range(len(rewards))):
        q, policy, action = next_q[k], next_policy[k], next_actions[k]
        if k == len(rewards) - 1:
            target = last(q, policy, action)
        else:
            target = replace(policy @ q, policy[action], q[action], target)
        target = rewards[k] + discounts[k] * target
    return float(target)


def _tree_backup_wrong(**changes: Any) -> Callable[..., float]:
    return lambda **arguments: _tree_backup(**arguments, **changes)


def _tree_backup_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "rewards": np.array([1.0]),
        "discounts": np.array([0.5]),
        "next_q": np.array([[2.0, 6.0]]),
        "next_policy": np.array([[0.25, 0.75]]),
        "next_actions": np.array([0]),
    }
    yield {
        "rewards": np.array([1.0, 2.0]),
        "discounts": np.array([0.5, 0.5]),
        "next_q": np.array([[2.0, 6.0], [4.0, 8.0]]),
        "next_policy": np.array([[0.25, 0.75], [0.5, 0.5]]),
        "next_actions": np.array([1, 0]),
    }
    for k, n in enumerate((2, 3, 4, 5)):
        discounts = np.full(n, 0.9)
        if k % 2:
            discounts[-1] = 0.0  # the episode ended
        yield {
            "rewards": rng.integers(-2, 3, size=n).astype(float),
            "discounts": discounts,
            "next_q": rng.normal(size=(n, 3)).round(1),
            "next_policy": rng.dirichlet(np.ones(3), size=n).round(3),
            "next_actions": rng.integers(3, size=n),
        }


EXERCISES = (
    Exercise(
        5,
        1,
        "lambda_returns",
        "The λ-return of every step, by one pass from the end",
        "easy",
        10,
        _lambda_returns,
        _lambda_cases,
        {
            NO_GAMMA: with_fixed(_lambda_returns, gamma=1.0),
            THROUGH_THE_END: with_fixed(_lambda_returns, terminated=False),
            "λ weighs what follows and 1 − λ the value, not the other way round": _lambda_swapped,
            "the weights must sum to 1: the last target takes all that is left": (
                _lambda_without_the_rest
            ),
            "these are the TD(0) targets: λ seems to be missing": with_fixed(
                _lambda_returns, lam=0.0
            ),
            "these are the Monte Carlo returns: λ seems to be missing": with_fixed(
                _lambda_returns, lam=1.0
            ),
        },
    ),
    Exercise(
        5,
        2,
        "trace_update",
        "One step of TD(λ) with accumulating traces",
        "medium",
        10,
        _trace_update,
        _trace_cases,
        {
            "traces fade by γλ: λ alone is not enough": lambda **arguments: _trace_update(
                **arguments, decay=lambda gamma, lam: lam
            ),
            "traces fade by γλ: γ alone is not enough": lambda **arguments: _trace_update(
                **arguments, decay=lambda gamma, lam: gamma
            ),
            "traces fade before the 1 is added, not after": lambda **arguments: _trace_update(
                **arguments, late=True
            ),
            "this is a replacing trace: an accumulating one adds 1": lambda **arguments: (
                _trace_update(**arguments, replacing=True)
            ),
            "all states learn, each in proportion to its trace": lambda **arguments: _trace_update(
                **arguments, here_only=True
            ),
            THROUGH_THE_END: with_fixed(_trace_update, terminated=False),
        },
    ),
    Exercise(
        5,
        3,
        "tree_backup_target",
        "A new target: n-step tree backup",
        "hard",
        20,
        _tree_backup,
        _tree_backup_cases,
        {
            "the discounts seem to be missing": with_fixed(_tree_backup, discounts=np.ones(5)),
            "a discount of 0 ends the sum: nothing follows": _tree_backup_wrong(
                through_the_end=True
            ),
            "the action taken counts twice: leave its q out of the sum over the others": (
                _tree_backup_wrong(
                    replace=lambda mean, share, q, following: mean + share * following
                )
            ),
            "what follows must be weighed by the probability of the action taken": (
                _tree_backup_wrong(
                    replace=lambda mean, share, q, following: mean - share * q + following
                )
            ),
            "the sampled rewards seem to be ignored: this is Expected Sarsa": _tree_backup_wrong(
                replace=lambda mean, share, q, following: mean
            ),
            "this is the plain n-step return: the actions not taken are missing": (
                _tree_backup_wrong(replace=lambda mean, share, q, following: following)
            ),
            "the last step needs the mean over all actions, not the one taken": (
                _tree_backup_wrong(last=lambda q, policy, action: q[action])
            ),
        },
    ),
)
