"""Checks of the exercises: ``check.<name>(your_function)`` prints one line.

It says *not attempted yet* while the stub is as shipped, *correct*, or *not yet* with the input on
which the answer is wrong, and, where the mistake is a common one, what it looks like. The truth is
what the package itself computes; each common mistake is written down next to it as a function, so
that a wrong answer can be recognised, and so that the tests can prove that it is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

from rlcore.mdp import TabularMDP
from rlcore.tabular.prediction import batch_td
from rlcore.tabular.targets import (
    double_q_learning_target,
    expected_sarsa_target,
    lambda_targets,
    n_step_target,
    q_learning_target,
    sarsa_target,
    td_target,
)
from rlcore.transitions import Transitions

Arguments = dict[str, Any]
# Wide enough for an iteration that was stopped when it hardly moved any more.
TOLERANCE = 1e-6
LONGEST_INPUT = 100  # characters of an argument in a message


@dataclass(frozen=True)
class Exercise:
    """One exercise with its check; call it with the reader's function."""

    chapter: int
    number: int
    name: str
    title: str
    difficulty: str  # easy, medium or hard
    minutes: int
    solution: Callable[..., Any]
    """What the package computes; called with the same arguments as the reader's function."""
    cases: Callable[[np.random.Generator], Iterator[Arguments]]
    """Inputs, the simplest first; the generator is seeded, so they are always the same."""
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """What a mistake looks like → a function that makes it."""

    def __call__(self, function: Any) -> None:
        """Print whether the function is right, and if not, where it goes wrong."""
        print(self.verdict(function))

    def verdict(self, function: Any) -> str:
        """*not attempted yet*, *not yet: …* or *correct*."""
        if function is ...:
            return "not attempted yet"
        if not callable(function):
            return (
                f"not yet: check.{self.name} takes the function itself, "
                f"got {_shown(function)} ({type(function).__name__})"
            )
        cases = list(self.cases(np.random.default_rng(self.chapter)))
        for number, arguments in enumerate(cases):
            where = ", ".join(f"{name} = {_shown(value)}" for name, value in arguments.items())
            try:
                answer = _call(function, arguments)
            except NotImplementedError:
                return "not attempted yet"
            except Exception as error:
                return f"not yet: {type(error).__name__}: {error} — for {where}"
            if answer is ... and number == 0:
                return "not attempted yet"
            if answer is None and number == 0:
                return "not attempted yet (the function returns None: it ends without a return)"
            expected = self.solution(**copy.deepcopy(arguments))
            if not _equal(answer, expected):
                looks_like = self._diagnosis(function, answer, arguments, cases)
                return (
                    f"not yet: {looks_like}for {where}: "
                    f"expected {_shown(expected)}, got {_shown(answer)}"
                )
        return "correct"

    def _diagnosis(
        self, function: Any, answer: Any, arguments: Arguments, cases: list[Arguments]
    ) -> str:
        """The mistake that gives this answer; of several, the one that fits most of the cases."""
        fits = {}
        for mistake, wrong in self.mistakes.items():
            if _equal(answer, _answer_or_none(wrong, arguments)):
                fits[mistake] = sum(
                    _equal(_answer_or_none(function, case, by_name=False), wrong_answer)
                    for case in cases
                    if (wrong_answer := _answer_or_none(wrong, case)) is not None
                )
        return f"{max(fits, key=lambda mistake: fits[mistake])} — " if fits else ""


def _call(function: Any, arguments: Arguments) -> Any:
    """The reader's function gets its arguments by position, and as copies of its own."""
    return function(*copy.deepcopy(list(arguments.values())))


def _answer_or_none(function: Any, arguments: Arguments, *, by_name: bool = True) -> Any:
    try:
        return function(**copy.deepcopy(arguments)) if by_name else _call(function, arguments)
    except Exception:  # a mistake may be one that some inputs do not survive
        return None


