"""The grid world with forbidden cells and a target, continuing or episodic."""

from collections.abc import Iterable

import numpy as np

from rlcore.environments.table import Outcome, TableEnv, check_cell, check_reward
from rlcore.mdp import Layout
from rlcore.validation import check_count, check_fraction

UP, RIGHT, DOWN, LEFT, STAY = range(5)
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1), (0, 0))
CELL_COLORS = {
    ".": (255, 255, 255),
    "S": (225, 238, 248),
    "F": (240, 196, 110),
    "T": (140, 210, 185),
}


class GridWorld(TableEnv):
    """A grid with forbidden cells and one target.

    The actions are 0 up, 1 right, 2 down, 3 left, 4 stay. A move is rewarded by the first of
    these that holds:

    1. it leads off the grid: the agent stays where it is, ``reward_boundary``;
    2. it leads into a forbidden cell, or stays in one: ``reward_forbidden``; the agent enters the
       cell, or with ``enter_forbidden=False`` bounces back to where it was;
    3. it leads into the target, or stays there: ``reward_target``;
    4. otherwise ``reward_step``.

    So a bounce off the boundary costs ``reward_boundary`` alone, in whatever cell it happens. With
    probability ``slip`` the move of an action drawn uniformly from all five, the chosen one
    included, is executed instead, and rewarded as such:

    Pr{move of b | action a} = (1 − slip) · 1[b = a] + slip / 5.

    By default the task is continuing, as in the book: the agent goes on after reaching the target
    and no episode ever terminates; ``gymnasium.make(…, max_episode_steps=…)`` cuts it. With
    ``terminal_target=True`` reaching the target ends the episode.

    The defaults are the 5×5 world of Zhao, *Mathematical Foundations of Reinforcement Learning*
    (2025), Chapters 1–4, in which γ = 0.9; its s₁ … s₂₅ are the states 0 … 24.

    Args:
        shape: rows and columns, each at least 1.
        forbidden: the forbidden cells, each a 0-based (row, column).
        target: the target cell.
        reward_target: reward of a move into the target.
        reward_forbidden: reward of a move into a forbidden cell.
        reward_boundary: reward of a move off the grid.
        reward_step: reward of every other move.
        enter_forbidden: whether the agent can stand in a forbidden cell.
        terminal_target: whether the target ends the episode.
        slip: probability in [0, 1] that a uniformly random move is executed instead.
        start: the cell in which an episode starts; None draws it uniformly from all cells in
            which the agent can stand and act (no terminal target, and no forbidden cell with
            ``enter_forbidden=False``).
        render_mode: None, "ansi" or "rgb_array".

    Raises:
        ValueError: a shape without cells, a cell outside the grid, a target that is forbidden, a
            start in which the agent cannot stand and act, ``slip`` outside [0, 1], a reward that is
            not finite, an unknown ``render_mode``.
    """

    def __init__(
        self,
        shape: tuple[int, int] = (5, 5),
        forbidden: Iterable[tuple[int, int]] = ((1, 1), (1, 2), (2, 2), (3, 1), (3, 3), (4, 1)),
        target: tuple[int, int] = (3, 2),
        *,
        reward_target: float = 1.0,
        reward_forbidden: float = -1.0,
        reward_boundary: float = -1.0,
        reward_step: float = 0.0,
        enter_forbidden: bool = True,
        terminal_target: bool = False,
        slip: float = 0.0,
        start: tuple[int, int] | None = (0, 0),
        render_mode: str | None = None,
    ) -> None:
        if np.shape(shape) != (2,):
            raise ValueError(f"shape: takes two whole numbers (rows, columns), got {shape!r}")
        rows, columns = (check_count("shape", length) for length in shape)
        shape = (rows, columns)
        forbidden_cells = {check_cell("forbidden", cell, shape) for cell in forbidden}
        target = check_cell("target", target, shape)
        if target in forbidden_cells:
            raise ValueError(f"target: takes a cell that is not forbidden, got {target}")
        slip = check_fraction("slip", slip)
        reward_target = check_reward("reward_target", reward_target)
        reward_forbidden = check_reward("reward_forbidden", reward_forbidden)
        reward_boundary = check_reward("reward_boundary", reward_boundary)
        reward_step = check_reward("reward_step", reward_step)

        cells = [(row, column) for row in range(rows) for column in range(columns)]
        excluded = {target} if terminal_target else set()
        if not enter_forbidden:
            excluded |= forbidden_cells
        start_cells = [cell for cell in cells if cell not in excluded]
        if start is not None:
            start = check_cell("start", start, shape)
            if start not in start_cells:
                raise ValueError(
                    "start: takes a cell in which the agent can stand and act (no terminal "
                    f"target, no forbidden cell that cannot be entered), got {start}"
                )
            start_cells = [start]
        if not start_cells:
            raise ValueError(f"shape: takes a grid with a cell to start in, got {shape} with none")

        def outcome_of(cell: tuple[int, int], move: tuple[int, int]) -> tuple[int, float, bool]:
            row, column = cell[0] + move[0], cell[1] + move[1]
            reached = (row, column)
            if not (0 <= row < rows and 0 <= column < columns):
                reached, reward = cell, reward_boundary
            elif reached in forbidden_cells:
                reached, reward = reached if enter_forbidden else cell, reward_forbidden
            elif reached == target:
                reward = reward_target
            else:
                reward = reward_step
            return reached[0] * columns + reached[1], reward, terminal_target and reached == target

        def outcomes_of(cell: tuple[int, int], action: int) -> list[Outcome]:
            if terminal_target and cell == target:
                return [(1.0, cell[0] * columns + cell[1], 0.0, True)]
            outcomes = []
            for executed, move in enumerate(MOVES):
                probability = (1.0 - slip) * (executed == action) + slip / len(MOVES)
                if probability > 0.0:
                    outcomes.append((probability, *outcome_of(cell, move)))
            return outcomes

        initial_state_distrib = np.zeros(len(cells))
        for row, column in start_cells:
            initial_state_distrib[row * columns + column] = 1.0 / len(start_cells)
        symbols = ["F" if c in forbidden_cells else "T" if c == target else "." for c in cells]
        if start is not None and symbols[cells.index(start)] == ".":
            symbols[cells.index(start)] = "S"
        super().__init__(
            {
                state: {action: outcomes_of(cell, action) for action in range(len(MOVES))}
                for state, cell in enumerate(cells)
            },
            initial_state_distrib,
            Layout(shape=shape, moves=MOVES),
            symbols=symbols,
            cell_colors=CELL_COLORS,
            render_mode=render_mode,
        )
