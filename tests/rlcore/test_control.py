"""Claims about control: what each algorithm computes, step by step, and where it converges to."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    CONTROL,
    TabularMDP,
    collect,
    double_q_learning,
    epsilon_greedy_policy,
    expected_sarsa,
    harmonic_schedule,
    n_step_sarsa,
    q_learning,
    q_learning_from_transitions,
    sarsa,
    uniform_policy,
)
from rlcore.environments import as_environment
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

EPSILONS = st.sampled_from([0.5, 0.1, 0.0, 1.0])

OFF_POLICY = [expected_sarsa, q_learning, double_q_learning, n_step_sarsa]


# -- the textbook's boxes, in plain Python over a Gymnasium environment ----------------------------


def choose(policy_row, u):
    """The first action whose cumulative probability exceeds u."""
    return int(min(np.searchsorted(np.cumsum(policy_row), u, side="right"), len(policy_row) - 1))


class Textbook:
    """What every box needs: the problem's chance, the learner's chance, and ε-greedy actions."""

    def __init__(self, mdp, seed, epsilon, gamma, behavior=None):
        environment_seed, learner_seed = seed_pair(seed)
        self.env = as_environment(mdp)
        self.environment_seed = environment_seed
        self.rng = np.random.default_rng(learner_seed)
        self.epsilon, self.gamma, self.behavior = epsilon, gamma, behavior

    def episode(self):
        state, _ = self.env.reset(seed=self.environment_seed)
        self.environment_seed = None
        return state

    def target_policy(self, q, state):
        return epsilon_greedy_policy(q[state : state + 1], self.epsilon)[0]

    def action(self, q, state):
        u = self.rng.random()
        if self.behavior is not None:
            return choose(self.behavior[state], u)
        if u < self.epsilon:
            return int(u / self.epsilon * q.shape[1])
        best = np.flatnonzero(q[state] == q[state].max())
        return int(best[int((u - self.epsilon) / (1 - self.epsilon) * len(best))])

    def step(self, action):
        """(s′, r, whether s′ has a value, whether the episode goes on)"""
        state, reward, terminated, truncated, _ = self.env.step(action)
        return state, reward, not terminated, not (terminated or truncated)


def textbook_sarsa(book, q, alpha):
    state, running = book.episode(), True
    action = book.action(q, state)
    while running:
        following, reward, alive, running = book.step(action)
        next_action = book.action(q, following)
        target = reward + (book.gamma * q[following, next_action] if alive else 0)
        q[state, action] += alpha * (target - q[state, action])
        state, action = following, next_action


def textbook_expected_sarsa(book, q, alpha):
    state, running = book.episode(), True
    while running:
        action = book.action(q, state)
        following, reward, alive, running = book.step(action)
        mean = book.target_policy(q, following) @ q[following]
        target = reward + (book.gamma * mean if alive else 0)
        q[state, action] += alpha * (target - q[state, action])
        state = following


def textbook_q_learning(book, q, alpha):
    state, running = book.episode(), True
    while running:
        action = book.action(q, state)
        following, reward, alive, running = book.step(action)
        target = reward + (book.gamma * q[following].max() if alive else 0)
        q[state, action] += alpha * (target - q[state, action])
        state = following


def textbook_double_q_learning(book, q, alpha):
    """The two tables are kept with the book; ``q`` is their mean."""
    first, second = book.tables = getattr(book, "tables", (q.copy(), q.copy()))
    state, running = book.episode(), True
    while running:
        action = book.action((first + second) / 2, state)
        following, reward, alive, running = book.step(action)
        tossed = book.rng.random() < 0.5
        learning, judging = (first, second) if tossed else (second, first)
        best = np.flatnonzero(learning[following] == learning[following].max())
        chosen = best[int(book.rng.random() * len(best))]
        target = reward + (book.gamma * judging[following, chosen] if alive else 0)
        learning[state, action] += alpha * (target - learning[state, action])
        state = following
    q[:] = (first + second) / 2


def textbook_n_step_sarsa(book, q, alpha, n):
    """Section 7.3, in the notation of the box: T, τ, ρ."""
    states, rewards = [book.episode()], [0.0]
    actions = [book.action(q, states[0])]
    end, alive, time = np.inf, True, 0
    while True:
        if time < end:
            following, reward, alive, running = book.step(actions[-1])
            states.append(following)
            rewards.append(reward)
            actions.append(book.action(q, following))
            if not running:
                end = time + 1
        tau = time - n + 1
        if tau >= 0:
            last = int(min(tau + n, end))
            target = sum(book.gamma ** (i - tau - 1) * rewards[i] for i in range(tau + 1, last + 1))
            bootstrapped = tau + n < end or alive
            if bootstrapped:
                target += book.gamma ** (last - tau) * q[states[last], actions[last]]
            ratio = 1.0
            if book.behavior is not None:
                for i in range(tau + 1, last + 1 if bootstrapped else last):
                    s, a = states[i], actions[i]
                    ratio *= book.target_policy(q, s)[a] / book.behavior[s, a]
            q[states[tau], actions[tau]] += alpha * ratio * (target - q[states[tau], actions[tau]])
        if tau == end - 1:
            return
        time += 1


BOXES = {
    "sarsa": (sarsa, textbook_sarsa),
    "expected_sarsa": (expected_sarsa, textbook_expected_sarsa),
    "q_learning": (q_learning, textbook_q_learning),
    "double_q_learning": (double_q_learning, textbook_double_q_learning),
    "n_step_sarsa, n=1": (partial(n_step_sarsa, n=1), partial(textbook_n_step_sarsa, n=1)),
    "n_step_sarsa, n=3": (partial(n_step_sarsa, n=3), partial(textbook_n_step_sarsa, n=3)),
}


def assert_is_its_box(name, mdp, seed, limit, gamma, epsilon, off_policy):
    learner, box = BOXES[name]
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(0.05, 1, size=6)
    # Whole numbers tie now and then.
    q = rng.integers(-1, 2, size=(mdp.num_states, mdp.num_actions)).astype(float)
    behavior = uniform = uniform_policy(mdp.num_states, mdp.num_actions)
    behavior = 0.5 * random_policy(mdp, seed) + 0.5 * uniform if off_policy else None
    result = learner(
        mdp,
        episodes=6,
        alpha=alpha,
        epsilon=epsilon,
        gamma=gamma,
        seed=seed,
        initial_q=q,
        max_episode_steps=limit,
        **({"behavior_policy": behavior} if off_policy else {}),
    )
    limited = TabularMDP(
        mdp.probabilities, mdp.next_states, mdp.rewards, mdp.terminated, mdp.start, limit
    )
    book = Textbook(limited, seed, epsilon, gamma, behavior)
    for step_size in alpha:
        box(book, q, step_size)
    # A ratio with γ = 0 cut short differs by rounding and by choice, not in what it estimates.
    assert np.allclose(result.q[0], q, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", BOXES)
@given(mdps(), SEEDS, LIMITS, GAMMAS, EPSILONS)
@settings(max_examples=25)
def test_each_algorithm_is_its_box_on_policy(name, mdp, seed, limit, gamma, epsilon):
    assert_is_its_box(name, mdp, seed, limit, gamma, epsilon, off_policy=False)


@pytest.mark.parametrize("name", sorted(set(BOXES) - {"sarsa"}))
@given(mdps(), SEEDS, LIMITS, st.sampled_from([0.9, 1.0, 0.5]), EPSILONS)
@settings(max_examples=25)
def test_each_algorithm_is_its_box_off_policy(name, mdp, seed, limit, gamma, epsilon):
    assert_is_its_box(name, mdp, seed, limit, gamma, epsilon, off_policy=True)


# -- convergence ----------------------------------------------------------------------------------

PROBLEM = random_mdp(1594, num_states=3, num_actions=2)
GAMMA = 0.8


def optimal_q(mdp, gamma, epsilon=0.0):
    return mdp.action_values(mdp.optimal_values(gamma, epsilon=epsilon), gamma)


def learn_for_long(learner, **keywords):
    episodes = 40_000
    return learner(
        PROBLEM,
        episodes=episodes,
        alpha=harmonic_schedule(0.5, episodes, half_life=100),
        gamma=GAMMA,
        runs=60,
        seed=5,
        **keywords,
    ).q


def test_the_problem_of_the_convergence_tests_has_no_close_calls():
    """A max over values that cannot be told apart would be biased for ever."""
    for epsilon in (0.0, 0.3):
        ordered = np.sort(optimal_q(PROBLEM, GAMMA, epsilon), axis=1)
        assert np.all(ordered[:, -1] - ordered[:, -2] > 0.5)


LIMIT_CASES = pytest.mark.parametrize("limit", [None, 2], ids=["unlimited", "truncated"])


@LIMIT_CASES
@pytest.mark.parametrize("epsilon", [0.3, 1.0])
@pytest.mark.parametrize(
    "learner",
    [sarsa, expected_sarsa, partial(n_step_sarsa, n=1), partial(n_step_sarsa, n=3)],
    ids=["sarsa", "expected_sarsa", "1-step", "3-step"],
)
def test_on_policy_methods_converge_to_the_best_soft_values(learner, epsilon, limit):
    """With a fixed ε the fixed point is q of the best ε-soft policy, with ε = 1 of the uniform one.

    The bias left is of the order of the last α (0.001). False-alarm rate 7e-6 for each entry.
    """
    q = learn_for_long(learner, epsilon=epsilon, max_episode_steps=limit)
    assert_mean(q, optimal_q(PROBLEM, GAMMA, epsilon), allowance=2e-3)
    assert q.std(axis=0).max() < 0.06


@LIMIT_CASES
@pytest.mark.parametrize("off_policy", [False, True], ids=["own actions", "others' actions"])
@pytest.mark.parametrize("learner", [q_learning, double_q_learning])
def test_q_learning_converges_to_the_optimal_values_whoever_acts(learner, off_policy, limit):
    behavior = {"behavior_policy": [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]} if off_policy else {}
    q = learn_for_long(learner, epsilon=0.3, max_episode_steps=limit, **behavior)
    assert_mean(q, optimal_q(PROBLEM, GAMMA), allowance=2e-3)
    assert q.std(axis=0).max() < 0.08


@LIMIT_CASES
@pytest.mark.parametrize(
    "learner",
    [expected_sarsa, partial(n_step_sarsa, n=1), partial(n_step_sarsa, n=2)],
    ids=["expected_sarsa", "1-step", "2-step"],
)
def test_off_policy_methods_converge_to_the_target_policys_values(learner, limit):
    behavior = [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]]
    q = learn_for_long(learner, epsilon=0.3, max_episode_steps=limit, behavior_policy=behavior)
    assert_mean(q, optimal_q(PROBLEM, GAMMA, epsilon=0.3), allowance=2e-3)


def test_greedy_in_the_limit_sarsa_becomes_optimal():
    """GLIE: with a vanishing ε Sarsa's own policy tends to the optimal one.

    At the last ε = 0.02 the best ε-soft values differ from the optimal ones by ``gap``.
    """
    epsilon = harmonic_schedule(1.0, 40_000, half_life=800)
    best_values = learn_for_long(sarsa, epsilon=epsilon).max(axis=2)
    optimal = PROBLEM.optimal_values(GAMMA)
    gap = np.abs(optimal - optimal_q(PROBLEM, GAMMA, epsilon[-1]).max(axis=1)).max()
    assert gap < 0.03
    assert_mean(best_values, optimal, allowance=2 * gap)


@pytest.mark.parametrize("learner", [q_learning, sarsa, expected_sarsa])
def test_taxi_learns_that_delivering_pays(learner):
    """Without the update on the terminal transition no value would ever rise above −1."""
    taxi = from_gymnasium("Taxi-v4")
    result = learner(taxi, episodes=3000, alpha=0.5, epsilon=0.02, runs=2, seed=0)
    assert result.returns[:, -500:].mean() > 0
    if learner is q_learning:
        exact = optimal_q(taxi, 1.0)
        assert result.q.max() == pytest.approx(exact.max()) == 20


# -- cliff walking --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("learner", "early", "late", "late_error"),
    [
        (q_learning, -80.5, -50.19, 0.11),
        (sarsa, -71.2, -26.86, 0.11),
        # Chosen before the update the actions of the first 100 episodes would give −57.4.
        (expected_sarsa, -56.20, -20.79, 0.03),
    ],
)
def test_cliff_walking_online_returns(learner, early, late, late_error):
    """Sutton & Barto 2018, Example 6.6: α = 0.5, ε = 0.1; the numbers are means of 4000 runs."""
    cliff = from_gymnasium("CliffWalking-v1")
    returns = learner(cliff, episodes=500, alpha=0.5, epsilon=0.1, runs=1000, seed=3).returns
    first, last = returns[:, :100].mean(axis=1), returns[:, 400:].mean(axis=1)
    # √1.25 is for the published runs' own error, a quarter of the variance of ours.
    bars = 4.5 * np.sqrt(1.25)
    assert_mean(first, early, allowance=0.05, standard_errors=bars)
    assert_mean(last, late, allowance=0.005, standard_errors=bars)
    assert last.std() / np.sqrt(4000) == pytest.approx(late_error, abs=0.01)


def test_q_learning_walks_the_edge_and_sarsa_the_safe_path():
    cliff = from_gymnasium("CliffWalking-v1")
    lengths = {}
    for learner in (q_learning, expected_sarsa):
        q = learner(cliff, episodes=2000, alpha=0.5, epsilon=0.1, seed=1).q[0]
        greedy = epsilon_greedy_policy(q, 0.0)
        lengths[learner] = -cliff.start @ cliff.policy_values(greedy, 1.0, horizon=100)
    assert lengths[q_learning] == pytest.approx(13)
    assert 15 <= round(lengths[expected_sarsa]) <= 17


# -- maximisation bias ----------------------------------------------------------------------------


def eight_coins():
    """From state 0 to state 1, where each of eight actions pays ±1 with equal chance: all is 0."""
    probabilities = np.full((2, 8, 2), 0.5)
    rewards = np.zeros((2, 8, 2))
    rewards[1] = [1.0, -1.0]
    return TabularMDP(
        probabilities=probabilities,
        next_states=np.ones((2, 8, 2), dtype=int),
        rewards=rewards,
        terminated=np.stack((np.zeros((8, 2), bool), np.ones((8, 2), bool))),
        start=[1.0, 0.0],
    )


def test_double_q_learning_has_no_maximisation_bias_and_q_learning_has():
    """One table's best action is judged by the other one, which has seen other coins."""
    mdp = eight_coins()
    arguments = dict(
        episodes=200, alpha=0.2, runs=4000, seed=2, behavior_policy=uniform_policy(2, 8)
    )
    doubled = double_q_learning(mdp, **arguments).q[:, 0].mean(axis=1)
    assert_mean(doubled, 0.0)
    plain = q_learning(mdp, **arguments).q[:, 0].mean(axis=1)
    assert plain.mean() > 0.3


