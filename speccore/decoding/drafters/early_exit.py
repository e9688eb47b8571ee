"""The target's own first layers draft, with the target's own cache (LayerSkip)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rlcore.validation import Floats, check_count
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.chain import ChainDrafter
from speccore.decoding.drafters.drafter import Target, own_model
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel
from speccore.models.transformer import Transformer


class EarlyExitDrafter(ChainDrafter):
    """Draws a chain of guesses from the first layers of the target: self-speculation.

    What layer ``layers`` has computed goes straight to the last norm and the output head (Elhoushi
    et al. 2024, LayerSkip, section 4.3). There is no second model and no second cache: the layers'
    columns of the guesses are written to the target's cache, and the verifying pass writes over
    them.

    Args:
        layers: after how many layers to leave, >= 1 and fewer than the target has.
        draft_length: γ >= 1, guesses a step.
        least_confidence: see ``ChainDrafter``.
    """

    def __init__(self, layers: int, draft_length: int, *, least_confidence: float = 0.0) -> None:
        self.layers = check_count("layers", layers)
        super().__init__(draft_length, least_confidence)

    def reader(self, model: LanguageModel) -> EarlyExitReader:
        """The target's first layers."""
        if self.layers >= own_model(model).config.layers:
            raise ValueError(
                f"layers: takes fewer than the target's {model.config.layers}, got {self.layers}"
            )
        return EarlyExitReader(own_model(model), self.layers)

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, and the laws from which it was drawn; the target's cache is left as it was."""
        start = target.cache.length
        draft = super().propose(context, sampling, chance, target)
        target.cache.roll_back(start)
        return draft


class EarlyExitReader:
    """The first layers of the target, which read on from where its cache ends.

    Args:
        model: the target.
        layers: how many of its layers.
    """

    def __init__(self, model: Transformer, layers: int) -> None:
        self.model = model
        self.config = model.config
        self.layers = layers
        self._cache: KVCache

    def read(self, context: Sequence[int], target: Target) -> Floats:
        """(V,) logits after the root, which the target's cache does not hold yet."""
        self._cache = target.cache
        return self.extend(context[-1:])[-1]

    def extend(self, tokens: Sequence[int]) -> Floats:
        """(T, V) logits after each of some guesses more."""
        given = torch.tensor([tokens], device=self._cache.keys.device)
        features = self.model.features(given, cache=self._cache, layers=self.layers)[-1]
        return self.model.logits(features)[0].cpu().double().numpy()
