"""Claims about prediction with linear functions: the table, the textbook, the fixed points."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    TabularMDP,
    collect,
    harmonic_schedule,
    monte_carlo,
    n_step_td,
    td0,
    td_lambda,
    uniform_policy,
)
from rlcore.approximation.features import (
    aggregation,
    fourier,
    from_matrix,
    one_hot,
    polynomial,
    tile_coding,
)
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.approximation.prediction import (
    LINEAR_PREDICTION,
    gradient_monte_carlo,
    lstd,
    semi_gradient_n_step_td,
    semi_gradient_td0,
    semi_gradient_td_lambda,
    tdc,
)
from rlcore.environments import BairdStar, as_environment
from rlcore.simulation import seed_pair
from tests.rlcore.problems import (
    GAMMAS,
    LIMITS,
    SEEDS,
    assert_mean,
    from_gymnasium,
    mdps,
    random_mdp,
    random_policy,
)

TABLES = {
    "td0": (semi_gradient_td0, td0),
    "n_step_td, n=3": (partial(semi_gradient_n_step_td, n=3), partial(n_step_td, n=3)),
    "td_lambda": (semi_gradient_td_lambda, td_lambda),
    "true online td_lambda": (
        partial(semi_gradient_td_lambda, traces="dutch"),
        partial(td_lambda, traces="dutch"),
    ),
    "monte_carlo": (gradient_monte_carlo, monte_carlo),
}


# -- one-hot features are the table ----------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
@given(mdps(), SEEDS, LIMITS, GAMMAS)
@settings(max_examples=25)
def test_one_hot_features_are_the_table(name, mdp, seed, limit, gamma):
    """Every update, to the last bit."""
    linear, tabular = TABLES[name]
    rng = np.random.default_rng(seed)
    common = {
        "policy": random_policy(mdp, seed),
        "episodes": 5,
        "alpha": rng.uniform(0.05, 1, size=5),
        "gamma": gamma,
        "runs": 2,
        "seed": seed,
        "max_episode_steps": limit,
    }
    start = rng.normal(size=mdp.num_states)
    a = linear(mdp, one_hot(mdp.num_states), initial_weights=start, **common)
    b = tabular(mdp, initial_value=start, **common)
    np.testing.assert_array_equal(a.weights, b.values)
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.returns, b.returns)
    np.testing.assert_array_equal(a.lengths, b.lengths)


# -- the textbook's boxes, with vectors, in plain Python over a Gymnasium environment --------------


def choose(row, u):
    return int(min(np.searchsorted(np.cumsum(row), u, side="right"), len(row) - 1))


def steps_of(mdp, policy, seed, gamma, episodes):
    """(s, a, r, discount, s′, first, last) of episodes, drawn as the package draws them."""
    environment_seed, learner_seed = seed_pair(seed)
    env, rng = as_environment(mdp), np.random.default_rng(learner_seed)
    for _ in range(episodes):
        state, _ = env.reset(seed=environment_seed)
        environment_seed, ended, first = None, False, True
        while not ended:
            action = choose(policy[state], rng.random())
            following, reward, terminated, truncated, _ = env.step(action)
            ended = terminated or truncated
            yield state, action, reward, gamma * (not terminated), following, first, ended
            state, first = following, False


def textbook_td0(steps, phi, w, alpha, ratio):
    for s, a, r, discount, s2, _, _ in steps:
        w += alpha * ratio[s, a] * (r + discount * phi[s2] @ w - phi[s] @ w) * phi[s]


def textbook_tdc(steps, phi, w, alpha, ratio, beta):
    h = np.zeros_like(w)
    for s, a, r, discount, s2, _, _ in steps:
        rho, delta = ratio[s, a], r + discount * phi[s2] @ w - phi[s] @ w
        predicted = phi[s] @ h
        w += alpha * rho * (delta * phi[s] - discount * phi[s2] * predicted)
        h += beta * rho * (delta - predicted) * phi[s]


def textbook_td_lambda(steps, phi, w, alpha, ratio, lam, gamma):
    z = np.zeros_like(w)
    for s, _, r, discount, s2, first, _ in steps:
        z = (0.0 if first else gamma * lam) * z + phi[s]
        w += alpha * (r + discount * phi[s2] @ w - phi[s] @ w) * z


def textbook_true_online(steps, phi, w, alpha, ratio, lam, gamma):
    """Section 12.5, the box *True online TD(λ)*."""
    z, old = np.zeros_like(w), 0.0
    for s, _, r, discount, s2, first, _ in steps:
        v, v2 = w @ phi[s], w @ phi[s2]
        if first:
            z, old = np.zeros_like(w), v
        delta = r + discount * v2 - v
        z = gamma * lam * z + (1 - alpha * gamma * lam * z @ phi[s]) * phi[s]
        w += alpha * (delta + v - old) * z - alpha * (v - old) * phi[s]
        old = v2


def textbook_n_step(steps, phi, w, alpha, ratio, n):
    episode = []
    for step in steps:
        episode.append(step)
        if len(episode) >= n:
            update_first(episode[-n:], phi, w, alpha)
        if step[-1]:
            for first in range(max(0, len(episode) - n + 1), len(episode)):
                update_first(episode[first:], phi, w, alpha)
            episode = []


def textbook_monte_carlo(steps, phi, w, alpha, ratio):
    episode = []
    for step in steps:
        episode.append(step)
        if step[-1]:
            frozen = w.copy()
            for first in range(len(episode)):
                update_first(episode[first:], phi, w, alpha, bootstrap=frozen)
            episode = []


def update_first(steps, phi, w, alpha, bootstrap=None):
    """Move the value of the first of some steps towards their n-step return."""
    target, weight = 0.0, 1.0
    for _, _, r, discount, _, _, _ in steps:
        target, weight = target + weight * r, weight * discount
    target += weight * phi[steps[-1][4]] @ (w if bootstrap is None else bootstrap)
    first = phi[steps[0][0]]
    w += alpha * (target - first @ w) * first


BOXES = {
    "td0": (semi_gradient_td0, textbook_td0, {}),
    "tdc": (partial(tdc, beta=0.05), partial(textbook_tdc, beta=0.05), {}),
    "td_lambda": (semi_gradient_td_lambda, textbook_td_lambda, {"lam": 0.7}),
    "true online": (
        partial(semi_gradient_td_lambda, traces="dutch"),
        textbook_true_online,
        {"lam": 0.7},
    ),
    "n = 1": (partial(semi_gradient_n_step_td, n=1), partial(textbook_n_step, n=1), {}),
    "n = 3": (partial(semi_gradient_n_step_td, n=3), partial(textbook_n_step, n=3), {}),
    "monte_carlo": (gradient_monte_carlo, textbook_monte_carlo, {}),
}


def assert_is_its_box(name, mdp, seed, limit, gamma, off_policy=False):
    learner, box, extra = BOXES[name]
    rng = np.random.default_rng(seed)
    phi, start = rng.normal(size=(mdp.num_states, 3)), rng.normal(size=3)
    policy = random_policy(mdp, seed)
    behavior = 0.5 * policy + 0.5 * uniform_policy(*policy.shape) if off_policy else policy
    result = learner(
        mdp,
        phi,
        policy,
        episodes=4,
        alpha=0.03,
        gamma=gamma,
        seed=seed,
        initial_weights=start,
        max_episode_steps=limit,
        **({"behavior_policy": behavior} if off_policy else {}),
        **extra,
    )
    limited = TabularMDP(
        mdp.probabilities, mdp.next_states, mdp.rewards, mdp.terminated, mdp.start, limit
    )
    weights = start.copy()
    extra = extra | ({"gamma": gamma} if "lam" in extra else {})
    steps = steps_of(limited, behavior, seed, gamma, episodes=4)
    box(steps, phi, weights, 0.03, policy / behavior, **extra)
    np.testing.assert_allclose(result.weights[0], weights, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", BOXES)
@given(mdps(), SEEDS, LIMITS, GAMMAS)
@settings(max_examples=25)
def test_each_algorithm_is_its_box(name, mdp, seed, limit, gamma):
    assert_is_its_box(name, mdp, seed, limit, gamma)


@pytest.mark.parametrize("name", ["td0", "tdc"])
@given(mdps(), SEEDS, LIMITS, GAMMAS)
@settings(max_examples=25)
def test_off_policy_methods_weigh_by_the_ratio(name, mdp, seed, limit, gamma):
    assert_is_its_box(name, mdp, seed, limit, gamma, off_policy=True)


@given(mdps(), SEEDS, LIMITS, GAMMAS)
@settings(max_examples=25)
def test_lstd_is_the_direct_solution_for_the_same_steps(mdp, seed, limit, gamma):
    """The updated inverse gives what solving anew gives, to 1e-8."""
    rng, policy = np.random.default_rng(seed), random_policy(mdp, seed)
    phi = rng.normal(size=(mdp.num_states, 3))
    result = lstd(
        mdp, phi, policy, episodes=6, gamma=gamma, seed=seed, max_episode_steps=limit,
        regularization=0.1,
    )  # fmt: skip
    data = collect(mdp, policy, episodes=6, seed=seed, max_episode_steps=limit)
    x, x2 = phi[data.states], phi[data.next_states] * (gamma * ~data.terminated)[:, None]
    matrix = 0.1 * np.eye(3) + x.T @ (x - x2)
    expected = np.linalg.solve(matrix, x.T @ data.rewards)
    # Rounding grows with the condition, here and in the direct solution alike.
    tolerance = 1e-8 * max(1.0, np.linalg.cond(matrix) / 100) * max(1, np.abs(expected).max())
    np.testing.assert_allclose(result.weights[0], expected, rtol=0, atol=tolerance)


# -- Gymnasium -------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", LINEAR_PREDICTION, ids=lambda each: each.__name__)
def test_gymnasium_gives_the_same_weights_to_the_last_bit(learner):
    env = gymnasium.make("rlcore/RandomWalk-v0", num_states=7, reach=3)
    mdp = TabularMDP.from_gymnasium(env)
    settings = {} if learner is lstd else {"alpha": 0.05}
    settings |= {"beta": 0.1} if learner is tdc else {}
    for phi in (polynomial(2, 0, 8), tile_coding(3, 4, 0, 8), fourier(2, 0, 8)):
        a, b = (learner(p, phi, episodes=6, runs=2, seed=5, **settings) for p in (mdp, env))
        np.testing.assert_array_equal(a.weights, b.weights)
        np.testing.assert_array_equal(a.lengths, b.lengths)
        assert np.all(np.isfinite(a.errors)) and np.all(np.isnan(b.errors))


class Line(gymnasium.Env):
    """A point that moves 0.25 to the left or to the right until it leaves [−1, 1]; to the right
    pays 1."""

    observation_space = gymnasium.spaces.Box(-2.0, 2.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)
    spoiled = False

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = 0.0
        return np.array([self.x], np.float32), {}

    def step(self, action):
        self.x += 0.25 if action == 1 else -0.25
        seen = np.nan if self.spoiled and self.x > 0.6 else self.x
        ended = abs(self.x) >= 1
        return np.array([seen], np.float32), float(self.x >= 1), ended, False, {}


def test_prediction_on_points_follows_a_policy_that_is_a_function():
    """Under a policy that goes right with probability 0.7, P(exit to the right) solves the
    gambler's ruin, which LSTD on a table of points finds within the noise of 2000 episodes."""
    phi = tile_coding(8, 1, -1.125, 0.875)
    result = lstd(Line(), phi, lambda x: [0.3, 0.7], episodes=2000, regularization=1e-6)
    ratio = 0.3 / 0.7
    steps = np.arange(1, 8)
    exact = (1 - ratio**steps) / (1 - ratio**8)
    learnt = phi.matrix(-1 + 0.25 * steps) @ result.weights[0]
    # The start is visited more than 2000 times: standard error below 0.01 there, more at the left.
    assert abs(learnt[3] - exact[3]) < 0.03
    np.testing.assert_allclose(learnt, exact, atol=0.08)
    assert result.values.shape == (1, 0) and np.all(np.isnan(result.errors))


