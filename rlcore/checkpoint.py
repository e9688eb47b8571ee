"""Arrays in a file, in safetensors format: written whole or not at all, and checked when read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

Arrays = Mapping[str, NDArray[Any]]


def save_arrays(path: str | Path, arrays: Arrays, metadata: Mapping[str, str]) -> None:
    """Write named arrays, some lines of text about them, and their SHA-256; see ``write_whole``."""
    write_whole(path, save(dict(arrays), {**metadata, "sha256": digest(arrays)}))


def write_whole(path: str | Path, content: bytes) -> None:
    """Write a file that appears under its name when it is complete.

    What stood there before stays until then.
    """
    path = Path(path)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def load_arrays(
    path: str | Path, argument: str = "path"
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a file that ``save_arrays`` wrote.

    Args:
        path: the file.
        argument: the caller's name for it, for messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no such file, or damaged.
    """
    damaged = f"{argument}: takes a checkpoint of this course; {path} is none, or damaged"
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError:
        raise ValueError(damaged) from None
    if metadata.get("sha256") != digest(arrays):
        raise ValueError(damaged)
    return arrays, metadata


def digest(arrays: Arrays) -> str:
    """SHA-256 of names and contents, in hexadecimal digits."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).tobytes())
    return found.hexdigest()
