"""Control with linear functions: the loops of ``rlcore.tabular.control`` with other storage.

Each action has weights of its own, q̂(s, a) = φ(s)ᵀ w_a. Where the table has ``table[state]``, a
function has ``read_all(w, phi)``; where the table says ``table[state, action] += …``, a function
says ``learn(w[action], phi, …)``. The targets are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.approximation.features import FeatureMap, learn, read, represent
from rlcore.approximation.problems import LinearProblem, count_actions, feature_map, step_sizes
from rlcore.compilation import compiled
from rlcore.policies import epsilon_greedy
from rlcore.simulation import episode_summary, reset, simulate, step
from rlcore.tabular.targets import (
    expected_sarsa_target,
    n_step_target,
    q_learning_target,
    sarsa_target,
)
from rlcore.validation import check_count, check_fraction, check_initial, check_schedule

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class LinearControlResult:
    """What a control algorithm with linear functions learnt."""

    weights: Floats
    """(runs, actions, features) after the last episode."""
    returns: Floats
    """(runs, episodes) undiscounted sum of rewards of each episode."""
    lengths: NDArray[np.int64]
    """(runs, episodes) steps of each episode."""
    features: FeatureMap
    """φ, which gives the weights their meaning."""

    def q(self, states: ArrayLike) -> Floats:
        """q̂(s, a) = φ(s)ᵀ w_a, (runs, n, actions).

        Args:
            states: (n,) numbers or (n, dims) points.
        """
        return np.einsum("nf,raf->rna", self.features.matrix(states), self.weights)


@compiled
def read_all(weights: Any, phi: Any) -> Any:
    """q̂(s, ·) = (φᵀw_a)_a, (actions,)."""
    q = np.empty(weights.shape[0])
    for action in range(weights.shape[0]):
        q[action] = read(weights[action], phi)
    return q


def semi_gradient_sarsa(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
) -> LinearControlResult:
    """Semi-gradient Sarsa, on-policy: w_a ← w_a + α [r + γ q̂(s′,a′) − q̂(s,a)] φ(s).

    Source: Sutton & Barto 2018, section 10.1; Zhao 2025, section 8.3.

    Args:
        problem: a ``TabularMDP`` or ``MountainCar`` (compiled), or a ``gymnasium.Env`` with
            Discrete actions whose observations are Discrete or a Box of one axis.
        features: a map made by ``rlcore.approximation.features``; for numbered states also a
            (states, features) matrix.
        episodes: number of episodes of each run.
        alpha: step size > 0, or one for each episode, (episodes,). For binary features (one-hot,
            aggregation, tile coding) it is divided by the number of active features and lies in
            (0, 1]: what the book writes α = 0.5/8, for 8 tilings, is ``alpha=0.5``.
        epsilon: exploration in [0, 1], or one for each episode, (episodes,).
        gamma: discount in [0, 1].
        runs: number of independent runs.
        seed: whole number >= 0; the same seed gives the same result.
        initial_weights: w before the first episode, a number or (actions, features).
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.

    Raises:
        ValueError, TypeError: an argument outside what it takes, episodes that cannot end, an
            observation that is not finite.
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    return _learn(
        semi_gradient_sarsa_loop,
        problem,
        features,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_weights,
        max_episode_steps,
    )


@compiled
def semi_gradient_sarsa_loop(
    environment, features, weights, returns, lengths, alpha, epsilon, gamma, rng
):
    for run in range(returns.shape[0]):
        w = weights[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            action = epsilon_greedy(read_all(w, phi), exploration, rng.random())
            while not ended:
                state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, state)
                next_q = read_all(w, next_phi)
                next_action = epsilon_greedy(next_q, exploration, rng.random())
                discount = 0.0 if terminated else gamma
                target = sarsa_target(reward, discount, next_q, next_action)
                learn(w[action], phi, step_size * (target - read(w[action], phi)))
                phi, action = next_phi, next_action
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def semi_gradient_expected_sarsa(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
) -> LinearControlResult:
    """Semi-gradient Expected Sarsa: the target is r + γ Σ_a′ π(a′|s′) q̂(s′,a′), π ε-greedy.

    Source: Sutton & Barto 2018, sections 6.6 and 10.1.

    Args:
        problem, features, episodes, alpha, epsilon, gamma, runs, seed, initial_weights,
            max_episode_steps: as for ``semi_gradient_sarsa``.
    """
    return _learn(
        semi_gradient_expected_sarsa_loop,
        problem,
        features,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_weights,
        max_episode_steps,
    )