# -- convergence -----------------------------------------------------------------------------------

PROBLEM = random_mdp(7, num_states=6, num_actions=2)
POLICY = random_policy(PROBLEM, 7)
PHI = np.random.default_rng(7).normal(size=(6, 2))
EXACT = LinearEvaluation(PROBLEM, PHI, POLICY, 0.9)


def test_the_problem_tells_projection_and_fixed_point_apart():
    distance = np.abs(EXACT.projection() - EXACT.td_fixed_point()).max()
    assert distance > 0.05


@pytest.mark.parametrize(
    ("learner", "limit"),
    [
        (semi_gradient_td0, EXACT.td_fixed_point()),
        (partial(semi_gradient_td_lambda, lam=0.0), EXACT.td_fixed_point()),
        (partial(semi_gradient_td_lambda, lam=1.0), EXACT.projection()),
        (partial(semi_gradient_n_step_td, n=1), EXACT.td_fixed_point()),
        (gradient_monte_carlo, EXACT.projection()),
    ],
    ids=["td0", "lambda 0", "lambda 1", "n 1", "monte carlo"],
)
def test_td_finds_the_fixed_point_and_monte_carlo_the_projection(learner, limit):
    """The mean of 200 runs, within 4.5 standard errors and a bias of the order of the last α."""
    episodes = 20_000
    alpha = harmonic_schedule(0.2, episodes, half_life=100)
    result = learner(PROBLEM, PHI, POLICY, episodes=episodes, alpha=alpha, gamma=0.9, runs=200)
    assert_mean(result.weights, limit, allowance=3e-3)


