"""What decoding asks of a language model, and a cache of its sizes.

The course's own ``Transformer`` and, by ``adapter.CausalLM``, most models of Transformers have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from speccore.models.kv_cache import KVCache
    from speccore.models.text import ByteTokenizer, SubwordTokenizer


class Sizes(Protocol):
    """The sizes of a model that others have to know."""

    @property
    def vocab_size(self) -> int:
        """V, number of token ids."""

    @property
    def layers(self) -> int:
        """Layers with keys and values."""

    @property
    def width(self) -> int:
        """C, numbers a token between the layers."""

    @property
    def kv_heads(self) -> int:
        """K, key and value heads."""

    @property
    def head_width(self) -> int:
        """D, numbers of a key and of a value."""

    @property
    def context(self) -> int:
        """The longest sequence; positions run from 0 to context − 1."""


class LanguageModel(Protocol):
    """A target, or a draft model: p(next token | tokens so far) = softmax(logits)."""

    @property
    def config(self) -> Sizes:
        """The sizes."""

    @property
    def tokenizer(self) -> ByteTokenizer | SubwordTokenizer | None:
        """What turns text into the model's token ids, if it has one."""

    @property
    def dtype(self) -> torch.dtype:
        """Of the numbers with which it computes."""

    @property
    def device(self) -> torch.device:
        """Where it is."""

    def __call__(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """(B, T) token ids → (B, T, V) logits; all arguments as of ``Transformer.forward``."""

    def features(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> list[Tensor]:
        """(B, T, C) tensors, of which the last is what ``logits`` takes."""

    def logits(self, features: Tensor) -> Tensor:
        """(…, C) last features → (…, V)."""
