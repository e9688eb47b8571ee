"""A student's function as seen from here: it runs in another process, with limits."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from rlcore.exercises import respond
from rlcore.exercises.handed_in import HandedIn

LONGEST_MESSAGE = 4_000_000  # bytes
POLL = 0.1  # seconds between two looks at what the process uses
PATIENCE = 4  # times the processor time that is allowed may pass on the clock, asleep or waiting
GRACE = 5.0  # seconds for a process that was killed to be gone


@dataclass(frozen=True)
class Limits:
    """What one exercise may use, the start of Python and the imports of the student included."""

    seconds: float = 20.0
    """Of processor time, as machines are busy; on the clock, ``PATIENCE`` times as many."""
    megabytes: float = 4000.0


def verdict_on(handed_in: HandedIn, judge: Callable[[Any], str], limits: Limits) -> str:
    """What ``judge`` says of a function that runs in a process of its own.

    Args:
        handed_in: the student's code.
        judge: gets a callable that forwards each call to that process, or, where no function was
            handed in, the value that was; whatever it raises is a verdict of *not yet*.
        limits: the process is killed when it uses more.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        process = psutil.Popen(
            [sys.executable, "-I", "-X", "utf8", str(Path(respond.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"},
        )
        conversation = _Conversation(process.stdin, process.stdout)
        found: list[str] = []

        def talk() -> None:
            try:
                found.append(judge(conversation.start(handed_in)))
            except Exception as error:
                found.append(f"not yet: {type(error).__name__}: {error}")

        # A thread, so that nothing which the process does or leaves undone can stop the clock.
        talking = threading.Thread(target=talk, daemon=True)
        talking.start()
        try:
            _watch(process, talking, conversation, limits)
        finally:
            if not talking.is_alive():
                for pipe in (process.stdin, process.stdout):
                    with contextlib.suppress(OSError):  # what could not be sent any more
                        pipe.close()
        return found[0] if found else f"not yet: {conversation.stopped}"


def _watch(
    process: psutil.Popen,
    talking: threading.Thread,
    conversation: _Conversation,
    limits: Limits,
) -> None:
    """Waits for the verdict; then, or when a limit is passed, ends all that the process started."""
    end = time.monotonic() + PATIENCE * limits.seconds
    family: set[psutil.Process] = {process}
    try:
        while talking.is_alive() and conversation.stopped is None:
            talking.join(POLL)
            seconds, memory = _use_of(family)
            if seconds > limits.seconds or time.monotonic() > end:
                conversation.stopped = TimeoutError(f"no answer within {limits.seconds:g} seconds")
            elif memory > limits.megabytes * 1e6:
                conversation.stopped = MemoryError(f"more than {limits.megabytes:g} MB")
    finally:
        for each in family:
            with contextlib.suppress(psutil.Error):  # it has ended by itself
                each.kill()
        process.wait(GRACE)
        talking.join(GRACE)


def _use_of(family: set[psutil.Process]) -> tuple[float, int]:
    """Seconds and bytes of the processes that are left; the family gains their children."""
    seconds, memory = 0.0, 0
    for each in list(family):
        with contextlib.suppress(psutil.Error):  # it has ended by itself
            times = each.cpu_times()
            seconds += times.user + times.system
            memory += each.memory_info().rss
            family.update(each.children(recursive=True))
    return seconds, memory


class _Stranger:
    """A value that is neither numbers nor text; no exercise takes one for an answer."""

    def __init__(self, text: str, kind: str) -> None:
        self._text = str(text)

    def __repr__(self) -> str:
        return self._text


class _Conversation:
    """Calls go out, values come in: nothing that comes in is run or trusted."""

    def __init__(self, outgoing: IO[bytes], incoming: IO[bytes]) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self.stopped: Exception | None = None

    def start(self, handed_in: HandedIn) -> Any:
        """The student's function, or whatever else the check was given."""
        self._send({"path": sys.path, "cells": handed_in.cells, "expression": handed_in.expression})
        kind, value = self._answer([])
        return self._call if kind == "callable" else value

    def _call(self, *arguments: Any) -> Any:
        live: list[Any] = []  # arguments that stay here, such as a source of chance

        def keep(argument: Any) -> Any:
            live.append(argument)
            return ["other", len(live) - 1, _methods(argument)]

        self._send(respond.encode(arguments, keep))
        return self._answer(live)[1]

    def _answer(self, live: list[Any]) -> tuple[str, Any]:
        """The value of a call; questions to the live arguments are answered on the way."""
        while True:
            kind, *content = self._receive()
            if kind in ("value", "callable"):
                return kind, self._decoded(content[0])
            if kind == "error":
                raise respond.named_error(*content)
            number, method, given = content
            if kind != "ask" or method not in _methods(live[number]):
                raise ValueError("an answer that is none")
            try:
                value = getattr(live[number], method)(*self._decoded(given))
                self._send(["value", respond.encode(value, lambda other: ["other", 0, []])])
            except Exception as error:  # of the question: it is for the one who asked
                self._send(["error", type(error).__name__, str(error)])

    def _decoded(self, data: Any) -> Any:
        return respond.decode(data, _Stranger)

    def _send(self, message: Any) -> None:
        try:
            self._outgoing.write(json.dumps(message).encode() + b"\n")
            self._outgoing.flush()
        except OSError:
            raise self._ended() from None

    def _receive(self) -> Any:
        line = self._incoming.readline(LONGEST_MESSAGE)
        if len(line) == LONGEST_MESSAGE:
            self.stopped = ValueError(f"an answer of more than {LONGEST_MESSAGE // 10**6} MB")
        if not line.endswith(b"\n"):
            raise self._ended()
        return json.loads(line)

    def _ended(self) -> Exception:
        return self.stopped or ChildProcessError("the function ended its process")


def _methods(live: Any) -> list[str]:
    names = [name for name in dir(type(live)) if not name.startswith("_")]
    return [name for name in names if callable(getattr(type(live), name))]