def test_tdc_finds_the_fixed_point_whatever_states_are_sampled():
    """Episodes of one step, from states that are not distributed as under the policy."""
    exact = LinearEvaluation(PROBLEM, PHI, POLICY, 0.9, distribution=PROBLEM.start)
    assert np.abs(exact.td_fixed_point() - EXACT.td_fixed_point()).max() > 0.1
    episodes = 200_000
    alpha = harmonic_schedule(0.3, episodes, half_life=1000)
    keywords = {"gamma": 0.9, "runs": 60, "max_episode_steps": 1, "distribution": PROBLEM.start}
    result = tdc(PROBLEM, PHI, POLICY, beta=0.2, episodes=episodes, alpha=alpha, **keywords)
    assert_mean(result.weights, exact.td_fixed_point(), allowance=5e-3)


def test_lstd_finds_the_fixed_point_without_a_step_size():
    result = lstd(PROBLEM, PHI, POLICY, episodes=5000, gamma=0.9, runs=50)
    assert_mean(result.weights, EXACT.td_fixed_point(), allowance=2e-3)
    np.testing.assert_allclose(result.errors[:, -1], EXACT.value_error(result.weights), rtol=1e-9)


def test_errors_are_value_errors_weighted_by_the_policy_that_acts():
    result = semi_gradient_td0(PROBLEM, PHI, POLICY, episodes=9, alpha=0.1, gamma=0.9, runs=4)
    np.testing.assert_allclose(result.errors[:, -1], EXACT.value_error(result.weights), rtol=1e-9)
    np.testing.assert_allclose(result.values, result.weights @ PHI.T, rtol=1e-12, atol=1e-15)
    weights = np.eye(6)[2]
    given = semi_gradient_td0(
        PROBLEM, PHI, POLICY, episodes=9, alpha=0.1, gamma=0.9, distribution=weights,
        true_values=np.full(6, 3.0),
    )  # fmt: skip
    assert given.errors[0, -1] == pytest.approx(abs(given.values[0, 2] - 3))


