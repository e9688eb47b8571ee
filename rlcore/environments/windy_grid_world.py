"""The windy grid world: a path to a goal across a crosswind."""

import numpy as np

from rlcore.environments.table import Outcome, TableEnv
from rlcore.mdp import Layout

SHAPE = (7, 10)
WIND = (0, 0, 0, 1, 1, 1, 2, 2, 1, 0)
START, GOAL = (3, 0), (3, 7)

_FOUR = ((-1, 0), (0, 1), (1, 0), (0, -1))
_KING = (*_FOUR, (-1, 1), (1, 1), (1, -1), (-1, -1))
MOVES = {"four": _FOUR, "king": _KING, "king+stay": (*_KING, (0, 0))}
CELL_COLORS = {
    "0": (255, 255, 255),
    "1": (232, 232, 232),
    "2": (205, 205, 205),
    "S": (225, 238, 248),
    "G": (140, 210, 185),
}


class WindyGridWorld(TableEnv):
    """A 7×10 grid in whose middle columns a wind blows upwards.

    From (row, column) an action with the move (Δrow, Δcolumn) leads to

    (row + Δrow − wind[column], column + Δcolumn), clipped to the grid,

    where ``wind = 0 0 0 1 1 1 2 2 1 0`` is that of the column the agent leaves. Each step is
    rewarded with −1 until the goal (3, 7) is reached from the start (3, 0), which ends the
    episode: a blow across the goal does not count, only a step that ends in it.

    Sutton and Barto (2018), Example 6.5; Exercise 6.9 (king's moves); Exercise 6.10 (stochastic
    wind). The shortest path has 15 steps with four moves and 7 with king's moves, with or without
    the ninth action.

    Args:
        moves: "four": 0 up, 1 right, 2 down, 3 left. "king": these and 4 up-right, 5 down-right,
            6 down-left, 7 up-left. "king+stay": these and 8, no move of one's own.
        stochastic_wind: if true, the wind of the columns that have any is one cell weaker, as
            told, or one cell stronger, with probability 1/3 each.
        render_mode: None, "ansi" (the digits are the wind) or "rgb_array".

    Raises:
        ValueError: unknown ``moves`` or ``render_mode``.
    """

    def __init__(
        self,
        moves: str = "four",
        stochastic_wind: bool = False,
        *,
        render_mode: str | None = None,
    ) -> None:
        if moves not in MOVES:
            raise ValueError(f"moves: takes {', '.join(map(repr, MOVES))}, got {moves!r}")
        rows, columns = SHAPE
        cells = [(row, column) for row in range(rows) for column in range(columns)]

        def outcomes_of(cell: tuple[int, int], move: tuple[int, int]) -> list[Outcome]:
            row, column = cell
            if cell == GOAL:
                return [(1.0, row * columns + column, 0.0, True)]
            wind = WIND[column]
            winds = (wind - 1, wind, wind + 1) if stochastic_wind and wind else (wind,)
            outcomes = []
            for blow in winds:
                next_row = min(max(row + move[0] - blow, 0), rows - 1)
                next_column = min(max(column + move[1], 0), columns - 1)
                next_state = next_row * columns + next_column
                reached = (next_row, next_column) == GOAL
                outcomes.append((1.0 / len(winds), next_state, -1.0, reached))
            return outcomes

        initial_state_distrib = np.zeros(len(cells))
        initial_state_distrib[cells.index(START)] = 1.0
        symbols = [str(WIND[column]) for _, column in cells]
        symbols[cells.index(START)] = "S"
        symbols[cells.index(GOAL)] = "G"
        super().__init__(
            {
                state: {a: outcomes_of(cell, move) for a, move in enumerate(MOVES[moves])}
                for state, cell in enumerate(cells)
            },
            initial_state_distrib,
            Layout(shape=SHAPE, moves=MOVES[moves]),
            symbols=symbols,
            cell_colors=CELL_COLORS,
            render_mode=render_mode,
        )
