"""Claims about the targets: hand-computed values, and how they contain each other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rlcore.policies import epsilon_greedy_policy
from rlcore.tabular.targets import (
    double_q_learning_target,
    expected_sarsa_target,
    importance_ratio,
    lambda_targets,
    n_step_target,
    q_learning_target,
    sarsa_target,
    td_target,
)

NEXT_Q = np.array([1.0, 4.0, -2.0, 4.0])

numbers = st.floats(-10, 10, allow_nan=False, width=32)
fractions = st.floats(0, 1, allow_nan=False)
discounts = st.one_of(st.just(0.0), fractions)
# Few different values, so that ties are common.
action_values = arrays(np.float64, st.integers(1, 5), elements=st.integers(-2, 2).map(float))


@st.composite
def episodes(draw):
    """Rewards, discounts and values of s′; only the last step may have ended the problem."""
    length = draw(st.integers(1, 8))
    rewards = draw(arrays(np.float64, length, elements=numbers))
    values = draw(arrays(np.float64, length, elements=numbers))
    gammas = np.full(length, draw(fractions))
    if draw(st.booleans()):
        gammas[-1] = 0.0
    return rewards, gammas, values


# -- by hand --------------------------------------------------------------------------------------


def test_one_step_targets_by_hand():
    assert td_target(1.0, 0.5, 4.0) == 3.0
    assert sarsa_target(1.0, 0.5, NEXT_Q, 2) == 0.0
    assert q_learning_target(1.0, 0.5, NEXT_Q) == 3.0
    # 0.8 of the best and 0.2 of the mean: 0.8 · 4 + 0.2 · 7/4 = 3.55.
    assert expected_sarsa_target(1.0, 0.5, NEXT_Q, 0.2) == pytest.approx(1 + 0.5 * 3.55)


def test_double_q_learning_target_by_hand():
    other = np.array([10.0, 20.0, 30.0, 40.0])
    # Actions 1 and 3 tie in the first table; u chooses which one the second table judges.
    assert double_q_learning_target(1.0, 0.5, NEXT_Q, other, 0.49) == 11.0
    assert double_q_learning_target(1.0, 0.5, NEXT_Q, other, 0.51) == 21.0


def test_n_step_target_by_hand():
    rewards, gammas = np.array([1.0, 2.0, 4.0]), np.full(3, 0.5)
    assert n_step_target(rewards, gammas, 8.0) == 1 + 0.5 * 2 + 0.25 * 4 + 0.125 * 8
    assert n_step_target(rewards[:2], gammas[:2], 8.0) == 1 + 0.5 * 2 + 0.25 * 8


def test_lambda_targets_by_hand():
    rewards, gammas = np.array([1.0, 2.0]), np.array([0.5, 0.0])
    targets = lambda_targets(rewards, gammas, np.array([4.0, 100.0]), 0.25)
    # G₁ = 2; G₀ = 1 + 0.5 · (0.75 · 4 + 0.25 · 2).
    assert targets == pytest.approx([2.75, 2.0])


def test_importance_ratio_by_hand():
    q = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 3.0]])
    behavior = np.array([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]])
    # ε-greedy with ε = 0.2 is (0.9, 0.1), (0.1, 0.9) and, tied, (0.5, 0.5).
    ratio = importance_ratio(q, np.array([0, 0, 1]), 0.2, behavior)
    assert ratio == pytest.approx((0.9 / 0.5) * (0.1 / 0.25) * (0.5 / 0.1))
    nothing = importance_ratio(q[:0], np.zeros(0, dtype=np.int64), 0.2, behavior[:0])
    assert nothing == 1.0


# -- the end of an episode ------------------------------------------------------------------------


@given(numbers, action_values, fractions, fractions)
@settings(max_examples=50)
def test_after_the_end_a_target_is_the_reward_alone(reward, q, epsilon, u):
    u = min(u, 1 - 1e-9)
    assert td_target(reward, 0.0, q[0]) == reward
    assert sarsa_target(reward, 0.0, q, 0) == reward
    assert expected_sarsa_target(reward, 0.0, q, epsilon) == reward
    assert q_learning_target(reward, 0.0, q) == reward
    assert double_q_learning_target(reward, 0.0, q, -q, u) == reward
    assert n_step_target(np.array([reward]), np.zeros(1), q[0]) == reward
    assert lambda_targets(np.array([reward]), np.zeros(1), q[:1], epsilon)[0] == reward


@given(episodes(), fractions)
@settings(max_examples=50)
def test_the_value_after_the_end_never_matters(episode, lam):
    rewards, gammas, values = episode
    gammas[-1] = 0.0
    other = values.copy()
    other[-1] += 1000
    assert n_step_target(rewards, gammas, 5.0) == n_step_target(rewards, gammas, 1e6)
    assert np.array_equal(
        lambda_targets(rewards, gammas, values, lam), lambda_targets(rewards, gammas, other, lam)
    )


# -- how the targets contain each other -----------------------------------------------------------


@given(numbers, discounts, action_values)
@settings(max_examples=60)
def test_expected_sarsa_runs_from_q_learning_to_the_mean(reward, discount, q):
    greedy = expected_sarsa_target(reward, discount, q, 0.0)
    assert greedy == q_learning_target(reward, discount, q)
    uniform = expected_sarsa_target(reward, discount, q, 1.0)
    assert uniform == pytest.approx(reward + discount * q.mean(), abs=1e-12)


@given(numbers, discounts, action_values, fractions)
@settings(max_examples=60)
def test_expected_sarsa_is_the_mean_of_sarsa_over_the_policy(reward, discount, q, epsilon):
    policy = epsilon_greedy_policy(q[None], epsilon)[0]
    mean = sum(
        policy[action] * sarsa_target(reward, discount, q, action) for action in range(len(q))
    )
    assert expected_sarsa_target(reward, discount, q, epsilon) == pytest.approx(mean, abs=1e-12)


@given(numbers, discounts, action_values)
@settings(max_examples=60)
def test_q_learning_is_the_largest_sarsa_target(reward, discount, q):
    largest = max(sarsa_target(reward, discount, q, action) for action in range(len(q)))
    assert q_learning_target(reward, discount, q) == largest


@given(numbers, discounts, action_values, st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
def test_double_q_learning_with_equal_tables_is_q_learning(reward, discount, q, u):
    doubled = double_q_learning_target(reward, discount, q, q.copy(), u)
    assert doubled == q_learning_target(reward, discount, q)


@given(action_values, st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
def test_double_q_learning_judges_a_best_action_of_the_first_table(q, seed, u):
    other = np.random.default_rng(seed).normal(size=len(q))
    best = np.flatnonzero(q == q.max())
    expected = other[best[int(u * len(best))]]
    assert double_q_learning_target(0.0, 1.0, q, other, u) == expected


@given(numbers, discounts, numbers)
@settings(max_examples=50)
def test_one_step_of_n_is_the_td_target(reward, discount, value):
    one = n_step_target(np.array([reward]), np.array([discount]), value)
    assert one == td_target(reward, discount, value)


@given(episodes(), numbers)
@settings(max_examples=60)
def test_n_step_targets_are_nested(episode, value):
    """The target of n steps is a TD target on the target of the n − 1 steps that follow."""
    rewards, gammas, _ = episode
    following = n_step_target(rewards[1:], gammas[1:], value)
    whole = n_step_target(rewards, gammas, value)
    assert whole == pytest.approx(td_target(rewards[0], gammas[0], following), abs=1e-9)


@given(episodes())
@settings(max_examples=60)
def test_lambda_zero_is_td_and_lambda_one_is_the_return(episode):
    rewards, gammas, values = episode
    td = [td_target(*step) for step in zip(rewards, gammas, values, strict=True)]
    assert np.allclose(lambda_targets(rewards, gammas, values, 0.0), td, rtol=0, atol=1e-12)
    returns = [n_step_target(rewards[t:], gammas[t:], values[-1]) for t in range(len(rewards))]
    assert np.allclose(lambda_targets(rewards, gammas, values, 1.0), returns, rtol=0, atol=1e-9)


@given(episodes(), fractions)
@settings(max_examples=60)
def test_lambda_targets_are_weighted_n_step_targets(episode, lam):
    """G^λ_t = (1 − λ) Σ_n λⁿ⁻¹ G_t:t+n + λ^(T−t−1) G_t (Sutton & Barto 2018, eq. 12.3)."""
    rewards, gammas, values = episode
    length = len(rewards)
    for t in range(length):
        n_step = [
            n_step_target(rewards[t:last], gammas[t:last], values[last - 1])
            for last in range(t + 1, length + 1)
        ]
        weights = (1 - lam) * lam ** np.arange(length - t)
        weights[-1] = lam ** (length - t - 1)
        expected = weights @ n_step
        assert lambda_targets(rewards, gammas, values, lam)[t] == pytest.approx(expected, abs=1e-8)


@given(action_values, fractions, st.integers(0, 2**32 - 1))
@settings(max_examples=50)
def test_importance_ratios_have_mean_one_under_the_behaviour_policy(q, epsilon, seed):
    behavior = np.random.default_rng(seed).dirichlet(np.ones(len(q))) + 1e-3
    behavior /= behavior.sum()
    mean = sum(
        behavior[action] * importance_ratio(q[None], np.array([action]), epsilon, behavior[None])
        for action in range(len(q))
    )
    assert mean == pytest.approx(1.0)


@given(episodes(), fractions, action_values, st.floats(0, 1, exclude_max=True))
@settings(max_examples=25)
def test_targets_in_python_equal_the_compiled_ones(episode, fraction, q, u):
    rewards, gammas, values = episode
    calls = [
        (td_target, (rewards[0], gammas[0], values[0])),
        (sarsa_target, (rewards[0], gammas[0], q, len(q) - 1)),
        (expected_sarsa_target, (rewards[0], gammas[0], q, fraction)),
        (q_learning_target, (rewards[0], gammas[0], q)),
        (double_q_learning_target, (rewards[0], gammas[0], q, q[::-1].copy(), u)),
        (n_step_target, (rewards, gammas, values[0])),
        (lambda_targets, (rewards, gammas, values, fraction)),
    ]
    for target, arguments in calls:
        assert np.array_equal(target(*arguments), target.py_func(*arguments)), target.__name__
