"""Finite Markov decision processes as arrays, and what can be computed of them exactly.

A learner is trusted because its answer can be compared with the exact one. This module holds the
exact ones: values by a linear solve, optimal values by value and policy iteration, values under a
step limit by backward recursion, and the stationary distribution of a policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import gymnasium
import numpy as np
from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker, TimeLimit
from numpy.typing import ArrayLike, NDArray

from rlcore.policies import greedy_policy, uniform_policy
from rlcore.validation import (
    as_constant,
    check_count,
    check_fraction,
    check_policy,
    check_positive,
    check_values,
)

if TYPE_CHECKING:
    from rlcore.transitions import Transitions

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Two actions whose values differ by less than this share the greedy policy: linear solves leave
# differences of about 1e-14 between values that are equal on paper.
TIE = 1e-9


class Layout(NamedTuple):
    """How a problem's states lie on a grid, for drawing: state = row · columns + column."""

    shape: tuple[int, int]
    """(rows, columns)"""
    moves: tuple[tuple[int, int], ...]
    """The (row, column) step of each action; (0, 0) for an action that stays."""


# Gymnasium numbers the actions of its own grids differently from each other.
_GYMNASIUM_MOVES = {
    "FrozenLakeEnv": ((0, -1), (1, 0), (0, 1), (-1, 0)),
    "CliffWalkingEnv": ((-1, 0), (0, 1), (1, 0), (0, -1)),
}


