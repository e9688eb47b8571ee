"""What a student handed in: the function given to each check, with the code that it needs.

A chapter takes minutes to run, its exercises seconds. Of all code before ``check.<name>(…)`` only
the statements are kept that bind a name which is needed, those that bind what these need, and so
on; also those that change such a name in place (``memo[0] = 1``, ``memo.append(1)``), as running
from top to bottom would.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

UNREADABLE = (OSError, ValueError, RecursionError)  # a JSON or a Unicode error is a ValueError
UNPARSABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


@dataclass(frozen=True)
class HandedIn:
    """The code of one answer."""

    cells: list[tuple[str, str, list[int]]]
    """Label, source and which of its statements to run, of each cell in order."""
    expression: str
    """What the check was given; evaluated after the cells."""


class Cell(NamedTuple):
    """A cell of code; without a tree it is not Python, and ``error`` says why."""

    label: str
    source: str
    tree: ast.Module | None
    error: str = ""


def read_cells(path: Path) -> list[Cell]:
    """The code cells of a notebook; a Python file is one cell.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read (``UNREADABLE``).
    """
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix != ".ipynb":
        return [_cell(path.name, text)]
    try:
        return [
            _cell(f"cell {number}", "".join(cell["source"]))
            for number, cell in enumerate(json.loads(text)["cells"], 1)
            if cell["cell_type"] == "code"
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: takes a notebook of format 4") from error


def _cell(label: str, source: str) -> Cell:
    try:
        return Cell(label, source, ast.parse(source))
    except UNPARSABLE:  # perhaps for a magic of IPython, which plain Python does not know
        source = re.sub(r"^(\s*)([%!?].*|.*\?)$", r"\1pass", source, flags=re.MULTILINE)
    try:
        return Cell(label, source, ast.parse(source))
    except UNPARSABLE as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return Cell(label, source, None, f"{type(error).__name__} in {label}{line}")


def names_in(cells: list[Cell], known: set[str]) -> set[str]:
    """The exercises that the cells are about: those given to a check, or else those defined."""
    text = "\n".join(cell.source for cell in cells)
    checked = set(re.findall(r"\bcheck\s*\.\s*(\w+)", text)) & known
    return checked or set(re.findall(r"^def +(\w+)", text, flags=re.MULTILINE)) & known


def find(cells: list[Cell], name: str) -> HandedIn | str:
    """The answer to an exercise: the last ``check.<name>(…)``, or else a function of that name.

    Returns:
        the answer, or the verdict where there is none.
    """
    broken = [cell for cell in cells if cell.tree is None and name in names_in([cell], {name})]
    calls = [
        (cell, index, argument)
        for cell in cells
        if cell.tree
        for index, statement in enumerate(cell.tree.body)
        for argument in _given_to_check(statement, name)
    ]
    if calls:
        cell, index, argument = calls[-1]
        expression = ast.get_source_segment(cell.source, argument) or ""
        before = [*cells[: cells.index(cell)], _head(cell, index)]
        return HandedIn(_needed(before, ast.Expr(argument)), expression)
    if broken:
        return f"not yet: {broken[-1].error}"
    defined = [
        cell
        for cell in cells
        if cell.tree
        and any(isinstance(each, ast.FunctionDef) and each.name == name for each in cell.tree.body)
    ]
    if defined:
        return HandedIn(_needed(cells, ast.Expr(ast.Name(name, ast.Load()))), name)
    return f"not attempted yet (no check.{name}(…) in the file)"


def _given_to_check(statement: ast.stmt, name: str) -> Iterator[ast.expr]:
    """The argument of every ``check.<name>(argument)`` in a statement."""
    for node in ast.walk(statement):
        match node:
            case ast.Call(ast.Attribute(ast.Name("check") | ast.Attribute(_, "check"), attr), args):
                if attr == name and len(args) == 1:
                    yield args[0]


def _head(cell: Cell, count: int) -> Cell:
    assert cell.tree
    return cell._replace(tree=ast.Module(cell.tree.body[:count], type_ignores=[]))


def _needed(cells: list[Cell], goal: ast.stmt) -> list[tuple[str, str, list[int]]]:
    """The statements that the goal needs: again and again through all, until nothing is new."""
    statements = []
    for cell in cells:
        for index, statement in enumerate(cell.tree.body if cell.tree else []):
            with suppress(*UNPARSABLE):  # a return outside a function, for example
                statements.append((cell, index, *_reads_and_binds(statement)))
    needed, before = _reads_and_binds(goal)[0] | {"*"}, None
    while needed != before:
        before = frozenset(needed)
        needed = needed.union(*(reads for _, _, reads, binds in statements if binds & needed))
    chosen: dict[str, tuple[str, str, list[int]]] = {
        cell.label: (cell.label, cell.source, []) for cell in cells
    }
    for cell, index, _, binds in statements:
        if binds & needed:
            chosen[cell.label][2].append(index)
    return [each for each in chosen.values() if each[2]]


def _reads_and_binds(statement: ast.stmt) -> tuple[set[str], set[str]]:
    """Global names that a statement reads, and those that it binds or changes."""
    reads, binds = set(), set()
    module = ast.fix_missing_locations(ast.Module([statement], type_ignores=[]))
    tables = [symtable.symtable(ast.unparse(module), "cell", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            outermost = table.get_type() == "module"
            if symbol.is_referenced() if outermost else symbol.is_global():
                reads.add(symbol.get_name())
            assigned = symbol.is_assigned() or symbol.is_imported()
            if assigned and (outermost or symbol.is_declared_global()):
                binds.add(symbol.get_name())
    for node in ast.walk(statement):
        match node:
            case ast.Subscript(ctx=ast.Store()) | ast.Attribute(ctx=ast.Store()):
                binds |= _root(node)
            case ast.Expr(ast.Call(ast.Attribute() as method)):
                binds |= _root(method)
            case ast.ImportFrom(module="__future__") | ast.ImportFrom(names=[ast.alias("*")]):
                binds.add("*")
    return reads, binds


def _root(node: ast.expr) -> set[str]:
    """The name on which a chain of attributes, items and calls rests."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return {node.id} if isinstance(node, ast.Name) else set()
