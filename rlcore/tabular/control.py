"""Control: finding a good policy, from experience.

Each algorithm is one loop, and each loop reads like its box in the textbook. See ``targets`` for
what makes them differ, and ``rlcore.simulation`` for ``reset`` and ``step``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.compilation import compiled
from rlcore.policies import epsilon_greedy, sample
from rlcore.simulation import Problem, episode_summary, problem_size, reset, simulate, step
from rlcore.tabular.targets import (
    double_q_learning_target,
    expected_sarsa_target,
    importance_ratio,
    n_step_target,
    q_learning_target,
    sarsa_target,
)
from rlcore.transitions import Transitions
from rlcore.validation import (
    as_floats,
    check_count,
    check_fraction,
    check_initial,
    check_policy,
    check_schedule,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ControlResult:
    """What a control algorithm learnt."""

    q: Floats
    """(runs, states, actions) action values after the last episode."""
    returns: Floats
    """(runs, episodes) undiscounted sum of rewards of each episode."""
    lengths: NDArray[np.int64]
    """(runs, episodes) steps of each episode."""


def sarsa(
    problem: Problem,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
) -> ControlResult:
    """Sarsa, on-policy: Q(s,a) ← Q(s,a) + α [r + γ Q(s′,a′) − Q(s,a)].

    The action a′ of the target is the one that is taken next (Rummery & Niranjan 1994; Sutton &
    Barto 2018, section 6.4). Learns the values of the ε-greedy policy that it follows.

    Args:
        problem: a ``TabularMDP`` (compiled), or a ``gymnasium.Env`` with Discrete spaces.
        episodes: number of episodes of each run.
        alpha: step size in (0, 1], or one for each episode, (episodes,).
        epsilon: exploration in [0, 1], or one for each episode, (episodes,).
        gamma: discount in [0, 1].
        runs: number of independent runs.
        seed: whole number >= 0; the same seed gives the same result.
        initial_q: Q before the first episode, a number or (states, actions).
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.

    Raises:
        ValueError, TypeError: an argument outside what it takes, episodes that cannot end.
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    return _learn(
        sarsa_loop,
        problem,
        None,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_q,
        max_episode_steps,
    )


