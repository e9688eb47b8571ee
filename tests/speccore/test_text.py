"""Bytes and corpus: the same on every call, split by file, and nothing that is not source."""

import random
import sysconfig
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speccore.models import text
from speccore.models.prompts import KINDS
from speccore.models.text import (
    ByteTokenizer,
    batches,
    language_reference,
    standard_library,
)

TOKENIZER = ByteTokenizer()


@given(st.text())
def test_every_text_comes_back(written):
    written = written.encode("utf-8", errors="replace").decode()
    ids = TOKENIZER.encode(written)
    assert TOKENIZER.decode(ids) == written
    assert all(0 <= each < TOKENIZER.vocab_size for each in ids)


def test_half_a_letter_is_shown_as_such():
    assert TOKENIZER.encode("aé") == [97, 195, 169]
    assert TOKENIZER.decode([97, 195]) == "a\ufffd"
    for wrong in (-1, 256):
        with pytest.raises(ValueError, match=f"ids: takes numbers from 0 to 255, got {wrong}"):
            TOKENIZER.decode([97, wrong])


def test_no_model_has_been_trained_on_a_prompt():
    trained_on = bytes(standard_library().train.numpy())
    prompts = [each for kind in KINDS.values() for each in kind]
    assert len(set(prompts)) == len(prompts) >= 40 and len(KINDS["fresh code"]) >= 20
    assert not [each for each in prompts if each.encode() in trained_on]


def test_the_corpus_is_the_library_s_own_sources():
    corpus = standard_library()
    root = Path(sysconfig.get_path("stdlib"))
    files = corpus.train_files + corpus.validation_files
    assert "dataclasses.py" in files and "json/decoder.py" in files
    assert len(files) > 300 and len(set(files)) == len(files)
    folders = {folder for name in files for folder in name.split("/")[:-1]}
    assert not folders & {"site-packages", "dist-packages", "test", "idlelib", "__pycache__"}
    assert not [name for name in files if "_sysconfigdata" in name]
    for side, names in (
        (corpus.train, corpus.train_files),
        (corpus.validation, corpus.validation_files),
    ):
        assert list(names) == sorted(names)
        contents = bytes(side.numpy()).split(b"\0")
        assert contents.pop() == b"", "each file ends with the end of text"
        assert len(contents) == len(names)
        assert contents[0] == (root / names[0]).read_bytes().replace(b"\r\n", b"\n")
    assert len(corpus.train) > 3_000_000


def test_a_file_s_side_depends_on_its_name_alone():
    corpus = standard_library()
    assert not set(corpus.train_files) & set(corpus.validation_files)
    share = len(corpus.validation_files) / len(corpus.train_files + corpus.validation_files)
    assert 0.05 < share < 0.16
    for name in corpus.validation_files:
        assert zlib.crc32(name.encode()) < 0.1 * 2**32
    more = standard_library(validation=0.3)
    assert set(corpus.validation_files) < set(more.validation_files)
    assert more.sha256 == corpus.sha256


def test_the_corpus_is_the_same_on_every_call_and_in_any_order_of_the_disk(monkeypatch):
    first = standard_library()
    found = Path.rglob

    def shuffled(self, pattern):
        paths = list(found(self, pattern))
        random.Random(0).shuffle(paths)
        return paths

    monkeypatch.setattr(Path, "rglob", shuffled)
    second = standard_library()
    assert second.sha256 == first.sha256
    assert torch.equal(second.train, first.train)
    assert torch.equal(second.validation, first.validation)


def test_a_python_without_sources_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(text.sysconfig, "get_path", lambda name: str(tmp_path))
    with pytest.raises(FileNotFoundError, match="no sources"):
        standard_library()
    (tmp_path / "one.py").write_bytes(b"x = 1\r\n")
    assert standard_library().sha256 != ""


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_split_takes_a_share(share):
    with pytest.raises(ValueError, match=r"validation: takes a number in \(0, 1\)"):
        standard_library(validation=share)


def test_the_language_reference_is_prose():
    prose = language_reference()
    assert prose.dtype == torch.uint8
    assert len(prose) > 100_000
    assert TOKENIZER.decode(prose.tolist()).count(" the ") > 1000


def test_windows_are_the_text_and_the_text_one_further():
    data = torch.arange(50, dtype=torch.uint8)
    stream = batches(data, batch=64, length=7, generator=torch.Generator().manual_seed(0))
    starts = set()
    for _ in range(20):
        tokens, targets = next(stream)
        assert tokens.shape == targets.shape == (64, 7)
        assert tokens.dtype == targets.dtype == torch.int64
        assert torch.equal(targets, tokens + 1)
        starts |= set(tokens[:, 0].tolist())
    assert starts == set(range(43)), "the first and the last window occur too"


def test_the_generator_decides_the_windows():
    data = torch.arange(200, dtype=torch.uint8)
    before = torch.random.get_rng_state()
    one, same, other = (
        next(batches(data, batch=4, length=8, generator=torch.Generator().manual_seed(seed)))[0]
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_text_shorter_than_a_window_is_refused_at_once():
    generator = torch.Generator()
    with pytest.raises(ValueError, match="text: takes more than length = 8 tokens"):
        batches(torch.zeros(8, dtype=torch.uint8), batch=1, length=8, generator=generator)
    with pytest.raises(ValueError, match="batch: takes a whole number >= 1, got 0"):
        batches(torch.zeros(9, dtype=torch.uint8), batch=0, length=8, generator=generator)
