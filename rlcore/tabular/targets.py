"""The targets: what each algorithm wants its estimate to become. Read this page first.

Every algorithm of this course is one update,

    estimate ← estimate + α · (target − estimate),

and differs from the others only in its target. A target is a function of one piece of experience.
``discount`` is γ, or 0 when the step ended the episode: nothing follows, so nothing is added. A
step that was merely cut off by a time limit (truncated) keeps its γ.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rlcore.compilation import compiled
from rlcore.policies import best_action, epsilon_greedy_probability


@compiled
def td_target(reward: float, discount: float, next_value: float) -> Any:
    """r + γ v(s′), the target of TD(0) (Sutton & Barto 2018, eq. 6.2).

    Solves the Bellman equation v = r_π + γ P_π v.
    """
    return reward + discount * next_value


@compiled
def sarsa_target(reward: float, discount: float, next_q: Any, next_action: int) -> Any:
    """r + γ q(s′, a′) with the action a′ that is really taken next (Sutton & Barto 2018, eq. 6.7).

    Solves q(s,a) = E[R + γ Σ_a′ π(a′|S′) q(S′,a′)] for the policy π that is being followed.

    Args:
        next_q: (actions,) q(s′, ·).
        next_action: a′.
    """
    return reward + discount * next_q[next_action]


@compiled
def expected_sarsa_target(reward: float, discount: float, next_q: Any, epsilon: float) -> Any:
    """r + γ Σ_a π(a|s′) q(s′, a), the mean over the ε-greedy policy (Sutton & Barto 2018, eq. 6.9).

    Solves the same equation as Sarsa, without the noise of one sampled a′.

    Args:
        next_q: (actions,) q(s′, ·).
        epsilon: the ε of π.
    """
    best = next_q[0]
    total = next_q[0]
    for action in range(1, next_q.shape[0]):
        best = max(best, next_q[action])
        total += next_q[action]
    mean = total / next_q.shape[0]
    return reward + discount * ((1.0 - epsilon) * best + epsilon * mean)


@compiled
def q_learning_target(reward: float, discount: float, next_q: Any) -> Any:
    """r + γ max_a q(s′, a) (Watkins 1989; Sutton & Barto 2018, eq. 6.8).

    Solves the Bellman *optimality* equation q(s,a) = E[R + γ max_a′ q(S′,a′)], whatever policy
    acts.

    Args:
        next_q: (actions,) q(s′, ·).
    """
    best = next_q[0]
    for action in range(1, next_q.shape[0]):
        best = max(best, next_q[action])
    return reward + discount * best


@compiled
def double_q_learning_target(
    reward: float, discount: float, next_q: Any, other_next_q: Any, u: float
) -> Any:
    """r + γ q₂(s′, argmax_a q₁(s′, a)) (van Hasselt 2010; Sutton & Barto 2018, eq. 6.10).

    One table chooses, the other one judges. Equal best actions are chosen at random.

    Solves the Bellman *optimality* equation, as Q-learning does, when both tables agree.

    Args:
        next_q: (actions,) q₁(s′, ·) of the table that is being updated.
        other_next_q: (actions,) q₂(s′, ·).
        u: uniform in [0, 1), breaks ties.
    """
    return reward + discount * other_next_q[best_action(next_q, u)]


@compiled
def n_step_target(rewards: Any, discounts: Any, last_value: float) -> Any:
    """r₁ + γ r₂ + … + γⁿ⁻¹ rₙ + γⁿ v(sₙ) (Sutton & Barto 2018, eq. 7.1; with q(sₙ,aₙ), eq. 7.4).

    With all rewards up to the end of the episode it is the Monte Carlo target; with one reward it
    is the one-step target.

    Solves v = T_πⁿ v, the Bellman equation v = T_π v = r_π + γ P_π v put into itself n times.

    Args:
        rewards: (n,) r₁ … rₙ.
        discounts: (n,) γ for each, 0 where the step ended the episode.
        last_value: v(sₙ) or q(sₙ, aₙ).
    """
    target, weight = 0.0, 1.0
    for i in range(rewards.shape[0]):
        target += weight * rewards[i]
        weight *= discounts[i]
    return target + weight * last_value


@compiled
def lambda_targets(rewards: Any, discounts: Any, next_values: Any, lam: float) -> Any:
    """G_t = r_t+1 + γ [(1 − λ) v(s_t+1) + λ G_t+1] (Sutton & Barto 2018, eq. 12.2, exercise 12.1).

    The mean of all n-step targets with weights (1 − λ) λⁿ⁻¹, for every step of an episode, written
    as a recursion from the end. λ = 0: the TD(0) targets; λ = 1: the returns.

    Solves v = (1 − λ) Σ_n λⁿ⁻¹ T_πⁿ v. At λ = 1, Monte Carlo, no v is left on the right: v = v_π.

    Args:
        rewards: (T,) rewards of the episode.
        discounts: (T,) γ for each, 0 where the step ended the episode.
        next_values: (T,) v(s′) of each step.
        lam: λ in [0, 1].

    Returns:
        (T,) targets.
    """
    targets = np.empty_like(next_values)
    following = next_values[-1]
    for t in range(rewards.shape[0] - 1, -1, -1):
        targets[t] = rewards[t] + discounts[t] * ((1.0 - lam) * next_values[t] + lam * following)
        following = targets[t]
    return targets


@compiled
def importance_ratio(q: Any, actions: Any, epsilon: float, behavior: Any) -> Any:
    """ρ = Π_i π(a_i|s_i) / b(a_i|s_i) for an ε-greedy target policy (Sutton & Barto 2018, eq.
    7.10).

    Args:
        q: (n, actions) q(s_i, ·) of the states passed.
        actions: (n,) the actions taken there.
        epsilon: the ε of the target policy π.
        behavior: (n, actions) b(·|s_i), the policy that acted.
    """
    ratio = 1.0
    for i in range(actions.shape[0]):
        action = actions[i]
        ratio *= epsilon_greedy_probability(q[i], epsilon, action) / behavior[i, action]
    return ratio