@compiled
def semi_gradient_expected_sarsa_loop(
    environment, features, weights, returns, lengths, alpha, epsilon, gamma, rng
):
    for run in range(returns.shape[0]):
        w = weights[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            while not ended:
                action = epsilon_greedy(read_all(w, phi), exploration, rng.random())
                state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, state)
                discount = 0.0 if terminated else gamma
                next_q = read_all(w, next_phi)
                target = expected_sarsa_target(reward, discount, next_q, exploration)
                learn(w[action], phi, step_size * (target - read(w[action], phi)))
                phi = next_phi
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def semi_gradient_q_learning(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
) -> LinearControlResult:
    """Semi-gradient Q-learning, off-policy: w_a ← w_a + α [r + γ max_a′ q̂(s′,a′) − q̂(s,a)] φ(s).

    Source: Watkins 1989; Zhao 2025, section 8.4. Function approximation, bootstrapping and
    off-policy learning together can diverge (Sutton & Barto 2018, section 11.3).

    Args:
        problem, features, episodes, alpha, epsilon, gamma, runs, seed, initial_weights,
            max_episode_steps: as for ``semi_gradient_sarsa``.
    """
    return _learn(
        semi_gradient_q_learning_loop,
        problem,
        features,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_weights,
        max_episode_steps,
    )


@compiled
def semi_gradient_q_learning_loop(
    environment, features, weights, returns, lengths, alpha, epsilon, gamma, rng
):
    for run in range(returns.shape[0]):
        w = weights[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            phi = represent(features, state)
            while not ended:
                action = epsilon_greedy(read_all(w, phi), exploration, rng.random())
                state, reward, terminated, truncated = step(environment, action)
                next_phi = represent(features, state)
                discount = 0.0 if terminated else gamma
                target = q_learning_target(reward, discount, read_all(w, next_phi))
                learn(w[action], phi, step_size * (target - read(w[action], phi)))
                phi = next_phi
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def semi_gradient_n_step_sarsa(
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    *,
    n: int = 4,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_weights: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
) -> LinearControlResult:
    """n-step semi-gradient Sarsa: w_a ← w_a + α [r₁ + … + γⁿ⁻¹ rₙ + γⁿ q̂(sₙ,aₙ) − q̂(s,a)] φ(s).

    Source: Sutton & Barto 2018, section 10.2.

    Args:
        n: number of rewards, >= 1; 1 is Sarsa.
        problem, features, episodes, alpha, epsilon, gamma, runs, seed, initial_weights,
            max_episode_steps: as for ``semi_gradient_sarsa``.
    """
    check_count("n", n)
    return _learn(
        semi_gradient_n_step_sarsa_loop,
        problem,
        features,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_weights,
        max_episode_steps,
        n,
    )


@compiled
def semi_gradient_n_step_sarsa_loop(
    environment, features, weights, returns, lengths, alpha, epsilon, gamma, n, rng
):
    limit = environment.limit
    actions, rewards, discounts = np.empty(limit + 1, np.int64), np.empty(limit), np.empty(limit)
    for run in range(returns.shape[0]):
        w = weights[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            phis = [represent(features, reset(environment))]
            actions[0] = epsilon_greedy(read_all(w, phis[0]), exploration, rng.random())
            ended, steps, updated = False, 0, 0
            while updated < steps or not ended:
                if not ended:
                    state, reward, terminated, truncated = step(environment, actions[steps])
                    phi = represent(features, state)
                    action = epsilon_greedy(read_all(w, phi), exploration, rng.random())
                    rewards[steps], discounts[steps] = reward, 0.0 if terminated else gamma
                    ended = terminated or truncated
                    steps += 1
                    phis.append(phi)
                    actions[steps] = action
                if steps - updated >= n or ended:
                    last = min(updated + n, steps)
                    following = read(w[actions[last]], phis[last])
                    target = n_step_target(
                        rewards[updated:last], discounts[updated:last], following
                    )
                    phi, w_a = phis[updated], w[actions[updated]]
                    learn(w_a, phi, step_size * (target - read(w_a, phi)))
                    updated += 1
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


# -- what the loops share -------------------------------------------------------------------------


def _learn(
    loop: Any,
    problem: LinearProblem,
    features: FeatureMap | ArrayLike,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike,
    gamma: float,
    runs: int,
    seed: int,
    initial_weights: ArrayLike,
    max_episode_steps: int | None,
    *extra: Any,
) -> LinearControlResult:
    """Check the arguments, make room for the results, run the loop."""
    check_count("episodes", episodes)
    check_count("runs", runs)
    exploration = check_schedule("epsilon", epsilon, episodes, positive=False)
    check_fraction("gamma", gamma)
    num_actions = count_actions(problem)
    phi = feature_map(problem, features)
    steps = step_sizes("alpha", alpha, episodes, phi)
    shape = (num_actions, phi.num_features)
    initial = check_initial("initial_weights", initial_weights, shape)
    simulation = simulate(problem, seed, max_episode_steps)
    result = LinearControlResult(
        weights=np.tile(initial, (runs, 1, 1)),
        returns=np.zeros((runs, episodes)),
        lengths=np.zeros((runs, episodes), dtype=np.int64),
        features=phi,
    )
    simulation.run(
        loop,
        phi.arrays,
        result.weights,
        result.returns,
        result.lengths,
        steps,
        exploration,
        float(gamma),
        *extra,
    )
    return result


LINEAR_CONTROL: Sequence[Any] = (
    semi_gradient_sarsa,
    semi_gradient_expected_sarsa,
    semi_gradient_q_learning,
    semi_gradient_n_step_sarsa,
)
