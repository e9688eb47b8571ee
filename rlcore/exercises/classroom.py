"""Check what a class handed in: ``python -m speccore.exercises FILE_OR_FOLDER …``.

Takes notebooks and Python files, and folders, in which it looks for both. For each file it prints
the exercises of the chapters that the file is about: *correct*, *not yet* and why, or *not
attempted yet*; at the end, a summary. Without files it lists the exercises. The exit status is

0. every file has exercises, and all of them are correct;
1. some are not, or a file has none (of those asked for);
2. a file could not be read, or an option is wrong; what can be checked is checked all the same.

**What decides.** The function that the file gives to ``check.<name>(…)``, or, if there is no such
call, a function of that name. It must be right on the inputs of the notebook and on others, drawn
with ``--seed``: the expected answers that the notebook's check shows cannot be handed in. Of the
rest of the file only what the function needs is run; modules beside the file are not found.

**What cannot.** A student's code runs in a process of its own, one for each exercise, which gets
inputs and gives back plain values. The expected answers, the comparison and the printing are in
this process. So nothing that the code prints, raises, ends, redefines or writes to the channel
makes a wrong answer correct: all it can send are values, and they must be right. The process is
killed, with all processes it started, when its time or memory is used up.

**What this does not do.** It does not judge how an answer came about: code copied from a neighbour,
or taken from the package, is correct. ``rlcore.exercises`` and ``speccore.exercises`` are empty in
that process, but their files can be read. And it is not a sandbox: the code may read and write
files and use the network with the rights of whoever starts the check, so it could damage the course
that a later check is made with. Check the work of strangers in a container, and start the check in
the folder of the course: Python takes modules first from the folder that it is started in.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rlcore.exercises.exercise import Exercise, listing
from rlcore.exercises.handed_in import UNREADABLE, find, names_in, read_cells
from rlcore.exercises.remote import Limits, verdict_on

VERDICTS = ("correct", "not yet", "not attempted")
SUFFIXES = (".ipynb", ".py")


@dataclass(frozen=True)
class Row:
    """The verdict on one exercise in one file."""

    path: Path
    exercise: Exercise
    verdict: str

    @property
    def kind(self) -> str:
        """One of ``VERDICTS``."""
        return next(kind for kind in VERDICTS if self.verdict.startswith(kind))


def files_in(paths: Sequence[Path]) -> list[Path]:
    """The files, and in the place of a folder the notebooks and Python files in it."""
    found = []
    for path in paths:
        inside = path.rglob("*") if path.is_dir() else [path]
        found += sorted(
            each
            for each in inside
            if each == path
            or (
                each.suffix in SUFFIXES
                and each.is_file()
                and not any(part.startswith((".", "__")) for part in each.relative_to(path).parts)
            )
        )
    return found


def rows_of(
    path: Path, exercises: Sequence[Exercise], wanted: Sequence[Exercise], limits: Limits, seed: int
) -> list[Row]:
    """The verdicts on the wanted exercises of all chapters that a file is about.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read (``UNREADABLE``).
    """
    cells = read_cells(path)
    named = names_in(cells, {each.name for each in exercises})
    chapters = {each.chapter for each in exercises if each.name in named}
    rows = []
    for exercise in [each for each in wanted if each.chapter in chapters]:
        found = find(cells, exercise.name)
        if not isinstance(found, str):
            found = verdict_on(found, partial(_judge, exercise, seed), limits)
        rows.append(Row(path, exercise, _one_line(found)))
    return rows


def _judge(exercise: Exercise, seed: int, function: Any) -> str:
    verdict = exercise.verdict(function)
    return exercise.verdict(function, seed) if verdict == "correct" else verdict


def _one_line(text: str) -> str:
    """Printable and on one line, whatever a student's message contains."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# -- the command -----------------------------------------------------------------------------------


