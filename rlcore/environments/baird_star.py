"""Baird's star: seven states on which off-policy semi-gradient TD diverges."""

import numpy as np

from rlcore.environments.table import TableEnv, Transitions
from rlcore.mdp import Layout

NUM_STATES = 7
CENTRE = NUM_STATES - 1
DASHED, SOLID = 0, 1
CELL_COLORS = {"o": (255, 255, 255), "*": (225, 238, 248)}


class BairdStar(TableEnv):
    """Baird's counterexample: six outer states and a centre.

    Action 0 (dashed) leads to one of the six outer states 0 … 5 with equal probability, action 1
    (solid) to the centre, state 6. All rewards are 0, so every value is 0; the task goes on for
    ever, from a start drawn uniformly from all states. The behaviour policy of the example takes
    the dashed action with probability 6/7, so that every state is visited equally often; the target
    policy always takes the solid one; γ = 0.99.

    Baird 1995; Sutton and Barto (2018), section 11.2, with the eight features ``FEATURES``: the
    values are v̂(s) = 2 w_s + w_7 for the outer states and w_6 + 2 w_7 for the centre.

    Args:
        render_mode: None, "ansi" or "rgb_array".

    Raises:
        ValueError: an unknown ``render_mode``.
    """

    FEATURES = np.column_stack((2 * np.eye(NUM_STATES), np.ones(NUM_STATES)))
    """(7, 8) φ(s) of each state."""
    FEATURES[CENTRE, CENTRE], FEATURES[CENTRE, -1] = 1.0, 2.0
    FEATURES.setflags(write=False)
    BEHAVIOR_POLICY = np.tile([6 / 7, 1 / 7], (NUM_STATES, 1))
    """(7, 2) dashed six times in seven."""
    BEHAVIOR_POLICY.setflags(write=False)
    TARGET_POLICY = np.tile([0.0, 1.0], (NUM_STATES, 1))
    """(7, 2) always solid."""
    TARGET_POLICY.setflags(write=False)

    def __init__(self, *, render_mode: str | None = None) -> None:
        outer = [(1 / CENTRE, state, 0.0, False) for state in range(CENTRE)]
        transitions: Transitions = {
            state: {DASHED: list(outer), SOLID: [(1.0, CENTRE, 0.0, False)]}
            for state in range(NUM_STATES)
        }
        super().__init__(
            transitions,
            np.full(NUM_STATES, 1 / NUM_STATES),
            Layout(shape=(1, NUM_STATES), moves=((0, 0), (0, 0))),
            symbols="oooooo*",
            cell_colors=CELL_COLORS,
            render_mode=render_mode,
        )
