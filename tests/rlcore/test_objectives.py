"""Claims about what linear prediction aims at: each from its definition, not from our formulas."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings

from rlcore import TabularMDP, uniform_policy
from rlcore.approximation.features import (
    aggregation,
    fourier,
    grid_points,
    one_hot,
    polynomial,
    tile_coding,
)
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.environments import BairdStar, GridWorld
from tests.rlcore.problems import SEEDS, from_gymnasium, random_mdp, random_policy

GAMMA = 0.9


def random_evaluation(seed, num_features=2, **keywords):
    mdp = random_mdp(seed, num_states=5)
    phi = np.random.default_rng(seed).normal(size=(5, num_features))
    return LinearEvaluation(mdp, phi, random_policy(mdp, seed), GAMMA, **keywords)


def norm(x, d):
    return np.sqrt(sum(weight * value**2 for weight, value in zip(d, x, strict=True)))


def bellman(evaluation, values):
    """T_π v, state by state, from the outcomes of the problem."""
    mdp, new = evaluation.mdp, np.zeros(evaluation.mdp.num_states)
    for s, a, k in np.ndindex(mdp.probabilities.shape):
        following = 0.0 if mdp.terminated[s, a, k] else GAMMA * values[mdp.next_states[s, a, k]]
        probability = evaluation.policy[s, a] * mdp.probabilities[s, a, k]
        new[s] += probability * (mdp.rewards[s, a, k] + following)
    return new


def project(evaluation, values):
    """Πv by weighted least squares."""
    root = np.sqrt(evaluation.distribution)
    weights = np.linalg.lstsq(root[:, None] * evaluation.phi, root * values, rcond=None)[0]
    return evaluation.phi @ weights


@given(SEEDS)
@settings(max_examples=50)
def test_errors_are_their_definitions(seed):
    evaluation = random_evaluation(seed)
    weights = np.random.default_rng(seed + 1).normal(size=2)
    d, values = evaluation.distribution, evaluation.phi @ weights
    np.testing.assert_allclose(evaluation.values(weights), values, atol=1e-12)
    difference = bellman(evaluation, values) - values
    true = evaluation.mdp.policy_values(evaluation.policy, GAMMA)
    for ours, exact in (
        (evaluation.value_error(weights), norm(values - true, d)),
        (evaluation.bellman_error(weights), norm(difference, d)),
        (evaluation.projected_bellman_error(weights), norm(project(evaluation, difference), d)),
    ):
        assert ours == pytest.approx(exact, abs=1e-8)


@given(SEEDS)
@settings(max_examples=50)
def test_projection_has_the_smallest_value_error(seed):
    evaluation = random_evaluation(seed)
    best = evaluation.projection()
    np.testing.assert_allclose(
        evaluation.phi @ best, project(evaluation, evaluation.true_values), atol=1e-8
    )
    others = best + np.random.default_rng(seed).normal(size=(20, 2))
    assert np.all(evaluation.value_error(others) > evaluation.value_error(best))
    wanted = np.arange(5.0)
    np.testing.assert_allclose(
        evaluation.phi @ evaluation.projection(wanted), project(evaluation, wanted), atol=1e-8
    )


@given(SEEDS)
@settings(max_examples=50)
def test_td_fixed_point_is_unmoved_by_projected_backup_and_by_the_expected_update(seed):
    evaluation = random_evaluation(seed)
    weights = evaluation.td_fixed_point()
    values = evaluation.phi @ weights
    np.testing.assert_allclose(project(evaluation, bellman(evaluation, values)), values, atol=1e-8)
    assert evaluation.projected_bellman_error(weights) < 1e-8
    matrix, vector = evaluation.system
    np.testing.assert_allclose(matrix @ weights, vector, atol=1e-8)


@given(SEEDS)
@settings(max_examples=50)
def test_the_system_is_the_mean_of_the_sampled_update(seed):
    """E_d,π[(r + γ v̂(s′) − v̂(s)) φ(s)] = b − A w, outcome by outcome."""
    evaluation = random_evaluation(seed)
    mdp, weights = evaluation.mdp, np.random.default_rng(seed).normal(size=2)
    values, mean = evaluation.phi @ weights, np.zeros(2)
    for s, a, k in np.ndindex(mdp.probabilities.shape):
        following = 0.0 if mdp.terminated[s, a, k] else values[mdp.next_states[s, a, k]]
        td_error = mdp.rewards[s, a, k] + GAMMA * following - values[s]
        probability = evaluation.policy[s, a] * mdp.probabilities[s, a, k]
        mean += evaluation.distribution[s] * probability * td_error * evaluation.phi[s]
    matrix, vector = evaluation.system
    np.testing.assert_allclose(vector - matrix @ weights, mean, atol=1e-12)


@given(SEEDS)
@settings(max_examples=100)
def test_on_policy_the_fixed_point_is_within_the_bound_of_tsitsiklis_and_van_roy(seed):
    evaluation = random_evaluation(seed)
    best = evaluation.value_error(evaluation.projection())
    fixed = evaluation.value_error(evaluation.td_fixed_point())
    assert best - 1e-9 <= fixed <= best / np.sqrt(1 - GAMMA**2) + 1e-9


@given(SEEDS)
@settings(max_examples=20)
def test_with_one_feature_a_state_everything_is_exact(seed):
    mdp = random_mdp(seed, num_states=5)
    evaluation = LinearEvaluation(mdp, one_hot(5), random_policy(mdp, seed), GAMMA)
    visited = evaluation.distribution > 0
    for weights in (evaluation.projection(), evaluation.td_fixed_point()):
        np.testing.assert_allclose(weights[visited], evaluation.true_values[visited], atol=1e-8)
        assert evaluation.bellman_error(weights) < 1e-8


def test_dependent_features_change_the_weights_but_not_the_values():
    mdp = random_mdp(3, num_states=5)
    policy = random_policy(mdp, 3)
    phi = np.random.default_rng(3).normal(size=(5, 2))
    plain = LinearEvaluation(mdp, phi, policy, GAMMA)
    doubled = LinearEvaluation(mdp, np.hstack((phi, phi @ [[1.0], [2.0]])), policy, GAMMA)
    for solution in ("projection", "td_fixed_point"):
        np.testing.assert_allclose(
            doubled.values(getattr(doubled, solution)()),
            plain.values(getattr(plain, solution)()),
            atol=1e-8,
        )


def test_another_distribution_moves_the_projection():
    """Two states, values 0 and 1, one common weight: the weighted mean."""
    mdp = TabularMDP(
        probabilities=np.ones((2, 1, 1)),
        next_states=np.zeros((2, 1, 1), int),
        rewards=[[[0.0]], [[1.0]]],
        terminated=np.ones((2, 1, 1), bool),
        start=[0.5, 0.5],
    )
    for share in (0.25, 0.5, 1.0):
        evaluation = LinearEvaluation(
            mdp, [[1.0], [1.0]], [[1.0], [1.0]], GAMMA, distribution=[1 - share, share]
        )
        assert evaluation.projection() == pytest.approx([share])


WALK = dict(num_states=1000, left_reward=-1.0, reach=100)


def test_thousand_state_walk_has_the_published_errors():
    """Sutton & Barto 2018, Example 9.1; the numbers are from an independent exact solution, given
    to five digits."""
    mdp = from_gymnasium("rlcore/RandomWalk-v0", **WALK)
    first = LinearEvaluation(mdp, fourier(5, 0, 1000), uniform_policy(1002, 2), 1.0)
    d, true = first.distribution, first.true_values
    assert true[1] == pytest.approx(-0.9220, abs=5e-5)
    assert true[500] == pytest.approx(-0.0009, abs=5e-5)
    assert first.value_error(np.zeros(6)) == pytest.approx(0.40544, abs=5e-6)

    maps = {
        "aggregation": (tile_coding(10, 1, 0.5, 1000.5), 0.05438, None),
        "polynomial": (polynomial(5, 0, 1000), 0.00100, 0.00102),
        "fourier": (fourier(5, 0, 1000), 0.00783, None),
        "tiles": (tile_coding(5, 50, 1, 1001), None, 0.00225),
    }
    for name, (phi, best, fixed) in maps.items():
        evaluation = LinearEvaluation(
            mdp, phi, uniform_policy(1002, 2), 1.0, true_values=true, distribution=d
        )
        if best is not None:
            found = evaluation.value_error(evaluation.projection())
            assert found == pytest.approx(best, abs=5e-6), name
        if fixed is not None:
            found = evaluation.value_error(evaluation.td_fixed_point())
            assert found == pytest.approx(fixed, abs=5e-6), name
        if name == "polynomial":
            assert evaluation.condition == pytest.approx(2.5e7, rel=0.05)
    assert first.condition == pytest.approx(7.6, abs=0.05)


def test_grid_world_of_the_book():
    """Zhao 2025, section 8.2: a richer basis comes closer, in all states."""
    world = GridWorld(start=None)
    mdp = TabularMDP.from_gymnasium(world)
    points = grid_points(world.layout)
    policy = uniform_policy(25, 5)
    errors = []
    for made, order in itertools.product((polynomial, fourier), (1, 2, 3)):
        phi = made(order, [0, 0], [4, 4])
        evaluation = LinearEvaluation(mdp, phi.table(points), policy, GAMMA)
        np.testing.assert_allclose(evaluation.distribution, 1 / 25, atol=1e-12)
        errors.append(evaluation.value_error(evaluation.td_fixed_point()))
    assert evaluation.true_values[:3] == pytest.approx([-3.8463, -3.8138, -3.6442], abs=5e-5)
    assert errors[0] > errors[1] > errors[2]
    assert errors[3] > errors[4] > errors[5]


def test_bairds_star_diverges_at_the_rate_of_its_eigenvalue():
    """The semi-gradient update on the behaviour's distribution has a growing direction."""
    mdp = TabularMDP.from_gymnasium(BairdStar())
    uniform = np.full(7, 1 / 7)
    np.testing.assert_allclose(
        mdp.stationary_distribution(BairdStar.BEHAVIOR_POLICY), uniform, atol=1e-12
    )

    def system(gamma):
        evaluation = LinearEvaluation(
            mdp, BairdStar.FEATURES, BairdStar.TARGET_POLICY, gamma, distribution=uniform
        )
        np.testing.assert_allclose(evaluation.true_values, 0, atol=1e-12)
        return evaluation.system[0]

    growth = {gamma: np.linalg.eigvals(-system(gamma)).real.max() for gamma in (0.5, 0.99)}
    assert growth[0.99] > 1e-3
    assert growth[0.5] < 1e-12


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gamma": 1.5}, r"gamma: takes a number in \[0, 1\], got 1.5"),
        ({"policy": np.ones((5, 3))}, "policy: takes rows of probabilities"),
        ({"features": one_hot(4)}, "features: takes features of 5 states, got those of 4"),
        ({"features": fourier(1, [0, 0], [1, 1])}, r"features\.table\(points\) makes it one"),
        ({"features": [[np.inf]] * 5}, "features: takes finite numbers"),
        ({"distribution": np.full(5, 0.3)}, "distribution: takes numbers >= 0 that sum to 1"),
    ],
)
def test_bad_input_is_named(change, match):
    mdp = random_mdp(0, num_states=5)
    arguments = {"features": one_hot(5), "policy": random_policy(mdp, 0), "gamma": GAMMA} | change
    with pytest.raises(ValueError, match=match):
        _ = LinearEvaluation(mdp, **arguments).distribution


