"""The target drafts for itself, by looking at its own guesses of the step before.

Each verifying pass says, after every guess, which token the target holds for most probable there.
That costs nothing more, and is the next guess: fixed-point iteration on the text to come (Jacobi
decoding, Santilli et al. 2023).
"""

from __future__ import annotations

import copy

from rlcore.validation import Floats, check_count
from speccore.decoding.acceptance import Verdict
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import ROOT, Draft, TokenTree
from speccore.models.language_model import LanguageModel


class JacobiDrafter(Drafter):
    """Guesses what the target found most probable after its last guesses.

    Args:
        draft_length: >= 1, guesses a step. The first ones of all are copies of the last token.
    """

    def __init__(self, draft_length: int) -> None:
        self.draft_length = self.most_nodes = check_count("draft_length", draft_length)
        self._guesses: list[int] = []

    def begin(self, model: LanguageModel) -> JacobiDrafter:
        """A drafter without guesses."""
        new = copy.copy(self)
        new._guesses = []
        return new

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """A chain, without laws."""
        missing = self.draft_length - len(self._guesses)
        return Draft(TokenTree.chain([*self._guesses, *[context[-1]] * missing]))

    def observe(self, draft: Draft, verdict: Verdict, logits: Floats) -> None:
        """The most probable tokens after the guesses behind the one that was rejected."""
        following = logits.argmax(axis=1).tolist()
        self._guesses = following[len(verdict.path) + 1 :]


class LookaheadDrafter(Drafter):
    """Collects n-grams from Jacobi iterations and guesses with those that begin as the text ends.

    Lookahead decoding (Fu et al. 2024). Beside the candidates from the pool, the tree carries a
    window of ``n`` − 1 rows of ``window`` tokens: row 0 is a chain after the root, and token i of
    row j + 1 hangs below token i of row j. What the target finds most probable below the last row
    is the next row; with the tokens above it, it makes an n-gram for the pool.

    Args:
        n: >= 2, tokens of an n-gram: the one that has to match, and n − 1 guesses.
        window: W >= 1, tokens of a row: new n-grams a step.
        candidates: >= 1, n-grams of the pool that are tried at a time, the newest ones.
    """

    def __init__(self, n: int = 4, window: int = 4, candidates: int = 4) -> None:
        self.n = check_count("n", n, minimum=2)
        self.window = check_count("window", window)
        self.candidates = check_count("candidates", candidates)
        self.most_nodes = (n - 1) * (window + candidates)
        self._rows: list[list[int]] = []
        self._proposed = 0
        self._pool: dict[int, dict[tuple[int, ...], None]] = {}

    def begin(self, model: LanguageModel) -> LookaheadDrafter:
        """A drafter with an empty pool."""
        new = copy.copy(self)
        new._rows, new._pool = [], {}
        return new

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Target
    ) -> Draft:
        """The candidates, and the window."""
        if not self._rows:  # whatever: the iterations forget it
            self._rows = [[context[-1]] * self.window for _ in range(self.n - 1)]
        known = list(self._pool.get(context[-1], ()))
        tree = TokenTree.from_paths(reversed(known[-self.candidates :]))
        tokens, parents = tree.tokens.tolist(), tree.parents.tolist()
        above = [ROOT, *range(len(tokens), len(tokens) + self.window - 1)]
        for row in self._rows:
            parents += above
            above = list(range(len(tokens), len(tokens) + self.window))
            tokens += row
        self._proposed = len(tokens)
        return Draft(TokenTree(tokens, parents))

    def observe(self, draft: Draft, verdict: Verdict, logits: Floats) -> None:
        """Put the new n-grams into the pool, and move the window on by a row."""
        if len(draft.tree) < self._proposed:
            return  # cut short, as the text ends
        new = logits[-self.window :].argmax(axis=1).tolist()
        self._rows.append(new)
        for first, *following in zip(*self._rows, strict=True):
            grams = self._pool.setdefault(first, {})
            grams.pop(tuple(following), None)
            grams[tuple(following)] = None  # the newest one stands last
        del self._rows[0]
