"""Claims about what is computed exactly."""

import dataclasses
from functools import cache

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    TabularMDP,
    Transitions,
    collect,
    epsilon_greedy_policy,
    greedy_policy,
    policy_iteration,
    uniform_policy,
    value_iteration,
)
from rlcore.environments import as_environment
from rlcore.mdp import TIE, Layout
from tests.rlcore.problems import (
    SEEDS,
    assert_mean,
    from_gymnasium,
    mdps,
    random_mdp,
    random_policy,
)

DISCOUNTS = st.sampled_from([0.0, 0.3, 0.9, 0.99])


def one_state(reward=1.0, *, end=0.0):
    """One state, one action: ends with probability ``end``, else goes on."""
    return TabularMDP(
        probabilities=[[[end, 1 - end]]],
        next_states=[[[0, 0]]],
        rewards=[[[reward, reward]]],
        terminated=[[[True, False]]],
        start=[1.0],
    )


# -- the numbers of the ground-truth file ---------------------------------------------------------

ZHAO_OPTIMAL = """
5.832 5.58 6.2 6.48 5.832
6.48 7.2 8 7.2 6.48
7.2 8 10 8 7.2
8 10 10 10 8
7.2 9 10 9 8.1
"""
ZHAO_UNIFORM = """
-3.8463 -3.8138 -3.6442 -3.1209 -3.2350
-3.7936 -3.8473 -3.8004 -3.1063 -2.9241
-3.5724 -3.8965 -3.3817 -3.1944 -2.9444
-3.9008 -3.6159 -3.4031 -2.8976 -3.2393
-4.4589 -4.1608 -3.3858 -3.3634 -3.4532
"""


def table(text):
    return np.array([float(number) for number in text.split()])


def test_optimal_values_of_zhaos_grid_world():
    mdp = from_gymnasium("rlcore/GridWorld-v0")
    assert np.allclose(mdp.optimal_values(0.9), table(ZHAO_OPTIMAL), rtol=0, atol=5e-4 + 1e-9)


def test_uniform_policy_in_zhaos_grid_world():
    mdp = from_gymnasium("rlcore/GridWorld-v0")
    policy = uniform_policy(25, 5)
    assert np.allclose(mdp.policy_values(policy, 0.9), table(ZHAO_UNIFORM), rtol=0, atol=5.1e-5)
    assert np.allclose(mdp.stationary_distribution(policy), 1 / 25, rtol=0, atol=1e-12)


def test_frozen_lake_without_and_with_its_step_limit():
    mdp = from_gymnasium("FrozenLake-v1")
    assert mdp.max_episode_steps == 100
    assert mdp.start @ mdp.optimal_values(1.0) == pytest.approx(0.823529, abs=5e-7)
    greedy = mdp.optimal_policy(0.99)
    assert mdp.start @ mdp.policy_values(greedy, 1.0, horizon=100) == pytest.approx(
        0.74016, abs=5e-6
    )


def test_cliff_walking_optimal_greedy_and_best_soft_values():
    mdp = from_gymnasium("CliffWalking-v1")
    assert mdp.start @ mdp.optimal_values(1.0) == pytest.approx(-13, abs=1e-9)
    q = mdp.action_values(mdp.optimal_values(1.0), 1.0)
    around_optimum = epsilon_greedy_policy(q, 0.1, tolerance=TIE)
    assert mdp.start @ mdp.policy_values(around_optimum, 1.0) == pytest.approx(-50.80, abs=5e-3)
    assert mdp.start @ mdp.optimal_values(1.0, epsilon=0.1) == pytest.approx(-20.7077, abs=5e-5)


def test_greedy_path_of_the_best_soft_policy_keeps_one_row_from_the_cliff():
    mdp = from_gymnasium("CliffWalking-v1")
    q = mdp.action_values(mdp.optimal_values(1.0, epsilon=0.1), 1.0)
    path = greedy_policy(q, tolerance=TIE)
    assert mdp.start @ mdp.policy_values(path, 1.0) == pytest.approx(-15, abs=1e-9)
    assert np.allclose(
        mdp.optimal_policy(1.0, epsilon=0.1), epsilon_greedy_policy(q, 0.1, tolerance=TIE)
    )


