"""One pass over a tree against a plain pass over each path, and against the loop's own pass."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from speccore.decoding.chance import Chance
from speccore.decoding.drafters import ModelTreeDrafter, NoDrafter
from speccore.decoding.generate import Text, _read_prompts, _verify
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.decoding.tree_attention import guess_tree, score_tree
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=5, layers=2, width=16, heads=2, kv_heads=1, hidden=16, context=32
)
MODEL = Transformer(CONFIG, seed=0).double()
with torch.no_grad():
    for weight in MODEL.parameters():
        weight *= 12.0  # laws that depend on what is seen, and on where it stands


@st.composite
def trees(draw):
    size = draw(st.integers(0, 8))
    tokens = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    return TokenTree(tokens, [draw(st.integers(-1, node - 1)) for node in range(size)])


contexts = st.lists(st.integers(0, 4), min_size=1, max_size=6)


@settings(max_examples=60)
@given(contexts, trees())
def test_every_node_is_scored_as_a_plain_pass_over_its_path(context, tree):
    logits = score_tree(MODEL, context, tree)
    assert logits.shape == (len(tree) + 1, 5)
    for node in range(-1, len(tree)):
        path = [*context, *tree.tokens[list(tree.path_to(node))].tolist()]
        with torch.inference_mode():
            plain = MODEL(torch.tensor([path]))[0, -1].numpy()
        np.testing.assert_allclose(logits[node + 1], plain, rtol=0, atol=1e-10)


@settings(max_examples=20)
@given(contexts, trees())
def test_it_is_the_pass_of_the_loop(context, tree):
    text = Text(context, 10, NoDrafter(), Chance(0), draft=Draft(tree))
    cache = KVCache(CONFIG, 1, 32, dtype=torch.float64)
    if len(context) > 1:
        with torch.inference_mode():
            MODEL(torch.tensor([context[:-1]]), cache=cache)
    assert _read_prompts(MODEL, [text]).length == cache.length
    logits, _ = _verify(MODEL, cache, [text])
    np.testing.assert_allclose(score_tree(MODEL, context, tree), logits[0], rtol=0, atol=1e-10)


def test_positions_and_mask_matter():
    tree = TokenTree([1, 2, 3, 4], [-1, -1, 0, 1])
    right = score_tree(MODEL, [0, 1], tree)
    index = score_tree(MODEL, [0, 1], tree, depths=np.arange(1, 5))
    causal = score_tree(MODEL, [0, 1], tree, mask=np.tri(5, dtype=bool))
    assert np.abs(right - index).max(axis=1)[:2].max() < 1e-10 < np.abs(right - index).max()
    assert np.abs(right - causal).max(axis=1)[:2].max() < 1e-10 < np.abs(right - causal).max()


def test_a_cache_gets_the_root_and_the_nodes():
    cache = KVCache(CONFIG, 1, 16, dtype=torch.float64)
    with torch.inference_mode():
        MODEL(torch.tensor([[0, 1]]), cache=cache)
    tree = TokenTree([1, 2], [-1, -1])
    with pytest.raises(ValueError, match="cache: takes one that holds 1 tokens, got 2"):
        score_tree(MODEL, [0, 1], tree, cache=cache)
    np.testing.assert_allclose(
        score_tree(MODEL, [0, 1, 2], tree, cache=cache), score_tree(MODEL, [0, 1, 2], tree)
    )
    assert cache.length == 5


def test_an_empty_context_is_refused():
    with pytest.raises(ValueError, match="context: takes at least one token"):
        score_tree(MODEL, [], TokenTree([1], [-1]))


def rank_trees():
    """Trees whose tokens are ranks below 3, siblings all different."""
    paths = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), max_size=4)
    return st.builds(TokenTree.from_paths, paths)


@settings(max_examples=40)
@given(contexts, rank_trees())
def test_ranks_are_filled_with_the_tokens_that_the_model_ranks_so(context, ranks):
    tree = guess_tree(MODEL, context, ranks)
    assert (tree.parents == ranks.parents).all()
    for node in range(len(tree)):
        above = tree.path_to(int(tree.parents[node]))
        path = [*context, *tree.tokens[list(above)].tolist()]
        with torch.inference_mode():
            logits = MODEL(torch.tensor([path]))[0, -1]
        best = logits.argsort(descending=True, stable=True)
        assert tree.tokens[node] == best[ranks.tokens[node]]


def test_whole_levels_are_those_of_the_drafter():
    widths, context = (2, 2, 1), [0, 3, 1]
    ranks = TokenTree([0, 1, 0, 1, 0, 1, 0, 0, 0, 0], [-1, -1, 0, 0, 1, 1, 2, 3, 4, 5])
    drafter = ModelTreeDrafter(MODEL, widths).begin(MODEL)
    draft = drafter.propose(context, Sampling(0.0), Chance(0), None)
    tree = guess_tree(MODEL, context, ranks)
    assert draft.tree.tokens.tolist() == tree.tokens.tolist()
    assert draft.tree.parents.tolist() == tree.parents.tolist()


def test_a_rank_outside_the_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"ranks: takes numbers below 5, .* got 5"):
        guess_tree(MODEL, [0], TokenTree([5], [-1]))