# -- how the algorithms contain each other --------------------------------------------------------


def learn(learner, mdp, seed, **keywords):
    """A few episodes from a crooked start."""
    initial = np.random.default_rng(seed).normal(size=(mdp.num_states, mdp.num_actions))
    arguments = dict(episodes=5, alpha=0.3, gamma=0.9, runs=2, seed=seed, initial_q=initial)
    return learner(mdp, **{**arguments, **keywords}).q


@given(mdps(), SEEDS, LIMITS, st.booleans())
@settings(max_examples=25)
def test_expected_sarsa_without_exploration_is_q_learning(mdp, seed, limit, off_policy):
    keywords = dict(epsilon=0.0, max_episode_steps=limit or 50)
    if off_policy:
        keywords["behavior_policy"] = random_policy(mdp, seed)
    expected = learn(expected_sarsa, mdp, seed, **keywords)
    assert np.array_equal(expected, learn(q_learning, mdp, seed, **keywords))


@given(mdps(), SEEDS, LIMITS, EPSILONS)
@settings(max_examples=25)
def test_one_step_sarsa_is_sarsa_bit_for_bit(mdp, seed, limit, epsilon):
    keywords = dict(epsilon=epsilon, max_episode_steps=limit or 50)
    one_step = learn(partial(n_step_sarsa, n=1), mdp, seed, **keywords)
    assert np.array_equal(one_step, learn(sarsa, mdp, seed, **keywords))


