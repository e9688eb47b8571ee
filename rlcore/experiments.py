"""Experiments: many seeds, many settings, and how sure one may be of the result.

The work is spread by joblib, so one call runs on threads (kernels release the interpreter's lock),
on processes, or inside ``with joblib.parallel_config("dask"):`` on a Dask cluster. The result does
not depend on where it ran, or on how many workers there were.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import gymnasium
import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from rlcore.simulation import Problem
from rlcore.validation import check_count, check_number

Floats = NDArray[np.float64]

# Runs of one setting are computed in blocks of this size, each with a seed of its own. The size is
# fixed, and with it the result, whatever the number of workers.
BLOCK = 50


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The metric of every setting and run."""

    parameters: dict[str, list[Any]]
    """The grid: name → values, in the order of the axes of ``samples``."""
    samples: Floats
    """(grid …, runs, metric …) the metric of each run."""

    @property
    def mean(self) -> Floats:
        """(grid …, metric …) mean over the runs."""
        return np.asarray(self.samples.mean(axis=self._runs_axis))

    @property
    def standard_error(self) -> Floats:
        """(grid …, metric …) standard error of the mean; NaN for a single run."""
        return standard_error(self.samples, axis=self._runs_axis)

    def confidence_band(self, confidence: float = 0.95) -> tuple[Floats, Floats]:
        """Lower and upper end of the normal confidence interval of the mean, each (grid …, metric
        …)."""
        check_number("confidence", confidence, "a number in (0, 1)", lambda number: 0 < number < 1)
        width = NormalDist().inv_cdf((1 + confidence) / 2) * self.standard_error
        return self.mean - width, self.mean + width

    def best(self) -> dict[str, Any]:
        """The setting with the smallest mean of the metric (one number a run)."""
        if self.mean.ndim != len(self.parameters):
            raise ValueError(
                f"best: takes a metric of one number a run, got shape {self.mean.shape}"
            )
        where = np.unravel_index(np.nanargmin(self.mean), self.mean.shape)
        return {
            name: values[i]
            for (name, values), i in zip(self.parameters.items(), where, strict=True)
        }

    @property
    def _runs_axis(self) -> int:
        return len(self.parameters)


def standard_error(samples: ArrayLike, axis: int = 0) -> Floats:
    """Standard error of the mean along an axis, s / √n with the n − 1 variance; NaN for n = 1."""
    samples = np.asarray(samples, dtype=np.float64)
    count = samples.shape[axis]
    if count < 2:
        return np.full(np.delete(samples.shape, axis), np.nan)
    return np.asarray(samples.std(axis=axis, ddof=1) / np.sqrt(count))


def sweep(
    algorithm: Callable[..., Any],
    problem: Problem,
    *arguments: Any,
    grid: Mapping[str, Sequence[Any]],
    metric: Callable[[Any], ArrayLike],
    runs: int = 100,
    seed: int = 0,
    progress: bool = True,
    workers: int | None = None,
    **fixed: Any,
) -> SweepResult:
    """Run an algorithm for every combination of parameters, ``runs`` times each.

    Args:
        algorithm: a learner of this package, or any function with ``runs`` and ``seed`` keywords.
        problem, arguments: its positional arguments.
        grid: name of a keyword → values to try.
        metric: what to keep of a result: a function to an array whose first axis is the runs.
        runs: independent runs of each setting.
        seed: whole number >= 0; every setting meets the same seeds.
        progress: show a progress bar (on standard error) if there is anything to wait for.
        workers: number of jobs at a time, >= 1; None leaves it to joblib's ``parallel_config``,
            with threads on all processors by default.
        fixed: keywords that are the same for all settings.

    Returns:
        the samples with mean, standard error and confidence band; the same whatever ``workers``.

    Raises:
        ValueError: an empty grid, or a keyword that is both in the grid and fixed.
    """
    check_count("runs", runs)
    check_count("seed", seed, minimum=0)
    if workers is not None:
        check_count("workers", workers)
    if not grid or any(len(values) == 0 for values in grid.values()):
        raise ValueError(
            f"grid: takes at least one parameter with at least one value, got {dict(grid)}"
        )
    if clash := sorted(set(grid) & (set(fixed) | {"runs", "seed"})):
        raise ValueError(f"grid: takes parameters that are not given elsewhere, got {clash}")
    sizes = [min(BLOCK, runs - first) for first in range(0, runs, BLOCK)]
    seeds = np.random.SeedSequence(seed).generate_state(len(sizes)).tolist()
    settings = [
        dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())
    ]
    jobs = [
        joblib.delayed(_measure)(
            algorithm, metric, problem, arguments, block, block_seed, {**fixed, **setting}
        )
        for setting in settings
        for block, block_seed in zip(sizes, seeds, strict=True)
    ]
    if workers is None and joblib.parallel.get_active_backend()[1] == 1:
        workers = -1
    parallel = joblib.Parallel(n_jobs=workers, prefer="threads", return_as="generator")
    blocks = list(tqdm(parallel(jobs), total=len(jobs), disable=not progress, leave=False))
    per_setting = [
        np.concatenate(blocks[i : i + len(sizes)]) for i in range(0, len(blocks), len(sizes))
    ]
    shape = tuple(len(values) for values in grid.values())
    if len({block.shape for block in per_setting}) > 1:
        raise ValueError(
            "metric: takes a function to arrays of one shape for all settings, got "
            f"{sorted({block.shape for block in per_setting})}"
        )
    samples = np.array(per_setting)
    return SweepResult(
        parameters={name: list(values) for name, values in grid.items()},
        samples=samples.reshape(shape + samples.shape[1:]),
    )


def _measure(
    algorithm: Callable[..., Any],
    metric: Callable[[Any], ArrayLike],
    problem: Problem,
    arguments: tuple[Any, ...],
    runs: int,
    seed: int,
    keywords: dict[str, Any],
) -> Floats:
    # Threads that share one environment would step it in turns.
    own = copy.deepcopy(problem) if isinstance(problem, gymnasium.Env) else problem
    measured = np.asarray(metric(algorithm(own, *arguments, runs=runs, seed=seed, **keywords)))
    if measured.ndim == 0 or len(measured) != runs:
        raise ValueError(
            f"metric: takes a function to an array whose first axis is the runs ({runs}), "
            f"got shape {measured.shape}"
        )
    return measured
