"""Exercises of chapter 14: speculative decoding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rlcore.exercises.exercise import Arguments, Exercise
from speccore.decoding.acceptance import rejection
from speccore.decoding.certificate import outcomes
from speccore.decoding.chance import SourceOfChance
from speccore.decoding.theory import acceptance_rate, best_measured_draft_length, expected_tokens
from speccore.decoding.tree import Draft, TokenTree

Step = Callable[[Any, Any, Any], Any]
"""From p, q and a source of chance to a token."""


def _laws(rng: np.random.Generator, size: int) -> tuple[Any, Any]:
    """Two laws without a probability near 0, rounded so that they can be read in a message."""
    found = []
    for _ in range(2):
        weights = rng.integers(1, 8, size).astype(float)
        found.append(weights / weights.sum())
    return found[0], found[1]


def _law_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {"p": np.array([0.5, 0.3, 0.2]), "q": np.array([0.2, 0.3, 0.5])}
    yield {"p": np.array([0.25, 0.75]), "q": np.array([1.0, 0.0])}
    for size in (3, 4, 4, 5):
        p, q = _laws(rng, size)
        yield {"p": p, "q": q}


# -- one step, certified ---------------------------------------------------------------------------


class EveryAnswer:
    """Stands for a source of chance that gives every answer in turn."""

    def __repr__(self) -> str:
        return "every answer in turn"


class Listening:
    """Passes questions on to a source of chance, and notes the first draw from q."""

    def __init__(self, source: SourceOfChance, q: Any) -> None:
        self.source, self.q = source, q
        self.guess: int | None = None

    def accepts(self, p: float, q: float) -> bool:
        """The answer of the source."""
        return self.source.accepts(p, q)

    def draw(self, law: Any) -> int:
        """The answer of the source."""
        token = self.source.draw(law)
        if self.guess is None and np.allclose(law / np.sum(law), self.q):
            self.guess = token
        return token


def law_of(step: Step) -> Step:
    """What a step does over all answers of chance; with a real source, the step itself.

    The law of its token, and behind it the probability that the token is the guess from q.
    """

    def run(p: Any, q: Any, source: SourceOfChance) -> tuple[Any, int | None]:
        chance = Listening(source, q)
        return step(p.copy(), q.copy(), chance), chance.guess

    def law(p: Any, q: Any, chance: Any) -> Any:
        if not isinstance(chance, EveryAnswer):
            return step(p, q, chance)
        found = np.zeros(len(p) + 1)
        for weight, (token, guess) in outcomes(lambda source: run(p, q, source)):
            if token is ... or token is None:
                return token  # a stub
            found[int(token)] += weight
            found[-1] += weight * (token == guess)
        return found

    return law


class CertifiedStep(Exercise):
    """An exercise whose answer is run with every outcome of chance; its law is compared."""

    def verdict(self, function: Any, seed: int | None = None) -> str:
        """*not attempted yet*, *not yet: …* or *correct*; with a seed, on inputs of its own."""
        return super().verdict(law_of(function) if callable(function) else function, seed)


def _one_step(p: Any, q: Any, chance: Any) -> int:
    """The package's own rule, with a draft of one guess and nothing after it."""
    guess = Draft(TokenTree.chain([chance.draw(q)]), np.stack([q, q]))
    verdict = rejection(guess, np.stack([p, p]), chance)
    return int(guess.tree.tokens[0]) if verdict.path else verdict.token


def _step_by(
    *,
    accepts: Callable[[Any, Any, int, Any], bool] = lambda p, q, x, chance: chance.accepts(
        p[x], q[x]
    ),
    left: Callable[[Any, Any], Any] = lambda p, q: np.maximum(p - q, 0.0),
) -> Step:
    """One step with a part of it replaced."""

    def wrong(p: Any, q: Any, chance: Any) -> int:
        guess = int(chance.draw(q))
        if accepts(p, q, guess, chance):
            return guess
        rest = left(p, q)
        return int(chance.draw(rest if rest.any() else p))

    return law_of(wrong)


def _step_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    for arguments in _law_cases(rng):
        yield {**arguments, "chance": EveryAnswer()}


# -- the best draft --------------------------------------------------------------------------------


