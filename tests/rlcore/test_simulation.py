"""Claims about where experience comes from: one call, two roads; seeds; episodes that must end."""

import dataclasses
import inspect
from functools import partial

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore import (
    CONTROL,
    PREDICTION,
    TabularMDP,
    collect,
    double_q_learning,
    expected_sarsa,
    monte_carlo,
    n_step_sarsa,
    n_step_td,
    offline_lambda_return,
    q_learning,
    sarsa,
    td0,
    td_lambda,
    uniform_policy,
)
from rlcore.environments import as_environment
from rlcore.simulation import ENDLESS, seed_pair
from tests.rlcore.problems import (
    SEEDS,
    from_gymnasium,
    mdps,
    random_mdp,
    random_policy,
)

ENVIRONMENTS = {
    "slippery lake": partial(gymnasium.make, "FrozenLake-v1"),
    "big lake": partial(gymnasium.make, "FrozenLake-v1", map_name="8x8", success_rate=0.7),
    "cliff": partial(gymnasium.make, "CliffWalking-v1"),
    "slippery cliff": partial(gymnasium.make, "CliffWalking-v1", is_slippery=True),
    "taxi": partial(gymnasium.make, "Taxi-v4"),
    "rainy taxi": partial(gymnasium.make, "Taxi-v4", is_rainy=True),
    "random walk": partial(gymnasium.make, "rlcore/RandomWalk-v0", num_states=9),
    "stochastic wind": partial(
        gymnasium.make, "rlcore/WindyGridWorld-v0", moves="king", stochastic_wind=True
    ),
    "slippery grid, continuing": partial(
        gymnasium.make, "rlcore/GridWorld-v0", slip=0.3, start=None, max_episode_steps=40
    ),
    "grid, episodic": partial(
        gymnasium.make, "rlcore/GridWorld-v0", terminal_target=True, enter_forbidden=False
    ),
}
# Made once: reading Taxi's table takes longer than all its episodes here.
PAIRS = {
    name: (env, TabularMDP.from_gymnasium(env))
    for name, env in ((name, make()) for name, make in ENVIRONMENTS.items())
}

PREDICTORS = {
    "td0": td0,
    "n_step_td": partial(n_step_td, n=3),
    "td_lambda, accumulating": partial(td_lambda, lam=0.7),
    "td_lambda, replacing": partial(td_lambda, lam=0.7, traces="replacing"),
    "td_lambda, dutch": partial(td_lambda, lam=0.7, traces="dutch"),
    "offline_lambda_return": partial(offline_lambda_return, lam=0.7),
    "monte_carlo": monte_carlo,
    "monte_carlo, first visit": partial(monte_carlo, first_visit=True),
}
CONTROLLERS = {
    "sarsa": sarsa,
    "expected_sarsa": expected_sarsa,
    "q_learning": q_learning,
    "double_q_learning": double_q_learning,
    "n_step_sarsa": partial(n_step_sarsa, n=3),
}


def assert_same(first, second, besides=()):
    for field in dataclasses.fields(first):
        if field.name not in besides:
            ours, theirs = getattr(first, field.name), getattr(second, field.name)
            assert np.array_equal(ours, theirs, equal_nan=True), field.name


# -- one call, two roads --------------------------------------------------------------------------


@st.composite
def learning(draw):
    """Arguments that every learner takes."""
    episodes = draw(st.integers(1, 4))
    return dict(
        episodes=episodes,
        alpha=draw(st.just(0.3) | st.just(np.linspace(1, 0.2, episodes))),
        gamma=draw(st.sampled_from([0.0, 0.9, 1.0])),
        runs=draw(st.integers(1, 2)),
        seed=draw(SEEDS),
        max_episode_steps=draw(st.sampled_from([1, 7, 60, 150])),
    )


