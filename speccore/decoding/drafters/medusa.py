"""Heads that guess all tokens at once draft a tree of their best candidates (Medusa)."""

from __future__ import annotations

import copy

import torch

from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target, check_heads, own_model
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft, TokenTree
from speccore.models.heads import ParallelHeads, Read
from speccore.models.language_model import LanguageModel


class MedusaDrafter(Drafter):
    """Guesses with the candidates of parallel heads: Medusa's, blockwise ones, or Meta's.

    Head k names its most probable tokens for distance k, whatever the others say. So a path of the
    tree is a choice of one candidate a head, and the whole tree would be the Cartesian product of
    the candidates; ``tree`` says which part of it is tried (Cai et al. 2024, sections 2.1.2 and
    2.3.3). The guesses are not drawn, so that any law of the target is kept.

    Args:
        heads: of the target.
        tree: whose tokens are *ranks*: a node at depth k with token r stands for the candidate r
            of head k, 0 for the most probable one. ``theory.grow_tree`` and ``theory.best_tree``
            make such trees from the heads' accuracies, ``TokenTree.product`` the Cartesian one.

    Raises:
        ValueError: a tree that is deeper than there are heads, or ranks beyond the vocabulary.
    """

    needs_features = True

    def __init__(self, heads: ParallelHeads, tree: TokenTree) -> None:
        if tree.depth > heads.count:
            raise ValueError(f"tree: takes a depth up to {heads.count} heads, got {tree.depth}")
        most = int(tree.tokens.max(initial=0))
        if most >= heads.config.vocab_size:
            raise ValueError(
                f"tree: takes ranks below the vocabulary of {heads.config.vocab_size}, got {most}"
            )
        self.heads = heads
        self.tree = tree
        self.most_nodes = len(tree)
        self._ranks = most + 1
        self._read: Read | None = None

    def begin(self, model: LanguageModel) -> MedusaDrafter:
        """A drafter for a new text."""
        check_heads(self.heads, model)
        new = copy.copy(self)
        if len(self.tree):
            new._read = self.heads.reader(self.tree.depth)
        return new

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A tree, without laws."""
        if target.features.shape[1] == 0 or not len(self.tree):
            return NO_DRAFT  # nothing of the text has been read yet, or nothing is asked for
        read = self._read or self.heads.reader(self.tree.depth)
        logits = self.heads.all_logits(own_model(target.model), read(target.features))  # (K, V)
        candidates = logits.topk(self._ranks).indices.cpu().numpy()  # (K, ranks)
        tokens = candidates[self.tree.depths - 1, self.tree.tokens]
        return Draft(self.tree.relabelled(tokens))
