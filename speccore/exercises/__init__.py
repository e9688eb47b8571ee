"""Checks of the exercises of Parts III and IV: ``check.<name>(your_function)`` prints one line.

The mechanism is that of ``rlcore.exercises``.
"""

from __future__ import annotations

from types import SimpleNamespace

from rlcore.exercises.exercise import Exercise, listing
from speccore.exercises import (
    chapter_09,
    chapter_10,
    chapter_11,
    chapter_12,
    chapter_13,
    chapter_14,
    chapter_15,
    chapter_16,
    chapter_17,
    chapter_18,
    chapter_19,
)

EXERCISES: tuple[Exercise, ...] = (
    *chapter_09.EXERCISES,
    *chapter_10.EXERCISES,
    *chapter_11.EXERCISES,
    *chapter_12.EXERCISES,
    *chapter_13.EXERCISES,
    *chapter_14.EXERCISES,
    *chapter_15.EXERCISES,
    *chapter_16.EXERCISES,
    *chapter_17.EXERCISES,
    *chapter_18.EXERCISES,
    *chapter_19.EXERCISES,
)

check = SimpleNamespace(**{exercise.name: exercise for exercise in EXERCISES})


def table(chapter: int | None = None) -> str:
    """The exercises of a chapter, or all, one a line with difficulty, minutes, title and check."""
    return listing(EXERCISES, chapter)
