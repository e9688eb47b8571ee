"""What the loop asks of a drafter, and what it tells it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

from torch import Tensor

from rlcore.validation import Floats
from speccore.decoding.acceptance import Rule, Verdict, sample_and_descend
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft
from speccore.models.heads import Heads
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel, Sizes
from speccore.models.transformer import Transformer


@dataclass
class Target:
    """What a drafter may see of the model that it drafts for."""

    model: LanguageModel
    cache: KVCache
    """Of one row: the keys and values of all committed tokens but the last. A drafter may read on
    from there, but has to roll back what it has read."""
    features: Tensor
    """(1, m, C), of a drafter that ``needs_features``: what stands in the residual stream after the
    last block, for those of these tokens that it has not been shown yet."""


class Drafter(ABC):
    """Makes guesses. Its settings are its attributes; it may remember things about one text.

    Attributes:
        most_nodes: no draft has more.
        lossless: a rule of ``acceptance`` that keeps the target's law with these drafts.
        needs_features: whether it reads the features of the target.
    """

    most_nodes: int
    needs_features = False
    lossless: Rule = staticmethod(sample_and_descend)

    @abstractmethod
    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """Guesses for what follows, and the laws from which they were drawn.

        Args:
            context: all committed tokens, the prompt included.
            sampling: how the target's tokens are drawn.
            chance: where random choices come from.
            target: the model that will check the guesses.
        """

    def begin(self, model: LanguageModel) -> Drafter:
        """The same drafter for a new text of a model; itself, if it remembers nothing.

        Raises:
            ValueError: it cannot draft for this model.
        """
        return self

    def observe(  # noqa: B027  (most drafters have nothing to learn)
        self, draft: Draft, verdict: Verdict, logits: Floats
    ) -> None:
        """Learn from a step.

        Args:
            draft: its own, as it was verified.
            verdict: what was kept.
            logits: (n + 1, V) of the target, after the root and after each node.
        """


Reading = TypeVar("Reading")


class ReadingDrafter(Drafter, Generic[Reading]):
    """A drafter that reads the text along with the target, with a cache of its own."""

    _reader: Reading | None = None

    @abstractmethod
    def reader(self, model: LanguageModel) -> Reading:
        """What reads, for a new text of a target.

        Raises:
            ValueError: it cannot draft for this target.
        """

    def begin(self, model: LanguageModel) -> Self:
        """A drafter with a reader of its own."""
        new = copy.copy(self)
        new._reader = self.reader(model)
        return new


class NoDrafter(Drafter):
    """No guesses: plain decoding."""

    most_nodes = 0

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """An empty draft."""
        return NO_DRAFT


def depth_left(depth: int, context: list[int], config: Sizes) -> int:
    """A draft's depth, cut where it would have to read a guess behind the last position.

    The text may go on to the end of the target's context, and only guesses before it can be kept.
    The last guess is not read.
    """
    return min(depth, config.context - len(context) + 1)


def check_draft_model(draft: LanguageModel, target: LanguageModel) -> None:
    """A model can draft for another one if it has the same tokens and reads as far.

    Raises:
        ValueError: it cannot.
    """
    here, there = draft.config, target.config
    if here.vocab_size != there.vocab_size:
        raise ValueError(
            f"drafter: takes a draft model with the target's vocabulary of {there.vocab_size}, "
            f"got {here.vocab_size}"
        )
    if here.context < there.context:
        raise ValueError(
            f"drafter: takes a draft model with a context of {there.context}, as the target's, "
            f"or more, got {here.context}"
        )


def own_model(target: LanguageModel) -> Transformer:
    """The target, for a drafter that uses its layers: these are named in the course's own models.

    Raises:
        ValueError: it is a model of Transformers.
    """
    if not isinstance(target, Transformer):
        raise ValueError(
            "drafter: takes a target of the course's own class Transformer, whose layers it uses, "
            f"got {type(target).__name__}"
        )
    return target


def check_heads(heads: Heads, target: LanguageModel) -> Transformer:
    """Heads can draft for a model whose features, tokens and positions are those of their trunk.

    Returns:
        The target.

    Raises:
        ValueError: they cannot.
    """
    trunk = own_model(target)
    for name in ("width", "vocab_size", "context"):
        here, there = getattr(heads.config, name), getattr(target.config, name)
        if here != there:
            raise ValueError(
                f"drafter: takes heads of a trunk with the target's {name} of {there}, got {here}"
            )
    return trunk
