"""Committed notebooks as the tests see them."""

import ast
import dis
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import CodeType

import nbformat

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHAPTERS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
SOLUTIONS = sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Cell:
    """A cell with what the checks ask of it."""

    position: int
    kind: str
    source: str
    tags: tuple[str, ...]
    execution_count: int | None
    outputs: list

    @property
    def shows_a_widget(self) -> bool:
        return self.kind == "code" and bool(re.search(r"\bwidgets\.\w+\(", self.source))

    @property
    def names(self) -> tuple[set[str], set[str]]:
        """What the cell changes, and what it needs from cells before it."""
        python = re.sub(r"^[%!].*", "", self.source, flags=re.MULTILINE)
        changed, needed = set(), set()
        for code in _codes(compile(python, "cell", "exec")):
            for step in dis.get_instructions(code):
                if step.opname == "STORE_NAME":
                    changed.add(step.argval)
                elif step.opname in ("LOAD_NAME", "LOAD_GLOBAL") and step.argval not in changed:
                    needed.add(step.argval)
        for node in ast.walk(ast.parse(python)):  # x[…] = and x.y = change x
            if isinstance(getattr(node, "ctx", None), ast.Store):
                while isinstance(node, ast.Subscript | ast.Attribute):
                    node = node.value
                    if isinstance(node, ast.Name):
                        changed.add(node.id)
        return changed, needed

    @property
    def shows_a_picture(self) -> bool:
        return any("image/png" in output.get("data", {}) for output in self.outputs)

    @property
    def output_text(self) -> str:
        """All text that a reader sees below the cell."""
        shown = []
        for output in self.outputs:
            shown.append(str(output.get("text", "")))
            shown.extend(output.get("traceback", []))
            data = output.get("data", {})
            shown.extend(str(data[mime]) for mime in data if mime.startswith("text/"))
        return "\n".join(shown)

    def __str__(self) -> str:
        first_line = self.source.strip().split("\n")[0]
        return f"cell {self.position} ({first_line[:60]})"


@dataclass(frozen=True)
class Notebook:
    """A committed notebook and the parts that the checks ask for."""

    path: Path

    @cached_property
    def raw(self) -> nbformat.NotebookNode:
        return nbformat.read(self.path, as_version=4)

    @cached_property
    def cells(self) -> list[Cell]:
        return [
            Cell(
                position,
                cell.cell_type,
                cell.source,
                tuple(cell.metadata.get("tags", [])),
                cell.get("execution_count"),
                cell.get("outputs", []),
            )
            for position, cell in enumerate(self.raw.cells)
        ]

    @property
    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.kind == "code"]

    def without_what_no_widget_needs(self) -> nbformat.NotebookNode:
        """A copy without the code cells whose names no widget depends on."""
        wanted, kept = set(), []
        for cell in reversed(self.cells):
            changed, needed = cell.names if cell.kind == "code" else (set(), set())
            if cell.kind == "markdown" or cell.shows_a_widget or changed & wanted:
                wanted |= needed
                kept.append(self.raw.cells[cell.position])
        return nbformat.from_dict({**self.raw, "cells": kept[::-1]})

    @cached_property
    def text(self) -> str:
        """All Markdown of the notebook."""
        return "\n\n".join(cell.source for cell in self.cells if cell.kind == "markdown")

    @cached_property
    def headings(self) -> list[str]:
        return re.findall(r"^(#+ .+?)\s*$", without_code(self.text), flags=re.MULTILINE)

    def section(self, title: str) -> str:
        """The Markdown between a second-level heading and the next."""
        _, _, rest = self.text.partition(f"\n## {title}")
        return re.split(r"^## ", rest, flags=re.MULTILINE)[0]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after #: headings as JupyterLab spells them, and explicit ids."""
        titles = {heading.lstrip("# ").replace(" ", "-") for heading in self.headings}
        return titles | set(re.findall(r"""<a (?:id|name)=["']([^"']+)["']""", self.text))


def without_code(markdown: str) -> str:
    """Markdown without fenced blocks, code spans and formulas, where brackets are not links."""
    markdown = re.sub(r"^(```|~~~).*?^\1", "", markdown, flags=re.DOTALL | re.MULTILINE)
    markdown = re.sub(r"`[^`]*`", "", markdown)
    return re.sub(r"\$\$.*?\$\$|\$[^$]*\$", "", markdown, flags=re.DOTALL)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all those of functions and classes inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
