"""A chain of guesses, each drawn from a law that knows the ones before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from rlcore.validation import Floats, check_count, check_fraction
from speccore.decoding.acceptance import rejection
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import ReadingDrafter, Target, depth_left
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft, TokenTree
from speccore.models.language_model import Sizes


class Reader(Protocol):
    """What reads a growing text, and guesses on from its end."""

    @property
    def config(self) -> Sizes:
        """Of the model that reads."""

    def read(self, context: Sequence[int], target: Target) -> Floats | None:
        """(V,) logits after a text that begins with the last one; None if it cannot say yet."""

    def extend(self, tokens: Sequence[int]) -> Floats:
        """(T, V) logits after each of some guesses more."""


class ChainDrafter(ReadingDrafter[Reader]):
    """Draws guess by guess; what gives the laws is the reader of a subclass.

    Args:
        draft_length: γ >= 1, guesses a step.
        least_confidence: in [0, 1]; the chain ends early before a guess whose law gives no token
            so much probability, as the guess would probably be in vain (Kim et al. 2023, section
            3.2). At temperature 0, where each law is certain, the draft's softmax is asked. Where
            to stop is decided without a look at the target, and before the guess is drawn, so the
            law of the output stays.
    """

    lossless = staticmethod(rejection)

    def __init__(self, draft_length: int, least_confidence: float = 0.0) -> None:
        self.draft_length = check_count("draft_length", draft_length)
        self.least_confidence = check_fraction("least_confidence", least_confidence)
        self.most_nodes = draft_length

    @torch.inference_mode()
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, and the laws from which it was drawn."""
        reader = self._reader or self.reader(target.model)
        logits = reader.read(context, target)
        if logits is None:
            return NO_DRAFT
        length = depth_left(self.draft_length, context, reader.config)
        tokens: list[int] = []
        laws = np.zeros((length + 1, len(logits)))
        for law in laws[:-1]:  # the one after the last guess is never read
            if tokens:
                logits = reader.extend(tokens[-1:])[0]
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
