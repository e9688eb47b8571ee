"""Exercises of chapter 13: autoregressive decoding and the memory wall."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from rlcore.exercises.exercise import Arguments, Exercise, with_fixed
from speccore.decoding.sampling import Sampling
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import TransformerConfig

NUMBER_TYPES = {2: torch.float16, 4: torch.float32, 8: torch.float64}


def _cache_bytes(
    layers: int, width: int, heads: int, kv_heads: int, batch: int, tokens: int, bytes_a_number: int
) -> int:
    """The package's own cache, asked for its size; on the device "meta" it takes no memory."""
    config = TransformerConfig(
        vocab_size=1,
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        hidden=1,
        context=tokens,
    )
    dtype = NUMBER_TYPES[bytes_a_number]
    return KVCache(config, batch, tokens, dtype=dtype, device="meta").bytes


def _cache_bytes_by(
    *, sides: int = 2, all_heads: bool = False, whole_width: bool = False
) -> Callable[..., int]:
    """The product with one of its factors wrong or missing."""

    def wrong(
        layers: int,
        width: int,
        heads: int,
        kv_heads: int,
        batch: int,
        tokens: int,
        bytes_a_number: int,
    ) -> int:
        held = heads if all_heads else kv_heads
        head_width = width if whole_width else width // heads
        return sides * layers * batch * held * head_width * tokens * bytes_a_number

    return wrong


def _cache_bytes_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    names = ("layers", "width", "heads", "kv_heads", "batch", "tokens", "bytes_a_number")
    yield dict(zip(names, (5, 256, 4, 2, 1, 512, 4), strict=True))
    yield dict(zip(names, (32, 4096, 32, 8, 1, 8192, 2), strict=True))
    for _ in range(4):
        kv_heads = int(rng.integers(1, 4))
        heads = kv_heads * int(rng.integers(2, 5))
        numbers = (int(rng.integers(1, 9)), 8 * heads, heads, kv_heads, int(rng.integers(2, 9)))
        yield dict(zip(names, (*numbers, int(rng.integers(1, 300)), 2), strict=True))


def _nucleus(logits: Any, temperature: float, top_p: float) -> Any:
    return Sampling(temperature, top_p=top_p).law(logits)


def _nucleus_by(
    *,
    before_temperature: bool = False,
    exclusive: bool = False,
    renormalise: bool = True,
    threshold: bool = False,
    multiply: bool = False,
    temper: bool = True,
) -> Callable[..., Any]:
    """Top-p with one of its steps wrong or missing."""

    def softmax(z: Any) -> Any:
        e = np.exp(z - np.max(z))
        return e / e.sum()

    def wrong(logits: Any, temperature: float, top_p: float) -> Any:
        z = np.asarray(logits, dtype=float)
        tempered = z * temperature if multiply else z / (temperature if temper else 1.0)
        law = softmax(tempered)
        judged = softmax(z) if before_temperature else law
        if threshold:
            kept = judged >= 1 - top_p
        else:
            order = np.argsort(-judged, kind="stable")
            reached = judged[order].cumsum()
            count = int((reached <= top_p).sum() if exclusive else (reached < top_p).sum() + 1)
            kept = np.zeros(len(z), dtype=bool)
            kept[order[:count]] = True
        law = np.where(kept, law, 0.0)
        return law / law.sum() if renormalise else law

    return wrong


def _nucleus_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"logits": np.log([0.5, 0.3, 0.15, 0.05]), "temperature": 1.0, "top_p": 0.7}
    yield {"logits": np.log([0.05, 0.5, 0.15, 0.3]), "temperature": 2.0, "top_p": 0.7}
    yield {"logits": np.log([0.6, 0.3, 0.1]), "temperature": 1.0, "top_p": 0.5}
    for _ in range(5):
        yield {
            "logits": rng.normal(scale=2.0, size=6).round(2),
            "temperature": float(rng.choice([0.5, 0.8, 1.5, 2.0])),
            "top_p": float(rng.choice([0.31, 0.62, 0.93])),
        }


