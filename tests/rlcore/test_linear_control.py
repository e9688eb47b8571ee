"""Claims about control with linear functions: the table, the textbook, Mountain Car."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    TabularMDP,
    epsilon_greedy_policy,
    expected_sarsa,
    harmonic_schedule,
    n_step_sarsa,
    q_learning,
    sarsa,
)
from rlcore.approximation.control import (
    LINEAR_CONTROL,
    semi_gradient_expected_sarsa,
    semi_gradient_n_step_sarsa,
    semi_gradient_q_learning,
    semi_gradient_sarsa,
)
from rlcore.approximation.features import (
    fourier,
    from_function,
    from_matrix,
    one_hot,
    polynomial,
    radial_basis,
    tile_coding,
)
from rlcore.environments import MountainCar, as_environment
from rlcore.simulation import seed_pair
from tests.rlcore.problems import (
    GAMMAS,
    LIMITS,
    SEEDS,
    STANDARD_ERRORS,
    assert_mean,
    from_gymnasium,
    mdps,
    random_mdp,
)

EPSILONS = st.sampled_from([0.5, 0.1, 0.0, 1.0])
CAR_BOX = ([-1.2, -0.07], [0.5, 0.07])  # the goal, at 0.5, ends the book's box
TILES = tile_coding(8, 8, *CAR_BOX)

TABLES = {
    "sarsa": (semi_gradient_sarsa, sarsa),
    "expected_sarsa": (semi_gradient_expected_sarsa, expected_sarsa),
    "q_learning": (semi_gradient_q_learning, q_learning),
    "n_step_sarsa, n=1": (partial(semi_gradient_n_step_sarsa, n=1), partial(n_step_sarsa, n=1)),
    "n_step_sarsa, n=3": (partial(semi_gradient_n_step_sarsa, n=3), partial(n_step_sarsa, n=3)),
}


# -- one-hot features are the table ----------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
@given(mdps(), SEEDS, LIMITS, GAMMAS, EPSILONS)
@settings(max_examples=25)
def test_one_hot_features_are_the_table(name, mdp, seed, limit, gamma, epsilon):
    """Every update and every choice, to the last bit."""
    linear, tabular = TABLES[name]
    rng = np.random.default_rng(seed)
    common = {
        "episodes": 5,
        "alpha": rng.uniform(0.05, 1, size=5),
        "epsilon": epsilon,
        "gamma": gamma,
        "runs": 2,
        "seed": seed,
        "max_episode_steps": limit,
    }
    # Whole numbers tie now and then.
    start = rng.integers(-1, 2, size=(mdp.num_states, mdp.num_actions)).astype(float)
    a = linear(mdp, one_hot(mdp.num_states), initial_weights=start.T, **common)
    b = tabular(mdp, initial_q=start, **common)
    np.testing.assert_array_equal(a.q(np.arange(mdp.num_states)), b.q)
    np.testing.assert_array_equal(a.returns, b.returns)
    np.testing.assert_array_equal(a.lengths, b.lengths)


# -- the textbook's boxes, with vectors, in plain Python over a Gymnasium environment --------------


class Textbook:
    def __init__(self, mdp, phi, w, seed, epsilon, gamma):
        self.seed, learner_seed = seed_pair(seed)
        self.env, self.rng = as_environment(mdp), np.random.default_rng(learner_seed)
        self.phi, self.w, self.epsilon, self.gamma = phi, w, epsilon, gamma

    def q(self, state):
        return self.w @ self.phi[state]

    def policy(self, state):
        return epsilon_greedy_policy(self.q(state)[None], self.epsilon)[0]

    def action(self, state):
        u, q = self.rng.random(), self.q(state)
        if u < self.epsilon:
            return int(u / self.epsilon * len(q))
        return int(q.argmax())

    def episode(self):
        """Yields (s, a, r, discount, s′, a′, last); a′ is chosen before the update."""
        state, _ = self.env.reset(seed=self.seed)
        self.seed, ended = None, False
        action = self.action(state)
        while not ended:
            following, reward, terminated, truncated, _ = self.env.step(action)
            ended = terminated or truncated
            next_action = self.action(following)
            yield (
                state,
                action,
                reward,
                self.gamma * (not terminated),
                following,
                next_action,
                ended,
            )
            state, action = following, next_action

    def move(self, state, action, target, alpha):
        self.w[action] += alpha * (target - self.q(state)[action]) * self.phi[state]


def textbook_sarsa(book, alpha):
    for s, a, r, discount, s2, a2, _ in book.episode():
        book.move(s, a, r + discount * book.q(s2)[a2], alpha)


def textbook_n_step_sarsa(book, alpha, n):
    def update(steps):
        target, weight = 0.0, 1.0
        for _, _, r, discount, _, _, _ in steps:
            target, weight = target + weight * r, weight * discount
        _, _, _, _, s, a, _ = steps[-1]
        book.move(steps[0][0], steps[0][1], target + weight * book.q(s)[a], alpha)

    steps = []
    for step in book.episode():
        steps.append(step)
        if len(steps) >= n:
            update(steps[-n:])
    for first in range(max(0, len(steps) - n + 1), len(steps)):
        update(steps[first:])


class ActsAfterTheUpdate(Textbook):
    """Expected Sarsa and Q-learning choose each action with the newest weights."""

    def episode(self):
        state, _ = self.env.reset(seed=self.seed)
        self.seed, ended = None, False
        while not ended:
            action = self.action(state)
            following, reward, terminated, truncated, _ = self.env.step(action)
            ended = terminated or truncated
            yield state, action, reward, self.gamma * (not terminated), following
            state = following


def textbook_expected_sarsa(book, alpha):
    for s, a, r, discount, s2 in book.episode():
        book.move(s, a, r + discount * book.policy(s2) @ book.q(s2), alpha)


def textbook_q_learning(book, alpha):
    for s, a, r, discount, s2 in book.episode():
        book.move(s, a, r + discount * book.q(s2).max(), alpha)


BOXES = {
    "sarsa": (semi_gradient_sarsa, textbook_sarsa, Textbook),
    "expected_sarsa": (semi_gradient_expected_sarsa, textbook_expected_sarsa, ActsAfterTheUpdate),
    "q_learning": (semi_gradient_q_learning, textbook_q_learning, ActsAfterTheUpdate),
    "n = 1": (
        partial(semi_gradient_n_step_sarsa, n=1),
        partial(textbook_n_step_sarsa, n=1),
        Textbook,
    ),
    "n = 3": (
        partial(semi_gradient_n_step_sarsa, n=3),
        partial(textbook_n_step_sarsa, n=3),
        Textbook,
    ),
}


@pytest.mark.parametrize("name", BOXES)
@given(mdps(), SEEDS, LIMITS, GAMMAS, EPSILONS)
@settings(max_examples=25)
def test_each_algorithm_is_its_box(name, mdp, seed, limit, gamma, epsilon):
    learner, box, kind = BOXES[name]
    rng = np.random.default_rng(seed)
    phi = rng.normal(size=(mdp.num_states, 3))
    start = rng.normal(size=(mdp.num_actions, 3))
    result = learner(
        mdp, phi, episodes=4, alpha=0.03, epsilon=epsilon, gamma=gamma, seed=seed,
        initial_weights=start, max_episode_steps=limit,
    )  # fmt: skip
    limited = TabularMDP(
        mdp.probabilities, mdp.next_states, mdp.rewards, mdp.terminated, mdp.start, limit
    )
    book = kind(limited, phi, start.copy(), seed, epsilon, gamma)
    for _ in range(4):
        box(book, 0.03)
    np.testing.assert_allclose(result.weights[0], book.w, rtol=1e-8, atol=1e-10)


def test_sarsa_with_features_converges_to_the_fixed_point_of_the_policy_it_follows():
    """With ε = 1 the policy is uniform whatever the weights: a linear system, solved exactly."""
    mdp = random_mdp(11, num_states=5, num_actions=2)
    phi, gamma, episodes = np.random.default_rng(11).normal(size=(5, 2)), 0.8, 20_000
    policy = np.full((5, 2), 0.5)
    d = mdp.stationary_distribution(policy)
    columns = np.kron(np.eye(2), phi).reshape(2, 5, 4)  # φ(s, a), stacked by action
    features = columns.transpose(1, 0, 2).reshape(10, 4)
    weights = (d[:, None] * policy).reshape(10)
    following = np.einsum("sat,tb->satb", mdp.transition_matrix(), policy).reshape(10, 10)
    matrix = features.T * weights @ (features - gamma * following @ features)
    exact = np.linalg.solve(matrix, features.T * weights @ mdp.expected_rewards().reshape(10))
    alpha = harmonic_schedule(0.2, episodes, half_life=100)
    for learner in (semi_gradient_sarsa, semi_gradient_expected_sarsa):
        result = learner(
            mdp, phi, episodes=episodes, alpha=alpha, epsilon=1.0, gamma=gamma, runs=100
        )
        assert_mean(result.weights.reshape(100, 4), exact, allowance=4e-3)


# -- points ----------------------------------------------------------------------------------------

MAPS = {
    "tile_coding": TILES,
    "hashed": tile_coding(8, 8, *CAR_BOX, size=256),
    "polynomial": polynomial(2, *CAR_BOX),
    "fourier": fourier(2, *CAR_BOX),
    "radial_basis": radial_basis(3, *CAR_BOX),
}


@pytest.mark.parametrize("learner", LINEAR_CONTROL, ids=lambda each: each.__name__)
def test_compiled_mountain_car_learns_the_same_weights_as_gymnasiums(learner):
    """The dynamics, the observations, the features and the updates, to the last bit."""
    env = gymnasium.make("MountainCar-v0", max_episode_steps=10_000)
    compiled, stepped = (
        learner(problem, TILES, episodes=2, alpha=0.5, epsilon=0.1, seed=4)
        for problem in (MountainCar(max_episode_steps=10_000), env)
    )
    np.testing.assert_array_equal(compiled.weights, stepped.weights)
    np.testing.assert_array_equal(compiled.returns, stepped.returns)
    assert np.array_equal(compiled.lengths, stepped.lengths) and compiled.lengths.min() > 100


@pytest.mark.parametrize("name", MAPS)
def test_every_family_of_features_is_the_same_compiled_and_stepped(name):
    env = gymnasium.make("MountainCar-v0", max_episode_steps=60)
    compiled, stepped = (
        semi_gradient_sarsa(problem, MAPS[name], episodes=3, alpha=0.1, epsilon=0.3, seed=1)
        for problem in (MountainCar(max_episode_steps=60), env)
    )
    np.testing.assert_array_equal(compiled.weights, stepped.weights)
    points = np.array([[-0.5, 0.0], [0.3, 0.05]])
    expected = np.stack([MAPS[name].matrix(points) @ w.T for w in compiled.weights])
    np.testing.assert_allclose(compiled.q(points), expected, rtol=1e-12, atol=1e-12)
    assert compiled.q(points).shape == (1, 2, 3)


@pytest.mark.parametrize(
    ("n", "alpha", "first", "last"), [(1, 0.5, 284, 117), (4, 0.5, 230, 110), (8, 0.3, 238, 112)]
)
def test_mountain_car_learns_as_published(n, alpha, first, last):
    """Sutton & Barto 2018, section 10.2; mean steps over the first 50 and the last 100 of 500
    episodes. The reference is another simulation of 200 runs, given in whole steps, so its error
    is that of ours: √2, and ½ for its rounding."""
    lengths = semi_gradient_n_step_sarsa(
        MountainCar(), TILES, n=n, episodes=500, alpha=alpha, epsilon=0.0, runs=200, seed=2
    ).lengths
    for part, published in ((lengths[:, :50], first), (lengths[:, -100:], last)):
        means = part.mean(axis=1)
        error = means.std(ddof=1) / np.sqrt(len(means))
        assert abs(means.mean() - published) < STANDARD_ERRORS * np.sqrt(2) * error + 0.5


def test_any_box_and_discrete_actions_will_do():
    """CartPole, whose velocities have no bounds, in bounds of one's own, and a function of one's
    own. From optimistic weights (100 in all) 120 episodes keep the pole up for longer than chance,
    about 20 steps with a standard deviation of 11."""
    env = gymnasium.make("CartPole-v1")
    phi = tile_coding(4, 8, [-2.4, -3, -0.21, -3], [2.4, 3, 0.21, 3], size=4096)
    learnt, chance = (
        semi_gradient_sarsa(
            env, phi, episodes=120, alpha=0.3, epsilon=epsilon, gamma=0.99, initial_weights=12.5
        ).lengths[0]
        for epsilon in (0.05, 1.0)
    )
    assert learnt[-40:].mean() > 4 * chance.mean()
    own = from_function(lambda points: np.column_stack((points[:, 2], points[:, 3])), dims=4)
    result = semi_gradient_q_learning(env, own, episodes=3, alpha=0.1, seed=0)
    assert result.weights.shape == (1, 2, 2) and np.all(np.isfinite(result.weights))


def test_a_step_limit_is_not_an_end():
    """After one step that is cut off, the value of what would have followed counts."""
    phi = fourier(0, *CAR_BOX)  # one feature that is always 1
    result = semi_gradient_q_learning(
        MountainCar(), phi, episodes=1, alpha=1.0, epsilon=0.0, gamma=0.5, max_episode_steps=1,
        initial_weights=-8.0,
    )  # fmt: skip
    assert sorted(result.weights.ravel()) == [-8, -8, -1 + 0.5 * -8]


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", LINEAR_CONTROL, ids=lambda each: each.__name__)
@pytest.mark.parametrize(
    ("problem", "features", "match"),
    [
        ("Pendulum-v1", tile_coding(2, 2, [0] * 3, [1] * 3), "action_space is Discrete"),
        ("MountainCarContinuous-v0", TILES, "problem: .* action_space is Discrete"),
        ("CartPole-v1", TILES, "features: takes a feature map of points with 4 coord.* one of 2"),
        ("MountainCar-v0", one_hot(4), "features: takes a feature map of points with 2 coord"),
        ("MountainCar-v0", np.eye(2), "features: takes a feature map of points with 2 coord"),
        ("CliffWalking-v1", TILES, r"features\.table\(points\) makes it one"),
        ("CliffWalking-v1", one_hot(47), "features: takes features of 48 states, got those of 47"),
    ],
)
def test_spaces_and_features_that_do_not_fit_are_refused(learner, problem, features, match):
    with pytest.raises(ValueError, match=match):
        learner(gymnasium.make(problem), features, episodes=1, alpha=0.1)


class Pictures(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(0, 1, (4, 4))
    action_space = gymnasium.spaces.Discrete(2)


def test_other_bad_input():
    cliff = from_gymnasium("CliffWalking-v1")
    few = {"episodes": 1, "alpha": 0.1}
    with pytest.raises(ValueError, match=r"observation_space is Discrete or a Box of shape \(dims"):
        semi_gradient_sarsa(Pictures(), TILES, **few)
    with pytest.raises(ValueError, match="low: takes finite bounds, got -inf for coordinate 1"):
        space = gymnasium.make("CartPole-v1").observation_space
        tile_coding(8, 8, space.low, space.high)
    own = from_function(lambda points: points, dims=2)
    with pytest.raises(ValueError, match="got a Python function; it serves gymn"):
        semi_gradient_sarsa(MountainCar(), own, **few)
    with pytest.raises(ValueError, match=r"alpha: takes numbers in \(0, 1\], got 4.0"):
        semi_gradient_sarsa(MountainCar(), TILES, episodes=1, alpha=4.0)
    with pytest.raises(ValueError, match=r"epsilon: takes numbers in \[0, 1\], got 2.0"):
        semi_gradient_sarsa(MountainCar(), TILES, epsilon=2, **few)
    with pytest.raises(ValueError, match=r"initial_weights: takes shape \(4, 48\)"):
        semi_gradient_sarsa(cliff, one_hot(48), initial_weights=np.zeros((48, 4)), **few)
    with pytest.raises(ValueError, match="n: takes a whole number >= 1, got 0"):
        semi_gradient_n_step_sarsa(cliff, one_hot(48), n=0, **few)
    with pytest.raises(TypeError, match="problem: takes a TabularMDP, a MountainCar or a gymnas"):
        semi_gradient_sarsa(3, TILES, **few)


def test_an_episode_without_end_is_noticed():
    """Who only ever pushes to the left never leaves the valley."""
    left = np.full((3, TILES.num_features), -1.0)
    left[0] = 0.0
    with pytest.raises(RuntimeError, match="an episode did not end within 100000 steps"):
        semi_gradient_sarsa(
            MountainCar(), TILES, episodes=1, alpha=1e-9, epsilon=0.0, initial_weights=left
        )


def test_observations_that_are_not_numbers_stop_the_run():
    class Broken(gymnasium.ObservationWrapper):
        def observation(self, observation):
            return observation * np.nan

    env = Broken(gymnasium.make("MountainCar-v0"))
    with pytest.raises(ValueError, match=r"problem: takes finite observations, got \[nan nan\]"):
        semi_gradient_sarsa(env, TILES, episodes=1, alpha=0.1)


def test_the_same_seed_gives_the_same_result_and_runs_differ():
    a, b = (
        semi_gradient_sarsa(MountainCar(), TILES, episodes=3, alpha=0.5, runs=2, seed=9)
        for _ in range(2)
    )
    np.testing.assert_array_equal(a.weights, b.weights)
    assert not np.array_equal(a.lengths[0], a.lengths[1])


def test_a_matrix_serves_control_on_tables():
    cliff = from_gymnasium("CliffWalking-v1")
    matrix, table = (
        semi_gradient_q_learning(cliff, phi, episodes=20, alpha=0.5, seed=0).weights
        for phi in (np.eye(48), from_matrix(np.eye(48)))
    )
    np.testing.assert_array_equal(matrix, table)
