"""Gymnasium's Mountain Car for compiled loops: the same dynamics, step for step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import gymnasium
import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from rlcore.simulation import NEVER_ENDS, episode_summary, reset, step
from rlcore.validation import check_count

MIN_POSITION, MAX_POSITION, GOAL_POSITION = -1.2, 0.6, 0.5
MAX_SPEED = 0.07
FORCE, GRAVITY = 0.001, 0.0025
START = (-0.6, -0.4)


@dataclass(frozen=True)
class MountainCar:
    """An underpowered car in a valley that has to swing up to the goal on the right.

    A state is a point (position, velocity), the actions are 0 push left, 1 coast, 2 push right:

    velocity ← clip(velocity + 0.001 (action − 1) − 0.0025 cos(3 position), −0.07, 0.07)
    position ← clip(position + velocity, −1.2, 0.6)

    and the velocity becomes 0 at the left wall. Every step is rewarded with −1 until the position
    reaches 0.5. An episode starts at rest, between −0.6 and −0.4. (Moore 1990; Sutton and Barto
    2018, Example 10.1.)

    It is ``gymnasium.make("MountainCar-v0")`` for compiled learners: from the same seed both make
    the same episodes to the last bit, observations in single precision included.

    Args:
        max_episode_steps: after so many steps an episode is truncated, >= 1; None, as in the book,
            for no limit (``gymnasium.make`` sets 200).
    """

    max_episode_steps: int | None = None
    observation_space: gymnasium.spaces.Box = field(
        default_factory=lambda: gymnasium.spaces.Box(
            np.array([MIN_POSITION, -MAX_SPEED], dtype=np.float32),
            np.array([MAX_POSITION, MAX_SPEED], dtype=np.float32),
        ),
        init=False,
        repr=False,
        compare=False,
    )
    """Box of shape (2,): position in −1.2 … 0.6, velocity in −0.07 … 0.07."""
    action_space: gymnasium.spaces.Discrete = field(
        default_factory=lambda: gymnasium.spaces.Discrete(3), init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        if self.max_episode_steps is not None:
            check_count("max_episode_steps", self.max_episode_steps)

    def compiled_environment(
        self, limit: int, unlimited: bool, rng: np.random.Generator
    ) -> MountainCarEnvironment:
        """What compiled loops step; see ``rlcore.simulation``."""
        return MountainCarEnvironment(limit, unlimited, np.zeros(2), np.zeros(1, np.int64), rng)


class MountainCarEnvironment(NamedTuple):
    """A ``MountainCar`` as compiled code steps it."""

    limit: int
    unlimited: bool  # the limit is only there to notice an episode that never ends
    car: NDArray[np.float64]  # position and velocity
    steps: NDArray[np.int64]  # since reset
    rng: np.random.Generator


@overload(reset)
def _reset_car(environment):
    if environment.instance_class is not MountainCarEnvironment:
        return None

    def reset_car(environment):
        environment.car[0] = environment.rng.uniform(START[0], START[1])
        environment.car[1] = 0.0
        environment.steps[0] = 0
        return environment.car.astype(np.float32)

    return reset_car


@overload(step)
def _step_car(environment, action):
    if environment.instance_class is not MountainCarEnvironment:
        return None

    def step_car(environment, action):
        position, velocity = environment.car[0], environment.car[1]
        velocity += (action - 1) * FORCE + math.cos(3 * position) * (-GRAVITY)
        velocity = min(max(velocity, -MAX_SPEED), MAX_SPEED)
        position += velocity
        position = min(max(position, MIN_POSITION), MAX_POSITION)
        if position == MIN_POSITION and velocity < 0:
            velocity = 0.0
        environment.car[0], environment.car[1] = position, velocity
        environment.steps[0] += 1
        terminated = position >= GOAL_POSITION and velocity >= 0
        truncated = environment.steps[0] >= environment.limit
        return environment.car.astype(np.float32), -1.0, terminated, truncated

    return step_car


@overload(episode_summary)
def _episode_summary_car(environment):
    if environment.instance_class is not MountainCarEnvironment:
        return None

    def episode_summary_car(environment):
        if environment.unlimited and environment.steps[0] >= environment.limit:
            raise RuntimeError(NEVER_ENDS)
        return -1.0 * environment.steps[0], environment.steps[0]

    return episode_summary_car