@compiled
def sarsa_loop(environment, behavior, q, returns, lengths, alpha, epsilon, gamma, rng):
    for run in range(returns.shape[0]):
        table = q[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state = reset(environment)
            action = epsilon_greedy(table[state], exploration, rng.random())
            ended = False
            while not ended:
                next_state, reward, terminated, truncated = step(environment, action)
                next_action = epsilon_greedy(table[next_state], exploration, rng.random())
                discount = 0.0 if terminated else gamma
                target = sarsa_target(reward, discount, table[next_state], next_action)
                table[state, action] += step_size * (target - table[state, action])
                state, action = next_state, next_action
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def expected_sarsa(
    problem: Problem,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    behavior_policy: ArrayLike | None = None,
) -> ControlResult:
    """Expected Sarsa: Q(s,a) ← Q(s,a) + α [r + γ Σ_a′ π(a′|s′) Q(s′,a′) − Q(s,a)], π ε-greedy.

    Source: van Seijen et al. 2009; Sutton & Barto 2018, section 6.6. With ε = 0 it is Q-learning.

    Args:
        epsilon: the ε of the target policy π, and of the actions unless ``behavior_policy`` is
            given.
        behavior_policy: (states, actions) acts instead (off-policy).
        problem, episodes, alpha, gamma, runs, seed, initial_q, max_episode_steps: as for ``sarsa``.
    """
    return _learn(
        expected_sarsa_loop,
        problem,
        behavior_policy,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_q,
        max_episode_steps,
    )


@compiled
def expected_sarsa_loop(environment, behavior, q, returns, lengths, alpha, epsilon, gamma, rng):
    for run in range(returns.shape[0]):
        table = q[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            while not ended:
                action = act(behavior, state, table[state], exploration, rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                target = expected_sarsa_target(reward, discount, table[next_state], exploration)
                table[state, action] += step_size * (target - table[state, action])
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def q_learning(
    problem: Problem,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    behavior_policy: ArrayLike | None = None,
) -> ControlResult:
    """Q-learning, off-policy: Q(s,a) ← Q(s,a) + α [r + γ max_a′ Q(s′,a′) − Q(s,a)].

    Source: Watkins 1989; Sutton & Barto 2018, section 6.5. Learns the optimal values, whatever
    policy acts, if it keeps trying everything.

    Args:
        epsilon: exploration of the ε-greedy policy that acts; without effect if ``behavior_policy``
            is given.
        behavior_policy: (states, actions) acts instead of the ε-greedy one.
        problem, episodes, alpha, gamma, runs, seed, initial_q, max_episode_steps: as for ``sarsa``.
    """
    return _learn(
        q_learning_loop,
        problem,
        behavior_policy,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_q,
        max_episode_steps,
    )


@compiled
def q_learning_loop(environment, behavior, q, returns, lengths, alpha, epsilon, gamma, rng):
    for run in range(returns.shape[0]):
        table = q[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            while not ended:
                action = act(behavior, state, table[state], exploration, rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                target = q_learning_target(reward, discount, table[next_state])
                table[state, action] += step_size * (target - table[state, action])
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def double_q_learning(
    problem: Problem,
    *,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    behavior_policy: ArrayLike | None = None,
) -> ControlResult:
    """Double Q-learning: Q₁(s,a) ← Q₁(s,a) + α [r + γ Q₂(s′, argmax_a′ Q₁(s′,a′)) − Q₁(s,a)].

    A fair coin decides at each step which of two tables is Q₁ (van Hasselt 2010; Sutton & Barto
    2018, section 6.7). The maximum of noisy numbers is too high on average; a second, independent
    table judges the chosen action without that bias. Actions are ε-greedy for the mean of both
    tables, which is also the ``q`` of the result.

    Args:
        epsilon, behavior_policy: as for ``q_learning``.
        problem, episodes, alpha, gamma, runs, seed, initial_q, max_episode_steps: as for ``sarsa``.
    """
    return _learn(
        double_q_learning_loop,
        problem,
        behavior_policy,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_q,
        max_episode_steps,
    )


@compiled
def double_q_learning_loop(environment, behavior, q, returns, lengths, alpha, epsilon, gamma, rng):
    for run in range(returns.shape[0]):
        mean = q[run]
        tables = np.stack((mean, mean))
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state, ended = reset(environment), False
            while not ended:
                action = act(behavior, state, mean[state], exploration, rng.random())
                next_state, reward, terminated, truncated = step(environment, action)
                discount = 0.0 if terminated else gamma
                coin = int(2 * rng.random())
                table, other = tables[coin], tables[1 - coin]
                target = double_q_learning_target(
                    reward, discount, table[next_state], other[next_state], rng.random()
                )
                table[state, action] += step_size * (target - table[state, action])
                mean[state, action] = (table[state, action] + other[state, action]) / 2
                state = next_state
                ended = terminated or truncated
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def n_step_sarsa(
    problem: Problem,
    *,
    n: int = 4,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike = 0.1,
    gamma: float = 1.0,
    runs: int = 1,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
    max_episode_steps: int | None = None,
    behavior_policy: ArrayLike | None = None,
) -> ControlResult:
    """n-step Sarsa: the target waits for n rewards (Sutton & Barto 2018, section 7.2).

    Q(s_t,a_t) ← Q(s_t,a_t) + α ρ [r_t+1 + … + γⁿ⁻¹ r_t+n + γⁿ Q(s_t+n,a_t+n) − Q(s_t,a_t)]

    On-policy ρ = 1. With ``behavior_policy`` the importance-sampling ratio ρ of the actions
    a_t+1 … a_t+n corrects for who chose them (section 7.3): unlike the max of Q-learning, rewards
    that were really received say nothing about another policy without it. ρ can be as large as
    1 / min b to the power n: keep α ρ below 2, beyond which an update overshoots further than it
    started.

    Args:
        n: number of rewards, >= 1; 1 is Sarsa.
        epsilon: the ε of the target policy, and of the actions unless ``behavior_policy`` is given.
        behavior_policy: (states, actions) acts instead; must try every action, so all > 0.
        problem, episodes, alpha, gamma, runs, seed, initial_q, max_episode_steps: as for ``sarsa``.
    """
    check_count("n", n)
    if behavior_policy is not None:
        least = as_floats("behavior_policy", behavior_policy).min(initial=1.0)
        if least <= 0:
            raise ValueError(
                "behavior_policy: takes probabilities > 0 (importance sampling divides by them), "
                f"got {least}"
            )
    return _learn(
        n_step_sarsa_loop,
        problem,
        behavior_policy,
        episodes,
        alpha,
        epsilon,
        gamma,
        runs,
        seed,
        initial_q,
        max_episode_steps,
        n,
    )


@compiled
def n_step_sarsa_loop(environment, behavior, q, returns, lengths, alpha, epsilon, gamma, n, rng):
    limit = environment.limit
    states, actions = np.empty(limit + 1, np.int64), np.empty(limit + 1, np.int64)
    rewards, discounts = np.empty(limit), np.empty(limit)
    on_policy = behavior.shape[0] == 0
    for run in range(returns.shape[0]):
        table = q[run]
        for episode in range(returns.shape[1]):
            step_size, exploration = alpha[episode], epsilon[episode]
            state = reset(environment)
            action = act(behavior, state, table[state], exploration, rng.random())
            states[0], actions[0] = state, action
            ended, steps, updated = False, 0, 0
            while updated < steps or not ended:
                if not ended:
                    state, reward, terminated, truncated = step(environment, action)
                    action = act(behavior, state, table[state], exploration, rng.random())
                    rewards[steps], discounts[steps] = reward, 0.0 if terminated else gamma
                    ended = terminated or truncated
                    steps += 1
                    states[steps], actions[steps] = state, action
                if steps - updated >= n or ended:
                    last = min(updated + n, steps)
                    target = n_step_target(
                        rewards[updated:last],
                        discounts[updated:last],
                        table[states[last], actions[last]],
                    )
                    ratio = 1.0
                    if not on_policy:
                        # After the end of an episode no action counts any more.
                        until = last if discounts[last - 1] == 0.0 else last + 1
                        passed = states[updated + 1 : until]
                        ratio = importance_ratio(
                            table[passed],
                            actions[updated + 1 : until],
                            exploration,
                            behavior[passed],
                        )
                    s, a = states[updated], actions[updated]
                    table[s, a] += step_size * ratio * (target - table[s, a])
                    updated += 1
            returns[run, episode], lengths[run, episode] = episode_summary(environment)


def q_learning_from_transitions(
    transitions: Transitions,
    *,
    sweeps: int,
    alpha: float,
    gamma: float = 1.0,
    seed: int = 0,
    initial_q: ArrayLike = 0.0,
) -> Floats:
    """Q-learning on a fixed data set, whoever collected it: the same update, in random order.

    Each sweep passes over all transitions once, shuffled. Being off-policy, the update needs no
    importance sampling: its target does not contain the action that the data's policy took next.

    Args:
        transitions: recorded steps.
        sweeps: passes over the data, >= 1.
        alpha: step size in (0, 1].
        gamma: discount in [0, 1].
        seed: whole number >= 0, for the order.
        initial_q: Q before the first sweep, a number or (states, actions); kept by what never
            occurs.

    Returns:
        (states, actions) action values.
    """
    if not isinstance(transitions, Transitions):
        raise TypeError(f"transitions: takes Transitions, got {type(transitions).__name__}")
    check_count("sweeps", sweeps)
    check_fraction("gamma", gamma)
    check_count("seed", seed, minimum=0)
    step_size = float(check_schedule("alpha", alpha, 1, positive=True)[0])
    size = (transitions.num_states, transitions.num_actions)
    q = check_initial("initial_q", initial_q, size).copy()
    rng = np.random.default_rng(seed)
    discounts = gamma * ~transitions.terminated
    for _ in range(sweeps):
        transitions_loop(
            rng.permutation(transitions.num_steps),
            transitions.states,
            transitions.actions,
            transitions.rewards,
            transitions.next_states,
            discounts,
            q,
            step_size,
        )
    return q


@compiled
def transitions_loop(order, states, actions, rewards, next_states, discounts, q, alpha):
    for i in order:
        target = q_learning_target(rewards[i], discounts[i], q[next_states[i]])
        q[states[i], actions[i]] += alpha * (target - q[states[i], actions[i]])


# -- what the loops share -------------------------------------------------------------------------


@compiled
def act(behavior: Any, state: int, q: Any, epsilon: float, u: float) -> Any:
    """The next action: from the behaviour policy if there is one, else ε-greedy for ``q``
    (actions,)."""
    if behavior.shape[0] == 0:
        return epsilon_greedy(q, epsilon, u)
    return sample(behavior[state], u)


def _learn(
    loop: Any,
    problem: Problem,
    behavior_policy: ArrayLike | None,
    episodes: int,
    alpha: ArrayLike,
    epsilon: ArrayLike,
    gamma: float,
    runs: int,
    seed: int,
    initial_q: ArrayLike,
    max_episode_steps: int | None,
    *extra: Any,
) -> ControlResult:
    """Check the arguments, make room for the results, run the loop."""
    check_count("episodes", episodes)
    check_count("runs", runs)
    step_sizes = check_schedule("alpha", alpha, episodes, positive=True)
    exploration = check_schedule("epsilon", epsilon, episodes, positive=False)
    check_fraction("gamma", gamma)
    shape = problem_size(problem)
    behavior = None
    if behavior_policy is not None:
        behavior = check_policy("behavior_policy", behavior_policy, *shape)
    simulation = simulate(problem, seed, max_episode_steps, behavior)
    initial = check_initial("initial_q", initial_q, shape)
    result = ControlResult(
        q=np.tile(initial, (runs, 1, 1)),
        returns=np.zeros((runs, episodes)),
        lengths=np.zeros((runs, episodes), dtype=np.int64),
    )
    simulation.run(
        loop,
        np.zeros((0, shape[1])) if behavior is None else behavior,
        result.q,
        result.returns,
        result.lengths,
        step_sizes,
        exploration,
        float(gamma),
        *extra,
    )
    return result


CONTROL: Sequence[Any] = (sarsa, expected_sarsa, q_learning, double_q_learning, n_step_sarsa)
