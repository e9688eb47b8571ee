"""Prediction: the values of a policy, from experience.

Each algorithm is one loop, and each loop reads like its box in the textbook. See ``targets`` for
what makes them differ, and ``rlcore.simulation`` for ``reset`` and ``step``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.compilation import compiled
from rlcore.mdp import TabularMDP
from rlcore.policies import sample
from rlcore.simulation import Problem, episode_summary, reset, simulate, step
from rlcore.tabular.targets import lambda_targets, n_step_target, td_target
from rlcore.transitions import Transitions, followed_policy
from rlcore.validation import (
    check_count,
    check_fraction,
    check_initial,
    check_positive,
    check_schedule,
    check_values,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PredictionResult:
    """What a prediction algorithm learnt."""

    values: Floats
    """(runs, states) estimates after the last episode."""
    errors: Floats
    """(runs, episodes) root-mean-square error after each episode, over the states in which an
    episode can come to act; NaN where the true values are not known."""
    returns: Floats
    """(runs, episodes) undiscounted sum of rewards of each episode."""
    lengths: NDArray[np.int64]
    """(runs, episodes) steps of each episode."""


def td0(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_value: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> PredictionResult:
    """TD(0): V(s) ← V(s) + α [r + γ V(s′) − V(s)] (Sutton & Barto 2018, section 6.1).

    Args:
        problem: a ``TabularMDP`` (compiled), or a ``gymnasium.Env`` with Discrete spaces.
        policy: (states, actions) rows that sum to 1; uniform if None.
        episodes: number of episodes of each run.
        alpha: step size in (0, 1], or one for each episode, (episodes,).
        gamma: discount in [0, 1].
        runs: number of independent runs.
        seed: whole number >= 0; the same seed gives the same result.
        initial_value: V before the first episode, a number or (states,).
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.
        true_values: (states,) to measure errors against; exact ones if None and ``problem`` is a
            ``TabularMDP``.

    Raises:
        ValueError, TypeError: an argument outside what it takes, episodes that cannot end.
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    return _predict(
        td0_loop,
        problem,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_value,
        max_episode_steps,
        true_values,
    )