@pytest.mark.parametrize("learner", PREDICTORS)
@given(st.sampled_from(sorted(PAIRS)), learning(), st.floats(-1, 1), st.booleans())
@settings(max_examples=15)
def test_prediction_on_a_table_and_on_its_environment_agree_bit_for_bit(
    learner, name, arguments, initial, uniform
):
    env, mdp = PAIRS[name]
    policy = None if uniform else random_policy(mdp, arguments["seed"])
    on_table, on_env = (
        PREDICTORS[learner](problem, policy, initial_value=initial, **arguments)
        for problem in (mdp, env)
    )
    # The environment alone cannot tell the true values.
    assert_same(on_table, on_env, besides=["errors"])
    assert np.isnan(on_env.errors).all()


@pytest.mark.parametrize("learner", CONTROLLERS)
@given(
    st.sampled_from(sorted(PAIRS)),
    learning(),
    st.sampled_from([0.0, 0.1, 1.0]),
    st.sampled_from([0.0, 1.0]),
    st.booleans(),
)
@settings(max_examples=15)
def test_control_on_a_table_and_on_its_environment_agree_bit_for_bit(
    learner, name, arguments, epsilon, initial, off_policy
):
    env, mdp = PAIRS[name]
    if off_policy and learner != "sarsa":
        arguments = {**arguments, "behavior_policy": random_policy(mdp, arguments["seed"])}
    on_table, on_env = (
        CONTROLLERS[learner](problem, epsilon=epsilon, initial_q=initial, **arguments)
        for problem in (mdp, env)
    )
    assert_same(on_table, on_env)


@given(mdps(), SEEDS, st.sampled_from([2, None, 1, 3]))
@settings(max_examples=25)
def test_random_problems_are_met_alike_on_both_roads(mdp, seed, limit):
    env = as_environment(dataclasses.replace(mdp, max_episode_steps=limit))
    copy = TabularMDP.from_gymnasium(env)
    policy = random_policy(mdp, seed)
    assert_same(*(collect(problem, policy, episodes=5, seed=seed) for problem in (copy, env)))
    learn = partial(sarsa, episodes=5, alpha=0.5, seed=seed)
    assert_same(learn(copy), learn(env))


@pytest.mark.parametrize("own, given_, kept", [(5, None, 5), (5, 3, 3), (5, 50, 5)])
def test_the_earlier_of_two_time_limits_counts_on_both_roads(own, given_, kept):
    env = gymnasium.make("CliffWalking-v1", max_episode_steps=own)
    for problem in (env, TabularMDP.from_gymnasium(env)):
        lengths = q_learning(problem, episodes=3, alpha=0.5, max_episode_steps=given_).lengths
        assert np.all(lengths == kept)


def test_an_environment_is_stepped_as_gymnasium_says():
    """One seeded reset, one reset for each further episode, no step after the end."""

    class Recorder(gymnasium.Wrapper):
        calls = ()

        def reset(self, **keywords):
            self.calls += ("reset", keywords.get("seed") is not None)
            return super().reset(**keywords)

        def step(self, action):
            assert self.action_space.contains(int(action))
            state, reward, terminated, truncated, info = super().step(action)
            self.calls += ("end" if terminated or truncated else "step",)
            return state, reward, terminated, truncated, info

    env = Recorder(gymnasium.make("FrozenLake-v1"))
    for learner in (*PREDICTION, *CONTROL):
        env.calls = ()
        result = learner(env, episodes=3, alpha=0.1, runs=2)
        episodes = "".join({"reset": "(", "end": ")"}.get(call, "") for call in env.calls)
        assert episodes == "()" * 6, learner.__name__
        assert [call for call in env.calls if isinstance(call, bool)] == [True] + [False] * 5
        assert sum(call in ("step", "end") for call in env.calls) == result.lengths.sum()


# -- seeds and runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("learner", [*PREDICTION, *CONTROL])
def test_the_same_seed_gives_the_same_arrays_and_another_seed_others(learner):
    mdp = random_mdp(2)
    learn = partial(learner, mdp, episodes=10, alpha=0.2, runs=3)
    assert_same(learn(seed=4), learn(seed=4))
    assert_same(learn(), learn(seed=0))
    assert not np.array_equal(learn(seed=4).returns, learn(seed=5).returns)


