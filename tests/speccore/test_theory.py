"""Leviathan's numbers, and best drafts against brute force."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speccore.decoding.certificate import total_variation
from speccore.decoding.theory import (
    acceptance_rate,
    acceptance_with_replacement,
    best_draft_length,
    best_measured_draft_length,
    best_tree,
    expected_accepted,
    expected_tokens,
    grow_tree,
    measured_speedup,
    operations_factor,
    speedup,
)
from speccore.decoding.tree import TokenTree

alphas = st.floats(0, 1)
lengths = st.integers(0, 30)


@pytest.mark.parametrize(
    ("alpha", "draft_length", "operations", "speed"),
    [(0.6, 2, 1.53, 1.96), (0.7, 3, 1.58, 2.53), (0.8, 5, 1.63, 3.69), (0.9, 10, 1.60, 6.86)],
)
def test_table_1_of_leviathan(alpha, draft_length, operations, speed):
    assert round(operations_factor(alpha, draft_length, 0.0), 2) == operations
    assert round(speedup(alpha, draft_length, 0.0), 2) == speed


@pytest.mark.parametrize(
    ("alpha", "cost", "draft_length", "speed"),
    [
        (0.5, 0.05, 3, 1.63),
        (0.7, 0.05, 6, 2.35),
        (0.9, 0.05, 13, 4.67),
        (0.6, 0.1, 3, 1.67),
        (0.8, 0.1, 6, 2.47),
    ],
)
def test_best_draft_lengths(alpha, cost, draft_length, speed):
    assert best_draft_length(alpha, cost) == draft_length
    assert round(speedup(alpha, draft_length, cost), 2) == speed


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda w: sum(w) > 0.01), st.data())
def test_acceptance_rate_is_one_minus_total_variation(weights, data):
    p = np.array(weights) / sum(weights)
    q = np.array(data.draw(st.permutations(weights))) / sum(weights)
    assert acceptance_rate(p, q) == pytest.approx(1 - total_variation(p, q), abs=1e-12)


def test_acceptance_rate_of_several_contexts():
    p, q = np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([[0.5, 0.5], [0.0, 1.0]])
    assert acceptance_rate(p, q).tolist() == [1.0, 0.0]


@given(alphas, lengths)
def test_expected_tokens_are_the_powers_of_alpha_up_to_gamma(alpha, length):
    powers = sum(alpha**k for k in range(length + 1))
    # 1 − α cancels digits next to α = 1.
    assert expected_tokens(alpha, length) == pytest.approx(powers, rel=1e-9)


@given(alphas, st.integers(1, 12))
def test_a_chain_is_a_tree_whose_nodes_are_all_kept_with_alpha(alpha, length):
    chain = TokenTree.chain(range(length))
    tokens = 1 + expected_accepted(chain, np.full(length, alpha))
    assert tokens == pytest.approx(expected_tokens(alpha, length), rel=1e-9)


@given(st.floats(0, 0.99), st.floats(0, 1.5))
def test_a_draft_pays_if_and_only_if_alpha_is_above_c(alpha, cost):
    if abs(alpha - cost) > 1e-9:
        assert (best_draft_length(alpha, cost) > 0) == (alpha > cost)


@given(alphas, st.floats(0, 1), st.integers(0, 40))
def test_the_model_of_the_paper_is_a_flat_curve_of_pass_times(alpha, cost, longest):
    flat = np.full(longest + 1, 3.0)
    assert best_measured_draft_length(alpha, flat, 3.0 * cost) in (
        best_draft_length(alpha, cost, longest=longest),
        # Equal speed-ups (α = c, or α = 0 and c = 0) may be told apart by rounding.
        *(
            n
            for n in range(longest + 1)
            if speedup(alpha, n, cost)
            == pytest.approx(
                speedup(alpha, best_draft_length(alpha, cost, longest=longest), cost), rel=1e-12
            )
        ),
    )


def test_a_steep_curve_makes_the_best_draft_short():
    flat, steep = np.ones(20), 1 + 0.3 * np.arange(20)
    assert best_measured_draft_length(0.8, flat, 0.05) > best_measured_draft_length(
        0.8, steep, 0.05
    )
    assert best_measured_draft_length(0.8, np.arange(1.0, 21.0), 0.0) == 0


def test_measured_speedup_by_hand():
    assert measured_speedup(2.5, 3, [10.0, 11.0, 12.0, 14.0], 6.0) == pytest.approx(25 / 20)
    assert measured_speedup(1.0, 0, [7.0]) == 1.0


def test_guesses_drawn_twice_are_worth_less_than_twice():
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    one = acceptance_rate(p, q)
    assert acceptance_with_replacement(p, q, 0) == 0.0
    assert acceptance_with_replacement(p, q, 1) == pytest.approx(one)
    assert one < acceptance_with_replacement(p, q, 2) < 1 - (1 - one) ** 2
    assert acceptance_with_replacement(p, p, 3) == 1.0
    assert acceptance_with_replacement([1.0, 0.0], [0.0, 1.0], 5) == 0.0


# -- trees -----------------------------------------------------------------------------------------


def all_trees(depths, ranks, most):
    """Every set of rank paths that holds the parent of each of its paths."""
    nodes = [
        path for d in range(1, depths + 1) for path in itertools.product(range(ranks), repeat=d)
    ]
    for size in range(most + 1):
        for chosen in itertools.combinations(nodes, size):
            if all(path[:-1] in chosen or len(path) == 1 for path in chosen):
                yield chosen


def value(accuracies, paths):
    return sum(np.prod([accuracies[d][r] for d, r in enumerate(path)]) for path in paths)


def random_accuracies(seed, depths, ranks):
    generator = np.random.default_rng(seed)
    return generator.dirichlet(np.ones(ranks + 1), size=depths)[:, :ranks]


def rank_paths(tree):
    return [tuple(tree.tokens[list(tree.path_to(node))].tolist()) for node in range(len(tree))]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("depths", "ranks"), [(1, 3), (2, 3), (3, 2)])
def test_no_tree_of_the_same_size_keeps_more_than_the_greedy_one(seed, depths, ranks):
    accuracies = random_accuracies(seed, depths, ranks)
    best = {}
    for paths in all_trees(depths, ranks, most=5):
        best[len(paths)] = max(best.get(len(paths), 0.0), value(accuracies, paths))
    for size, most in best.items():
        tree = grow_tree(accuracies, size)
        acceptance = accuracies[tree.depths - 1, tree.tokens] if size else []
        assert len(tree) == size
        assert expected_accepted(tree, acceptance) == pytest.approx(most, rel=1e-12, abs=0)
        assert value(accuracies, rank_paths(tree)) == pytest.approx(most, rel=1e-12, abs=0)


@pytest.mark.parametrize("seed", range(8))
def test_no_tree_is_faster_than_the_best_tree(seed):
    accuracies = random_accuracies(seed, 3, 2)
    generator = np.random.default_rng(100 + seed)
    times = 1 + np.abs(generator.normal(0, 0.15, size=6))  # not even monotone
    draft_times = np.sort(generator.uniform(0, 0.4, size=3))
    fastest = max(
        (1 + value(accuracies, paths))
        * times[0]
        / (times[len(paths)] + (draft_times[max(map(len, paths)) - 1] if paths else 0.0))
        for paths in all_trees(3, 2, most=5)
    )
    plan = best_tree(accuracies, times, draft_times)
    assert plan.speedup == pytest.approx(fastest, rel=1e-12)
    assert plan.tokens == pytest.approx(1 + value(accuracies, rank_paths(plan.tree)), rel=1e-12)
    nodes, depth = len(plan.tree), max(plan.tree.depths, default=0)
    drafting = draft_times[depth - 1] if nodes else 0.0
    again = measured_speedup(plan.tokens, nodes, times, drafting)
    assert plan.speedup == pytest.approx(again, rel=1e-12)


@settings(max_examples=30)
@given(st.floats(0.05, 0.95), st.floats(0, 0.3), st.integers(1, 8))
def test_the_best_tree_of_one_candidate_is_the_best_chain(alpha, guess_time, longest):
    times = 1 + 0.04 * np.arange(longest + 1)
    plan = best_tree(np.full((longest, 1), alpha), times, guess_time * np.arange(1, longest + 1))
    length = best_measured_draft_length(alpha, times, guess_time)
    best = measured_speedup(expected_tokens(alpha, length), length, times, guess_time * length)
    assert plan.speedup == pytest.approx(best, rel=1e-12)
    assert plan.tree.is_chain


def test_a_grown_tree_grows_in_the_order_of_worth():
    accuracies = random_accuracies(1, 4, 5)
    large = grow_tree(accuracies, 30)
    small = grow_tree(accuracies, 12)
    assert rank_paths(large)[:12] == rank_paths(small)
    worth = [value(accuracies, [path]) for path in rank_paths(large)]
    assert worth == sorted(worth, reverse=True)


def test_there_may_be_fewer_nodes_than_asked_for():
    assert len(grow_tree([[0.5, 0.2], [0.4, 0.1]], 100)) == 2 + 4
    assert len(grow_tree(np.zeros((0, 3)), 5)) == 0
    assert best_tree([[0.9]], [1.0]).speedup == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: expected_tokens(1.1, 2), r"alpha: takes numbers in \[0, 1\], got 1.1"),
        (lambda: expected_tokens(np.nan, 2), "alpha"),
        (lambda: expected_tokens(0.5, -1), "draft_length"),
        (lambda: expected_tokens(0.5, 1.5), "draft_length: takes whole numbers >= 0, got 1.5"),
        (lambda: speedup(0.5, 2, -0.1), "cost: takes finite numbers >= 0, got -0.1"),
        (lambda: best_draft_length(0.5, 0.1, longest=-1), "longest"),
        (lambda: measured_speedup(2.0, 3, [1.0, 1.0]), "pass_times: .* up to 4, got 2"),
        (lambda: measured_speedup(2.0, 0, [0.0]), "pass_times: takes finite numbers > 0, got 0.0"),
        (lambda: measured_speedup(2.0, 0, []), "pass_times"),
        (lambda: expected_accepted(TokenTree.chain([1]), [0.5, 0.5]), "acceptance: takes shape"),
        (lambda: grow_tree([[0.7, 0.6]], 2), "accuracies: takes rows that sum to 1 at most"),
        (lambda: grow_tree([0.7], 2), r"accuracies: takes shape \(D, R\)"),
        (lambda: best_tree([[0.5]], [1.0, 1.0], [0.1, 0.2]), "draft_times: takes a number or"),
        (lambda: acceptance_with_replacement([1.0], [1.0], -1), "siblings"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
