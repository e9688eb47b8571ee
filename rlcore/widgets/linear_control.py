"""The widgets of chapter 07: control with linear functions, and how it breaks."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rlcore import plots
from rlcore.approximation.control import semi_gradient_n_step_sarsa
from rlcore.approximation.expected import expected_td0, expected_tdc
from rlcore.approximation.features import FeatureMap, tile_coding
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.approximation.prediction import semi_gradient_td0, tdc
from rlcore.environments.baird_star import BairdStar
from rlcore.environments.mountain_car import GOAL_POSITION, MAX_SPEED, MIN_POSITION, MountainCar
from rlcore.mdp import TabularMDP
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider

Floats = NDArray[np.float64]

# -- Mountain Car ----------------------------------------------------------------------------------

POINTS = 33  # of the surface, in each coordinate
# The first episode takes some 1500 steps; a large n with a large α may never learn to end one.
LONGEST_EPISODE = 3000


def mountain_car() -> Panel:
    """n-step Sarsa with tile coding on Mountain Car (Sutton & Barto 2018, figures 10.1 to 10.3)."""

    def draw(n: int, alpha: float, episodes: int) -> Figure:
        surface = _surface()
        result = semi_gradient_n_step_sarsa(
            MountainCar(LONGEST_EPISODE),
            surface.tiles,
            n=n,
            episodes=episodes,
            alpha=alpha,
            epsilon=0.0,
        )
        cost = -(surface.matrix @ result.weights[0].T).max(axis=1)
        figure = blank_figure(height=310)
        plots.heat_map(
            cost.reshape(POINTS, POINTS),
            surface.positions,
            surface.velocities,
            title=f"Cost to go after {episodes} episodes",
            ax=figure.add_axes((0.11, 0.16, 0.41, 0.74)),
        )
        plots.learning_curves(
            {f"n = {n}, α = {alpha:.1f}": result.lengths},
            ylabel="Steps of an episode",
            title="Learning curve, one run",
            log_y=True,
            ylim=(80.0, 4000.0),
            ax=figure.add_axes((0.69, 0.16, 0.29, 0.74)),
        )
        return figure

    return panel(
        draw,
        hint="Raise the episodes from 2 on: expect rings around the valley that become a spiral to "
        "the goal. Then compare n = 1 and n = 8 at α = 0.3, and see what α = 1 does to n = 8.",
        alt="Left, cost to go over position and velocity of Mountain Car as a heat map; right, "
        "steps of each episode on a logarithmic axis.",
        n=choice("n (steps)", 4, [1, 2, 4, 8], ordered=True),
        alpha=slider("α (step size)", 0.5, 0.2, 1.0, 0.1),
        episodes=choice("episodes", 104, [2, 5, 12, 30, 104, 300], ordered=True),
    )


class _Surface(NamedTuple):
    """Where cost to go is drawn, and the features there."""

    tiles: FeatureMap
    positions: Floats
    velocities: Floats
    matrix: Floats


@cache
def _surface() -> _Surface:
    low, high = [MIN_POSITION, -MAX_SPEED], [GOAL_POSITION, MAX_SPEED]
    tiles = tile_coding(8, 8, low, high)
    positions, velocities = np.linspace(low, high, POINTS).T
    points = np.stack(np.meshgrid(positions, velocities, indexing="ij"), axis=-1)
    return _Surface(tiles, positions, velocities, tiles.matrix(points.reshape(-1, 2)))


# -- Baird's counterexample ------------------------------------------------------------------------

START = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 1.0])  # Sutton & Barto 2018, figure 11.2
BETA = 0.05  # step size of TDC's second weights
UPDATES = 2000
SAMPLED = range(0, UPDATES + 1, 250)
OUTER, CENTRE, SHARED = 0, 6, 7  # the first of the six equal weights, and the other two
METHODS = {
    "td": "TD(0), off-policy",
    "on_policy": "TD(0), on-policy",
    "tdc": "TDC, off-policy",
}


def baird() -> Panel:
    """Baird's counterexample: expected and sampled weights, and what the eigenvalues predict."""

    def draw(gamma: float, alpha: float, method: str) -> Figure:
        star = _baird_star()
        policy = BairdStar.TARGET_POLICY
        evaluation = LinearEvaluation(
            star,
            BairdStar.FEATURES,
            policy,
            gamma,
            distribution=None if method == "on_policy" else star.start,
        )
        first = START
        if method == "tdc":
            first = np.concatenate((START, np.zeros_like(START)))
            update = expected_tdc(evaluation, alpha, BETA)
        else:
            update = expected_td0(evaluation, alpha)
        sampled = np.array([_sampled(method, gamma, alpha, steps) for steps in SAMPLED])
        shown = {"$w_0$ to $w_5$": OUTER, "$w_6$": CENTRE, "$w_7$": SHARED}
        run, predicted = update.iterate(first, UPDATES), update.fastest_part(first, UPDATES)
        figure = blank_figure(height=380)
        plots.weight_curves(
            {label: run[:, i] for label, i in shown.items()},
            predicted={label: predicted[:, i] for label, i in shown.items()},
            samples=(SAMPLED, {label: sampled[:, i] for label, i in shown.items()}),
            title=f"{METHODS[method]}, γ = {gamma:.2f}, α = {alpha:g}: "
            f"largest |eigenvalue| {update.growth:.5f}",
            ylim=(-1e6, 1e6),
            ax=figure.add_axes((0.12, 0.13, 0.85, 0.78)),
        )
        return figure

    return panel(
        draw,
        hint="Lower γ from 0.99: expect straight growth, then growing swings, and below 0.88 none "
        "at all. Back at 0.99, choose TDC or on-policy: expect the growth to be gone.",
        alt="Three groups of weights over 2000 updates: expected as lines, one sampled run as "
        "markers, the prediction of the eigenvalues as dashes.",
        gamma=slider("γ (discount)", 0.99, 0.5, 0.99, 0.01),
        alpha=choice("α (step size)", 0.01, [0.002, 0.005, 0.01, 0.02], ordered=True),
        method=choice("method", "td", [(name, key) for key, name in METHODS.items()]),
    )


def _sampled(method: str, gamma: float, alpha: float, steps: int) -> Floats:
    """The weights of one run after so many updates; the same run, whatever their number."""
    if steps == 0:
        return START
    # Off-policy, steps from the uniform start are those of the behaviour policy, and independent.
    once = method == "on_policy"
    settings: dict[str, Any] = {
        "policy": BairdStar.TARGET_POLICY,
        "behavior_policy": BairdStar.TARGET_POLICY if once else BairdStar.BEHAVIOR_POLICY,
        "episodes": 1 if once else steps,
        "max_episode_steps": steps if once else 1,
        "alpha": alpha,
        "gamma": gamma,
        "initial_weights": START,
    }
    star, features = _baird_star(), BairdStar.FEATURES
    if method == "tdc":
        return tdc(star, features, beta=BETA, **settings).weights[0]
    return semi_gradient_td0(star, features, **settings).weights[0]


@cache
def _baird_star() -> TabularMDP:
    return TabularMDP.from_gymnasium(gymnasium.make("rlcore/BairdStar-v0"))