@pytest.mark.parametrize("learner", [*PREDICTION, *CONTROL])
def test_the_first_runs_do_not_depend_on_how_many_there_are(learner):
    mdp = random_mdp(2)
    few, many = (learner(mdp, episodes=10, alpha=0.2, runs=runs, seed=1) for runs in (3, 8))
    for field in dataclasses.fields(few):
        assert np.array_equal(getattr(few, field.name), getattr(many, field.name)[:3])


@pytest.mark.parametrize("learner", [*PREDICTION, *CONTROL])
def test_runs_are_independent(learner):
    """No correlation between neighbouring runs, between episodes in which what was learnt does not
    matter (ε = 1), between seeds. 4.5 standard errors of a correlation are 4.5 / √n."""
    mdp = random_mdp(2)
    runs = 4000
    careless = {"epsilon": 1.0} if learner in CONTROL else {}
    learn = partial(learner, mdp, episodes=2, alpha=0.1, runs=runs, **careless)
    first, second = learn(seed=0).returns, learn(seed=1).returns
    pairs = [(first[:-1, 0], first[1:, 0]), (first[:, 0], first[:, 1]), (first[:, 0], second[:, 0])]
    for a, b in pairs:
        assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(runs)


def test_environment_and_learner_draw_from_different_streams():
    seeds = [seed for number in range(1000) for seed in seed_pair(number)]
    assert len(set(seeds)) == 2000


def test_starts_and_outcomes_are_as_likely_as_the_table_says():
    mdp = random_mdp(6)
    data = collect(mdp, episodes=20_000, seed=0)
    first = np.concatenate(([True], data.ended[:-1]))
    starts = np.bincount(data.states[first], minlength=mdp.num_states) / first.sum()
    assert np.abs(starts - mdp.start).max() < 4.5 * 0.5 / np.sqrt(first.sum())
    ends = (mdp.probabilities * mdp.terminated).sum(axis=2)
    for state, action in np.ndindex(ends.shape):
        here = (data.states == state) & (data.actions == action)
        error = abs(data.terminated[here].mean() - ends[state, action])
        assert error < 4.5 * 0.5 / np.sqrt(here.sum())


# -- episodes that must end -----------------------------------------------------------------------

LEARNERS = [*PREDICTION, *CONTROL]


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_continuing_problem_needs_a_time_limit(learner):
    mdp = from_gymnasium("rlcore/GridWorld-v0")
    with pytest.raises(
        ValueError,
        match=r"problem: .* reaches state 0 can never end.*; takes .*max_episode_steps",
    ):
        learner(mdp, episodes=1, alpha=0.1)
    assert learner(mdp, episodes=1, alpha=0.1, max_episode_steps=9).lengths == 9
    limited = from_gymnasium("rlcore/GridWorld-v0", max_episode_steps=7)
    assert learner(limited, episodes=1, alpha=0.1).lengths == 7


@pytest.mark.parametrize("learner", [*PREDICTION, expected_sarsa, q_learning, double_q_learning])
def test_a_policy_that_loops_needs_a_time_limit(learner):
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    # In the middle to the right, right of it to the left: for ever.
    to_and_fro = np.tile([0.0, 1.0], (7, 1))
    to_and_fro[4] = [1.0, 0.0]
    name = "policy" if learner in PREDICTION else "behavior_policy"
    with pytest.raises(ValueError, match=r"problem: .* state 3 can never end under this policy"):
        learner(walk, episodes=1, alpha=0.1, **{name: to_and_fro})
    with pytest.raises(ValueError, match="under this policy"):
        collect(walk, to_and_fro, episodes=1)
    limited = learner(walk, episodes=1, alpha=0.1, max_episode_steps=6, **{name: to_and_fro})
    assert limited.lengths == 6


def test_a_loop_out_of_reach_does_no_harm():
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    rightwards = np.tile([0.0, 1.0], (7, 1))
    rightwards[1] = [0.0, 1.0]
    rightwards[2] = [1.0, 0.0]
    assert td0(walk, rightwards, episodes=1, alpha=0.1).lengths == 3


def waiting_room():
    """Action 0 waits, action 1 leaves: every policy that explores ends, the greedy one waits."""
    return TabularMDP(
        probabilities=np.ones((1, 2, 1)),
        next_states=np.zeros((1, 2, 1)),
        rewards=[[[0.0], [-1.0]]],
        terminated=[[[False], [True]]],
        start=[1.0],
    )


