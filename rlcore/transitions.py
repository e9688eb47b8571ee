"""Recorded experience: what a policy saw, as arrays that learners can use again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.compilation import compiled
from rlcore.policies import sample, uniform_policy
from rlcore.simulation import Problem, episode_summary, problem_size, reset, simulate, step
from rlcore.validation import as_constant, check_count, check_policy


@dataclass(frozen=True, eq=False)
class Transitions:
    """Steps (s, a, r, s′) in the order in which they happened, all arrays of shape (steps,).

    Args:
        states, actions, next_states: integers.
        rewards: floats.
        terminated: True where the problem ended the episode: s′ has value 0.
        ended: True at the last step of every episode, terminated or cut off.
        num_states, num_actions: sizes of the problem.

    Raises:
        ValueError: shapes that disagree, indices out of range, a last step that does not end.
        TypeError: something other than arrays of numbers.
    """

    states: NDArray[np.int64]
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    next_states: NDArray[np.int64]
    terminated: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    num_states: int
    num_actions: int

    def __post_init__(self) -> None:
        for name, dtype in (
            ("states", np.int64),
            ("actions", np.int64),
            ("rewards", np.float64),
            ("next_states", np.int64),
            ("terminated", np.bool_),
            ("ended", np.bool_),
        ):
            array = as_constant(name, getattr(self, name), dtype)
            if array.ndim != 1 or array.shape != np.shape(self.states) or len(array) == 0:
                raise ValueError(
                    f"{name}: takes shape (steps,) with steps >= 1, the same for all, "
                    f"got {array.shape}"
                )
            object.__setattr__(self, name, array)
        for name, size in (
            ("states", self.num_states),
            ("next_states", self.num_states),
            ("actions", self.num_actions),
        ):
            array = getattr(self, name)
            if array.min() < 0 or array.max() >= size:
                raise ValueError(f"{name}: takes 0 … {size - 1}, got {array.min()} … {array.max()}")
        if not np.all(np.isfinite(self.rewards)):
            raise ValueError("rewards: takes finite numbers, got NaN or infinity")
        if not (self.ended[-1] and np.all(self.ended[self.terminated])):
            raise ValueError("ended: takes True at the last step and wherever terminated is True")

    @property
    def num_steps(self) -> int:
        """Number of steps recorded."""
        return len(self.states)

    @property
    def num_episodes(self) -> int:
        """Number of episodes recorded."""
        return int(self.ended.sum())

    def first(self, episodes: int) -> Transitions:
        """The first so many episodes."""
        check_count("episodes", episodes)
        if episodes > self.num_episodes:
            raise ValueError(f"episodes: takes 1 … {self.num_episodes}, got {episodes}")
        stop = int(np.flatnonzero(self.ended)[episodes - 1]) + 1
        return Transitions(
            states=self.states[:stop],
            actions=self.actions[:stop],
            rewards=self.rewards[:stop],
            next_states=self.next_states[:stop],
            terminated=self.terminated[:stop],
            ended=self.ended[:stop],
            num_states=self.num_states,
            num_actions=self.num_actions,
        )


def collect(
    problem: Problem,
    policy: ArrayLike | None = None,
    *,
    episodes: int,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Transitions:
    """Follow a policy and record what happens.

    Args:
        problem: a ``TabularMDP``, or a ``gymnasium.Env`` with Discrete observations and actions.
        policy: (states, actions) rows that sum to 1; uniform if None.
        episodes: number of episodes.
        seed: whole number >= 0.
        max_episode_steps: truncate episodes after so many steps.

    Returns:
        All steps of the episodes, in the order in which they happened.

    Raises:
        TypeError, ValueError: an argument outside what it takes, episodes that cannot end.
        RuntimeError: an episode that does not end within 100 000 steps, where there is no limit.
    """
    check_count("episodes", episodes)
    policy = followed_policy(problem, policy)
    simulation = simulate(problem, seed, max_episode_steps, policy)
    capacity = 64 * episodes
    while True:
        indices = np.zeros((3, capacity), dtype=np.int64)
        rewards, flags = np.zeros(capacity), np.zeros((2, capacity), dtype=np.bool_)
        lengths = np.zeros((1, episodes), dtype=np.int64)
        simulation.run(collect_loop, policy, indices, rewards, flags, lengths)
        steps = int(lengths.sum())
        if steps <= capacity:
            break
        # The room was too small for the episodes that this seed makes: now their size is known.
        capacity = steps
        simulation = simulate(problem, seed, max_episode_steps, policy)
    return Transitions(
        states=indices[0, :steps],
        actions=indices[1, :steps],
        rewards=rewards[:steps],
        next_states=indices[2, :steps],
        terminated=flags[0, :steps],
        ended=flags[1, :steps],
        num_states=policy.shape[0],
        num_actions=policy.shape[1],
    )


@compiled
def collect_loop(environment, policy, indices, rewards, flags, lengths, rng):
    at, capacity = 0, rewards.shape[0]
    for episode in range(lengths.shape[1]):
        state = reset(environment)
        ended = False
        while not ended:
            action = sample(policy[state], rng.random())
            next_state, reward, terminated, truncated = step(environment, action)
            ended = terminated or truncated
            if at < capacity:
                indices[0, at], indices[1, at], indices[2, at] = state, action, next_state
                rewards[at], flags[0, at], flags[1, at] = reward, terminated, ended
            state = next_state
            at += 1
        _, lengths[0, episode] = episode_summary(environment)


def followed_policy(problem: Problem, policy: ArrayLike | None) -> NDArray[np.float64]:
    """The policy given, checked against the problem; the uniform one if None."""
    size = problem_size(problem)
    return uniform_policy(*size) if policy is None else check_policy("policy", policy, *size)
