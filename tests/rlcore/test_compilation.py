"""Claims about compiled kernels: once for all processes, never silent, never stale."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import rlcore
from rlcore import CONTROL, PREDICTION, td0
from rlcore.approximation.control import LINEAR_CONTROL
from rlcore.approximation.prediction import LINEAR_PREDICTION
from rlcore.compilation import compiled
from tests.rlcore.problems import random_mdp

ROOT = Path(rlcore.__file__).parents[1]

EVERYTHING = """
import gymnasium, numpy as np, rlcore
from numba.core import event
compilations = event.RecordingListener()
event.register("numba:compile", compilations)
env = gymnasium.make("FrozenLake-v1")
mdp = rlcore.TabularMDP.from_gymnasium(env)
policy = rlcore.uniform_policy(16, 4)
few = dict(episodes=2, runs=2, seed=1, alpha=np.array([0.5, 0.1]))
for problem in (mdp, env):
    for method in rlcore.PREDICTION:
        method(problem, policy, true_values=np.zeros(16), **few)
    for traces in ("accumulating", "replacing", "dutch"):
        rlcore.td_lambda(problem, traces=traces, **few)
    rlcore.monte_carlo(problem, first_visit=True, **few)
    for learner in rlcore.CONTROL:
        learner(problem, **few)
        if learner is not rlcore.sarsa:
            learner(problem, behavior_policy=policy, epsilon=0.0, **few)
    data = rlcore.collect(problem, policy, episodes=3)
    rlcore.batch_td(data), rlcore.batch_monte_carlo(data, gamma=0.9)
    rlcore.q_learning_from_transitions(data, sweeps=2, alpha=0.5)
from rlcore.approximation import control, features, prediction
from rlcore.environments import MountainCar
for phi in (features.one_hot(16), features.fourier(2, 0, 15)):
    for method in prediction.LINEAR_PREDICTION:
        rates = {} if method is prediction.lstd else {"alpha": np.array([0.5, 0.1])}
        rates |= {"beta": 0.1} if method is prediction.tdc else {}
        method(mdp, phi, policy, episodes=2, runs=2, **rates)
    for method in control.LINEAR_CONTROL:
        method(mdp, phi, **few)
tiles = features.tile_coding(8, 8, [-1.2, -0.07], [0.5, 0.07], size=512)
for problem in (MountainCar(50), gymnasium.make("MountainCar-v0", max_episode_steps=50)):
    for method in control.LINEAR_CONTROL:
        method(problem, tiles, **few).q([[-0.5, 0.0]])
rlcore.sweep(rlcore.td0, mdp, grid={"alpha": [0.1]}, metric=lambda r: r.errors, episodes=1)
print({entry.data["dispatcher"].py_func.__name__ for _, entry in compilations.buffer} or "nothing")
"""

VALUE = """
import gymnasium, rlcore
walk = rlcore.TabularMDP.from_gymnasium(gymnasium.make("rlcore/RandomWalk-v0", num_states=1))
print(rlcore.td0(walk, episodes=1, alpha=0.5, initial_value=0.5, seed=3).values[0, 1])
"""


def python(*arguments, folder=ROOT):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


def test_a_second_process_compiles_nothing():
    """Whatever a reader calls: one command has compiled it for all notebooks."""
    python("-m", "rlcore")
    again = python("-m", "rlcore")
    assert again.stderr == again.stdout == ""
    everything = python("-c", EVERYTHING)
    assert everything.stdout == "nothing\n"
    assert "compiling" not in everything.stderr


def test_kernels_say_what_they_do_and_follow_the_source(tmp_path):
    """The TD target lives in another file than the loop that contains its machine code."""
    shutil.copytree(
        ROOT / "rlcore", tmp_path / "rlcore", ignore=shutil.ignore_patterns("__pycache__")
    )
    first = python("-c", VALUE, folder=tmp_path)
    assert "compiling td0 (once, then kept on disk) … " in first.stderr
    assert first.stderr.rstrip().endswith(" s")
    assert float(first.stdout) in (0.25, 0.75)

    second = python("-c", VALUE, folder=tmp_path)
    assert "compiling" not in second.stderr
    assert second.stdout == first.stdout

    targets = tmp_path / "rlcore" / "tabular" / "targets.py"
    source = targets.read_text(encoding="utf-8")
    before = "return reward + discount * next_value\n"
    assert source.count(before) == 1
    targets.write_text(
        source.replace(before, "return 10.0 + reward + discount * next_value\n"), encoding="utf-8"
    )
    edited = python("-c", VALUE, folder=tmp_path)
    assert "compiling td0 (once" in edited.stderr
    assert float(edited.stdout) == float(first.stdout) + 5.0


def test_every_loop_is_its_own_python_source():
    for learner in (*PREDICTION, *CONTROL, *LINEAR_PREDICTION, *LINEAR_CONTROL):
        module = sys.modules[learner.__module__]
        loops = [name for name in learner.__code__.co_names if name.endswith("_loop")]
        assert loops, learner.__name__
        for name in loops:
            assert callable(getattr(module, name).py_func)


def test_a_kernel_releases_the_interpreter():
    @compiled
    def nothing():
        return 0

    assert nothing.targetoptions["nogil"]


def test_results_of_threads_are_those_of_one_thread():
    mdp = random_mdp(0)

    def work(seed):
        return td0(mdp, episodes=200, alpha=0.1, runs=20, seed=seed).values

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(work, range(16)))
    for seed, values in enumerate(together):
        assert np.array_equal(values, work(seed))