@dataclass(frozen=True, eq=False)
class TabularMDP:
    """A finite Markov decision process: the K possible outcomes of every state and action.

    Outcome k of action a in state s happens with ``probabilities[s, a, k]``, pays
    ``rewards[s, a, k]``, leads to ``next_states[s, a, k]`` and ends the episode if
    ``terminated[s, a, k]``. This is Gymnasium's ``P[s][a] = [(p, s', r, terminated), …]`` as
    arrays, padded with outcomes of probability 0. The arrays are copied and made read-only.

    Args:
        probabilities: (states, actions, K), each [s, a] sums to 1.
        next_states: (states, actions, K) integers in 0 … states − 1.
        rewards: (states, actions, K), finite.
        terminated: (states, actions, K) booleans.
        start: (states,) start distribution, sums to 1.
        max_episode_steps: after so many steps an episode is truncated; None for no limit.
        layout: how to draw the states on a grid, or None.

    Raises:
        ValueError: shapes that disagree, probabilities that do not sum to 1, states out of range,
            rewards that are not finite.
        TypeError: something other than arrays of numbers.
    """

    probabilities: Floats
    next_states: NDArray[np.int64]
    rewards: Floats
    terminated: Flags
    start: Floats
    max_episode_steps: int | None = None
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for name, dtype in (
            ("probabilities", np.float64),
            ("next_states", np.int64),
            ("rewards", np.float64),
            ("terminated", np.bool_),
            ("start", np.float64),
        ):
            object.__setattr__(self, name, as_constant(name, getattr(self, name), dtype))
        shape = self.probabilities.shape
        if self.probabilities.ndim != 3 or 0 in shape:
            raise ValueError(f"probabilities: got shape {shape}, takes (states, actions, outcomes)")
        for name in ("next_states", "rewards", "terminated"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name}: got shape {getattr(self, name).shape}, takes that of probabilities, "
                    f"{shape}"
                )
        if self.start.shape != (shape[0],):
            raise ValueError(
                f"start: got shape {self.start.shape}, takes (states,) = ({shape[0]},)"
            )
        sums = self.probabilities.sum(axis=2)
        if not (np.all(self.probabilities >= 0) and np.allclose(sums, 1, rtol=0, atol=1e-9)):
            raise ValueError(
                "probabilities: takes numbers >= 0 that sum to 1 over the outcomes of each state "
                f"and action, got sums from {sums.min()} to {sums.max()}"
            )
        if not (np.all(self.start >= 0) and abs(self.start.sum() - 1) < 1e-9):
            raise ValueError(f"start: takes numbers >= 0 that sum to 1, got sum {self.start.sum()}")
        if self.next_states.min() < 0 or self.next_states.max() >= shape[0]:
            raise ValueError(
                f"next_states: takes 0 … {shape[0] - 1}, "
                f"got {self.next_states.min()} … {self.next_states.max()}"
            )
        if not np.all(np.isfinite(self.rewards)):
            raise ValueError("rewards: takes finite numbers, got NaN or infinity")
        if self.max_episode_steps is not None:
            check_count("max_episode_steps", self.max_episode_steps)
        if self.layout is not None and np.prod(self.layout.shape) != shape[0]:
            raise ValueError(
                f"layout: takes a shape of rows · columns = {shape[0]} states, "
                f"got {self.layout.shape}"
            )
        if self.layout is not None and len(self.layout.moves) != shape[1]:
            raise ValueError(
                f"layout: takes one move per action ({shape[1]}), got {len(self.layout.moves)}"
            )

    # -- construction ---------------------------------------------------------------------------

    @classmethod
    def from_gymnasium(cls, env: gymnasium.Env[Any, Any]) -> TabularMDP:
        """Read the transition table of a toy-text environment (FrozenLake, CliffWalking, Taxi, …).

        A ``TimeLimit`` wrapper becomes ``max_episode_steps``.

        Args:
            env: an environment whose ``unwrapped`` has ``P`` (Gymnasium's toy-text table) and
                ``initial_state_distrib``.

        Raises:
            TypeError: ``env`` is not a Gymnasium environment.
            ValueError: it has no transition table, or a wrapper or option changes what the table
                says.
        """
        if not isinstance(env, gymnasium.Env):
            raise TypeError(f"env: takes a gymnasium.Env, got {type(env).__name__}")
        max_episode_steps: int | None = None
        layer: Any = env
        while isinstance(layer, gymnasium.Wrapper):
            if isinstance(layer, TimeLimit):
                limit = int(layer._max_episode_steps)
                max_episode_steps = min(limit, max_episode_steps or limit)
            elif not isinstance(layer, OrderEnforcing | PassiveEnvChecker):
                raise ValueError(
                    f"env: the wrapper {type(layer).__name__} may change what the transition table "
                    "says; take the environment without it (only a TimeLimit can be carried over)"
                )
            layer = layer.env
        table = getattr(layer, "P", None)
        start = getattr(layer, "initial_state_distrib", None)
        if not isinstance(table, Mapping) or start is None:
            raise ValueError(
                f"env: {type(layer).__name__} has no transition table; takes an environment with "
                "`P` and `initial_state_distrib`, like FrozenLake, CliffWalking and Taxi"
            )
        if getattr(layer, "fickle_passenger", False):
            raise ValueError(
                "env: got Taxi with fickle_passenger=True, whose changes of mind are not in its "
                "transition table; takes fickle_passenger=False"
            )
        num_states, num_actions = len(table), len(table[0])
        num_outcomes = max(len(table[s][a]) for s in range(num_states) for a in range(num_actions))
        shape = (num_states, num_actions, num_outcomes)
        probabilities, rewards = np.zeros(shape), np.zeros(shape)
        next_states, terminated = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
        for s in range(num_states):
            for a in range(num_actions):
                for k, (p, next_state, reward, end) in enumerate(table[s][a]):
                    probabilities[s, a, k], rewards[s, a, k] = p, reward
                    next_states[s, a, k], terminated[s, a, k] = next_state, end
        layout = getattr(layer, "layout", None)
        if layout is None and type(layer).__name__ in _GYMNASIUM_MOVES:
            grid = layer.shape if hasattr(layer, "shape") else layer.desc.shape
            layout = Layout((int(grid[0]), int(grid[1])), _GYMNASIUM_MOVES[type(layer).__name__])
        return cls(
            probabilities=probabilities,
            next_states=next_states,
            rewards=rewards,
            terminated=terminated,
            start=np.asarray(start),
            max_episode_steps=max_episode_steps,
            layout=layout,
        )

    @classmethod
    def from_transitions(cls, transitions: Transitions) -> TabularMDP:
        """The maximum-likelihood model of recorded transitions: outcomes as often as they were
        seen.

        Its exact values are what batch TD(0) converges to: the *certainty-equivalence* estimate
        (Sutton & Barto 2018, section 6.3). A state and action that were never tried end the episode
        with reward 0.

        Args:
            transitions: the recorded steps; episodes begin where the previous one ended.

        Raises:
            TypeError: something other than ``Transitions``.
        """
        if not hasattr(transitions, "ended"):
            raise TypeError(f"transitions: takes Transitions, got {type(transitions).__name__}")
        seen: dict[tuple[int, int], dict[tuple[int, float, bool], int]] = {}
        steps = zip(
            transitions.states.tolist(),
            transitions.actions.tolist(),
            transitions.next_states.tolist(),
            transitions.rewards.tolist(),
            transitions.terminated.tolist(),
            strict=True,
        )
        for state, action, next_state, reward, terminated in steps:
            outcomes = seen.setdefault((state, action), {})
            outcome = (next_state, reward, terminated)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        num_outcomes = max(len(outcomes) for outcomes in seen.values())
        shape = (transitions.num_states, transitions.num_actions, num_outcomes)
        probabilities, rewards = np.zeros(shape), np.zeros(shape)
        next_states, ends = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.bool_)
        probabilities[:, :, 0], ends[:, :, 0] = 1.0, True
        for (state, action), outcomes in seen.items():
            total = sum(outcomes.values())
            for k, ((next_state, reward, terminated), count) in enumerate(outcomes.items()):
                probabilities[state, action, k] = count / total
                next_states[state, action, k] = next_state
                rewards[state, action, k] = reward
                ends[state, action, k] = terminated
        starts = transitions.states[np.concatenate(([True], transitions.ended[:-1]))]
        return cls(
            probabilities=probabilities,
            next_states=next_states,
            rewards=rewards,
            terminated=ends,
            start=np.bincount(starts, minlength=transitions.num_states) / len(starts),
        )

    # -- shape and structure --------------------------------------------------------------------

    @property
    def num_states(self) -> int:
        """Number of states."""
        return self.probabilities.shape[0]

    @property
    def num_actions(self) -> int:
        """Number of actions."""
        return self.probabilities.shape[1]

    @cached_property
    def reachable_states(self) -> Flags:
        """(states,) True where an episode can come to act, whatever the policy."""
        return reached_from(self.start > 0, self.transition_matrix().max(axis=1) > 0)

    @cached_property
    def terminal_states(self) -> Flags:
        """(states,) True for states that are only ever entered by ending the episode."""
        possible = self.probabilities > 0
        entered = np.zeros(self.num_states, dtype=np.bool_)
        entered[self.next_states[possible & self.terminated]] = True
        return entered & ~self.reachable_states

    def transition_matrix(self, policy: ArrayLike | None = None) -> Floats:
        """P(s′ | s, a), or P_π(s′ | s) = Σ_a π(a|s) P(s′ | s, a) under a policy.

        Ending the episode leads nowhere: those rows sum to less than 1, which is what makes the
        value of a terminal state 0.

        Returns:
            (states, actions, states), or (states, states) with a policy.
        """
        if policy is None:
            return self._transition_matrix
        return np.einsum("sa,sat->st", self._policy(policy), self._transition_matrix)

    @cached_property
    def _transition_matrix(self) -> Floats:
        matrix = np.zeros((self.num_states, self.num_actions, self.num_states))
        state, action, _ = np.indices(self.probabilities.shape)
        np.add.at(matrix, (state, action, self.next_states), self.probabilities * ~self.terminated)
        matrix.setflags(write=False)
        return matrix

    def expected_rewards(self) -> Floats:
        """r(s, a) = Σ_k p_k r_k, shape (states, actions)."""
        return np.asarray((self.probabilities * self.rewards).sum(axis=2))

    # -- exact values ---------------------------------------------------------------------------

    def policy_values(self, policy: ArrayLike, gamma: float, horizon: int | None = None) -> Floats:
        """Exact state values of a policy: the solution of v = r_π + γ P_π v.

        Source: Sutton & Barto 2018, eq. 3.14; Zhao 2025, section 2.4. With ``horizon`` the
        recursion v_h = r_π + γ P_π v_{h−1} from v_0 = 0, so that h steps remain.

        Args:
            policy: (states, actions), rows sum to 1.
            gamma: discount in [0, 1].
            horizon: number of steps until the time limit, or None for none.

        Returns:
            (states,) values; with ``horizon``, from the first step on.

        Raises:
            ValueError: γ = 1 and the policy collects rewards for ever from some state.
        """
        policy = self._policy(policy)
        check_fraction("gamma", gamma)
        rewards = (policy * self.expected_rewards()).sum(axis=1)
        matrix = self.transition_matrix(policy)
        if horizon is not None:
            values = np.zeros(self.num_states)
            for _ in range(check_count("horizon", horizon)):
                values = rewards + gamma * matrix @ values
            return values
        if gamma < 1:
            return np.asarray(np.linalg.solve(np.eye(self.num_states) - gamma * matrix, rewards))
        can_end = reached_from(matrix.sum(axis=1) < 1 - 1e-12, matrix.T > 0)
        endless = np.flatnonzero(~can_end & (rewards != 0))
        if len(endless):
            raise ValueError(
                f"gamma: got 1, but from state {endless[0]} this policy never ends the episode and "
                "its rewards add up for ever; takes gamma < 1, or a policy that can end"
            )
        values = np.zeros(self.num_states)
        inside = matrix[np.ix_(can_end, can_end)]
        values[can_end] = np.linalg.solve(np.eye(len(inside)) - inside, rewards[can_end])
        return values

    def action_values(self, values: ArrayLike, gamma: float) -> Floats:
        """One step of look-ahead: q(s, a) = Σ_k p_k [r_k + γ v(s′_k)], v = 0 after the end.

        Source: Sutton & Barto 2018, eq. 4.6.

        Args:
            values: (states,) state values.
            gamma: discount in [0, 1].

        Returns:
            (states, actions) action values.
        """
        check_fraction("gamma", gamma)
        values = check_values("values", values, (self.num_states,))
        continuing = gamma * ~self.terminated * values[self.next_states]
        return np.asarray((self.probabilities * (self.rewards + continuing)).sum(axis=2))

    def optimal_values(
        self, gamma: float, horizon: int | None = None, epsilon: float = 0.0
    ) -> Floats:
        """Optimal state values v*(s) = max_a q*(s, a), exact (policy iteration).

        Source: Sutton & Barto 2018, eq. 3.19 and section 4.3; for ε > 0 the best of the ε-soft
        policies (section 5.4), which is what on-policy control with a fixed ε can reach.

        Args:
            gamma: discount in [0, 1].
            horizon: number of steps until the time limit, or None for none.
            epsilon: every action keeps at least probability ε / actions; in [0, 1].

        Returns:
            (states,) values; with ``horizon``, from the first step on.

        Raises:
            ValueError: without ``horizon``, γ = 1 and rewards that a policy on the way collects for
                ever; see ``policy_iteration``.
        """
        if horizon is None:
            return policy_iteration(self, gamma, epsilon=epsilon).values
        check_fraction("epsilon", epsilon)
        values = np.zeros(self.num_states)
        for _ in range(check_count("horizon", horizon)):
            q = self.action_values(values, gamma)
            values = (1 - epsilon) * q.max(axis=1) + epsilon * q.mean(axis=1)
        return values

    def optimal_policy(self, gamma: float, epsilon: float = 0.0) -> Floats:
        """The policy that is greedy for the optimal values; equal actions share the probability.

        At γ = 1 an action that merely waits can tie with one that moves on: such a policy is
        optimal in value at every step, yet need not end.

        Args:
            gamma: discount in [0, 1].
            epsilon: the best ε-soft policy instead; in [0, 1].

        Returns:
            (states, actions), rows sum to 1.

        Raises:
            ValueError: γ = 1 and rewards that a policy on the way collects for ever; see
                ``policy_iteration``.
        """
        q = self.action_values(self.optimal_values(gamma, epsilon=epsilon), gamma)
        return _soften(greedy_policy(q, tolerance=TIE), epsilon)

    def stationary_distribution(self, policy: ArrayLike) -> Floats:
        """The share of time spent in each state: d = dP_π, where an ended episode starts anew.

        Source: Sutton & Barto 2018, section 9.2 (the on-policy distribution); Zhao 2025, section
            8.2.

        Args:
            policy: (states, actions), rows sum to 1.

        Returns:
            (states,) probabilities.

        Raises:
            ValueError: the chain has several recurrent classes, so that the share depends on
                chance.
        """
        matrix = self.transition_matrix(policy)
        chain = matrix + np.outer(1 - matrix.sum(axis=1), self.start)
        visited = reached_from(self.start > 0, chain > 1e-15)
        chain = chain[np.ix_(visited, visited)]
        edges = chain > 1e-15
        first = np.eye(len(chain), dtype=bool)[0]
        closed = reached_from(first, edges)
        # A state is recurrent if all that it reaches leads back to it; else look further down.
        while (escaped := closed & ~reached_from(first, edges.T)).any():
            first = np.eye(len(chain), dtype=bool)[np.argmax(escaped)]
            closed = reached_from(first, edges)
        if not np.all(reached_from(closed, edges.T)):
            raise ValueError(
                "policy: takes one whose chain has a single recurrent class, got several: where it "
                "ends up depends on chance, so there is no single stationary distribution"
            )
        # One balance equation is redundant; the normalisation Σ d = 1 takes its place.
        system = (np.eye(len(chain)) - chain).T
        system[-1] = 1.0
        distribution = np.zeros(self.num_states)
        distribution[visited] = np.linalg.solve(system, np.eye(len(chain))[-1])
        return distribution

    def _policy(self, policy: ArrayLike) -> Floats:
        return check_policy("policy", policy, self.num_states, self.num_actions)


