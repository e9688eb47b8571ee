"""Models by name: what is saved is what is loaded, and nothing else is."""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

import speccore
from rlcore.checkpoint import load_arrays, save_arrays
from speccore.models import train_course_models
from speccore.models.packed_linear import packed
from speccore.models.pretrained import available, load, model_card, save
from speccore.models.text import ByteTokenizer, standard_library
from speccore.models.train_course_models import Recipe, train_model
from speccore.models.training import evaluate
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=256, layers=2, width=16, heads=2, kv_heads=1, hidden=24, context=12, rope_theta=5e3
)


@pytest.fixture
def tiny(tmp_path):
    model = Transformer(CONFIG, seed=3)
    save(model, "tiny", {"seed": 3, "source": "Müller"}, folder=tmp_path)
    return model


def test_a_loaded_model_is_the_saved_one_rounded_to_fp16(tiny, tmp_path):
    assert available(folder=tmp_path) == ("tiny",)
    loaded = load("tiny", folder=tmp_path)
    assert loaded.config == CONFIG
    for name, weight in tiny.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == torch.float32
        assert torch.equal(found, weight.half().float())
    assert isinstance(loaded.tokenizer, ByteTokenizer)
    assert (tmp_path / "tiny.safetensors").stat().st_size < 2 * CONFIG.parameters + 4000
    card = model_card("tiny", folder=tmp_path)
    assert card["seed"] == 3
    assert card["source"] == "Müller"
    assert card["config"]["rope_theta"] == 5e3


def test_an_untied_head_is_saved_too(tmp_path):
    model = Transformer(replace(CONFIG, tied=False), seed=1)
    save(model, "untied", {}, folder=tmp_path)
    tokens = torch.arange(8).unsqueeze(0)
    loaded = load("untied", folder=tmp_path)
    assert torch.equal(loaded(tokens), model.half().float()(tokens))


def test_the_packed_twin_keeps_the_tokenizer(tiny, tmp_path):
    assert isinstance(packed(load("tiny", folder=tmp_path)).tokenizer, ByteTokenizer)


def test_unknown_names_are_refused_with_the_known_ones(tiny, tmp_path):
    save(tiny, "another", {}, folder=tmp_path)
    with pytest.raises(ValueError, match=r"name: takes one of another, tiny; got '\.\./tiny'"):
        load("../tiny", folder=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="name: takes one of none, as yet; got 'tiny'"):
        load("tiny", folder=tmp_path / "empty")
    with pytest.raises(ValueError, match=r"name: takes one of .*; got 'gpt-5'"):
        speccore.load("gpt-5")


def test_every_damaged_byte_of_the_file_is_noticed(tiny, tmp_path):
    """A byte in the card, in the header, in the first and in the last weight; half a file."""
    path = tmp_path / "tiny.safetensors"
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    places = [whole.index(b"5000"), 9, 8 + header, len(whole) - 1]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(ValueError, match=r"name: takes .* damaged"):
            load("tiny", folder=tmp_path)
    for content in (whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"name: takes a checkpoint .* damaged"):
            load("tiny", folder=tmp_path)
    path.write_bytes(whole)
    load("tiny", folder=tmp_path)


def test_files_that_are_no_models_are_refused(tiny, tmp_path):
    save_arrays(tmp_path / "other.safetensors", {"a": np.zeros(2)}, {})
    with pytest.raises(ValueError, match="name: takes a model with its card"):
        load("other", folder=tmp_path)
    arrays, metadata = load_arrays(tmp_path / "tiny.safetensors")
    del arrays["norm.weight"]
    kept = {key: text for key, text in metadata.items() if key != "sha256"}
    save_arrays(tmp_path / "lacking.safetensors", arrays, kept)
    with pytest.raises(ValueError, match=r"lacking is no model that .*\n.*norm\.weight"):
        load("lacking", folder=tmp_path)


def test_what_cannot_be_loaded_again_is_not_saved(tmp_path):
    model = Transformer(CONFIG)
    with torch.no_grad():
        model.norm.weight[0] = 7e4
    with pytest.raises(ValueError, match=r"finite in FP16, got others in norm\.weight"):
        save(model, "large", {}, folder=tmp_path)
    other = Transformer(replace(CONFIG, vocab_size=300))
    with pytest.raises(ValueError, match=r"model: takes one over 256 bytes, got .* of 300"):
        save(other, "other", {}, folder=tmp_path)
    with pytest.raises(TypeError, match="model: takes one that is not packed"):
        save(packed(Transformer(CONFIG)), "twin", {}, folder=tmp_path)
    assert available(folder=tmp_path) == ()


def test_what_is_shipped_loads():
    for name in speccore.available():
        model, card = speccore.load(name), model_card(name)
        assert {"seed", "steps", "text_sha256", "training_loss", "validation_loss"} <= set(card)
        assert torch.isfinite(model(torch.tensor([model.tokenizer.encode("def f():")]))).all()


def test_training_ends_in_a_model_whose_card_says_how_it_was_made(tmp_path, monkeypatch):
    recipe = Recipe(partial(Transformer, CONFIG), 150, 2, 1e-3, sizes="small", warmup=5, seed=4)
    monkeypatch.setattr(train_course_models, "RECIPES", {"tiny": recipe})
    monkeypatch.setattr(train_course_models, "VALIDATION_BATCHES", 3)
    trained = train_model("tiny", tmp_path)
    loaded, card = load("tiny", folder=tmp_path), model_card("tiny", folder=tmp_path)
    for one, other in zip(loaded.parameters(), trained.parameters(), strict=True):
        assert torch.equal(one, other)
    assert card["text_sha256"] == standard_library().sha256
    assert (card["seed"], card["steps"], card["loss"]) == (4, 150, {"name": "next_token_loss"})
    assert len(card["training_loss"]) == 2, "100 steps, and the 50 that are left"
    assert card["training_loss"][1] < card["training_loss"][0] < np.log(256)
    windows = train_course_models._windows(standard_library().validation, recipe, CONFIG)
    assert card["validation_loss"] == round(evaluate(loaded, windows, count=3), 4)
    assert card["sizes"] == "small"
    assert json.loads(json.dumps(card)) == card


def test_a_draft_model_learns_the_laws_of_its_teacher(tmp_path, monkeypatch):
    first = Recipe(partial(Transformer, CONFIG), 40, 2, 3e-3, sizes="", warmup=5, seed=1)
    student = partial(Transformer, replace(CONFIG, layers=1))
    second = Recipe(student, 150, 2, 3e-3, sizes="", warmup=5, teacher="first")
    monkeypatch.setattr(train_course_models, "RECIPES", {"first": first, "second": second})
    monkeypatch.setattr(train_course_models, "VALIDATION_BATCHES", 1)
    teacher = train_model("first", tmp_path)
    with torch.no_grad():  # a teacher that has nothing to say: all bytes are equally probable
        teacher.norm.weight.zero_()
    save(teacher, "first", {}, folder=tmp_path)
    student = train_model("second", tmp_path)
    entropy = np.log(256)
    assert student(torch.tensor([[7, 9]])).log_softmax(-1).max() < 0.1 - entropy
    assert model_card("second", folder=tmp_path)["validation_loss"] == pytest.approx(
        entropy, abs=0.1
    )
    assert model_card("second", folder=tmp_path)["loss"] == {
        "name": "distillation_loss",
        "teacher": "first",
    }
