"""A language model that counts: how often each token followed the last few in a text.

No training, a few seconds of sorting, and a law in a few hundredths of a millisecond: the cheapest
draft model there is (Leviathan et al. 2023, section 3.6, "approximation models").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.validation import Floats, check_count


@dataclass(frozen=True, eq=False)
class _Counts:
    """What followed the contexts of one length that occur in the text."""

    contexts: NDArray[np.uint64]
    """(C,) in order, the tokens as digits of one number."""
    starts: NDArray[np.int64]
    """(C + 1,) where the followers of each begin."""
    followers: NDArray[np.int64]
    """(F,) tokens."""
    counts: Floats
    """(F,) how often each followed."""


class NGramModel:
    """p(x | the last n tokens), by counts that are smoothed with those of shorter contexts.

    Witten & Bell 1991; Chen & Goodman 1998, section 2.5:

        p_n(x | h) = (c(h x) + t(h) p_{n−1}(x | h′)) / (c(h) + t(h)),

    where c counts occurrences, t(h) the different tokens that followed h, and h′ is h without its
    first token. Below the shortest context stands the uniform law, so no token has probability 0.

    Args:
        text: (N,) token ids.
        order: n >= 0, tokens of the longest context.
        vocab_size: V, number of token ids.

    Raises:
        TypeError, ValueError: a text of n tokens or fewer, or of ids outside the vocabulary; an
            order whose contexts do not fit into 64 bits.
    """

    def __init__(self, text: ArrayLike, order: int, *, vocab_size: int = 256) -> None:
        self.order = check_count("order", order, minimum=0)
        self.vocab_size = check_count("vocab_size", vocab_size)
        if vocab_size ** (order + 1) > 2**64:
            raise ValueError(
                f"order: takes at most {int(64 / np.log2(vocab_size)) - 1} with a vocabulary of "
                f"{vocab_size}, got {order}"
            )
        given: NDArray[Any] = np.asarray(text)
        if given.ndim != 1 or given.dtype.kind not in "iu" or len(given) <= order:
            raise ValueError(
                f"text: takes more than order = {order} whole numbers in a row, got shape "
                f"{given.shape} of {given.dtype}"
            )
        if given.min() < 0 or given.max() >= vocab_size:
            raise ValueError(f"text: takes ids from 0 to {vocab_size - 1}, got {given.max()}")
        tokens = given.astype(np.uint64)
        self._tables = [_count(tokens, n, vocab_size) for n in range(order + 1)]

    def law(self, context: Sequence[int]) -> Floats:
        """(V,) probabilities of the next token; of the context its last n tokens count."""
        law = np.full(self.vocab_size, 1 / self.vocab_size)
        number, digit = 0, 1
        for n, table in enumerate(self._tables):
            if n > len(context):
                break
            if n:
                number += int(context[-n]) * digit
                digit *= self.vocab_size
            place = int(table.contexts.searchsorted(np.uint64(number)))
            if place == len(table.contexts) or table.contexts[place] != number:
                break  # a context that did not occur: nor did any longer one
            begin, end = table.starts[place], table.starts[place + 1]
            counts = table.counts[begin:end]
            total, different = counts.sum(), end - begin
            law *= different / (total + different)
            law[table.followers[begin:end]] += counts / (total + different)
        return law


def _count(tokens: NDArray[np.uint64], size: int, vocab_size: int) -> _Counts:
    numbers = np.zeros(len(tokens) - size, dtype=np.uint64)
    for k in range(size + 1):
        numbers = numbers * np.uint64(vocab_size) + tokens[k : len(tokens) - size + k]
    found, counts = np.unique(numbers, return_counts=True)
    contexts, starts = np.unique(found // np.uint64(vocab_size), return_index=True)
    followers = (found % np.uint64(vocab_size)).astype(np.int64)
    return _Counts(contexts, np.append(starts, len(found)), followers, counts.astype(np.float64))
