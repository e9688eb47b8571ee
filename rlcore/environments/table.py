"""A Gymnasium environment that is nothing but its table of transitions."""

from collections.abc import Mapping, Sequence
from numbers import Real
from operator import index
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium.envs.toy_text.utils import categorical_sample
from gymnasium.wrappers import TimeLimit

from rlcore.mdp import Layout, TabularMDP

Outcome = tuple[float, int, float, bool]
Transitions = dict[int, dict[int, list[Outcome]]]
Color = tuple[int, int, int]

CELL_PIXELS = 48
GRID_COLOR: Color = (120, 120, 120)
AGENT_COLOR: Color = (0, 114, 178)
AGENT_RIM_COLOR: Color = (255, 255, 255)


class TableEnv(gymnasium.Env[Any, Any]):
    """A discrete environment given by ``P[s][a] = [(p, s′, r, terminated), …]``.

    The form of the table is that of Gymnasium's toy-text environments, and so is the way chance is
    used: ``reset`` and ``step`` draw one uniform number u each and take the first outcome whose
    cumulative probability exceeds u (inverse transform sampling).

    Args:
        transitions: ``transitions[s][a]``, the outcomes of action a in state s, for every state
            0 … S−1 and action 0 … A−1. The probabilities of each list sum to 1. A state in which
            an episode has ended leads to itself with reward 0 and ``terminated`` true.
        initial_state_distrib: (S,), the probability of each state to be the first.
        layout: the grid on which the states lie: state = row · columns + column.
        symbols: S characters, one a state, for the ``ansi`` picture.
        cell_colors: the colour (red, green, blue; 0 … 255) of each character in ``symbols``, for
            the ``rgb_array`` picture.
        render_mode: None, "ansi" (a string, the agent in brackets) or "rgb_array" (a uint8 array
            of shape (rows · 48, columns · 48, 3)).

    Attributes:
        P: the transitions.
        s: the present state; None before the first ``reset``.
        initial_state_distrib, layout: as given.

    Raises:
        ValueError: an unknown ``render_mode``.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        transitions: Transitions,
        initial_state_distrib: np.ndarray,
        layout: Layout,
        *,
        symbols: Sequence[str],
        cell_colors: Mapping[str, Color],
        render_mode: str | None = None,
    ) -> None:
        if render_mode is not None and render_mode not in self.metadata["render_modes"]:
            raise ValueError(f"render_mode: takes None, 'ansi' or 'rgb_array', got {render_mode!r}")
        self.P = transitions
        self.initial_state_distrib = initial_state_distrib
        self.layout = layout
        self.observation_space = gymnasium.spaces.Discrete(len(transitions))
        self.action_space = gymnasium.spaces.Discrete(len(transitions[0]))
        self.render_mode = render_mode
        self.s: int | None = None
        self._symbols = symbols
        self._cell_colors = cell_colors

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Start an episode in a state drawn from ``initial_state_distrib``.

        Args:
            seed: seeds the random numbers; None goes on with the present ones.
            options: not used.

        Returns:
            The state and an info dictionary, whose ``prob`` is the probability of that state.
        """
        super().reset(seed=seed)
        self.s = int(categorical_sample(self.initial_state_distrib, self.np_random))
        return self.s, {"prob": float(self.initial_state_distrib[self.s])}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Args:
            action: 0 … A−1.

        Returns:
            The next state, the reward, ``terminated``, ``truncated`` (always False: time limits are
            the business of a wrapper) and an info dictionary, whose ``prob`` is the probability of
            the outcome.

        Raises:
            ValueError: an action outside the action space.
            gymnasium.error.ResetNeeded: ``reset`` has not been called yet.
        """
        if self.s is None:
            raise gymnasium.error.ResetNeeded("call reset() before step()")
        if action not in self.P[self.s]:
            raise ValueError(
                f"action: takes a whole number from 0 to {len(self.P[self.s]) - 1}, got {action!r}"
            )
        outcomes = self.P[self.s][action]
        chosen = categorical_sample([outcome[0] for outcome in outcomes], self.np_random)
        probability, next_state, reward, terminated = outcomes[chosen]
        self.s = int(next_state)
        return self.s, float(reward), bool(terminated), False, {"prob": probability}

    def render(self) -> str | np.ndarray | None:
        """Draw the grid and the agent.

        Returns:
            A string for ``render_mode="ansi"``, a (height, width, 3) uint8 array for "rgb_array";
            None, with a warning, when the environment was made without a ``render_mode``.
        """
        if self.render_mode == "ansi":
            return self._text()
        if self.render_mode == "rgb_array":
            return self._picture()
        gymnasium.logger.warn("render() shows nothing: make the environment with a render_mode")
        return None

    def _text(self) -> str:
        columns = self.layout.shape[1]
        cells = [
            f"[{symbol}]" if state == self.s else f" {symbol} "
            for state, symbol in enumerate(self._symbols)
        ]
        lines = ("".join(cells[i : i + columns]) for i in range(0, len(cells), columns))
        return "\n".join(lines) + "\n"

    def _picture(self) -> np.ndarray:
        rows, columns = self.layout.shape
        colors = np.array([self._cell_colors[symbol] for symbol in self._symbols], dtype=np.uint8)
        picture = colors.reshape(rows, columns, 3)
        picture = picture.repeat(CELL_PIXELS, axis=0).repeat(CELL_PIXELS, axis=1)
        picture[::CELL_PIXELS] = picture[-1] = GRID_COLOR
        picture[:, ::CELL_PIXELS] = GRID_COLOR
        picture[:, -1] = GRID_COLOR
        if self.s is not None:
            row, column = divmod(self.s, columns)
            cell = picture[
                row * CELL_PIXELS : (row + 1) * CELL_PIXELS,
                column * CELL_PIXELS : (column + 1) * CELL_PIXELS,
            ]
            offsets = np.arange(CELL_PIXELS) - CELL_PIXELS / 2
            distance = np.hypot(offsets[:, None], offsets[None, :])
            cell[distance < 0.36 * CELL_PIXELS] = AGENT_RIM_COLOR
            cell[distance < 0.30 * CELL_PIXELS] = AGENT_COLOR
        return picture


def as_environment(mdp: TabularMDP) -> gymnasium.Env[Any, Any]:
    """A Gymnasium environment that behaves as the arrays say, the way back of ``from_gymnasium``.

    Args:
        mdp: the problem; its ``max_episode_steps`` becomes a ``TimeLimit`` wrapper.
    """
    table = {
        s: {
            a: [
                (
                    float(mdp.probabilities[s, a, k]),
                    int(mdp.next_states[s, a, k]),
                    float(mdp.rewards[s, a, k]),
                    bool(mdp.terminated[s, a, k]),
                )
                for k in range(mdp.probabilities.shape[2])
            ]
            for a in range(mdp.num_actions)
        }
        for s in range(mdp.num_states)
    }
    layout = mdp.layout or Layout((1, mdp.num_states), ((0, 0),) * mdp.num_actions)
    symbols = ["T" if terminal else "." for terminal in mdp.terminal_states]
    colors = {"T": (190, 190, 190), ".": (255, 255, 255)}
    env = TableEnv(table, mdp.start, layout, symbols=symbols, cell_colors=colors)
    return env if mdp.max_episode_steps is None else TimeLimit(env, mdp.max_episode_steps)


def check_reward(name: str, value: float) -> float:
    """A finite number."""
    if not (isinstance(value, Real) and np.isfinite(value)):
        raise ValueError(f"{name}: takes a finite number, got {value!r}")
    return float(value)


def check_cell(name: str, cell: Sequence[int], shape: tuple[int, int]) -> tuple[int, int]:
    """A (row, column) of a grid of the given shape."""
    try:
        row, column = (index(coordinate) for coordinate in cell)
        inside = 0 <= row < shape[0] and 0 <= column < shape[1]
    except (TypeError, ValueError):
        inside = False
    if not inside:
        raise ValueError(
            f"{name}: takes cells (row, column) with row from 0 to {shape[0] - 1} and column from "
            f"0 to {shape[1] - 1}, got {cell!r}"
        )
    return row, column
