"""Proofs that a decoder's output follows the target's law: an exact one and a statistical one.

**Exact.** A decoder makes its choices through two questions (``chance``): is this accepted, which
token is drawn. Each has finitely many answers of known probability. ``Enumeration`` answers them
in every possible way, one run after another, depth first; the sum of the runs' probabilities over
equal outputs is the law of the output, without sampling. What is run is the decoder itself,
unmodified, and a correct one is off by rounding only, about 1e-16.

The number of runs grows as V to the number of draws, so the proof is about small vocabularies and
few tokens. ``TableModel`` is a target, or a draft, of such a size, and ``TableDrafter`` drafts with
it. ``speculative_step`` is all of speculative decoding but its caches; a drafter or a rule is
certified by putting it there. A whole loop, caches included, is certified with ``exact_law`` on a
network of a few tokens with random weights, against the laws of plain passes of that network.

**Statistical.** ``g_test`` compares counts of any black box with a law, at a stated rate of false
alarms.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike

from rlcore.validation import Floats, as_floats, check_count, check_fraction, check_positive
from speccore.decoding.acceptance import Rule
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import ROOT, Draft, TokenTree

Result = TypeVar("Result")
Step = Callable[[list[int], SourceOfChance], Sequence[int]]
"""From all committed tokens, and chance, to the new tokens of one step (at least one)."""


# -- every outcome, with its weight ----------------------------------------------------------------


class Enumeration:
    """A source of chance for one run: repeats the given answers, then takes each first one.

    After the run, ``weight`` is the probability of these answers, and ``next_answers`` are those
    of the next run in depth-first order, or None after the last.

    Args:
        answers: index of the answer to each of the first questions, among the possible ones.
    """

    def __init__(self, answers: Sequence[int] = ()) -> None:
        self.weight = 1.0
        self._given = answers
        self._taken: list[tuple[int, int]] = []  # (index of the answer, how many were possible)

    def accepts(self, p: float, q: float) -> bool:
        """Both answers in turn, with probability min(1, p/q) of acceptance."""
        probability = 1.0 if p >= q else float(p / q)
        return bool(self._answer(np.array([1.0 - probability, probability])))

    def draw(self, law: Floats) -> int:
        """Each token of positive probability in turn."""
        total = law.sum()
        if not (total > 0.0 and law.min() >= 0.0 and total < np.inf):
            raise ValueError(f"law: takes numbers >= 0 with a positive, finite sum, got {law}")
        return self._answer(law / total)

    def _answer(self, probabilities: Floats) -> int:
        possible = np.flatnonzero(probabilities)
        asked = len(self._taken)
        index = self._given[asked] if asked < len(self._given) else 0
        self._taken.append((index, len(possible)))
        self.weight *= float(probabilities[possible[index]])
        return int(possible[index])

    @property
    def next_answers(self) -> list[int] | None:
        """What to answer in the next run; None if this was the last."""
        taken = self._taken
        for last in range(len(taken) - 1, -1, -1):
            index, possible = taken[last]
            if index + 1 < possible:
                return [*(i for i, _ in taken[:last]), index + 1]
        return None


def outcomes(run: Callable[[SourceOfChance], Result]) -> Iterator[tuple[float, Result]]:
    """Everything that a random run can return, with its probability.

    Args:
        run: from a source of chance to a result; without any other randomness or memory, and
            with finitely many questions.

    Yields:
        (weight, result), one for each way to answer; the weights sum to 1.
    """
    answers: list[int] | None = []
    while answers is not None:
        chance = Enumeration(answers)
        result = run(chance)
        yield chance.weight, result
        answers = chance.next_answers


def expected_value(run: Callable[[SourceOfChance], float]) -> float:
    """E[run], over every outcome: the tokens of a step, for example."""
    return float(sum(weight * result for weight, result in outcomes(run)))


def exact_law(
    run: Callable[[SourceOfChance], Sequence[int]], length: int, vocabulary: int
) -> Floats:
    """The joint law of the first tokens of a whole run of a decoder.

    Also finds what goes wrong *between* steps, such as a cache that was not rolled back; needs
    as many runs as all steps together have outcomes. ``exact_step_law`` needs far fewer.

    Args:
        run: from a source of chance to the new tokens, at least ``length`` of them: the loop of a
            decoder, with this source in the place of its seeded one, and a fresh state each time.
        length: k >= 1, tokens of which the law is wanted.
        vocabulary: V.

    Returns:
        (V, …, V), k axes, of sum 1.
    """
    law = np.zeros((vocabulary,) * check_count("length", length))
    for weight, tokens in outcomes(run):
        if len(tokens) < length:
            raise ValueError(f"run: takes one that returns >= {length} tokens, got {len(tokens)}")
        law[tuple(tokens[:length])] += weight
    return law


def exact_step_law(step: Step, context: Sequence[int], length: int, vocabulary: int) -> Floats:
    """The joint law of the next tokens when one step follows another.

    Each context is enumerated once, by law(context) = Σ_outcomes weight · law(context + tokens).

    Args:
        step: one step of a decoder, which remembers nothing but the tokens.
        context: committed tokens.
        length: k >= 1, tokens of which the law is wanted.
        vocabulary: V.

    Returns:
        (V, …, V), k axes, of sum 1.
    """
    law = np.zeros((vocabulary,) * check_count("length", length))
    known: dict[tuple[int, ...], dict[tuple[int, ...], float]] = {}

    def extend(tokens: tuple[int, ...], weight: float) -> None:
        if len(tokens) >= length:
            law[tokens[:length]] += weight
            return
        if tokens not in known:
            known[tokens] = _step_outcomes(step, [*context, *tokens])
        for new, probability in known[tokens].items():
            extend(tokens + new, weight * probability)

    extend((), 1.0)
    return law


def expected_step_length(step: Step, context: Sequence[int]) -> float:
    """How many tokens one step returns, in expectation.

    An unbiased decoder can still be slower than it should be, so this is part of the proof.
    """
    return sum(len(new) * weight for new, weight in _step_outcomes(step, context).items())


def _step_outcomes(step: Step, context: Sequence[int]) -> dict[tuple[int, ...], float]:
    found: dict[tuple[int, ...], float] = {}
    for weight, tokens in outcomes(lambda chance: step(list(context), chance)):
        if len(tokens) == 0:
            raise ValueError("step: takes one that returns at least one token, got none")
        new = tuple(int(token) for token in tokens)
        found[new] = found.get(new, 0.0) + weight
    return found


def total_variation(p: ArrayLike, q: ArrayLike) -> float:
    """TV(p, q) = ½ Σ_x |p(x) − q(x)|, the largest difference in probability of any event.

    Args:
        p, q: two laws of the same shape.
    """
    first, second = as_floats("p", p), as_floats("q", q)
    if first.shape != second.shape:
        raise ValueError(f"q: takes the shape {first.shape} of p, got {second.shape}")
    return float(np.abs(first - second).sum() / 2.0)


# -- models small enough for it --------------------------------------------------------------------


class Scorer(Protocol):
    """What a step asks of its target: one pass over a context and the guesses that follow it."""

    def logits(self, context: Sequence[int], tree: TokenTree) -> Floats:
        """(n + 1, V) logits of the token after the context, and after each node of the tree."""


class Drafter(Protocol):
    """What a step asks of whatever makes the guesses."""

    def propose(
        self, context: list[int], sampling: Sampling, chance: SourceOfChance, target: Scorer
    ) -> Draft:
        """Guesses for what follows the context, and the laws from which they were drawn."""


class TableModel:
    """A language model that is a table: the next token depends on the last few only.

    Args:
        logits: (V, …, V) finite logits; the last axis is the next token, the ones before are the
            last m tokens, oldest first. m = 0 is allowed: every token has the same law.

    Raises:
        ValueError: axes of different lengths.
    """

    def __init__(self, logits: ArrayLike) -> None:
        self._logits = as_floats("logits", logits)
        if self._logits.ndim == 0 or len(set(self._logits.shape)) != 1:
            raise ValueError(f"logits: takes shape (V, …, V), got {self._logits.shape}")
        self.vocabulary = self._logits.shape[0]
        self.order = self._logits.ndim - 1

    @classmethod
    def random(
        cls, vocabulary: int, order: int, generator: np.random.Generator, *, scale: float = 1.0
    ) -> TableModel:
        """Independent normal logits with mean 0 and standard deviation ``scale``."""
        check_count("vocabulary", vocabulary)
        shape = (vocabulary,) * (check_count("order", order, minimum=0) + 1)
        return cls(check_positive("scale", scale) * generator.standard_normal(shape))

    @classmethod
    def from_laws(cls, laws: ArrayLike) -> TableModel:
        """The table of these probabilities (V, …, V), which may contain zeros."""
        array = as_floats("laws", laws)
        # exp(−1e4) is 0, also at any temperature below 13.
        return cls(np.log(array, where=array > 0.0, out=np.full_like(array, -1e4)))

    def after(self, context: Sequence[int]) -> Floats:
        """(V,) logits of the token after the context, which holds at least ``order`` tokens."""
        if len(context) < self.order:
            raise ValueError(f"context: takes {self.order} tokens or more, got {list(context)}")
        return self._logits[tuple(context[len(context) - self.order :])]

    def logits(self, context: Sequence[int], tree: TokenTree) -> Floats:
        """(n + 1, V) logits of the token after the context, and after each node of the tree."""
        contexts = [list(context)]
        for token, parent in zip(tree.tokens.tolist(), tree.parents.tolist(), strict=True):
            contexts.append([*contexts[parent + 1], token])
        return np.stack([self.after(each) for each in contexts])

    def joint_law(
        self, context: Sequence[int], length: int, sampling: Sampling | None = None
    ) -> Floats:
        """(V, …, V) the true law of the next ``length`` tokens, by the chain rule.

        Args:
            context: at least ``order`` tokens.
            length: k >= 1, the number of axes.
            sampling: how tokens are drawn from the logits; as they are, if left out.
        """
        how = Sampling() if sampling is None else sampling
        law = np.ones(())
        for size in range(check_count("length", length)):
            prefixes = itertools.product(range(self.vocabulary), repeat=size)
            rows = np.stack([self.after([*context, *prefix]) for prefix in prefixes])
            following = how.law(rows).reshape((self.vocabulary,) * (size + 1))
            law = law[..., None] * following
        return law


@dataclass(frozen=True)
class TableDrafter:
    """Drafts a tree of a fixed shape with a table model.

    Args:
        model: the draft model.
        parents: (n,) shape of the tree, as in ``TokenTree``.
        siblings: how the tokens of siblings are found:
            "with replacement", each drawn from the law after their parent;
            "without replacement", each drawn from what the ones before left of it (a node for which
            nothing is left is left out);
            "most probable", in falling order, without chance; the draft has no laws.
    """

    model: TableModel
    parents: Sequence[int]
    siblings: str = "with replacement"

    def __post_init__(self) -> None:
        ways = ("with replacement", "without replacement", "most probable")
        if self.siblings not in ways:
            raise ValueError(f"siblings: takes one of {', '.join(ways)}, got {self.siblings!r}")
        TokenTree(np.zeros(len(self.parents), dtype=np.int64), self.parents)

    def propose(
        self,
        context: Sequence[int],
        sampling: Sampling,
        chance: SourceOfChance,
        target: Scorer | None = None,
    ) -> Draft:
        """A tree, and the laws from which it was drawn.

        Args:
            context: all committed tokens.
            sampling: the same as the target's.
            chance: draws the tokens.
            target: not asked.
        """
        paths: dict[int, list[int]] = {ROOT: list(context)}  # node of the shape -> its tokens
        places = {ROOT: ROOT}  # node of the shape -> node of the tree
        laws = [sampling.law(self.model.after(context))]
        left = {ROOT: laws[0]}  # node of the shape -> law of its next child
        tokens: list[int] = []
        parents: list[int] = []
        for node, parent in enumerate(self.parents):
            if parent not in places or not left[parent].any():
                continue
            if self.siblings == "most probable":
                token = int(left[parent].argmax())
            else:
                token = chance.draw(left[parent])
            if self.siblings != "with replacement":
                left[parent] = left[parent].copy()
                left[parent][token] = 0.0
            places[node] = len(tokens)
            paths[node] = [*paths[parent], token]
            tokens.append(token)
            parents.append(places[parent])
            laws.append(sampling.law(self.model.after(paths[node])))
            left[node] = laws[-1]
        tree = TokenTree(tokens, parents)
        return Draft(tree, None if self.siblings == "most probable" else np.stack(laws))


def speculative_step(
    target: Scorer, drafter: Drafter, rule: Rule, sampling: Sampling | None = None
) -> Step:
    """One step of speculative decoding as a function: draft, score, keep a path, one token more.

    Args:
        target: the model whose law the output must follow.
        drafter: makes the guesses; must remember nothing but the context.
        rule: of ``acceptance``.
        sampling: for target and draft alike; as they are, if left out.
    """
    how = Sampling() if sampling is None else sampling

    def step(context: list[int], chance: SourceOfChance) -> list[int]:
        draft = drafter.propose(context, how, chance, target)
        verdict = rule(draft, how.law(target.logits(context, draft.tree)), chance)
        return [*draft.tree.tokens[list(verdict.path)].tolist(), verdict.token]

    return step


# -- a black box -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class GTest:
    """Result of ``g_test``."""

    statistic: float
    """G, in nats; infinite if something happened that the law rules out."""
    degrees: int
    """Degrees of freedom: cells compared minus 1."""
    p_value: float
    """Probability of a G at least as large, if the law is right."""

    def passes(self, false_alarm: float) -> bool:
        """Whether the counts agree with the law; a right law fails at this rate, in (0, 1]."""
        return self.p_value >= check_fraction("false_alarm", false_alarm, positive=True)


def g_test(counts: ArrayLike, law: ArrayLike, *, smallest: float = 5.0) -> GTest:
    """Whether counts come from a law: G = 2 Σ_i O_i log(O_i / E_i) with E_i = N · law_i.

    The likelihood-ratio test (Wilks 1938; Sokal & Rohlf 1995, chapter 17): for large E_i, G has a
    χ² law with (cells − 1) degrees of freedom. Cells are therefore merged, from the least
    expected up, until each expects ``smallest`` or more. A difference is found once
    N · KL(truth ‖ law) is large against the square root of the degrees of freedom, so N runs see
    departures of the order √(√cells / N), not smaller ones: ``exact_law`` does.

    Args:
        counts: whole numbers >= 0, N in all; any shape.
        law: probabilities of the same shape.
        smallest: least expected count of a cell, > 0.

    Raises:
        ValueError: different shapes, no counts, or a law that is none.
    """
    observed, expected = as_floats("counts", counts).ravel(), as_floats("law", law).ravel()
    if np.shape(counts) != np.shape(law):
        raise ValueError(f"law: takes the shape {np.shape(counts)} of counts, got {np.shape(law)}")
    if np.any(observed < 0) or np.any(observed != np.floor(observed)) or not observed.any():
        raise ValueError(f"counts: takes whole numbers >= 0, not all 0, got {observed}")
    if not (np.all(expected >= 0) and abs(expected.sum() - 1.0) <= 1e-9):
        raise ValueError(f"law: takes probabilities that sum to 1, got a sum {expected.sum()}")
    check_positive("smallest", smallest)
    if np.any(observed[expected == 0.0]):
        return GTest(np.inf, max(int(np.count_nonzero(expected)) - 1, 0), 0.0)
    order = np.argsort(expected, kind="stable")
    merged: list[list[float]] = [[0.0, 0.0]]
    for o, e in zip(observed[order], observed.sum() * expected[order], strict=True):
        if merged[-1][1] >= smallest:
            merged.append([0.0, 0.0])
        merged[-1][0] += o
        merged[-1][1] += e
    if len(merged) > 1 and merged[-1][1] < smallest:  # the largest cell alone expects too little
        last = merged.pop()
        merged[-1] = [merged[-1][0] + last[0], merged[-1][1] + last[1]]
    o, e = np.array(merged).T
    statistic = 2.0 * float(np.sum(o * np.log(np.where(o > 0.0, o, 1.0) / e)))
    degrees = len(merged) - 1
    if degrees == 0:
        return GTest(statistic, 0, 1.0)
    half = torch.tensor([degrees / 2.0, max(statistic, 0.0) / 2.0], dtype=torch.float64)
    return GTest(statistic, degrees, float(torch.special.gammaincc(half[0], half[1])))


def count_outcomes(
    decode: Callable[[int], Sequence[int]], runs: int, length: int, vocabulary: int
) -> Floats:
    """How often each of the possible first tokens comes out of a decoder, for ``g_test``.

    Args:
        decode: from a seed to the new tokens, at least ``length`` of them.
        runs: seeds 0 … runs − 1.
        length: k >= 1, tokens that are counted together.
        vocabulary: V.

    Returns:
        (V, …, V) counts, k axes.
    """
    counts = np.zeros((vocabulary,) * check_count("length", length))
    for seed in range(check_count("runs", runs)):
        counts[tuple(decode(seed)[:length])] += 1.0
    return counts
