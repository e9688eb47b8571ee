"""Models that Transformers has saved, read without Transformers."""

import json

import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

import speccore
from speccore.models import llama
from speccore.models.llama import load_folder


def saved(folder, **changes):
    """A random Llama of Transformers, and where it was saved."""
    settings = {
        "vocab_size": 30,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 5e4},
        "eos_token_id": 3,
        **changes,
    }
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(std=0.3)
    model.save_pretrained(folder, max_shard_size=changes.get("shard", "1GB"))
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shard", ["1GB", "4KB"])
def test_logits_are_those_of_transformers(tied, shard, tmp_path):
    theirs = saved(tmp_path, tie_word_embeddings=tied, shard=shard)
    assert (tmp_path / "model.safetensors").exists() == (shard == "1GB")
    ours = speccore.load(f"{tmp_path}/")
    assert (ours.config.tied, ours.config.rope_theta, ours.config.norm_eps) == (tied, 5e4, 1e-6)
    tokens = torch.randint(30, (2, 40))
    with torch.no_grad():
        assert torch.allclose(ours(tokens), theirs(tokens).logits, atol=1e-4)
    assert ours.tokenizer is None


def test_weights_of_16_bits_are_read_as_fp32(tmp_path):
    theirs = saved(tmp_path).bfloat16()
    theirs.save_pretrained(tmp_path)
    ours = load_folder(tmp_path)
    assert torch.equal(ours.norm.weight, theirs.model.norm.weight.float())
    assert ours.norm.weight.dtype == torch.float32


def test_its_tokens_and_its_template_come_along(tmp_path):
    saved(tmp_path)
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "user": 2, "?": 3}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_folder(tmp_path).tokenizer
    assert tokenizer.encode("b a c") == [1, 0, 3] and tokenizer.end_of_text == 3
    with pytest.raises(ValueError, match="no template for conversations"):
        tokenizer.chat("a")
    template = "{% for m in messages %}{{ m['role'] }} {{ m['content'] }}{% endfor %}"
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": template}), encoding="utf-8"
    )
    assert load_folder(tmp_path).tokenizer.chat("b") == [2, 1]
    (tmp_path / "chat_template.jinja").write_text(
        "a {{ messages[0]['content'] }}", encoding="utf-8"
    )
    assert load_folder(tmp_path).tokenizer.chat("b") == [0, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention_bias": True}, "attention_bias = False, got True"),
        ({"hidden_act": "gelu"}, "hidden_act = 'silu', got 'gelu'"),
        ({"head_dim": 8}, "heads of hidden_size / num_attention_heads = 4 numbers, got .* 8"),
        (
            {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}},
            "rope_scaling = None, got 'linear'",
        ),
    ],
)
def test_what_our_model_has_not_is_refused(change, message, tmp_path):
    saved(tmp_path, **change)
    with pytest.raises(ValueError, match=message):
        load_folder(tmp_path)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"folder: takes one with config\.json"):
        load_folder(tmp_path)
    saved(tmp_path)
    with pytest.raises(ValueError, match="context: takes at most 64 with this model, got 65"):
        load_folder(tmp_path, context=65)
    with pytest.raises(ValueError, match="context: takes a whole number >= 1, got 0"):
        load_folder(tmp_path, context=0)
    with pytest.raises(TypeError, match=r"context: takes a whole number >= 1, got 8\.0"):
        load_folder(tmp_path, context=8.0)
    assert load_folder(tmp_path, context=8).config.context == 8
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"tokenizer\.json is damaged"):
        load_folder(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or missing"):
        load_folder(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match=r"folder: takes one with model\.safetensors\.index\.json"):
        load_folder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{}", r"config\.json: takes a model that states its hidden_size, .*vocab_size, got none"),
        ("[]", r"takes one with config\.json, .* has none: it holds a list"),
    ],
)
def test_settings_that_say_nothing_are_refused(settings, message, tmp_path):
    (tmp_path / "config.json").write_text(settings, encoding="utf-8")
    with pytest.raises(ValueError, match=f"^folder: .*{message}"):
        load_folder(tmp_path)
    with pytest.raises(ValueError, match=r"^folder: .*"):
        speccore.load(f"{tmp_path}/")


@pytest.mark.parametrize("name", llama.NEEDED)
def test_a_missing_setting_is_named(name, tmp_path):
    saved(tmp_path)
    path = tmp_path / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    del settings[name]
    path.write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"config\.json: takes .* states its {name}, got none"):
        load_folder(tmp_path)


def test_an_index_without_the_names_of_weights_is_refused(tmp_path):
    saved(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors.index.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"model\.safetensors\.index\.json has no weight_map"):
        load_folder(tmp_path)


def test_weights_of_another_model_are_refused(tmp_path):
    saved(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(
        json.dumps({**settings, "num_hidden_layers": 3}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match=r"not those of a Llama: .*layers\.2"):
        load_folder(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps({**settings, "hidden_size": 32, "head_dim": None}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="not those of a Llama"):
        load_folder(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps({**settings, "model_type": "gpt2"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="model_type = 'llama', got 'gpt2'"):
        load_folder(tmp_path)
