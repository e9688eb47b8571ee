"""Exercises of chapter 04: Q-learning, on-policy and off-policy."""

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
from rlcore.mdp import TabularMDP
from rlcore.tabular.targets import double_q_learning_target, q_learning_target
from rlcore.transitions import Transitions


def _q_update(
    q: Any,
    state: int,
    action: int,
    reward: float,
    next_state: int,
    terminated: bool,
    alpha: float,
    gamma: float,
) -> Any:
    """Q(s,a) ← Q(s,a) + α [r + γ max_a′ Q(s′,a′) − Q(s,a)]."""
    target = q_learning_target(reward, step_discount(terminated, gamma), q[next_state])
    q[state, action] += alpha * (target - q[state, action])
    return q


def _q_update_by(value: Callable[[Any, int], float]) -> Callable[..., Any]:
    """Something else than the maximum of the next row."""

    def wrong(
        q: Any,
        state: int,
        action: int,
        reward: float,
        next_state: int,
        terminated: bool,
        alpha: float,
        gamma: float,
    ) -> Any:
        target = reward + step_discount(terminated, gamma) * value(q[next_state], action)
        q[state, action] += alpha * (target - q[state, action])
        return q

    return wrong


def _q_update_whole_row(*, q: Any, state: int, **rest: Any) -> Any:
    action = rest.pop("action")
    new = _q_update(q.copy(), state, action, **rest)
    q[state] += new[state, action] - q[state, action]
    return q


def _q_update_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(random_steps(rng)):
        yield {
            "q": q,
            "state": 0 if k < 2 else int(rng.integers(4)),
            "action": 1 if k < 2 else int(rng.integers(3)),
            "reward": reward,
            "next_state": next_state,
            "terminated": terminated,
            "alpha": 0.5 if k < 2 else 0.1,
            "gamma": 0.5 if k < 2 else 0.9,
        }


def _q_no_update_at_the_end(*, q: Any, terminated: bool, **rest: Any) -> Any:
    return q if terminated else _q_update(q, terminated=False, **rest)


def _double_target(
    q_one: Any, q_two: Any, reward: float, next_state: int, terminated: bool, gamma: float
) -> float:
    discount = step_discount(terminated, gamma)
    return float(
        double_q_learning_target(reward, discount, q_one[next_state], q_two[next_state], 0.0)
    )


def _double_by(value: Callable[[Any, Any], float]) -> Callable[..., float]:
    """Another way to judge the next state by two rows."""

    def wrong(
        q_one: Any, q_two: Any, reward: float, next_state: int, terminated: bool, gamma: float
    ) -> float:
        judged = value(q_one[next_state], q_two[next_state])
        return float(reward + step_discount(terminated, gamma) * judged)

    return wrong


def _double_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(random_steps(rng)):
        yield {
            "q_one": q,
            "q_two": np.array([[3.0, 1.0, 0.0], [5.0, 9.0, 7.0]])
            if k < 2
            else rng.normal(size=(4, 3)).round(2),
            "reward": reward,
            "next_state": next_state,
            "terminated": terminated,
            "gamma": 0.5 if k < 2 else 0.9,
        }


Log = list[tuple[int, int, float, int, bool]]


def _q_from_log(
    log: Log,
    num_states: int,
    num_actions: int,
    gamma: float,
    *,
    most_sweeps: int = 10_000,
    next_value: Callable[[Any], float] = np.max,
    through_the_end: bool = False,
) -> Any:
    """Q-learning with α = 1 over the log, again and again until nothing changes."""
    q = np.zeros((num_states, num_actions))
    for _ in range(most_sweeps):
        before = q.copy()
        for state, action, reward, next_state, terminated in log:
            discount = step_discount(terminated and not through_the_end, gamma)
            q[state, action] = reward + discount * next_value(q[next_state])
        if np.abs(q - before).max() < 1e-12:
            break
    return q


def _log_optimum(log: Log, num_states: int, num_actions: int, gamma: float) -> Any:
    """The package's answer: the exact optimum of the model that the log suggests."""
    states, actions, rewards, next_states, terminated = map(np.array, zip(*log, strict=True))
    data = Transitions(
        states=states,
        actions=actions,
        rewards=rewards,
        next_states=next_states,
        terminated=terminated,
        ended=terminated | (np.arange(len(log)) == len(log) - 1),
        num_states=num_states,
        num_actions=num_actions,
    )
    model = TabularMDP.from_transitions(data)
    return model.action_values(model.optimal_values(gamma), gamma)


def _log_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    log: Log = [(0, 0, 1.0, 1, False), (1, 1, 4.0, 0, True)]
    yield {"log": log, "num_states": 2, "num_actions": 2, "gamma": 0.5}
    yield {"log": log[::-1], "num_states": 2, "num_actions": 2, "gamma": 0.5}
    for gamma in (0.8, 0.9):
        next_states, rewards = rng.integers(5, size=(5, 3)), rng.integers(-2, 3, size=(5, 3))
        ends = rng.random((5, 3)) < 0.15
        # Some pairs occur several times, and at least one never.
        drawn = rng.integers((5, 3), size=(30, 2)).tolist()
        pairs = [(s, a) for s, a in drawn if (s, a) != (2, 1)]
        log = [
            (s, a, float(rewards[s, a]), int(next_states[s, a]), bool(ends[s, a])) for s, a in pairs
        ]
        yield {"log": log, "num_states": 5, "num_actions": 3, "gamma": gamma}


EXERCISES = (
    Exercise(
        4,
        1,
        "q_learning_update",
        "One update of Q-learning",
        "easy",
        5,
        _q_update,
        _q_update_cases,
        {
            NO_GAMMA: with_fixed(_q_update, gamma=1.0),
            THROUGH_THE_END: with_fixed(_q_update, terminated=False),
            "argmax is the number of the best action; the target needs its value": _q_update_by(
                lambda row, action: float(np.argmax(row))
            ),
            "this takes the action just taken; the target needs the best one": _q_update_by(
                lambda row, action: row[action]
            ),
            "the last step of an episode must be learnt from too": _q_no_update_at_the_end,
            "only the action taken is updated, not the whole row": _q_update_whole_row,
        },
    ),
    Exercise(
        4,
        2,
        "double_q_learning_target",
        "One table chooses, the other one judges",
        "medium",
        10,
        _double_target,
        _double_cases,
        {
            NO_GAMMA: with_fixed(_double_target, gamma=1.0),
            THROUGH_THE_END: with_fixed(_double_target, terminated=False),
            "this is the maximum of q_one: it chooses and judges": _double_by(
                lambda one, two: one.max()
            ),
            "this is the maximum of q_two: q_one has to choose": _double_by(
                lambda one, two: two.max()
            ),
            "the roles are swapped: q_one chooses, q_two judges": _double_by(
                lambda one, two: one[two.argmax()]
            ),
            "this is the maximum of the mean of both tables": _double_by(
                lambda one, two: ((one + two) / 2).max()
            ),
        },
    ),
    Exercise(
        4,
        3,
        "q_from_log",
        "The optimum from a log file",
        "hard",
        20,
        _log_optimum,
        _log_cases,
        {
            "one pass is not enough: repeat until nothing changes": with_fixed(
                _q_from_log, most_sweeps=1
            ),
            "the mean over the next actions is a random agent's; the best one counts": with_fixed(
                _q_from_log, next_value=np.mean
            ),
            THROUGH_THE_END: with_fixed(_q_from_log, through_the_end=True),
            NO_GAMMA: with_fixed(_q_from_log, gamma=1.0, most_sweeps=20),
        },
    ),
)
