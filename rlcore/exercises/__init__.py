"""Checks of the exercises: ``check.<name>(your_function)`` prints one line.

It says *not attempted yet* while the stub is as shipped, *correct*, or *not yet* with the input on
which the answer is wrong, and, where the mistake is a common one, what it looks like. The truth is
what the package itself computes; each common mistake is written down next to it as a function, so
that a wrong answer can be recognised, and so that the tests can prove that it is.
"""

from __future__ import annotations

from types import SimpleNamespace

from rlcore.exercises import (
    chapter_01,
    chapter_02,
    chapter_03,
    chapter_04,
    chapter_05,
    chapter_06,
    chapter_07,
    chapter_08,
)
from rlcore.exercises.exercise import listing

EXERCISES = (
    *chapter_01.EXERCISES,
    *chapter_02.EXERCISES,
    *chapter_03.EXERCISES,
    *chapter_04.EXERCISES,
    *chapter_05.EXERCISES,
    *chapter_06.EXERCISES,
    *chapter_07.EXERCISES,
    *chapter_08.EXERCISES,
)

check = SimpleNamespace(**{exercise.name: exercise for exercise in EXERCISES})


def table(chapter: int | None = None) -> str:
    """The exercises of a chapter, or all, one a line with difficulty, minutes, title and check."""
    return listing(EXERCISES, chapter)
