"""A model that counts n-grams drafts: nearly free, and with a law of its own."""

from __future__ import annotations

import numpy as np

from rlcore.validation import check_count
from speccore.decoding.acceptance import rejection
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.models.language_model import LanguageModel
from speccore.models.ngram import NGramModel


class NGramModelDrafter(Drafter):
    """Draws a chain of guesses from counts of n-grams in other texts.

    Args:
        model: over the vocabulary of the target.
        draft_length: γ >= 1, guesses a step.
    """

    lossless = staticmethod(rejection)

    def __init__(self, model: NGramModel, draft_length: int) -> None:
        self.model = model
        self.draft_length = self.most_nodes = check_count("draft_length", draft_length)

    def begin(self, model: LanguageModel) -> NGramModelDrafter:
        """Itself."""
        if self.model.vocab_size != model.config.vocab_size:
            raise ValueError(
                f"drafter: takes a draft model with the target's vocabulary of "
                f"{model.config.vocab_size}, got {self.model.vocab_size}"
            )
        return self

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, and the laws from which it was drawn."""
        text = context[-self.model.order :] if self.model.order else []
        tokens: list[int] = []
        laws = []
        for _ in range(self.draft_length):
            laws.append(sampling.law(np.log(self.model.law(text))))
            tokens.append(chance.draw(laws[-1]))
            text.append(tokens[-1])
        laws.append(laws[-1])  # after the last guess: never read
        return Draft(TokenTree.chain(tokens), np.stack(laws))
