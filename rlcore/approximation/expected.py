"""Expected updates: what a linear learner does on average, and whether it can converge.

Averaged over the step (s, a, r, s′) that comes next, a linear learner's update is an affine map of
its weights, x ← M x + c. The eigenvalues of M say, before anything is run, whether the weights
converge, and how fast they do or do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.approximation.objectives import LinearEvaluation
from rlcore.validation import check_count, check_positive, check_values

Floats = NDArray[np.float64]

# Two eigenvalues whose moduli differ by less are one, seen through rounding.
SAME_MODULUS = 1e-9


@dataclass(frozen=True, eq=False)
class ExpectedUpdate:
    """x ← M x + c, the mean of one update."""

    matrix: Floats
    """M, (n, n)."""
    constant: Floats
    """c, (n,)."""

    @property
    def growth(self) -> float:
        """max |eigenvalue of M|, the factor by which an update multiplies what grows fastest.

        Above 1 the weights diverge. An eigenvalue 1 itself belongs to weights that change no value.
        """
        return float(np.abs(np.linalg.eigvals(self.matrix)).max())

    def iterate(self, initial: ArrayLike, steps: int) -> Floats:
        """x_0, x_1, …, x_steps, of shape (steps + 1, n).

        Args:
            initial: (n,) x_0.
            steps: number of updates, >= 0.
        """
        iterates = self._room(initial, steps)
        for t in range(steps):
            iterates[t + 1] = self.matrix @ iterates[t] + self.constant
        return iterates

    def fastest_part(self, difference: ArrayLike, steps: int) -> Floats:
        """What remains of x_t − x* in the long run, (steps + 1, n), without running anything.

        With M v_k = λ_k v_k and x_0 − x* = Σ_k a_k v_k it is Σ a_k λ_kᵗ v_k over the k whose |λ_k|
        is the largest.

        Args:
            difference: (n,) x_0 − x*, from a fixed point x* = M x* + c.
            steps: number of updates, >= 0.
        """
        parts = self._room(difference, steps)
        eigenvalues, vectors = np.linalg.eig(self.matrix)
        moduli = np.abs(eigenvalues)
        kept = moduli > moduli.max() * (1 - SAME_MODULUS)
        shares = np.linalg.solve(vectors, parts[0])[kept]
        powers = eigenvalues[kept] ** np.arange(steps + 1)[:, None]
        parts[:] = ((powers * shares) @ vectors[:, kept].T).real
        return parts

    def _room(self, first: ArrayLike, steps: int) -> Floats:
        check_count("steps", steps, minimum=0)
        rows = np.zeros((steps + 1, len(self.constant)))
        rows[0] = check_values("initial", first, self.constant.shape)
        return rows


def expected_td0(evaluation: LinearEvaluation, alpha: float) -> ExpectedUpdate:
    """Semi-gradient TD(0) on average: w ← w + α (b − A w), A = ΦᵀD(I − γP_π)Φ, b = ΦᵀD r_π.

    Source: Sutton & Barto 2018, eqs. 9.11 and 11.2. The distribution of ``evaluation`` says how
    often each state is updated; the policy, what follows it (ρ has mean 1).

    Args:
        evaluation: features, policy, γ and distribution.
        alpha: step size > 0.
    """
    check_positive("alpha", alpha)
    a, b = _system(evaluation)
    return ExpectedUpdate(np.eye(len(b)) - alpha * a, alpha * b)


def expected_tdc(evaluation: LinearEvaluation, alpha: float, beta: float) -> ExpectedUpdate:
    """TDC on average, an update of x = (w, h): with C = ΦᵀDΦ, and A, b of ``expected_td0``,

    w ← w + α [b − A w − (C − Aᵀ) h],   h ← h + β [b − A w − C h].

    Source: Sutton et al. 2009; Sutton & Barto 2018, section 11.7. C − Aᵀ is the mean of γ φ′φᵀ.

    Args:
        evaluation: features, policy, γ and distribution.
        alpha, beta: step sizes of w and h, > 0.
    """
    check_positive("alpha", alpha)
    check_positive("beta", beta)
    a, b = _system(evaluation)
    c = (evaluation.phi.T * evaluation.distribution) @ evaluation.phi
    change = np.block([[alpha * a, alpha * (c - a.T)], [beta * a, beta * c]])
    return ExpectedUpdate(np.eye(len(change)) - change, np.concatenate((alpha * b, beta * b)))


def _system(evaluation: LinearEvaluation) -> tuple[Floats, Floats]:
    if not isinstance(evaluation, LinearEvaluation):
        raise TypeError(f"evaluation: takes a LinearEvaluation, got {type(evaluation).__name__}")
    return evaluation.system