def main(
    exercises: Sequence[Exercise], program: str, arguments: Sequence[str] | None = None
) -> int:
    """The command for these exercises; returns the exit status."""
    given = _parser(exercises, program).parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console may lack a letter
        sys.stdout.reconfigure(errors="backslashreplace")
    wanted = [
        each
        for each in exercises
        if given.chapter in (None, each.chapter)
        and (not given.exercise or each.name in given.exercise)
    ]
    if not given.paths:
        print(listing(wanted))
        return 0
    limits = Limits(given.seconds, given.megabytes)
    files = files_in(given.paths)
    rows: list[Row] = []
    status = 0 if files else 1
    pool = ThreadPoolExecutor(given.jobs)
    try:
        started = [
            pool.submit(rows_of, path, exercises, wanted, limits, given.seed) for path in files
        ]
        for path, pending in zip(files, started, strict=True):
            print(_one_line(str(path)))
            try:
                found = pending.result()
            except UNREADABLE as error:
                print(f"  could not be read: {_one_line(f'{type(error).__name__}: {error}')}")
                status = 2
                continue
            print("\n".join(_lines(found)) or "  none of the exercises", flush=True)
            rows += found
            if not found or any(row.kind != "correct" for row in found):
                status = max(status, 1)
    finally:
        pool.shutdown(cancel_futures=True)
    print("\n".join(_summary(rows, len(files))))
    if given.csv:
        _write(given.csv, rows)
    return status


def _parser(exercises: Sequence[Exercise], program: str) -> argparse.ArgumentParser:
    summary, *_ = (__doc__ or "").split("\n\n**")
    parser = argparse.ArgumentParser(
        prog=f"python -m {program}",
        description=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="FILE_OR_FOLDER")
    parser.add_argument(
        "--chapter", type=int, choices=sorted({each.chapter for each in exercises}), metavar="N"
    )
    parser.add_argument(
        "--exercise",
        action="append",
        choices=[each.name for each in exercises],
        metavar="NAME",
        help="as in check.NAME; may be given several times",
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=Limits.seconds,
        help="of processor time for each exercise (%(default)s)",
    )
    parser.add_argument(
        "--megabytes",
        type=_positive,
        default=Limits.megabytes,
        help="of memory, likewise (%(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the inputs besides the notebook's (%(default)s)"
    )
    parser.add_argument(
        "--jobs", type=_count, default=os.cpu_count() or 1, help="files at a time (%(default)s)"
    )
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the rows to a table")
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"takes a number > 0, got {text}")
    return number


def _count(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"takes a number >= 1, got {text}")
    return number


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    width = max((len(row.exercise.name) for row in rows), default=0)
    for row in rows:
        each = row.exercise
        yield f"  {each.chapter:02d}.{each.number}  {each.name:{width}}  {row.verdict}"


def _summary(rows: Sequence[Row], files: int) -> Iterator[str]:
    """All files together, exercise by exercise."""
    yield f"\n{files} files, {len(rows)} exercises: {_counts(rows)}"
    names = {row.exercise.name: row.exercise for row in rows}
    if len(names) < len(rows):
        for name, each in sorted(names.items(), key=lambda n: (n[1].chapter, n[1].number)):
            of_it = [row for row in rows if row.exercise.name == name]
            yield f"  {each.chapter:02d}.{each.number}  {name}: {_counts(of_it)}"


def _counts(rows: Sequence[Row]) -> str:
    count = Counter(row.kind for row in rows)
    return ", ".join(f"{count[kind]} {kind}" for kind in VERDICTS)


def _write(path: Path, rows: Sequence[Row]) -> None:
    """A row for each verdict; no cell of it is a formula, whatever a file is called."""
    with path.open("w", encoding="utf-8-sig", newline="") as file:  # so spreadsheets know UTF-8
        table = csv.writer(file)
        table.writerow(["file", "chapter", "number", "exercise", "verdict", "in full"])
        for row in rows:
            each = row.exercise
            name = _one_line(str(row.path))
            name = f"'{name}" if name.startswith(("=", "+", "-", "@")) else name
            table.writerow([name, each.chapter, each.number, each.name, row.kind, row.verdict])
