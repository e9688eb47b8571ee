"""Claims about sweeps: the same numbers wherever they are computed, and honest error bars."""

from functools import partial
from operator import attrgetter

import gymnasium
import joblib
import numpy as np
import pytest

from rlcore import SweepResult, q_learning, sweep, td0, uniform_policy
from rlcore.experiments import BLOCK, standard_error
from tests.rlcore.problems import assert_mean, from_gymnasium, random_mdp

MDP = random_mdp(0)
GRID = {"alpha": [0.1, 0.5], "gamma": [0.0, 0.9, 1.0]}
# 120 runs are three blocks, the last one smaller.
LITTLE = partial(
    sweep, td0, MDP, grid=GRID, metric=attrgetter("errors"), runs=120, episodes=4, progress=False
)


@pytest.fixture(scope="module")
def expected():
    return LITTLE(workers=1)


# -- the same numbers wherever they are computed --------------------------------------------------


@pytest.mark.parametrize("workers", [None, 2, 3])
def test_the_result_does_not_depend_on_the_number_of_workers(expected, workers):
    assert np.array_equal(LITTLE(workers=workers).samples, expected.samples)


def test_the_result_is_the_same_on_processes(expected):
    with joblib.parallel_config("loky", n_jobs=2):
        assert np.array_equal(LITTLE().samples, expected.samples)


