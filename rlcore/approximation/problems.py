"""Which features fit which problem: the checks that linear learners share."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.approximation.features import FeatureMap, Function
from rlcore.approximation.objectives import features_of_states
from rlcore.environments.mountain_car import MountainCar
from rlcore.mdp import TabularMDP
from rlcore.simulation import problem_size
from rlcore.validation import as_floats, check_schedule

LinearProblem = TabularMDP | MountainCar | gymnasium.Env[Any, Any]


def has_points(problem: LinearProblem) -> bool:
    """Whether the states of a problem are points, not numbers.

    Raises:
        TypeError: not a problem.
    """
    if isinstance(problem, TabularMDP):
        return False
    if isinstance(problem, MountainCar):
        return True
    if not isinstance(problem, gymnasium.Env):
        raise TypeError(
            "problem: takes a TabularMDP, a MountainCar or a gymnasium.Env, "
            f"got {type(problem).__name__}"
        )
    return not isinstance(problem.observation_space, gymnasium.spaces.Discrete)


def count_actions(problem: LinearProblem) -> int:
    """Number of actions.

    Raises:
        ValueError: spaces that linear learners cannot serve: continuous actions, observations that
            are neither Discrete nor a Box of one axis.
    """
    if not has_points(problem):
        return problem_size(problem)[1]  # type: ignore[arg-type]
    assert not isinstance(problem, TabularMDP)
    actions, observations = problem.action_space, problem.observation_space
    if not isinstance(actions, gymnasium.spaces.Discrete) or actions.start != 0:
        raise ValueError(
            f"problem: takes an environment whose action_space is Discrete(n) counted from 0, "
            f"got {actions}"
        )
    if not isinstance(observations, gymnasium.spaces.Box) or len(observations.shape) != 1:
        raise ValueError(
            "problem: takes an environment whose observation_space is Discrete or a Box of shape "
            f"(dims,), got {observations}"
        )
    return int(actions.n)


def feature_map(problem: LinearProblem, features: FeatureMap | ArrayLike) -> FeatureMap:
    """The features as a map that fits the problem's states.

    Raises:
        TypeError, ValueError: features of other states than the problem has.
    """
    if not has_points(problem):
        return features_of_states(features, problem_size(problem)[0])  # type: ignore[arg-type]
    assert not isinstance(problem, TabularMDP)
    count_actions(problem)  # which checks the spaces
    space: Any = problem.observation_space
    dims = space.shape[0]
    if not isinstance(features, FeatureMap) or features.dims != dims:
        got = f"one of {features.dims}" if isinstance(features, FeatureMap) else f"{features!r}"
        raise ValueError(
            f"features: takes a feature map of points with {dims} coordinates, as the problem's "
            f"observations are, got {got}"
        )
    if isinstance(problem, MountainCar) and isinstance(features.arrays, Function):
        raise ValueError(
            "features: takes a map made by rlcore.approximation.features for a compiled problem, "
            'got a Python function; it serves gymnasium.make("MountainCar-v0")'
        )
    return features


def step_sizes(
    name: str, value: ArrayLike, episodes: int, features: FeatureMap
) -> NDArray[np.float64]:
    """The step size of each episode, divided by the number of active features of a binary map.

    Then ‖φ‖² = active, and one update by α / active removes the share α of a state's error.
    """
    if features.active:
        return check_schedule(name, value, episodes, positive=True) / features.active
    numbers = as_floats(name, value)
    if numbers.shape not in ((), (episodes,)):
        raise ValueError(
            f"{name}: takes a number or an array of shape (episodes,) = ({episodes},), "
            f"got shape {numbers.shape}"
        )
    inside = np.isfinite(numbers) & (numbers > 0)
    if not np.all(inside):
        wrong = numbers if numbers.ndim == 0 else numbers[~inside][0]
        raise ValueError(f"{name}: takes numbers > 0, got {float(wrong)!r}")
    return np.array(np.broadcast_to(numbers, episodes))
