"""A network as v̂: semi-gradient TD(0) on minibatches of recorded transitions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from rlcore.approximation.dqn import as_vector, perceptron
from rlcore.mdp import TabularMDP
from rlcore.simulation import Problem
from rlcore.threads import one_thread
from rlcore.transitions import collect, followed_policy
from rlcore.validation import as_floats, check_count, check_fraction, check_schedule, check_values

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ValueNetworkResult:
    """What a value network learnt."""

    values: Floats
    """(states,) v̂ of every state after the last update."""
    errors: Floats
    """(updates,) √ Σ_s d(s) (v̂(s) − v(s))² after each update, over d, the share of the recorded
    steps that were taken in s; NaN where the true values are not known."""
    visits: Floats
    """(states,) d."""
    network: nn.Module
    """v̂, a function of rows of ``inputs`` (B, inputs) to values (B, 1)."""


def td_loss(
    network: nn.Module,
    target: nn.Module,
    inputs: Tensor,
    rewards: Tensor,
    discounts: Tensor,
    next_inputs: Tensor,
) -> Tensor:
    """(1/2B) Σ (y − v̂(s; θ))², y = r + discount · v̂(s′; θ⁻), whose gradient is the *semi*-gradient.

    − ∇_θ = (1/B) Σ (y − v̂(s; θ)) ∇_θ v̂(s; θ), the update of TD(0) with a function (Sutton & Barto
    2018, section 9.3). No gradient flows through y, although with θ⁻ = θ it depends on θ: that
    would be the residual gradient (Baird 1995), which solves another problem.

    Args:
        network: v̂(·; θ).
        target: v̂(·; θ⁻), which may be the same network.
        inputs, next_inputs: (B, inputs) descriptions of s and s′.
        rewards, discounts: (B, 1) r, and γ, or 0 where the step ended the episode.
    """
    with torch.no_grad():
        y = rewards + discounts * target(next_inputs)
    return 0.5 * torch.mean((y - network(inputs)) ** 2)


def value_network_td(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    inputs: ArrayLike,
    hidden: Sequence[int] = (32,),
    episodes: int,
    sweeps: int,
    alpha: ArrayLike = 0.1,
    batch_size: int = 32,
    shuffle: bool = True,
    target_every: int = 1,
    gamma: float = 1.0,
    seed: int = 0,
    max_episode_steps: int | None = None,
    true_values: ArrayLike | None = None,
) -> ValueNetworkResult:
    """TD(0) with a network: record episodes, then sweep over their transitions in minibatches.

    θ ← θ + α (1/B) Σ [r + γ v̂(s′; θ⁻) − v̂(s; θ)] ∇_θ v̂(s; θ), with plain gradient descent.

    Args:
        problem: a ``TabularMDP``, or a ``gymnasium.Env`` with Discrete observations and actions.
        policy: (states, actions) rows that sum to 1; uniform if None.
        inputs: (states, inputs) what the network sees of each state: scaled coordinates, or
            ``np.eye(states)``, with which a network without hidden layers is a table.
        hidden: widths of the hidden layers; () for a linear function.
        episodes: number of episodes to record.
        sweeps: passes over the recorded transitions; each uses every one of them once.
        alpha: step size in (0, 1], or one for each sweep, (sweeps,).
        batch_size: transitions in an update; the last ones of a sweep may be fewer.
        shuffle: present the transitions in a new random order in each sweep; else as they happened.
        target_every: updates after which θ is copied to θ⁻; 1 for no target network, as θ⁻ = θ.
        gamma: discount in [0, 1].
        seed: whole number >= 0; the same seed gives the same result.
        max_episode_steps: truncate episodes after so many steps; the problem's own limit stays.
        true_values: (states,) to measure errors against; exact ones if None and ``problem`` is a
            ``TabularMDP``.

    Raises:
        ValueError, TypeError: an argument outside what it takes, episodes that cannot end.
        FloatingPointError: the values have diverged to infinity.
    """
    for name, count in (
        ("sweeps", sweeps),
        ("batch_size", batch_size),
        ("target_every", target_every),
    ):
        check_count(name, count)
    step_sizes = check_schedule("alpha", alpha, sweeps, positive=True)
    check_fraction("gamma", gamma)
    policy = followed_policy(problem, policy)
    described = as_floats("inputs", inputs)
    if described.ndim != 2 or len(described) != len(policy) or not np.isfinite(described).all():
        raise ValueError(
            f"inputs: takes finite numbers of shape (states, inputs), here ({len(policy)}, …), "
            f"got shape {described.shape}"
        )
    widths = (described.shape[1], *(check_count("hidden", width) for width in hidden), 1)
    if true_values is not None:
        true_values = check_values("true_values", true_values, (len(policy),))
    elif isinstance(problem, TabularMDP):
        true_values = problem.policy_values(policy, gamma)
    else:
        true_values = np.full(len(policy), np.nan)
    data = collect(
        problem, policy, episodes=episodes, seed=seed, max_episode_steps=max_episode_steps
    )
    visits = np.bincount(data.states, minlength=len(policy)) / data.num_steps

    network_seed, order_seed = (int(n) for n in np.random.SeedSequence(seed).generate_state(2))
    network = perceptron(widths, network_seed)
    target = copy.deepcopy(network)
    theta: Any = as_vector(network)
    target_theta: Any = as_vector(target)
    rng = np.random.default_rng(order_seed)
    states = torch.tensor(described, dtype=torch.float32)
    rewards = torch.tensor(data.rewards[:, None], dtype=torch.float32)
    discounts = torch.tensor(gamma * ~data.terminated[:, None], dtype=torch.float32)
    came = np.arange(data.num_steps)
    errors: list[float] = []
    with one_thread():
        for sweep, step_size in enumerate(step_sizes):
            order = rng.permutation(data.num_steps) if shuffle else came
            for first in range(0, data.num_steps, batch_size):
                rows = order[first : first + batch_size]
                loss = td_loss(
                    network,
                    target,
                    states[data.states[rows]],
                    rewards[rows],
                    discounts[rows],
                    states[data.next_states[rows]],
                )
                theta.grad.zero_()
                loss.backward()
                with torch.no_grad():
                    theta -= float(step_size) * theta.grad
                    if (len(errors) + 1) % target_every == 0:
                        target_theta.copy_(theta)
                    values = network(states)[:, 0].numpy()
                if not np.isfinite(values).all():
                    raise FloatingPointError(
                        f"the values have diverged to infinity in sweep {sweep}; try a smaller "
                        "alpha, inputs scaled to about 1, or a larger target_every"
                    )
                errors.append(np.sqrt(visits @ (values - true_values) ** 2))
    return ValueNetworkResult(values.astype(np.float64), np.array(errors), visits, network)