def test_the_result_is_the_same_on_a_dask_cluster(expected):
    """Two worker processes of a real local cluster; the route to many machines is the same."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        with joblib.parallel_config("dask"):
            on_cluster = LITTLE()
        ran = client.run(lambda dask_worker: dask_worker.state.executed_count)
    assert np.array_equal(on_cluster.samples, expected.samples)
    assert sum(ran.values()) > 0


def test_an_environment_gives_the_result_of_its_table_with_any_number_of_workers():
    """Threads must not step one environment in turns."""
    env = gymnasium.make("FrozenLake-v1")
    on = partial(
        sweep,
        q_learning,
        grid={"alpha": [0.2, 0.4, 0.6, 0.8]},
        metric=attrgetter("q"),
        runs=60,
        episodes=3,
        progress=False,
    )
    expected = on(from_gymnasium("FrozenLake-v1"), workers=1).samples
    for workers in (1, 4):
        assert np.array_equal(on(env, workers=workers).samples, expected)


def test_seeds_decide_and_the_first_runs_do_not_depend_on_how_many_there_are(expected):
    assert np.array_equal(LITTLE(seed=0).samples, expected.samples)
    assert not np.array_equal(LITTLE(seed=1).samples, expected.samples)
    fewer = LITTLE(runs=70).samples
    assert np.array_equal(fewer, expected.samples[:, :, :70])


def test_blocks_of_runs_are_independent():
    returns = sweep(
        td0,
        MDP,
        grid={"alpha": [0.1]},
        metric=attrgetter("returns"),
        runs=40 * BLOCK,
        episodes=1,
        progress=False,
    ).samples[0, :, 0]
    blocks = returns.reshape(40, BLOCK)
    correlation = np.corrcoef(blocks[:-1].ravel(), blocks[1:].ravel())[0, 1]
    assert abs(correlation) < 4.5 / np.sqrt(39 * BLOCK)


# -- what is computed -----------------------------------------------------------------------------


def test_samples_lie_along_the_axes_of_the_grid(expected):
    assert expected.parameters == GRID
    assert expected.samples.shape == (2, 3, 120, 4)
    assert expected.mean.shape == expected.standard_error.shape == (2, 3, 4)
    seed = int(np.random.SeedSequence(0).generate_state(1)[0])
    for i, alpha in enumerate(GRID["alpha"]):
        for j, gamma in enumerate(GRID["gamma"]):
            block = td0(MDP, episodes=4, alpha=alpha, gamma=gamma, runs=BLOCK, seed=seed)
            assert np.array_equal(expected.samples[i, j, :BLOCK], block.errors)


def test_positional_and_fixed_arguments_reach_the_algorithm():
    policy = np.tile([0.6, 0.3, 0.1], (4, 1))
    result = sweep(
        td0,
        MDP,
        policy,
        grid={"alpha": [0.1]},
        metric=attrgetter("values"),
        runs=3,
        seed=4,
        episodes=5,
        gamma=0.3,
        progress=False,
    )
    seed = int(np.random.SeedSequence(4).generate_state(1)[0])
    direct = td0(MDP, policy, episodes=5, alpha=0.1, gamma=0.3, runs=3, seed=seed)
    assert np.array_equal(result.samples[0], direct.values)


def test_best_is_the_setting_with_the_smallest_mean():
    samples = np.array([[[3.0, 4.0], [1.0, 9.0]], [[2.0, 2.5], [7.0, np.nan]]])
    result = SweepResult({"n": [1, 2], "alpha": [0.1, 0.2]}, samples)
    assert result.best() == {"n": 2, "alpha": 0.1}


def test_the_best_step_size_of_a_random_walk_is_found():
    walk = from_gymnasium("rlcore/RandomWalk-v0", num_states=19, left_reward=-1.0)
    result = sweep(
        td0,
        walk,
        grid={"alpha": [0.05, 0.4, 0.8, 1.0]},
        metric=lambda result: result.errors.mean(axis=1),
        runs=200,
        episodes=10,
        progress=False,
    )
    assert result.best() == {"alpha": 0.8}
    assert_mean(result.samples[2], 0.3454, allowance=0.001)


def test_a_progress_bar_is_shown_on_request(capsys):
    LITTLE()
    assert capsys.readouterr().err == ""
    LITTLE(progress=True)
    assert "/18 [" in capsys.readouterr().err


# -- error bars -----------------------------------------------------------------------------------


def test_standard_error_by_hand():
    assert standard_error([1.0, 2.0, 3.0]) == pytest.approx(1 / np.sqrt(3))
    table = np.array([[1.0, 5.0], [3.0, 5.0]])
    assert standard_error(table) == pytest.approx([1.0, 0.0])
    assert standard_error(table, axis=1) == pytest.approx([2.0, 1.0])
    assert np.isnan(standard_error([[1.0, 2.0]])).all()


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_confidence_bands_cover_as_often_as_they_say(confidence):
    """The mean return of the random walk is 1/2; 1000 bands of 400 runs each.

    The share that covers it has a standard error of √(p (1 − p) / 1000); the band is the normal
    one, and returns of 0 or 1 are not quite normal: 0.01 is allowed for that.
    """
    walk = from_gymnasium("rlcore/RandomWalk-v0")
    returns = td0(walk, episodes=1, alpha=0.1, runs=400_000, seed=6).returns
    result = SweepResult({"experiment": list(range(1000))}, returns.reshape(1000, 400))
    low, high = result.confidence_band(confidence)
    assert np.allclose((low + high) / 2, result.mean)
    covered = np.mean((low <= 0.5) & (high >= 0.5))
    error = np.sqrt(confidence * (1 - confidence) / 1000)
    # Means of 400 zeros and ones lie 1/400 apart: a share of the bands ends exactly on 1/2.
    lattice = np.mean(np.minimum(abs(low - 0.5), abs(high - 0.5)) < 1 / 800)
    assert abs(covered - confidence) < 4.5 * error + 0.01 + lattice


def test_a_band_of_one_run_is_unknown():
    result = SweepResult({"n": [1, 2]}, np.ones((2, 1)))
    assert np.isnan(result.standard_error).all()
    assert np.isnan(result.confidence_band()).all()


# -- bad input ------------------------------------------------------------------------------------


def flat(result):
    return result.errors.mean()


@pytest.mark.parametrize(
    ("changed", "exception", "words"),
    [
        ({"runs": 0}, ValueError, r"runs: takes a whole number >= 1, got 0"),
        ({"runs": 2.0}, TypeError, r"runs: .*got 2\.0"),
        ({"seed": -1}, ValueError, r"seed: takes a whole number >= 0, got -1"),
        ({"workers": 0}, ValueError, r"workers: takes a whole number >= 1, got 0"),
        ({"workers": "two"}, TypeError, r"workers: .*got 'two'"),
        ({"grid": {}}, ValueError, r"grid: takes at least one parameter .*got \{\}"),
        ({"grid": {"alpha": []}}, ValueError, r"grid: .*at least one value, got \{'alpha'"),
        ({"grid": {"episodes": [1]}}, ValueError, r"grid: .*not given elsewhere, got \['episodes"),
        ({"grid": {"runs": [1]}}, ValueError, r"grid: .*not given elsewhere, got \['runs'\]"),
        ({"grid": {"seed": [1]}}, ValueError, r"grid: .*not given elsewhere, got \['seed'\]"),
        ({"metric": flat}, ValueError, r"metric: .* first axis is the runs \(3\), got shape \(\)"),
        ({"grid": {"alpha": [0.1, 2.0]}}, ValueError, r"alpha: takes numbers in \(0, 1\], got 2"),
    ],
)
def test_bad_arguments_are_named(changed, exception, words):
    arguments = dict(
        grid={"alpha": [0.1]}, metric=attrgetter("errors"), runs=3, episodes=1, progress=False
    )
    with pytest.raises(exception, match=words):
        sweep(td0, MDP, uniform_policy(4, 3), **{**arguments, **changed})


def test_metrics_of_different_shapes_do_not_make_a_table():
    with pytest.raises(ValueError, match=r"metric: .*one shape for all settings, got \[\(3, 1\)"):
        sweep(
            td0,
            MDP,
            grid={"episodes": [1, 2]},
            metric=attrgetter("errors"),
            runs=3,
            alpha=0.1,
            progress=False,
        )


@pytest.mark.parametrize(
    ("confidence", "exception"), [(0.0, ValueError), (1, ValueError), ("95 %", TypeError)]
)
def test_confidence_is_a_share(confidence, exception):
    with pytest.raises(exception, match=r"confidence: takes a number in \(0, 1\), got"):
        SweepResult({"n": [1]}, np.ones((1, 2))).confidence_band(confidence)


def test_best_needs_one_number_a_run():
    with pytest.raises(ValueError, match=r"best: takes a metric of one number a run, got"):
        SweepResult({"n": [1]}, np.ones((1, 2, 3))).best()
