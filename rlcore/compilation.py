"""Numba for both packages: compiled once, kept on disk, never stale, and never silent.

``python -m rlcore`` compiles every kernel now, so that no notebook has to wait.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from llvmlite.binding import get_host_cpu_name
from numba.core import config, event

_PACKAGE = Path(__file__).parent
_SPECCORE = _PACKAGE.with_name("speccore")
_functions: set[Callable[..., Any]] = set()  # that `compiled` has been given


@cache
def _folder(package: Path) -> Path:
    """Where the machine code of a package lies.

    Numba's own disk cache looks at the file of the kernel alone and would go on using machine code
    of an old target function. A folder named after the source of all kernels that a kernel can
    call, of its own package and of rlcore, cannot be stale.
    """
    folders = sorted({_PACKAGE, package})
    sources = [path.read_bytes() for each in folders for path in sorted(each.rglob("*.py"))]
    kernels = [source for source in sources if b"compiled" in source or b"numba" in source]
    name = hashlib.sha256(b"".join(kernels)).hexdigest()[:12]
    return package / "__pycache__" / f"numba-{name}"


def compiled(function: Callable[..., Any], *, any_order: bool = False) -> Any:
    """Compile with Numba on first use; ``.py_func`` is the same function in plain Python.

    The interpreter's lock is released, so that threads run kernels side by side.

    Args:
        function: the loop.
        any_order: as operations on whole arrays do: sums may be taken in another order, products
            added without being rounded, and a division by zero gives infinity.
    """
    _functions.add(function)
    package = sys.modules[function.__module__.partition(".")[0]]
    folder = Path(getattr(package, "__path__", [_PACKAGE])[0])  # a script has no package
    previous = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(_folder(folder))  # type: ignore[attr-defined]
    try:
        options: dict[str, Any] = {"cache": True, "nogil": True}
        if any_order:
            options |= {"fastmath": {"reassoc", "contract"}, "error_model": "numpy"}
        return numba.njit(**options)(function)
    finally:
        config.CACHE_DIR = previous  # type: ignore[attr-defined]


class _Announcement(event.Listener):
    """Says on standard error which loop is being compiled, and how long it took.

    A loop's name ends in ``_loop`` or, private to its module, begins with ``_``. The small
    functions that a loop calls compile with it, or alone in a moment.
    """

    def __init__(self) -> None:
        self.began = 0.0

    def on_start(self, event: event.Event) -> None:
        if name := self._loop(event):
            print(f"compiling {name} (once, then kept on disk) … ", end="", file=sys.stderr)
            sys.stderr.flush()
            self.began = time.perf_counter()

    def on_end(self, event: event.Event) -> None:
        if self._loop(event):
            print(f"{time.perf_counter() - self.began:.1f} s", file=sys.stderr)

    @staticmethod
    def _loop(event: event.Event) -> str | None:
        function = event.data["dispatcher"].py_func
        name = function.__name__
        loop = function in _functions and (name.endswith("_loop") or name.startswith("_"))
        return name.removeprefix("_").removesuffix("_loop") if loop else None


event.register("numba:compile", _Announcement())


def compile_kernels() -> None:
    """Compile what is not on disk yet, by running every kernel once on the smallest problem.

    Linear learners are compiled by a second process meanwhile, and the loops of speccore, if it
    lies beside rlcore, by a third: unless that is done, as importing PyTorch takes seconds.

    Raises:
        RuntimeError: one of these processes failed.
    """
    for package in (_PACKAGE, _SPECCORE):
        current = _folder(package)
        for folder in current.parent.glob("numba-*"):
            if folder != current:  # of earlier versions of the source
                shutil.rmtree(folder, ignore_errors=True)
    functions = ["compile_linear_kernels"]
    if _SPECCORE.is_dir() and not _speccore_is_done().exists():
        functions.append("compile_speccore_kernels")
    commands = [f"from rlcore.compilation import {name}; {name}()" for name in functions]
    with ThreadPoolExecutor() as threads:
        others = threads.map(_messages_of_process, commands)
        compile_tabular_kernels()
        for messages in others:
            print(messages, end="", file=sys.stderr)


def _messages_of_process(command: str) -> str:
    """What a Python process with this command writes on standard error."""
    other = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", command],
        cwd=_PACKAGE.parent,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    if other.returncode:
        print(other.stderr, end="", file=sys.stderr)
        raise RuntimeError(f"compile_kernels: a process failed: {command}")
    return other.stderr


def compile_tabular_kernels() -> None:
    """Every tabular learner, on arrays; and what they call, for loops that run in Python."""
    import rlcore

    env, mdp = _smallest_problem()
    data = rlcore.collect(mdp, episodes=1)
    rlcore.batch_td(data)
    rlcore.batch_monte_carlo(data)
    rlcore.q_learning_from_transitions(data, sweeps=1, alpha=0.5)
    rlcore.td_lambda(mdp, episodes=1, alpha=0.5, traces="dutch")
    for learner in (*rlcore.PREDICTION, *rlcore.CONTROL):
        for problem in (mdp, env):
            learner(problem, episodes=1, alpha=0.5)


def compile_linear_kernels() -> None:
    """Every linear learner on numbered states, those of control on points, every feature map."""
    import numpy as np

    from rlcore.approximation import control, features, prediction
    from rlcore.environments import MountainCar

    low, high = [-1.2, -0.07], [0.5, 0.07]
    tiles = features.tile_coding(2, 2, low, high)
    maps = [tiles, features.polynomial(1, low, high), features.fourier(1, low, high)]
    for each in (*maps, features.radial_basis(2, low, high)):
        for dtype in (np.float64, np.float32):  # of our points, and of Gymnasium's observations
            phi = features.represent(each.arrays, np.zeros(2, dtype=dtype))
            features.learn(np.zeros(each.num_features), phi, 1.0)
            features.read(np.zeros(each.num_features), phi)
    _, mdp = _smallest_problem()
    one_hot = features.one_hot(mdp.num_states)
    for learner in prediction.LINEAR_PREDICTION:
        step_sizes = {} if learner is prediction.lstd else {"alpha": 0.5}
        step_sizes |= {"beta": 0.5} if learner is prediction.tdc else {}
        learner(mdp, one_hot, episodes=1, **step_sizes)
    for learner in control.LINEAR_CONTROL:
        learner(mdp, one_hot, episodes=1, alpha=0.5)
        learner(MountainCar(), tiles, episodes=1, alpha=0.5, max_episode_steps=1)


def compile_speccore_kernels() -> None:
    """Every loop of speccore, unless it cannot be imported, for example for want of PyTorch."""
    try:
        from speccore.models.packed_linear import compile_loops
    except (ImportError, OSError):  # the latter: a library of PyTorch cannot be loaded
        return
    compile_loops()
    with suppress(OSError):  # where the folder cannot be written, Numba has chosen another
        _speccore_is_done().touch()


def _speccore_is_done() -> Path:
    """A file that exists when machine code for this processor, Python and Numba does."""
    machine = repr((get_host_cpu_name(), sys.version, numba.__version__))
    return _folder(_SPECCORE) / f"all-{hashlib.sha256(machine.encode()).hexdigest()[:12]}"


def _smallest_problem() -> tuple[Any, Any]:
    import gymnasium

    import rlcore

    env = gymnasium.make("rlcore/RandomWalk-v0", num_states=1)
    return env, rlcore.TabularMDP.from_gymnasium(env)
