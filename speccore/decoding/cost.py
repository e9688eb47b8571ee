"""What a pass of a model costs: T(n), the time of a pass over n new tokens, on this machine.

Speculative decoding pays because T(n) grows slowly: a pass over few tokens is spent on reading the
weights, and they are read once whatever the pass scores (Leviathan et al. 2023, section 3.4).
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch

from rlcore.validation import Floats, check_count
from speccore.models.kv_cache import KVCache
from speccore.models.language_model import LanguageModel
from speccore.models.packed_linear import is_packed
from speccore.models.transformer import Transformer


@torch.inference_mode()
def measure_passes(
    model: LanguageModel,
    counts: Sequence[int],
    *,
    context: int = 128,
    repeats: int = 30,
    layers: int | None = None,
) -> Floats:
    """Seconds of a pass over n new tokens that follow a context in the cache.

    The counts take turns, so that a slow moment of the machine falls on all of them.

    Args:
        model: ``packed`` or not.
        counts: (N,) numbers of new tokens, each >= 1.
        context: tokens that the cache holds before.
        repeats: measurements of each count, after one that does not count.
        layers: pass through the first layers only, as an early exit does; None for all.

    Returns:
        (repeats, N).

    Raises:
        ValueError, TypeError: numbers below 1, more tokens than the model's context.
    """
    sizes = [check_count("counts", count) for count in counts]
    check_count("context", context)
    check_count("repeats", repeats)
    longest = context + max(sizes)
    if longest > model.config.context:
        raise ValueError(
            f"context: takes at most {model.config.context} − {max(sizes)} with these counts, "
            f"got {context}"
        )
    cache = KVCache.of(model, 1, longest)
    tokens = torch.arange(longest, device=model.device)[None] % model.config.vocab_size
    model(tokens[:, :context], cache=cache)
    seconds = np.zeros((repeats, len(sizes)))
    for repeat in range(-1, repeats):
        for column, count in enumerate(sizes):
            start = time.perf_counter()
            features = model.features(tokens[:, :count], cache=cache, layers=layers)[-1]
            model.logits(features).cpu()  # waits for the device
            if repeat >= 0:
                seconds[repeat, column] = time.perf_counter() - start
            cache.roll_back(context)
    return seconds


def pass_times(model: LanguageModel, most: int, *, context: int = 128, repeats: int = 30) -> Floats:
    """(most,) T(1) … T(most): the medians of ``measure_passes``, as ``theory`` takes them."""
    seconds = measure_passes(
        model, range(1, check_count("most", most) + 1), context=context, repeats=repeats
    )
    return np.median(seconds, axis=0)


@torch.inference_mode()
def reading_time(model: Transformer, *, repeats: int = 5) -> float:
    """Seconds to read all weights of a model once, and do next to nothing with them: the floor.

    A pass reads each of them at least once (Leviathan et al. 2023, section 3.4), so T(1) cannot be
    shorter by more than the caches hold.

    Args:
        model: not ``packed``: a packed one has its matrices elsewhere.
        repeats: readings, of which the fastest counts.

    Raises:
        TypeError: a packed model.
    """
    check_count("repeats", repeats)
    if is_packed(model):
        raise TypeError("model: takes one that is not packed")
    weights = [each.detach() for each in model.parameters()]
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        float(sum(each.sum() for each in weights))  # waits for the device
        seconds.append(time.perf_counter() - start)
    return min(seconds)
