"""Numba for this package: compiled once, kept on disk, never stale, and never silent.

``python -m rlcore`` compiles every kernel now, so that no notebook has to wait.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config, event

_PACKAGE = Path(__file__).parent


def _source_hash() -> str:
    sources = [path.read_bytes() for path in sorted(_PACKAGE.rglob("*.py"))]
    kernels = [source for source in sources if b"compiled" in source or b"numba" in source]
    return hashlib.sha256(b"".join(kernels)).hexdigest()[:12]


# Numba's own disk cache looks at the file of the kernel alone and would go on using machine code
# of an old target function. A folder named after the source of all kernels cannot be stale.
_CACHE = _PACKAGE / "__pycache__" / f"numba-{_source_hash()}"


def compiled(function: Callable[..., Any]) -> Any:
    """Compile with Numba on first use; ``.py_func`` is the same function in plain Python.

    The interpreter's lock is released, so that threads run kernels side by side.
    """
    previous = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(_CACHE)  # type: ignore[attr-defined]
    try:
        return numba.njit(cache=True, nogil=True)(function)
    finally:
        config.CACHE_DIR = previous  # type: ignore[attr-defined]


class _Announcement(event.Listener):
    """Says on standard error which loop is being compiled, and how long it took.

    The small functions that a loop calls compile with it, or alone in a moment.
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
        own = function.__module__.startswith("rlcore.") and function.__name__.endswith("_loop")
        return function.__name__.removesuffix("_loop") if own else None


event.register("numba:compile", _Announcement())


def compile_kernels() -> None:
    """Compile what is not on disk yet, by running every learner once on the smallest problem.

    Linear learners are compiled by a second process meanwhile.
    """
    for folder in _CACHE.parent.glob("numba-*"):
        if folder != _CACHE:  # of earlier versions of the source
            shutil.rmtree(folder, ignore_errors=True)
    command = "from rlcore.compilation import compile_linear_kernels; compile_linear_kernels()"
    with subprocess.Popen(
        [sys.executable, "-c", command], cwd=_PACKAGE.parent, stderr=subprocess.PIPE, text=True
    ) as other:
        compile_tabular_kernels()
        _, messages = other.communicate()
    print(messages, end="", file=sys.stderr)
    if other.returncode:
        raise RuntimeError("compile_kernels: the process that compiles linear learners failed")


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


def _smallest_problem() -> tuple[Any, Any]:
    import gymnasium

    import rlcore

    env = gymnasium.make("rlcore/RandomWalk-v0", num_states=1)
    return env, rlcore.TabularMDP.from_gymnasium(env)