@compiled
def td0_loop(environment, policy, values, errors, returns, lengths, alpha, gamma, truth, rng):
    for run in range(values.shape[0]):
        value = values[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            while not ended:
                action = sample(policy[state], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                target = td_target(reward, discount, value[next_state])
                value[state] += step_size * (target - value[state])
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = rms_error(value, truth)


def n_step_td(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    n: int = 4,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_value: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> PredictionResult:
    """n-step TD: the target waits for n rewards (Sutton & Barto 2018, section 7.1).

    V(s_t) ← V(s_t) + α [r_t+1 + γ r_t+2 + … + γⁿ⁻¹ r_t+n + γⁿ V(s_t+n) − V(s_t)]

    Args:
        n: number of rewards, >= 1; 1 is TD(0), at least the episode's length is Monte Carlo.
        problem, policy, episodes, alpha, gamma, runs, seed, initial_value, max_episode_steps,
            true_values: as for ``td0``.
    """
    check_count("n", n)
    return _predict(
        n_step_td_loop,
        problem,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_value,
        max_episode_steps,
        true_values,
        n,
    )


@compiled
def n_step_td_loop(
    environment, policy, values, errors, returns, lengths, alpha, gamma, truth, n, rng
):
    limit = environment.limit
    states, rewards, discounts = np.empty(limit + 1, np.int64), np.empty(limit), np.empty(limit)
    for run in range(values.shape[0]):
        value = values[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            states[0] = reset(environment)
            ended, steps, updated = False, 0, 0
            while updated < steps or not ended:
                if not ended:
                    action = sample(policy[states[steps]], rng.random())
                    next_state, reward, terminated, truncated = step(environment, action)
                    states[steps + 1], rewards[steps] = next_state, reward
                    discounts[steps] = 0.0 if terminated else gamma
                    ended = terminated or truncated
                    steps += 1
                if steps - updated >= n or ended:
                    last = min(updated + n, steps)
                    target = n_step_target(
                        rewards[updated:last], discounts[updated:last], value[states[last]]
                    )
                    state = states[updated]
                    value[state] += step_size * (target - value[state])
                    updated += 1
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = rms_error(value, truth)


TRACES = ("accumulating", "replacing", "dutch")


def td_lambda(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    lam: float = 0.8,
    traces: str = "accumulating",
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_value: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> PredictionResult:
    """TD(λ), the backward view: every TD error goes to all states, in proportion to their trace.

    δ = r + γ V(s′) − V(s); z ← γ λ z, then at s: z ← z + 1 (accumulating) or z ← 1 (replacing);
    V ← V + α δ z (Sutton & Barto 2018, section 12.2). With ``traces="dutch"`` it is the *true
    online* TD(λ), equal to the online λ-return algorithm (van Seijen et al. 2016; section 12.5).

    Args:
        lam: λ in [0, 1]; 0 is TD(0).
        traces: "accumulating", "replacing" or "dutch".
        problem, policy, episodes, alpha, gamma, runs, seed, initial_value, max_episode_steps,
            true_values: as for ``td0``.
    """
    check_fraction("lam", lam)
    if traces not in TRACES:
        raise ValueError(f"traces: takes one of {', '.join(TRACES)}, got {traces!r}")
    loop = true_online_td_lambda_loop if traces == "dutch" else td_lambda_loop
    extra = (float(lam),) if traces == "dutch" else (float(lam), traces == "replacing")
    return _predict(
        loop,
        problem,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_value,
        max_episode_steps,
        true_values,
        *extra,
    )


@compiled
def td_lambda_loop(
    environment, policy, values, errors, returns, lengths, alpha, gamma, truth, lam, replacing, rng
):
    for run in range(values.shape[0]):
        value = values[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            trace = np.zeros_like(value)
            while not ended:
                action = sample(policy[state], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                td_error = td_target(reward, discount, value[next_state]) - value[state]
                trace *= gamma * lam
                trace[state] = 1.0 if replacing else trace[state] + 1.0
                value += step_size * td_error * trace
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = rms_error(value, truth)


@compiled
def true_online_td_lambda_loop(
    environment, policy, values, errors, returns, lengths, alpha, gamma, truth, lam, rng
):
    for run in range(values.shape[0]):
        value = values[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            trace = np.zeros_like(value)
            previous = value[state]
            while not ended:
                action = sample(policy[state], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                current, following = value[state], value[next_state]
                td_error = td_target(reward, discount, following) - current
                trace *= gamma * lam
                trace[state] += 1.0 - step_size * trace[state]
                value += step_size * (td_error + current - previous) * trace
                value[state] -= step_size * (current - previous)
                previous = following
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = rms_error(value, truth)


def offline_lambda_return(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    lam: float = 0.8,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_value: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> PredictionResult:
    """The forward view: after the episode, V(s_t) ← V(s_t) + α [G_t^λ − V(s_t)] for every step.

    Source: Sutton & Barto 2018, section 12.1. The λ-returns of an episode are computed from the
    values with which it began.

    Args:
        lam: λ in [0, 1].
        problem, policy, episodes, alpha, gamma, runs, seed, initial_value, max_episode_steps,
            true_values: as for ``td0``.
    """
    check_fraction("lam", lam)
    return _predict(
        lambda_return_loop,
        problem,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_value,
        max_episode_steps,
        true_values,
        float(lam),
        False,
    )


def monte_carlo(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    first_visit: bool = False,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_value: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> PredictionResult:
    """Constant-α Monte Carlo: V(s_t) ← V(s_t) + α [G_t − V(s_t)], G_t the return that followed.

    Source: Sutton & Barto 2018, eq. 6.1. It is the λ-return with λ = 1. The return of an episode
    that was cut off by a time limit is completed with the value of the state where it stopped.

    Args:
        first_visit: update a state only for its first visit in an episode, not for every visit.
        problem, policy, episodes, alpha, gamma, runs, seed, initial_value, max_episode_steps,
            true_values: as for ``td0``.
    """
    return _predict(
        lambda_return_loop,
        problem,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_value,
        max_episode_steps,
        true_values,
        1.0,
        bool(first_visit),
    )


@compiled
def lambda_return_loop(
    environment,
    policy,
    values,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    lam,
    first_visit,
    rng,
):
    limit = environment.limit
    states, rewards, discounts = np.empty(limit + 1, np.int64), np.empty(limit), np.empty(limit)
    for run in range(values.shape[0]):
        value = values[run]
        last_visit = np.full(value.shape[0], -1)
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            states[0] = reset(environment)
            ended, steps = False, 0
            while not ended:
                action = sample(policy[states[steps]], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                states[steps + 1], rewards[steps] = next_state, reward
                discounts[steps] = 0.0 if terminated else gamma
                ended = terminated or truncated
                steps += 1
            targets = lambda_targets(
                rewards[:steps], discounts[:steps], value[states[1 : steps + 1]], lam
            )
            for t in range(steps):
                state = states[t]
                if not first_visit or last_visit[state] < episode:
                    value[state] += step_size * (targets[t] - value[state])
                    last_visit[state] = episode
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = rms_error(value, truth)


# -- a fixed batch of experience, presented again and again ---------------------------------------


def batch_td(
    transitions: Transitions,
    *,
    gamma: float = 1.0,
    initial_value: ArrayLike = 0.0,
    tolerance: float = 1e-10,
    max_sweeps: int = 100_000,
) -> Floats:
    """Batch TD(0): sweep over the same transitions until the values stop changing.

    One sweep moves every V(s) to the mean of its TD(0) targets in the batch. The limit is the exact
    value in the maximum-likelihood model of the data (Sutton & Barto 2018, section 6.3).

    Args:
        transitions: recorded steps.
        gamma: discount in [0, 1].
        initial_value: V before the first sweep, a number or (states,); kept by states never
            visited.
        tolerance: stop when no value changes by more, > 0.
        max_sweeps: sweeps allowed.

    Returns:
        (states,) values.

    Raises:
        RuntimeError: still changing after ``max_sweeps``.
    """
    value, discounts = _batch(transitions, gamma, initial_value, tolerance, max_sweeps)
    change = batch_td_loop(
        transitions.states,
        transitions.rewards,
        transitions.next_states,
        discounts,
        value,
        float(tolerance),
        max_sweeps,
    )
    if change > tolerance:
        raise RuntimeError(
            f"batch TD: after {max_sweeps} sweeps values still change by {change:.3g}"
        )
    return value


@compiled
def batch_td_loop(states, rewards, next_states, discounts, value, tolerance, max_sweeps):
    visits = np.bincount(states, minlength=value.shape[0])
    change = np.inf
    for _ in range(max_sweeps):
        total = np.zeros_like(value)
        for i in range(states.shape[0]):
            state = states[i]
            total[state] += (
                td_target(rewards[i], discounts[i], value[next_states[i]]) - value[state]
            )
        change = 0.0
        for state in range(value.shape[0]):
            if visits[state] > 0:
                mean_error = total[state] / visits[state]
                value[state] += mean_error
                change = max(change, abs(mean_error))
        if change <= tolerance:
            break
    return change


def batch_monte_carlo(
    transitions: Transitions, *, gamma: float = 1.0, initial_value: ArrayLike = 0.0
) -> Floats:
    """Batch Monte Carlo: V(s) becomes the mean of the returns that followed the visits of s.

    That mean has the least squared error on the batch (Sutton & Barto 2018, section 6.3). The
    return of an episode that was cut off is completed with ``initial_value`` where it stopped.

    Args:
        transitions: recorded steps.
        gamma: discount in [0, 1].
        initial_value: value of states never visited, a number or (states,).

    Returns:
        (states,) values.
    """
    value, discounts = _batch(transitions, gamma, initial_value, 1.0, 1)
    returns = batch_returns_loop(
        transitions.rewards, discounts, transitions.ended, value[transitions.next_states]
    )
    visits = np.bincount(transitions.states, minlength=len(value))
    totals = np.bincount(transitions.states, weights=returns, minlength=len(value))
    return np.where(visits > 0, totals / np.maximum(visits, 1), value)


@compiled
def batch_returns_loop(rewards, discounts, ended, next_values):
    returns = np.empty_like(rewards)
    first = 0
    for i in range(rewards.shape[0]):
        if ended[i]:
            returns[first : i + 1] = lambda_targets(
                rewards[first : i + 1], discounts[first : i + 1], next_values[first : i + 1], 1.0
            )
            first = i + 1
    return returns


# -- what the loops share -------------------------------------------------------------------------


class Truth(NamedTuple):
    """What an estimate is measured against; both of shape (states,)."""

    values: Floats
    weights: Floats  # sum to 1; 0 for states that do not count


@compiled
def rms_error(values: Any, truth: Any) -> Any:
    """√ Σ_s weight(s) (values(s) − truth(s))²."""
    total = 0.0
    for state in range(values.shape[0]):
        if truth.weights[state] > 0.0:
            total += truth.weights[state] * (values[state] - truth.values[state]) ** 2
    return np.sqrt(total)


def _predict(
    loop: Any,
    problem: Problem,
    policy: ArrayLike | None,
    episodes: int,
    alpha: ArrayLike,
    gamma: float,
    runs: int,
    seed: int,
    initial_value: ArrayLike,
    max_episode_steps: int | None,
    true_values: ArrayLike | None,
    *extra: Any,
) -> PredictionResult:
    """Check the arguments, make room for the results, run the loop."""
    check_count("episodes", episodes)
    check_count("runs", runs)
    step_sizes = check_schedule("alpha", alpha, episodes, positive=True)
    check_fraction("gamma", gamma)
    policy = followed_policy(problem, policy)
    simulation = simulate(problem, seed, max_episode_steps, policy)
    initial = check_initial("initial_value", initial_value, (len(policy),))
    truth = _truth(simulation.mdp, policy, gamma, true_values)
    result = PredictionResult(
        values=np.tile(initial, (runs, 1)),
        errors=np.zeros((runs, episodes)),
        returns=np.zeros((runs, episodes)),
        lengths=np.zeros((runs, episodes), dtype=np.int64),
    )
    simulation.run(
        loop,
        policy,
        result.values,
        result.errors,
        result.returns,
        result.lengths,
        step_sizes,
        float(gamma),
        truth,
        *extra,
    )
    return result


def _truth(
    mdp: TabularMDP | None, policy: Floats, gamma: float, true_values: ArrayLike | None
) -> Truth:
    """The values given, else the exact ones where there are any, else NaN."""
    acting = np.ones(len(policy), dtype=bool) if mdp is None else mdp.reachable_states
    if true_values is not None:
        values = check_values("true_values", true_values, (len(policy),))
    else:
        values = np.full(len(policy), np.nan)
        # A policy that never ends, with gamma = 1, has no values.
        with contextlib.suppress(ValueError):
            values = values if mdp is None else mdp.policy_values(policy, gamma)
    return Truth(values, acting / acting.sum())


def _batch(
    transitions: Transitions,
    gamma: float,
    initial_value: ArrayLike,
    tolerance: float,
    max_sweeps: int,
) -> tuple[Floats, Floats]:
    """Checked arguments of a batch method: the initial values and the discount of each step."""
    if not isinstance(transitions, Transitions):
        raise TypeError(f"transitions: takes Transitions, got {type(transitions).__name__}")
    check_fraction("gamma", gamma)
    check_count("max_sweeps", max_sweeps)
    check_positive("tolerance", tolerance)
    value = check_initial("initial_value", initial_value, (transitions.num_states,)).copy()
    return value, np.where(transitions.terminated, 0.0, gamma)


PREDICTION: Sequence[Any] = (td0, n_step_td, td_lambda, offline_lambda_return, monte_carlo)