# -- Baird's counterexample ------------------------------------------------------------------------

BAIRD = TabularMDP.from_gymnasium(BairdStar())
OFF_POLICY = {
    "policy": BairdStar.TARGET_POLICY,
    "behavior_policy": BairdStar.BEHAVIOR_POLICY,
    "gamma": 0.99,
    "initial_weights": [1, 1, 1, 1, 1, 1, 10, 1],
    "max_episode_steps": 1000,
}


@pytest.mark.parametrize("learner", LINEAR_PREDICTION, ids=lambda each: each.__name__)
def test_a_chain_that_may_settle_in_two_places_is_learnt_without_errors(learner):
    """As by tabular learners; weights that are given make the errors finite."""
    mdp = TabularMDP(
        probabilities=np.ones((2, 1, 1)),
        next_states=[[[0]], [[1]]],
        rewards=[[[1.0]], [[2.0]]],
        terminated=np.zeros((2, 1, 1), dtype=bool),
        start=[0.5, 0.5],
    )
    common = {"episodes": 3, "gamma": 0.5, "max_episode_steps": 20, "seed": 1}
    if learner is not lstd:
        common["alpha"] = 0.1
    if learner is tdc:
        common["beta"] = 0.1
    result = learner(mdp, np.eye(2), **common)
    assert np.all(np.isfinite(result.values)) and np.all(np.isnan(result.errors))
    weighted = learner(mdp, np.eye(2), distribution=[0.5, 0.5], **common)
    np.testing.assert_array_equal(weighted.values, result.values)
    assert np.all(np.isfinite(weighted.errors)) and np.all(weighted.errors > 0)
    with pytest.raises(ValueError, match="distribution: "):
        learner(mdp, np.eye(2), distribution=[0.5, 0.6], **common)