def test_taxi_lies_below_its_reward_threshold():
    mdp = from_gymnasium("Taxi-v4")
    mean_value = mdp.start @ mdp.optimal_values(1.0)
    assert mean_value == pytest.approx(7.93, abs=5e-5)
    # 20 for the last step and -1 for all others, none of them illegal.
    assert 21 - mean_value == pytest.approx(13.07, abs=5e-5)
    assert mean_value < gymnasium.spec("Taxi-v4").reward_threshold


@pytest.mark.parametrize(("moves", "steps"), [("four", 15), ("king", 7), ("king+stay", 7)])
def test_windy_grid_world_shortest_paths(moves, steps):
    mdp = from_gymnasium("rlcore/WindyGridWorld-v0", moves=moves)
    assert mdp.start @ mdp.optimal_values(1.0) == pytest.approx(-steps, abs=1e-9)


@given(st.integers(1, 30), st.floats(-5, 5), st.floats(-5, 5))
@settings(max_examples=20)
def test_random_walk_values_are_a_straight_line(num_states, left, right):
    mdp = from_gymnasium(
        "rlcore/RandomWalk-v0", num_states=num_states, left_reward=left, right_reward=right
    )
    line = left + (right - left) * np.arange(num_states + 2) / (num_states + 1)
    line[[0, -1]] = 0
    values = mdp.policy_values(uniform_policy(num_states + 2, 2), 1.0)
    assert np.allclose(values, line, atol=1e-9)


# -- exact values against slower, more obvious computations ---------------------------------------


def by_recursion(mdp, policy, gamma, horizon):
    """The definition, outcome by outcome."""

    @cache
    def value(state, steps_left):
        if steps_left == 0:
            return 0.0
        total = 0.0
        for action, k in np.ndindex(mdp.num_actions, mdp.probabilities.shape[2]):
            following = 0.0
            if not mdp.terminated[state, action, k]:
                following = value(int(mdp.next_states[state, action, k]), steps_left - 1)
            weight = policy[state, action] * mdp.probabilities[state, action, k]
            total += weight * (mdp.rewards[state, action, k] + gamma * following)
        return total

    return np.array([value(state, horizon) for state in range(mdp.num_states)])


@given(mdps(ends=False), SEEDS, st.sampled_from([0.0, 0.5, 0.9, 1.0]), st.integers(1, 8))
@settings(max_examples=40)
def test_values_under_a_step_limit_are_the_recursion_from_the_end(mdp, seed, gamma, horizon):
    policy = random_policy(mdp, seed)
    expected = by_recursion(mdp, policy, gamma, horizon)
    assert np.allclose(mdp.policy_values(policy, gamma, horizon), expected, atol=1e-12)


@given(mdps(), SEEDS, DISCOUNTS)
@settings(max_examples=60)
def test_policy_values_are_the_limit_of_long_horizons(mdp, seed, gamma):
    policy = random_policy(mdp, seed)
    # Every step ends the episode with probability 0.15 at least, so that this is an upper bound.
    remainder = 0.85**400 * np.abs(mdp.rewards).max() / 0.15
    values = mdp.policy_values(policy, gamma)
    assert np.allclose(values, mdp.policy_values(policy, gamma, 400), atol=remainder + 1e-10)
    limit = mdp.optimal_values(gamma, horizon=400)
    assert np.allclose(mdp.optimal_values(gamma), limit, atol=remainder + 1e-8)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_policy_values_are_the_mean_of_collected_returns(seed, gamma):
    mdp = random_mdp(seed)
    policy = random_policy(mdp, seed)
    data = collect(mdp, policy, episodes=4000, seed=seed)
    returns, starts, total = [], [], 0.0
    for i in range(data.num_steps - 1, -1, -1):
        total = data.rewards[i] + gamma * (0.0 if data.ended[i] else total)
        if i == 0 or data.ended[i - 1]:
            returns.append(total)
            starts.append(data.states[i])
    returns, starts = np.array(returns), np.array(starts)
    exact = mdp.policy_values(policy, gamma)
    assert_mean(np.eye(mdp.num_states)[starts], mdp.start)
    for state in range(mdp.num_states):
        assert_mean(returns[starts == state], exact[state])


