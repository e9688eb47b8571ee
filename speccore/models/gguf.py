"""Real models out of GGUF files: a Llama's sizes, weights and tokens in one file.

GGUF is the format of llama.cpp. Its matrices are quantised in blocks of 32 numbers; Q4_1 keeps for
each block a scale d and a minimum m in FP16 and 32 whole numbers q of 4 bits: w = d · q + m. They
are restored to FP32 as they are loaded (by the ``gguf`` library), so that our model and any other
one compute with the same weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from speccore.models.llama import with_context
from speccore.models.text import SubwordTokenizer
from speccore.models.transformer import Transformer, TransformerConfig

# The name of a weight in the file → ours.
NAMES = {
    "token_embd": "embedding",
    "output_norm": "norm",
    "output": "head",
    "attn_norm": "attention_norm",
    "attn_q": "attention.query",
    "attn_k": "attention.key",
    "attn_v": "attention.value",
    "attn_output": "attention.output",
    "ffn_norm": "feed_forward_norm",
    "ffn_gate": "feed_forward.gate",
    "ffn_up": "feed_forward.up",
    "ffn_down": "feed_forward.down",
}


def load_gguf(path: str | Path, *, context: int | None = None) -> Transformer:
    """A model of Llama's architecture from a GGUF file, in FP32, with its ``tokenizer``.

    Args:
        path: the file.
        context: the longest sequence, up to that of the model, which is taken if None. A shorter
            one takes less memory.

    Raises:
        ModuleNotFoundError: the libraries of the extra ``real`` are missing.
        ValueError: no such file, a damaged one, one without a field that is needed, or another
            architecture; a context beyond the model's.
        TypeError: a context that is no whole number.
    """
    wrong = f"path: takes a GGUF file of a Llama, {path} is none"
    try:
        reader = _reader(path)
        config = _config(reader)
    except (OSError, ValueError, IndexError, TypeError) as error:
        raise ValueError(f"{wrong}: {error}") from error
    config = with_context(config, context)
    with torch.device("meta"), _NoInitialWeights():  # they are about to be replaced
        model = Transformer(config)
    try:
        state = dict(_weight(each, config) for each in reader.tensors)
        model.load_state_dict(state, assign=True)
        model.tokenizer = _tokenizer(reader)
    except (RuntimeError, ValueError) as error:
        raise ValueError(f"{wrong}: {error}") from error
    return model.requires_grad_(False)


class _NoInitialWeights(TorchFunctionMode):
    """Layers are built without drawing their weights, which takes long even without memory."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__module__", None) == nn.init.__name__:
            return None
        return func(*args, **(kwargs or {}))


def _reader(path: str | Path) -> Any:
    """The library's reader, on an array like any other: pieces of a memory map take long to make,
    and each token is one."""
    import gguf  # an extra

    class Reader(gguf.GGUFReader):
        @property
        def data(self) -> Any:
            return self._data

        @data.setter
        def data(self, mapped: Any) -> None:
            self._data = mapped.view(np.ndarray)

    return Reader(path)


def _config(reader: Any) -> TransformerConfig:
    architecture = _field(reader, "general.architecture")
    if architecture != "llama":
        raise ValueError(f"it should have architecture llama, got {architecture}")
    return TransformerConfig(
        vocab_size=int(_field(reader, "llama.vocab_size")),
        layers=int(_field(reader, "llama.block_count")),
        width=int(_field(reader, "llama.embedding_length")),
        heads=int(_field(reader, "llama.attention.head_count")),
        kv_heads=int(_field(reader, "llama.attention.head_count_kv")),
        hidden=int(_field(reader, "llama.feed_forward_length")),
        context=int(_field(reader, "llama.context_length")),
        rope_theta=float(_field(reader, "llama.rope.freq_base")),
        norm_eps=float(str(np.float32(_field(reader, "llama.attention.layer_norm_rms_epsilon")))),
        tied=all(each.name != "output.weight" for each in reader.tensors),
    )


def _weight(tensor: Any, config: TransformerConfig) -> tuple[str, Tensor]:
    """Our name of a weight, and its numbers."""
    import gguf

    parts = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", tensor.name)
    if parts is None or parts[2] not in NAMES:
        raise ValueError(f"a Llama has no {tensor.name}")
    block, name = parts.groups()
    ours = f"{NAMES[name]}.weight" if block is None else f"blocks.{block}.{NAMES[name]}.weight"
    numbers = gguf.dequantize(tensor.data, tensor.tensor_type)
    weight = torch.tensor(numbers, dtype=torch.float32)  # a copy: the file is read-only
    if name in ("attn_q", "attn_k"):
        # The file pairs neighbouring numbers for the rotation, we those half a head apart.
        pairs = weight.view(-1, config.head_width // 2, 2, weight.shape[1])
        weight = pairs.transpose(1, 2).reshape(weight.shape)
    return ours, weight


def _tokenizer(reader: Any) -> SubwordTokenizer:
    tokens = _field(reader, "tokenizer.ggml.tokens")
    kinds = np.array(_field(reader, "tokenizer.ggml.token_type"))
    template = "tokenizer.chat_template"  # base models have none
    return SubwordTokenizer.byte_pairs(
        tokens,
        _field(reader, "tokenizer.ggml.merges"),
        control=[tokens[i] for i in np.flatnonzero(kinds == 3)],
        end_of_text=int(_field(reader, "tokenizer.ggml.eos_token_id")),
        chat_template=_field(reader, template) if template in reader.fields else None,
    )


def _field(reader: Any, name: str) -> Any:
    if name not in reader.fields:
        raise ValueError(f"it has no {name}")
    return reader.fields[name].contents()
