"""Prediction with linear functions: the loops of ``rlcore.tabular.prediction`` with other storage.

Where the table has ``value[state]``, a function has ``read(weights, phi)``; where the table says
``value[state] += …``, a function says ``learn(weights, phi, …)``. The targets are the same. Most
are *semi*-gradient methods: the target contains the weights too, and its gradient is left out. Only
``gradient_monte_carlo``, whose target does not contain them, follows a true gradient.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.approximation.features import (
    FeatureMap,
    FeatureTable,
    learn,
    one_hot,
    read,
    represent,
)
from rlcore.approximation.objectives import check_distribution
from rlcore.approximation.problems import (
    LinearProblem,
    count_actions,
    feature_map,
    has_points,
    step_sizes,
)
from rlcore.compilation import compiled
from rlcore.environments.mountain_car import MountainCar
from rlcore.mdp import TabularMDP
from rlcore.policies import sample
from rlcore.simulation import episode_summary, reset, simulate, step
from rlcore.tabular.targets import lambda_targets, n_step_target, td_target
from rlcore.transitions import followed_policy
from rlcore.validation import (
    as_floats,
    check_count,
    check_fraction,
    check_initial,
    check_policy,
    check_positive,
    check_values,
)

Floats = NDArray[np.float64]
Policy = ArrayLike | Callable[[NDArray[Any]], ArrayLike] | None


@dataclass(frozen=True, eq=False)
class LinearPredictionResult:
    """What a prediction algorithm with a linear function learnt."""

    weights: Floats
    """(runs, features) after the last episode."""
    values: Floats
    """(runs, states) v̂ = Φw of all states; no states where they are points."""
    errors: Floats
    """(runs, episodes) value error ‖v̂ − v_π‖ after each episode, states weighted by
    ``distribution``; NaN where the true values are not known or there are no such weights."""
    returns: Floats
    """(runs, episodes) undiscounted sum of rewards of each episode."""
    lengths: NDArray[np.int64]
    """(runs, episodes) steps of each episode."""


def semi_gradient_td0(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    behavior_policy: ArrayLike | None = None,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """Semi-gradient TD(0): w ← w + α ρ [r + γ v̂(s′) − v̂(s)] φ(s).

    Source: Sutton & Barto 2018, sections 9.3 and 11.1; Zhao 2025, section 8.2. On-policy ρ = 1, and
    with a falling α it converges to the TD fixed point. With a ``behavior_policy`` the ratio
    ρ = π(a|s) / b(a|s) corrects for who chose the action; then it may diverge.

    Args:
        problem: a ``TabularMDP`` (compiled), or a ``gymnasium.Env`` with Discrete actions whose
            observations are Discrete or a Box of one axis.
        features: a map made by ``rlcore.approximation.features``; for numbered states also a
            (states, features) matrix.
        policy: (states, actions) rows that sum to 1, uniform if None; for points a function of a
            point (dims,) to (actions,) probabilities.
        episodes: number of episodes of each run.
        alpha: step size > 0, or one for each episode, (episodes,). For binary features (one-hot,
            aggregation, tile coding) it is divided by the number of active features and lies in
            (0, 1]: α = 1 corrects the whole error of a state.
        gamma: discount in [0, 1].
        runs: number of independent runs.
        seed: whole number >= 0; the same seed gives the same result.
        initial_weights: w before the first episode, a number or (features,).
        behavior_policy: (states, actions) acts instead, > 0 wherever ``policy`` is.
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.
        true_values: (states,) to measure errors against; exact ones if None and ``problem`` is a
            ``TabularMDP``.
        distribution: (states,) weights of the states in the error; the stationary distribution of
            the policy that acts if None and ``problem`` is a ``TabularMDP``. There is none where
            chance decides which states are visited for ever; the errors are NaN then.

    Raises:
        ValueError, TypeError: an argument outside what it takes, episodes that cannot end, an
            observation that is not finite.
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    return _predict(
        semi_gradient_td0_loop,
        problem,
        features,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_weights,
        behavior_policy,
        max_episode_steps,
        true_values,
        distribution,
    )