def _turning_point(
    parameters: int,
    bytes_a_weight: int,
    cache_bytes: int,
    attention_flops: int,
    flops_per_second: float,
    bytes_per_second: float,
) -> int:
    """The first n for which n · (2 P + attention) / F >= (b P + cache) / W."""
    read = bytes_a_weight * parameters + cache_bytes
    each = 2 * parameters + attention_flops
    return max(1, math.ceil(read * flops_per_second / (each * bytes_per_second)))


def _turning_point_by(
    *,
    flops_a_weight: int = 2,
    cache: bool = True,
    attention: bool = True,
    whole: Callable[[float], Any] = math.ceil,
    inverted: bool = False,
) -> Callable[..., Any]:
    """The turning point with one of its parts wrong."""

    def wrong(
        parameters: int,
        bytes_a_weight: int,
        cache_bytes: int,
        attention_flops: int,
        flops_per_second: float,
        bytes_per_second: float,
    ) -> Any:
        read = bytes_a_weight * parameters + cache * cache_bytes
        each = flops_a_weight * parameters + attention * attention_flops
        balance = flops_per_second / bytes_per_second
        if inverted:
            balance = 1 / balance
        return max(1, whole(read * balance / each))

    return wrong


def _turning_point_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    names = (
        *("parameters", "bytes_a_weight", "cache_bytes", "attention_flops"),
        *("flops_per_second", "bytes_per_second"),
    )
    yield dict(zip(names, (1_000_000, 4, 0, 0, 105e9, 20e9), strict=True))
    yield dict(zip(names, (1_000_000, 4, 800_000, 600_000, 105e9, 20e9), strict=True))
    yield dict(zip(names, (7_000_000_000, 2, 2**31, 2**31, 312e12, 2039e9), strict=True))
    yield dict(zip(names, (1_000_000, 2, 0, 0, 1e9, 4e9), strict=True))  # never bound by memory
    for _ in range(4):
        parameters = int(rng.integers(1, 9)) * 1_000_000
        cache, attention = (int(rng.integers(1, 9)) * 700_000 for _ in range(2))
        flops, memory = float(rng.integers(50, 900)) * 1e9 + 7e6, float(rng.integers(5, 40)) * 1e9
        yield dict(zip(names, (parameters, 4, cache, attention, flops, memory), strict=True))


EXERCISES = (
    Exercise(
        13,
        1,
        "cache_bytes",
        "The size of a cache",
        "easy",
        10,
        _cache_bytes,
        _cache_bytes_cases,
        {
            "keys and values: two tensors": _cache_bytes_by(sides=1),
            "a cache holds the key and value heads, not all query heads": _cache_bytes_by(
                all_heads=True
            ),
            "a head has width / heads numbers": _cache_bytes_by(whole_width=True),
            "every row of the batch has its own keys and values": with_fixed(_cache_bytes, batch=1),
        },
    ),
    Exercise(
        13,
        2,
        "nucleus",
        "Top-p from logits",
        "medium",
        15,
        _nucleus,
        _nucleus_cases,
        {
            "the nucleus is chosen before the temperature: it comes first": _nucleus_by(
                before_temperature=True
            ),
            "the token with which the sum reaches top_p belongs to the nucleus": _nucleus_by(
                exclusive=True
            ),
            "what is kept must be divided by its sum": _nucleus_by(renormalise=False),
            "a threshold on single probabilities is no nucleus: sum them up": _nucleus_by(
                threshold=True
            ),
            "the temperature divides the logits": _nucleus_by(multiply=True),
            "the temperature is never used": _nucleus_by(temper=False),
        },
    ),
    Exercise(
        13,
        3,
        "turning_point",
        "Where the wall ends",
        "hard",
        15,
        _turning_point,
        _turning_point_cases,
        {
            "a weight costs two operations: a product and a sum": _turning_point_by(
                flops_a_weight=1
            ),
            "the cache is read as well": _turning_point_by(cache=False),
            "the operations of the attention come on top": _turning_point_by(attention=False),
            "at this n the pass is still memory-bound: round up": _turning_point_by(
                whole=math.floor
            ),
            "n is a whole number": _turning_point_by(whole=float),
            "operations a byte, not bytes an operation": _turning_point_by(inverted=True),
        },
    ),
)
