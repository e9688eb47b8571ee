"""A smaller model of the same vocabulary drafts (Leviathan et al. 2023; Chen et al. 2023)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rlcore.validation import Floats, check_count, check_fraction
from speccore.decoding.acceptance import rejection, without_replacement
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target, check_draft_model
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import ROOT, Draft, TokenTree
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import Transformer


class Reader:
    """A model that reads a text as it grows: what it has read already stays in its cache.

    Args:
        model: the draft model.
        room: columns that guesses take at most.
    """

    def __init__(self, model: Transformer, room: int) -> None:
        weight = model.norm.weight
        capacity = model.config.context + room
        self.model = model
        self.cache = KVCache(model.config, 1, capacity, dtype=weight.dtype, device=weight.device)
        self.tokens: list[int] = []
        """Those whose columns the cache holds."""
        self._committed = 0

    def read(self, context: Sequence[int]) -> Floats:
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
        return logits[0].double().cpu().numpy()

    def forget(self, length: int) -> None:
        """Roll back to so many tokens."""
        self.cache.roll_back(length)
        del self.tokens[length:]


class ModelDrafter(Drafter):
    """Draws a chain of guesses from a draft model, a pass a guess.

    Args:
        model: the draft model, over the vocabulary of the target.
        draft_length: γ >= 1, guesses a step.
        least_confidence: in [0, 1]; the chain ends early before a guess whose law gives no token
            so much probability, as the guess would probably be in vain (Kim et al. 2023, section
            3.2). At temperature 0, where each law is certain, the draft's softmax is asked. Where
            to stop is decided without a look at the target, and before the guess is drawn, so the
            law of the output stays.
    """

    lossless = staticmethod(rejection)

    def __init__(
        self, model: Transformer, draft_length: int, *, least_confidence: float = 0.0
    ) -> None:
        self.model = model
        self.draft_length = check_count("draft_length", draft_length)
        self.least_confidence = check_fraction("least_confidence", least_confidence)
        self.most_nodes = draft_length
        self._reader: Reader | None = None

    def begin(self, model: Transformer) -> ModelDrafter:
        """A drafter with a cache of its own."""
        check_draft_model(self.model, model)
        new = copy.copy(self)
        new._reader = Reader(self.model, self.most_nodes)
        return new

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, and the laws from which it was drawn."""
        reader = self._reader or Reader(self.model, self.most_nodes)
        tokens: list[int] = []
        laws = np.zeros((self.draft_length + 1, self.model.config.vocab_size))
        for law in laws[:-1]:  # the one after the last guess is never read
            logits = reader.extend(tokens[-1:])[0] if tokens else reader.read(context)
            law[:] = sampling.law(logits)
            if not self._is_confident(logits, law, sampling):
                break
            tokens.append(chance.draw(law))
        return Draft(TokenTree.chain(tokens), laws[: len(tokens) + 1])

    def _is_confident(self, logits: Floats, law: Floats, sampling: Sampling) -> bool:
        if self.least_confidence == 0.0:
            return True
        if sampling.temperature == 0:
            law = Sampling().law(logits)
        return bool(law.max() >= self.least_confidence)


class ModelTreeDrafter(Drafter):
    """Draws a tree of guesses from a draft model, a pass a level.

    With ``widths`` (2, 2, 1) the root has two children, each of them two, and each of those one:
    10 nodes. Siblings are drawn without replacement (Jeon et al. 2024); at temperature 0 they are
    the most probable tokens.

    Args:
        model: the draft model, over the vocabulary of the target.
        widths: (depth,) children of each node of a level, >= 1.
    """

    lossless = staticmethod(without_replacement)

    def __init__(self, model: Transformer, widths: Sequence[int]) -> None:
        self.model = model
        self.widths = tuple(check_count("widths", width) for width in widths)
        if not self.widths:
            raise ValueError("widths: takes a number for each level, got none")
        self.most_nodes = int(np.cumprod(self.widths).sum())
        self._reader: Reader | None = None

    def begin(self, model: Transformer) -> ModelTreeDrafter:
        """A drafter with a cache of its own."""
        check_draft_model(self.model, model)
        new = copy.copy(self)
        new._reader = Reader(self.model, self.most_nodes)
        return new

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A tree, and the laws from which it was drawn; none at temperature 0."""
        reader = self._reader or Reader(self.model, self.most_nodes)
        scores = list(reader.read(context)[None])  # logits after the root and after each node
        laws = [sampling.law(scores[0])]
        tree = TokenTree([], [])
        level = [ROOT]
        for depth, width in enumerate(self.widths, start=1):
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
            if depth < len(self.widths):
                positions = torch.full((len(level),), len(context) - 1 + depth)
                mask = torch.from_numpy(tree.mask[1:, 1:][level])
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