@compiled
def semi_gradient_td0_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    rng,
):
    for run in range(weights.shape[0]):
        w = weights[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            while not ended:
                action = sample(behavior[state], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, next_state)
                ratio = policy[state][action] / behavior[state][action]
                discount = 0.0 if terminated else gamma
                target = td_target(reward, discount, read(w, next_phi))
                learn(w, phi, step_size * ratio * (target - read(w, phi)))
                state, phi = next_state, next_phi
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(w, truth)


def semi_gradient_n_step_td(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    n: int = 4,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """n-step semi-gradient TD: w ← w + α [r₁ + … + γⁿ⁻¹ rₙ + γⁿ v̂(sₙ) − v̂(s)] φ(s).

    Source: Sutton & Barto 2018, section 9.4.

    Args:
        n: number of rewards, >= 1; 1 is TD(0), at least the episode's length is Monte Carlo.
        problem, features, policy, episodes, alpha, gamma, runs, seed, initial_weights,
            max_episode_steps, true_values, distribution: as for ``semi_gradient_td0``.
    """
    check_count("n", n)
    return _predict(
        semi_gradient_n_step_td_loop,
        problem,
        features,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_weights,
        None,
        max_episode_steps,
        true_values,
        distribution,
        n,
    )


@compiled
def semi_gradient_n_step_td_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    n,
    rng,
):
    limit = environment.limit
    rewards, discounts = np.empty(limit), np.empty(limit)
    for run in range(weights.shape[0]):
        w = weights[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state = reset(environment)
            phis = [represent(features, state)]
            ended, steps, updated = False, 0, 0
            while updated < steps or not ended:
                if not ended:
                    action = sample(behavior[state], rng.random())
                    state, reward, terminated, truncated = step(environment, action)
                    phis.append(represent(features, state))
                    rewards[steps], discounts[steps] = reward, 0.0 if terminated else gamma
                    ended = terminated or truncated
                    steps += 1
                if steps - updated >= n or ended:
                    last = min(updated + n, steps)
                    target = n_step_target(
                        rewards[updated:last], discounts[updated:last], read(w, phis[last])
                    )
                    learn(w, phis[updated], step_size * (target - read(w, phis[updated])))
                    updated += 1
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(w, truth)


LINEAR_TRACES = ("accumulating", "dutch")


def semi_gradient_td_lambda(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    lam: float = 0.8,
    traces: str = "accumulating",
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """Semi-gradient TD(λ): z ← γ λ z + φ(s); w ← w + α δ z, δ = r + γ v̂(s′) − v̂(s).

    Source: Sutton & Barto 2018, section 12.2. The trace is kept for each weight, not for each
    state. With ``traces="dutch"`` it is the *true online* TD(λ), equal to the online λ-return
    algorithm (van Seijen et al. 2016; section 12.5).

    Args:
        lam: λ in [0, 1]; 0 is TD(0).
        traces: "accumulating" or "dutch".
        problem, features, policy, episodes, alpha, gamma, runs, seed, initial_weights,
            max_episode_steps, true_values, distribution: as for ``semi_gradient_td0``.
    """
    check_fraction("lam", lam)
    if traces not in LINEAR_TRACES:
        raise ValueError(f"traces: takes one of {', '.join(LINEAR_TRACES)}, got {traces!r}")
    return _predict(
        semi_gradient_td_lambda_loop,
        problem,
        features,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_weights,
        None,
        max_episode_steps,
        true_values,
        distribution,
        float(lam),
        traces == "dutch",
    )


@compiled
def semi_gradient_td_lambda_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    lam,
    dutch,
    rng,
):
    for run in range(weights.shape[0]):
        w = weights[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            trace = np.zeros_like(w)
            previous = read(w, phi)
            while not ended:
                action = sample(behavior[state], rng.random())
                state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, state)
                discount = 0.0 if terminated else gamma
                value, next_value = read(w, phi), read(w, next_phi)
                td_error = td_target(reward, discount, next_value) - value
                trace *= gamma * lam
                if dutch:
                    learn(trace, phi, 1.0 - step_size * read(trace, phi))
                    w += step_size * (td_error + value - previous) * trace
                    learn(w, phi, -step_size * (value - previous))
                else:
                    learn(trace, phi, 1.0)
                    w += step_size * td_error * trace
                previous, phi = next_value, next_phi
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(w, truth)


def gradient_monte_carlo(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """Gradient Monte Carlo: w ← w + α [G_t − v̂(s_t)] φ(s_t), after the episode, for every step.

    Source: Sutton & Barto 2018, section 9.3. The return G_t does not contain the weights: this is
    stochastic gradient descent on the value error, whose minimum is the projection of v_π. The
    return of an episode that was cut off is completed with v̂ of the state where it stopped.

    Args:
        problem, features, policy, episodes, alpha, gamma, runs, seed, initial_weights,
            max_episode_steps, true_values, distribution: as for ``semi_gradient_td0``.
    """
    return _predict(
        gradient_monte_carlo_loop,
        problem,
        features,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_weights,
        None,
        max_episode_steps,
        true_values,
        distribution,
    )


@compiled
def gradient_monte_carlo_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    rng,
):
    limit = environment.limit
    rewards, discounts, next_values = np.empty(limit), np.empty(limit), np.zeros(limit)
    for run in range(weights.shape[0]):
        w = weights[run]
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state = reset(environment)
            phis = [represent(features, state)]
            ended, steps = False, 0
            while not ended:
                action = sample(behavior[state], rng.random())
                state, reward, terminated, truncated = step(environment, action)
                phis.append(represent(features, state))
                rewards[steps], discounts[steps] = reward, 0.0 if terminated else gamma
                ended = terminated or truncated
                steps += 1
            next_values[steps - 1] = read(w, phis[steps])
            targets = lambda_targets(rewards[:steps], discounts[:steps], next_values[:steps], 1.0)
            for t in range(steps):
                learn(w, phis[t], step_size * (targets[t] - read(w, phis[t])))
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(w, truth)


def tdc(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    beta: ArrayLike,
    episodes: int,
    alpha: ArrayLike,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    behavior_policy: ArrayLike | None = None,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """TDC, TD with gradient correction: converges off-policy too, as semi-gradient TD may not.

    w ← w + α ρ [δ φ − γ φ′ (φᵀh)],   h ← h + β ρ [δ − φᵀh] φ,   δ = r + γ v̂(s′) − v̂(s)

    Source: Sutton et al. 2009; Sutton & Barto 2018, section 11.7. It is stochastic gradient descent
    on the projected Bellman error; h estimates, by least squares, the TD error that φ can predict,
    and has to keep up with w, hence β > α. The limit is the TD fixed point if both fall to 0, α
    faster; with a constant β successive states, which depend on each other, leave a bias of its
    order.

    Args:
        beta: step size of h, > 0, or one for each episode; divided like ``alpha`` for binary
            features.
        problem, features, policy, episodes, alpha, gamma, runs, seed, initial_weights,
            behavior_policy, max_episode_steps, true_values, distribution: as for
            ``semi_gradient_td0``.
    """
    phi = feature_map(problem, features)
    return _predict(
        tdc_loop,
        problem,
        phi,
        policy,
        episodes,
        alpha,
        gamma,
        runs,
        seed,
        initial_weights,
        behavior_policy,
        max_episode_steps,
        true_values,
        distribution,
        step_sizes("beta", beta, check_count("episodes", episodes), phi),
    )


@compiled
def tdc_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    beta,
    rng,
):
    for run in range(weights.shape[0]):
        w = weights[run]
        h = np.zeros_like(w)
        for episode in range(alpha.shape[0]):
            step_size = alpha[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            while not ended:
                action = sample(behavior[state], rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, next_state)
                ratio = policy[state][action] / behavior[state][action]
                discount = 0.0 if terminated else gamma
                td_error = td_target(reward, discount, read(w, next_phi)) - read(w, phi)
                predicted = read(h, phi)
                learn(w, phi, step_size * ratio * td_error)
                learn(w, next_phi, -step_size * ratio * discount * predicted)
                learn(h, phi, beta[episode] * ratio * (td_error - predicted))
                state, phi = next_state, next_phi
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(w, truth)


def lstd(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy = None,
    *,
    episodes: int,
    regularization: float = 1e-3,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
    distribution: ArrayLike | None = None,
) -> LinearPredictionResult:
    """LSTD, least-squares TD: solves the TD equations of the steps seen so far, without step size.

    w = A⁻¹b,   A = ε I + Σ_t φ_t (φ_t − γ φ_t+1)ᵀ,   b = Σ_t r_t+1 φ_t

    Source: Bradtke & Barto 1996; Sutton & Barto 2018, section 9.8. Each step changes A by a matrix
    of rank one, so that its inverse is updated (Sherman & Morrison 1950) in O(features²) instead of
    solving anew in O(features³).

    Args:
        regularization: ε > 0, what A begins with; its influence fades as steps are added.
        problem, features, policy, episodes, gamma, runs, seed, max_episode_steps, true_values,
            distribution: as for ``semi_gradient_td0``.
    """
    check_positive("regularization", regularization)
    return _predict(
        lstd_loop,
        problem,
        features,
        policy,
        episodes,
        1.0,
        gamma,
        runs,
        seed,
        0.0,
        None,
        max_episode_steps,
        true_values,
        distribution,
        float(regularization),
    )


@compiled
def lstd_loop(
    environment,
    features,
    policy,
    behavior,
    weights,
    errors,
    returns,
    lengths,
    alpha,
    gamma,
    truth,
    regularization,
    rng,
):
    size = weights.shape[1]
    for run in range(weights.shape[0]):
        inverse = np.eye(size) / regularization
        b = np.zeros(size)
        for episode in range(alpha.shape[0]):
            state, ended = reset(environment), False
            phi = represent(features, state)
            while not ended:
                action = sample(behavior[state], rng.random())
                state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, state)
                discount = 0.0 if terminated else gamma
                # A + φ uᵀ with u = φ − γφ′ has the inverse A⁻¹ − (A⁻¹φ)(uᵀA⁻¹) / (1 + uᵀA⁻¹φ).
                column, row = np.zeros(size), np.zeros(size)
                for i in range(size):
                    column[i] = read(inverse[i], phi)
                for i in range(phi.indices.shape[0]):
                    row += phi.values[i] * inverse[phi.indices[i]]
                    row -= discount * next_phi.values[i] * inverse[next_phi.indices[i]]
                scale = 1.0 / (1.0 + read(row, phi))
                for i in range(size):
                    inverse[i] -= scale * column[i] * row
                learn(b, phi, reward)
                phi = next_phi
                ended = terminated or truncated
            multiply(inverse, b, weights[run])
            returns[run, episode], lengths[run, episode] = episode_summary(environment)
            errors[run, episode] = value_error(weights[run], truth)


# -- what the loops share -------------------------------------------------------------------------


class Truth(NamedTuple):
    """What v̂ is measured against, state by state; empty where states are points."""

    table: FeatureTable
    values: Floats  # (states,)
    distribution: Floats  # (states,)


@compiled
def multiply(matrix: Any, vector: Any, product: Any) -> None:
    """product ← matrix · vector, summed in one order wherever it runs."""
    for i in range(matrix.shape[0]):
        product[i] = 0.0
        for j in range(matrix.shape[1]):
            product[i] += matrix[i, j] * vector[j]


@compiled
def value_error(weights: Any, truth: Any) -> Any:
    """‖v̂ − v‖ = √ Σ_s d(s) (v̂(s) − v(s))²."""
    if truth.values.shape[0] == 0:
        return np.nan
    total = 0.0
    for state in range(truth.values.shape[0]):
        if truth.distribution[state] > 0.0:
            error = read(weights, represent(truth.table, state)) - truth.values[state]
            total += truth.distribution[state] * error**2
    return np.sqrt(total)


@dataclass(frozen=True)
class _PolicyOfPoints:
    """A function of points, read like the rows of a table."""

    function: Callable[[NDArray[Any]], ArrayLike]
    num_actions: int

    def __getitem__(self, point: NDArray[Any]) -> Floats:
        row = as_floats("policy", self.function(point))
        return check_policy("policy", row[None], 1, self.num_actions)[0]


def _predict(
    loop: Any,
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    policy: Policy,
    episodes: int,
    alpha: ArrayLike,
    gamma: float,
    runs: int,
    seed: int,
    initial_weights: ArrayLike,
    behavior_policy: ArrayLike | None,
    max_episode_steps: int | None,
    true_values: ArrayLike | None,
    distribution: ArrayLike | None,
    *extra: Any,
) -> LinearPredictionResult:
    """Check the arguments, make room for the results, run the loop."""
    check_count("episodes", episodes)
    check_count("runs", runs)
    check_fraction("gamma", gamma)
    phi = feature_map(problem, features)
    steps = step_sizes("alpha", alpha, episodes, phi)
    initial = check_initial("initial_weights", initial_weights, (phi.num_features,))
    followed, behavior = _policies(problem, policy, behavior_policy)
    simulation = simulate(
        problem, seed, max_episode_steps, behavior if isinstance(behavior, np.ndarray) else None
    )
    truth = _truth(simulation.mdp, phi, followed, behavior, gamma, true_values, distribution)
    weights = np.tile(initial, (runs, 1))
    result = LinearPredictionResult(
        weights=weights,
        values=np.zeros((runs, 0)),
        errors=np.zeros((runs, episodes)),
        returns=np.zeros((runs, episodes)),
        lengths=np.zeros((runs, episodes), dtype=np.int64),
    )
    simulation.run(
        loop,
        phi.arrays,
        followed,
        behavior,
        weights,
        result.errors,
        result.returns,
        result.lengths,
        steps,
        float(gamma),
        truth,
        *extra,
    )
    if phi.dims > 0:
        return result
    states = np.arange(len(phi.arrays.indices))
    return replace(result, values=weights @ phi.matrix(states).T)


def _policies(
    problem: LinearProblem, policy: Policy, behavior_policy: ArrayLike | None
) -> tuple[Any, Any]:
    """The policy that is evaluated and the one that acts, as the loops read them."""
    if not has_points(problem):
        if callable(policy):
            raise TypeError("policy: takes (states, actions) probabilities, got a function")
        followed = followed_policy(problem, policy)  # type: ignore[arg-type]
        if behavior_policy is None:
            return followed, followed
        behavior = check_policy("behavior_policy", behavior_policy, *followed.shape)
        if np.any((followed > 0) & (behavior == 0)):
            s, a = np.argwhere((followed > 0) & (behavior == 0))[0]
            raise ValueError(
                "behavior_policy: takes probabilities > 0 wherever policy has them, got 0 for "
                f"action {a} in state {s}"
            )
        return followed, behavior
    if isinstance(problem, MountainCar):
        raise ValueError(
            "problem: takes a TabularMDP or a gymnasium.Env for prediction, got MountainCar; its "
            'policy is a Python function, which gymnasium.make("MountainCar-v0") can follow'
        )
    if behavior_policy is not None:
        raise ValueError("behavior_policy: takes None where states are points")
    num_actions = count_actions(problem)
    if policy is None:
        uniform = np.full(num_actions, 1 / num_actions)
        policy = lambda point: uniform  # noqa: E731
    if not callable(policy):
        raise TypeError(
            "policy: takes a function of a point to (actions,) probabilities where states are "
            f"points, got {type(policy).__name__}"
        )
    acting = _PolicyOfPoints(policy, num_actions)
    return acting, acting


def _truth(
    mdp: TabularMDP | None,
    phi: FeatureMap,
    policy: Any,
    behavior: Any,
    gamma: float,
    true_values: ArrayLike | None,
    distribution: ArrayLike | None,
) -> Truth:
    """What is given, else the exact values and weights of a ``TabularMDP``, else nothing."""
    if phi.dims > 0:
        for name, given in (("true_values", true_values), ("distribution", distribution)):
            if given is not None:
                raise ValueError(f"{name}: takes None where states are points")
        table = one_hot(1).arrays
        return Truth(table, np.zeros(0), np.zeros(0))
    states = len(phi.arrays.indices)
    weights = np.full(states, 1 / states)
    values = np.full(states, np.nan)
    if distribution is not None:
        weights = check_distribution("distribution", distribution, states)
    if true_values is not None:
        values = check_values("true_values", true_values, (states,))
    elif mdp is not None:
        # A policy that never ends, with gamma = 1, has no values.
        with contextlib.suppress(ValueError):
            values = mdp.policy_values(policy, gamma)
    if distribution is None and mdp is not None:
        try:
            weights = mdp.stationary_distribution(behavior)
        except ValueError:  # several recurrent classes: without weights there are no errors
            values = np.full(states, np.nan)
    return Truth(phi.arrays, values, weights)


LINEAR_PREDICTION: Sequence[Any] = (
    semi_gradient_td0,
    semi_gradient_n_step_td,
    semi_gradient_td_lambda,
    gradient_monte_carlo,
    tdc,
    lstd,
)
