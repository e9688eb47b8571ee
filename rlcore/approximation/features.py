"""Feature maps: what a state looks like to a function. Read this page first.

A table stores a value for each state. A function stores weights w and *computes* the value,

    v̂(s, w) = φ(s)ᵀ w = Σ_i φ_i(s) w_i,

so that what is learnt of one state also changes all states that share features with it. A map φ is
made by one of

    one_hot         every state on its own: this *is* the table
    aggregation     neighbouring states share one weight
    polynomial      1, x, y, x², xy, y², …
    fourier         cos(π c·x), waves of every frequency up to the order
    radial_basis    bumps around centres
    tile_coding     several shifted grids, one tile of each

and is a function of states: ``phi(states)`` gives one row a state. Learners read and change values
through two small functions, ``read`` and ``learn``, the only places where φ meets w.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload
from numpy.typing import ArrayLike, NDArray

from rlcore.compilation import compiled
from rlcore.mdp import Layout
from rlcore.validation import as_constant, as_floats, check_count, check_positive

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


class Phi(NamedTuple):
    """φ(s) as a learner uses it: the features that can differ from 0, and what they are."""

    indices: Any  # (active,)
    values: Any  # (active,)


@compiled
def read(weights: Any, phi: Any) -> Any:
    """v̂ = φᵀw: the value is computed."""
    value = 0.0
    for i in range(phi.indices.shape[0]):
        value += weights[phi.indices[i]] * phi.values[i]
    return value


@compiled
def learn(weights: Any, phi: Any, amount: float) -> None:
    """w ← w + amount · ∇v̂, and ∇v̂ = φ: the value is moved, with that of every similar state."""
    for i in range(phi.indices.shape[0]):
        weights[phi.indices[i]] += amount * phi.values[i]


def represent(arrays: Any, state: Any) -> Phi:
    """φ(state), by the compiled function of the map's family."""
    return _FAMILIES[type(arrays)](arrays, state)


@overload(represent)
def _represent_compiled(arrays, state):
    family = _FAMILIES[arrays.instance_class]
    return lambda arrays, state: family(arrays, state)