@given(mdps(max_actions=1), SEEDS, LIMITS)
@settings(max_examples=25)
def test_with_one_action_all_one_step_methods_agree(mdp, seed, limit):
    learnt = [
        learn(learner, mdp, seed, max_episode_steps=limit)
        for learner in (sarsa, expected_sarsa, q_learning)
    ]
    assert np.allclose(learnt[0], learnt[1], atol=1e-12)
    assert np.allclose(learnt[0], learnt[2], atol=1e-12)


def test_epsilon_schedules_are_followed_episode_by_episode():
    """The first episode explores always, the second never."""
    mdp = random_mdp(0, num_actions=3, max_episode_steps=1)
    best_first = np.tile([5.0, 0.0, 0.0], (4, 1))
    keywords = dict(alpha=1e-9, runs=3000, seed=1, initial_q=best_first)
    explored = q_learning(mdp, episodes=1, epsilon=[1.0], **keywords).q != best_first
    greedy = q_learning(mdp, episodes=1, epsilon=[0.0], **keywords).q != best_first
    assert not greedy[:, :, 1:].any()
    share = explored.any(axis=1).mean(axis=0)
    assert np.abs(share - 1 / 3).max() < 4.5 * np.sqrt(2 / 9 / 3000)
    both = q_learning(mdp, episodes=2, epsilon=[0.0, 1.0], **keywords).q != best_first
    assert both[:, :, 1:].any()


