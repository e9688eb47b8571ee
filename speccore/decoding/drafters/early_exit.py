"""The target's own first layers draft, with the target's own cache (LayerSkip)."""

from __future__ import annotations

import numpy as np
import torch

from rlcore.validation import check_count
from speccore.decoding.acceptance import rejection
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target, depth_left, own_model
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.models.language_model import LanguageModel


class EarlyExitDrafter(Drafter):
    """Draws a chain of guesses from the first layers of the target: self-speculation.

    What layer ``layers`` has computed goes straight to the last norm and the output head (Elhoushi
    et al. 2024, LayerSkip, section 4.3). There is no second model and no second cache: the layers'
    columns of the guesses are written to the target's cache, and the verifying pass writes over
    them.

    Args:
        layers: after how many layers to leave, >= 1 and fewer than the target has.
        draft_length: γ >= 1, guesses a step.
    """

    lossless = staticmethod(rejection)

    def __init__(self, layers: int, draft_length: int) -> None:
        self.layers = check_count("layers", layers)
        self.draft_length = self.most_nodes = check_count("draft_length", draft_length)

    def begin(self, model: LanguageModel) -> EarlyExitDrafter:
        """Itself."""
        if self.layers >= own_model(model).config.layers:
            raise ValueError(
                f"layers: takes fewer than the target's {model.config.layers}, got {self.layers}"
            )
        return self

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, and the laws from which it was drawn."""
        model, cache = own_model(target.model), target.cache
        start = cache.length
        tokens = [context[-1]]  # the root, which the cache does not hold yet
        laws = []
        for _ in range(depth_left(self.draft_length, context, model.config)):
            given = torch.tensor([tokens[-1:]], device=cache.keys.device)
            features = model.features(given, cache=cache, layers=self.layers)[-1]
            laws.append(sampling.law(model.logits(features)[0, 0].double().cpu().numpy()))
            tokens.append(chance.draw(laws[-1]))
        cache.roll_back(start)
        laws.append(laws[-1])  # after the last guess: never read
        return Draft(TokenTree.chain(tokens[1:]), np.stack(laws))