@given(mdps(ends=False), SEEDS, DISCOUNTS)
@settings(max_examples=40)
def test_policy_values_solve_the_bellman_equation(mdp, seed, gamma):
    policy = random_policy(mdp, seed)
    values = mdp.policy_values(policy, gamma)
    assert np.allclose((policy * mdp.action_values(values, gamma)).sum(axis=1), values, atol=1e-9)
    matrix = mdp.transition_matrix(policy)
    assert np.allclose(
        (policy * mdp.expected_rewards()).sum(axis=1) + gamma * matrix @ values, values, atol=1e-9
    )


# -- invariances ----------------------------------------------------------------------------------


@given(mdps(ends=False), SEEDS, st.floats(-3, 3), st.sampled_from([0.3, 0.9, 0.99]))
@settings(max_examples=40)
def test_a_reward_shift_moves_continuing_values_by_c_over_one_minus_gamma(mdp, seed, c, gamma):
    shifted = dataclasses.replace(mdp, rewards=mdp.rewards + c)
    policy = random_policy(mdp, seed)
    step = c / (1 - gamma)
    tolerance = 1e-8 / (1 - gamma)
    assert np.allclose(
        shifted.policy_values(policy, gamma), mdp.policy_values(policy, gamma) + step, atol=1e-9
    )
    assert np.allclose(
        shifted.optimal_values(gamma), mdp.optimal_values(gamma) + step, atol=tolerance
    )


@given(mdps(), SEEDS)
@settings(max_examples=30)
def test_without_a_future_values_are_expected_rewards(mdp, seed):
    policy = random_policy(mdp, seed)
    rewards = mdp.expected_rewards()
    expected = np.einsum("sak,sak->sa", mdp.probabilities, mdp.rewards)
    assert np.allclose(rewards, expected, atol=1e-14)
    assert np.allclose(mdp.policy_values(policy, 0.0), (policy * rewards).sum(axis=1), atol=1e-12)
    assert np.allclose(mdp.optimal_values(0.0), rewards.max(axis=1), atol=1e-12)
    assert np.allclose(value_iteration(mdp, 0.0).values, rewards.max(axis=1), atol=1e-12)


@given(mdps(max_actions=1), DISCOUNTS)
@settings(max_examples=30)
def test_with_one_action_the_optimal_values_are_those_of_the_only_policy(mdp, gamma):
    only = uniform_policy(mdp.num_states, 1)
    values = mdp.policy_values(only, gamma)
    assert np.allclose(mdp.optimal_values(gamma), values, atol=1e-10)
    assert np.allclose(value_iteration(mdp, gamma).values, values, atol=1e-9)
    assert np.array_equal(mdp.optimal_policy(gamma), only)


@given(mdps(), SEEDS, DISCOUNTS, st.floats(0, 1))
@settings(max_examples=60)
def test_optimal_values_are_above_all_policies_and_soft_ones_between(mdp, seed, gamma, epsilon):
    policy = random_policy(mdp, seed)
    optimal = mdp.optimal_values(gamma)
    soft = mdp.optimal_values(gamma, epsilon=epsilon)
    slack = 1e-7
    assert np.all(optimal >= mdp.policy_values(policy, gamma) - slack)
    assert np.all(optimal >= soft - slack)
    softened = (1 - epsilon) * policy + epsilon / mdp.num_actions
    assert np.all(soft >= mdp.policy_values(softened, gamma) - slack)
    best = mdp.optimal_policy(gamma, epsilon=epsilon)
    assert np.all(best >= epsilon / mdp.num_actions - 1e-12)
    assert np.allclose(mdp.policy_values(best, gamma), soft, atol=slack)