@pytest.mark.parametrize("learner", CONTROL)
def test_a_constant_schedule_is_the_number(learner):
    mdp = random_mdp(0)
    number = learner(mdp, episodes=20, alpha=0.3, epsilon=0.2)
    schedule = learner(mdp, episodes=20, alpha=np.full(20, 0.3), epsilon=np.full(20, 0.2))
    assert np.array_equal(number.q, schedule.q)
    other = learner(mdp, episodes=20, alpha=np.linspace(0.3, 0.1, 20), epsilon=0.2)
    assert not np.array_equal(number.q, other.q)


# -- a fixed data set -----------------------------------------------------------------------------


def test_q_learning_from_transitions_is_exact_where_nothing_is_random():
    """With α = 1 and no chance it is value iteration, in any order, on what the data contain."""
    cliff = from_gymnasium("CliffWalking-v1")
    data = collect(cliff, episodes=3, seed=1)
    model = TabularMDP.from_transitions(data)
    q = q_learning_from_transitions(data, sweeps=60, alpha=1.0, gamma=0.9)
    seen = np.zeros((48, 4), dtype=bool)
    seen[data.states, data.actions] = True
    # The values of actions never tried are kept, at 0: the model's, which ends there, are 0 too.
    assert np.allclose(q, optimal_q(model, 0.9), atol=1e-2)
    more = q_learning_from_transitions(data, sweeps=400, alpha=1.0, gamma=0.9)
    assert np.allclose(more, optimal_q(model, 0.9), atol=1e-10)
    assert np.all(more[~seen] == 0)


