"""From logits to the law of the next token: temperature, top-k, top-p."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rlcore.validation import Floats, check_count, check_fraction, check_number

NEVER = -1000.0
"""Its exponential is 0."""


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn; the same for target and draft.

    In this order: p(x) ∝ exp(z(x)/T); then only the k most probable tokens are kept (Fan et al.
    2018); then the fewest most probable ones whose probabilities sum to top_p or more, the
    *nucleus* (Holtzman et al. 2020, section 3.1). What is kept is divided by its sum. Tokens as
    probable as the last one kept are kept as well: the law does not depend on the order of the ids.

    Args:
        temperature: T >= 0; 0 is greedy: a point mass on the largest logit, on the lowest id of
            equal ones.
        top_k: whole number >= 1, or None for all.
        top_p: in (0, 1], or None for all.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        check_number(
            "temperature", self.temperature, "a finite number >= 0", lambda t: 0 <= t < np.inf
        )
        if self.top_k is not None:
            check_count("top_k", self.top_k)
        if self.top_p is not None:
            check_fraction("top_p", self.top_p, positive=True)

    def law(self, logits: ArrayLike) -> Floats:
        """Probabilities of the next token.

        Args:
            logits: (…, V) finite numbers.

        Returns:
            (…, V) float64, rows of sum 1.

        Raises:
            ValueError: no tokens.
            FloatingPointError: NaN or infinite logits.
        """
        z = np.asarray(logits, dtype=np.float64)
        if z.ndim == 0 or z.shape[-1] == 0:
            raise ValueError(f"logits: takes shape (…, V) with V >= 1, got {z.shape}")
        if not math.isfinite(z.sum()) and not np.isfinite(z).all():  # the sum is quicker to take
            raise FloatingPointError(f"logits: takes finite numbers, got {z[~np.isfinite(z)][0]}")
        if self.temperature == 0.0:
            law = np.zeros(z.shape)
            rows = law.reshape(-1, z.shape[-1])
            rows[np.arange(len(rows)), z.argmax(axis=-1).ravel()] = 1.0
            return law
        law = z - z.max(axis=-1, keepdims=True)
        if self.temperature != 1.0:
            np.maximum(law, NEVER * self.temperature, out=law)  # a tiny one would overflow
            law /= self.temperature
        np.exp(law, out=law)
        law /= law.sum(axis=-1, keepdims=True)
        size = z.shape[-1]
        if self.top_k is not None and self.top_k < size:
            last = size - self.top_k
            law = _keep_from(law, np.partition(law, last, axis=-1)[..., last, None])
        if self.top_p is not None and self.top_p < 1.0:
            rows = law.reshape(-1, size)
            smallest = [_smallest_of_nucleus(row, self.top_p) for row in rows]
            law = _keep_from(law, np.reshape(smallest, (*law.shape[:-1], 1)))
        return law


def _keep_from(law: Floats, smallest: Floats) -> Floats:
    kept = np.where(law >= smallest, law, 0.0)
    return kept / kept.sum(axis=-1, keepdims=True)


def _smallest_of_nucleus(law: Floats, top_p: float) -> float:
    """The smallest probability among the fewest most probable tokens that sum to top_p."""
    # All tokens below (1 − top_p)/V together have less than 1 − top_p: the others are enough,
    # and few, so that there is little to sort.
    falling = np.sort(law[law >= (1.0 - top_p) / len(law)])[::-1]
    count = int((falling.cumsum() < top_p).sum()) + 1
    return float(falling[min(count, len(falling)) - 1])