@given(mdps(), DISCOUNTS)
@settings(max_examples=30)
def test_soft_optimum_runs_from_the_optimum_to_the_uniform_policy(mdp, gamma):
    uniform = uniform_policy(mdp.num_states, mdp.num_actions)
    assert np.allclose(mdp.optimal_values(gamma, epsilon=0.0), mdp.optimal_values(gamma))
    everything_random = mdp.optimal_values(gamma, epsilon=1.0)
    assert np.allclose(everything_random, mdp.policy_values(uniform, gamma), atol=1e-10)


def test_soft_optimal_values_under_a_step_limit_are_those_of_the_greedy_recursion():
    mdp = random_mdp(3)
    one_step = mdp.expected_rewards()
    expected = 0.7 * one_step.max(axis=1) + 0.3 * one_step.mean(axis=1)
    assert np.allclose(mdp.optimal_values(0.9, horizon=1, epsilon=0.3), expected)
    q = mdp.action_values(expected, 0.9)
    twice = 0.7 * q.max(axis=1) + 0.3 * q.mean(axis=1)
    assert np.allclose(mdp.optimal_values(0.9, horizon=2, epsilon=0.3), twice)


def test_values_do_not_look_at_the_state_in_which_an_episode_ended():
    mdp = TabularMDP(
        probabilities=[[[1.0]], [[1.0]]],
        next_states=[[[1]], [[1]]],
        rewards=[[[2.0]], [[5.0]]],
        terminated=[[[True]], [[False]]],
        start=[1.0, 0.0],
    )
    only = uniform_policy(2, 1)
    assert mdp.policy_values(only, 0.5)[0] == pytest.approx(2.0)
    assert mdp.optimal_values(0.5)[0] == pytest.approx(2.0)
    assert mdp.action_values([0.0, 10.0], 0.5)[0, 0] == pytest.approx(2.0)
    assert mdp.transition_matrix(only)[0].sum() == 0


# -- value and policy iteration -------------------------------------------------------------------


@given(mdps(), st.sampled_from([0.0, 0.3, 0.9, 0.99]), st.sampled_from([1.0, 1e-2, 1e-6]))
@settings(max_examples=60)
def test_value_iterations_error_bound_holds_for_the_true_error(mdp, gamma, tolerance):
    result = value_iteration(mdp, gamma, tolerance=tolerance)
    error = np.abs(result.values - mdp.optimal_values(gamma)).max()
    assert error <= result.error_bound + 1e-8
    assert result.error_bound <= tolerance
    assert result.history.shape == (result.iterations + 1, mdp.num_states)
    assert np.array_equal(result.history[-1], result.values)


@pytest.mark.parametrize("gamma", [0.3, 0.9, 0.99])
def test_value_iterations_error_bound_is_attained(gamma):
    """A single state with reward 1: v_k = (1 − γᵏ) / (1 − γ)."""
    result = value_iteration(one_state(), gamma, tolerance=0.01)
    assert result.error_bound == pytest.approx(1 / (1 - gamma) - result.values[0], rel=1e-9)
    one_earlier = 1 / (1 - gamma) - result.history[-2][0]
    assert result.error_bound <= 0.01 < one_earlier


@given(mdps(), DISCOUNTS)
@settings(max_examples=40)
def test_value_iteration_contracts(mdp, gamma):
    history = value_iteration(mdp, gamma).history
    changes = np.abs(np.diff(history, axis=0)).max(axis=1)
    assert np.all(changes[1:] <= gamma * changes[:-1] + 1e-12)


@given(mdps(), SEEDS, st.sampled_from([0.0, 0.5, 0.95, 1.0]))
@settings(max_examples=40)
def test_policy_iteration_agrees_with_value_iteration_and_only_improves(mdp, seed, gamma):
    by_values = value_iteration(mdp, gamma, tolerance=1e-9)
    by_policies = policy_iteration(mdp, gamma, initial_policy=random_policy(mdp, seed))
    assert np.allclose(by_values.values, by_policies.values, atol=1e-7)
    assert np.all(np.diff(by_policies.history, axis=0) >= -1e-9)
    assert len(by_policies.history) == by_policies.iterations
    best = greedy_policy(mdp.action_values(by_policies.values, gamma), tolerance=TIE)
    assert np.array_equal(by_policies.policy, best)


