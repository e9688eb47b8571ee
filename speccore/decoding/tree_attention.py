"""Tree attention by itself: one pass over a tree, to verify guesses or to make the next ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from rlcore.validation import Floats
from speccore.decoding.tree import ROOT, Draft, TokenTree
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel


@torch.inference_mode()
def score_tree(
    model: LanguageModel,
    context: Sequence[int],
    tree: TokenTree,
    *,
    depths: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    cache: KVCache | None = None,
) -> Floats:
    """One pass over the last token of a context and all nodes of a tree (Miao et al. 2024, 4.2).

    A node stands at the position of the root plus its depth, and sees the context, its ancestors
    and itself. So its logits are those of a plain pass over the path to it.

    Args:
        model: ``packed`` or not.
        context: at least one token; the last one is the root.
        tree: n nodes.
        depths: (n,) what is added to the root's position, and
        mask: (n + 1, n + 1) who sees whom; those of the tree if None. Others show what goes wrong.
        cache: holds all of the context but its last token, and then the root and the nodes as
            well; made here if None.

    Returns:
        (n + 1, V) logits after the root and after each node.

    Raises:
        ValueError: an empty context, a cache of another length.
    """
    before, device = len(context) - 1, model.device
    if cache is None:
        cache = _read(model, context, room=len(tree))
    elif cache.length != before:
        raise ValueError(f"cache: takes one that holds {before} tokens, got {cache.length}")
    tokens = np.array([context[-1], *tree.tokens])
    added = np.array([0, *np.asarray(tree.depths if depths is None else depths)])
    seen = np.array(tree.mask if mask is None else mask)
    given = (torch.from_numpy(each).to(device) for each in (tokens, before + added, seen))
    ids, positions, visible = given
    return model(ids[None], positions, visible, cache)[0].cpu().double().numpy()


def guess_tree(model: LanguageModel, context: Sequence[int], ranks: TokenTree) -> TokenTree:
    """A tree of ranks with a draft model's tokens in their place, made in a pass a level.

    Args:
        model: the draft model.
        context: at least one token; the last one is the root.
        ranks: r as the token of a node makes it the guess that the model finds r-th most probable
            after its parent, from 0 on, as in ``theory.grow_tree``.

    Raises:
        ValueError: an empty context, or a rank outside the vocabulary.
    """
    if len(ranks) and ranks.tokens.max() >= model.config.vocab_size:
        raise ValueError(
            f"ranks: takes numbers below {model.config.vocab_size}, the size of the vocabulary, "
            f"got {ranks.tokens.max()}"
        )
    cache = _read(model, context, room=len(ranks))
    tokens = np.zeros(len(ranks), dtype=np.int64)
    for depth in range(ranks.depth):
        known = Draft(TokenTree(tokens, ranks.parents)).up_to(depth).tree
        best = np.argsort(-score_tree(model, context, known, cache=cache), axis=1, kind="stable")
        cache.roll_back(len(context) - 1)
        row = np.cumsum(ranks.depths <= depth)  # of a node that is known
        for node in np.flatnonzero(ranks.depths == depth + 1):
            parent = ranks.parents[node]
            tokens[node] = best[0 if parent == ROOT else row[parent], ranks.tokens[node]]
    return TokenTree(tokens, ranks.parents)


@torch.inference_mode()
def _read(model: LanguageModel, context: Sequence[int], *, room: int) -> KVCache:
    """A cache that holds a context but for its last token, with room for that and some nodes."""
    if len(context) == 0:
        raise ValueError("context: takes at least one token, got none")
    cache = KVCache.of(model, 1, len(context) + room)
    if len(context) > 1:
        model.features(torch.tensor([context[:-1]], device=model.device), cache=cache)
    return cache
