"""Claims about compiled kernels: once for all processes, never silent, never stale."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import rlcore
import speccore  # noqa: F401  (its kernels)
from rlcore import CONTROL, PREDICTION, compilation, td0
from rlcore.approximation import features
from rlcore.approximation.control import LINEAR_CONTROL
from rlcore.approximation.prediction import LINEAR_PREDICTION
from rlcore.compilation import compiled
from tests.rlcore.problems import random_mdp

ROOT = Path(rlcore.__file__).parents[1]

EVERYTHING = """
import gymnasium, numpy as np, rlcore, torch
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
import speccore
from speccore.models.heads import EagleHead
from speccore.models.packed_linear import Int8Linear, PackedLinear, packed
from speccore.models.transformer import Transformer, TransformerConfig
sizes = dict(vocab_size=9, layers=2, width=8, heads=2, kv_heads=1, hidden=8, context=32)
target = Transformer(TransformerConfig(**sizes))
eagle = EagleHead(target.config)
kinds = [PackedLinear]
if "fbgemm" in torch.backends.quantized.supported_engines:
    kinds.append(Int8Linear)
for kind in kinds:
    head = packed(eagle, kind)
    for drafter in (None, speccore.EagleDrafter(head, 2), speccore.EagleTreeDrafter(head)):
        speccore.generate(packed(target, kind), [1, 2, 3], drafter=drafter, max_new_tokens=8)
print({entry.data["dispatcher"].py_func.__name__ for _, entry in compilations.buffer} or "nothing")
"""

VALUE = """
import gymnasium, rlcore
walk = rlcore.TabularMDP.from_gymnasium(gymnasium.make("rlcore/RandomWalk-v0", num_states=1))
print(rlcore.td0(walk, episodes=1, alpha=0.5, initial_value=0.5, seed=3).values[0, 1])
"""


SMALL_PASS = """
import torch
from speccore.models.kv_cache import KVCache
from speccore.models.packed_linear import packed
from speccore.models.transformer import Transformer, TransformerConfig
model = packed(Transformer(TransformerConfig(9, 1, 8, 2, 1, 8, 32)))
with torch.inference_mode():
    model(torch.arange(3)[None], cache=KVCache(model.config))
"""


def python(*arguments, folder=ROOT, **variables):
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1", **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )


def copy_of(*packages, folder):
    ignored = shutil.ignore_patterns("__pycache__", "checkpoints")
    for package in packages:
        shutil.copytree(ROOT / package, folder / package, ignore=ignored)


def folders(root, package):
    return {path.name for path in (root / package / "__pycache__").glob("numba-*")}


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
    copy_of("rlcore", folder=tmp_path)
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


def test_loops_of_speccore_say_what_they_do_and_lie_beside_it(tmp_path):
    copy_of("rlcore", "speccore", folder=tmp_path)
    first = python("-c", SMALL_PASS, folder=tmp_path)
    assert "compiling normalise (once, then kept on disk) … " in first.stderr
    assert "compiling turn (once" in first.stderr
    assert [len(folders(tmp_path, package)) for package in ("rlcore", "speccore")] == [1, 1]
    machine_code = (tmp_path / "speccore" / "__pycache__").glob(
        "numba-*/*/small_block.turn_loop*nbc"
    )
    assert len(list(machine_code)) == 1


def test_the_name_of_a_folder_follows_every_source_that_a_kernel_can_call(tmp_path, monkeypatch):
    packages = tmp_path / "rlcore", tmp_path / "speccore"
    monkeypatch.setattr(compilation, "_PACKAGE", packages[0])

    def names_after_writing(file, text):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return [compilation._folder.__wrapped__(package).name for package in packages]

    names_after_writing(packages[0] / "one.py", "compiled")
    first = names_after_writing(packages[1] / "one.py", "compiled")
    assert names_after_writing(packages[1] / "other.py", "no kernel") == first
    second = names_after_writing(packages[1] / "one.py", "compiled, too")
    assert second[0] == first[0] and second[1] != first[1]
    third = names_after_writing(packages[0] / "one.py", "compiled, too")
    assert third[0] != second[0] and third[1] != second[1]


def test_the_command_removes_the_folders_of_earlier_sources():
    old = [ROOT / package / "__pycache__" / "numba-0" for package in ("rlcore", "speccore")]
    for folder in old:
        (folder / "inside").mkdir(parents=True, exist_ok=True)
    python("-m", "rlcore")
    assert not any(folder.exists() for folder in old)
    assert [len(folders(ROOT, package)) for package in ("rlcore", "speccore")] == [1, 1]


def test_pytorch_is_imported_only_if_something_of_speccore_is_to_be_compiled(monkeypatch):
    python("-m", "rlcore")
    asked = []
    monkeypatch.setattr(compilation, "_messages_of_process", lambda name: asked.append(name) or "")
    monkeypatch.setattr(compilation, "compile_tabular_kernels", lambda: None)
    compilation.compile_kernels()
    monkeypatch.setattr(compilation, "get_host_cpu_name", lambda: "another processor")
    compilation.compile_kernels()
    assert ["speccore" in command for command in asked] == [False, False, True]
    imported = python("-c", "import rlcore, sys; print({'torch', 'speccore'} & {*sys.modules})")
    assert imported.stdout == "set()\n"


def test_a_package_without_pytorch_has_its_other_kernels(monkeypatch):
    monkeypatch.setitem(sys.modules, "speccore.models.packed_linear", None)
    monkeypatch.setattr(compilation, "_speccore_is_done", pytest.fail)
    compilation.compile_speccore_kernels()


def test_what_the_other_processes_say_can_be_read_whatever_the_encoding():
    """UTF-8 on a pipe, where the locale is another."""
    code = (
        "from rlcore.compilation import _messages_of_process as messages\n"
        "print(ascii(messages('import sys; sys.stderr.write(chr(0x2026))')))"
    )
    locale = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    assert python("-c", code, **locale).stdout == "'\\u2026'\n"


def test_every_kernel_is_announced_or_part_of_one():
    """By its name: a loop, or private to its module; the others are called by such, or features."""
    calls = {name for each in compilation._functions for name in each.__code__.co_names}
    families = [getattr(each, "py_func", None) for each in features._FAMILIES.values()]
    packages = ("rlcore.", "speccore.")
    own = [each for each in compilation._functions if each.__module__.startswith(packages)]
    assert {"_split", "turn_loop", "td0_loop"} <= {each.__name__ for each in own}
    for function in own:
        name = function.__name__
        announced = name.endswith("_loop") or name.startswith("_")
        assert announced or name in calls or function in families, name


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