# -- a map as its user sees it ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """A function of states to their features: ``phi(states)``.

    Made by the functions of this module. A state is a number 0, 1, … (``dims`` = 0) or a point
    (``dims`` coordinates).
    """

    arrays: Any
    """What the compiled functions of its family read."""
    num_features: int
    """Number of weights."""
    dims: int
    """Coordinates of a point; 0 if states are numbers."""
    active: int
    """For binary maps the number of features that are 1 in every state; 0 if φ holds any numbers.

    Learners divide the step size of a binary map by it, so that α = 1 corrects the whole error.
    """

    def __call__(self, states: ArrayLike) -> NDArray[Any]:
        """Features of states.

        Args:
            states: (n,) numbers, or (n, dims) points; for ``dims`` = 1 also (n,).

        Returns:
            (n, features) numbers; of a binary map (n, active) indices of the features that are 1.
        """
        phis = [represent(self.arrays, state) for state in self._states(states)]
        if self.active:
            return np.array([phi.indices for phi in phis], dtype=np.int64)
        return np.array([phi.values for phi in phis])

    def matrix(self, states: ArrayLike) -> Floats:
        """Φ: the features of states, zeros included, (n, features)."""
        phis = [represent(self.arrays, state) for state in self._states(states)]
        matrix = np.zeros((len(phis), self.num_features))
        for row, phi in zip(matrix, phis, strict=True):
            learn(row, phi, 1.0)
        return matrix

    def table(self, states: ArrayLike) -> FeatureMap:
        """The same features, computed once for the given states, which are called 0, 1, … from now.

        So ``phi.table(points)`` makes a map of points usable on a problem with numbered states.
        """
        phis = [represent(self.arrays, state) for state in self._states(states)]
        rows = FeatureTable(
            indices=np.array([phi.indices for phi in phis], dtype=np.int64),
            values=np.array([phi.values for phi in phis], dtype=np.float64),
        )
        return FeatureMap(rows, self.num_features, 0, self.active)

    def _states(self, states: ArrayLike) -> NDArray[Any]:
        """The states in the form that ``represent`` takes, one a row."""
        given = np.asarray(states)
        if self.dims == 0:
            count = len(self.arrays.indices)
            if given.ndim != 1 or given.dtype.kind not in "iu":
                raise ValueError(f"states: takes (n,) whole numbers, got {_kind(given)}")
            if given.size and not 0 <= given.min() <= given.max() < count:
                raise ValueError(
                    f"states: takes 0 … {count - 1}, got {given.min()} … {given.max()}"
                )
            return given
        points = as_floats("states", states)
        if self.dims == 1 and points.ndim == 1:
            points = points[:, None]
        if points.ndim != 2 or points.shape[1] != self.dims:
            raise ValueError(
                f"states: takes shape (n, {self.dims}), a point of {self.dims} coordinates a row, "
                f"got {_kind(given)}"
            )
        if not np.all(np.isfinite(points)):
            raise ValueError("states: takes finite coordinates, got NaN or infinity")
        return points


# -- states that are numbers -----------------------------------------------------------------------


class FeatureTable(NamedTuple):
    """The features of states 0, 1, …, both of shape (states, active)."""

    indices: Indices
    values: Floats


@compiled
def table_features(table: Any, state: int) -> Any:
    """The row of the state."""
    return Phi(table.indices[state], table.values[state])


def one_hot(num_states: int) -> FeatureMap:
    """φ_i(s) = 1 if s = i, else 0: one weight a state, that is, the table of Part I.

    Args:
        num_states: number of states, >= 1.
    """
    return aggregation(np.arange(check_count("num_states", num_states)))


def aggregation(groups: ArrayLike) -> FeatureMap:
    """State aggregation: the states of a group share one weight, hence one value.

    φ_i(s) = 1 if s is in group i, else 0 (Sutton & Barto 2018, section 9.3).

    Args:
        groups: (states,) the group of each state, whole numbers >= 0.
    """
    group = as_constant("groups", groups, np.int64)
    if group.ndim != 1 or group.size == 0 or group.min() < 0:
        raise ValueError(f"groups: takes (states,) whole numbers >= 0, got {groups!r}")
    table = FeatureTable(np.array(group[:, None]), np.ones((len(group), 1)))
    return FeatureMap(table, int(group.max()) + 1, 0, 1)


def from_matrix(matrix: ArrayLike) -> FeatureMap:
    """The map whose φ(s) is row s of a matrix of your own.

    Args:
        matrix: (states, features), finite.
    """
    values = as_floats("features", matrix)
    if values.ndim != 2 or values.size == 0:
        raise ValueError(f"features: takes shape (states, features), got {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ValueError("features: takes finite numbers, got NaN or infinity")
    indices = np.tile(np.arange(values.shape[1]), (len(values), 1))
    return FeatureMap(FeatureTable(indices, values), values.shape[1], 0, 0)


# -- states that are points ------------------------------------------------------------------------


class Polynomial(NamedTuple):
    """Monomials of scaled coordinates x = origin + (point − low) · scale."""

    low: Floats
    scale: Floats
    origin: float
    powers: Indices  # (features, dims)
    indices: Indices


@compiled
def polynomial_features(basis: Any, point: Any) -> Any:
    """φ_j = Π_i x_i^c_ji"""
    values = np.ones(basis.powers.shape[0])
    for i in range(basis.low.shape[0]):
        x = basis.origin + (point[i] - basis.low[i]) * basis.scale[i]
        for j in range(values.shape[0]):
            values[j] *= x ** basis.powers[j, i]
    return Phi(basis.indices, values)


def polynomial(
    order: int, low: ArrayLike, high: ArrayLike, *, interval: tuple[float, float] = (0.0, 1.0)
) -> FeatureMap:
    """All monomials up to a total degree: 1, x, y, x², xy, y², …

    φ_j(s) = Π_i x_i^c_ji with Σ_i c_ji ≤ order (Zhao 2025, section 8.2), of coordinates x that are
    scaled from [low, high] to ``interval``. In two dimensions the orders 1, 2, 3 have 3, 6, 10
    terms. (Sutton & Barto 2018, eq. 9.17, bounds each exponent instead, c_ji in {0, …, order}:
    4, 9, 16 terms.) Scaling changes no function that the map can represent, but how fast it is
    learnt.

    Args:
        order: highest total degree, >= 0.
        low, high: (dims,) bounds of the points, or numbers in one dimension.
        interval: where the bounds are scaled to.
    """
    check_count("order", order, minimum=0)
    lower, upper = _bounds(low, high)
    first, last = (float(end) for end in as_floats("interval", interval))
    if not first < last:
        raise ValueError(f"interval: takes (first, last) with first < last, got {interval}")
    powers = _coefficients(order, len(lower))
    powers = powers[powers.sum(axis=1) <= order]
    powers = powers[np.argsort(powers.sum(axis=1), kind="stable")]
    scale = (last - first) / (upper - lower)
    basis = Polynomial(lower, scale, first, powers, np.arange(len(powers)))
    return FeatureMap(basis, len(powers), len(lower), 0)


class Fourier(NamedTuple):
    """Cosines of scaled coordinates x = (point − low) · scale."""

    low: Floats
    scale: Floats
    coefficients: Floats  # (features, dims)
    indices: Indices


@compiled
def fourier_features(basis: Any, point: Any) -> Any:
    """φ_j = cos(π c_j·x)"""
    values = np.empty(basis.coefficients.shape[0])
    for j in range(values.shape[0]):
        angle = 0.0
        for i in range(basis.low.shape[0]):
            x = (point[i] - basis.low[i]) * basis.scale[i]
            angle += basis.coefficients[j, i] * x
        values[j] = math.cos(math.pi * angle)
    return Phi(basis.indices, values)


def fourier(order: int, low: ArrayLike, high: ArrayLike) -> FeatureMap:
    """The Fourier cosine basis: φ_j(s) = cos(π c_j·x), every c_j in {0, …, order}^dims.

    Source: Konidaris, Osentoski & Thomas 2011; Sutton & Barto 2018, eq. 9.18. The coordinates x are
    scaled from [low, high] to [0, 1]. In two dimensions the orders 1, 2, 3 have 4, 9, 16 terms.

    Args:
        order: highest frequency in each coordinate, >= 0; (order + 1)^dims features.
        low, high: (dims,) bounds of the points, or numbers in one dimension.
    """
    check_count("order", order, minimum=0)
    lower, upper = _bounds(low, high)
    coefficients = _coefficients(order, len(lower)).astype(np.float64)
    basis = Fourier(lower, 1 / (upper - lower), coefficients, np.arange(len(coefficients)))
    return FeatureMap(basis, len(coefficients), len(lower), 0)


class RadialBasis(NamedTuple):
    """Gaussian bumps over scaled coordinates x = (point − low) · scale."""

    low: Floats
    scale: Floats
    centers: Floats  # (features, dims), scaled
    precision: float  # 1 / (2 width²)
    indices: Indices


@compiled
def radial_basis_features(basis: Any, point: Any) -> Any:
    """φ_j = exp(−‖x − c_j‖² / (2 width²))"""
    values = np.empty(basis.centers.shape[0])
    for j in range(values.shape[0]):
        distance = 0.0
        for i in range(basis.low.shape[0]):
            x = (point[i] - basis.low[i]) * basis.scale[i]
            distance += (x - basis.centers[j, i]) ** 2
        values[j] = math.exp(-distance * basis.precision)
    return Phi(basis.indices, values)


def radial_basis(
    centers: int | Sequence[int], low: ArrayLike, high: ArrayLike, *, width: float | None = None
) -> FeatureMap:
    """Gaussian bumps on a regular grid of centres: φ_j(s) = exp(−‖x − c_j‖² / (2 width²)).

    Source: Sutton & Barto 2018, section 9.5.5. The coordinates x are scaled from [low, high] to
    [0, 1]; the outermost centres lie on the bounds.

    Args:
        centers: number of centres in each coordinate, >= 2 each; one number serves all.
        low, high: (dims,) bounds of the points, or numbers in one dimension.
        width: standard deviation of a bump, > 0, in scaled units; the (largest) distance of
            neighbouring centres if None.
    """
    lower, upper = _bounds(low, high)
    counts = _per_dimension("centers", centers, len(lower), minimum=2)
    if width is None:
        width = max(1 / (count - 1) for count in counts)
    check_positive("width", width)
    axes = [np.linspace(0, 1, count) for count in counts]
    grid = np.array(list(itertools.product(*axes)))
    basis = RadialBasis(
        lower, 1 / (upper - lower), grid, 1 / (2 * float(width) ** 2), np.arange(len(grid))
    )
    return FeatureMap(basis, len(grid), len(lower), 0)


class TileCoding(NamedTuple):
    """Shifted grids over coordinates in units of a tile, x = (point − low) · scale."""

    low: Floats
    scale: Floats
    offsets: Floats  # (tilings, dims), in tiles, within [0, 1)
    last: Indices  # (dims,) number of the last tile; a tiling has one tile more than fit in
    size: int  # number of weights if the tiles are hashed, else 0
    values: Floats  # (tilings,) ones


@compiled
def tile_features(coder: Any, point: Any) -> Any:
    """The tile of each tiling in which the point lies."""
    tilings, dims = coder.offsets.shape
    indices = np.empty(tilings, np.int64)
    for tiling in range(tilings):
        index = tiling
        for i in range(dims):
            x = (point[i] - coder.low[i]) * coder.scale[i] + coder.offsets[tiling, i]
            tile = min(max(math.floor(x), 0), coder.last[i])
            index = index * (coder.last[i] + 1) + tile
        indices[tiling] = index if coder.size == 0 else hashed(index, coder.size)
    return Phi(indices, coder.values)


@compiled
def hashed(index: int, size: int) -> Any:
    """A fixed pseudo-random number in 0 … size − 1 for each index (SplitMix64's finaliser)."""
    bits = np.uint64(index) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.int64((bits ^ (bits >> np.uint64(31))) % np.uint64(size))


def tile_coding(
    tiles: int | Sequence[int],
    tilings: int,
    low: ArrayLike,
    high: ArrayLike,
    *,
    size: int | None = None,
) -> FeatureMap:
    """Tile coding: several grids over the same box, each shifted a little; one tile of each is on.

    Source: Sutton & Barto 2018, section 9.5.4. Tiling k is shifted by k · (1, 3, 5, …) / tilings of
    a tile (modulo 1), the asymmetric displacement that the book recommends, and has one tile more
    in each coordinate than fit in, so that the box stays covered. A point outside the box counts
    as the nearest tile inside.

    Args:
        tiles: number of tiles across the box in each coordinate, >= 1; one number serves all.
        tilings: number of grids, >= 1; the book recommends a power of 2, at least 4 · dims.
        low, high: (dims,) bounds of the box, finite, or numbers in one dimension.
        size: hash the tiles into so many weights, >= tilings; None gives each tile its own. Tiles
            that fall together share a weight.
    """
    lower, upper = _bounds(low, high)
    counts = _per_dimension("tiles", tiles, len(lower), minimum=1)
    check_count("tilings", tilings)
    last = np.array(counts, dtype=np.int64)
    total = tilings * math.prod(count + 1 for count in counts)
    if size is not None:
        check_count("size", size, minimum=tilings)
    elif total > 2**31:
        raise ValueError(
            f"size: takes a number of weights to hash into, got None for {total} tiles"
        )
    displacement = np.arange(tilings)[:, None] * (1 + 2 * np.arange(len(lower)))
    coder = TileCoding(
        low=lower,
        scale=np.array(counts) / (upper - lower),
        offsets=displacement % tilings / tilings,
        last=last,
        size=size or 0,
        values=np.ones(tilings),
    )
    return FeatureMap(coder, size or total, len(lower), tilings)


def grid_points(layout: Layout) -> Floats:
    """The coordinates (x, y) = (column, row) of the states of a grid, (states, 2)."""
    if not isinstance(layout, Layout):
        raise TypeError(f"layout: takes a Layout, got {type(layout).__name__}")
    rows, columns = np.divmod(np.arange(math.prod(layout.shape)), layout.shape[1])
    return np.column_stack((columns, rows)).astype(np.float64)


class Function(NamedTuple):
    """A reader's own function of points, for problems that are stepped in Python."""

    function: Callable[[Floats], ArrayLike]
    num_features: int


def _call_function(own: Function, point: Any) -> Phi:
    values = np.asarray(own.function(np.asarray(point, dtype=np.float64)[None]), dtype=np.float64)
    if values.shape != (1, own.num_features) or not np.all(np.isfinite(values)):
        raise ValueError(
            f"features: takes a function of (n, dims) points to (n, {own.num_features}) finite "
            f"numbers, got shape {values.shape} with {values} for {point}"
        )
    return Phi(np.arange(own.num_features), values[0])


def from_function(function: Callable[[Floats], ArrayLike], dims: int) -> FeatureMap:
    """The map of a function of your own: (n, dims) points to (n, features) numbers.

    It runs in Python, so it serves any ``gymnasium.Env``, and tables of points; compiled problems
    take ``.table(points)`` of it, or a map made by this module.

    Args:
        function: called with float arrays of shape (n, dims).
        dims: coordinates of a point, >= 1.
    """
    if not callable(function):
        raise TypeError(f"function: takes a function of points, got {type(function).__name__}")
    check_count("dims", dims)
    shape = np.shape(function(np.zeros((1, dims))))
    if len(shape) != 2 or shape[0] != 1 or shape[1] == 0:
        raise ValueError(
            f"function: takes a function of (n, dims) points to (n, features) numbers, "
            f"got shape {shape} for one point"
        )
    return FeatureMap(Function(function, shape[1]), shape[1], dims, 0)


_FAMILIES: dict[type, Any] = {
    FeatureTable: table_features,
    Polynomial: polynomial_features,
    Fourier: fourier_features,
    RadialBasis: radial_basis_features,
    TileCoding: tile_features,
    Function: _call_function,
}


# -- checks ----------------------------------------------------------------------------------------


def _bounds(low: ArrayLike, high: ArrayLike) -> tuple[Floats, Floats]:
    """Bounds as (dims,) arrays, finite and in order."""
    lower, upper = (np.atleast_1d(as_floats(n, b)) for n, b in (("low", low), ("high", high)))
    if lower.ndim != 1 or lower.shape != upper.shape or lower.size == 0:
        raise ValueError(
            f"low, high: take the same shape (dims,), got {lower.shape} and {upper.shape}"
        )
    for name, bound in (("low", lower), ("high", upper)):
        if not np.all(np.isfinite(bound)):
            i = int(np.argmin(np.isfinite(bound)))
            raise ValueError(
                f"{name}: takes finite bounds, got {bound[i]} for coordinate {i}; an unbounded "
                "observation needs bounds of your own, within which it usually stays"
            )
    if not np.all(lower < upper):
        i = int(np.argmin(lower < upper))
        raise ValueError(f"low: takes less than high, got {lower[i]} and {upper[i]}")
    return lower, upper


def _per_dimension(
    name: str, count: int | Sequence[int], dims: int, *, minimum: int
) -> tuple[int, ...]:
    counts = tuple(count) if isinstance(count, Sequence) else (count,) * dims
    if len(counts) != dims:
        raise ValueError(f"{name}: takes one number, or one a coordinate ({dims}), got {count!r}")
    return tuple(check_count(name, each, minimum=minimum) for each in counts)


def _coefficients(order: int, dims: int) -> Indices:
    """All of {0, …, order}^dims, (combinations, dims)."""
    return np.array(list(itertools.product(range(order + 1), repeat=dims)), dtype=np.int64)


def _kind(array: NDArray[Any]) -> str:
    return f"shape {array.shape} of {array.dtype}"
