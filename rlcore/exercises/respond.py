"""The process in which a student's function runs: it answers calls with values, and no more.

Started as a script by ``rlcore.exercises.remote``, which holds the inputs, the expected answers and
the comparison. What a student's code changes here, it changes only here. Messages are lines of
JSON; ``encode`` and ``decode`` carry numbers, text, lists, tuples, dictionaries and arrays. Of any
other argument only the methods can be called, and they run on the other side.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

PLAIN_ARRAYS = "?bBhHiIlLqQefd"  # booleans, integers, floats up to 64 bits
LONGEST_TEXT = 300

# -- values as JSON --------------------------------------------------------------------------------


def encode(value: Any, other: Callable[[Any], Any]) -> Any:
    """A value as JSON takes it; ``other`` says what to make of one that is not plain."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if value is ...:
        return ["..."]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.char in PLAIN_ARRAYS:
        return ["array", value.dtype.str, value.shape, value.tolist()]
    if isinstance(value, Mapping):
        return ["dict", [[encode(k, other), encode(v, other)] for k, v in value.items()]]
    if isinstance(value, list | tuple):
        kind = "list" if isinstance(value, list) else "tuple"
        return [kind, [encode(each, other) for each in value]]
    return other(value)


def decode(data: Any, other: Callable[..., Any]) -> Any:
    """The inverse of ``encode``; ``other`` gets what the other side made of a value not plain."""
    if not isinstance(data, list):
        return data
    kind, *content = data
    match kind:
        case "...":
            return ...
        case "array":
            letters, shape, numbers = content
            dtype = np.dtype(letters)
            if dtype.char not in PLAIN_ARRAYS:
                raise ValueError(f"array: takes booleans, integers or floats, got {letters!r}")
            return np.array(numbers, dtype).reshape(shape)[()]
        case "dict":
            return {decode(k, other): decode(v, other) for k, v in content[0]}
        case "list":
            return [decode(each, other) for each in content[0]]
        case "tuple":
            return tuple(decode(each, other) for each in content[0])
        case "other":
            return other(*content)
    raise ValueError(f"message: takes a kind of value, got {kind!r}")


def named_error(name: str, text: str) -> Exception:
    """An error of the other side: the checks know one kind, and show the names of the others."""
    if name == "NotImplementedError":
        return NotImplementedError(text)
    return type(name if str(name).isidentifier() else "Exception", (Exception,), {})(text)


# -- the student's side ----------------------------------------------------------------------------


def _described(value: Any) -> Any:
    """What numpy makes numbers of is sent as numbers (a tensor, a range); the rest as text."""
    try:
        numbers = np.asarray(value)
        if numbers.dtype.char not in PLAIN_ARRAYS:
            numbers = np.asarray(value, dtype=float)
    except Exception:
        return ["other", repr(value)[:LONGEST_TEXT], type(value).__name__]
    return encode(numbers, _described)


class _Elsewhere:
    """An argument that stayed on the other side; its methods are called there."""

    def __init__(self, number: int, methods: list[str], ask: Callable[..., Any]) -> None:
        for name in methods:
            setattr(self, name, lambda *given, name=name: ask(number, name, given))


def _hide_the_checks() -> None:
    """In the place of the checks, modules that import and do nothing."""

    class Silent:
        def __getattr__(self, name: str) -> Any:
            return lambda *given, **named: None

    for package in ("rlcore", "speccore"):
        module = ModuleType(f"{package}.exercises")
        vars(module).update(check=Silent(), table=lambda chapter=None: "")
        sys.modules[module.__name__] = module


def _function(cells: list[Any], expression: str) -> Any:
    """Runs the chosen statements of each cell, and returns what is handed to the check."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    for label, source, chosen in cells:
        body = ast.parse(source).body
        tree = ast.Module([body[index] for index in chosen], type_ignores=[])
        exec(compile(tree, label, "exec", dont_inherit=True), vars(module))
    return eval(compile(f"({expression}\n)", "check", "eval", dont_inherit=True), vars(module))


def main() -> None:
    """Talk over what were standard input and output; the student's code gets empty ones."""
    incoming, outgoing = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)

    def send(*message: Any) -> None:
        outgoing.write(json.dumps(message).encode() + b"\n")
        outgoing.flush()

    def receive() -> Any:
        line = incoming.readline()
        if not line:
            os._exit(0)  # the other side has heard enough
        return json.loads(line)

    def ask(number: int, method: str, given: tuple[Any, ...]) -> Any:
        send("ask", number, method, encode(given, _described))
        answered, *content = receive()
        if answered == "error":
            raise named_error(*content)
        return decode(content[0], elsewhere)

    def elsewhere(number: int, methods: list[str]) -> _Elsewhere:
        return _Elsewhere(number, methods, ask)

    def attempt(run: Callable[[], Any]) -> Any:
        """Sends what comes out of student's code, whichever way it ends."""
        try:
            value = run()
            send("callable" if callable(value) else "value", encode(value, _described))
            return value
        except BaseException as error:  # SystemExit too: it is a wrong answer, not an end
            send("error", type(error).__name__, str(error)[:LONGEST_TEXT])

    start = receive()
    sys.path[:] = start["path"]
    _hide_the_checks()
    function = attempt(lambda: _function(start["cells"], start["expression"]))
    while True:
        attempt(partial(function, *decode(receive(), elsewhere)))


if __name__ == "__main__":
    main()
