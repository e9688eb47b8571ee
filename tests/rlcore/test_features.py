"""Claims about feature maps: what they compute, state by state."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlcore.approximation.features import (
    FeatureMap,
    aggregation,
    fourier,
    from_function,
    from_matrix,
    grid_points,
    learn,
    one_hot,
    polynomial,
    radial_basis,
    read,
    represent,
    tile_coding,
)
from rlcore.mdp import Layout

BOX = ([-1.0, 0.0], [1.0, 4.0])
POINTS = st.tuples(st.floats(-1, 1), st.floats(0, 4))
MAPS = {
    "polynomial": polynomial(3, *BOX),
    "fourier": fourier(3, *BOX),
    "radial_basis": radial_basis((3, 4), *BOX),
    "tile_coding": tile_coding((3, 5), 4, *BOX),
    "hashed": tile_coding((3, 5), 4, *BOX, size=32),
}
families = pytest.mark.parametrize("phi", MAPS.values(), ids=MAPS)


# -- the formulas ----------------------------------------------------------------------------------


@given(POINTS)
def test_polynomials_are_all_monomials_up_to_the_total_degree(point):
    x, y = (point[0] + 1) / 2, point[1] / 4
    expected = [1, y, x, y**2, x * y, x**2, y**3, x * y**2, x**2 * y, x**3]
    np.testing.assert_allclose(MAPS["polynomial"]([point])[0], expected, rtol=1e-12, atol=1e-15)


@given(POINTS)
def test_fourier_features_are_cosines_of_every_frequency(point):
    x, y = (point[0] + 1) / 2, point[1] / 4
    expected = [math.cos(math.pi * (i * x + j * y)) for i in range(4) for j in range(4)]
    np.testing.assert_allclose(MAPS["fourier"]([point])[0], expected, rtol=0, atol=1e-12)


@given(POINTS)
def test_radial_basis_functions_are_bumps_of_the_distance_to_their_centre(point):
    x, y = (point[0] + 1) / 2, point[1] / 4
    width = 1 / 2  # the larger distance of neighbouring centres
    expected = [
        math.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * width**2))
        for a in (0, 1 / 2, 1)
        for b in (0, 1 / 3, 2 / 3, 1)
    ]
    np.testing.assert_allclose(MAPS["radial_basis"]([point])[0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("made", "terms"), [(polynomial, (3, 6, 10)), (fourier, (4, 9, 16))], ids=["poly", "fourier"]
)
def test_orders_in_two_dimensions_have_the_terms_of_the_book(made, terms):
    """Zhao 2025, section 8.2."""
    assert tuple(made(order, *BOX).num_features for order in (1, 2, 3)) == terms


def test_scaling_to_another_interval_spans_the_same_functions():
    points = np.random.default_rng(0).uniform(*BOX, size=(50, 2))
    unit, symmetric = (
        polynomial(3, *BOX, interval=each).matrix(points) for each in ((0, 1), (-1, 1))
    )
    np.testing.assert_allclose(symmetric[0][1], points[0, 1] / 2 - 1, rtol=1e-12)
    coefficients = np.linalg.lstsq(unit, symmetric, rcond=None)[0]
    np.testing.assert_allclose(unit @ coefficients, symmetric, atol=1e-9)
    assert np.linalg.cond(symmetric.T @ symmetric) < np.linalg.cond(unit.T @ unit) / 100


# -- tiles -----------------------------------------------------------------------------------------


def book_tiles(point, tiles, tilings, low, high):
    """The coordinates of the tiles as in the book's software: one list a tiling."""
    scaled = [(p - a) / (b - a) * n for p, a, b, n in zip(point, low, high, tiles, strict=True)]
    quantized = [math.floor(x * tilings) for x in scaled]
    return [
        tuple((q + k * (1 + 2 * i)) // tilings for i, q in enumerate(quantized))
        for k in range(tilings)
    ]


@settings(max_examples=50)
@given(st.integers(1, 3), st.sampled_from([1, 4, 8]), st.integers(0, 2**32 - 1))
def test_points_share_a_tile_exactly_where_the_books_software_says_so(dims, tilings, seed):
    rng = np.random.default_rng(seed)
    tiles = rng.integers(1, 5, size=dims).tolist()
    low, high = -rng.uniform(1, 2, size=dims), rng.uniform(1, 2, size=dims)
    points = rng.uniform(low, high, size=(30, dims))
    ours = tile_coding(tiles, tilings, low, high)(points)
    books = [book_tiles(point, tiles, tilings, low, high) for point in points]
    for i, j in itertools.combinations(range(30), 2):
        shared = [a == b for a, b in zip(books[i], books[j], strict=True)]
        np.testing.assert_array_equal(ours[i] == ours[j], shared)


@settings(max_examples=50)
@given(st.integers(1, 4), st.sampled_from([1, 2, 8]), st.integers(0, 2**32 - 1))
def test_every_tiling_has_one_tile_on_and_tilings_share_no_weight(dims, tilings, seed):
    rng = np.random.default_rng(seed)
    phi = tile_coding(3, tilings, np.zeros(dims), np.ones(dims))
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=dims)))
    indices = phi(np.concatenate((corners, rng.random((40, dims)))))
    assert indices.shape == (2**dims + 40, tilings)
    assert phi.num_features == tilings * 4**dims
    np.testing.assert_array_equal(
        indices // 4**dims, np.tile(np.arange(tilings), (len(indices), 1))
    )


