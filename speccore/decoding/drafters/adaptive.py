"""As many guesses as pay on this text and on this machine, and none where none do."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore.validation import Floats, as_floats, check_fraction, check_number, check_positive
from speccore.decoding.acceptance import Verdict
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import acceptance_rate, best_measured_draft_length
from speccore.decoding.tree import NO_DRAFT, Draft
from speccore.models.language_model import LanguageModel


class AdaptiveDrafter(Drafter):
    """Cuts another drafter's chain to the length that is best for the acceptance rate so far.

    The rate is estimated from this text alone, with a prior and with forgetting: after each step

        α = (kept + w·α₀) / (tried + w),   kept, tried ← (1 − 1/m)·(kept, tried) + those of the step

    and the length of the next draft is that of ``theory.best_measured_draft_length``, in which a
    pass over n tokens costs T(n) and a guess ``guess_cost``·T(1).

    Guesses that cost nothing are made one further than they are verified, if the drafter makes so
    many. If all before it came true, what the target says there tells whether this one would have
    been kept, so that the estimate goes on where nothing is drafted. A drafter whose guesses cost
    rests when none pays, and forgets meanwhile: the estimate returns to α₀, and it tries again.

    Where to stop is decided by what earlier steps have shown, before a token of this step is drawn.
    Given all that, the draft is one of a fixed length, for which the rule is lossless; so the law
    of the output stays.

    Args:
        drafter: of chains, with a ``draft_length``, which is the most.
        times: (N,) T(1) … T(N) > 0 of the target, in any unit, as ``cost.pass_times`` measures
            them; no draft has more than N − 1 guesses.
        guess_cost: c >= 0, time of a guess over T(1).
        prior: α₀ in [0, 1], the rate that is assumed before anything is known.
        prior_weight: w > 0, guesses that the prior counts as.
        memory: m >= 1, steps after which what was seen counts 1/e of what is new.

    Raises:
        TypeError, ValueError: an argument outside what it takes.
    """

    def __init__(
        self,
        drafter: Drafter,
        times: ArrayLike,
        *,
        guess_cost: float = 0.0,
        prior: float = 0.5,
        prior_weight: float = 2.0,
        memory: float = 16.0,
    ) -> None:
        longest = getattr(drafter, "draft_length", None)
        if longest is None:
            raise TypeError(f"drafter: takes one with a draft_length, got {type(drafter).__name__}")
        self.drafter: Any = drafter  # not every one has a length to change
        self.guess_cost = check_number(
            "guess_cost", guess_cost, "a finite number >= 0", lambda cost: 0.0 <= cost < np.inf
        )
        self.prior = check_fraction("prior", prior)
        self.prior_weight = check_positive("prior_weight", prior_weight)
        self.memory = check_number(
            "memory", memory, "a finite number >= 1", lambda steps: 1.0 <= steps < np.inf
        )
        self.longest: int = longest
        self.times = as_floats("times", times)[: longest + 1]
        best_measured_draft_length(prior, self.times, 0.0)  # checks the times
        self.most_nodes = len(self.times) - 1
        self.needs_features = drafter.needs_features
        self.lossless = drafter.lossless
        self._tried = self._kept = 0.0
        self._whole = NO_DRAFT
        self._sampling = Sampling()
        self._asked = 0

    @property
    def alpha(self) -> float:
        """The estimate of the acceptance rate."""
        return (self._kept + self.prior_weight * self.prior) / (self._tried + self.prior_weight)

    @property
    def best_length(self) -> int:
        """Guesses of the next draft."""
        return best_measured_draft_length(
            self.alpha, self.times, self.guess_cost * float(self.times[0])
        )

    def begin(self, model: LanguageModel) -> AdaptiveDrafter:
        """One that knows the prior alone."""
        new = copy.copy(self)
        new.drafter = copy.copy(self.drafter.begin(model))  # its length will change
        new._tried = new._kept = 0.0
        return new

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """The beginning of the other drafter's chain."""
        length = self.best_length
        self._asked = min(length + (self.guess_cost == 0.0), self.longest)
        self._sampling, self._whole = sampling, NO_DRAFT
        if self._asked:
            self.drafter.draft_length = self._asked
            self._whole = self.drafter.propose(context, sampling, chance, target)
        if not self._whole.tree.is_chain:
            raise ValueError(
                f"drafter: takes one of chains, got a tree of {type(self.drafter).__name__}"
            )
        return self._whole.up_to(length)

    def observe(self, draft: Draft, verdict: Verdict, logits: Floats) -> None:
        """Count the guesses that were kept, and the one after them."""
        self.drafter.observe(draft, verdict, logits)
        kept, there = len(verdict.path), len(self._whole.tree)
        if self._asked and not there:
            return  # it had nothing to say
        self._tried *= 1.0 - 1.0 / self.memory
        self._kept *= 1.0 - 1.0 / self.memory
        self._kept += kept
        self._tried += kept
        if kept < there:
            self._tried += 1.0
        if kept == len(draft.tree) < there:
            self._kept += self._would_keep(kept, verdict.token, logits[kept])

    def _would_keep(self, node: int, token: int, logits: Floats) -> float:
        """How probably a guess would have been kept where the target chose a token."""
        if self._whole.laws is None:
            return float(self._whole.tree.tokens[node] == token)
        return float(acceptance_rate(self._sampling.law(logits), self._whole.laws[node]))