def _equal(answer: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return (
            isinstance(answer, Mapping)
            and set(answer) == set(expected)
            and all(_equal(answer[key], expected[key]) for key in expected)
        )
    if isinstance(expected, tuple):
        return (
            isinstance(answer, tuple | list)
            and len(answer) == len(expected)
            and all(_equal(a, e) for a, e in zip(answer, expected, strict=True))
        )
    if expected is None or answer is None:
        return False
    try:
        numbers = np.asarray(answer, dtype=float)
    except (TypeError, ValueError):
        return False
    wanted = np.asarray(expected, dtype=float)
    return numbers.shape == wanted.shape and np.allclose(
        numbers, wanted, rtol=TOLERANCE, atol=TOLERANCE
    )


def _shown(value: Any) -> str:
    """A value on one line, rounded, and cut where it is long."""
    text = _text(value)
    return text if len(text) <= LONGEST_INPUT else text[: LONGEST_INPUT - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + ")"
    return repr(value)


def table(chapter: int | None = None) -> str:
    """The exercises of a chapter, or all, one a line with difficulty, minutes, title and check."""
    lines = [
        f"{each.chapter:02d}.{each.number}  {each.difficulty:6}  {each.minutes:2d} min  "
        f"{each.title}  (check.{each.name})"
        for each in EXERCISES
        if chapter in (None, each.chapter)
    ]
    return "\n".join(lines)


# -- chapter 01: Markov decision processes and Bellman equations ----------------------------------


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


# -- chapter 02: TD learning of state values -------------------------------------------------------


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


# -- chapter 03: Sarsa, Expected Sarsa, n-step Sarsa -----------------------------------------------


def _discount(terminated: bool, gamma: float) -> float:
    return 0.0 if terminated else gamma


# The first two cases of all one-step targets: small numbers, without and with the end.
SMALL_Q = np.array([[0.0, 1.0, 2.0], [6.0, 4.0, 8.0]])


def _random_steps(rng: np.random.Generator) -> Iterator[tuple[Any, float, int, bool]]:
    """(q, reward, next_state, terminated), simple ones first."""
    for terminated in (False, True):
        yield SMALL_Q, 1.0, 1, terminated
    for terminated in (False, False, True, False):
        q = rng.normal(size=(4, 3)).round(2)
        yield q, float(rng.integers(-3, 4)), int(rng.integers(4)), terminated


def _sarsa_target(
    q: Any, reward: float, next_state: int, next_action: int, terminated: bool, gamma: float
) -> float:
    return float(sarsa_target(reward, _discount(terminated, gamma), q[next_state], next_action))


def _sarsa_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(_random_steps(rng)):
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
        return reward + _discount(terminated, gamma) * value(q[next_state])

    return wrong


def _expected_target(
    q: Any, reward: float, next_state: int, terminated: bool, epsilon: float, gamma: float
) -> float:
    discount = _discount(terminated, gamma)
    return float(expected_sarsa_target(reward, discount, q[next_state], epsilon))


def _expected_by(weights: Callable[[Any, float], Any]) -> Callable[..., float]:
    """Other probabilities than those of the ε-greedy policy."""

    def wrong(
        q: Any, reward: float, next_state: int, terminated: bool, epsilon: float, gamma: float
    ) -> float:
        row = q[next_state]
        return float(reward + _discount(terminated, gamma) * (weights(row, epsilon) @ row))

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
    for k, (q, reward, next_state, terminated) in enumerate(_random_steps(rng)):
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


# -- chapter 04: Q-learning, on-policy and off-policy ----------------------------------------------


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
    target = q_learning_target(reward, _discount(terminated, gamma), q[next_state])
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
        target = reward + _discount(terminated, gamma) * value(q[next_state], action)
        q[state, action] += alpha * (target - q[state, action])
        return q

    return wrong


def _q_update_whole_row(*, q: Any, state: int, **rest: Any) -> Any:
    action = rest.pop("action")
    new = _q_update(q.copy(), state, action, **rest)
    q[state] += new[state, action] - q[state, action]
    return q


def _q_update_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(_random_steps(rng)):
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
    discount = _discount(terminated, gamma)
    return float(
        double_q_learning_target(reward, discount, q_one[next_state], q_two[next_state], 0.0)
    )


def _double_by(value: Callable[[Any, Any], float]) -> Callable[..., float]:
    """Another way to judge the next state by two rows."""

    def wrong(
        q_one: Any, q_two: Any, reward: float, next_state: int, terminated: bool, gamma: float
    ) -> float:
        judged = value(q_one[next_state], q_two[next_state])
        return float(reward + _discount(terminated, gamma) * judged)

    return wrong


def _double_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for k, (q, reward, next_state, terminated) in enumerate(_random_steps(rng)):
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
            discount = _discount(terminated and not through_the_end, gamma)
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


# -- chapter 05: one update, many targets ----------------------------------------------------------


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
    discount = _discount(terminated, gamma)
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


# -- all exercises ---------------------------------------------------------------------------------


def _with(solution: Callable[..., Any], **changes: Any) -> Callable[..., Any]:
    """The solution with some of its arguments fixed, whatever the input says."""
    return lambda **arguments: solution(**{**arguments, **changes})


NO_GAMMA = "γ seems to be missing"
THROUGH_THE_END = "the value of the state after the end seems to be counted: nothing follows"

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
            NO_GAMMA: _with(_bellman_backup, gamma=1.0),
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
            NO_GAMMA: _with(_solve_values, gamma=1.0),
            "these are the rewards of one step, r_π, without what follows": _with(
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
            NO_GAMMA: _with(_td_update, gamma=1.0),
            THROUGH_THE_END: _with(_td_update, terminated=False),
            "the last step of an episode must be learnt from too": _no_update_at_the_end,
            "the old value is replaced: α seems to be missing": _with(_td_update, alpha=1.0),
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
            NO_GAMMA: _with(_first_visit_returns, gamma=1.0),
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
            NO_GAMMA: _with(_certainty_equivalence, gamma=1.0),
            THROUGH_THE_END: lambda **arguments: _fitted_values(
                **arguments, through_the_end=True, each_state=True
            ),
            "divide by the visits of each state, not by the number of steps": lambda **arguments: (
                _fitted_values(**arguments, through_the_end=False, each_state=False)
            ),
            "this is the mean reward of one step; what follows is missing": _with(
                _certainty_equivalence, gamma=0.0
            ),
        },
    ),
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
            NO_GAMMA: _with(_sarsa_target, gamma=1.0),
            THROUGH_THE_END: _with(_sarsa_target, terminated=False),
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
            NO_GAMMA: _with(_expected_target, gamma=1.0),
            THROUGH_THE_END: _with(_expected_target, terminated=False),
            "this takes the best action: 1 − ε of the time is not always": _with(
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
            NO_GAMMA: _with(_n_step, gamma=1.0),
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
            NO_GAMMA: _with(_q_update, gamma=1.0),
            THROUGH_THE_END: _with(_q_update, terminated=False),
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
            NO_GAMMA: _with(_double_target, gamma=1.0),
            THROUGH_THE_END: _with(_double_target, terminated=False),
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
            "one pass is not enough: repeat until nothing changes": _with(
                _q_from_log, most_sweeps=1
            ),
            "the mean over the next actions is a random agent's; the best one counts": _with(
                _q_from_log, next_value=np.mean
            ),
            THROUGH_THE_END: _with(_q_from_log, through_the_end=True),
            NO_GAMMA: _with(_q_from_log, gamma=1.0, most_sweeps=20),
        },
    ),
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
            NO_GAMMA: _with(_lambda_returns, gamma=1.0),
            THROUGH_THE_END: _with(_lambda_returns, terminated=False),
            "λ weighs what follows and 1 − λ the value, not the other way round": _lambda_swapped,
            "the weights must sum to 1: the last target takes all that is left": (
                _lambda_without_the_rest
            ),
            "these are the TD(0) targets: λ seems to be missing": _with(_lambda_returns, lam=0.0),
            "these are the Monte Carlo returns: λ seems to be missing": _with(
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
            THROUGH_THE_END: _with(_trace_update, terminated=False),
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
            "the discounts seem to be missing": _with(_tree_backup, discounts=np.ones(5)),
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

check = SimpleNamespace(**{exercise.name: exercise for exercise in EXERCISES})