def test_off_policy_semi_gradient_td_diverges_and_tdc_does_not():
    """Sutton & Barto 2018, figures 11.2 and 11.5: α = 0.01, and α = 0.005 with β = 0.05."""
    semi = semi_gradient_td0(
        BAIRD, BairdStar.FEATURES, episodes=1, alpha=0.01, runs=100, **OFF_POLICY
    )
    cured = tdc(
        BAIRD, BairdStar.FEATURES, episodes=1, alpha=0.005, beta=0.05, runs=100, **OFF_POLICY
    )
    exact = LinearEvaluation(
        BAIRD,
        BairdStar.FEATURES,
        BairdStar.TARGET_POLICY,
        0.99,
        distribution=np.full(7, 1 / 7),
    )
    start = np.array(OFF_POLICY["initial_weights"], dtype=float)
    assert np.median(np.abs(semi.weights).max(axis=1)) > 5 * np.abs(start).max()
    assert np.median(exact.projected_bellman_error(cured.weights)) < 0.5
    assert exact.projected_bellman_error(start) > 2
    on_policy = semi_gradient_td0(
        BAIRD,
        BairdStar.FEATURES,
        BairdStar.BEHAVIOR_POLICY,
        episodes=1,
        alpha=0.01,
        gamma=0.99,
        initial_weights=start,
        max_episode_steps=1000,
        runs=100,
    )
    assert np.abs(on_policy.weights).max() < 2 * np.abs(start).max()


# -- the step size of binary features --------------------------------------------------------------


@pytest.mark.parametrize("tilings", [1, 4, 50])
def test_one_update_removes_the_share_alpha_of_an_error_however_many_tilings(tilings):
    """Without the division by the number of tilings it would overshoot."""
    mdp = from_gymnasium("rlcore/RandomWalk-v0", num_states=1)
    phi = tile_coding(3, tilings, 0, 2)
    start = 0.7 / tilings
    result = semi_gradient_td0(mdp, phi, episodes=1, alpha=0.25, initial_weights=start)
    target = result.returns[0, 0]
    assert result.values[0, 1] == pytest.approx(0.7 + 0.25 * (target - 0.7))


# -- bad input -------------------------------------------------------------------------------------

WALK = from_gymnasium("rlcore/RandomWalk-v0", num_states=3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"alpha": 0.0}, r"alpha: takes numbers in \(0, 1\], got 0.0"),
        ({"alpha": 1.5}, r"alpha: takes numbers in \(0, 1\], got 1.5"),
        ({"alpha": -1, "features": np.eye(5)}, "alpha: takes numbers > 0, got -1.0"),
        ({"alpha": np.nan, "features": np.eye(5)}, "alpha: takes numbers > 0, got nan"),
        ({"alpha": [0.1, 0.2]}, r"alpha: takes a number or an array of shape \(episodes,\)"),
        ({"alpha": [[1]], "features": np.eye(5)}, r"alpha: takes a number or an array of shape"),
        ({"gamma": 2}, r"gamma: takes a number in \[0, 1\]"),
        ({"episodes": 0}, "episodes: takes a whole number >= 1"),
        ({"features": one_hot(4)}, "features: takes features of 5 states, got those of 4"),
        ({"features": fourier(1, [0, 0], [1, 1])}, "features: takes a map of states that are num"),
        ({"initial_weights": [1.0]}, r"initial_weights: takes shape \(5,\), got \(1,\)"),
        ({"initial_weights": np.inf}, "initial_weights: takes finite numbers"),
        ({"policy": np.ones((5, 2))}, "policy: takes rows of probabilities"),
        ({"distribution": np.ones(5)}, "distribution: takes numbers >= 0 that sum to 1"),
        ({"true_values": np.ones(4)}, r"true_values: takes shape \(5,\), got \(4,\)"),
        (
            {"behavior_policy": [[1.0, 0.0]] * 5},
            "behavior_policy: takes probabilities > 0 wherever policy has them, got 0 for action 1",
        ),
    ],
)
def test_bad_input_is_named_before_any_work(change, match):
    arguments = {"features": one_hot(5), "episodes": 1, "alpha": 0.1} | change
    with pytest.raises(ValueError, match=match):
        semi_gradient_td0(WALK, **arguments)


