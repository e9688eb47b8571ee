"""The widgets of chapter 06, from table to function, on the random walk of 1000 states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlcore import plots
from rlcore.approximation.features import (
    FeatureMap,
    aggregation,
    fourier,
    learn,
    one_hot,
    polynomial,
    radial_basis,
    represent,
    tile_coding,
)
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.approximation.prediction import semi_gradient_td0
from rlcore.mdp import TabularMDP
from rlcore.policies import uniform_policy
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider

Floats = NDArray[np.float64]

STATES = np.arange(1, 1001)  # where the walk acts; 0 and 1001 are its exits
ALL_STATES = np.arange(1002)

# n is the order of a basis, or the number of groups, tiles or gaps between bumps in the row.
FAMILIES: Mapping[str, Callable[[int], FeatureMap]] = {
    "Aggregation": lambda n: aggregation(np.clip((ALL_STATES - 1) * n // 1000, 0, n - 1)),
    "Tile coding, 4 tilings": lambda n: tile_coding(n, 4, 1, 1001),
    "Radial basis": lambda n: radial_basis(n + 1, 0, 1000),
    "Polynomial": lambda n: polynomial(n, 0, 1000),
    "Polynomial on [-1, 1]": lambda n: polynomial(n, 0, 1000, interval=(-1, 1)),
    "Fourier": lambda n: fourier(n, 0, 1000),
}


def generalization() -> Panel:
    """What one update at one state changes: the features, and all the values after it."""

    def draw(family: str, n: int, state: int) -> Figure:
        phi, matrix = _features(family, n)
        here = represent(phi.arrays, state)
        weights = np.zeros(phi.num_features)
        learn(weights, here, 1 / float(here.values @ here.values))
        change = matrix @ weights
        figure = blank_figure(height=420)
        plots.functions_of_state(
            STATES,
            {f"feature {i}": feature for i, feature in enumerate(matrix[STATES].T)},
            at=state,
            legend=False,
            xlabel="",
            ylabel="Features",
            title=f"{family}, n = {n}: {phi.num_features} features",
            ax=figure.add_axes((0.1, 0.58, 0.87, 0.35)),
        )
        plots.functions_of_state(
            STATES,
            {"change": change[STATES]},
            at=state,
            legend=False,
            ylabel="Change of value",
            title=f"One update at state {state}: "
            f"{np.count_nonzero(np.abs(change[STATES]) > 0.01)} of 1000 values move by over 0.01",
            ylim=(-0.8, 1.3),
            ax=figure.add_axes((0.1, 0.11, 0.87, 0.35)),
        )
        return figure

    return panel(
        draw,
        hint="Drag the state: expect its group, its tiles or its bumps to move, and far states to "
        "rest. Then choose Polynomial: expect the far end to move as well. More n: narrower.",
        alt="Above, the features as functions of the state; below, the change of all values after "
        "one update at the marked state.",
        family=choice("features", "Radial basis", list(FAMILIES)),
        n=slider("n (order, size)", 5, 1, 20, 1),
        state=slider("state", 300, 10, 990, 10),
    )


def linear_prediction() -> Panel:
    """Order of the features → what they can represent, what TD finds, and how fast it does."""

    def draw(family: str, n: int, share: float) -> Figure:
        exact, learnt = _exact(family, n), _learnt(family, n, share)
        figure = blank_figure(height=380)
        plots.functions_of_state(
            STATES,
            {
                "closest possible": exact.closest[STATES],
                "TD fixed point": exact.fixed_point[STATES],
                "TD(0), learnt": learnt.values.mean(axis=0)[STATES],
            },
            _walk().true_values[STATES],
            ylabel="Value",
            title=f"{family}, n = {n}:\n{exact.num_features} features, "
            f"condition {exact.condition:.2g}",
            ylim=(-1.2, 1.2),
            ax=figure.add_axes((0.095, 0.125, 0.39, 0.74)),
        )
        ax = plots.learning_curves(
            {"TD(0)": learnt.errors, "TD(0), a table": _learnt(TABLE, 1, share).errors},
            reference={"fixed point": exact.fixed_point_error, "closest": exact.smallest_error},
            ylabel="Value error",
            title=f"TD fixed point {exact.fixed_point_error:.5f},\n"
            f"smallest possible {exact.smallest_error:.5f}",
            ylim=(1e-4, 20.0),
            log_y=True,
            ax=figure.add_axes((0.59, 0.125, 0.385, 0.74)),
        )
        ax.legend(loc="upper left", ncols=2, frameon=False, columnspacing=1.0)
        ax.minorticks_off()  # which would take as long to draw as all the rest
        return figure

    return panel(
        draw,
        hint="Drag n with Polynomial: expect the exact lines to fall and the curve hardly to move. "
        "Then Fourier, n = 5: larger exact errors, and yet a curve that goes lower. Mind the "
        "condition.",
        alt="Left, true values of the random walk with the closest function, the TD fixed point "
        "and what TD learnt; right, learning curves with the exact errors as lines.",
        family=choice("features", "Polynomial", list(FAMILIES)),
        n=slider("n (order, size)", 5, 1, 20, 1),
        share=choice("α · max‖φ‖²", 0.1, [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0], ordered=True),
    )


# -- what is computed once -------------------------------------------------------------------------

TABLE = "Table"


class _Walk(NamedTuple):
    mdp: TabularMDP
    true_values: Floats
    distribution: Floats


class _Exact(NamedTuple):
    closest: Floats
    fixed_point: Floats
    smallest_error: float
    fixed_point_error: float
    condition: float  # of ΦᵀDΦ, in the directions that the features span
    num_features: int


@cache
def _walk() -> _Walk:
    env = gymnasium.make("rlcore/RandomWalk-v0", num_states=1000, left_reward=-1.0, reach=100)
    mdp = TabularMDP.from_gymnasium(env)
    policy = uniform_policy(mdp.num_states, mdp.num_actions)
    return _Walk(mdp, mdp.policy_values(policy, 1.0), mdp.stationary_distribution(policy))


@cache
def _features(family: str, n: int) -> tuple[FeatureMap, Floats]:
    """A map of the walk's states, and Φ."""
    phi = one_hot(len(ALL_STATES)) if family == TABLE else FAMILIES[family](n)
    by_number = phi.table(ALL_STATES)
    return by_number, by_number.matrix(ALL_STATES)


@cache
def _exact(family: str, n: int) -> _Exact:
    mdp, true_values, distribution = _walk()
    phi, _ = _features(family, n)
    evaluation = LinearEvaluation(
        mdp,
        phi,
        uniform_policy(mdp.num_states, mdp.num_actions),
        1.0,
        true_values=true_values,
        distribution=distribution,
    )
    closest, fixed_point = evaluation.projection(), evaluation.td_fixed_point()
    return _Exact(
        evaluation.values(closest),
        evaluation.values(fixed_point),
        float(evaluation.value_error(closest)),
        float(evaluation.value_error(fixed_point)),
        evaluation.condition,
        phi.num_features,
    )


@cache
def _learnt(family: str, n: int, share: float) -> Any:
    """TD(0) that removes at most the share of a state's error by one update."""
    mdp, true_values, distribution = _walk()
    phi, matrix = _features(family, n)
    largest = 1.0 if phi.active else float((matrix[STATES] ** 2).sum(axis=1).max())
    return semi_gradient_td0(
        mdp,
        phi,
        episodes=100,
        alpha=share / largest,
        runs=5,
        true_values=true_values,
        distribution=distribution,
    )