def test_weights_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"weights: takes shape \(…, 2\), got \(3,\)"):
        random_evaluation(0).value_error(np.zeros(3))
    with pytest.raises(TypeError, match="mdp: takes a TabularMDP, got GridWorld"):
        LinearEvaluation(GridWorld(), one_hot(25), uniform_policy(25, 5), GAMMA)


# -- what is given instead of solved for, and the condition of the features ------------------------

SMALL_WALK = from_gymnasium("rlcore/RandomWalk-v0")  # 5 states, 2 exits
RANDOM = uniform_policy(7, 2)


def evaluate(features, **given):
    return LinearEvaluation(SMALL_WALK, features, RANDOM, 0.9, **given)


def test_true_values_and_distribution_may_be_given_and_change_nothing():
    solved = evaluate(polynomial(2, 0, 6))
    given = evaluate(
        polynomial(2, 0, 6), true_values=solved.true_values, distribution=solved.distribution
    )
    assert given.value_error(given.td_fixed_point()) == solved.value_error(solved.td_fixed_point())
    np.testing.assert_array_equal(given.projection(), solved.projection())


def test_given_true_values_are_used_and_checked():
    assert evaluate(one_hot(7), true_values=np.ones(7)).value_error(np.ones(7)) == 0
    with pytest.raises(ValueError, match=r"true_values: takes shape \(7,\), got \(5,\)"):
        _ = evaluate(one_hot(7), true_values=np.ones(5)).true_values


def test_condition_is_that_of_the_gram_matrix():
    walk = evaluate(polynomial(3, 0, 6))
    gram = walk.phi.T * walk.distribution @ walk.phi
    assert walk.condition == pytest.approx(np.linalg.cond(gram), rel=1e-6)


def test_condition_of_separate_groups_is_the_ratio_of_their_weights():
    walk = evaluate(aggregation([0, 0, 0, 1, 1, 1, 1]))
    groups = walk.distribution[:3].sum(), walk.distribution[3:].sum()
    assert walk.condition == pytest.approx(max(groups) / min(groups))


def test_condition_leaves_out_what_dependent_features_do_not_span():
    walk = evaluate(tile_coding(3, 2, 0, 6))  # all tiles of each tiling sum to 1
    assert 1 <= walk.condition < 1e3
