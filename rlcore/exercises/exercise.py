"""The check of one exercise, and what the exercises of several chapters share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arguments = dict[str, Any]
# Wide enough for an iteration that was stopped when it hardly moved any more.
TOLERANCE = 1e-6
LONGEST_INPUT = 100  # characters of an argument in a message


@dataclass(frozen=True)
class Exercise:
    """One exercise with its check; call it with the reader's function."""

    chapter: int
    number: int
    name: str
    title: str
    difficulty: str  # easy, medium or hard
    minutes: int
    solution: Callable[..., Any]
    """What the package computes; called with the same arguments as the reader's function."""
    cases: Callable[[np.random.Generator], Iterator[Arguments]]
    """Inputs, the simplest first; the generator is seeded, so they are always the same."""
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """What a mistake looks like → a function that makes it."""

    def __call__(self, function: Any) -> None:
        """Print whether the function is right, and if not, where it goes wrong."""
        print(self.verdict(function))

    def verdict(self, function: Any, seed: int | None = None) -> str:
        """*not attempted yet*, *not yet: …* or *correct*; with a seed, on inputs of its own."""
        if function is ...:
            return "not attempted yet"
        if not callable(function):
            return (
                f"not yet: check.{self.name} takes the function itself, "
                f"got {_shown(function)} ({type(function).__name__})"
            )
        cases = list(self.cases(np.random.default_rng(self.chapter if seed is None else seed)))
        for number, arguments in enumerate(cases):
            where = ", ".join(f"{name} = {_shown(value)}" for name, value in arguments.items())
            try:
                answer = _call(function, arguments)
            except NotImplementedError:
                return "not attempted yet"
            except Exception as error:
                return f"not yet: {type(error).__name__}: {error} — for {where}"
            if answer is ... and number == 0:
                return "not attempted yet"
            if answer is None and number == 0:
                return "not attempted yet (the function returns None: it ends without a return)"
            expected = self.solution(**copy.deepcopy(arguments))
            if not _equal(answer, expected):
                looks_like = self._diagnosis(function, answer, arguments, cases)
                return (
                    f"not yet: {looks_like}for {where}: "
                    f"expected {_shown(expected)}, got {_shown(answer)}"
                )
        return "correct"

    def _diagnosis(
        self, function: Any, answer: Any, arguments: Arguments, cases: list[Arguments]
    ) -> str:
        """The mistake that gives this answer; of several, the one that fits most of the cases."""
        fits = {}
        for mistake, wrong in self.mistakes.items():
            if _equal(answer, _answer_or_none(wrong, arguments)):
                fits[mistake] = sum(
                    _equal(_answer_or_none(function, case, by_name=False), wrong_answer)
                    for case in cases
                    if (wrong_answer := _answer_or_none(wrong, case)) is not None
                )
        return f"{max(fits, key=lambda mistake: fits[mistake])} — " if fits else ""


def _call(function: Any, arguments: Arguments) -> Any:
    """The reader's function gets its arguments by position, and as copies of its own."""
    return function(*copy.deepcopy(list(arguments.values())))


def _answer_or_none(function: Any, arguments: Arguments, *, by_name: bool = True) -> Any:
    try:
        return function(**copy.deepcopy(arguments)) if by_name else _call(function, arguments)
    except Exception:  # a mistake may be one that some inputs do not survive
        return None


def _equal(answer: Any, expected: Any) -> bool:
    if isinstance(expected, Mapping):
        return (
            isinstance(answer, Mapping)
            and set(answer) == set(expected)
            and all(_equal(answer[key], expected[key]) for key in expected)
        )
    if isinstance(expected, tuple):
        return (
            isinstance(answer, tuple | list)
            and len(answer) == len(expected)
            and all(_equal(a, e) for a, e in zip(answer, expected, strict=True))
        )
    if expected is None or answer is None:
        return False
    try:
        numbers = np.asarray(answer, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return False
    wanted = np.asarray(expected, dtype=float)
    return numbers.shape == wanted.shape and np.allclose(
        numbers, wanted, rtol=TOLERANCE, atol=TOLERANCE
    )


def _shown(value: Any) -> str:
    """A value on one line, rounded, and cut where it is long."""
    text = _text(value)
    return text if len(text) <= LONGEST_INPUT else text[: LONGEST_INPUT - 1] + "…"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(k)}: {_text(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_text, value)) + ")"
    return repr(value)


# -- what several chapters share -------------------------------------------------------------------

NO_GAMMA = "γ seems to be missing"
THROUGH_THE_END = "the value of the state after the end seems to be counted: nothing follows"


def with_fixed(solution: Callable[..., Any], **changes: Any) -> Callable[..., Any]:
    """The solution with some of its arguments fixed, whatever the input says."""
    return lambda **arguments: solution(**{**arguments, **changes})


def step_discount(terminated: bool, gamma: float) -> float:
    """γ, or 0 at the end: nothing follows."""
    return 0.0 if terminated else gamma


# The first two cases of all one-step targets: small numbers, without and with the end.
SMALL_Q = np.array([[0.0, 1.0, 2.0], [6.0, 4.0, 8.0]])


def random_steps(rng: np.random.Generator) -> Iterator[tuple[Any, float, int, bool]]:
    """(q, reward, next_state, terminated), simple ones first."""
    for terminated in (False, True):
        yield SMALL_Q, 1.0, 1, terminated
    for terminated in (False, False, True, False):
        q = rng.normal(size=(4, 3)).round(2)
        yield q, float(rng.integers(-3, 4)), int(rng.integers(4)), terminated


def listing(exercises: Sequence[Exercise], chapter: int | None = None) -> str:
    """Exercises one a line with difficulty, minutes, title and check; of one chapter, or all."""
    lines = [
        f"{each.chapter:02d}.{each.number}  {each.difficulty:6}  {each.minutes:2d} min  "
        f"{each.title}  (check.{each.name})"
        for each in exercises
        if chapter in (None, each.chapter)
    ]
    return "\n".join(lines)
