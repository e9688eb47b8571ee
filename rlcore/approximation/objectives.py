"""What linear prediction aims at, exactly: projections, fixed points and errors.

With v̂ = Φw most value functions are out of reach. What is the best that can be had, and what do
algorithms find instead? With a weight d(s) for each state, ‖x‖² = Σ_s d(s) x(s)², and Π the
projection onto the functions Φw that is orthogonal in this norm:

    value error               ‖v̂ − v_π‖           smallest at Πv_π        (gradient Monte Carlo)
    Bellman error             ‖T_π v̂ − v̂‖
    projected Bellman error   ‖Π(T_π v̂ − v̂)‖      0 at the TD fixed point (TD-Linear, LSTD, TDC)
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.approximation.features import FeatureMap, from_matrix
from rlcore.mdp import TabularMDP
from rlcore.validation import as_floats, check_fraction, check_policy, check_values

Floats = NDArray[np.float64]


class LinearEvaluation:
    """The values of a policy in a tabular problem, approximated by v̂ = Φw, with everything exact.

    Args:
        mdp: the problem.
        features: a map of the states 0, 1, … or of points in one dimension; or a (states, features)
            matrix.
        policy: (states, actions) the policy that is evaluated, rows sum to 1.
        gamma: discount in [0, 1].
        true_values: (states,) v_π; None to solve for them. They and ``distribution`` do not depend
            on the features: given, they spare comparisons of many maps the work.
        distribution: (states,) the weights d, >= 0 with sum 1; None for the policy's stationary
            distribution, the on-policy one.

    Raises:
        ValueError, TypeError: an argument outside what it takes; a policy without a single
            stationary distribution, or without values (γ = 1 and endless rewards).
    """

    def __init__(
        self,
        mdp: TabularMDP,
        features: FeatureMap | ArrayLike,
        policy: ArrayLike,
        gamma: float,
        *,
        true_values: ArrayLike | None = None,
        distribution: ArrayLike | None = None,
    ) -> None:
        if not isinstance(mdp, TabularMDP):
            raise TypeError(f"mdp: takes a TabularMDP, got {type(mdp).__name__}")
        self.mdp = mdp
        self.gamma = check_fraction("gamma", gamma)
        self.policy = check_policy("policy", policy, mdp.num_states, mdp.num_actions)
        self.features = features_of_states(features, mdp.num_states)
        self._true_values = true_values
        self._distribution = distribution

    @cached_property
    def phi(self) -> Floats:
        """Φ, (states, features)."""
        return self.features.matrix(np.arange(self.mdp.num_states))

    @cached_property
    def distribution(self) -> Floats:
        """d, (states,)."""
        if self._distribution is None:
            return self.mdp.stationary_distribution(self.policy)
        return check_distribution("distribution", self._distribution, self.mdp.num_states)

    @cached_property
    def true_values(self) -> Floats:
        """v_π, (states,)."""
        if self._true_values is None:
            return self.mdp.policy_values(self.policy, self.gamma)
        return check_values("true_values", self._true_values, (self.mdp.num_states,))

    @cached_property
    def system(self) -> tuple[Floats, Floats]:
        """A = ΦᵀD(I − γP_π)Φ and b = ΦᵀD r_π, of shapes (features, features) and (features,).

        On average semi-gradient TD(0) does w ← w + α (b − A w) (Sutton & Barto 2018, eq. 9.11;
        Zhao 2025, section 8.2.5, "TD-Linear").
        """
        weighted = self.phi.T * self.distribution
        return weighted @ (self.phi - self._following(self.phi)), weighted @ self._rewards

    @cached_property
    def condition(self) -> float:
        """Condition number of ΦᵀDΦ, in the directions that the features span.

        Gradient descent on the value error needs a number of steps in proportion to it.
        """
        singular, _ = self._span
        return float((singular[0] / singular[-1]) ** 2)

    # -- weights --------------------------------------------------------------------------------

    def projection(self, values: ArrayLike | None = None) -> Floats:
        """The weights of Πv, the closest that Φw comes to ``values`` (states,); v_π if None.

        w = (ΦᵀDΦ)⁻¹ ΦᵀD v; of several solutions the shortest.
        """
        given = self.true_values if values is None else values
        target = check_values("values", given, (self.mdp.num_states,))
        basis, change = self._orthonormal
        return change @ (basis.T @ (self.distribution * target))

    def td_fixed_point(self) -> Floats:
        """The weights w = A⁻¹b with Φw = Π T_π Φw (Sutton & Barto 2018, eq. 9.12; Zhao 2025, eq.
        8.20 ff.); of several solutions the shortest.

        Its value error is at most 1/√(1 − γ²) times the smallest, if d is the stationary
        distribution: Π T_π contracts by γ, and its error is orthogonal to the smallest one
        (Tsitsiklis & Van Roy 1997 bound it by 1/(1 − γ)). With another d the matrix may be
        singular.
        """
        basis, change = self._orthonormal
        weighted = basis.T * self.distribution
        matrix = weighted @ (basis - self._following(basis))
        return change @ np.linalg.solve(matrix, weighted @ self._rewards)

    # -- errors ---------------------------------------------------------------------------------

    def values(self, weights: ArrayLike) -> Floats:
        """v̂ = Φw, (…, states) for weights (…, features)."""
        return self._weights(weights) @ self.phi.T

    def value_error(self, weights: ArrayLike) -> Any:
        """‖v̂ − v_π‖, in units of value, (…) for weights (…, features).

        Its square is VE of Sutton & Barto 2018, eq. 9.1.
        """
        return self._norm(self.values(weights) - self.true_values)

    def bellman_error(self, weights: ArrayLike) -> Any:
        """‖T_π v̂ − v̂‖, in units of value, (…) for weights (…, features).

        Its square is BE of Sutton & Barto 2018, eq. 11.19.
        """
        return self._norm(self._td_errors(weights))

    def projected_bellman_error(self, weights: ArrayLike) -> Any:
        """‖Π(T_π v̂ − v̂)‖, in units of value, (…) for weights (…, features).

        Its square is PBE of Sutton & Barto 2018, eq. 11.22.
        """
        basis, _ = self._orthonormal
        inner = (self._td_errors(weights) * self.distribution) @ basis
        return np.sqrt((inner**2).sum(axis=-1))

    # -- parts ----------------------------------------------------------------------------------

    @cached_property
    def _span(self) -> tuple[Floats, Floats]:
        """Singular values of √D Φ and right singular vectors, as far as they are not 0."""
        root = np.sqrt(self.distribution)[:, None]
        _, singular, directions = np.linalg.svd(root * self.phi, full_matrices=False)
        kept = singular > singular[0] * max(self.phi.shape) * np.finfo(float).eps
        return singular[kept], directions[kept]

    @cached_property
    def _orthonormal(self) -> tuple[Floats, Floats]:
        """B = ΦC, whose columns are orthonormal in ‖·‖ and span what Φ does, and C.

        All solutions go through B: ΦᵀDΦ squares the condition of Φ, and features that depend on
        each other make it singular.
        """
        singular, directions = self._span
        change = directions.T / singular
        return self.phi @ change, change

    @cached_property
    def _rewards(self) -> Floats:
        return np.asarray((self.policy * self.mdp.expected_rewards()).sum(axis=1))

    @cached_property
    def _transition(self) -> Floats:
        return self.mdp.transition_matrix(self.policy)

    def _following(self, columns: Floats) -> Floats:
        return self.gamma * self._transition @ columns

    def _td_errors(self, weights: ArrayLike) -> Floats:
        """E_π[δ | s] = (T_π v̂ − v̂)(s), (…, states)."""
        values = self.values(weights)
        return self._rewards + self._following(values.T).T - values

    def _norm(self, difference: Floats) -> Any:
        return np.sqrt((difference**2) @ self.distribution)

    def _weights(self, weights: ArrayLike) -> Floats:
        array = as_floats("weights", weights)
        if array.ndim == 0 or array.shape[-1] != self.features.num_features:
            raise ValueError(
                f"weights: takes shape (…, {self.features.num_features}), got {array.shape}"
            )
        return array


def features_of_states(features: FeatureMap | ArrayLike, num_states: int) -> FeatureMap:
    """A map of the states 0 … num_states − 1, from any form in which features may be given.

    Raises:
        ValueError: a map of other states, or of points in several dimensions.
    """
    phi = features if isinstance(features, FeatureMap) else from_matrix(features)
    if phi.dims == 1:
        return phi.table(np.arange(num_states))
    if phi.dims > 1:
        raise ValueError(
            f"features: takes a map of states that are numbers, got one of points with {phi.dims} "
            "coordinates; features.table(points) makes it one, given the point of each state"
        )
    if len(phi.arrays.indices) != num_states:
        raise ValueError(
            f"features: takes features of {num_states} states, got those of "
            f"{len(phi.arrays.indices)}"
        )
    return phi


def check_distribution(name: str, distribution: ArrayLike, num_states: int) -> Floats:
    """(states,) numbers >= 0 that sum to 1."""
    array = check_values(name, distribution, (num_states,))
    if array.min() < 0 or abs(array.sum() - 1) > 1e-9:
        raise ValueError(f"{name}: takes numbers >= 0 that sum to 1, got sum {array.sum():.6g}")
    return array