def test_value_iteration_begins_where_it_is_told():
    mdp = random_mdp(0)
    exact = mdp.optimal_values(0.9)
    result = value_iteration(mdp, 0.9, initial_values=exact, tolerance=1e-6)
    assert result.iterations == 1
    assert np.array_equal(result.history[0], exact)


def test_value_iteration_says_when_it_does_not_converge():
    with pytest.raises(RuntimeError, match="after 50 sweeps values still change by 1"):
        value_iteration(one_state(), 1.0, max_iterations=50)


def test_no_discount_gives_no_error_bound():
    assert value_iteration(one_state(end=0.5), 1.0).error_bound == np.inf


def test_endless_rewards_have_no_values():
    message = "gamma: got 1, but from state 0 this policy never ends"
    with pytest.raises(ValueError, match=message):
        one_state().policy_values([[1.0]], 1.0)
    for optimal in (one_state().optimal_values, one_state().optimal_policy):
        with pytest.raises(ValueError, match=message):
            optimal(1.0)
    with pytest.raises(ValueError, match=message):
        policy_iteration(one_state(), 1.0)
    assert one_state(reward=0.0).policy_values([[1.0]], 1.0) == 0
    assert one_state().policy_values([[1.0]], 1.0, horizon=7) == 7


def test_optimal_policy_shares_equal_actions():
    mdp = from_gymnasium("rlcore/GridWorld-v0")
    policy = mdp.optimal_policy(0.9)
    q = mdp.action_values(mdp.optimal_values(0.9), 0.9)
    ties = np.isclose(q, q.max(axis=1, keepdims=True), rtol=0, atol=1e-8)
    assert np.array_equal(policy > 0, ties)
    assert np.allclose(policy[ties], (1 / ties.sum(axis=1))[np.nonzero(ties)[0]])
    assert ties.sum(axis=1).max() > 1


# -- the stationary distribution ------------------------------------------------------------------


