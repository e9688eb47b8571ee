"""Where the experience comes from: one interface, whatever the source.

Every learner's loop is written against two functions with the meaning of Gymnasium's own:

    state = reset(environment)
    next_state, reward, terminated, truncated = step(environment, action)

Called from Python they ask a ``gymnasium.Env``, whose states are numbers or points. Called from
compiled code they draw from the arrays of a ``TabularMDP``, or move a compiled ``MountainCar``. The
arrays are sampled exactly as Gymnasium samples its toy-text tables (one uniform number for a start,
one for a step, from a generator with the same seed), so a learner sees the same experience, and
learns the same numbers to the last bit, on either road.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from numba.extending import overload
from numpy.typing import NDArray

from rlcore.mdp import TabularMDP, reached_from
from rlcore.validation import check_count

Problem = TabularMDP | gymnasium.Env[Any, Any]


class CompiledProblem(Protocol):
    """A problem whose states are points and whose dynamics are compiled, like ``MountainCar``.

    Its environment has ``reset``, ``step`` and ``episode_summary`` of its own for compiled code
    (``numba.extending.overload``), and the fields ``limit`` and ``unlimited``.
    """

    @property
    def max_episode_steps(self) -> int | None:
        """The problem's own step limit."""

    def compiled_environment(self, limit: int, unlimited: bool, rng: np.random.Generator) -> Any:
        """A named tuple for the loops; its random numbers come from ``rng``."""


# An episode of this length in a problem without a time limit is taken for one that never ends.
ENDLESS = 100_000
NEVER_ENDS = (
    f"problem: an episode did not end within {ENDLESS} steps; takes a problem that ends, or "
    "max_episode_steps"
)


class ArrayEnvironment(NamedTuple):
    """A ``TabularMDP`` as compiled code steps it."""

    cumulative: NDArray[np.float64]  # (S, A, K) cumulative probabilities of the outcomes
    next_states: NDArray[np.int64]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    start: NDArray[np.float64]  # (S,) cumulative
    limit: int
    unlimited: bool  # the limit is only there to notice an episode that never ends
    now: NDArray[np.int64]  # the current state, and the steps since reset
    total: NDArray[np.float64]  # the sum of rewards since reset
    rng: np.random.Generator


@dataclass
class GymnasiumEnvironment:
    """A ``gymnasium.Env`` as interpreted code steps it."""

    env: gymnasium.Env[Any, Any]
    seed: int | None  # for the first reset; the environment's own stream goes on from there
    limit: int
    unlimited: bool
    read: Callable[[Any], Any] = int  # an observation → the state
    steps: int = 0
    total: float = 0.0


def reset(environment: GymnasiumEnvironment) -> Any:
    """Begin an episode; returns the first state, a number or a point."""
    observation, _ = environment.env.reset(seed=environment.seed)
    environment.seed = None
    environment.steps, environment.total = 0, 0.0
    return environment.read(observation)


def step(environment: GymnasiumEnvironment, action: int) -> tuple[Any, float, bool, bool]:
    """Take an action; returns (next_state, reward, terminated, truncated)."""
    observation, reward, terminated, truncated, _ = environment.env.step(action)
    state, reward = environment.read(observation), float(reward)
    environment.steps += 1
    environment.total += reward
    return state, reward, terminated, truncated or environment.steps >= environment.limit


def episode_summary(environment: GymnasiumEnvironment) -> tuple[float, int]:
    """The undiscounted sum of rewards, and the number of steps, since the last reset."""
    if environment.unlimited and environment.steps >= environment.limit:
        raise RuntimeError(NEVER_ENDS)
    return environment.total, environment.steps


@overload(reset)
def _reset_arrays(environment):
    if environment.instance_class is not ArrayEnvironment:
        return None

    def reset_arrays(environment):
        u = environment.rng.random()
        state = np.searchsorted(environment.start, u, side="right")
        environment.now[0], environment.now[1] = state, 0
        environment.total[0] = 0.0
        return state

    return reset_arrays


@overload(step)
def _step_arrays(environment, action):
    if environment.instance_class is not ArrayEnvironment:
        return None

    def step_arrays(environment, action):
        state = environment.now[0]
        u = environment.rng.random()
        outcome = 0
        while u >= environment.cumulative[state, action, outcome]:
            outcome += 1
        next_state = environment.next_states[state, action, outcome]
        reward = environment.rewards[state, action, outcome]
        terminated = environment.terminated[state, action, outcome]
        environment.now[0] = next_state
        environment.now[1] += 1
        environment.total[0] += reward
        return next_state, reward, terminated, environment.now[1] >= environment.limit

    return step_arrays


@overload(episode_summary)
def _episode_summary_arrays(environment):
    if environment.instance_class is not ArrayEnvironment:
        return None

    def episode_summary_arrays(environment):
        if environment.unlimited and environment.now[1] >= environment.limit:
            raise RuntimeError(NEVER_ENDS)
        return environment.total[0], environment.now[1]

    return episode_summary_arrays


class Simulation(NamedTuple):
    """A problem made ready for a learner's loop."""

    environment: Any  # GymnasiumEnvironment, or what compiled loops step
    rng: np.random.Generator  # the learner's own random numbers
    mdp: TabularMDP | None  # where exact values can come from

    def run(self, loop: Any, *arguments: Any) -> None:
        """Run a learner's loop: interpreted on a ``gymnasium.Env``, else compiled."""
        interpreted = isinstance(self.environment, GymnasiumEnvironment)
        (loop.py_func if interpreted else loop)(self.environment, *arguments, self.rng)


