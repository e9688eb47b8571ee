"""Files that are whole."""

import os
from pathlib import Path

import pytest

from rlcore.checkpoint import write_whole


def test_a_file_has_the_bytes_that_are_written_and_nothing_stands_beside_it(tmp_path):
    path = tmp_path / "file.json"
    for content in (b"first\n", b"\x00 \xc3\xa9\r\n", b""):
        write_whole(path, content)
        assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("place", "name"), [(Path, "write_bytes"), (os, "replace")])
def test_a_file_that_cannot_be_finished_leaves_the_old_one(place, name, tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    path.write_text("old", encoding="utf-8")

    def fail(path, *_):
        Path(path).write_text("ha", encoding="utf-8")  # half of it
        raise OSError("no space left")

    monkeypatch.setattr(place, name, fail)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, b"half")
    assert path.read_text(encoding="utf-8") == "old" and list(tmp_path.iterdir()) == [path]
