"""The rules: which path of a draft is kept, and which token follows it.

After one pass of the target, p[i + 1] is its law of the token after node i, and p[0] its law of
the token after the root. A rule returns a path and one token more: from what is left of p where
all guesses were rejected, or, after a whole path was accepted, from p at its end (the *bonus*
token). So a step gives at least one token, and with an empty draft it is plain decoding.

A rule is *lossless* if the tokens that it returns follow p, whatever the draft: exactly, as
``certificate`` proves for all but the last three. p is always the target, q the draft. Every guess
that was drawn must be part of the draft: a draft may end after an unlikely guess, not before it.

rule                  siblings were                           lossless
--------------------  --------------------------------------  ------------------------------------
greedy                anything                                at temperature 0
sample_and_descend    anything that the coming draws from p   yes
                      do not influence
rejection             (a chain: none)                         yes
with_replacement      drawn independently from q, or chosen   yes
without_replacement   drawn one by one, each from what the    yes
                      others left of q, or chosen
typical               anything                                no
within_top_k          anything                                no
within_distance       anything                                no
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rlcore.validation import Floats, check_count, check_fraction, check_positive
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.tree import ROOT, Draft


@dataclass(frozen=True)
class Verdict:
    """What a rule keeps of a draft."""

    path: tuple[int, ...]
    """Accepted nodes, from the root down; empty if none was accepted."""
    token: int
    """The token that follows them."""


Rule = Callable[[Draft, Floats, SourceOfChance], Verdict]


# -- choose the target's token, see whether it was guessed -----------------------------------------


def greedy(draft: Draft, p: Floats, chance: SourceOfChance) -> Verdict:
    """Follow the target's most probable token (lowest id of equal ones) as long as it was guessed.

    Stern et al. 2018, section 3. Returns what greedy decoding without a draft would return.

    Args:
        draft: n guesses; any tree, its laws are not read.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: not asked.
    """
    _check(draft, p)
    return _descend(draft, lambda node: int(p[node + 1].argmax()))


def sample_and_descend(draft: Draft, p: Floats, chance: SourceOfChance) -> Verdict:
    """Draw from the target, and go on from that token as long as it was guessed.

    Miao et al. 2024 (SpecInfer), section 4.3, "naïve sampling". Lossless without a proof:
    every token is a draw from p. The guesses need no law, but must not depend on the draws made
    here. One of the siblings S is accepted with probability Σ_{x ∈ S} p(x): no lossless rule gives
    more for guesses chosen without chance.

    Args:
        draft: n guesses; any tree, its laws are not read.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: draws one token a level.
    """
    _check(draft, p)
    return _descend(draft, lambda node: chance.draw(p[node + 1]))


def _descend(draft: Draft, next_token: Callable[[int], int]) -> Verdict:
    path: list[int] = []
    node = ROOT
    while True:
        token = next_token(node)
        child = draft.tree.child(node, token)
        if child is None:
            return Verdict(tuple(path), token)
        path.append(child)
        node = child


# -- judge the draft's tokens, correct what was rejected -------------------------------------------


def rejection(draft: Draft, p: Floats, chance: SourceOfChance) -> Verdict:
    """Speculative sampling: keep a guess x with probability min(1, p(x)/q(x)), else correct it.

    Leviathan et al. 2023, algorithm 1; Chen et al. 2023, algorithm 2 (there p is the draft). The
    first rejected guess is replaced by a draw from the residual norm(max(0, p − q)), since

        q(x) min(1, p(x)/q(x)) + Σ_y (q(y) − p(y))⁺ · (p(x) − q(x))⁺ / Σ_y (p(y) − q(y))⁺
        = min(p(x), q(x)) + (p(x) − q(x))⁺ = p(x).

    A guess that was not drawn is a point mass: kept with probability p(x), else p without x.

    Args:
        draft: a chain of n guesses and their laws q.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: is asked once a guess judged, and draws the last token.

    Raises:
        ValueError: a tree that is no chain.
    """
    _check(draft, p)
    if not draft.tree.is_chain:
        raise ValueError(f"draft.tree: takes a chain, got {draft.tree}")
    length = len(draft.tree)
    for i, token in enumerate(draft.tree.tokens.tolist()):
        q = _point_mass(token, p.shape[1]) if draft.laws is None else draft.laws[i]
        if not _keeps(chance, p[i], q, token):
            return Verdict(tuple(range(i)), chance.draw(_residual(p[i], q)))
    return Verdict(tuple(range(length)), chance.draw(p[length]))


def with_replacement(draft: Draft, p: Floats, chance: SourceOfChance) -> Verdict:
    """Multi-round rejection of siblings that were drawn independently from one law q.

    Miao et al. 2024 (SpecInfer), algorithm 2; Yang et al. 2024 (multi-candidate). The siblings are
    tried in their order: the first against r₁ = p, and after each rejection the next one against
    what is left to be produced,

        r_{k+1} = norm(max(0, r_k − q)).

    Two draws may coincide. The second one is then always rejected, but must be tried all the same.

    Args:
        draft: a tree of n guesses, siblings in the order of drawing, and their laws q. Guesses
            that were not drawn (no laws) are point masses.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: is asked once a guess judged, and draws the last token.
    """
    return _multi_round(draft, p, chance, replacement=True)


def without_replacement(draft: Draft, p: Floats, chance: SourceOfChance) -> Verdict:
    """Multi-round rejection of siblings that were drawn from q one by one, without putting back.

    Jeon et al. 2024, recursive rejection sampling; Yang et al. 2024 (multi-candidate).
    Sibling k was drawn from what the ones before left of q:

        q_{k+1} = norm(q_k without x_k),    r_{k+1} = norm(max(0, r_k − q_k)),    r₁ = p, q₁ = q.

    No guess is spent twice on the same token, so more are accepted than with replacement; if the
    siblings are all tokens that q allows, and p allows no others, one of them is accepted for sure.

    Args:
        draft: a tree of n guesses, siblings in the order of drawing, and their laws q before the
            first of them was drawn. Guesses without laws are point masses.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: is asked once a guess judged, and draws the last token.
    """
    return _multi_round(draft, p, chance, replacement=False)


def _multi_round(draft: Draft, p: Floats, chance: SourceOfChance, *, replacement: bool) -> Verdict:
    _check(draft, p)
    path: list[int] = []
    node = ROOT
    while True:
        left = p[node + 1]  # the law that the next token must still follow
        q = None if draft.laws is None else draft.laws[node + 1]
        for child in draft.tree.children(node):
            token = int(draft.tree.tokens[child])
            drawn_from = _point_mass(token, p.shape[1]) if q is None else q
            if _keeps(chance, left, drawn_from, token):
                break
            left = _residual(left, drawn_from)
            if q is not None and not replacement:
                q = _without(q, token)
        else:
            return Verdict(tuple(path), chance.draw(left))
        path.append(child)
        node = child


def _keeps(chance: SourceOfChance, p: Floats, q: Floats, token: int) -> bool:
    if not q[token] > 0.0:
        raise ValueError(
            f"draft.laws: takes the law from which each guess was drawn, got one that gives "
            f"token {token} probability {q[token]}"
        )
    return chance.accepts(p[token], q[token])


def _residual(p: Floats, q: Floats) -> Floats:
    """norm(max(0, p − q)), a new array."""
    residual = np.maximum(p - q, 0.0)
    total = residual.sum()
    # Nothing left means p = q up to rounding, where a rejection is as rare as the rounding is
    # small: then the token is a plain draw from p.
    return residual / total if total > 0.0 else p


def _without(q: Floats, token: int) -> Floats:
    """norm(q without this token), a new array; zeros if that was all."""
    rest = q.copy()
    rest[token] = 0.0
    total = rest.sum()
    return rest / total if total > 0.0 else rest


def _point_mass(token: int, size: int) -> Floats:
    law = np.zeros(size)
    law[token] = 1.0
    return law


# -- take what is good enough ----------------------------------------------------------------------


def typical(
    draft: Draft, p: Floats, chance: SourceOfChance, *, epsilon: float = 0.09, delta: float = 0.3
) -> Verdict:
    """Keep the longest path of guesses x that the target finds typical enough. Changes the law.

    Cai et al. 2024 (Medusa), section 2.3.1: x is kept if its parent is and

        p(x) > min(ε, δ exp(−H(p))),    H(p) = −Σ_x p(x) log p(x).

    Of equally long paths the most probable one is kept, as in the authors' code. The token that
    follows is the most probable one: the paper decodes the first token of each step greedily. At
    temperature 0 this is the rule ``greedy``, if ε < 1.

    Args:
        draft: n guesses; any tree, its laws are not read.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: not asked.
        epsilon: ε in (0, 1], the probability that is always enough.
        delta: δ > 0, times the probability exp(−H) that is typical of p.
    """
    _check(draft, p)
    check_fraction("epsilon", epsilon, positive=True)
    check_positive("delta", delta)
    log_p = _logarithms(p)
    least = np.minimum(epsilon, delta * np.exp((p * log_p).sum(axis=1, keepdims=True)))
    return _longest(draft, p, p > least)


def within_top_k(draft: Draft, p: Floats, chance: SourceOfChance, *, k: int) -> Verdict:
    """Keep the longest path of guesses among the target's k most probable tokens. Changes the law.

    Stern et al. 2018, section 5.1. The token that follows is the most probable one; with k = 1,
    and no two equally probable tokens, this is the rule ``greedy``. To be asked with a temperature
    above 0: at 0, p has one token only.

    Args:
        draft: n guesses; any tree, its laws are not read.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: not asked.
        k: whole number >= 1.
    """
    _check(draft, p)
    last = max(0, p.shape[1] - check_count("k", k))
    smallest = np.partition(p, last, axis=1)[:, last, None]
    return _longest(draft, p, (p >= smallest) & (p > 0.0))


def within_distance(draft: Draft, p: Floats, chance: SourceOfChance, *, epsilon: int) -> Verdict:
    """Keep the longest path of guesses whose ids are near the most probable one. Changes the law.

    Stern et al. 2018, section 5.2, for tokens that are magnitudes, as the intensities of a picture:
    x is kept if |x − argmax p| ≤ ε. The token that follows is the most probable one; with ε = 0
    this is the rule ``greedy``.

    Args:
        draft: n guesses; any tree, its laws are not read.
        p: (n + 1, V) laws of the target, after the root and after each node.
        chance: not asked.
        epsilon: whole number >= 0.
    """
    _check(draft, p)
    check_count("epsilon", epsilon, minimum=0)
    distances = np.abs(np.arange(p.shape[1]) - p.argmax(axis=1)[:, None])
    return _longest(draft, p, distances <= epsilon)


def _longest(draft: Draft, p: Floats, allowed: NDArray[np.bool_]) -> Verdict:
    """The longest path of guesses that are all allowed, of equally long ones the most probable."""
    log_p = _logarithms(p)
    kept = {ROOT: (0, 0.0)}  # depth and log-probability of each node kept
    for node, token in enumerate(draft.tree.tokens.tolist()):
        row = int(draft.tree.parents[node]) + 1
        if row - 1 in kept and allowed[row, token]:
            depth, score = kept[row - 1]
            kept[node] = depth + 1, score + log_p[row, token]
    best = max(kept, key=lambda node: kept[node])
    return Verdict(draft.tree.path_to(best), int(p[best + 1].argmax()))


def _logarithms(p: Floats) -> Floats:
    """log p, and 0 where p = 0."""
    logarithms: Floats = np.log(p, where=p > 0.0, out=np.zeros_like(p))
    return logarithms


def _check(draft: Draft, p: Floats) -> None:
    """The laws of the target and of the draft are about the same nodes and tokens."""
    rows = len(draft.tree) + 1
    if p.ndim != 2 or p.shape[0] != rows:
        raise ValueError(f"p: takes shape (n + 1, V) with n = {rows - 1} nodes, got {p.shape}")
    if draft.laws is not None and draft.laws.shape != p.shape:
        raise ValueError(f"draft.laws: takes the shape {p.shape} of p, got {draft.laws.shape}")
    if rows > 1 and draft.tree.tokens.max() >= p.shape[1]:
        raise ValueError(
            f"draft.tree: takes tokens < {p.shape[1]}, the size of the vocabulary, "
            f"got {draft.tree.tokens.max()}"
        )