def test_neighbours_share_most_tiles_and_far_points_none():
    phi = tile_coding(8, 8, 0.0, 1.0)
    here, near, far = phi([0.5, 0.5 + 1 / 64, 0.5 + 1 / 8])
    assert (here == near).sum() == 7
    assert (here == far).sum() == 0


def test_a_point_outside_the_box_counts_as_the_nearest_tile():
    phi = tile_coding(4, 2, *BOX)
    inside = phi([[-1.0, 4.0], [1.0, 0.0]])
    np.testing.assert_array_equal(phi([[-1e9, 1e9], [1e9, -1e9]]), inside)


def test_one_tiling_is_aggregation():
    states = np.arange(1, 1001)
    tiles = tile_coding(10, 1, 0.5, 1000.5)(states)[:, 0]
    np.testing.assert_array_equal(tiles, (states - 1) // 100)


def test_hashing_fits_and_spreads_evenly():
    """32 768 tiles of 8 tilings into 1024 weights: 32 each in the mean, and χ² within 4.5 standard
    deviations √(2·1023) of its mean (false-alarm rate below 1e-5; there is no seed to choose)."""
    centres = (np.stack(np.meshgrid(*[np.arange(16)] * 3), axis=-1).reshape(-1, 3) + 0.5) / 16
    exact, hashed = (tile_coding(16, 8, [0] * 3, [1] * 3, size=size) for size in (None, 1024))
    assert hashed.num_features == 1024
    tiles, first = np.unique(exact(centres), return_index=True)
    weights = hashed(centres).ravel()[first]
    assert weights.min() >= 0 and weights.max() < 1024
    counts = np.bincount(weights, minlength=1024)
    expected = len(tiles) / 1024
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - 1023) < 4.5 * math.sqrt(2 * 1023)


def test_hashing_into_plenty_of_weights_hardly_ever_collides():
    points = np.random.default_rng(0).random((200, 4))
    exact, hashed = (tile_coding(8, 16, [0] * 4, [1] * 4, size=size) for size in (None, 2**30))
    a, b = exact(points).ravel(), hashed(points).ravel()
    assert len(np.unique(a)) == len(np.unique(b))


# -- reading and learning --------------------------------------------------------------------------


@families
@settings(max_examples=20)
@given(POINTS, st.integers(0, 2**32 - 1))
def test_read_is_the_inner_product_and_learn_adds_along_phi(phi, point, seed):
    weights = np.random.default_rng(seed).normal(size=phi.num_features)
    row = phi.matrix([point])[0]
    feature = represent(phi.arrays, np.array(point))
    assert read(weights, feature) == pytest.approx(row @ weights, rel=1e-12, abs=1e-12)
    moved = weights.copy()
    learn(moved, feature, 0.3)
    np.testing.assert_allclose(moved, weights + 0.3 * row, rtol=1e-12, atol=1e-15)


@families
def test_a_table_of_points_holds_the_features_of_those_points(phi):
    points = np.random.default_rng(1).uniform(*BOX, size=(7, 2))
    table = phi.table(points)
    assert (table.dims, table.num_features, table.active) == (0, phi.num_features, phi.active)
    np.testing.assert_array_equal(table.matrix(np.arange(7)), phi.matrix(points))
    np.testing.assert_array_equal(table([3, 3]), phi(points[[3, 3]]))


