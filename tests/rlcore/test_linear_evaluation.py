"""Exact linear evaluation: what is given instead of solved for, and how well conditioned it is."""

import numpy as np
import pytest

from rlcore import uniform_policy
from rlcore.approximation.features import aggregation, one_hot, polynomial, tile_coding
from rlcore.approximation.objectives import LinearEvaluation
from tests.rlcore.problems import from_gymnasium

WALK = from_gymnasium("rlcore/RandomWalk-v0")  # 5 states, 2 exits
POLICY = uniform_policy(7, 2)


def evaluate(features, **given):
    return LinearEvaluation(WALK, features, POLICY, 0.9, **given)


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