@dataclass(frozen=True, eq=False)
class SolverResult:
    """What value or policy iteration found."""

    values: Floats
    """(states,) optimal values."""
    policy: Floats
    """(states, actions) the greedy policy, equal actions sharing."""
    iterations: int
    """Number of sweeps (value iteration) or of policies evaluated (policy iteration)."""
    error_bound: float
    """Upper bound of max_s |values − v*|; infinite where none is known (value iteration at γ =
    1)."""
    history: Floats
    """(iterations + 1, states) the values after each iteration, the initial ones first."""


def value_iteration(
    mdp: TabularMDP,
    gamma: float,
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 100_000,
    initial_values: ArrayLike | None = None,
) -> SolverResult:
    """v ← max_a Σ_k p_k [r_k + γ v(s′_k)] until the error bound is below ``tolerance``.

    The Bellman optimality operator is a γ-contraction, hence
    max|v_k − v*| ≤ γ / (1 − γ) · max|v_k − v_{k−1}| (Bertsekas 2012, vol. II, section 2.2). At γ =
    1 there is no such bound and the last change itself must fall below ``tolerance``.

    Args:
        mdp: the problem.
        gamma: discount in [0, 1].
        tolerance: error allowed, > 0.
        max_iterations: sweeps allowed.
        initial_values: (states,) where to begin; zeros if None.

    Raises:
        RuntimeError: not converged after ``max_iterations`` (for example γ = 1 and endless
            rewards).
    """
    _check_mdp(mdp)
    check_fraction("gamma", gamma)
    check_count("max_iterations", max_iterations)
    check_positive("tolerance", tolerance)
    start = np.zeros(mdp.num_states) if initial_values is None else initial_values
    history = [check_values("initial_values", start, (mdp.num_states,))]
    factor = gamma / (1 - gamma) if gamma < 1 else 1.0
    change = np.inf
    while len(history) == 1 or factor * change > tolerance:
        if len(history) > max_iterations:
            raise RuntimeError(
                f"value iteration: after {max_iterations} sweeps values still change by "
                f"{change:.3g}"
            )
        history.append(mdp.action_values(history[-1], gamma).max(axis=1))
        change = float(np.abs(history[-1] - history[-2]).max())
    return SolverResult(
        values=history[-1],
        policy=greedy_policy(
            mdp.action_values(history[-1], gamma), tolerance=max(TIE, 2 * tolerance)
        ),
        iterations=len(history) - 1,
        error_bound=factor * change if gamma < 1 else np.inf,
        history=np.array(history),
    )