def test_binary_maps_give_indices_and_others_numbers():
    assert MAPS["tile_coding"]([(0, 0)]).dtype == np.int64
    assert MAPS["tile_coding"].active == 4
    assert MAPS["fourier"]([(0, 0)]).dtype == np.float64
    assert MAPS["fourier"].active == 0
    matrix = MAPS["hashed"].matrix([(0, 0)])
    assert matrix.sum() == 4  # also where two tiles fall together


def test_one_hot_and_aggregation():
    np.testing.assert_array_equal(one_hot(3).matrix([2, 0]), [[0, 0, 1], [1, 0, 0]])
    phi = aggregation([0, 0, 2])
    assert phi.num_features == 3
    np.testing.assert_array_equal(phi.matrix([0, 1, 2]), [[1, 0, 0], [1, 0, 0], [0, 0, 1]])


def test_a_matrix_and_a_function_of_your_own():
    matrix = np.array([[1, 2], [3, 4], [5, 6]])
    np.testing.assert_array_equal(from_matrix(matrix)([2, 0]), matrix[[2, 0]])
    phi = from_function(lambda points: np.column_stack((points.sum(axis=1), points[:, 0])), dims=2)
    assert phi.num_features == 2
    np.testing.assert_array_equal(phi([[1.0, 2.0], [3.0, 4.0]]), [[3, 1], [7, 3]])


def test_points_of_a_grid_are_column_and_row():
    np.testing.assert_array_equal(
        grid_points(Layout((2, 3), ())), [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]
    )


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (
            lambda: tile_coding(8, 8, [0, -np.inf], [1, np.inf]),
            "low: takes finite bounds, got -inf",
        ),
        (lambda: tile_coding(8, 8, 0, np.nan), "high: takes finite bounds, got nan"),
        (lambda: tile_coding(8, 8, 1, 1), "low: takes less than high, got 1.0 and 1.0"),
        (lambda: tile_coding(8, 8, [0, 0], [1]), "take the same shape"),
        (lambda: tile_coding(8, 0, 0, 1), "tilings: takes a whole number >= 1, got 0"),
        (lambda: tile_coding((8, 8), 8, 0, 1), r"tiles: takes one number, or one a coordinate \(1"),
        (lambda: tile_coding(8, 8, 0, 1, size=4), "size: takes a whole number >= 8, got 4"),
        (lambda: tile_coding(99, 8, [0] * 9, [1] * 9), "size: takes a number of weights to hash"),
        (lambda: fourier(-1, 0, 1), "order: takes a whole number >= 0, got -1"),
        (lambda: polynomial(2, 0, 1, interval=(1, 0)), "interval: takes"),
        (lambda: radial_basis(1, 0, 1), "centers: takes a whole number >= 2, got 1"),
        (lambda: radial_basis(3, 0, 1, width=0), "width: takes a number > 0, got 0"),
        (lambda: one_hot(0), "num_states: takes a whole number >= 1, got 0"),
        (lambda: aggregation([0, -1]), "groups: takes"),
        (lambda: from_matrix([1.0, 2.0]), r"features: takes shape \(states, features\)"),
        (lambda: from_matrix([[np.nan]]), "features: takes finite numbers"),
        (lambda: from_function(np.sum, dims=2), "function: takes a function of"),
        (lambda: MAPS["fourier"]([0.0, 1.0]), r"states: takes shape \(n, 2\)"),
        (lambda: MAPS["fourier"]([[0.0, np.nan]]), "states: takes finite coordinates"),
        (lambda: one_hot(3)([3]), r"states: takes 0 … 2, got 3 … 3"),
        (lambda: one_hot(3)([0.5]), "states: takes .* whole numbers"),
    ],
)
def test_bad_input_is_named_before_any_work(make, match):
    with pytest.raises(ValueError, match=match):
        make()


@pytest.mark.parametrize(
    "make",
    [lambda: from_function(3, dims=1), lambda: grid_points((2, 3)), lambda: fourier("3", 0, 1)],
)
def test_things_of_another_type_are_refused(make):
    with pytest.raises(TypeError):
        make()


def test_a_map_is_a_value():
    assert isinstance(one_hot(2), FeatureMap)
    with pytest.raises(AttributeError):
        one_hot(2).num_features = 3
