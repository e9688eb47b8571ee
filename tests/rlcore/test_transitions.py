"""Claims about recorded experience."""

import dataclasses

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import TabularMDP, Transitions, collect, td0, uniform_policy
from rlcore.environments import as_environment
from tests.rlcore.problems import SEEDS, mdps, random_mdp, random_policy

ARRAYS = ("states", "actions", "rewards", "next_states", "terminated", "ended")


@given(mdps(), SEEDS, st.sampled_from([2, None, 1, 3]))
@settings(max_examples=40)
def test_what_is_recorded_can_happen_and_hangs_together(mdp, seed, limit):
    policy = random_policy(mdp, seed)
    data = collect(mdp, policy, episodes=6, seed=seed, max_episode_steps=limit)
    assert data.num_episodes == 6
    assert data.num_steps == len(data.states)
    possible = mdp.probabilities > 0
    for s, a, r, s2, end in zip(
        *(getattr(data, name).tolist() for name in ARRAYS[:5]), strict=True
    ):
        outcome = (
            (mdp.rewards[s, a] == r) & (mdp.next_states[s, a] == s2) & (mdp.terminated[s, a] == end)
        )
        assert (outcome & possible[s, a]).any()
        assert policy[s, a] > 0
    inside = ~data.ended[:-1]
    assert np.array_equal(data.states[1:][inside], data.next_states[:-1][inside])
    assert np.all(mdp.start[data.states[np.concatenate(([True], ~inside))]] > 0)
    lengths = np.diff(np.flatnonzero(np.concatenate(([True], data.ended))))
    if limit is None:
        assert np.array_equal(data.terminated, data.ended)
    else:
        last = np.cumsum(lengths) - 1
        assert np.all(lengths <= limit)
        assert np.all(data.terminated[last] | (lengths == limit))


@given(mdps(), SEEDS)
@settings(max_examples=20)
def test_a_recorder_sees_what_a_learner_sees(mdp, seed):
    data = collect(mdp, episodes=5, seed=seed)
    learnt = td0(mdp, episodes=5, alpha=0.1, seed=seed)
    last = np.flatnonzero(data.ended)
    assert np.array_equal(np.diff(np.concatenate(([-1], last))), learnt.lengths[0])
    returns = np.add.reduceat(data.rewards, np.concatenate(([0], last[:-1] + 1)))
    assert np.allclose(returns, learnt.returns[0])


def test_long_episodes_find_room():
    """Six hundred steps an episode, ten times what is reserved at first; on both roads alike."""
    mdp = TabularMDP(
        probabilities=[[[0.998, 0.002]]],
        next_states=[[[0, 0]]],
        rewards=[[[1.0, 0.0]]],
        terminated=[[[False, True]]],
        start=[1.0],
    )
    data = collect(mdp, episodes=10, seed=0)
    assert data.num_steps > 640
    assert data.num_episodes == 10
    on_env = collect(as_environment(mdp), episodes=10, seed=0)
    for name in ARRAYS:
        assert np.array_equal(getattr(data, name), getattr(on_env, name))


def test_the_uniform_policy_is_followed_if_none_is_given():
    mdp = random_mdp(0)
    silent, spoken = (collect(mdp, policy, episodes=9) for policy in (None, uniform_policy(4, 3)))
    assert np.array_equal(silent.actions, spoken.actions)
    counts = np.bincount(collect(mdp, episodes=5000, seed=1).actions)
    share = counts / counts.sum()
    assert np.abs(share - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / counts.sum())


def test_seeds_decide():
    mdp = random_mdp(0)
    first, again, other = (collect(mdp, episodes=9, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(getattr(first, name), getattr(again, name)) for name in ARRAYS)
    assert not np.array_equal(first.rewards, other.rewards)


@given(mdps(), SEEDS, st.integers(1, 6))
@settings(max_examples=20)
def test_the_first_episodes_are_those_of_a_shorter_recording(mdp, seed, episodes):
    first = collect(mdp, episodes=6, seed=seed).first(episodes)
    shorter = collect(mdp, episodes=episodes, seed=seed)
    assert first.num_episodes == episodes
    for name in (*ARRAYS, "num_states", "num_actions"):
        assert np.array_equal(getattr(first, name), getattr(shorter, name))


def test_arrays_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        collect(random_mdp(0), episodes=1).rewards[0] = 7.0


GOOD = dict(
    states=[0, 1],
    actions=[0, 0],
    rewards=[0.0, 1.0],
    next_states=[1, 1],
    terminated=[False, True],
    ended=[False, True],
    num_states=2,
    num_actions=1,
)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"states": [0, 2]}, r"states: takes 0 … 1, got 0 … 2"),
        ({"next_states": [-1, 0]}, r"next_states: takes 0 … 1, got -1 … 0"),
        ({"actions": [1, 0]}, r"actions: takes 0 … 0, got 0 … 1"),
        ({"rewards": [0.0, np.nan]}, r"rewards: takes finite numbers, got NaN"),
        ({"rewards": [0.0]}, r"rewards: takes shape \(steps,\) .*got \(1,\)"),
        ({"states": [[0, 1]]}, r"states: takes shape \(steps,\) .*got \(1, 2\)"),
        ({"actions": [0.0, 0.5]}, r"actions: takes an array of int64, got .*0\.5"),
        ({"terminated": [0, 3]}, r"terminated: takes an array of bool, got .*3"),
        ({"ended": [False, False]}, r"ended: takes True at the last step and wherever"),
        ({"terminated": [True, True]}, r"ended: takes True at the last step and wherever"),
        ({name: [] for name in ARRAYS}, r"states: takes shape \(steps,\) with steps >= 1"),
    ],
)
def test_recordings_that_are_none_are_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        Transitions(**{**GOOD, **changed})


MDP = random_mdp(0)


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (lambda: collect("walk", episodes=1), TypeError, r"problem: takes .*got str"),
        (lambda: collect(MDP, episodes=0), ValueError, r"episodes: .* >= 1, got 0"),
        (lambda: collect(MDP, episodes=1.5), TypeError, r"episodes: .*got 1\.5"),
        (lambda: collect(MDP, episodes=True), ValueError, r"episodes: .*got True"),
        (lambda: collect(MDP, episodes=1, seed=-3), ValueError, r"seed: .* >= 0, got -3"),
        (lambda: collect(MDP, [[1.0]], episodes=1), ValueError, r"policy: .*\(4, 3\), got \(1, 1"),
        (lambda: collect(MDP, np.ones((4, 3)), episodes=1), ValueError, r"policy: .*sum to 1"),
        (
            lambda: collect(MDP, episodes=1, max_episode_steps=0),
            ValueError,
            r"max_episode_steps: .* >= 1, got 0",
        ),
        (
            lambda: collect(TabularMDP.from_gymnasium(gymnasium.make(GRID)), episodes=1),
            ValueError,
            r"problem: .*can never end",
        ),
        (lambda: collect(MDP, episodes=2).first(3), ValueError, r"episodes: takes 1 … 2, got 3"),
        (lambda: collect(MDP, episodes=2).first(0), ValueError, r"episodes: .* >= 1, got 0"),
    ],
)
def test_bad_arguments_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call()


GRID = "rlcore/GridWorld-v0"


def test_a_recording_with_other_sizes_is_another_recording():
    data = Transitions(**GOOD)
    assert data.num_steps == 2
    assert dataclasses.replace(data, num_states=5).num_states == 5
