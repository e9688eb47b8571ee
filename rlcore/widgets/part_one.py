"""The widgets of Part I, values in a table: chapters 01 to 05."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import gymnasium
import numpy as np
from matplotlib.figure import Figure

from rlcore import plots
from rlcore.environments.grid_world import GridWorld
from rlcore.experiments import standard_error
from rlcore.mdp import Layout, TabularMDP, policy_iteration
from rlcore.policies import greedy_policy
from rlcore.tabular.control import (
    double_q_learning,
    expected_sarsa,
    n_step_sarsa,
    q_learning,
    sarsa,
)
from rlcore.tabular.prediction import monte_carlo, n_step_td, td0, td_lambda
from rlcore.transitions import collect
from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider

# -- chapter 01 ------------------------------------------------------------------------------------

FORBIDDEN = ((1, 1), (1, 2), (2, 2), (3, 1), (3, 3), (4, 1))
TARGET = (3, 2)


def bellman() -> Panel:
    """Optimal values and policy of the 5×5 grid world (Zhao 2025, section 3.5), solved anew."""

    def draw(gamma: float, reward_forbidden: float, slip: float) -> Figure:
        world = GridWorld(
            forbidden=FORBIDDEN, target=TARGET, reward_forbidden=reward_forbidden, slip=slip
        )
        mdp = TabularMDP.from_gymnasium(world)
        solution = policy_iteration(mdp, gamma)
        figure = blank_figure(height=500, width=480)
        plots.value_map(
            solution.values,
            world.layout,
            solution.policy,
            forbidden=FORBIDDEN,
            targets=[TARGET],
            fmt=".2f",
            title=f"Optimal values, γ = {gamma:.2f}, $r_{{forbidden}}$ = "
            f"{reward_forbidden:g}, slip = {slip:.2f}",
            ax=figure.add_axes((0.01, 0.01, 0.98, 0.93)),
        )
        return figure

    return panel(
        draw,
        hint="Lower the forbidden reward to −10: the arrows turn away from the hatched cells, the "
        "farthest first. Back at −1, go down to γ = 0.5: the same route, for another reason.",
        alt="Grid world of 5 by 5 cells with the optimal value of each cell and arrows for the "
        "optimal actions; forbidden cells hatched, the target framed.",
        width=480,
        gamma=slider("γ (discount)", 0.9, 0.0, 0.99, 0.01),
        reward_forbidden=slider("forbidden reward", -1.0, -10.0, 0.0, 0.5),
        slip=slider("slip probability", 0.0, 0.0, 0.9, 0.05),
    )


# -- chapter 02 ------------------------------------------------------------------------------------


def td_prediction() -> Panel:
    """TD(0) against Monte Carlo on the 5-state random walk (Sutton & Barto 2018, example 6.2)."""

    def draw(alpha: float, runs: int) -> Figure:
        settings: dict[str, Any] = {
            "episodes": 100,
            "alpha": alpha,
            "runs": runs,
            "initial_value": 0.5,
        }
        walk = _random_walk(5, 0.0)
        figure = blank_figure()
        plots.learning_curves(
            {
                "TD(0)": td0(walk, **settings).errors,
                "Monte Carlo": monte_carlo(walk, **settings).errors,
            },
            xlabel="Episodes",
            ylabel="RMS error (reward units)",
            title=f"Random walk, 5 states: α = {alpha:.2f}, "
            + (f"mean of {runs} runs and 95 % band" if runs > 1 else "a single run"),
            ylim=(0.0, 0.35),
            ax=figure.add_axes((0.1, 0.14, 0.87, 0.77)),
        )
        return figure

    return panel(
        draw,
        hint="Try 1 run, then 1000, then a large α: expect noise that only many runs remove, and a "
        "floor that rises with α, higher for Monte Carlo.",
        alt="Root-mean-square error of TD(0) and of Monte Carlo over 100 episodes, with 95 percent "
        "confidence bands.",
        alpha=slider("α (step size)", 0.05, 0.01, 0.3, 0.01),
        runs=choice("runs", 100, [1, 10, 100, 1000], ordered=True),
    )


# -- chapter 03 ------------------------------------------------------------------------------------

N_STEP_ALPHAS = np.linspace(0.05, 1.0, 20)


def n_step() -> Panel:
    """n-step TD on the 19-state random walk: error over α (Sutton & Barto 2018, figure 7.2)."""

    def draw(n: int, alpha: float) -> Figure:
        here = _n_step_errors(n, (alpha,), runs=200, seed=1)
        lines = {1: "n = 1, TD(0)", n: f"n = {n}", 512: "n = 512, Monte Carlo"}
        studies = {steps: _n_step_curve(steps, tuple(N_STEP_ALPHAS), runs=40) for steps in lines}
        figure = blank_figure()
        ax = plots.parameter_study(
            N_STEP_ALPHAS,
            np.array([study.mean(axis=1) for study in studies.values()]),
            np.array([standard_error(study, axis=1) for study in studies.values()]),
            labels=list(lines.values()),
            highlight=list(lines).index(n),
            ylabel="RMS error, first 10 episodes",
            title=f"n = {n}, α = {alpha:.2f}: {here.mean():.3f} ± {standard_error(here[0]):.3f}",
            ylim=(0.22, 0.58),
            ax=figure.add_axes((0.1, 0.14, 0.87, 0.77)),
        )
        ax.errorbar(
            alpha,
            here.mean(),
            plots.NORMAL_95 * standard_error(here[0]),
            color="black",
            marker="o",
            capsize=4,
            zorder=5,
        )
        return figure

    return panel(
        draw,
        hint="Try n = 1, 4, 16: expect the lowest point at a middle n, and at a smaller α the "
        "larger n is.",
        alt="Root-mean-square error against the step size for the chosen n, for n = 1 and for "
        "n = 512, with the chosen step size marked.",
        n=choice("n (steps)", 4, [2**k for k in range(10)], ordered=True),
        alpha=slider("α (step size)", 0.4, 0.05, 1.0, 0.05),
    )


def _n_step_errors(n: int, alphas: tuple[float, ...], *, runs: int, seed: int = 0) -> Any:
    """(alphas, runs) mean RMS error over the first 10 episodes."""
    walk = _random_walk(19, -1.0)
    return np.array(
        [
            n_step_td(walk, n=n, episodes=10, alpha=alpha, runs=runs, seed=seed).errors.mean(axis=1)
            for alpha in alphas
        ]
    )


# While α moves, the curve of its n stays: only the point is a new experiment.
_n_step_curve = cache(_n_step_errors)


# -- chapter 04 ------------------------------------------------------------------------------------

CLIFF = tuple((3, column) for column in range(1, 11))
CLIFF_LABELS = {(3, 0): "S", (3, 11): "G"}


def cliff_walking() -> Panel:
    """Sarsa, Expected Sarsa and Q-learning at the cliff (Sutton & Barto 2018, example 6.6)."""

    def draw(epsilon: float, alpha: float) -> Figure:
        cliff, layout = _cliff()
        learners = {"Sarsa": sarsa, "Expected Sarsa": expected_sarsa, "Q-learning": q_learning}
        best = float(cliff.start @ cliff.optimal_values(1.0, epsilon=epsilon))
        results = {
            name: learner(cliff, episodes=300, alpha=alpha, epsilon=epsilon, runs=20)
            for name, learner in learners.items()
        }
        figure = blank_figure(height=540)
        plots.learning_curves(
            {name: result.returns for name, result in results.items()},
            smooth=10,
            reference={"best ε-soft policy (exact)": best},
            ylabel="Return of an episode",
            title=f"While learning, ε = {epsilon:.2f}, α = {alpha:.2f} (20 runs, smoothed over 10)",
            ylim=(-200.0, 0.0),
            ax=figure.add_axes((0.12, 0.54, 0.85, 0.41)),
        )
        plots.paths(
            {name: _greedy_route(cliff, result.q.mean(axis=0)) for name, result in results.items()},
            layout,
            shaded=CLIFF,
            labels=CLIFF_LABELS,
            title="What was learnt: greedy paths of the mean action values",
            ax=figure.add_axes((0.02, 0.07, 0.96, 0.34)),
        )
        return figure

    return panel(
        draw,
        hint="Try ε from 0 to 0.3: expect Q-learning to keep to the edge and to pay for it, and "
        "Expected Sarsa to stay at the exact line. Then α = 1: expect Sarsa alone to collapse.",
        alt="Above, return per episode of three algorithms with 95 percent bands; below, the "
        "greedy paths that they have learnt through the cliff world.",
        epsilon=slider("ε (exploration)", 0.1, 0.0, 0.3, 0.02),
        alpha=slider("α (step size)", 0.5, 0.1, 1.0, 0.1),
    )


def _greedy_route(mdp: TabularMDP, q: Any) -> list[int]:
    """The states that the greedy policy visits, cut off where it would walk in circles."""
    taken = collect(mdp, greedy_policy(q), episodes=1, max_episode_steps=40)
    return [*taken.states.tolist(), int(taken.next_states[-1])]


# -- chapter 05 ------------------------------------------------------------------------------------


def unified_target() -> Panel:
    """One update, many targets: the backup diagram, the target and what it learns."""

    def draw(n: int, alpha: float, target: str) -> Figure:
        lam = 1 - 1 / n
        control: dict[str, Any] = {"episodes": 200, "alpha": alpha, "runs": 20}
        prediction: dict[str, Any] = {"episodes": 50, "alpha": alpha, "runs": 50}
        cliff, walk = _cliff()[0], _random_walk(19, -1.0)
        learners: dict[str, Callable[[], Any]] = {
            "sarsa": lambda: sarsa(cliff, **control),
            "n_step_sarsa": lambda: n_step_sarsa(cliff, n=n, **control),
            "expected_sarsa": lambda: expected_sarsa(cliff, **control),
            "q_learning": lambda: q_learning(cliff, **control),
            "double_q_learning": lambda: double_q_learning(cliff, **control),
            "td0": lambda: td0(walk, **prediction),
            "n_step_td": lambda: n_step_td(walk, n=n, **prediction),
            "td_lambda": lambda: td_lambda(walk, lam=lam, **prediction),
            "monte_carlo": lambda: monte_carlo(walk, **prediction),
        }
        predicts = target in ("td0", "n_step_td", "td_lambda", "monte_carlo")
        one_step = "td0" if predicts else "sarsa"
        shown = {plots.BACKUPS[name].title.format(n=n): name for name in (target, one_step)}
        results = {label: learners[name]() for label, name in shown.items()}
        figure = blank_figure(height=420)
        plots.backup_diagram(target, n=n, ax=figure.add_axes((0.0, 0.07, 0.36, 0.86)))
        estimate = "V" if predicts else "Q"
        figure.text(
            0.18,
            0.03,
            rf"${estimate} \leftarrow {estimate} - \alpha\,[\,{estimate} - \bar q\,]$",
            ha="center",
            size=12,
            math_fontfamily="cm",
        )
        where = "Random walk" if predicts else "Cliff walking"
        plots.learning_curves(
            {
                label: result.errors if predicts else result.returns
                for label, result in results.items()
            },
            smooth=1 if predicts else 10,
            ylabel="RMS error (reward units)" if predicts else "Return of an episode",
            title=f"{where}, α = {alpha:.2f}"
            + (f", λ = 1 - 1/{n} = {lam:.2f}" if target == "td_lambda" else ""),
            ylim=(0.0, 0.7) if predicts else (-150.0, 0.0),
            ax=figure.add_axes((0.46, 0.13, 0.51, 0.77)),
        )
        return figure

    made = panel(
        draw,
        hint="Try n = 1 with n-step Sarsa: expect Sarsa itself. Then choose Q-learning: expect an "
        "arc for the maximum and a lower return at the cliff. (TD(λ) uses λ = 1 − 1/n.)",
        alt="Left, the backup diagram, the target and the update; right, the learning curve of the "
        "chosen target and of the one-step target.",
        n=slider("n (steps)", 3, 1, 8, 1),
        alpha=slider("α (step size)", 0.3, 0.05, 1.0, 0.05),
        target=choice(
            "target",
            "n_step_sarsa",
            [
                ("Sarsa", "sarsa"),
                ("n-step Sarsa", "n_step_sarsa"),
                ("Expected Sarsa", "expected_sarsa"),
                ("Q-learning", "q_learning"),
                ("Double Q-learning", "double_q_learning"),
                ("TD(0)", "td0"),
                ("n-step TD", "n_step_td"),
                ("TD(λ)", "td_lambda"),
                ("Monte Carlo", "monte_carlo"),
            ],
        ),
    )
    n_slider, chosen = made.controls["n"], made.controls["target"]

    def enable_where_it_counts(_: Any = None) -> None:
        n_slider.disabled = chosen.value not in ("n_step_sarsa", "n_step_td", "td_lambda")

    chosen.observe(enable_where_it_counts, names="value")
    return made


# -- problems that several widgets share -----------------------------------------------------------


@cache
def _random_walk(num_states: int, left_reward: float) -> TabularMDP:
    env = gymnasium.make(
        "rlcore/RandomWalk-v0", num_states=num_states, left_reward=left_reward, right_reward=1.0
    )
    return TabularMDP.from_gymnasium(env)


@cache
def _cliff() -> tuple[TabularMDP, Layout]:
    mdp = TabularMDP.from_gymnasium(gymnasium.make("CliffWalking-v1"))
    assert mdp.layout is not None
    return mdp, mdp.layout