@pytest.mark.parametrize("limit", [None, 2])
def test_q_learning_from_transitions_finds_the_optimum_of_the_likeliest_model(limit):
    """Twenty orders of presentation, with falling steps: the mean is q* of the model, not of the
    problem, from which 300 episodes are too few to tell it."""
    data = collect(PROBLEM, episodes=300, seed=1, max_episode_steps=limit)
    exact = optimal_q(TabularMDP.from_transitions(data), GAMMA)
    tables = []
    for order in range(20):
        q = np.zeros_like(exact)
        for sweep, alpha in enumerate(harmonic_schedule(0.1, 300, half_life=3)):
            q = q_learning_from_transitions(
                data, sweeps=1, alpha=alpha, gamma=GAMMA, seed=1000 * order + sweep, initial_q=q
            )
        tables.append(q)
    assert_mean(tables, exact, allowance=2e-3)
    assert np.abs(exact - optimal_q(PROBLEM, GAMMA)).max() > 0.02


def test_q_learning_from_transitions_keeps_what_never_occurs():
    data = collect(PROBLEM, [[1.0, 0.0]] * 3, episodes=50)
    q = q_learning_from_transitions(data, sweeps=5, alpha=0.1, initial_q=7.0)
    assert np.all(q[:, 1] == 7.0)
    assert np.all(q[:, 0] != 7.0)
    again = q_learning_from_transitions(data, sweeps=5, alpha=0.1, initial_q=7.0)
    other = q_learning_from_transitions(data, sweeps=5, alpha=0.1, initial_q=7.0, seed=1)
    assert np.array_equal(q, again)
    assert not np.array_equal(q, other)


# -- bad input ------------------------------------------------------------------------------------

MDP = random_mdp(0)
UNIFORM = uniform_policy(4, 3)


