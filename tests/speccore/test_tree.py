"""Trees against brute force over their parents."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speccore.decoding.tree import Draft, TokenTree


@st.composite
def trees(draw, most=10, vocabulary=4):
    size = draw(st.integers(0, most))
    tokens = draw(st.lists(st.integers(0, vocabulary - 1), min_size=size, max_size=size))
    return TokenTree(tokens, [draw(st.integers(-1, node - 1)) for node in range(size)])


def ancestors(tree, node):
    """The node and all above it, the root as -1."""
    found = [node]
    while found[-1] != -1:
        found.append(int(tree.parents[found[-1]]))
    return found


@given(trees())
def test_a_node_sees_its_ancestors_the_root_and_itself(tree):
    expected = [
        [column in ancestors(tree, row) for column in range(-1, len(tree))]
        for row in range(-1, len(tree))
    ]
    assert (tree.mask == np.array(expected)).all()


@given(trees())
def test_depth_is_the_distance_from_the_root(tree):
    assert tree.depths.tolist() == [len(ancestors(tree, node)) - 1 for node in range(len(tree))]
    assert tree.mask.sum(axis=1)[1:].tolist() == (tree.depths + 1).tolist()


@given(trees())
def test_children_are_the_nodes_with_this_parent(tree):
    for node in range(-1, len(tree)):
        expected = [i for i in range(len(tree)) if tree.parents[i] == node]
        assert list(tree.children(node)) == expected
        for token in range(4):
            matches = [i for i in expected if tree.tokens[i] == token]
            assert tree.child(node, token) == (matches[0] if matches else None)


@given(trees())
def test_a_path_leads_from_the_root_to_the_node(tree):
    for node in range(len(tree)):
        assert [*reversed(tree.path_to(node)), -1] == ancestors(tree, node)
    leaves = [node for node in range(len(tree)) if not tree.children(node)]
    assert tree.paths() == [tree.path_to(leaf) for leaf in leaves]
    assert tree.path_to(-1) == ()


@given(st.lists(st.lists(st.integers(0, 2), max_size=4), max_size=6))
def test_shared_prefixes_are_merged(sequences):
    tree = TokenTree.from_paths(sequences)
    prefixes = {tuple(s[:length]) for s in sequences for length in range(1, len(s) + 1)}
    spelled = [tuple(tree.tokens[list(tree.path_to(node))].tolist()) for node in range(len(tree))]
    assert len(spelled) == len(prefixes) and set(spelled) == prefixes


@given(st.lists(st.integers(1, 3), max_size=4))
def test_a_product_holds_all_combinations_of_choices(widths):
    tree = TokenTree.product(widths)
    spelled = [tuple(tree.tokens[list(tree.path_to(node))].tolist()) for node in range(len(tree))]
    combinations = [
        path
        for depth in range(1, len(widths) + 1)
        for path in itertools.product(*map(range, widths[:depth]))
    ]
    assert sorted(spelled) == sorted(combinations)
    for node in range(-1, len(tree)):
        children = tree.children(node)
        assert tree.tokens[list(children)].tolist() == list(range(len(children)))


@given(trees(), st.data())
def test_a_relabelled_tree_has_other_tokens_on_the_same_shape(tree, data):
    size = len(tree)
    if data.draw(st.booleans()):
        assert tree.mask.shape == (size + 1, size + 1)  # so that it is there to be taken over
    before = tree.tokens.tolist()
    tokens = data.draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    other, fresh = tree.relabelled(tokens), TokenTree(tokens, tree.parents)
    assert other.tokens.tolist() == tokens and tree.tokens.tolist() == before
    assert (other.mask == fresh.mask).all() and (other.depths == fresh.depths).all()
    for node in range(-1, size):
        assert other.children(node) == tree.children(node)
        assert [other.child(node, token) for token in range(10)] == [
            fresh.child(node, token) for token in range(10)
        ]
    with pytest.raises(ValueError, match=f"tokens: takes {size} of them, got {size + 1}"):
        tree.relabelled([*tokens, 0])


@given(trees(), st.data())
def test_a_subtree_keeps_the_paths_of_its_nodes(tree, data):
    chosen = data.draw(st.sets(st.integers(0, max(0, len(tree) - 1)))) if len(tree) else set()
    kept = sorted({node for each in chosen for node in tree.path_to(each)})
    part = tree.subtree(kept)
    assert part.tokens.tolist() == tree.tokens[kept].tolist()
    for node, old in enumerate(kept):
        assert [kept[each] for each in part.path_to(node)] == list(tree.path_to(old))
    rows = [0, *(node + 1 for node in kept)]
    assert (part.mask == tree.mask[np.ix_(rows, rows)]).all()


def test_a_chain_is_a_tree_with_one_branch():
    chain = TokenTree.chain([7, 5, 7])
    assert chain.parents.tolist() == [-1, 0, 1]
    assert chain.depths.tolist() == [1, 2, 3] and chain.depth == 3
    assert (chain.mask == np.tri(4, dtype=bool)).all()
    assert chain.is_chain and chain.paths() == [(0, 1, 2)]
    assert not TokenTree([1, 2], [-1, -1]).is_chain


def test_an_empty_tree_is_no_draft():
    for empty in (TokenTree.chain([]), TokenTree([], []), TokenTree.from_paths([])):
        assert len(empty) == 0 and empty.is_chain
        assert empty.paths() == [] and empty.children(-1) == ()
        assert empty.mask.tolist() == [[True]] and empty.depths.shape == (0,)
        assert empty.depth == 0


def test_siblings_may_carry_the_same_token():
    tree = TokenTree([3, 3], [-1, -1])
    assert tree.children(-1) == (0, 1) and tree.child(-1, 3) == 0


def test_a_tree_owns_its_arrays():
    tokens = np.array([1, 2])
    tree = TokenTree.chain(tokens)
    tokens[0] = 9
    assert tree.tokens.tolist() == [1, 2]
    for array in (tree.tokens, tree.parents, tree.depths, tree.mask):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0


@pytest.mark.parametrize(
    ("tokens", "parents", "error", "message"),
    [
        ([1], [0], ValueError, "parents: takes an index from -1 to -1 for node 0, got 0"),
        ([1, 2], [-1, 1], ValueError, "parents: takes an index from -1 to 0 for node 1, got 1"),
        ([1, 2], [-1, -2], ValueError, "got -2"),
        ([1, 2], [-1], ValueError, "parents: takes one for each of the 2 tokens, got 1"),
        ([-1], [-1], ValueError, "tokens: takes ids >= 0, got -1"),
        ([1.0], [-1], TypeError, "tokens: takes whole numbers, got float64"),
        ([[1]], [-1], ValueError, "tokens: takes shape (n,), got (1, 1)"),
    ],
)
def test_bad_trees_are_refused(tokens, parents, error, message):
    with pytest.raises(error, match=re.escape(message)):
        TokenTree(tokens, parents)


def test_a_draft_has_a_law_for_the_root_and_each_node():
    assert Draft(TokenTree.chain([1, 0]), np.ones((3, 2))).laws is not None
    with pytest.raises(ValueError, match=r"laws: takes shape \(n \+ 1, V\) with n = 2 nodes"):
        Draft(TokenTree.chain([1, 0]), np.ones((2, 2)))