def policy_iteration(
    mdp: TabularMDP,
    gamma: float,
    *,
    initial_policy: ArrayLike | None = None,
    epsilon: float = 0.0,
) -> SolverResult:
    """Evaluate the policy exactly, make it greedy, repeat until no action is better.

    Source: Sutton & Barto 2018, section 4.3 (section 5.4 for ε-soft policies). A state changes its
    action only for a strictly better one, so that at γ = 1 a policy that ends stays one that ends.

    Args:
        mdp: the problem.
        gamma: discount in [0, 1].
        initial_policy: (states, actions) where to begin; uniform if None.
        epsilon: search among ε-soft policies; in [0, 1].

    Returns:
        exact values; ``error_bound`` is that of floating point, max|v − max_a q| / (1 − γ), for γ
        < 1 and the residual max|v − max_a q| itself at γ = 1.

    Raises:
        TypeError, ValueError: an argument outside what it takes.
        ValueError: γ = 1 and the first policy, or one that follows it, collects rewards for ever
            from some state.
    """
    _check_mdp(mdp)
    check_fraction("gamma", gamma)
    check_fraction("epsilon", epsilon)
    begin = (
        uniform_policy(mdp.num_states, mdp.num_actions)
        if initial_policy is None
        else initial_policy
    )
    policy = check_policy("initial_policy", begin, mdp.num_states, mdp.num_actions)
    history = [mdp.policy_values(_soften(policy, epsilon), gamma)]
    while True:
        q = mdp.action_values(history[-1], gamma)
        current = (policy * q).sum(axis=1)
        better = q.max(axis=1) > current + TIE * np.maximum(1, np.abs(current))
        if not better.any():
            break
        policy = np.where(better[:, None], np.eye(mdp.num_actions)[q.argmax(axis=1)], policy)
        history.append(mdp.policy_values(_soften(policy, epsilon), gamma))
    best = (1 - epsilon) * q.max(axis=1) + epsilon * q.mean(axis=1)
    residual = float(np.abs(best - history[-1]).max())
    return SolverResult(
        values=history[-1],
        policy=_soften(greedy_policy(q, tolerance=TIE), epsilon),
        iterations=len(history),
        error_bound=residual / (1 - gamma) if gamma < 1 else residual,
        history=np.array(history),
    )


def _check_mdp(mdp: TabularMDP) -> None:
    if not isinstance(mdp, TabularMDP):
        raise TypeError(f"mdp: takes a TabularMDP, got {type(mdp).__name__}")


def _soften(policy: Floats, epsilon: float) -> Floats:
    return (1 - epsilon) * policy + epsilon / policy.shape[1]


def reached_from(first: Flags, edges: Flags) -> Flags:
    """States that can be reached from ``first`` along ``edges[s, s′]``, themselves included."""
    reached = first.copy()
    frontier = first
    while frontier.any():
        frontier = edges[frontier].any(axis=0) & ~reached
        reached |= frontier
    return reached
