"""The unified view: every target on the same experience, as a table made from the code itself.

Q ← Q − α [Q − q̄] is every learner of this course; q̄ is its target (Zhao 2025, section 7.5). The
formulas and equations of the table are the docstrings of ``targets``, its numbers are what those
functions return.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlcore.tabular import control, prediction, targets

Floats = NDArray[np.float64]


class Experience(NamedTuple):
    """What followed one (s, a) until the episode ended after T steps, and what is estimated of it.

    Step k of the arrays led to s_k+1 with reward r_k+1; the estimates are those of that state.
    """

    rewards: Floats
    """(T,) r₁ … r_T."""
    discounts: Floats
    """(T,) γ, 0 where the step ended the episode."""
    next_q: Floats
    """(T, actions) q(s₁, ·) … q(s_T, ·)."""
    next_actions: NDArray[np.int64]
    """(T,) a₁ … a_T, the actions taken next."""
    other_next_q: Floats
    """(T, actions) the second table of Double Q-learning."""
    epsilon: float
    """ε of the policy π that is followed, ε-greedy for q."""

    @property
    def taken(self) -> Floats:
        """(T,) q(s_k, a_k)."""
        return np.asarray(self.next_q[np.arange(len(self.rewards)), self.next_actions])

    @property
    def next_values(self) -> Floats:
        """(T,) v(s_k) = Σ_a π(a|s_k) q(s_k, a)."""
        best, mean = self.next_q.max(axis=1), self.next_q.mean(axis=1)
        return np.asarray((1 - self.epsilon) * best + self.epsilon * mean)


class Method(NamedTuple):
    """A learner, its target function, and that target on an ``Experience``."""

    learner: Callable[..., Any]
    target: Any
    of: Callable[..., float]
    """(experience, n, lam) → the target of the first (s, a)."""


def _n_step(e: Experience, n: int, values: Floats) -> float:
    steps = min(n, len(e.rewards))
    return float(targets.n_step_target(e.rewards[:steps], e.discounts[:steps], values[steps - 1]))


METHODS: Mapping[str, Method] = {
    "TD(0)": Method(
        prediction.td0,
        targets.td_target,
        lambda e, n, lam: targets.td_target(e.rewards[0], e.discounts[0], e.next_values[0]),
    ),
    "n-step TD": Method(
        prediction.n_step_td,
        targets.n_step_target,
        lambda e, n, lam: _n_step(e, n, e.next_values),
    ),
    "TD(λ)": Method(
        prediction.offline_lambda_return,
        targets.lambda_targets,
        lambda e, n, lam: targets.lambda_targets(e.rewards, e.discounts, e.next_values, lam)[0],
    ),
    "Monte Carlo": Method(
        prediction.monte_carlo,
        targets.lambda_targets,
        lambda e, n, lam: targets.lambda_targets(e.rewards, e.discounts, e.next_values, 1.0)[0],
    ),
    "Sarsa": Method(
        control.sarsa,
        targets.sarsa_target,
        lambda e, n, lam: targets.sarsa_target(
            e.rewards[0], e.discounts[0], e.next_q[0], e.next_actions[0]
        ),
    ),
    "n-step Sarsa": Method(
        control.n_step_sarsa,
        targets.n_step_target,
        lambda e, n, lam: _n_step(e, n, e.taken),
    ),
    "Expected Sarsa": Method(
        control.expected_sarsa,
        targets.expected_sarsa_target,
        lambda e, n, lam: targets.expected_sarsa_target(
            e.rewards[0], e.discounts[0], e.next_q[0], e.epsilon
        ),
    ),
    "Q-learning": Method(
        control.q_learning,
        targets.q_learning_target,
        lambda e, n, lam: targets.q_learning_target(e.rewards[0], e.discounts[0], e.next_q[0]),
    ),
    "Double Q-learning": Method(
        control.double_q_learning,
        targets.double_q_learning_target,
        lambda e, n, lam: targets.double_q_learning_target(
            e.rewards[0], e.discounts[0], e.next_q[0], e.other_next_q[0], 0.0
        ),
    ),
}


@dataclass(frozen=True)
class TargetTable:
    """The methods side by side; a notebook shows it as a table, ``print`` as text."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """Of each method: its name, its function, q̄ with its source, the equation, the number."""

    def __repr__(self) -> str:
        return "\n".join(
            f"{method}: {function} = {number}\n    {formula}\n    solves {solved}"
            for method, function, formula, solved, number in self.rows
        )

    def _repr_markdown_(self) -> str:
        lines = [self.headings, ("---",) * 4 + ("---:",)]
        lines += [(f"**{row[0]}**", f"`{row[1]}`", *row[2:]) for row in self.rows]
        return "\n".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines
        )


def target_table(experience: Experience, *, n: int = 2, lam: float = 0.8) -> TargetTable:
    """What every method would learn from one piece of experience, and from which equation.

    Args:
        experience: what followed one (s, a).
        n: of the n-step methods, >= 1.
        lam: λ of TD(λ), in [0, 1].
    """
    rows = []
    for name, method in METHODS.items():
        paragraphs = (inspect.getdoc(method.target.py_func) or "").split("\n\n")
        formula, *others = [" ".join(paragraph.split()) for paragraph in paragraphs]
        solved = next(text for text in others if text.startswith("Solves "))
        number = f"{method.of(experience, n, lam):.3f}"
        function = method.target.__name__
        rows.append((name, function, formula, solved.removeprefix("Solves "), number))
    example = f"On the example (n = {n}, λ = {lam:g})"
    return TargetTable(("Method", "Function", "Target q̄", "Solves", example), tuple(rows))
