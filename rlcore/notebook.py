"""What notebooks show of the packages: the source itself, so that text and code cannot differ."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cached_property
from typing import Any, cast

from IPython.display import Markdown


def show_source(*objects: Any, docstring: bool = False) -> Markdown:
    """The source of functions, classes or modules as the package has it, highlighted.

    Functions that are decorated, a learner's loop for example, are shown as they are written,
    decorators included.

    Args:
        objects: importable functions, methods, properties, classes or modules, at least one.
        docstring: show the documentation strings too.

    Raises:
        TypeError: an object without Python source.
    """
    if not objects:
        raise TypeError("show_source: takes at least one function, class or module, got none")
    blocks: dict[str, list[str]] = {}
    for shown in objects:
        written = _function_of(shown)
        try:
            source = textwrap.dedent(inspect.getsource(written)).strip("\n")
        except (TypeError, OSError):
            raise TypeError(
                f"show_source: takes functions, classes or modules written in Python, got {shown!r}"
            ) from None
        module = inspect.getmodule(written)
        name = module.__name__ if module is not None else "__main__"
        suffix = "/__init__.py" if hasattr(module, "__path__") else ".py"
        code = source if docstring else _without_docstrings(source)
        blocks.setdefault(name.replace(".", "/") + suffix, []).append(code)
    sections = []
    for path, codes in blocks.items():
        listing = "\n\n\n".join(codes)
        sections.append(f"`{path}`\n\n```python\n{listing}\n```")
    display: Any = Markdown
    return cast(Markdown, display("\n\n".join(sections)))


def _function_of(shown: Any) -> Any:
    """The function behind a property; behind decorators and kernels ``inspect`` looks itself."""
    if isinstance(shown, property):
        return shown.fget
    return shown.func if isinstance(shown, cached_property) else shown


def _without_docstrings(source: str) -> str:
    lines = source.split("\n")
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            continue
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is None or first.end_lineno is None:
            continue
        for number in range(first.lineno - 1, first.end_lineno):
            lines[number] = _REMOVED
        if len(node.body) == 1:
            lines[first.lineno - 1] = " " * first.col_offset + "..."
        elif first.end_lineno < len(lines) and not lines[first.end_lineno].strip():
            lines[first.end_lineno] = _REMOVED
    return "\n".join(line for line in lines if line != _REMOVED)


_REMOVED = "\0"