@given(mdps(), SEEDS)
@settings(max_examples=40)
def test_stationary_distribution_is_stationary(mdp, seed):
    policy = random_policy(mdp, seed)
    d = mdp.stationary_distribution(policy)
    matrix = mdp.transition_matrix(policy)
    chain = matrix + np.outer(1 - matrix.sum(axis=1), mdp.start)
    assert np.allclose(d @ chain, d, atol=1e-12)
    assert d.sum() == pytest.approx(1)
    assert np.all(d >= -1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_stationary_distribution_is_the_share_of_time(seed):
    mdp = random_mdp(seed, num_states=5)
    policy = random_policy(mdp, seed)
    data = collect(mdp, policy, episodes=4000, seed=seed)
    episode = np.concatenate(([0], np.cumsum(data.ended)[:-1]))
    visits = np.zeros((data.num_episodes, mdp.num_states))
    np.add.at(visits, (episode, data.states), 1)
    # Episodes are independent, so that visits − d · length has mean 0 with an honest error.
    surplus = visits - mdp.stationary_distribution(policy) * visits.sum(axis=1, keepdims=True)
    assert_mean(surplus, 0.0)


def test_stationary_distribution_of_a_lopsided_chain():
    """0 → 1 with certainty, 1 → 0 with probability 1/4: twice-told balance d₀ = d₁ / 4."""
    mdp = TabularMDP(
        probabilities=[[[1.0, 0.0]], [[0.25, 0.75]]],
        next_states=[[[1, 0]], [[0, 1]]],
        rewards=np.zeros((2, 1, 2)),
        terminated=np.zeros((2, 1, 2), dtype=bool),
        start=[1.0, 0.0],
    )
    assert mdp.stationary_distribution(uniform_policy(2, 1)) == pytest.approx([0.2, 0.8])


def test_a_chain_that_may_settle_in_two_places_has_no_stationary_distribution():
    mdp = TabularMDP(
        probabilities=np.ones((2, 1, 1)),
        next_states=[[[0]], [[1]]],
        rewards=np.zeros((2, 1, 1)),
        terminated=np.zeros((2, 1, 1), dtype=bool),
        start=[0.5, 0.5],
    )
    with pytest.raises(ValueError, match=r"policy: .* single recurrent class"):
        mdp.stationary_distribution(uniform_policy(2, 1))


# -- construction ---------------------------------------------------------------------------------


@given(mdps(), st.none() | st.integers(1, 50))
@settings(max_examples=30)
def test_a_table_and_its_environment_are_the_same_problem(mdp, limit):
    mdp = dataclasses.replace(mdp, max_episode_steps=limit)
    copy = TabularMDP.from_gymnasium(as_environment(mdp))
    for name in ("probabilities", "next_states", "rewards", "terminated", "start"):
        assert np.array_equal(getattr(copy, name), getattr(mdp, name)), name
    assert copy.max_episode_steps == limit


def test_the_tightest_time_limit_counts():
    env = gymnasium.make("CliffWalking-v1", max_episode_steps=50)
    assert TabularMDP.from_gymnasium(env).max_episode_steps == 50
    tighter = gymnasium.wrappers.TimeLimit(env, 20)
    assert TabularMDP.from_gymnasium(tighter).max_episode_steps == 20
    looser = gymnasium.wrappers.TimeLimit(env, 90)
    assert TabularMDP.from_gymnasium(looser).max_episode_steps == 50


def test_gymnasiums_grids_know_their_layout():
    lake = from_gymnasium("FrozenLake-v1", is_slippery=False)
    cliff = from_gymnasium("CliffWalking-v1")
    for mdp, safe in ((lake, 0), (cliff, 13)):
        (rows, columns), moves = mdp.layout
        assert rows * columns == mdp.num_states
        for action, (down, right) in enumerate(moves):
            row, column = divmod(safe, columns)
            row = min(max(row + down, 0), rows - 1)
            column = min(max(column + right, 0), columns - 1)
            assert mdp.next_states[safe, action, 0] == row * columns + column


def test_the_options_of_toy_text_environments_are_in_the_table():
    assert from_gymnasium("CliffWalking-v1", is_slippery=True).probabilities.shape[2] == 3
    assert from_gymnasium("Taxi-v4", is_rainy=True).probabilities.shape[2] == 3


def test_terminal_and_reachable_states():
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    assert np.array_equal(np.flatnonzero(walk.terminal_states), [0, 6])
    assert np.array_equal(np.flatnonzero(walk.reachable_states), [1, 2, 3, 4, 5])
    lake = from_gymnasium("FrozenLake-v1")
    assert np.array_equal(np.flatnonzero(lake.terminal_states), [5, 7, 11, 12, 15])


def test_maximum_likelihood_model_counts_outcomes():
    data = Transitions(
        states=[0, 0, 1, 0, 0],
        actions=[0, 0, 0, 0, 1],
        rewards=[1.0, 1.0, 5.0, 2.0, 0.0],
        next_states=[0, 1, 1, 1, 0],
        terminated=[False, False, True, True, False],
        ended=[False, False, True, True, True],
        num_states=3,
        num_actions=2,
    )
    mdp = TabularMDP.from_transitions(data)
    assert np.allclose(mdp.transition_matrix()[0, 0], [1 / 3, 1 / 3, 0])
    assert mdp.expected_rewards()[0, 0] == pytest.approx(4 / 3)
    assert mdp.expected_rewards()[1, 0] == 5
    assert not mdp.transition_matrix()[2].any() and not mdp.expected_rewards()[2].any()
    assert np.allclose(mdp.start, [1.0, 0, 0])
    assert mdp.transition_matrix()[0, 1, 0] == 1


def test_maximum_likelihood_model_tends_to_the_problem():
    mdp = random_mdp(1)
    data = collect(mdp, episodes=20_000, seed=2)
    model = TabularMDP.from_transitions(data)
    counts = np.zeros((mdp.num_states, mdp.num_actions))
    np.add.at(counts, (data.states, data.actions), 1)
    # A share of n counts has a standard error of 1 / (2 √n) at most.
    error = np.abs(model.transition_matrix() - mdp.transition_matrix())
    assert np.all(error <= 4.5 * 0.5 / np.sqrt(counts)[:, :, None])


def test_arrays_are_copied_and_read_only():
    start = np.array([1.0])
    mdp = dataclasses.replace(one_state(), start=start)
    start[0] = 7
    assert mdp.start[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        mdp.rewards[0, 0, 0] = 3


# -- bad input ------------------------------------------------------------------------------------

GOOD = {
    "probabilities": np.ones((2, 1, 1)),
    "next_states": np.zeros((2, 1, 1), dtype=int),
    "rewards": np.zeros((2, 1, 1)),
    "terminated": np.ones((2, 1, 1), dtype=bool),
    "start": np.array([0.5, 0.5]),
}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"probabilities": np.ones((2, 1))}, r"probabilities: got shape \(2, 1\), takes \(states"),
        ({"probabilities": np.ones((2, 0, 1))}, r"probabilities: got shape \(2, 0, 1\)"),
        ({"probabilities": np.full((2, 1, 1), 0.9)}, r"probabilities: .* sum to 1 .* got .* 0\.9"),
        ({"probabilities": np.full((2, 1, 1), np.nan)}, r"probabilities: .* got sums from nan"),
        ({"next_states": np.full((2, 1, 1), 2)}, r"next_states: takes 0 … 1, got 2 … 2"),
        ({"next_states": np.full((2, 1, 1), -1)}, r"next_states: takes 0 … 1, got -1"),
        ({"next_states": np.zeros((2, 1, 2))}, r"next_states: got shape \(2, 1, 2\), takes"),
        ({"rewards": np.full((2, 1, 1), np.inf)}, r"rewards: takes finite numbers, got NaN or inf"),
        ({"rewards": np.zeros((1, 1, 1))}, r"rewards: got shape \(1, 1, 1\), takes .*\(2, 1, 1\)"),
        ({"terminated": np.ones((2, 2, 1))}, r"terminated: got shape \(2, 2, 1\), takes"),
        ({"start": [1.0]}, r"start: got shape \(1,\), takes \(states,\) = \(2,\)"),
        ({"start": [0.5, 0.6]}, r"start: .* sum to 1, got sum 1\.1"),
        ({"start": [1.5, -0.5]}, r"start: takes numbers >= 0"),
        ({"max_episode_steps": 0}, r"max_episode_steps: takes a whole number >= 1, got 0"),
        ({"layout": Layout((1, 2), ((0, 1),) * 2)}, r"layout: takes one move per action \(1\)"),
        ({"next_states": np.full((2, 1, 1), 0.5)}, r"next_states: takes .* int64, got .*0\.5"),
        ({"next_states": np.full((2, 1, 1), np.nan)}, r"next_states: takes .* int64, got .*nan"),
        ({"terminated": np.full((2, 1, 1), 2)}, r"terminated: takes .* bool, got .*2"),
        ({"layout": Layout((3, 2), ((0, 1),))}, r"layout: takes .*2.* got \(3, 2\)"),
    ],
)
def test_a_problem_that_is_none_is_refused(changed, words):
    with pytest.raises(ValueError, match=words):
        TabularMDP(**{**GOOD, **changed})


