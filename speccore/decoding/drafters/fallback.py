"""Several drafters: the first that has a guess drafts."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from rlcore.validation import Floats
from speccore.decoding.acceptance import Verdict
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft
from speccore.models.language_model import LanguageModel


class FallbackDrafter(Drafter):
    """Asks its drafters in their order, until one has a guess.

    A copy from the text where there is one to be had, else what heads guess: Oliaro et al. 2025
    (SuffixDecoding) combine a suffix tree with EAGLE like this. Which one drafts is decided by what
    earlier steps have shown, before a token of this step is drawn, so that the law of the output
    stays.

    To a drafter that was asked and had no guess, the step is one of plain decoding. A drafter that
    was not asked is shown the features that it has missed when it is asked again.

    Args:
        drafters: >= 2, of which all but the last may have no guess; all with the same lossless
            rule.

    Raises:
        ValueError: fewer than two drafters, or different rules.
    """

    def __init__(self, *drafters: Drafter) -> None:
        if len(drafters) < 2:
            raise ValueError(f"drafters: takes two or more, got {len(drafters)}")
        rules = {each.lossless for each in drafters}
        if len(rules) > 1:
            names = " and ".join(sorted(rule.__name__ for rule in rules))
            raise ValueError(f"drafters: takes those with one lossless rule, got {names}")
        self.drafters = drafters
        self.most_nodes = max(each.most_nodes for each in drafters)
        self.needs_features = any(each.needs_features for each in drafters)
        self.lossless = rules.pop()
        self._missed: tuple[list[Tensor], ...] = tuple([] for _ in drafters)
        self._used = 0

    def begin(self, model: LanguageModel) -> FallbackDrafter:
        """One whose drafters have seen nothing."""
        return FallbackDrafter(*(each.begin(model) for each in self.drafters))

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """The draft of the first drafter that has a guess."""
        draft = NO_DRAFT
        for drafter, missed in zip(self.drafters, self._missed, strict=True):
            if drafter.needs_features:
                missed.append(target.features)
        for number, drafter in enumerate(self.drafters):
            self._used, shown, missed = number, target, self._missed[number]
            if drafter.needs_features:
                shown = replace(target, features=torch.cat(missed, dim=1))
                missed.clear()
            draft = drafter.propose(context, sampling, chance, shown)
            if len(draft.tree):
                break
        return draft

    def observe(self, draft: Draft, verdict: Verdict, logits: Floats) -> None:
        """Tell the drafter of the draft, and those before it, which had no guess."""
        path = verdict.path
        first = int(draft.tree.tokens[path[0]]) if path else verdict.token
        for drafter in self.drafters[: self._used]:
            drafter.observe(NO_DRAFT, Verdict((), first), logits[:1])
        self.drafters[self._used].observe(draft, verdict, logits)
