"""Real models out of folders: what Transformers saves for a model of Llama's architecture."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rlcore.validation import check_count
from speccore.models.text import SubwordTokenizer
from speccore.models.transformer import Transformer, TransformerConfig

# Our name of a weight → that of Transformers' Llama, in this order.
NAMES = {
    "embedding": "model.embed_tokens",
    "blocks": "model.layers",
    "attention_norm": "input_layernorm",
    "attention.query": "self_attn.q_proj",
    "attention.key": "self_attn.k_proj",
    "attention.value": "self_attn.v_proj",
    "attention.output": "self_attn.o_proj",
    "feed_forward_norm": "post_attention_layernorm",
    "feed_forward.gate": "mlp.gate_proj",
    "feed_forward.up": "mlp.up_proj",
    "feed_forward.down": "mlp.down_proj",
}
# What config.json must say.
NEEDED = (
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "num_attention_heads",
    "num_hidden_layers",
    "rms_norm_eps",
    "vocab_size",
)
# What the settings of config.json must be, where they are there: our model has nothing else.
ONLY: dict[str, tuple[Any, ...]] = {
    "model_type": ("llama",),
    "hidden_act": ("silu",),
    "attention_bias": (False, None),
    "mlp_bias": (False, None),
    "rope_scaling": (None,),
}


def llama_name(name: str) -> str:
    """What Transformers calls one of our weights."""
    for ours, theirs in NAMES.items():
        name = re.sub(rf"(^|\.){re.escape(ours)}\.", rf"\1{theirs}.", name)
    return {"norm.weight": "model.norm.weight", "head.weight": "lm_head.weight"}.get(name, name)


def load_folder(folder: str | Path, *, context: int | None = None) -> Transformer:
    """A Llama that Transformers' ``save_pretrained`` has written, in FP32.

    Its ``tokenizer`` is read from ``tokenizer.json``; without that file it has none.

    Args:
        folder: with ``config.json`` and ``model.safetensors``, or the parts of the latter and
            their index.
        context: the longest sequence, up to that of the model, which is taken if None. A shorter
            one takes less memory.

    Raises:
        ModuleNotFoundError: there is a tokenizer, and the library ``tokenizers`` is missing.
        ValueError: files that are missing or damaged, sizes that ``config.json`` does not state,
            another architecture than Llama's; a context beyond the model's.
        TypeError: a context that is no whole number.
    """
    here = Path(folder)
    settings = read_settings(here)
    try:
        config = _config(settings)
    except (TypeError, ValueError) as error:
        raise ValueError(f"folder: {here / 'config.json'}: {error}") from None
    config = with_context(config, context)
    with torch.device("meta"):  # no memory for weights that are about to be replaced
        model = Transformer(config)
    found = _weights(here)
    try:
        state = {name: found[llama_name(name)].float() for name in model.state_dict()}
        model.load_state_dict(state, assign=True)
    except (KeyError, RuntimeError) as error:
        raise ValueError(
            f"folder: the weights in {here} are not those of a Llama: {error}"
        ) from None
    model.tokenizer = read_tokenizer(here, settings)
    return model.requires_grad_(False)


def read_settings(folder: Path) -> dict[str, Any]:
    """What ``config.json`` says.

    Raises:
        ValueError: it is missing or damaged.
    """
    return _json(folder, "config.json")


def unlike_ours(settings: dict[str, Any]) -> str | None:
    """What a model has that our ``Transformer`` has not, or does not state, as a message; None if
    there is nothing."""
    rope = settings.get("rope_parameters") or {}
    stated = {**settings, "rope_scaling": settings.get("rope_scaling") or _scaling(rope)}
    for name, allowed in ONLY.items():
        if stated.get(name, allowed[0]) not in allowed:
            return f"takes a model with {name} = {allowed[0]!r}, got {stated[name]!r}"
    missing = [name for name in NEEDED if not settings.get(name)]
    if missing:
        return f"takes a model that states its {', '.join(missing)}, got none"
    width, heads = settings["hidden_size"], settings["num_attention_heads"]
    if settings.get("head_dim") not in (None, width // heads):
        return (
            f"takes heads of hidden_size / num_attention_heads = {width // heads} "
            f"numbers, got head_dim = {settings['head_dim']}"
        )
    return None


def with_context(config: TransformerConfig, context: int | None) -> TransformerConfig:
    """The sizes of a model for sequences up to ``context``, up to its own if None.

    Raises:
        TypeError, ValueError: no whole number from 1 to the model's own.
    """
    if context is None:
        return config
    if check_count("context", context) > config.context:
        raise ValueError(f"context: takes at most {config.context} with this model, got {context}")
    return replace(config, context=context)


def _config(settings: dict[str, Any]) -> TransformerConfig:
    reason = unlike_ours(settings)
    if reason is not None:
        raise ValueError(reason)
    rope = settings.get("rope_parameters") or {}
    heads = settings["num_attention_heads"]
    return TransformerConfig(
        vocab_size=settings["vocab_size"],
        layers=settings["num_hidden_layers"],
        width=settings["hidden_size"],
        heads=heads,
        kv_heads=settings.get("num_key_value_heads") or heads,
        hidden=settings["intermediate_size"],
        context=settings["max_position_embeddings"],
        rope_theta=rope.get("rope_theta") or settings.get("rope_theta") or 10_000.0,
        norm_eps=settings["rms_norm_eps"],
        tied=settings.get("tie_word_embeddings", False),
    )


def _scaling(rope: dict[str, Any]) -> str | None:
    kind: str | None = rope.get("rope_type")
    return None if kind == "default" else kind


def _weights(here: Path) -> dict[str, Tensor]:
    if (here / "model.safetensors").exists():
        parts = ["model.safetensors"]
    else:
        index = _json(here, "model.safetensors.index.json")
        if "weight_map" not in index:
            raise ValueError(f"folder: {here / 'model.safetensors.index.json'} has no weight_map")
        parts = sorted(set(index["weight_map"].values()))
    weights: dict[str, Tensor] = {}
    for part in parts:
        try:
            weights |= load_file(here / part)
        except (OSError, SafetensorError) as error:
            raise ValueError(f"folder: {here / part} is damaged or missing: {error}") from None
    return weights


def read_tokenizer(folder: Path, settings: dict[str, Any]) -> SubwordTokenizer | None:
    """The tokenizer of ``tokenizer.json``, with the end of a text and the template for
    conversations; None without that file.

    Args:
        folder: of a model.
        settings: what its ``config.json`` says.

    Raises:
        ModuleNotFoundError: the library ``tokenizers`` is missing.
        ValueError: a damaged file.
    """
    if not (folder / "tokenizer.json").exists():
        return None
    from tokenizers import Tokenizer  # an extra

    more_exists = (folder / "tokenizer_config.json").exists()
    more = _json(folder, "tokenizer_config.json") if more_exists else {}
    template = folder / "chat_template.jinja"
    ends = settings.get("eos_token_id")
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as error:  # the library has no narrower class for it
        raise ValueError(f"folder: {folder / 'tokenizer.json'} is damaged: {error}") from None
    return SubwordTokenizer(
        tokenizer,
        end_of_text=ends[0] if isinstance(ends, list) else ends,
        chat_template=(
            template.read_text(encoding="utf-8") if template.exists() else more.get("chat_template")
        ),
    )


def _json(here: Path, name: str) -> dict[str, Any]:
    try:
        read = json.loads((here / name).read_text(encoding="utf-8"))
        if not isinstance(read, dict):
            raise ValueError(f"it holds a {type(read).__name__}")
    except (OSError, ValueError) as error:
        raise ValueError(f"folder: takes one with {name}, {here} has none: {error}") from None
    return read
