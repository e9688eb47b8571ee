"""Claims about prediction: what each method computes, step by step, and where it converges to."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    PREDICTION,
    TabularMDP,
    Transitions,
    batch_monte_carlo,
    batch_td,
    collect,
    harmonic_schedule,
    monte_carlo,
    n_step_td,
    offline_lambda_return,
    td0,
    td_lambda,
    uniform_policy,
)
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

VARIANTS = {
    "td0": td0,
    "n-step, n=1": partial(n_step_td, n=1),
    "n-step, n=3": partial(n_step_td, n=3),
    "accumulating": partial(td_lambda, lam=0.8, traces="accumulating"),
    "replacing": partial(td_lambda, lam=0.8, traces="replacing"),
    "dutch": partial(td_lambda, lam=0.8, traces="dutch"),
    "offline": partial(offline_lambda_return, lam=0.6),
    "every-visit": monte_carlo,
    "first-visit": partial(monte_carlo, first_visit=True),
}


# -- the definitions, written out over recorded episodes -------------------------------------------
#
# ``collect`` meets the same chance as a learner with the same seed and policy, so that a learner's
# result can be computed again, slowly and from the definition, of what was recorded.


class Episode:
    def __init__(self, states, rewards, terminated, gamma):
        self.states, self.rewards, self.gamma = states, rewards, gamma
        self.terminated, self.length = terminated, len(rewards)

    def after(self, t, values):
        """v(S_t), which is 0 after the end."""
        return 0.0 if self.terminated and t == self.length else values[self.states[t]]

    def n_step_return(self, t, last, values):
        discounted = sum(self.gamma ** (i - t) * self.rewards[i] for i in range(t, last))
        return discounted + self.gamma ** (last - t) * self.after(last, values)

    def lambda_return(self, t, last, lam, values_at):
        """Eq. 12.9 of Sutton & Barto, bootstrapping at time k from ``values_at(k)``."""
        total = lam ** (last - t - 1) * self.n_step_return(t, last, values_at(last))
        for k in range(t + 1, last):
            weight = (1 - lam) * lam ** (k - t - 1)
            total += weight * self.n_step_return(t, k, values_at(k))
        return total

    def td_error(self, t, values):
        target = self.rewards[t] + self.gamma * self.after(t + 1, values)
        return target - values[self.states[t]]


def recorded_episodes(data, gamma):
    first = 0
    for last in np.flatnonzero(data.ended) + 1:
        states = [*data.states[first:last], data.next_states[last - 1]]
        yield Episode(states, data.rewards[first:last], data.terminated[last - 1], gamma)
        first = last


def by_n_step(episode, values, alpha, n):
    for time in range(1, episode.length + n):
        t = time - n
        if t >= 0:
            target = episode.n_step_return(t, min(time, episode.length), values)
            values[episode.states[t]] += alpha * (target - values[episode.states[t]])


def by_traces(episode, values, alpha, lam, replacing):
    for t in range(episode.length):
        change = alpha * episode.td_error(t, values)
        for state in range(len(values)):
            visits = [k for k in range(t + 1) if episode.states[k] == state]
            visits = visits[-1:] if replacing else visits
            values[state] += change * sum((episode.gamma * lam) ** (t - k) for k in visits)


def by_online_lambda_returns(episode, values, alpha, lam):
    """Section 12.4: at every step, begin the episode again with the longer λ-returns."""
    history = [values.copy()]
    for horizon in range(1, episode.length + 1):
        again = history[0].copy()
        for t in range(horizon):
            target = episode.lambda_return(t, horizon, lam, lambda k: history[k - 1])
            again[episode.states[t]] += alpha * (target - again[episode.states[t]])
        history.append(again)
    values[:] = history[-1]


def by_offline_lambda_returns(episode, values, alpha, lam, first_visit=False):
    begin = values.copy()
    for t in range(episode.length):
        if first_visit and episode.states[t] in episode.states[:t]:
            continue
        target = episode.lambda_return(t, episode.length, lam, lambda k: begin)
        values[episode.states[t]] += alpha * (target - values[episode.states[t]])


DEFINITIONS = {
    "td0": partial(by_n_step, n=1),
    "n-step, n=1": partial(by_n_step, n=1),
    "n-step, n=3": partial(by_n_step, n=3),
    "accumulating": partial(by_traces, lam=0.8, replacing=False),
    "replacing": partial(by_traces, lam=0.8, replacing=True),
    "dutch": partial(by_online_lambda_returns, lam=0.8),
    "offline": partial(by_offline_lambda_returns, lam=0.6),
    "every-visit": partial(by_offline_lambda_returns, lam=1.0),
    "first-visit": partial(by_offline_lambda_returns, lam=1.0, first_visit=True),
}


@pytest.mark.parametrize("name", VARIANTS)
@given(mdps(), SEEDS, LIMITS, GAMMAS)
@settings(max_examples=25)
def test_each_method_is_its_definition_on_recorded_episodes(name, mdp, seed, limit, gamma):
    episodes = 8
    rng = np.random.default_rng(seed)
    policy = random_policy(mdp, seed)
    alpha = rng.uniform(0.05, 1, size=episodes)
    values = rng.normal(size=mdp.num_states)
    exact = mdp.policy_values(policy, gamma)
    result = VARIANTS[name](
        mdp,
        policy,
        episodes=episodes,
        alpha=alpha,
        gamma=gamma,
        seed=seed,
        initial_value=values,
        max_episode_steps=limit,
    )
    data = collect(mdp, policy, episodes=episodes, seed=seed, max_episode_steps=limit)
    counted = mdp.reachable_states
    for i, episode in enumerate(recorded_episodes(data, gamma)):
        DEFINITIONS[name](episode, values, alpha[i])
        assert result.returns[0, i] == pytest.approx(episode.rewards.sum(), abs=1e-9)
        assert result.lengths[0, i] == episode.length
        error = np.sqrt(np.mean((values - exact)[counted] ** 2))
        assert result.errors[0, i] == pytest.approx(error, abs=1e-8)
    assert np.allclose(result.values[0], values, rtol=1e-9, atol=1e-9)


# -- convergence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, 2], ids=["unlimited", "truncated after 2 steps"])
@pytest.mark.parametrize("name", VARIANTS)
def test_each_method_converges_to_the_values_of_the_policy(name, limit):
    """Under a Robbins–Monro schedule, and though episodes are cut short: the value of the state
    where an episode was cut off stands for what would have followed.

    The bias left at the end is of the order of the last α (0.0006); 4.5 standard errors are about
    0.01. The false-alarm rate is 7e-6 for each of 4 values.
    """
    mdp = random_mdp(11)
    policy = random_policy(mdp, 5)
    episodes = 40_000
    result = VARIANTS[name](
        mdp,
        policy,
        episodes=episodes,
        alpha=harmonic_schedule(0.5, episodes, half_life=50),
        gamma=0.9,
        runs=60,
        seed=3,
        max_episode_steps=limit,
    )
    assert_mean(result.values, mdp.policy_values(policy, 0.9), allowance=1e-3)
    assert result.values.std(axis=0).max() < 0.05


@pytest.mark.parametrize("method", PREDICTION)
def test_the_uniform_policy_is_followed_if_none_is_given(method):
    mdp = random_mdp(0)
    uniform = uniform_policy(mdp.num_states, mdp.num_actions)
    silent = method(mdp, episodes=20, alpha=0.1)
    spoken = method(mdp, uniform, episodes=20, alpha=0.1)
    assert np.array_equal(silent.values, spoken.values)
    assert np.array_equal(silent.errors, spoken.errors)


def test_errors_are_measured_against_the_values_given():
    mdp = random_mdp(0)
    result = td0(mdp, episodes=5, alpha=1e-12, true_values=np.full(4, 3.0), initial_value=1.0)
    assert np.allclose(result.errors, 2.0)


def test_errors_count_only_states_in_which_an_episode_acts():
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    result = td0(walk, episodes=1, alpha=1e-12, initial_value=0.5)
    line = np.arange(1, 6) / 6
    assert result.errors[0, 0] == pytest.approx(np.sqrt(np.mean((line - 0.5) ** 2)))


# -- published numbers ----------------------------------------------------------------------------

EPISODES = np.array([10, 25, 50, 100])


@pytest.mark.parametrize(
    ("method", "alpha", "published"),
    [
        (td0, 0.05, [0.1746, 0.1097, 0.0533, 0.0353]),
        (td0, 0.1, [0.1284, 0.0566, 0.0504, 0.0553]),
        (monte_carlo, 0.02, [0.1970, 0.1538, 0.1109, 0.0819]),
        (monte_carlo, 0.03, [0.1867, 0.1391, 0.1047, 0.0937]),
    ],
)
def test_five_state_random_walk(method, alpha, published):
    """Sutton & Barto 2018, Example 6.2; the numbers are means of 100 000 runs, rounded."""
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    errors = method(walk, episodes=100, alpha=alpha, initial_value=0.5, runs=10_000, seed=1).errors
    # √1.1 is for the published runs' own error, a tenth of the variance of ours.
    assert_mean(
        errors[:, EPISODES - 1], published, allowance=5e-5, standard_errors=4.5 * np.sqrt(1.1)
    )


@pytest.mark.parametrize(
    ("method", "alpha", "published"),
    [
        (partial(n_step_td, n=1), 0.8, 0.3454),
        (partial(n_step_td, n=2), 0.6, 0.2775),
        (partial(n_step_td, n=4), 0.4, 0.2635),
        (partial(n_step_td, n=64), 0.054, 0.4155),
        (partial(td_lambda, lam=0.8), 0.3, 0.2611),
        (partial(offline_lambda_return, lam=0.8), 0.4, 0.2612),
    ],
)
def test_nineteen_state_random_walk(method, alpha, published):
    """Sutton & Barto 2018, Examples 7.1 and 12.1; the numbers are known to ± 0.001."""
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=19, left_reward=-1.0)
    errors = method(walk, episodes=10, alpha=alpha, runs=3000, seed=1).errors
    assert_mean(errors.mean(axis=1), published, allowance=0.001)


# -- how the methods contain each other -----------------------------------------------------------


def learn(method, mdp, seed, **keywords):
    """A few episodes from a crooked start."""
    settings_ = dict(episodes=5, alpha=0.3, gamma=0.9, runs=2, seed=seed)
    initial = np.random.default_rng(seed).normal(size=mdp.num_states)
    return method(mdp, initial_value=initial, **{**settings_, **keywords}).values


@given(mdps(), SEEDS, LIMITS)
@settings(max_examples=25)
def test_one_step_td_is_td0_bit_for_bit(mdp, seed, limit):
    td = learn(td0, mdp, seed, max_episode_steps=limit)
    assert np.array_equal(learn(partial(n_step_td, n=1), mdp, seed, max_episode_steps=limit), td)


@given(mdps(), SEEDS, LIMITS)
@settings(max_examples=25)
def test_lambda_zero_is_td0(mdp, seed, limit):
    td = learn(td0, mdp, seed, max_episode_steps=limit)
    for traces in ("accumulating", "replacing"):
        method = partial(td_lambda, lam=0.0, traces=traces)
        assert np.array_equal(learn(method, mdp, seed, max_episode_steps=limit), td)
    dutch = learn(partial(td_lambda, lam=0.0, traces="dutch"), mdp, seed, max_episode_steps=limit)
    assert np.allclose(dutch, td, atol=1e-10)


@given(mdps(), SEEDS)
@settings(max_examples=25)
def test_as_many_steps_as_the_episode_has_are_monte_carlo(mdp, seed):
    many = learn(partial(n_step_td, n=10_000), mdp, seed)
    assert np.allclose(many, learn(monte_carlo, mdp, seed), atol=1e-10)


@given(mdps(), SEEDS, LIMITS)
@settings(max_examples=25)
def test_lambda_one_offline_is_monte_carlo_bit_for_bit(mdp, seed, limit):
    forward = partial(offline_lambda_return, lam=1.0)
    assert np.array_equal(
        learn(forward, mdp, seed, max_episode_steps=limit),
        learn(monte_carlo, mdp, seed, max_episode_steps=limit),
    )


@pytest.mark.parametrize("traces", ["accumulating", "replacing", "dutch"])
@given(SEEDS, st.floats(0, 1), GAMMAS)
@settings(max_examples=15)
def test_forward_view_is_backward_view_where_no_state_comes_twice(traces, seed, lam, gamma):
    """No value is changed before it has been used, so that both are exact, with any traces."""
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=9)
    rightwards = np.tile([0.0, 1.0], (11, 1))
    keywords = dict(policy=rightwards, gamma=gamma)
    backward = learn(partial(td_lambda, lam=lam, traces=traces), walk, seed, **keywords)
    forward = learn(partial(offline_lambda_return, lam=lam), walk, seed, **keywords)
    assert np.allclose(backward, forward, atol=1e-12)


@pytest.mark.parametrize("traces", ["accumulating", "dutch"])
@given(mdps(), SEEDS, LIMITS, st.floats(0, 1))
@settings(max_examples=25)
def test_forward_view_is_backward_view_for_small_steps(traces, mdp, seed, limit, lam):
    """The sum of all changes is the same in both views; they differ in the order of α²."""
    alpha = 1e-7
    initial = np.random.default_rng(seed).normal(size=mdp.num_states)
    backward = partial(td_lambda, lam=lam, traces=traces)
    forward = partial(offline_lambda_return, lam=lam)
    changes = [
        (learn(view, mdp, seed, alpha=alpha, episodes=1, max_episode_steps=limit) - initial) / alpha
        for view in (backward, forward)
    ]
    assert np.allclose(*changes, rtol=1e-3, atol=1e-3)


@given(mdps(), SEEDS)
@settings(max_examples=25)
def test_visits_are_all_first_when_an_episode_is_one_step(mdp, seed):
    first = learn(partial(monte_carlo, first_visit=True), mdp, seed, max_episode_steps=1)
    assert np.array_equal(first, learn(monte_carlo, mdp, seed, max_episode_steps=1))
    assert np.array_equal(first, learn(td0, mdp, seed, max_episode_steps=1))


# -- a fixed batch --------------------------------------------------------------------------------


def empirical_policy(data):
    counts = np.zeros((data.num_states, data.num_actions))
    np.add.at(counts, (data.states, data.actions), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / data.num_actions)


@given(mdps(), SEEDS, LIMITS, st.sampled_from([0.0, 0.5, 0.95]))
@settings(max_examples=40)
def test_batch_td_is_exact_in_the_maximum_likelihood_model(mdp, seed, limit, gamma):
    data = collect(mdp, random_policy(mdp, seed), episodes=6, seed=seed, max_episode_steps=limit)
    model = TabularMDP.from_transitions(data)
    certainty_equivalent = model.policy_values(empirical_policy(data), gamma)
    assert np.allclose(batch_td(data, gamma=gamma), certainty_equivalent, atol=1e-7)


@given(mdps(), SEEDS, LIMITS, GAMMAS, st.floats(-2, 2))
@settings(max_examples=40)
def test_batch_monte_carlo_is_the_mean_of_the_returns(mdp, seed, limit, gamma, initial):
    data = collect(mdp, random_policy(mdp, seed), episodes=6, seed=seed, max_episode_steps=limit)
    start = np.full(mdp.num_states, initial)
    returns = [[] for _ in range(mdp.num_states)]
    for episode in recorded_episodes(data, gamma):
        for t in range(episode.length):
            following = episode.n_step_return(t, episode.length, start)
            returns[episode.states[t]].append(following)
    expected = [np.mean(seen) if seen else initial for seen in returns]
    assert np.allclose(batch_monte_carlo(data, gamma=gamma, initial_value=initial), expected)


def you_are_the_predictor():
    """Sutton & Barto 2018, Example 6.4: A, 0, B, 0 once; B, 1 six times; B, 0 once."""
    return Transitions(
        states=[0, 1, 1, 1, 1, 1, 1, 1, 1],
        actions=np.zeros(9, dtype=int),
        rewards=[0, 0, 1, 1, 1, 1, 1, 1, 0],
        next_states=[1, 2, 2, 2, 2, 2, 2, 2, 2],
        terminated=[False, *[True] * 8],
        ended=[False, *[True] * 8],
        num_states=3,
        num_actions=1,
    )


def test_you_are_the_predictor():
    data = you_are_the_predictor()
    assert np.allclose(batch_td(data)[:2], [3 / 4, 3 / 4])
    assert np.allclose(batch_monte_carlo(data)[:2], [0, 3 / 4])
    assert batch_td(data, initial_value=9.0)[2] == 9.0


def test_one_sweep_of_batch_td_moves_every_value_to_the_mean_of_its_targets():
    data = you_are_the_predictor()
    once = batch_td(data, initial_value=[0.0, 0.5, 9.0], tolerance=1.0)
    assert once == pytest.approx([0.5, 0.75, 9.0])


def test_batch_td_says_when_it_does_not_converge():
    endless = Transitions([0], [0], [1.0], [0], [False], [True], num_states=1, num_actions=1)
    with pytest.raises(RuntimeError, match="after 30 sweeps values still change by 1"):
        batch_td(endless, max_sweeps=30)
    assert batch_td(endless, gamma=0.5) == pytest.approx(2.0)


# -- bad input ------------------------------------------------------------------------------------

MDP = random_mdp(0)
UNIFORM = uniform_policy(4, 3)


@pytest.mark.parametrize(
    ("changed", "exception", "words"),
    [
        ({"problem": "FrozenLake-v1"}, TypeError, r"problem: takes a TabularMDP or .*got str"),
        ({"policy": UNIFORM[:, :2]}, ValueError, r"policy: takes shape .*\(4, 3\), got \(4, 2\)"),
        ({"policy": 2 * UNIFORM}, ValueError, r"policy: .*sum to 1, got row 0.*\(sum 2\)"),
        ({"policy": -UNIFORM}, ValueError, r"policy: .*>= 0"),
        ({"policy": UNIFORM * np.nan}, ValueError, r"policy: .*got row 0: \[nan"),
        ({"policy": UNIFORM * np.inf}, ValueError, r"policy: .*got row 0: \[inf"),
        ({"policy": "greedy"}, TypeError, r"policy: takes .*got 'greedy'"),
        ({"episodes": 0}, ValueError, r"episodes: takes a whole number >= 1, got 0"),
        ({"episodes": 2.5}, TypeError, r"episodes: takes a whole number >= 1, got 2\.5 \(float\)"),
        ({"episodes": True}, ValueError, r"episodes: takes a whole number >= 1, got True"),
        ({"alpha": 0.0}, ValueError, r"alpha: takes numbers in \(0, 1\], got 0\.0"),
        ({"alpha": 1.5}, ValueError, r"alpha: takes numbers in \(0, 1\], got 1\.5"),
        ({"alpha": np.nan}, ValueError, r"alpha: takes numbers in \(0, 1\], got nan"),
        ({"alpha": "0.1"}, TypeError, r"alpha: takes .* numbers, got '0\.1'"),
        ({"alpha": None}, TypeError, r"alpha: takes .* numbers, got None"),
        ({"alpha": [0.1, 0.2, 0.3]}, ValueError, r"alpha: .*\(episodes,\) = \(2,\), got .*\(3,\)"),
        ({"alpha": [0.1, -0.2]}, ValueError, r"alpha: takes numbers in \(0, 1\], got -0\.2"),
        ({"gamma": 1.01}, ValueError, r"gamma: takes a number in \[0, 1\], got 1\.01"),
        ({"gamma": -0.5}, ValueError, r"gamma: takes a number in \[0, 1\], got -0\.5"),
        ({"gamma": np.nan}, ValueError, r"gamma: takes a number in \[0, 1\], got nan"),
        ({"gamma": "0.9"}, TypeError, r"gamma: takes a number in \[0, 1\], got '0\.9'"),
        ({"gamma": True}, TypeError, r"gamma: takes a number in \[0, 1\], got True"),
        ({"runs": 0}, ValueError, r"runs: takes a whole number >= 1, got 0"),
        ({"runs": "10"}, TypeError, r"runs: takes a whole number >= 1, got '10'"),
        ({"seed": -1}, ValueError, r"seed: takes a whole number >= 0, got -1"),
        ({"seed": None}, TypeError, r"seed: takes a whole number >= 0, got None"),
        ({"initial_value": np.inf}, ValueError, r"initial_value: takes finite numbers"),
        ({"initial_value": [1, 2]}, ValueError, r"initial_value: takes shape \(4,\), got \(2,\)"),
        ({"initial_value": "zero"}, TypeError, r"initial_value: .*got 'zero'"),
        ({"max_episode_steps": 0}, ValueError, r"max_episode_steps: .* >= 1, got 0"),
        ({"max_episode_steps": 1.0}, TypeError, r"max_episode_steps: .*got 1\.0 \(float\)"),
        ({"true_values": [0.0]}, ValueError, r"true_values: takes shape \(4,\), got \(1,\)"),
        ({"true_values": [np.nan] * 4}, ValueError, r"true_values: takes finite numbers"),
    ],
)
@pytest.mark.parametrize("method", PREDICTION)
def test_bad_arguments_are_named(method, changed, exception, words):
    arguments = {"problem": MDP, "policy": UNIFORM, "episodes": 2, "alpha": 0.1, **changed}
    with pytest.raises(exception, match=words):
        method(**arguments)


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (partial(n_step_td, n=0), ValueError, r"n: takes a whole number >= 1, got 0"),
        (partial(n_step_td, n=1.5), TypeError, r"n: takes a whole number >= 1, got 1\.5"),
        (partial(td_lambda, lam=1.5), ValueError, r"lam: takes a number in \[0, 1\], got 1\.5"),
        (partial(td_lambda, lam="x"), TypeError, r"lam: takes a number in \[0, 1\], got 'x'"),
        (
            partial(td_lambda, traces="dutchy"),
            ValueError,
            r"traces: takes one of accumulating, replacing, dutch, got 'dutchy'",
        ),
        (partial(offline_lambda_return, lam=-1), ValueError, r"lam: .*\[0, 1\], got -1"),
    ],
)
def test_bad_arguments_of_single_methods_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call(MDP, episodes=1, alpha=0.1)


@pytest.mark.parametrize(
    ("call", "exception", "words"),
    [
        (lambda: batch_td(MDP), TypeError, r"transitions: takes Transitions, got TabularMDP"),
        (lambda: batch_monte_carlo([1]), TypeError, r"transitions: .*got list"),
        (lambda: batch_td(DATA, gamma=2), ValueError, r"gamma: .*got 2"),
        (lambda: batch_td(DATA, tolerance=0), ValueError, r"tolerance: .*> 0, got 0"),
        (lambda: batch_td(DATA, max_sweeps=0), ValueError, r"max_sweeps: .*got 0"),
        (lambda: batch_td(DATA, initial_value=[1]), ValueError, r"initial_value: .*\(3,\), got"),
        (lambda: batch_monte_carlo(DATA, gamma=-1), ValueError, r"gamma: .*got -1"),
        (lambda: batch_monte_carlo(DATA, initial_value=np.nan), ValueError, r"initial_value: "),
    ],
)
def test_bad_arguments_of_batch_methods_are_named(call, exception, words):
    with pytest.raises(exception, match=words):
        call()


DATA = you_are_the_predictor()
