"""What a draft is worth: acceptance rate, tokens per step, speed-up, best draft, best tree.

``draft_length`` is γ of Leviathan et al. 2023, ``alpha`` their α: the probability that a guess is
accepted, given that the ones before it were, the same for every position and independent of the
others. Costs come in two kinds. In the paper's model a pass of the target costs 1 whatever it
scores, and a guess costs c. On a real machine a pass over n tokens takes a measured time T(n):
``pass_times[n − 1]``.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rlcore.validation import Floats, as_floats, check_count
from speccore.decoding.tree import ROOT, TokenTree

# -- one guess -------------------------------------------------------------------------------------


def acceptance_rate(p: ArrayLike, q: ArrayLike) -> Any:
    """β = Σ_x min(p(x), q(x)) = 1 − TV(p, q): how often a guess drawn from q is kept.

    Leviathan et al. 2023, theorem 3.5. α is its mean over contexts.

    Args:
        p: (…, V) law of the target.
        q: (…, V) law of the draft.

    Returns:
        (…) numbers in [0, 1].
    """
    return np.minimum(as_floats("p", p), as_floats("q", q)).sum(axis=-1)


def acceptance_with_replacement(p: ArrayLike, q: ArrayLike, siblings: int) -> float:
    """How often one of several guesses, drawn independently from q, is kept.

    1 − Π_k (1 − Σ_x min(r_k(x), q(x))) by multi-round rejection, with r₁ = p and
    r_{k+1} = norm(max(0, r_k − q)) (Miao et al. 2024, algorithm 2): the guesses are independent,
    so the rounds are as well.

    Args:
        p: (V,) law of the target.
        q: (V,) law of the draft.
        siblings: how many guesses, >= 0.
    """
    left, law = as_floats("p", p), as_floats("q", q)
    none_kept = 1.0
    for _ in range(check_count("siblings", siblings, minimum=0)):
        rest = np.maximum(left - law, 0.0)
        none_kept *= rest.sum()
        if none_kept == 0.0:
            break
        left = rest / rest.sum()
    return 1.0 - float(none_kept)


# -- a chain, in the cost model of the paper -------------------------------------------------------


def expected_tokens(alpha: ArrayLike, draft_length: ArrayLike) -> Any:
    """1 + α + … + α^γ = (1 − α^{γ+1}) / (1 − α), the tokens of one step.

    Leviathan et al. 2023, equation 1. Arguments broadcast.

    Args:
        alpha: α in [0, 1]; γ + 1 tokens at α = 1.
        draft_length: γ >= 0.
    """
    a, length = np.broadcast_arrays(
        _check_probabilities("alpha", alpha), _check_lengths("draft_length", draft_length)
    )
    never_rejected = a == 1.0
    rejected = np.where(never_rejected, 1.0, 1.0 - a)
    return np.where(never_rejected, length + 1.0, (1.0 - a ** (length + 1.0)) / rejected)[()]


def speedup(alpha: ArrayLike, draft_length: ArrayLike, cost: ArrayLike) -> Any:
    """(1 − α^{γ+1}) / ((1 − α)(γc + 1)), against one pass of the target a token.

    Leviathan et al. 2023, theorem 3.8. Arguments broadcast.

    Args:
        alpha: α in [0, 1].
        draft_length: γ >= 0.
        cost: c >= 0, time of one guess over that of one pass of the target.
    """
    c = _check_at_least_zero("cost", cost)
    return expected_tokens(alpha, draft_length) / (np.asarray(draft_length) * c + 1.0)


def operations_factor(alpha: ArrayLike, draft_length: ArrayLike, cost: ArrayLike) -> Any:
    """(1 − α)(γĉ + γ + 1) / (1 − α^{γ+1}): arithmetic operations a token, against plain decoding.

    Leviathan et al. 2023, theorem 3.11. What is rejected was computed in vain, so the factor is
    above 1: time is bought with operations. Arguments broadcast.

    Args:
        alpha: α in [0, 1].
        draft_length: γ >= 0.
        cost: ĉ >= 0, operations of one guess over those of one token in the target.
    """
    c = _check_at_least_zero("cost", cost)
    length = np.asarray(draft_length)
    return (length * c + length + 1.0) / expected_tokens(alpha, length)


def best_draft_length(alpha: float, cost: float, *, longest: int = 64) -> int:
    """The γ of the largest ``speedup``, the smallest one of equals; 0 if no draft pays.

    Leviathan et al. 2023, section 3.5. A draft pays if and only if α > c (corollary 3.9).

    Args:
        alpha: α in [0, 1].
        cost: c >= 0.
        longest: the longest draft considered; with c = 0 a longer draft is always better.
    """
    lengths = np.arange(check_count("longest", longest, minimum=0) + 1)
    return int(np.argmax(speedup(alpha, lengths, cost)))


# -- a chain or a tree, on a measured machine ------------------------------------------------------


def expected_accepted(tree: TokenTree, acceptance: ArrayLike) -> float:
    """Σ_i Π_{j on the path to i} a_j: how many nodes of a tree are kept in a step.

    The path to node i is kept with the probability of the product, and the number of nodes kept is
    the number of paths kept. With the bonus token a step gives one token more.

    Args:
        tree: n nodes.
        acceptance: (n,) a_i, the probability that node i is kept if its parent is; those of
            siblings sum to 1 at most.
    """
    a = _check_probabilities("acceptance", acceptance)
    if a.shape != (len(tree),):
        raise ValueError(f"acceptance: takes shape (n,) = ({len(tree)},), got {a.shape}")
    kept = np.ones(len(tree) + 1)
    for node, parent in enumerate(tree.parents.tolist()):
        kept[node + 1] = kept[parent + 1] * a[node]
    return float(kept[1:].sum())


def measured_speedup(
    tokens: ArrayLike, nodes: ArrayLike, pass_times: ArrayLike, draft_time: ArrayLike = 0.0
) -> Any:
    """E[tokens] · T(1) / (T(n + 1) + draft time): against plain decoding, which does T(1) a token.

    The verifying pass scores n guesses and the root. Arguments but ``pass_times`` broadcast.

    Args:
        tokens: expected tokens of a step, >= 0.
        nodes: n >= 0, guesses of a step.
        pass_times: (N,) T(1) … T(N) > 0, in any unit, N >= n + 1.
        draft_time: time to make the whole draft, >= 0, in the same unit.
    """
    times = _check_times(pass_times)
    n = _check_lengths("nodes", nodes)
    if np.any(n + 1 > len(times)):
        raise ValueError(
            f"pass_times: takes a time for each number of tokens up to {int(np.max(n)) + 1}, "
            f"got {len(times)}"
        )
    drafting = _check_at_least_zero("draft_time", draft_time)
    step = times[n.astype(np.int64)] + drafting
    return _check_at_least_zero("tokens", tokens) * times[0] / step


def best_measured_draft_length(alpha: float, pass_times: ArrayLike, guess_time: float) -> int:
    """The γ of the largest ``measured_speedup`` of a chain; 0 if no draft pays.

    Args:
        alpha: α in [0, 1].
        pass_times: (N,) T(1) … T(N) > 0; γ is at most N − 1.
        guess_time: time of one guess, >= 0, in the same unit.
    """
    lengths = np.arange(len(_check_times(pass_times)))
    drafting = lengths * _check_at_least_zero("guess_time", guess_time)
    tokens = expected_tokens(alpha, lengths)
    return int(np.argmax(measured_speedup(tokens, lengths, pass_times, drafting)))


def grow_tree(accuracies: ArrayLike, nodes: int) -> TokenTree:
    """The tree of this many nodes that keeps most, grown greedily (Cai et al. 2024, section 2.3.3).

    A node takes, at each depth of its path, one of the R candidates there, and is kept with the
    product of their accuracies. No factor is above 1, so no node is worth more than its parent; the
    n largest products of all are therefore a tree, and no tree of n nodes has a larger sum.

    Args:
        accuracies: (D, R), how often candidate r at depth d + 1 is the token, if the path so far
            is right. Rows sum to 1 at most.
        nodes: n >= 0; fewer are returned if there are not that many.

    Returns:
        A tree whose tokens are the *ranks* r of the candidates, nodes in the order of growth:
        its first m nodes are the best tree of m nodes.
    """
    a = _check_accuracies(accuracies)
    depth_limit, ranks = a.shape
    limit = check_count("nodes", nodes, minimum=0)
    tokens: list[int] = []
    parents: list[int] = []
    # Entries: minus the product, parent, rank, depth. Equal products: the older parent first.
    frontier = [(-float(a[0, r]), ROOT, r, 1) for r in range(ranks)] if a.size else []
    heapq.heapify(frontier)
    while frontier and len(tokens) < limit:
        product, parent, rank, depth = heapq.heappop(frontier)
        if depth < depth_limit:
            for r in range(ranks):
                child = (product * float(a[depth, r]), len(tokens), r, depth + 1)
                heapq.heappush(frontier, child)
        tokens.append(rank)
        parents.append(parent)
    return TokenTree(tokens, parents)


@dataclass(frozen=True)
class TreePlan:
    """A tree of ranks, and what it is expected to give."""

    tree: TokenTree
    """Its tokens are ranks of candidates, as in ``grow_tree``; empty if no draft pays."""
    tokens: float
    """Expected tokens of a step, the bonus token included."""
    speedup: float
    """Against plain decoding, under the measured times."""


def best_tree(
    accuracies: ArrayLike, pass_times: ArrayLike, draft_times: ArrayLike = 0.0
) -> TreePlan:
    """The tree of the largest ``measured_speedup``, of all trees with up to N − 1 nodes.

    For each depth and number of nodes ``grow_tree`` gives the tree that keeps most; the best of
    these is the best of all, because time depends on nothing else. With R = 1 it is the best chain.

    Args:
        accuracies: (D, R) as in ``grow_tree``.
        pass_times: (N,) T(1) … T(N) > 0.
        draft_times: time to make a draft of depth 1 … D, shape (D,) or one number for all, >= 0,
            in the same unit. No draft takes none.
    """
    a, times = _check_accuracies(accuracies), _check_times(pass_times)
    drafting = _check_at_least_zero("draft_times", draft_times)
    if drafting.ndim and drafting.shape != (len(a),):
        raise ValueError(
            f"draft_times: takes a number or shape (D,) = ({len(a)},), got {drafting.shape}"
        )
    drafting = np.broadcast_to(drafting, (len(a),))
    best = TreePlan(TokenTree([], []), tokens=1.0, speedup=1.0)
    for depth in range(1, len(a) + 1):
        tree = grow_tree(a[:depth], len(times) - 1)
        kept = np.ones(len(tree) + 1)
        for node, parent in enumerate(tree.parents.tolist()):
            kept[node + 1] = kept[parent + 1] * a[tree.depths[node] - 1, tree.tokens[node]]
        tokens = kept.cumsum()
        gains = measured_speedup(tokens, np.arange(len(kept)), times, drafting[depth - 1])
        nodes = int(np.argmax(gains))
        if gains[nodes] > best.speedup:
            chosen = TokenTree(tree.tokens[:nodes], tree.parents[:nodes])
            best = TreePlan(chosen, float(tokens[nodes]), float(gains[nodes]))
    return best


# -- checks ----------------------------------------------------------------------------------------


def _check_probabilities(name: str, values: ArrayLike) -> Floats:
    array = as_floats(name, values)
    wrong = ~((array >= 0.0) & (array <= 1.0))
    if wrong.any():
        raise ValueError(f"{name}: takes numbers in [0, 1], got {array[wrong][0]}")
    return array


def _check_at_least_zero(name: str, values: ArrayLike) -> Floats:
    array = as_floats(name, values)
    wrong = ~((array >= 0.0) & (array < np.inf))
    if wrong.any():
        raise ValueError(f"{name}: takes finite numbers >= 0, got {array[wrong][0]}")
    return array


def _check_lengths(name: str, values: ArrayLike) -> Floats:
    array = _check_at_least_zero(name, values)
    wrong = array != np.floor(array)
    if wrong.any():
        raise ValueError(f"{name}: takes whole numbers >= 0, got {array[wrong][0]}")
    return array


def _check_times(pass_times: ArrayLike) -> Floats:
    times = as_floats("pass_times", pass_times)
    if times.ndim != 1 or len(times) == 0:
        raise ValueError(f"pass_times: takes shape (N,) with N >= 1, got {times.shape}")
    wrong = ~((times > 0.0) & (times < np.inf))
    if wrong.any():
        raise ValueError(f"pass_times: takes finite numbers > 0, got {times[wrong][0]}")
    return times


def _check_accuracies(accuracies: ArrayLike) -> Floats:
    array = _check_probabilities("accuracies", accuracies)
    if array.ndim != 2:
        raise ValueError(f"accuracies: takes shape (D, R), got {array.shape}")
    sums = array.sum(axis=1)
    if np.any(sums > 1.0 + 1e-9):
        raise ValueError(f"accuracies: takes rows that sum to 1 at most, got {sums.max():.6g}")
    return array
