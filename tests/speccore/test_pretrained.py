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
from speccore.models.heads import BlockwiseHeads, EagleHead, MedusaHeads, MTPHeads, MTPModules
from speccore.models.packed_linear import packed
from speccore.models.pretrained import (
    PACKAGED,
    available,
    load,
    load_heads,
    model_card,
    save,
    save_heads,
    weights_sha256,
)
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
    with pytest.raises(ValueError, match="name: takes one of another, tiny; got 'tin'"):
        load("tin", folder=tmp_path)
    with pytest.raises(
        ValueError, match=r"folder: takes one with config\.json, \.\./tiny has none"
    ):
        load("../tiny", folder=tmp_path)  # a path is a folder of Transformers
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
    trunks = {name: speccore.load(name) for name in ("course-target", "smollm2-135m")}
    for name in available():
        if name in PACKAGED:
            continue
        card = model_card(name)
        assert {"seed", "steps", "text_sha256", "training_loss"} <= set(card)
        if "heads" in card:
            trunk = trunks[card["trunk"] if "trunk" in card else card["loss"]["trunk"]]
            assert speccore.load_heads(name, trunk).config == trunk.config
            assert "validation_accuracy" in card
            continue
        model = speccore.load(name)
        assert "validation_loss" in card
        assert torch.isfinite(model(torch.tensor([model.tokenizer.encode("def f():")]))).all()


# -- heads -----------------------------------------------------------------------------------------

HEADS = {
    "Medusa": partial(MedusaHeads, count=2),
    "Medusa, own output": partial(MedusaHeads, count=2, own_output=True, seed=5),
    "blockwise": partial(BlockwiseHeads, count=3, seed=2),
    "MTP heads": partial(MTPHeads, count=2, seed=3),
    "MTP modules": partial(MTPModules, count=3),
    "EAGLE": partial(EagleHead, seed=4),
    "EAGLE, tokens only": partial(EagleHead, reads_features=False),
}


@pytest.mark.parametrize("name", HEADS)
def test_loaded_heads_are_the_saved_ones_rounded_to_fp16(name, tiny, tmp_path):
    heads, trunk = HEADS[name](CONFIG), load("tiny", folder=tmp_path)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(0)
        for weight in heads.parameters():
            weight += torch.randn(weight.shape, generator=generator)
    save_heads(heads, "heads", {"source": "here"}, folder=tmp_path, trunk=trunk)
    assert available(folder=tmp_path) == ("heads", "tiny")
    loaded, card = load_heads("heads", trunk, folder=tmp_path), model_card("heads", folder=tmp_path)
    assert type(loaded) is type(heads)
    assert loaded.config == heads.config and loaded.settings == heads.settings
    assert card["heads"] == type(heads).__name__ and card["source"] == "here"
    assert card["trunk_sha256"] == weights_sha256(trunk)
    for key, weight in heads.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], weight.half().float())
    tokens = torch.arange(8).unsqueeze(0)
    given = trunk.features(tokens)[-1], trunk.embedding(tokens)
    rounded = heads.half().float().guesses(*given)
    assert all(map(torch.equal, loaded.guesses(*given), rounded))


def test_loaded_heads_guess_the_tokens_that_the_saved_ones_did(tiny, tmp_path):
    heads, trunk, few = EagleHead(CONFIG), load("tiny", folder=tmp_path), [0, 7, 97, 255]
    heads.guess_among(few, trunk)
    save_heads(heads, "heads", {}, folder=tmp_path, trunk=trunk)
    loaded = load_heads("heads", trunk, folder=tmp_path)
    assert loaded.draft_tokens.ids.tolist() == few
    assert torch.equal(loaded.draft_tokens.weight, heads.draft_tokens.weight)