def _length_by(
    *,
    tokens: Callable[[float, Any], Any] = expected_tokens,
    shift: int = 0,
    drafting: bool = True,
    plain: bool = True,
) -> Callable[..., int]:
    """The best length with a part of the account wrong."""

    def wrong(alpha: float, pass_times: Any, guess_time: float) -> int:
        lengths = np.arange(len(pass_times))
        passes = np.asarray(pass_times)[np.maximum(lengths + shift, 0)]
        speed = tokens(alpha, lengths) / (passes + (lengths * guess_time if drafting else 0.0))
        return int(np.argmax(speed)) if plain else int(np.argmax(speed[1:])) + 1

    return wrong


def _length_cases(rng: np.random.Generator) -> Iterator[Arguments]:
    yield {
        "alpha": 0.8,
        "pass_times": np.array([1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        "guess_time": 0.3,
    }
    yield {"alpha": 0.7, "pass_times": np.array([1.0, 1.5, 1.5, 1.5, 1.5]), "guess_time": 0.05}
    yield {"alpha": 0.3, "pass_times": np.array([1.0, 1.4, 1.8, 2.2]), "guess_time": 0.2}
    for _ in range(8):
        growth = rng.uniform(0.0, 0.3, size=int(rng.integers(6, 12)))
        yield {
            "alpha": round(float(rng.uniform(0.4, 0.95)), 2),
            "pass_times": (1.0 + growth.cumsum() - growth[0]).round(2),
            "guess_time": round(float(rng.uniform(0.02, 0.4)), 2),
        }


EXERCISES = (
    Exercise(
        14,
        1,
        "acceptance_of_two_laws",
        "How often a guess is kept",
        "easy",
        5,
        lambda p, q: float(acceptance_rate(p, q)),
        _law_cases,
        {
            "that is how often it is rejected: 1 minus it is wanted": lambda p, q: (
                1.0 - float(np.minimum(p, q).sum())
            ),
            "the guess comes from q, not from all tokens alike: weigh the ratios by q": (
                lambda p, q: float(
                    np.mean(np.minimum(1.0, np.divide(p, q, out=np.ones_like(p), where=q > 0)))
                )
            ),
            "the chance that two draws coincide is something else: a guess need not be matched": (
                lambda p, q: float((p * q).sum())
            ),
            "halve the sum of differences: every difference is counted twice": lambda p, q: (
                1.0 - float(np.abs(p - q).sum())
            ),
        },
    ),
    CertifiedStep(
        14,
        2,
        "one_step",
        "One guess, kept or corrected",
        "medium",
        15,
        law_of(_one_step),
        _step_cases,
        {
            "after a rejection the token comes from the residual, not from p": _step_by(
                left=lambda p, q: p
            ),
            "p and q are swapped in the test": _step_by(
                accepts=lambda p, q, x, chance: chance.accepts(q[x], max(p[x], 1e-300))
            ),
            "the guess is kept with probability p(x), which ignores how often q proposes it": (
                _step_by(accepts=lambda p, q, x, chance: chance.accepts(p[x], 1.0))
            ),
            "this follows q: nothing is rejected, or the residual, p − q, has the wrong sign": (
                _step_by(left=lambda p, q: np.maximum(q - p, 0.0))
            ),
            "the law is right, but no guess from q is kept: that is plain decoding": law_of(
                lambda p, q, chance: chance.draw(p)
            ),
        },
    ),
    Exercise(
        14,
        3,
        "best_length",
        "The best draft on a real machine",
        "hard",
        15,
        best_measured_draft_length,
        _length_cases,
        {
            "drafting takes time, too: guess_time for each guess": _length_by(drafting=False),
            "the bonus token is missing: a step gives one token more than it keeps": _length_by(
                tokens=lambda alpha, lengths: expected_tokens(alpha, lengths) - 1.0
            ),
            "a step with γ guesses scores γ + 1 tokens: its pass takes T(γ + 1)": _length_by(
                shift=-1
            ),
            "no draft at all is a choice as well: γ = 0": _length_by(plain=False),
            "guess k is kept only if those before it were: α + α² + …, not γα": _length_by(
                tokens=lambda alpha, lengths: 1.0 + alpha * lengths
            ),
        },
    ),
)
