"""The widget of chapter 08: a value network, trained anew at every move."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from rlcore import plots
from rlcore.approximation.value_network import value_network_td
from rlcore.mdp import TabularMDP
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider


def hallway(num_states: int = 21) -> TabularMDP:
    """A walk that never ends along a row of states, and that stays long in either half.

    Left or right with equal probability; at a wall the walker stays where it is. A step pays −0.1
    if it leads into the left half, 0.1 into the right half, 0 into the middle.

    Args:
        num_states: an odd number.
    """
    middle = num_states // 2
    states = np.arange(num_states)
    steps = np.stack([np.maximum(states - 1, 0), np.minimum(states + 1, num_states - 1)], axis=1)
    next_states = steps[:, np.newaxis, :]
    return TabularMDP(
        probabilities=np.full(next_states.shape, 0.5),
        next_states=next_states,
        rewards=0.1 * np.sign(next_states - middle),
        terminated=np.zeros(next_states.shape, dtype=bool),
        start=np.full(num_states, 1 / num_states),
    )


def value_network() -> Panel:
    """A network learns the values of the hallway: order of the data, target network, step size."""
    walk = hallway()
    positions = np.linspace(-1.0, 1.0, walk.num_states)[:, np.newaxis]
    true_values = walk.policy_values(np.ones((walk.num_states, 1)), 0.9)

    def draw(shuffle: bool, target_every: int, alpha: float) -> Figure:
        learnt = value_network_td(
            walk,
            inputs=positions,
            hidden=(32,),
            episodes=1,
            max_episode_steps=2000,
            sweeps=3,
            alpha=alpha,
            shuffle=shuffle,
            target_every=target_every,
            gamma=0.9,
        )
        figure = blank_figure(height=480)
        ax = plots.state_values(
            {"network": learnt.values},
            true_values,
            ylabel="Value (reward units)",
            states=range(walk.num_states),
            title="After the last update",
            ax=figure.add_axes((0.1, 0.58, 0.87, 0.36)),
        )
        ax.set_ylim(-1.6, 1.6)
        late = learnt.errors[len(learnt.errors) // 2 :].mean()
        plots.learning_curves(
            {"RMS error": learnt.errors},
            xlabel="Updates (63 in a sweep)",
            ylabel="RMS error (reward units)",
            title=f"{'Shuffled' if shuffle else 'As it came'}, α = {alpha:.1f}: mean error of the "
            f"second half {late:.2f}",
            ylim=(0.0, 1.0),
            ax=figure.add_axes((0.1, 0.1, 0.87, 0.34)),
        )
        return figure

    return panel(
        draw,
        hint="Present the same data as it came: expect a larger and rougher error, as the network "
        "follows the half that it has just seen. Copy the target every 50: expect a staircase.",
        alt="Above, the values of 21 states from the network against the true ones; below, the "
        "root-mean-square error after each update.",
        shuffle=choice("order", True, [("shuffled", True), ("as it came", False)]),
        target_every=choice("copy target every", 1, [1, 5, 20, 50], ordered=True),
        alpha=slider("α (step size)", 0.6, 0.1, 1.0, 0.1),
    )
