"""Modules for multi-token prediction draft a chain, one module a guess (DeepSeek-V3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from rlcore.validation import Floats
from speccore.decoding.drafters.chain import ChainDrafter
from speccore.decoding.drafters.drafter import Target, check_heads
from speccore.models.heads import MTPModules, read_on
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel
from speccore.models.transformer import Transformer


class MTPDrafter(ChainDrafter):
    """Draws guess k from module k, which reads the guess before (DeepSeek-AI 2024, section 2.2).

    Args:
        heads: of the target.
        draft_length: γ, at most one guess a module; None for all.
        least_confidence: see ``ChainDrafter``.
    """

    needs_features = True

    def __init__(
        self, heads: MTPModules, draft_length: int | None = None, *, least_confidence: float = 0.0
    ) -> None:
        super().__init__(heads.count if draft_length is None else draft_length, least_confidence)
        if self.draft_length > heads.count:
            raise ValueError(
                f"draft_length: takes at most one a module, {heads.count}, got {draft_length}"
            )
        self.heads = heads

    def reader(self, model: LanguageModel) -> ModulesReader:
        """The modules, each with a cache of its own."""
        return ModulesReader(self.heads, check_heads(self.heads, model))


class ModulesReader:
    """Column i of module k holds what it made of h_i^{k−1} and t_{i+k}.

    The trunk has read n − 1 of a text's n tokens, so that columns 0 … n − 2 exist. Where i + k ≥ n,
    t_{i+k} is a guess: such a column is read anew when the true token is known.

    Args:
        heads: the modules.
        trunk: whose embedding and output head they use.
    """

    def __init__(self, heads: MTPModules, trunk: Transformer) -> None:
        config = replace(heads.config, layers=1)
        weight = trunk.embedding.weight
        self.heads = heads
        self.config = heads.config
        self.trunk = trunk
        self.caches = [
            KVCache(config, dtype=weight.dtype, device=weight.device) for _ in range(heads.count)
        ]
        self.hidden = weight.new_zeros(heads.count + 1, 1, config.context, config.width)
        """h^0, the trunk's features, to h^K, (K + 1, 1, context, C)."""
        self.tokens: list[int] = []
        """The text, and the guesses after it."""
        self.columns = 0

    def read(self, context: Sequence[int], target: Target) -> Floats | None:
        """(V,) logits of the first module."""
        for k, cache in enumerate(self.caches, start=1):  # columns that only knew a guess
            cache.roll_back(min(cache.length, max(0, self.columns + 1 - k)))
        new = target.features
        self.columns += new.shape[1]
        if not self.columns:
            return None
        self.hidden[0, :, self.columns - new.shape[1] : self.columns] = new
        self.tokens = list(context)
        return self._run(1)

    def extend(self, tokens: Sequence[int]) -> Floats:
        """(1, V) logits of the next module, which reads one guess more."""
        (guess,) = tokens
        self.tokens.append(guess)
        return self._run(len(self.tokens) - self.columns)[None]

    def _run(self, k: int) -> Floats:
        """Module k reads all columns that it has not read; (V,) logits after the last one."""
        cache = self.caches[k - 1]
        start, end = cache.length, self.columns
        given = torch.tensor([self.tokens[start + k : end + k]], device=self.hidden.device)
        inputs = (self.hidden[k - 1, :, start:end], self.trunk.embedding(given))
        (made,) = read_on([self.heads.steps[k - 1]], inputs, cache)
        self.hidden[k, :, start:end] = made
        return self.heads.logits(self.trunk, made[0, -1], k).cpu().double().numpy()