def test_other_bad_input():
    few = {"episodes": 1, "alpha": 0.1}
    with pytest.raises(ValueError, match="beta: takes numbers > 0, got 0"):
        tdc(WALK, np.eye(5), beta=0, **few)
    with pytest.raises(ValueError, match="traces: takes one of accumulating, dutch, got 'replac"):
        semi_gradient_td_lambda(WALK, one_hot(5), traces="replacing", **few)
    with pytest.raises(ValueError, match="lam: takes"):
        semi_gradient_td_lambda(WALK, one_hot(5), lam=2, **few)
    with pytest.raises(ValueError, match="n: takes a whole number >= 1"):
        semi_gradient_n_step_td(WALK, one_hot(5), n=0, **few)
    with pytest.raises(ValueError, match="regularization: takes a number > 0"):
        lstd(WALK, one_hot(5), episodes=1, regularization=0)
    with pytest.raises(TypeError, match="probabilities, got a function"):
        semi_gradient_td0(WALK, one_hot(5), lambda state: [0.5, 0.5], **few)
    with pytest.raises(TypeError, match="problem: takes a TabularMDP"):
        semi_gradient_td0("walk", one_hot(5), **few)


def test_bad_input_on_points():
    phi = tile_coding(4, 2, -2, 2)
    few = {"episodes": 1, "alpha": 0.1}
    with pytest.raises(ValueError, match="features: takes a feature map of points with 1 coord"):
        semi_gradient_td0(Line(), one_hot(5), **few)
    with pytest.raises(TypeError, match="policy: takes a function of a point"):
        semi_gradient_td0(Line(), phi, [[0.5, 0.5]], **few)
    with pytest.raises(ValueError, match="policy: takes rows of probabilities"):
        semi_gradient_td0(Line(), phi, lambda x: [0.5, 0.6], **few)
    with pytest.raises(ValueError, match="behavior_policy: takes None where states are points"):
        semi_gradient_td0(Line(), phi, behavior_policy=[[0.5, 0.5]], **few)
    with pytest.raises(ValueError, match="true_values: takes None where states are points"):
        semi_gradient_td0(Line(), phi, true_values=[0.0], **few)
    spoiled = Line()
    spoiled.spoiled = True
    with pytest.raises(ValueError, match=r"problem: takes finite observations, got \[nan\]"):
        semi_gradient_td0(spoiled, phi, lambda x: [0.0, 1.0], **few)


def test_a_matrix_a_map_and_its_table_are_the_same_features():
    phi = polynomial(2, 0, 4)
    results = [
        semi_gradient_td0(WALK, each, episodes=5, alpha=0.1, seed=3).weights
        for each in (phi, phi.table(np.arange(5)), phi.matrix(np.arange(5)))
    ]
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])
    groups = aggregation([0, 0, 0, 1, 1])
    dense = from_matrix(groups.matrix(np.arange(5)))
    np.testing.assert_array_equal(
        semi_gradient_td0(WALK, groups, episodes=5, alpha=0.1).weights,
        semi_gradient_td0(WALK, dense, episodes=5, alpha=0.1).weights,
    )


@given(st.integers(0, 2**31))
@settings(max_examples=5)
def test_the_same_seed_gives_the_same_result(seed):
    a, b = (
        semi_gradient_td0(WALK, polynomial(1, 0, 4), episodes=5, alpha=0.1, runs=3, seed=seed)
        for _ in range(2)
    )
    np.testing.assert_array_equal(a.weights, b.weights)
    assert len(np.unique(a.weights[:, 0])) > 1
