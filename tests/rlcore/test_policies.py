"""Claims about policies, the choice of an action, and schedules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlcore import (
    epsilon_greedy_policy,
    exponential_schedule,
    greedy_policy,
    harmonic_schedule,
    linear_schedule,
    q_learning,
    softmax_policy,
    uniform_policy,
)
from rlcore.policies import epsilon_greedy, epsilon_greedy_probability, sample
from tests.rlcore.problems import random_mdp

# Few different values, so that ties are common.
rows = arrays(np.float64, st.integers(1, 6), elements=st.integers(-2, 2).map(float))
tables = arrays(
    np.float64,
    st.tuples(st.integers(1, 4), st.integers(1, 5)),
    elements=st.integers(-2, 2).map(float),
)
fractions = st.floats(0, 1)

# The midpoints of equal intervals: a deterministic function of u is integrated by counting.
GRID = 2520 * 4
MIDPOINTS = (np.arange(GRID) + 0.5) / GRID


def shares(choose, num_actions):
    """The measure of the u in [0, 1) for which each action is chosen."""
    return np.bincount([choose(u) for u in MIDPOINTS], minlength=num_actions) / GRID


@given(rows, st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0]))
@settings(max_examples=15)
def test_epsilon_greedy_draws_from_its_policy_with_ties_shared(q, epsilon):
    policy = epsilon_greedy_policy(q[None], epsilon)[0]
    # Each action's u form at most two intervals: 4 ends, half a grid cell each.
    drawn = shares(lambda u: epsilon_greedy(q, epsilon, u), len(q))
    assert np.abs(drawn - policy).max() <= 2 / GRID


@given(rows, fractions)
@settings(max_examples=60)
def test_epsilon_greedy_probability_is_the_policy_entry_by_entry(q, epsilon):
    policy = epsilon_greedy_policy(q[None], epsilon)[0]
    entries = [epsilon_greedy_probability(q, epsilon, action) for action in range(len(q))]
    assert entries == pytest.approx(policy)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_sample_draws_from_its_probabilities(size, seed):
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(size))
    drawn = shares(lambda u: sample(probabilities, u), size)
    assert np.abs(drawn - probabilities).max() <= 1 / GRID


def test_no_random_number_leads_outside():
    largest = np.nextafter(1.0, 0.0)
    for size in range(1, 40):
        for epsilon in (0.0, 0.1, 0.3, 1 / 3, 0.5, 0.9, largest, 1.0):
            below = np.nextafter(epsilon, 0.0) if epsilon else 0.0
            for u in (0.0, below, min(epsilon, largest), largest):
                assert 0 <= epsilon_greedy(np.zeros(size), epsilon, u) < size
        assert sample(np.full(size, 1 / size), largest) == size - 1


def test_sample_never_chooses_what_is_impossible():
    probabilities = np.array([0.0, 0.5, 0.0, 0.5])
    assert set(shares(lambda u: sample(probabilities, u), 4)) == {0.0, 0.5}
    assert sample(probabilities, 0.0) == 1
    assert sample(probabilities, 0.5) == 3


@pytest.mark.parametrize("draw", [sample, sample.py_func], ids=["compiled", "interpreted"])
def test_what_rounding_left_over_goes_to_the_last_possible_action(draw):
    probabilities = np.array([0.5, 0.5 - 1e-10, 0.0, 0.0])
    assert draw(probabilities, np.nextafter(1.0, 0.0)) == 1
    assert draw(probabilities, 1.0 - 2e-10) == 1


def test_ties_are_broken_at_random_in_the_first_episode():
    """All values are 0 at first: the first action is uniform, not always action 0."""
    mdp = random_mdp(0, num_actions=3, max_episode_steps=1)
    runs = 6000
    q = q_learning(mdp, episodes=1, alpha=1.0, epsilon=0.0, runs=runs, seed=1).q
    tried = (q != 0).any(axis=1).mean(axis=0)
    # 4.5 standard errors of a share of 1/3.
    assert np.abs(tried - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / runs)


@given(tables, fractions)
@settings(max_examples=60)
def test_policies_are_probabilities(q, epsilon):
    for policy in (
        uniform_policy(*q.shape),
        greedy_policy(q),
        epsilon_greedy_policy(q, epsilon),
        softmax_policy(q, 0.5),
    ):
        assert policy.shape == q.shape
        assert np.all(policy >= 0)
        assert np.allclose(policy.sum(axis=1), 1, rtol=0, atol=1e-12)


@given(tables)
@settings(max_examples=60)
def test_greedy_policy_shares_ties_and_gives_the_rest_nothing(q):
    policy = greedy_policy(q)
    best = q == q.max(axis=1, keepdims=True)
    assert np.array_equal(policy > 0, best)
    assert np.allclose(policy, best / best.sum(axis=1, keepdims=True))
    assert np.array_equal(epsilon_greedy_policy(q, 0.0), policy)
    assert np.allclose(epsilon_greedy_policy(q, 1.0), uniform_policy(*q.shape))


def test_tolerance_makes_close_values_equal():
    q = [[1.0, 1.0 + 1e-12, 0.9]]
    assert np.array_equal(greedy_policy(q), [[0, 1, 0]])
    assert np.array_equal(greedy_policy(q, tolerance=1e-9), [[0.5, 0.5, 0]])
    assert np.allclose(epsilon_greedy_policy(q, 0.3, tolerance=1e-9), [[0.45, 0.45, 0.1]])


@given(tables, st.floats(-1000, 1000))
@settings(max_examples=40)
def test_softmax_depends_on_differences_and_runs_from_greedy_to_uniform(q, shift):
    assert np.allclose(softmax_policy(q + shift, 0.7), softmax_policy(q, 0.7), atol=1e-9)
    assert np.allclose(softmax_policy(q, 1e-3), greedy_policy(q), atol=1e-9)
    assert np.allclose(softmax_policy(q, 1e9), uniform_policy(*q.shape), atol=1e-8)


def test_softmax_by_hand():
    assert softmax_policy([[0.0, np.log(3)]], 1.0) == pytest.approx(np.array([[0.25, 0.75]]))
    halved = softmax_policy([[0.0, np.log(3)]], 0.5)
    assert halved == pytest.approx(np.array([[0.1, 0.9]]))


# -- schedules ------------------------------------------------------------------------------------


def test_schedules_by_hand():
    assert linear_schedule(1.0, 0.0, 5) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert linear_schedule(1.0, 0.0, 5, steps=3) == pytest.approx([1, 0.5, 0, 0, 0])
    assert linear_schedule(1.0, 0.0, 3, steps=5) == pytest.approx([1, 0.75, 0.5])
    assert exponential_schedule(1.0, 0.01, 3) == pytest.approx([1, 0.1, 0.01])
    assert harmonic_schedule(0.5, 4) == pytest.approx([1 / 2, 1 / 4, 1 / 6, 1 / 8])
    halving = harmonic_schedule(0.8, 11, half_life=10, power=2.0)
    assert halving[[0, 10]] == pytest.approx([0.8, 0.2])


@given(st.floats(0.01, 1), st.integers(1, 200), st.floats(0.1, 100), st.floats(0.1, 2))
@settings(max_examples=40)
def test_schedules_stay_usable_as_alpha_and_epsilon(start, episodes, half_life, power):
    for schedule in (
        linear_schedule(start, 0.01, episodes),
        exponential_schedule(start, 0.01, episodes),
        harmonic_schedule(start, episodes, half_life=half_life, power=power),
    ):
        assert schedule.shape == (episodes,)
        assert schedule[0] == pytest.approx(start)
        assert np.all((schedule > 0) & (schedule <= 1))


@pytest.mark.parametrize("power", [0.6, 1.0])
def test_harmonic_schedules_meet_robbins_and_monro(power):
    """Σα grows without bound, like N^(1−p) or log N; Σα² has a limit, like the tail N^(1−2p)."""
    alpha = harmonic_schedule(1.0, 1_000_000, power=power)
    sums, squares = np.cumsum(alpha), np.cumsum(alpha**2)
    growth = np.log(10) if power == 1 else (10**0.4 - 1) * 100_000**0.4 / 0.4
    assert sums[-1] - sums[99_999] == pytest.approx(growth, rel=0.01)
    tail = 100_000 ** (1 - 2 * power) / (2 * power - 1)
    assert squares[-1] - squares[99_999] <= tail


# -- bad input ------------------------------------------------------------------------------------

Q = np.zeros((2, 3))


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (lambda: uniform_policy(0, 3), ValueError, r"num_states: .* >= 1, got 0"),
        (lambda: uniform_policy(3, -1), ValueError, r"num_actions: .* >= 1, got -1"),
        (lambda: uniform_policy(3, 2.0), TypeError, r"num_actions: .*got 2\.0 \(float\)"),
        (lambda: uniform_policy(True, 2), ValueError, r"num_states: .*got True"),
        (lambda: greedy_policy([1.0, 2.0]), ValueError, r"q: takes shape \(states, .*got \(2,\)"),
        (lambda: greedy_policy(np.zeros((2, 0))), ValueError, r"q: .*got \(2, 0\)"),
        (lambda: greedy_policy([[np.nan]]), ValueError, r"q: takes finite .*got NaN"),
        (lambda: greedy_policy("best"), TypeError, r"q: takes .* numbers, got 'best'"),
        (lambda: greedy_policy([[1, 2], [3]]), TypeError, r"q: takes .* numbers, got \[\[1, 2\]"),
        (lambda: greedy_policy(Q, -1.0), ValueError, r"tolerance: .* >= 0, got -1\.0"),
        (lambda: epsilon_greedy_policy(Q, 1.1), ValueError, r"epsilon: .*\[0, 1\], got 1\.1"),
        (lambda: epsilon_greedy_policy(Q, None), TypeError, r"epsilon: .*\[0, 1\], got None"),
        (lambda: epsilon_greedy_policy(Q[0], 0.1), ValueError, r"q: .*got \(3,\)"),
        (lambda: epsilon_greedy_policy(Q, 0.1, -1), ValueError, r"tolerance: .*got -1"),
        (lambda: softmax_policy(Q, 0.0), ValueError, r"temperature: .* > 0, got 0\.0"),
        (lambda: softmax_policy(Q, np.inf), ValueError, r"temperature: .* > 0, got inf"),
        (lambda: softmax_policy(Q, "hot"), TypeError, r"temperature: .*got 'hot'"),
        (lambda: softmax_policy(Q[None], 1.0), ValueError, r"q: .*got \(1, 2, 3\)"),
        (lambda: linear_schedule(1.1, 0, 5), ValueError, r"start: .*\[0, 1\], got 1\.1"),
        (lambda: linear_schedule(1, -0.1, 5), ValueError, r"end: .*\[0, 1\], got -0\.1"),
        (lambda: linear_schedule(1, 0, 0), ValueError, r"episodes: .*got 0"),
        (lambda: linear_schedule(1, 0, 5, steps=0), ValueError, r"steps: .*got 0"),
        (lambda: exponential_schedule(0, 1, 5), ValueError, r"start: .*\(0, 1\], got 0"),
        (lambda: exponential_schedule(1, 0, 5), ValueError, r"end: .*\(0, 1\], got 0"),
        (lambda: exponential_schedule(1, 0.1, 1.5), TypeError, r"episodes: .*got 1\.5"),
        (lambda: harmonic_schedule(0, 5), ValueError, r"start: .*\(0, 1\], got 0"),
        (lambda: harmonic_schedule(1, "5"), TypeError, r"episodes: .*got '5'"),
        (lambda: harmonic_schedule(1, 5, half_life=0), ValueError, r"half_life: .* > 0, got 0"),
        (lambda: harmonic_schedule(1, 5, power=-1), ValueError, r"power: .* > 0, got -1"),
    ],
)
def test_bad_arguments_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call()