@pytest.mark.parametrize("name", GOOD)
def test_an_array_that_is_none_is_named(name):
    with pytest.raises(TypeError, match=f"{name}: takes an array of numbers, got 'x'"):
        TabularMDP(**{**GOOD, name: "x"})


class OddTable(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(1)


@pytest.mark.parametrize(
    ("make", "exception", "words"),
    [
        (lambda: "FrozenLake-v1", TypeError, r"env: takes a gymnasium\.Env, got str"),
        (lambda: gymnasium.make("CartPole-v1"), ValueError, r"env: CartPoleEnv has no transition"),
        (OddTable, ValueError, r"env: OddTable has no transition table; takes .*`P`"),
        (
            lambda: gymnasium.wrappers.TransformReward(
                gymnasium.make("FrozenLake-v1"), lambda reward: reward + 1
            ),
            ValueError,
            r"env: the wrapper TransformReward may change .* take the environment without it",
        ),
        (
            lambda: gymnasium.make("Taxi-v4", fickle_passenger=True),
            ValueError,
            r"env: got Taxi with fickle_passenger=True, .* takes fickle_passenger=False",
        ),
    ],
)
def test_environments_without_a_true_table_are_refused(make, exception, words):
    with pytest.raises(exception, match=words):
        TabularMDP.from_gymnasium(make())


MDP = random_mdp(0)
UNIFORM = uniform_policy(4, 3)


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (lambda: MDP.policy_values(UNIFORM, 1.1), ValueError, r"gamma: .*\[0, 1\], got 1\.1"),
        (lambda: MDP.policy_values(UNIFORM, "1"), TypeError, r"gamma: .*\[0, 1\], got '1'"),
        (lambda: MDP.policy_values(UNIFORM, 1, 0), ValueError, r"horizon: .* >= 1, got 0"),
        (lambda: MDP.policy_values(UNIFORM, 1, 2.5), TypeError, r"horizon: .* got 2\.5 \(float\)"),
        (lambda: MDP.policy_values(UNIFORM[:2], 1), ValueError, r"policy: .*\(4, 3\), got \(2, 3"),
        (lambda: MDP.policy_values(UNIFORM / 2, 1), ValueError, r"policy: .*sum to 1.*row 0.*0\.5"),
        (lambda: MDP.policy_values("greedy", 1), TypeError, r"policy: .* got 'greedy'"),
        (lambda: MDP.transition_matrix(-UNIFORM), ValueError, r"policy: .* got row 0"),
        (lambda: MDP.action_values(np.zeros(3), 1), ValueError, r"values: .*\(4,\), got \(3,\)"),
        (lambda: MDP.action_values([np.nan] * 4, 1), ValueError, r"values: takes finite"),
        (lambda: MDP.action_values(np.zeros(4), -0.1), ValueError, r"gamma: .*got -0\.1"),
        (lambda: MDP.optimal_values(np.nan), ValueError, r"gamma: .*got nan"),
        (lambda: MDP.optimal_values(1, epsilon=1.5), ValueError, r"epsilon: .*got 1\.5"),
        (lambda: MDP.optimal_values(1, 5, epsilon=-1), ValueError, r"epsilon: .*got -1"),
        (lambda: MDP.optimal_values(1, horizon=True), ValueError, r"horizon: .*got True"),
        (lambda: MDP.optimal_policy(2), ValueError, r"gamma: .*got 2"),
        (lambda: MDP.optimal_policy(1, epsilon=2), ValueError, r"epsilon: .*got 2"),
        (lambda: MDP.stationary_distribution([1]), ValueError, r"policy: .*got \(1,\)"),
        (lambda: value_iteration(None, 1), TypeError, r"mdp: takes a TabularMDP, got NoneType"),
        (lambda: value_iteration(MDP, 3), ValueError, r"gamma: .*got 3"),
        (lambda: value_iteration(MDP, 1, tolerance=0), ValueError, r"tolerance: .* > 0, got 0"),
        (lambda: value_iteration(MDP, 1, tolerance="x"), TypeError, r"tolerance: .*got 'x'"),
        (lambda: value_iteration(MDP, 1, max_iterations=0), ValueError, r"max_iterations: .*got 0"),
        (lambda: value_iteration(MDP, 1, initial_values=[1]), ValueError, r"initial_values: .*4,"),
        (lambda: policy_iteration(UNIFORM, 1), TypeError, r"mdp: .*got ndarray"),
        (lambda: policy_iteration(MDP, "x"), TypeError, r"gamma: .*got 'x'"),
        (lambda: policy_iteration(MDP, 1, epsilon=9), ValueError, r"epsilon: .*got 9"),
        (lambda: policy_iteration(MDP, 1, initial_policy=[[1]]), ValueError, r"initial_policy: "),
        (lambda: TabularMDP.from_transitions(MDP), TypeError, r"transitions: .*got TabularMDP"),
    ],
)
def test_bad_arguments_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call()
