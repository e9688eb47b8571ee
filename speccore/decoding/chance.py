"""The one source of chance: every random choice of a decoder is one of these two.

Because drafters, rules and the loop ask nothing else of chance, ``certificate.Enumeration`` can
take its place and run the very same code over every outcome, with the randomness integrated out.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rlcore.validation import Floats, check_count


class SourceOfChance(Protocol):
    """What drafters and rules may ask of chance."""

    def accepts(self, p: float, q: float) -> bool:
        """True with probability min(1, p/q), for p >= 0 and q > 0."""

    def draw(self, law: Floats) -> int:
        """Token x with probability law(x) / Σ law; never one of probability 0."""


class Chance:
    """Choices drawn from a seeded generator; the same seed makes the same choices.

    Args:
        seed: whole number >= 0.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(check_count("seed", seed, minimum=0))

    def accepts(self, p: float, q: float) -> bool:
        """True with probability min(1, p/q): u·q ≤ p with u uniform in (0, 1].

        No division, so nothing to guard against where q is tiny; u > 0, so that p = 0 is never
        accepted; u ≤ 1, so that p ≥ q always is.

        Args:
            p: probability of the token under the target, >= 0.
            q: probability of the token under the law from which it was drawn, > 0.
        """
        u = 1.0 - self._generator.random()
        return bool(u * q <= p)

    def draw(self, law: Floats) -> int:
        """Token x with probability law(x) / Σ law, by inversion of the cumulative sum.

        Args:
            law: (V,) numbers >= 0, not necessarily of sum 1.

        Raises:
            ValueError: no positive, finite sum, so that there is nothing to draw.
        """
        cumulative = law.cumsum()
        total = cumulative[-1]
        if not 0.0 < total < np.inf:
            raise ValueError(f"law: takes numbers >= 0 with a positive, finite sum, got {total}")
        # The last quotient is exactly 1 > u, and a token of probability 0 adds no step.
        cumulative /= total
        return int(cumulative.searchsorted(self._generator.random(), side="right"))
