"""Guesses copied from text: from the text itself, or from a store of others.

No model drafts, so a guess costs next to nothing. It is a point mass: chosen, not drawn.
"""

from __future__ import annotations

import copy
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.validation import check_count
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.models.language_model import LanguageModel


class NGramDrafter(Drafter):
    """Looks where the last tokens stood before in the same text, and guesses what followed there.

    Prompt lookup decoding (Saxena 2023), token by token: the longest suffix of the context and the
    guesses so far that has occurred before decides the next guess.

    Args:
        draft_length: >= 1, guesses a step at most; fewer where no suffix has occurred before.
        longest, shortest: tokens of a suffix, 1 <= shortest <= longest.
        prefer: "recent", what followed the suffix last; "frequent", what followed it most often,
            the more recent of equals.
    """

    def __init__(
        self, draft_length: int, *, longest: int = 8, shortest: int = 3, prefer: str = "recent"
    ) -> None:
        self.draft_length = self.most_nodes = check_count("draft_length", draft_length)
        self.longest = check_count("longest", longest)
        self.shortest = check_count("shortest", shortest)
        if shortest > longest:
            raise ValueError(f"shortest: takes at most longest = {longest}, got {shortest}")
        if prefer not in ("recent", "frequent"):
            raise ValueError(f"prefer: takes 'recent' or 'frequent', got {prefer!r}")
        self.prefer = prefer
        self._followers: dict[tuple[int, ...], dict[int, int]] = {}
        self._known = 0  # tokens of the context that are in it

    def begin(self, model: LanguageModel) -> NGramDrafter:
        """A drafter that has seen nothing."""
        new = copy.copy(self)
        new._followers, new._known = {}, 0
        return new

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, without laws."""
        self._learn(context)
        text = context[-self.longest :]
        guesses: list[int] = []
        while len(guesses) < self.draft_length:
            token = self._next(text)
            if token is None:
                break
            guesses.append(token)
            text.append(token)
        return Draft(TokenTree.chain(guesses))

    def _learn(self, context: list[int]) -> None:
        """Note what followed each suffix of the tokens that have come since the last time."""
        for end in range(max(self._known, self.shortest), len(context)):
            token = context[end]
            for size in range(self.shortest, min(self.longest, end) + 1):
                followers = self._followers.setdefault(tuple(context[end - size : end]), {})
                followers[token] = followers.pop(token, 0) + 1  # the most recent one stands last
        self._known = len(context)

    def _next(self, text: list[int]) -> int | None:
        for size in range(min(self.longest, len(text)), self.shortest - 1, -1):
            followers = self._followers.get(tuple(text[-size:]))
            if followers:
                recent_first = reversed(followers)
                if self.prefer == "recent":
                    return next(recent_first)
                return max(recent_first, key=followers.__getitem__)
        return None


class DatastoreDrafter(Drafter):
    """Retrieves what followed the last tokens in a store of other texts, as a tree.

    REST (He et al. 2024): all places of the longest suffix of the context that occurs in the store
    are found in a suffix array; their continuations are merged into a tree, of which the most
    frequent nodes are kept.

    Args:
        store: (N,) tokens of texts, one after the other.
        draft_length: >= 1, depth of the tree.
        nodes: >= draft_length, nodes of the tree at most; None for a chain.
        longest, shortest: tokens of a suffix, 1 <= shortest <= longest.
        places: of so many places at most, spread evenly, the continuations are looked at.
    """

    def __init__(
        self,
        store: ArrayLike,
        draft_length: int,
        *,
        nodes: int | None = None,
        longest: int = 12,
        shortest: int = 3,
        places: int = 32,
    ) -> None:
        self.draft_length = check_count("draft_length", draft_length)
        self.nodes = nodes if nodes is None else check_count("nodes", nodes)
        self.most_nodes = draft_length if nodes is None else nodes
        self.longest = check_count("longest", longest)
        self.shortest = check_count("shortest", shortest)
        if shortest > longest:
            raise ValueError(f"shortest: takes at most longest = {longest}, got {shortest}")
        self.places = check_count("places", places)
        tokens = np.asarray(store)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu" or len(tokens) <= longest:
            raise ValueError(
                f"store: takes more than longest = {longest} whole numbers in a row, got "
                f"shape {tokens.shape} of {tokens.dtype}"
            )
        if tokens.min() < 0 or tokens.max() >= 2**32:
            raise ValueError(f"store: takes token ids from 0 on, got {tokens.min()}")
        # With the large digits first, bytes are in the order of the tokens.
        self._type = np.dtype(f">u{1 if tokens.max() < 2**8 else 2 if tokens.max() < 2**16 else 4}")
        self._store = tokens.astype(self._type)
        self._bytes = self._store.tobytes()
        self._order = suffix_array(tokens, longest)

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A tree, without laws."""
        places, size = self._find(context)
        if len(places) > self.places:
            places = places[:: -(-len(places) // self.places)]
        counts: dict[tuple[int, ...], int] = {}
        for place in places.tolist():
            follows = tuple(self._store[place + size : place + size + self.draft_length].tolist())
            for depth in range(1, len(follows) + 1):
                counts[follows[:depth]] = counts.get(follows[:depth], 0) + 1
        # No continuation is more frequent than its beginning, so that the first ones are a tree.
        ranked = sorted(counts, key=lambda path: (-counts[path], len(path)))
        if self.nodes is not None:
            return Draft(TokenTree.from_paths(ranked[: self.nodes]))
        chain: tuple[int, ...] = ()
        for path in ranked:
            if path[:-1] == chain:
                chain = path
        return Draft(TokenTree.chain(chain))

    def _find(self, context: Sequence[int]) -> tuple[NDArray[np.int64], int]:
        """Places of the longest suffix that occurs, and its size. If it occurs, shorter ones do."""
        low, high = self.shortest - 1, min(self.longest, len(context))
        found: tuple[NDArray[np.int64], int] = (self._order[:0], 0)
        while low < high:
            size = (low + high + 1) // 2
            places = self._places(context[-size:])
            if len(places):
                found, low = (places, size), size
            else:
                high = size - 1
        return found

    def _places(self, tokens: Sequence[int]) -> NDArray[np.int64]:
        if max(tokens) >= 2 ** (8 * self._type.itemsize):
            return self._order[:0]
        wanted = np.array(tokens, dtype=self._type).tobytes()
        width = self._type.itemsize

        def beginning(place: int) -> bytes:
            return self._bytes[place * width : place * width + len(wanted)]

        first = bisect_left(self._order, wanted, key=beginning)
        last = bisect_right(self._order, wanted, lo=first, key=beginning)
        return self._order[first:last]


def suffix_array(tokens: ArrayLike, depth: int) -> NDArray[np.int64]:
    """The places of a text in the order of what stands there, by the first tokens.

    Prefix doubling (Manber & Myers 1993): ranks by 2k tokens are pairs of ranks by k tokens.

    Args:
        tokens: (N,) whole numbers.
        depth: at least so many tokens decide, >= 1.

    Returns:
        (N,) places; a suffix that ends stands before those that go on.
    """
    ranks = np.unique(np.asarray(tokens), return_inverse=True)[1].astype(np.int64) + 1
    size = 1
    while size < depth:
        later = np.zeros_like(ranks)
        later[: max(0, len(ranks) - size)] = ranks[size:]  # behind the end: 0, before all tokens
        pairs = ranks * (len(ranks) + 1) + later
        ranks = np.unique(pairs, return_inverse=True)[1] + 1
        size *= 2
    return np.argsort(ranks, kind="stable")
