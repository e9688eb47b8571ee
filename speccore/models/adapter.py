"""Any causal language model of the library Transformers, as a target or as a draft model.

The model computes; the cache is ours. Transformers asks a cache object to take each layer's new
keys and values and to give back all of them, which is what ``KVCache.append`` does. So rolling
back, keeping a path of a tree and rows of different lengths are the same code as with our own
model, and the loop does not know the difference.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.cache_utils import Cache, CacheLayerMixin

from rlcore.validation import check_count
from speccore.models.kv_cache import KVCache
from speccore.models.llama import read_settings, read_tokenizer
from speccore.models.text import SubwordTokenizer


@dataclass(frozen=True)
class CausalLMConfig:
    """The sizes of a model of Transformers, as ``language_model.Sizes`` names them."""

    vocab_size: int
    layers: int
    width: int
    kv_heads: int
    head_width: int
    context: int


class CausalLM(nn.Module):
    """A causal language model of Transformers with the methods of our ``Transformer``.

    Whether the model keeps to what decoding needs is tried out at once, on a few tokens: passes in
    pieces, after a roll-back, and over a tree have to give the logits of whole passes of the model
    alone, up to half the digits of its numbers. A model that only fails with the tree, as those
    whose positions cannot be stated (ALiBi), decodes with chains and one text at a time.

    Args:
        model: of any architecture that keeps keys and values of one shape in every layer, and whose
            logits are its output head applied to the last hidden state; in evaluation mode. It is
            not copied.
        tokenizer: of the model; None if texts are token ids.
        context: the longest sequence, up to that of the model, which is taken if None. Where a
            layer only looks back over a window, no more than the window, so that it sees all.

    Attributes:
        takes_trees: whether positions and masks can be stated.

    Raises:
        TypeError: no model of Transformers.
        ValueError: training mode, an architecture that does not fit, a context beyond the model's.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: SubwordTokenizer | None = None,
        *,
        context: int | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, PreTrainedModel):
            raise TypeError(f"model: takes one of Transformers, got {type(model).__name__}")
        if model.training:
            raise ValueError(
                "model: takes one in evaluation mode, model.eval(); got one in training mode"
            )
        self.model = model
        self.tokenizer = tokenizer
        self.config = _sizes(model, context)
        self.takes_trees = True
        self._check_chain()
        self.takes_trees = self._reads_trees()

    @property
    def dtype(self) -> torch.dtype:
        """Of the model's numbers."""
        return self.model.dtype

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """(B, T, V) logits of the token after each token; see ``Transformer.forward``."""
        return self.logits(self.features(tokens, positions, mask, cache)[-1])

    def features(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        layers: int | None = None,
    ) -> list[Tensor]:
        """What the output head takes: the last hidden state, behind the last norm.

        Args:
            tokens, positions, mask, cache: as of ``Transformer.forward``; no gradients.
            layers: None, all of them.

        Returns:
            One tensor (B, T, C).

        Raises:
            ValueError: positions, a mask or rows of different lengths, and a model that takes
                none; no room in the cache; a number of layers.
        """
        if layers is not None:
            raise ValueError(f"layers: takes None with a model of Transformers, got {layers}")
        batch, count = tokens.shape
        cache = cache or KVCache.of(self, batch, count)
        given: dict[str, Any] = {}
        if positions is not None or mask is not None or len(set(cache.lengths)) > 1:
            if not self.takes_trees:
                raise ValueError(
                    f"mask: {type(self.model).__name__} does not take positions and masks, and so "
                    "no trees and no more than one text at a time"
                )
            if positions is None:
                positions = cache.next_positions(count)
            seen = cache.mask(count, mask)
            given["position_ids"] = positions.expand(batch, count)
            if seen is not None:
                given["attention_mask"] = seen if seen.dim() == 4 else seen[None, None]
        cache.open(count, self.config.layers)
        columns = Cache(layers=[Columns(cache, layer) for layer in range(self.config.layers)])
        given[_name_of_cache(self.model)] = columns
        output = self.model.base_model(tokens, use_cache=True, **given)
        cache.close(count, self.config.layers)
        return [output.last_hidden_state]

    def logits(self, features: Tensor) -> Tensor:
        """(…, C) last hidden states → (…, V)."""
        logits: Tensor = self.model.get_output_embeddings()(features)
        return logits

    @torch.inference_mode()
    def _check_chain(self) -> None:
        """A text in pieces, one of them read in vain and rolled back."""
        tokens = self._tokens(6)
        cache = KVCache.of(self, 1, 9)
        try:
            begin = self(tokens[:, :3], cache=cache)
            self(tokens[:, :2], cache=cache)
            cache.roll_back(3)
            rest = self(tokens[:, 3:], cache=cache)
        except Exception as error:
            raise ValueError(f"{self._refusal}: {type(error).__name__}: {error}") from error
        if not self._equal(torch.cat((begin, rest), 1), self._plain(tokens)):
            raise ValueError(
                f"{self._refusal}: its output head, on its "
                "last hidden states in pieces, says something else than the model"
            )

    @torch.inference_mode()
    def _reads_trees(self) -> bool:
        """Two branches after two tokens; the second one is kept and gone on with."""
        tokens = self._tokens(7)
        cache = KVCache.of(self, 1, 8)
        self(tokens[:, :2], cache=cache)
        # The root, its two children, and a child of the second.
        mask = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 1, 1]]).bool()
        positions = torch.tensor([2, 3, 3, 4])
        try:
            tree = self(tokens[:, 2:6], positions.to(self.device), mask.to(self.device), cache)
        except Exception:  # whatever an architecture says to what it does not know
            return False
        cache.keep((1, 2))
        after = self(tokens[:, 6:], cache=cache)
        path = [0, 1, 2, 4, 5, 6]
        along = self._equal(
            torch.cat((tree[:, [0, 2, 3]], after), 1), self._plain(tokens[:, path])[:, 2:]
        )
        return along and self._equal(tree[:, 1], self._plain(tokens[:, :4])[:, 3])

    def _tokens(self, count: int) -> Tensor:
        return torch.arange(1, count + 1, device=self.device)[None] % self.config.vocab_size

    def _plain(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.model(tokens, use_cache=False).logits
        return logits

    def _equal(self, found: Tensor, wanted: Tensor) -> bool:
        allowed = torch.finfo(self.dtype).eps ** 0.5 * wanted.abs().max()
        return bool((found - wanted).abs().max() <= allowed)

    @property
    def _refusal(self) -> str:
        return f"model: {type(self.model).__name__} does not decode with a cache of keys and values"


class Columns(CacheLayerMixin):
    """A layer of our cache, as Transformers sees it, for one pass.

    Args:
        cache: opened for the pass.
        layer: number from 0 on.
    """

    is_sliding = False  # what Transformers asks to make a mask

    def __init__(self, cache: KVCache, layer: int) -> None:
        super().__init__()
        self.is_initialized = True
        self._cache = cache
        self._layer = layer

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: the memory is there."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """The new keys and values (B, K, T, D) → views of all so far."""
        return self._cache.append(self._layer, key_states, value_states)

    def get_seq_length(self) -> int:
        """Columns before the pass."""
        return max(self._cache.lengths)

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many columns there are with those of the pass, and which is the first."""
        return max(self._cache.lengths) + query_length, 0

    def get_max_length(self) -> int:
        """All columns that there is room for."""
        return self._cache.capacity


def _name_of_cache(model: PreTrainedModel) -> str:
    """The argument and the output that hold it; Transformers renamed it in 5.24."""
    arguments = inspect.signature(type(model.base_model).forward).parameters
    return "cache" if "cache" in arguments else "past_key_values"


@torch.inference_mode()
def _sizes(model: PreTrainedModel, context: int | None) -> CausalLMConfig:
    """The sizes, as the cache shows them that Transformers itself makes for one token."""
    kind = type(model).__name__
    head = model.get_output_embeddings()
    token = torch.zeros(1, 1, dtype=torch.int64, device=model.device)
    output = model.base_model(token, use_cache=True)
    layers = getattr(getattr(output, _name_of_cache(model), None), "layers", [])
    shapes = {
        tuple(each.shape)
        for layer in layers
        for each in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if each is not None
    }
    if head is None or len(shapes) != 1:
        raise ValueError(
            "model: takes one with an output head, and with keys and values of one shape in every "
            f"layer, got {kind} with {sorted(shapes) or 'none'}"
        )
    _, kv_heads, _, head_width = shapes.pop()
    limits = [getattr(layer, "sliding_window", None) for layer in layers]
    limits += [
        getattr(model.config, name, None)
        for name in ("max_position_embeddings", "window_size")  # the latter of GPT-Neo
    ]
    rope = getattr(model.config, "rope_parameters", None) or {}
    if rope.get("rope_type") == "longrope":  # turns all keys otherwise once a text is longer
        limits.append(rope["original_max_position_embeddings"])
    most = min((each for each in limits if each is not None), default=None)
    if context is None and most is None:
        raise ValueError(f"context: takes a whole number, as {kind} does not say how far it reads")
    if context is not None and check_count("context", context) > (most or context):
        raise ValueError(f"context: takes at most {most} with this model, got {context}")
    return CausalLMConfig(
        vocab_size=head.weight.shape[0],
        layers=len(layers),
        width=output.last_hidden_state.shape[-1],
        kv_heads=kv_heads,
        head_width=head_width,
        context=context or most or 0,
    )


def load_causal_lm(folder: str | Path, *, context: int | None = None) -> CausalLM:
    """A causal language model that Transformers' ``save_pretrained`` has written, in FP32.

    Its ``tokenizer`` is read from ``tokenizer.json``; without that file it has none.

    Args:
        folder: with ``config.json`` and the weights as safetensors.
        context: as of ``CausalLM``.

    Raises:
        ValueError: files that are missing or damaged, an architecture that does not fit.
    """
    here = Path(folder)
    settings = read_settings(here)
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            here,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"folder: Transformers finds no causal language model in {here}: {error}"
        ) from error
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:  # it would put random numbers in their place
        raise ValueError(f"folder: the weights in {here} lack {', '.join(missing)}")
    model.requires_grad_(False)
    return CausalLM(model, read_tokenizer(here, settings), context=context)
