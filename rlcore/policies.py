"""Policies as arrays, the choice of an action, and schedules for α and ε.

A policy is an array (states, actions) whose rows sum to 1. The functions that choose an action
inside a learner's loop, ``sample``, ``best_action`` and ``epsilon_greedy``, are functions of one
uniform random number u in [0, 1): given u they are deterministic, so they can be tested exactly and
run compiled or interpreted alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.compilation import compiled
from rlcore.validation import as_floats, check_count, check_fraction, check_positive

Floats = NDArray[np.float64]


@compiled
def sample(probabilities, u):
    """The index at which the cumulative probability first exceeds u (inverse transform).

    Where rounding leaves the sum below u it is the last index of a probability > 0.

    Args:
        probabilities: (n,) numbers that sum to 1.
        u: uniform in [0, 1).
    """
    cumulative = 0.0
    for index in range(probabilities.shape[0]):
        cumulative += probabilities[index]
        if u < cumulative:
            return index
    last = probabilities.shape[0] - 1
    while last > 0 and probabilities[last] <= 0.0:
        last -= 1
    return last


@compiled
def best_action(q, u):
    """argmax_a q(a); equal best actions are chosen with equal probability.

    Args:
        q: (actions,) action values of the state.
        u: uniform in [0, 1), picks among equal ones.
    """
    best, ties, first = q[0], 1, 0
    for action in range(1, q.shape[0]):
        if q[action] > best:
            best, ties, first = q[action], 1, action
        elif q[action] == best:
            ties += 1
    if ties == 1:
        return first
    chosen = int(u * ties)
    for action in range(first, q.shape[0]):
        if q[action] == best:
            if chosen == 0:
                return action
            chosen -= 1
    return first


@compiled
def epsilon_greedy(q, epsilon, u):
    """An action drawn from the ε-greedy policy of one row of action values.

    π(a) = ε / |A| + (1 − ε) / |best| for the best actions, ε / |A| for the others
    (Sutton & Barto 2018, section 2.2).

    Args:
        q: (actions,) action values of the state.
        epsilon: probability of exploring, in [0, 1].
        u: uniform in [0, 1): its first ε explores, the rest picks among the best.
    """
    if u < epsilon:
        return int(u / epsilon * q.shape[0])
    return best_action(q, (u - epsilon) / (1.0 - epsilon))


@compiled
def epsilon_greedy_probability(q, epsilon, action):
    """π(action) of the ε-greedy policy of one row of action values ``q`` (actions,)."""
    best = q.max()
    explore = epsilon / q.shape[0]
    if q[action] < best:
        return explore
    return explore + (1.0 - epsilon) / np.count_nonzero(q == best)


def uniform_policy(num_states: int, num_actions: int) -> Floats:
    """Every action with the same probability, (states, actions)."""
    check_count("num_states", num_states)
    check_count("num_actions", num_actions)
    return np.full((num_states, num_actions), 1 / num_actions)


def greedy_policy(q: ArrayLike, tolerance: float = 0.0) -> Floats:
    """All probability on the best action; equal ones (within ``tolerance``) share it.

    Args:
        q: (states, actions) action values.
        tolerance: two values closer than this are equal, >= 0.
    """
    q = _action_values(q)
    if not tolerance >= 0:
        raise ValueError(f"tolerance: takes a number >= 0, got {tolerance!r}")
    best = q >= q.max(axis=1, keepdims=True) - tolerance
    return np.asarray(best / best.sum(axis=1, keepdims=True))


def epsilon_greedy_policy(q: ArrayLike, epsilon: float, tolerance: float = 0.0) -> Floats:
    """ε / |A| for every action, and 1 − ε shared by the best ones (Sutton & Barto 2018, section
    2.2).

    Args:
        q: (states, actions) action values.
        epsilon: in [0, 1].
        tolerance: two values closer than this are equal, >= 0.
    """
    check_fraction("epsilon", epsilon)
    greedy = greedy_policy(q, tolerance)
    return (1 - epsilon) * greedy + epsilon / greedy.shape[1]


def softmax_policy(q: ArrayLike, temperature: float) -> Floats:
    """π(a|s) = exp(q(s,a)/T) / Σ_b exp(q(s,b)/T) (Sutton & Barto 2018, eq. 13.2).

    Args:
        q: (states, actions) action values.
        temperature: T > 0, in the unit of q; small is greedy, large is uniform.
    """
    check_positive("temperature", temperature)
    q = _action_values(q)
    weights = np.exp((q - q.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _action_values(q: ArrayLike) -> Floats:
    array = as_floats("q", q)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"q: takes shape (states, actions), got {array.shape}")
    if not np.all(np.isfinite(array)):
        raise ValueError("q: takes finite action values, got NaN or infinity")
    return array


def linear_schedule(start: float, end: float, episodes: int, *, steps: int | None = None) -> Floats:
    """From ``start`` to ``end`` in equal steps over ``steps`` episodes (all if None), then ``end``.

    Args:
        start, end: values in [0, 1].
        episodes: length of the schedule.
        steps: length of the ramp, >= 1; what does not fit into the episodes is left out.

    Returns:
        (episodes,) array for ``alpha=`` or ``epsilon=``.
    """
    check_fraction("start", start)
    check_fraction("end", end)
    check_count("episodes", episodes)
    ramp = np.linspace(start, end, check_count("steps", episodes if steps is None else steps))
    return np.concatenate((ramp, np.full(max(0, episodes - len(ramp)), end)))[:episodes]


def exponential_schedule(start: float, end: float, episodes: int) -> Floats:
    """Geometric decay start · (end/start)^(k/(episodes−1)); both in (0, 1]. Returns (episodes,)."""
    check_fraction("start", start, positive=True)
    check_fraction("end", end, positive=True)
    return np.geomspace(start, end, check_count("episodes", episodes))


def harmonic_schedule(
    start: float, episodes: int, *, half_life: float = 1.0, power: float = 1.0
) -> Floats:
    """start / (1 + k / half_life)^power: with 1/2 < power ≤ 1 the conditions of Robbins and Monro.

    Σα = ∞ and Σα² < ∞ hold exactly for powers in (1/2, 1] (Robbins & Monro 1951, Sutton & Barto
    2018, eq. 2.7). As ε with power 1 it falls to 0 so slowly that every state one deviation away
    from the greedy path is visited for ever; the theorem's condition (GLIE, Singh et al. 2000) asks
    that of all states, with a count of visits for each.

    Args:
        start: first value, in (0, 1].
        episodes: length of the schedule.
        half_life: episode at which the value is start / 2^power, > 0.
        power: speed of the decay, > 0.

    Returns:
        (episodes,) array for ``alpha=`` or ``epsilon=``.
    """
    check_fraction("start", start, positive=True)
    check_positive("half_life", half_life)
    check_positive("power", power)
    steps = np.arange(check_count("episodes", episodes))
    return np.asarray(start / (1 + steps / half_life) ** power)