def problem_size(problem: Problem) -> tuple[int, int]:
    """(number of states, number of actions).

    Raises:
        TypeError: ``problem`` is neither a ``TabularMDP`` nor a ``gymnasium.Env``.
        ValueError: spaces that are not discrete and counted from 0.
    """
    if isinstance(problem, TabularMDP):
        return problem.num_states, problem.num_actions
    if not isinstance(problem, gymnasium.Env):
        raise TypeError(
            f"problem: takes a TabularMDP or a gymnasium.Env, got {type(problem).__name__}"
        )
    sizes = []
    for name in ("observation_space", "action_space"):
        space = getattr(problem, name)
        if not isinstance(space, gymnasium.spaces.Discrete) or space.start != 0:
            raise ValueError(
                f"problem: takes an environment whose {name} is Discrete(n) counted from 0, "
                f"got {space}"
            )
        sizes.append(int(space.n))
    return sizes[0], sizes[1]


def simulate(
    problem: Problem | CompiledProblem,
    seed: int,
    max_episode_steps: int | None = None,
    policy: NDArray[np.float64] | None = None,
) -> Simulation:
    """Make a problem ready for a learner's loop.

    Args:
        problem: a ``TabularMDP``, a ``MountainCar``, or a ``gymnasium.Env`` with Discrete actions
            and Discrete or Box observations.
        seed: whole number >= 0; the environment and the learner get independent streams from it.
        max_episode_steps: truncate episodes after so many steps, if the problem's own limit does
            not do so earlier; None keeps that limit.
        policy: (states, actions) the policy that will be followed, if it is fixed.

    Raises:
        ValueError: a bad seed or limit, or episodes that cannot end.
        RuntimeError: later, from the loop, when an episode does not end within 100 000 steps.
    """
    check_count("seed", seed, minimum=0)
    if max_episode_steps is not None:
        check_count("max_episode_steps", max_episode_steps)
    environment_seed, learner_seed = seed_pair(seed)
    rng = np.random.default_rng(learner_seed)
    own = None if isinstance(problem, gymnasium.Env) else problem.max_episode_steps
    limit = min((int(n) for n in (max_episode_steps, own) if n is not None), default=None)
    unlimited = limit is None
    limit = limit or ENDLESS
    if isinstance(problem, gymnasium.Env):
        discrete = isinstance(problem.observation_space, gymnasium.spaces.Discrete)
        environment = GymnasiumEnvironment(
            problem, environment_seed, limit, unlimited, int if discrete else _point
        )
        return Simulation(environment, rng, None)
    environment_rng = np.random.default_rng(environment_seed)
    if not isinstance(problem, TabularMDP):
        return Simulation(
            problem.compiled_environment(limit, unlimited, environment_rng), rng, None
        )
    if unlimited:
        _check_ends(problem, policy)
    arrays = ArrayEnvironment(
        cumulative=_cumulative(problem.probabilities),
        next_states=problem.next_states,
        rewards=problem.rewards,
        terminated=problem.terminated,
        start=_cumulative(problem.start),
        limit=limit,
        unlimited=unlimited,
        now=np.zeros(2, dtype=np.int64),
        total=np.zeros(1),
        rng=environment_rng,
    )
    return Simulation(arrays, rng, problem)


def _point(observation: Any) -> NDArray[Any]:
    """An observation as a point, checked: NaN would spoil every weight without a word."""
    point = np.asarray(observation)
    if not np.all(np.isfinite(point)):
        raise ValueError(f"problem: takes finite observations, got {point} from the environment")
    return point


def _cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cumulative sums along the last axis; the last possible outcome takes what rounding left
    over."""
    size = probabilities.shape[-1]
    last = size - 1 - np.argmax(probabilities[..., ::-1] > 0, axis=-1)
    return np.where(np.arange(size) >= last[..., None], 1.0, np.cumsum(probabilities, axis=-1))


def seed_pair(seed: int) -> tuple[int, int]:
    """Two independent seeds from one: the environment's and the learner's."""
    environment_seed, learner_seed = np.random.SeedSequence(seed).generate_state(2)
    return int(environment_seed), int(learner_seed)


def _check_ends(mdp: TabularMDP, policy: NDArray[np.float64] | None) -> None:
    """Refuse a problem in which an episode can come to a state from which it never ends."""
    taken = np.ones((mdp.num_states, mdp.num_actions), bool) if policy is None else policy > 0
    possible = (mdp.probabilities > 0) & taken[:, :, None]
    moves = np.zeros((mdp.num_states, mdp.num_states), dtype=bool)
    states, actions, outcomes = np.nonzero(possible & ~mdp.terminated)
    moves[states, mdp.next_states[states, actions, outcomes]] = True
    ending = np.asarray((possible & mdp.terminated).any(axis=(1, 2)))
    can_end = reached_from(ending, moves.T)
    stuck = np.flatnonzero(reached_from(mdp.start > 0, moves) & ~can_end)
    if len(stuck):
        raise ValueError(
            f"problem: an episode that reaches state {stuck[0]} can never end"
            + ("" if policy is None else " under this policy")
            + "; takes a problem that ends, or max_episode_steps"
        )