def test_heads_are_loaded_for_their_own_trunk_only(tiny, tmp_path):
    trunk, heads = load("tiny", folder=tmp_path), MedusaHeads(CONFIG, 2)
    save_heads(heads, "heads", {}, folder=tmp_path, trunk=trunk)
    other = Transformer(CONFIG, seed=1)
    hashes = f"{weights_sha256(trunk)[:12]}…, got {weights_sha256(other)[:12]}…"
    with pytest.raises(ValueError, match=f"trunk: takes the model for which heads .* {hashes}"):
        load_heads("heads", other, folder=tmp_path)
    with torch.no_grad():
        trunk.blocks[1].feed_forward.down.weight[0, 0] += 2.0**-20
    with pytest.raises(ValueError, match="trunk: takes the model for which heads were trained"):
        load_heads("heads", trunk, folder=tmp_path)
    for run in (
        lambda: load_heads("heads", packed(trunk), folder=tmp_path),
        lambda: save_heads(heads, "more", {}, folder=tmp_path, trunk=packed(trunk)),
    ):
        with pytest.raises(TypeError, match="trunk: takes a model that is not packed"):
            run()


def test_a_hash_is_that_of_all_weights_and_their_names():
    model = Transformer(CONFIG, seed=1)
    assert weights_sha256(model) == weights_sha256(Transformer(CONFIG, seed=1))
    assert weights_sha256(model) == weights_sha256(Transformer(CONFIG, seed=1).double())
    assert len({weights_sha256(Transformer(CONFIG, seed=seed)) for seed in range(3)}) == 3


def test_a_model_is_no_heads_and_heads_are_no_model(tiny, tmp_path):
    save_heads(MedusaHeads(CONFIG, 2), "heads", {}, folder=tmp_path, trunk=tiny)
    with pytest.raises(ValueError, match=r"name: takes a model, heads are heads .*load_heads"):
        load("heads", folder=tmp_path)
    with pytest.raises(ValueError, match=r"name: takes heads, tiny .* use load for a model"):
        load_heads("tiny", tiny, folder=tmp_path)
    with pytest.raises(ValueError, match="name: takes one of heads, tiny; got 'other'"):
        load_heads("other", tiny, folder=tmp_path)
    for no_card in (partial(load_heads, trunk=tiny), model_card):
        with pytest.raises(ValueError, match=r"name: takes one of .*; got 'smollm2-135m'"):
            no_card("smollm2-135m")


def test_damaged_heads_are_refused(tiny, tmp_path):
    path = save_heads(MTPHeads(CONFIG, 1), "heads", {}, folder=tmp_path, trunk=tiny)
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    for place in (whole.index(b"MTPHeads"), whole.index(b"trunk_sha256") + 20, 8 + header):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(bytes(damaged))
        with pytest.raises(ValueError, match=r"name: takes .* damaged"):
            load_heads("heads", tiny, folder=tmp_path)
    arrays, metadata = load_arrays(tmp_path / "tiny.safetensors")
    path.write_bytes(whole)
    _, metadata = load_arrays(path)
    kept = {key: text for key, text in metadata.items() if key != "sha256"}
    save_arrays(path, arrays, kept)
    with pytest.raises(ValueError, match="name: heads are no heads that this version can build"):
        load_heads("heads", tiny, folder=tmp_path)


def test_heads_that_cannot_be_loaded_again_are_not_saved(tiny, tmp_path):
    heads = MedusaHeads(CONFIG, 2)
    with torch.no_grad():
        heads.maps[0, 0, 0] = 7e4
    with pytest.raises(ValueError, match="finite in FP16, got others in maps"):
        save_heads(heads, "heads", {}, folder=tmp_path, trunk=tiny)
    twin = packed(MTPHeads(CONFIG, 1))
    with pytest.raises(TypeError, match="heads: takes some that are not packed"):
        save_heads(twin, "heads", {}, folder=tmp_path, trunk=tiny)
    assert available(folder=tmp_path) == ("tiny",)


# -- recipes ---------------------------------------------------------------------------------------


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
