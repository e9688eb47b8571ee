"""A smaller model of the same vocabulary drafts (Leviathan et al. 2023; Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlcore.validation import Floats, check_count
from speccore.decoding.acceptance import without_replacement
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.chain import ChainDrafter
from speccore.decoding.drafters.drafter import ReadingDrafter, Target, check_draft_model, depth_left
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import ROOT, Draft, TokenTree
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel


class ModelReader:
    """A model that reads a text as it grows: what it has read already stays in its cache.

    Args:
        model: the draft model.
        room: columns that guesses take at most.
    """

    def __init__(self, model: LanguageModel, room: int) -> None:
        self.model = model
        self.config = model.config
        self.cache = KVCache.of(model, 1, model.config.context + room)
        self.tokens: list[int] = []
        """Those whose columns the cache holds."""
        self._committed = 0

    def read(self, context: Sequence[int], target: Target) -> Floats:
        """(V,) logits after a text that begins with the last one; guesses that came true stay."""
        common, last = self._committed, len(context) - 1
        while common < min(len(self.tokens), last) and self.tokens[common] == context[common]:
            common += 1
        self.cache.roll_back(common)
        self.tokens = list(context[:common])
        self._committed = last
        return self.extend(context[common:])[-1]

    def extend(
        self,
        tokens: Sequence[int],
        positions: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Floats:
        """(T, V) logits after each of some tokens more."""
        given = torch.tensor([tokens], device=self.cache.keys.device)
        logits = self.model(given, positions, mask, self.cache)
        self.tokens += tokens
        return logits[0].cpu().double().numpy()

    def forget(self, length: int) -> None:
        """Roll back to so many tokens."""
        self.cache.roll_back(length)
        del self.tokens[length:]


class ModelDrafter(ChainDrafter):
    """Draws a chain of guesses from a draft model, a pass a guess.

    Args:
        model: the draft model, over the vocabulary of the target.
        draft_length: γ >= 1, guesses a step.
        least_confidence: see ``ChainDrafter``.
    """

    def __init__(
        self, model: LanguageModel, draft_length: int, *, least_confidence: float = 0.0
    ) -> None:
        super().__init__(draft_length, least_confidence)
        self.model = model

    def reader(self, model: LanguageModel) -> ModelReader:
        """The draft model, with a cache of its own."""
        check_draft_model(self.model, model)
        return ModelReader(self.model, self.most_nodes)


class ModelTreeDrafter(ReadingDrafter["ModelReader"]):
    """Draws a tree of guesses from a draft model, a pass a level.

    With ``widths`` (2, 2, 1) the root has two children, each of them two, and each of those one:
    10 nodes. Siblings are drawn without replacement (Jeon et al. 2024); at temperature 0 they are
    the most probable tokens.

    Args:
        model: the draft model, over the vocabulary of the target.
        widths: (depth,) children of each node of a level, >= 1.
    """

    lossless = staticmethod(without_replacement)

    def __init__(self, model: LanguageModel, widths: Sequence[int]) -> None:
        self.model = model
        self.widths = tuple(check_count("widths", width) for width in widths)
        if not self.widths:
            raise ValueError("widths: takes a number for each level, got none")
        self.most_nodes = int(np.cumprod(self.widths).sum())

    def reader(self, model: LanguageModel) -> ModelReader:
        """The draft model, with a cache of its own."""
        check_draft_model(self.model, model)
        return ModelReader(self.model, self.most_nodes)

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A tree, and the laws from which it was drawn; none at temperature 0."""
        reader = self._reader or self.reader(target.model)
        there = reader.cache.keys.device
        scores = list(reader.read(context, target)[None])  # after the root, each node
        laws = [sampling.law(scores[0])]
        tree = TokenTree([], [])
        level = [ROOT]
        deepest = depth_left(len(self.widths), context, self.model.config)
        for depth, width in enumerate(self.widths[:deepest], start=1):
            tokens, parents = tree.tokens.tolist(), tree.parents.tolist()
            for node in level:
                row = node + 1
                children = (
                    _most_probable(scores[row], width)
                    if sampling.temperature == 0
                    else _drawn(laws[row], width, chance)
                )
                tokens += children
                parents += [node] * len(children)
            tree = TokenTree(tokens, parents)
            level = list(range(len(laws) - 1, len(tree)))
            if depth < deepest:
                place = len(context) - 1 + depth
                positions = torch.full((len(level),), place, device=there)
                mask = torch.from_numpy(tree.mask[1:, 1:][level]).to(there)
                scores += list(reader.extend(tokens[level[0] :], positions, mask))
            else:
                scores += [np.zeros_like(scores[0])] * len(level)  # after leaves: never read
            laws += [sampling.law(each) for each in scores[len(laws) :]]
        reader.forget(len(context))
        return Draft(tree, None if sampling.temperature == 0 else np.stack(laws))


def _most_probable(logits: Floats, count: int) -> list[int]:
    count = min(count, len(logits))
    found = np.argpartition(-logits, count - 1)[:count]
    ordered: list[int] = found[np.argsort(-logits[found], kind="stable")].tolist()
    return ordered


def _drawn(law: Floats, count: int, chance: SourceOfChance) -> list[int]:
    """Tokens drawn one by one, without putting back; fewer if nothing is left."""
    left = law.copy()
    tokens: list[int] = []
    while len(tokens) < count and left.any():
        tokens.append(chance.draw(left))
        left[tokens[-1]] = 0.0
    return tokens
