"""Expected updates are the means of the sampled ones, and their eigenvalues tell what follows."""

import itertools

import numpy as np
import pytest

from rlcore import TabularMDP
from rlcore.approximation import (
    ExpectedUpdate,
    LinearEvaluation,
    expected_td0,
    expected_tdc,
    semi_gradient_td0,
    tdc,
)
from rlcore.environments import BairdStar
from tests.rlcore.problems import STANDARD_ERRORS, random_mdp

BAIRD = TabularMDP.from_gymnasium(BairdStar())
UNIFORM = np.full(7, 1 / 7)
START = np.array([1.0, 1, 1, 1, 1, 1, 10, 1])


def baird(gamma=0.99, distribution=UNIFORM):
    return LinearEvaluation(
        BAIRD, BairdStar.FEATURES, BairdStar.TARGET_POLICY, gamma, distribution=distribution
    )


@pytest.mark.parametrize("seed", range(3))
def test_updates_are_the_means_over_all_steps(seed):
    """Every state, action and outcome, weighted by its probability, with the textbook's lines."""
    rng = np.random.default_rng(seed)
    mdp, phi = random_mdp(seed), rng.normal(size=(4, 3))
    target, behavior = rng.dirichlet(np.ones(3), size=(2, 4))
    d = rng.dirichlet(np.ones(4))
    alpha, beta, gamma = 0.1, 0.3, 0.9
    w, h = rng.normal(size=(2, 3))
    td, gradient_w, gradient_h = np.zeros(3), np.zeros(3), np.zeros(3)
    for s, a, k in itertools.product(range(4), range(3), range(3)):
        share = d[s] * behavior[s, a] * mdp.probabilities[s, a, k]
        following = 0.0 if mdp.terminated[s, a, k] else gamma
        x, y = phi[s], phi[mdp.next_states[s, a, k]]
        rho = target[s, a] / behavior[s, a]
        delta = mdp.rewards[s, a, k] + following * (y @ w) - x @ w
        td += share * rho * delta * x
        gradient_w += share * rho * (delta * x - following * (x @ h) * y)
        gradient_h += share * (rho * delta - x @ h) * x
    evaluation = LinearEvaluation(mdp, phi, target, gamma, distribution=d)
    update = expected_td0(evaluation, alpha)
    np.testing.assert_allclose(update.iterate(w, 1)[1], w + alpha * td, atol=1e-12)
    update = expected_tdc(evaluation, alpha, beta)
    both = np.concatenate((w, h))
    wanted = np.concatenate((w + alpha * gradient_w, h + beta * gradient_h))
    np.testing.assert_allclose(update.iterate(both, 1)[1], wanted, atol=1e-12)


@pytest.mark.parametrize("learner", ["td0", "tdc"])
def test_one_step_episodes_from_d_have_the_expected_weights_on_average(learner):
    """Steps that do not depend on each other: the mean of a linear recursion is the recursion of
    the mean, to the end."""
    common = {
        "policy": BairdStar.TARGET_POLICY,
        "behavior_policy": BairdStar.BEHAVIOR_POLICY,
        "gamma": 0.99,
        "initial_weights": START,
        "episodes": 60,
        "max_episode_steps": 1,
        "runs": 4000,
        "seed": 3,
    }
    if learner == "td0":
        expected = expected_td0(baird(), 0.05).iterate(START, 60)[-1]
        found = semi_gradient_td0(BAIRD, BairdStar.FEATURES, alpha=0.05, **common).weights
    else:
        first = np.concatenate((START, np.zeros(8)))
        expected = expected_tdc(baird(), 0.02, 0.05).iterate(first, 60)[-1, :8]
        found = tdc(BAIRD, BairdStar.FEATURES, alpha=0.02, beta=0.05, **common).weights
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    assert np.all(np.abs(found.mean(axis=0) - expected) < STANDARD_ERRORS * error)


def test_fixed_points_stay():
    mdp = random_mdp(5)
    evaluation = LinearEvaluation(mdp, np.eye(4), np.full((4, 3), 1 / 3), 0.9)
    w = evaluation.true_values
    np.testing.assert_allclose(expected_td0(evaluation, 0.1).iterate(w, 9)[-1], w, atol=1e-12)
    both = np.concatenate((w, np.zeros(4)))
    update = expected_tdc(evaluation, 0.1, 0.2)
    np.testing.assert_allclose(update.iterate(both, 9)[-1], both, atol=1e-12)
    assert update.growth < 1


@pytest.mark.parametrize("gamma", [0.93, 0.99])
def test_the_fastest_part_is_what_remains(gamma):
    """Growing and turning at 0.93 (a pair of complex eigenvalues), growing at 0.99."""
    update = expected_td0(baird(gamma), 0.05)
    steps = 8000  # enough for what does not grow to vanish beside what does
    run, predicted = update.iterate(START, steps), update.fastest_part(START, steps)
    assert update.growth > 1
    scale = np.abs(run[-200:]).max()
    np.testing.assert_allclose(predicted[-200:] / scale, run[-200:] / scale, atol=1e-6)
    growth = np.abs(run[-1000:]).max() / np.abs(run[-2000:-1000]).max()
    assert growth == pytest.approx(update.growth**1000, rel=1e-3 if gamma == 0.99 else 0.2)


def test_where_nothing_grows_the_fastest_part_is_the_limit():
    update = expected_td0(baird(0.5), 0.05)
    assert update.growth == pytest.approx(1, abs=1e-12)  # eight weights for seven states
    limit = update.fastest_part(START, 2000)
    np.testing.assert_allclose(limit, np.tile(limit[0], (2001, 1)), atol=1e-9)
    np.testing.assert_allclose(update.iterate(START, 2000)[-1], limit[-1], atol=1e-9)
    np.testing.assert_allclose(BairdStar.FEATURES @ limit[-1], 0, atol=1e-9)


def test_an_update_is_its_matrix_and_constant():
    update = ExpectedUpdate(np.array([[0.5, 0.0], [0.0, -2.0]]), np.array([1.0, 3.0]))
    assert update.growth == 2
    assert update.iterate([2.0, 1.0], 2).tolist() == [[2, 1], [2, 1], [2, 1]]
    assert update.fastest_part([4.0, 3.0], 3).tolist() == [[0, 3], [0, -6], [0, 12], [0, -24]]


def test_bad_input_is_named():
    with pytest.raises(TypeError, match="evaluation: takes a LinearEvaluation, got ndarray"):
        expected_td0(np.eye(2), 0.1)
    with pytest.raises(ValueError, match="alpha: takes a number > 0, got 0"):
        expected_td0(baird(), 0.0)
    with pytest.raises(ValueError, match="beta: takes a number > 0, got -1"):
        expected_tdc(baird(), 0.1, -1.0)
    with pytest.raises(ValueError, match=r"initial: takes shape \(8,\), got \(7,\)"):
        expected_td0(baird(), 0.1).iterate(np.ones(7), 3)
    with pytest.raises(ValueError, match="steps: takes a whole number >= 0, got -1"):
        expected_td0(baird(), 0.1).iterate(START, -1)
