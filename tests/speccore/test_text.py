"""Bytes and corpus: the same on every call, split by file, and nothing that is not source.

And text that a model has written itself.
"""

import random
import sysconfig
import zlib
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speccore.decoding.certificate import g_test
from speccore.decoding.generate import generate
from speccore.models import text
from speccore.models.prompts import KINDS
from speccore.models.text import (
    ByteTokenizer,
    batches,
    language_reference,
    own_batches,
    own_text,
    standard_library,
)
from speccore.models.training import train
from tests.speccore.random_models import random_model

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


# -- text of a model's own -------------------------------------------------------------------------


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def test_greedy_text_is_what_generate_says():
    model = random_model(0, 11)
    starts = torch.randint(11, (3, 4), generator=seeded(0))
    found = own_text(model, starts, 12, temperature=0.0, generator=seeded(0))
    assert found.shape == (3, 16) and found.dtype == torch.int64
    assert torch.equal(found[:, :4], starts)
    for row, start in zip(found.tolist(), starts.tolist(), strict=True):
        assert tuple(row[4:]) == generate(model, start, max_new_tokens=12).tokens


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_models_own_text_follows_its_law(temperature):
    # Two tests a temperature at a false-alarm rate of 1e-3 each: this fails once in 250 seeds.
    model, start = random_model(0, 4), torch.tensor([[1, 2, 0]])
    rows = own_text(model, start.repeat(4000, 1), 2, temperature=temperature, generator=seeded(1))
    with torch.no_grad():
        law = (model(start)[0, -1] / temperature).softmax(-1)
        after = torch.cat((start.repeat(4, 1), torch.arange(4).unsqueeze(1)), 1)
        second = law.unsqueeze(1) * (model(after)[:, -1] / temperature).softmax(-1)
    counts = torch.zeros(4, 4).index_put_((rows[:, 3], rows[:, 4]), torch.ones(4000), True)
    assert law.max() < 0.9
    assert g_test(counts.sum(1).numpy(), law.numpy()).passes(1e-3)
    assert g_test(counts.numpy(), second.numpy()).passes(1e-3)


def test_the_generator_decides_a_models_own_text():
    model = random_model(0, 11)
    state = torch.random.get_rng_state()
    one, same, other = (
        own_text(model, torch.ones(4, 2).long(), 20, generator=seeded(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert len({tuple(row) for row in one.tolist()}) == 4, "each row has choices of its own"
    assert torch.equal(torch.random.get_rng_state(), state)


def test_windows_of_a_models_own_text_begin_with_the_text_given():
    model = random_model(0, 11, context=16)
    data = (torch.arange(40) % 11).to(torch.uint8)
    settings = {"batch": 6, "length": 9, "generator": seeded(3)}
    stream = own_batches(model, data, prompt=4, **settings)
    for _ in range(3):
        tokens, targets = next(stream)
        assert tokens.shape == targets.shape == (6, 9)
        assert torch.equal(tokens[:, 1:], targets[:, :-1])
        assert torch.equal(tokens[:, 1:4], (tokens[:, :3] + 1) % 11)
        assert not torch.equal(targets[:, 3:], (tokens[:, 3:] + 1) % 11)
    greedy = own_batches(model, data, prompt=1, temperature=0.0, **settings)
    tokens, targets = next(greedy)
    assert torch.equal(model(tokens).argmax(-1), targets)
    settings = {"batch": 2, "prompt": 2, "length": 9}
    one, same = (
        next(own_batches(model, data, **settings, generator=seeded(4)))[1] for _ in range(2)
    )
    assert torch.equal(one, same)


def test_a_models_own_text_can_be_learnt_from():
    model, student = random_model(0, 11, context=16), random_model(1, 11, context=16).float()
    source = own_batches(model, torch.arange(11), batch=2, prompt=2, length=8, generator=seeded(0))
    assert len(train(student, source, steps=3, learning_rate=0.01).losses) == 3


def test_the_last_token_of_own_text_is_not_read():
    model = random_model(0, 11, context=16)
    assert own_text(model, torch.ones(2, 5).long(), 12, generator=seeded(0)).shape == (2, 17)
    with pytest.raises(ValueError, match=r"length: takes at most .* 16 \+ 1 − 5 tokens, got 13"):
        own_text(model, torch.ones(2, 5).long(), 13, generator=seeded(0))
    settings = {"batch": 1, "generator": seeded(0)}
    assert next(own_batches(model, torch.arange(11), prompt=1, length=16, **settings))[0].shape[1]
    for change, message in (
        ({"prompt": 0, "length": 4}, "prompt: takes a whole number >= 1, got 0"),
        ({"prompt": 5, "length": 4}, "prompt: takes at most length = 4 tokens, got 5"),
        ({"prompt": 1, "length": 17}, "length: takes at most context"),
        ({"prompt": 2, "length": 4, "temperature": -1.0}, "temperature: takes a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            own_batches(model, torch.arange(11), **change, **settings)
    with pytest.raises(ValueError, match="length: takes a whole number >= 1, got 0"):
        own_text(model, torch.ones(1, 1).long(), 0, generator=seeded(0))