@pytest.mark.parametrize(
    ("changed", "exception", "words"),
    [
        ({"problem": "FrozenLake-v1"}, TypeError, r"problem: takes a TabularMDP or .*got str"),
        ({"episodes": 0}, ValueError, r"episodes: takes a whole number >= 1, got 0"),
        ({"episodes": True}, ValueError, r"episodes: takes a whole number >= 1, got True"),
        ({"episodes": 2.0}, TypeError, r"episodes: .*got 2\.0 \(float\)"),
        ({"alpha": 0}, ValueError, r"alpha: takes numbers in \(0, 1\], got 0\.0"),
        ({"alpha": 1.1}, ValueError, r"alpha: takes numbers in \(0, 1\], got 1\.1"),
        ({"alpha": [[0.1, 0.1]]}, ValueError, r"alpha: .*\(episodes,\) = \(2,\), got .*\(1, 2\)"),
        ({"alpha": [0.1, 2.0]}, ValueError, r"alpha: takes numbers in \(0, 1\], got 2\.0"),
        ({"alpha": [0.1, "x"]}, TypeError, r"alpha: takes .* numbers, got \[0\.1, 'x'\]"),
        ({"epsilon": -0.1}, ValueError, r"epsilon: takes numbers in \[0, 1\], got -0\.1"),
        ({"epsilon": 1.1}, ValueError, r"epsilon: takes numbers in \[0, 1\], got 1\.1"),
        ({"epsilon": [0.1] * 3}, ValueError, r"epsilon: .*\(episodes,\) = \(2,\), got .*\(3,\)"),
        ({"epsilon": None}, TypeError, r"epsilon: takes .* numbers, got None"),
        ({"gamma": 2}, ValueError, r"gamma: takes a number in \[0, 1\], got 2"),
        ({"gamma": None}, TypeError, r"gamma: takes a number in \[0, 1\], got None"),
        ({"runs": 0}, ValueError, r"runs: takes a whole number >= 1, got 0"),
        ({"runs": 1.5}, TypeError, r"runs: .*got 1\.5"),
        ({"seed": -1}, ValueError, r"seed: takes a whole number >= 0, got -1"),
        ({"seed": 0.5}, TypeError, r"seed: .*got 0\.5"),
        ({"initial_q": np.nan}, ValueError, r"initial_q: takes finite numbers"),
        ({"initial_q": [1.0]}, ValueError, r"initial_q: takes shape \(4, 3\), got \(1,\)"),
        ({"initial_q": "high"}, TypeError, r"initial_q: .*got 'high'"),
        ({"max_episode_steps": -1}, ValueError, r"max_episode_steps: .* >= 1, got -1"),
        ({"max_episode_steps": "9"}, TypeError, r"max_episode_steps: .*got '9'"),
    ],
)
@pytest.mark.parametrize("learner", CONTROL)
def test_bad_arguments_are_named(learner, changed, exception, words):
    arguments = {"problem": MDP, "episodes": 2, "alpha": 0.1, **changed}
    with pytest.raises(exception, match=words):
        learner(**arguments)


@pytest.mark.parametrize(
    ("policy", "exception", "words"),
    [
        (UNIFORM[:3], ValueError, r"behavior_policy: takes shape .*\(4, 3\), got \(3, 3\)"),
        (UNIFORM * 1.01, ValueError, r"behavior_policy: .*sum to 1, got row 0"),
        (UNIFORM - 0.5, ValueError, r"behavior_policy: "),
        (UNIFORM * np.nan, ValueError, r"behavior_policy: .*got row 0: \[nan"),
        ("uniform", TypeError, r"behavior_policy: .*got 'uniform'"),
    ],
)
@pytest.mark.parametrize("learner", OFF_POLICY)
def test_bad_behaviour_policies_are_named(learner, policy, exception, words):
    with pytest.raises(exception, match=words):
        learner(MDP, episodes=2, alpha=0.1, behavior_policy=policy)


def test_sarsa_follows_itself():
    with pytest.raises(TypeError, match="behavior_policy"):
        sarsa(MDP, episodes=2, alpha=0.1, behavior_policy=UNIFORM)


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (
            lambda: n_step_sarsa(MDP, n=0, episodes=1, alpha=0.1),
            ValueError,
            r"n: takes a whole number >= 1, got 0",
        ),
        (
            lambda: n_step_sarsa(MDP, episodes=1, alpha=0.1, behavior_policy=[[1.0, 0.0, 0.0]] * 4),
            ValueError,
            r"behavior_policy: takes probabilities > 0 \(importance .*got 0\.0",
        ),
        (
            lambda: q_learning_from_transitions(MDP, sweeps=1, alpha=0.1),
            TypeError,
            r"transitions: takes Transitions, got TabularMDP",
        ),
        (lambda: from_data(sweeps=0), ValueError, r"sweeps: .* >= 1, got 0"),
        (lambda: from_data(alpha=0), ValueError, r"alpha: .*\(0, 1\], got 0\.0"),
        (lambda: from_data(gamma=-1), ValueError, r"gamma: .*got -1"),
        (lambda: from_data(seed=-1), ValueError, r"seed: .* >= 0, got -1"),
        (lambda: from_data(initial_q=[1]), ValueError, r"initial_q: .*\(4, 3\), got \(1,\)"),
    ],
)
def test_bad_arguments_of_single_algorithms_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call()


def from_data(**changed):
    data = collect(MDP, episodes=2)
    return q_learning_from_transitions(data, **{"sweeps": 1, "alpha": 0.1, **changed})
