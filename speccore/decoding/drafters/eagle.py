"""A head that predicts the target's features drafts a chain or a tree (EAGLE)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rlcore.validation import Floats, check_count
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.chain import ChainDrafter
from speccore.decoding.drafters.drafter import ReadingDrafter, Target, check_heads, depth_left
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, ROOT, Draft, TokenTree
from speccore.models.heads import EagleHead, read_on
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel
from speccore.models.transformer import Transformer


class EagleDrafter(ChainDrafter):
    """Draws a chain of guesses: each from the features and the token before (Li et al. 2024).

    Args:
        head: of the target.
        draft_length: γ >= 1, guesses a step.
        least_confidence: see ``ChainDrafter``.
    """

    needs_features = True

    def __init__(
        self, head: EagleHead, draft_length: int, *, least_confidence: float = 0.0
    ) -> None:
        super().__init__(draft_length, least_confidence)
        self.head = head

    def reader(self, model: LanguageModel) -> EagleReader:
        """The head, with a cache of its own."""
        return EagleReader(self.head, check_heads(self.head, model), self.most_nodes)


class EagleTreeDrafter(ReadingDrafter["EagleReader"]):
    """Grows the tree where the head is confident (EAGLE-2, Li et al. 2024b, section 4.2).

    A node's value is the product of the head's probabilities along its path, which the probability
    of being accepted follows closely. Each pass of the head goes through the ``width`` nodes of
    largest value of a level and adds the ``width`` most probable children of each; of all nodes the
    ``nodes`` of largest value make the draft. Nothing is drawn, so that any law of the target is
    kept.

    Args:
        head: of the target.
        depth: >= 1, levels, a pass of the head each.
        width: >= 1, nodes of a level that get children, and children of each.
        nodes: >= 1, guesses of the draft.
    """

    needs_features = True

    def __init__(self, head: EagleHead, depth: int = 4, *, width: int = 3, nodes: int = 8) -> None:
        self.head = head
        self.depth = check_count("depth", depth)
        self.width = check_count("width", width)
        self.nodes = self.most_nodes = check_count("nodes", nodes)
        if width > head.config.vocab_size:
            raise ValueError(f"width: takes at most {head.config.vocab_size} tokens, got {width}")

    def reader(self, model: LanguageModel) -> EagleReader:
        """The head, with a cache of its own."""
        return EagleReader(self.head, check_heads(self.head, model), self.depth * self.width)

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A tree, without laws."""
        reader = self._reader or self.reader(target.model)
        logits = reader.read(context, target)
        if logits is None:
            return NO_DRAFT
        tree = TokenTree([], [])
        values = np.zeros(0)  # logarithms
        level, rows = np.array([ROOT]), logits[None]
        deepest = depth_left(self.depth, context, self.head.config)
        for depth in range(deepest):
            laws = rows - np.logaddexp.reduce(rows, axis=1, keepdims=True)  # log-probabilities
            children = np.argsort(-laws, axis=1, kind="stable")[:, : self.width]
            above = values[level] if depth else np.zeros(1)
            worth = above[:, None] + np.take_along_axis(laws, children, axis=1)
            first = len(tree)
            tree = TokenTree(
                np.concatenate((tree.tokens, children.ravel())),
                np.concatenate((tree.parents, level.repeat(children.shape[1]))),
            )
            values = np.concatenate((values, worth.ravel()))
            if depth + 1 < deepest:
                best = np.argsort(-values[first:], kind="stable")[: self.width]
                level = first + np.sort(best)
                rows = reader.grow(tree, level)
        # A child is worth no more than its parent, which stands before it: whatever is kept, is
        # kept with its parents.
        return Draft(tree.subtree(np.sort(np.argsort(-values, kind="stable")[: self.nodes])))


class EagleReader:
    """Column i of the cache holds what the head made of f_i and t_{i+1}.

    Args:
        head: the head.
        trunk: whose embedding and output head it uses.
        room: columns that guesses take at most.
    """

    def __init__(self, head: EagleHead, trunk: Transformer, room: int) -> None:
        config, weight = replace(head.config, layers=1), trunk.embedding.weight
        capacity = config.context + room
        self.head = head
        self.config = head.config
        self.trunk = trunk
        self.cache = KVCache(config, 1, capacity, dtype=weight.dtype, device=weight.device)
        self.columns = 0
        """Those of the text; guesses have the columns behind them."""
        self._made: Tensor  # (1, guesses + 1, C): after the text, and after each guess
        self._order: list[int]  # the nodes of a tree, in the order in which they were read

    def read(self, context: Sequence[int], target: Target) -> Floats | None:
        """(V,) logits after the whole text."""
        self.cache.roll_back(self.columns)
        new = target.features.shape[1]
        self.columns += new
        if not self.columns:
            return None
        self._made = self._pass(self.head.step.last, target.features, context[-new:])
        self._order = [ROOT]
        return self._logits(self._made)[0]

    def extend(self, tokens: Sequence[int]) -> Floats:
        """(1, V) logits after one guess more of a chain."""
        self._made = self._pass(self.head.step.last, self._made, tokens)
        return self._logits(self._made)

    def grow(self, tree: TokenTree, nodes: np.ndarray) -> Floats:
        """(N, V) logits after some nodes of a tree, whose parents have been read."""
        parents = [self._order.index(parent) for parent in tree.parents[nodes].tolist()]
        self._order += nodes.tolist()
        there = self.cache.keys.device
        positions = torch.from_numpy(self.columns - 1 + tree.depths[nodes]).to(there)
        rows, columns = nodes + 1, np.array(self._order[1:]) + 1
        mask = torch.from_numpy(tree.mask[rows[:, None], columns]).to(there)
        inputs = self._made[:, parents], tree.tokens[nodes].tolist()
        made = self._pass(self.head.step, *inputs, positions, mask)
        self._made = torch.cat((self._made, made), dim=1)
        return self._logits(made)

    def _pass(
        self,
        step: Callable[..., Tensor],
        features: Tensor,
        tokens: Sequence[int],
        positions: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        given = torch.tensor([tokens], device=self.cache.keys.device)
        inputs = (features, self.trunk.embedding(given))
        (made,) = read_on([step], inputs, self.cache, positions, mask)
        return made  # (1, T, C)

    def _logits(self, made: Tensor) -> Floats:
        return self.head.logits(self.trunk, made, 1)[0].cpu().double().numpy()