@pytest.mark.parametrize("learner", CONTROL)
def test_an_episode_that_never_ends_is_noticed(learner):
    mdp = waiting_room()
    keywords = dict(episodes=10, alpha=0.5, initial_q=[[0.0, -1.0]])
    with pytest.raises(RuntimeError, match=f"problem: .* not end within {ENDLESS} .*takes .*max_"):
        # At the first such episode: all of them would take a minute.
        learner(mdp, epsilon=0.0, runs=2000, **keywords)
    assert np.all(learner(mdp, epsilon=0.5, **keywords).lengths < 100)
    patient = learner(mdp, epsilon=0.0, max_episode_steps=20, **keywords)
    assert np.all(patient.lengths == 20)


def test_an_episode_that_never_ends_is_noticed_in_an_environment_too():
    env = as_environment(waiting_room())
    with pytest.raises(RuntimeError, match=f"problem: .* not end within {ENDLESS} steps"):
        td0(env, [[1.0, 0.0]], episodes=1000, alpha=0.5)


def test_a_limit_as_long_as_endless_is_only_a_limit():
    mdp = waiting_room()
    always = [[1.0, 0.0]]
    assert td0(mdp, always, episodes=1, alpha=0.5, max_episode_steps=ENDLESS).lengths == ENDLESS


# -- bad input ------------------------------------------------------------------------------------


class Untouchable(gymnasium.Env):
    """Fails the test that touches it before its arguments are checked."""

    observation_space = gymnasium.spaces.Discrete(4)
    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, **spaces):
        for name, space in spaces.items():
            setattr(self, name, space)

    def reset(self, **keywords):
        raise AssertionError("reset before the arguments were checked")

    def step(self, action):
        raise AssertionError("stepped before the arguments were checked")


DISCRETE = gymnasium.spaces.Discrete
BOX = gymnasium.spaces.Box(-1, 1)


@pytest.mark.parametrize(
    ("make", "exception", "words"),
    [
        (lambda: None, TypeError, r"problem: takes a TabularMDP or a gymnasium\.Env, got NoneType"),
        (
            partial(gymnasium.make, "Pendulum-v1"),
            ValueError,
            r"problem: .*observation_space is Discrete\(n\) counted from 0, got Box",
        ),
        (partial(gymnasium.make, "CartPole-v1"), ValueError, r"observation_space .*got Box"),
        (lambda: Untouchable(action_space=BOX), ValueError, r"action_space is Disc.*got Box"),
        (
            lambda: Untouchable(observation_space=DISCRETE(4, start=1)),
            ValueError,
            r"observation_space .*counted from 0, got Discrete\(4, start=1\)",
        ),
        (
            lambda: Untouchable(action_space=gymnasium.spaces.MultiDiscrete([2, 2])),
            ValueError,
            r"action_space .*got MultiDiscrete",
        ),
    ],
)
@pytest.mark.parametrize("learner", [*LEARNERS, collect])
def test_problems_that_are_not_tabular_are_refused(learner, make, exception, words):
    step_size = {} if learner is collect else {"alpha": 0.1}
    with pytest.raises(exception, match=words):
        learner(make(), episodes=1, **step_size)


WRONG = {
    "episodes": 0,
    "alpha": 0.0,
    "gamma": 1.5,
    "runs": 0,
    "seed": -1,
    "max_episode_steps": 0,
    "initial_value": [1.0],
    "policy": uniform_policy(4, 2),
    "true_values": [1.0],
    "initial_q": [1.0],
    "epsilon": 2.0,
    "behavior_policy": uniform_policy(2, 3),
}


@pytest.mark.parametrize("learner", LEARNERS)
def test_arguments_are_checked_before_the_environment_is_touched(learner):
    taken = set(inspect.signature(learner).parameters) - {"problem", "n", "lam", "traces"}
    for name in taken - {"first_visit"}:
        with pytest.raises(ValueError, match=f"^{name}: "):
            learner(Untouchable(), **{"episodes": 1, "alpha": 0.1, name: WRONG[name]})
