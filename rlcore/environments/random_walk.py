"""The random walk: the smallest problem on which prediction methods differ."""

import numpy as np

from rlcore.environments.table import TableEnv, Transitions, check_reward
from rlcore.mdp import Layout
from rlcore.validation import check_count

LEFT, RIGHT = 0, 1
MOVES = ((0, -1), (0, 1))
CELL_COLORS = {"T": (190, 190, 190), "S": (225, 238, 248), ".": (255, 255, 255)}


class RandomWalk(TableEnv):
    """A row of states with an exit at either end.

    The states are 0 … num_states + 1. The first and the last are terminal; an episode starts in
    the middle one, (num_states + 1) // 2. Action 0 goes to the left, action 1 to the right: by one
    state with certainty, or with ``reach`` by any of 1 … ``reach`` states with equal probability,
    at most to the end of the row. Every step is rewarded with 0 but the one that leaves the row.
    Under the uniformly random policy, γ = 1 and ``reach`` = 1

    V(s) = left_reward + (right_reward − left_reward) · s / (num_states + 1).

    Sutton and Barto (2018), Example 6.2: five states, the defaults. Example 7.1: nineteen states,
    ``num_states=19, left_reward=-1.0``. Example 9.1: a thousand states, ``num_states=1000,
    left_reward=-1.0, reach=100``.

    Args:
        num_states: the number of states that are not terminal, at least 1.
        left_reward: the reward of stepping into state 0.
        right_reward: the reward of stepping into state num_states + 1.
        reach: the longest step, at least 1.
        render_mode: None, "ansi" or "rgb_array".

    Raises:
        TypeError: ``num_states`` or ``reach`` is not an integer.
        ValueError: ``num_states`` or ``reach`` below 1, a reward that is not finite, an unknown
            ``render_mode``.
    """

    def __init__(
        self,
        num_states: int = 5,
        left_reward: float = 0.0,
        right_reward: float = 1.0,
        *,
        reach: int = 1,
        render_mode: str | None = None,
    ) -> None:
        last = check_count("num_states", num_states) + 1
        check_count("reach", reach)
        exit_rewards = {
            0: check_reward("left_reward", left_reward),
            last: check_reward("right_reward", right_reward),
        }

        transitions: Transitions = {}
        for state in range(last + 1):
            transitions[state] = {}
            for action, (_, direction) in enumerate(MOVES):
                if state in exit_rewards:
                    transitions[state][action] = [(1.0, state, 0.0, True)]
                    continue
                reached = [min(max(state + direction * k, 0), last) for k in range(1, reach + 1)]
                transitions[state][action] = [
                    (count / reach, int(s), exit_rewards.get(int(s), 0.0), int(s) in exit_rewards)
                    for s, count in zip(*np.unique(reached, return_counts=True), strict=True)
                ]

        start = last // 2
        initial_state_distrib = np.zeros(last + 1)
        initial_state_distrib[start] = 1.0
        symbols = ["."] * (last + 1)
        symbols[0] = symbols[last] = "T"
        symbols[start] = "S"
        super().__init__(
            transitions,
            initial_state_distrib,
            Layout(shape=(1, last + 1), moves=MOVES),
            symbols=symbols,
            cell_colors=CELL_COLORS,
            render_mode=render_mode,
        )
