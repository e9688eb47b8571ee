"""Models of Transformers decode in our loop as they do in theirs, plain or with any drafter."""

import json
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models

import speccore
from speccore.decoding.certificate import exact_law, g_test, total_variation
from speccore.decoding.chance import Chance
from speccore.decoding.cost import measure_passes, pass_times
from speccore.decoding.drafters import (
    DatastoreDrafter,
    EagleDrafter,
    EarlyExitDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    MedusaDrafter,
    ModelDrafter,
    ModelTreeDrafter,
    MTPDrafter,
    NGramDrafter,
    NoDrafter,
)
from speccore.decoding.generate import Text, decode, generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import TokenTree
from speccore.decoding.tree_attention import score_tree
from speccore.models.adapter import CausalLM, load_causal_lm
from speccore.models.heads import EagleHead, MedusaHeads, MTPModules
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import Transformer
from tests.speccore.random_models import random_model, true_law

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
}
GROUPED = {**SIZES, "num_key_value_heads": 1}
ARCHITECTURES = {
    "Llama": partial(transformers.LlamaConfig, **GROUPED),
    "GPT-2": partial(transformers.GPT2Config, n_embd=16, n_layer=2, n_head=2),
    "GPT-NeoX": partial(transformers.GPTNeoXConfig, **SIZES),
    "Qwen 3": partial(transformers.Qwen3Config, **GROUPED, head_dim=6),
    "OPT": partial(transformers.OPTConfig, **SIZES, ffn_dim=12, word_embed_proj_dim=16),
}


def theirs(name, vocab_size=11, seed=0, context=48, **more):
    """A model of Transformers whose laws are far from uniform."""
    make = {**ARCHITECTURES, "BLOOM": partial(transformers.BloomConfig, n_layer=2, n_head=2)}[name]
    if name == "BLOOM":
        more["hidden_size"] = 16
    config = make(
        vocab_size=vocab_size,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **more,
    )
    model = transformers.AutoModelForCausalLM.from_config(config).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            noise = torch.randn(weight.shape, generator=generator).double()
            if weight.dim() == 1:  # large biases would say the same everywhere
                weight += 0.1 * noise
            else:
                weight.copy_(0.7 * noise)
    return model.requires_grad_(False)


def noisy(model):
    """Nearly the same model of Transformers: a good draft model."""
    near = type(model)(model.config).double().eval()
    near.load_state_dict(model.state_dict())
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for weight in near.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator).double()
    return CausalLM(near.requires_grad_(False))


def chains(model):
    """Drafters of chains; the last two have our model and theirs as the draft model."""
    size = model.config.vocab_size
    store = np.random.default_rng(0).integers(0, size, 300)
    return {
        "plain": NoDrafter(),
        "n-gram": NGramDrafter(3, longest=3, shortest=1),
        "store": DatastoreDrafter(store, 3, longest=4, shortest=1),
        "Jacobi": JacobiDrafter(3),
        "our model": ModelDrafter(random_model(5, size), 2),
        "their model": ModelDrafter(noisy(model.model), 3),
    }


def trees(model):
    size = model.config.vocab_size
    store = np.random.default_rng(0).integers(0, size, 300)
    return {
        "store tree": DatastoreDrafter(store, 3, nodes=5, longest=4, shortest=1),
        "lookahead": LookaheadDrafter(3, 2, 2),
        "our model's tree": ModelTreeDrafter(random_model(5, size), (2, 1)),
        "their model's tree": ModelTreeDrafter(noisy(model.model), (2, 2, 1)),
    }


def drafters(model):
    return {**chains(model), **trees(model)}


CHAINS = ("plain", "n-gram", "store", "Jacobi", "our model", "their model")
DRAFTERS = (*CHAINS, "store tree", "lookahead", "our model's tree", "their model's tree")
COUNT = 16  # new tokens
PROMPTS = [np.random.default_rng(size).integers(0, 11, size).tolist() for size in (1, 2, 4, 9, 20)]


def greedy_text(model, prompt, count):
    """What Transformers' own ``generate`` goes on with."""
    out = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        max_new_tokens=count,
        do_sample=False,
    )
    return tuple(out[0, len(prompt) :].tolist())


@pytest.fixture(scope="module")
def wanted():
    """Of each architecture a model, and its greedy texts."""
    found = {}
    for name in ARCHITECTURES:
        model = theirs(name)
        found[name] = model, [greedy_text(model, prompt, COUNT) for prompt in PROMPTS]
        assert len({text[-4:] for text in found[name][1]}) > 2, "texts that differ"
    return found


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_texts_are_those_of_transformers(architecture, name, wanted):
    model, texts = wanted[architecture]
    target = CausalLM(model)
    drafter, guessed = drafters(target)[name], 0
    for prompt, text in zip(PROMPTS, texts, strict=True):
        output = generate(target, prompt, max_new_tokens=COUNT, drafter=drafter)
        assert output.tokens == text
        guessed += sum(output.accepted_lengths)
    assert (guessed > 0) == (name != "plain")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_batch_gives_the_greedy_texts_of_transformers(architecture, wanted):
    model, texts = wanted[architecture]
    target = CausalLM(model)
    for name in ("plain", "n-gram", "their model's tree"):
        outputs = generate(target, PROMPTS, max_new_tokens=COUNT, drafter=drafters(target)[name])
        assert [output.tokens for output in outputs] == texts
    assert len({output.steps for output in outputs}) > 1, "rows of different lengths"


@pytest.mark.parametrize("tree", [False, True], ids=["chain", "tree"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_their_model_drafts_for_ours(architecture, tree):
    target, draft = random_model(2, 11), CausalLM(theirs(architecture))
    drafter = ModelTreeDrafter(draft, (2, 2, 1)) if tree else ModelDrafter(draft, 3)
    guessed = 0
    for prompt in PROMPTS:
        output = generate(target, prompt, max_new_tokens=COUNT, drafter=drafter)
        assert output.tokens == generate(target, prompt, max_new_tokens=COUNT).tokens
        guessed += sum(output.accepted_lengths)
    assert guessed > 0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("name", ("n-gram", "our model"))
def test_the_joint_law_is_the_models(name, architecture):
    model, sampling = theirs(architecture, vocab_size=3), Sampling(3.0, top_p=0.95)
    target, prompt = CausalLM(model), [0, 1, 2, 1, 0, 1]
    drafter = drafters(target)[name]

    def run(chance):
        text = Text(list(prompt), 2, drafter, chance)
        for _ in decode(target, [text], sampling):
            pass
        return text.tokens[len(prompt) :]

    law = true_law(lambda tokens: model(tokens).logits, 3, prompt, 2, sampling)
    assert law.max() < 0.95, "a law that is nearly certain would prove little"
    # Some of their norms and positions are computed in FP32, whatever the weights are.
    assert total_variation(exact_law(run, 2, 3), law) <= 1e-5


def test_sampling_with_real_seeds_follows_the_models_law():
    # Two tests at a false-alarm rate of 1e-3 each: this fails once in 500 sets of seeds.
    model = theirs("GPT-2", vocab_size=3)
    target, prompt = CausalLM(model), [0, 1, 2, 1]
    law = true_law(lambda tokens: model(tokens).logits, 3, prompt, 2, Sampling(1.5))
    for name in ("our model", "our model's tree"):
        counts, drafter = np.zeros((3, 3)), drafters(target)[name]
        for seed in range(200):
            settings = {"max_new_tokens": 2, "temperature": 1.5, "seed": seed}
            counts[generate(target, prompt, drafter=drafter, **settings).tokens] += 1
        assert g_test(counts, law).passes(1e-3), name


@pytest.mark.parametrize("name", ("n-gram", "their model", "lookahead", "their model's tree"))
def test_the_cache_holds_all_committed_tokens_but_the_last(name, monkeypatch):
    target = CausalLM(theirs("Llama"))
    drafter = drafters(target)[name]
    seen, propose = [], type(drafter).propose

    def watching(self, context, sampling, chance, target):
        seen.append(target.cache.length == len(context) - 1)
        columns = target.cache.keys[..., : len(context) - 1, :]
        with torch.inference_mode():
            again = KVCache.of(target.model, 1, len(context))
            if len(context) > 1:
                target.model(torch.tensor([context[:-1]]), cache=again)
        assert torch.allclose(columns, again.keys[..., : len(context) - 1, :], atol=1e-4)
        return propose(self, context, sampling, chance, target)

    monkeypatch.setattr(type(drafter), "propose", watching)
    for _ in decode(target, [Text([1, 2, 3], COUNT, drafter, Chance(0))], Sampling(1.0)):
        pass
    assert len(seen) > 1 and all(seen)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_what_is_rolled_back_leaves_no_trace(architecture):
    model = theirs(architecture)
    target, text = CausalLM(model), torch.tensor([[1, 5, 3, 8, 2, 2, 7]])
    cache = KVCache.of(target, 2, 20)
    both = text.repeat(2, 1)
    with torch.inference_mode():
        target(both[:, :5], cache=cache)
        target(both[:, :6], cache=cache)
        cache.roll_back((3, 2))  # rows of different lengths from here on
        assert cache.lengths == (3, 2)
        ragged = torch.stack((text[0, 3:6], text[0, 2:5]))
        logits = target(ragged, cache=cache)
        whole = model(text).logits
    assert torch.allclose(logits[0], whole[0, 3:6], atol=1e-4)
    assert torch.allclose(logits[1], whole[0, 2:5], atol=1e-4)
    assert cache.lengths == (6, 5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_tree_is_scored_in_one_pass(architecture):
    model = theirs(architecture)
    tree = TokenTree.from_paths([[1, 2, 3], [1, 4], [5, 6, 7, 8], [5, 2]])
    context = [3, 1, 4, 1, 5]
    scores = score_tree(CausalLM(model), context, tree)
    for node in range(-1, len(tree)):
        path = tree.tokens[list(tree.path_to(node))].tolist()
        with torch.no_grad():
            alone = model(torch.tensor([context + path])).logits[0, -1]
        assert np.allclose(scores[node + 1], alone, atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_features_are_what_the_output_head_takes(architecture):
    model, tokens = theirs(architecture), torch.tensor([[1, 2, 3], [7, 5, 9]])
    target = CausalLM(model)
    with torch.no_grad():
        (features,) = target.features(tokens)
        assert features.shape == (2, 3, target.config.width)
        assert torch.allclose(target.logits(features), model(tokens).logits, atol=1e-5)
        assert torch.allclose(target(tokens), model(tokens).logits, atol=1e-5)


def test_a_model_without_stated_positions_decodes_with_chains_alone():
    model = theirs("BLOOM")
    target = CausalLM(model, context=48)
    assert not target.takes_trees
    for prompt in PROMPTS:
        text = greedy_text(model, prompt, COUNT)
        for name in CHAINS[:5]:
            drafter = chains(CausalLM(theirs("GPT-2")))[name]
            assert generate(target, prompt, max_new_tokens=COUNT, drafter=drafter).tokens == text
    for run in (
        lambda: generate(target, [1, 2], max_new_tokens=5, drafter=LookaheadDrafter()),
        lambda: generate(target, [[1, 2], [3]], max_new_tokens=5),
    ):
        with pytest.raises(ValueError, match="mask: BloomForCausalLM does not take positions"):
            run()


def test_a_text_may_fill_the_context_and_a_window_ends_it():
    for name in ("n-gram", "their model's tree"):
        target = CausalLM(theirs("GPT-2", context=24))
        drafter = drafters(target)[name]
        output = generate(target, [1, 2, 3], max_new_tokens=21, drafter=drafter)
        assert output.tokens == greedy_text(target.model, [1, 2, 3], 21)
    config = transformers.MistralConfig(**GROUPED, vocab_size=11, sliding_window=16)
    mistral = transformers.MistralForCausalLM(config).eval()
    assert CausalLM(mistral).config.context == 16
    assert CausalLM(mistral, context=9).config.context == 9
    with pytest.raises(ValueError, match="context: takes at most 16 with this model, got 17"):
        CausalLM(mistral, context=17)


def test_passes_can_be_timed():
    times = pass_times(CausalLM(theirs("GPT-2").float()), 3, context=8, repeats=1)
    assert times.shape == (3,) and (times > 0).all()
    with pytest.raises(ValueError, match="layers: takes None with a model of Transformers, got 1"):
        measure_passes(CausalLM(theirs("GPT-2").float()), [1], context=8, repeats=1, layers=1)


# -- what does not fit -----------------------------------------------------------------------------


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="model: takes one of Transformers, got Transformer"):
        CausalLM(random_model(0))
    with pytest.raises(ValueError, match="model: takes one in evaluation mode"):
        CausalLM(theirs("GPT-2").train())
    with pytest.raises(ValueError, match="context: takes a whole number, as BloomForCausalLM"):
        config = transformers.BloomConfig(hidden_size=8, n_layer=1, n_head=2, vocab_size=11)
        CausalLM(transformers.BloomForCausalLM(config).eval())
    mamba = transformers.MambaConfig(hidden_size=8, num_hidden_layers=1, vocab_size=11)
    with pytest.raises(ValueError, match=r"keys and values .* got MambaForCausalLM with none"):
        CausalLM(transformers.MambaForCausalLM(mamba).eval())
    capped = transformers.Gemma2Config(
        **GROUPED, head_dim=4, vocab_size=11, final_logit_softcapping=0.01
    )
    with pytest.raises(ValueError, match="model: Gemma2ForCausalLM does not decode"):
        CausalLM(transformers.Gemma2ForCausalLM(capped).eval())


def test_a_model_that_forgets_its_cache_is_found_out(monkeypatch):
    model = theirs("Llama")
    forward = model.model.forward
    monkeypatch.setattr(
        model.model, "forward", lambda input_ids, **given: forward(input_ids, use_cache=True)
    )
    with pytest.raises(ValueError, match="LlamaForCausalLM does not decode with a cache"):
        CausalLM(model)


def test_a_model_that_ignores_masks_is_kept_to_chains(monkeypatch):
    model = theirs("Llama")
    forward = model.model.forward

    def deaf(input_ids, attention_mask=None, **given):
        return forward(input_ids, **given)

    monkeypatch.setattr(model.model, "forward", deaf)
    assert not CausalLM(model).takes_trees


@pytest.mark.parametrize(
    "drafter",
    [
        EarlyExitDrafter(1, 2),
        MedusaDrafter(MedusaHeads(random_model(0, 11).config, 1), TokenTree.chain([0])),
        EagleDrafter(EagleHead(random_model(0, 11).config), 2),
        MTPDrafter(MTPModules(random_model(0, 11).config, 2)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_drafters_that_use_our_layers_refuse_theirs(drafter):
    with pytest.raises(ValueError, match="drafter: takes a target of the course's own class"):
        generate(CausalLM(theirs("Llama")), [1, 2], max_new_tokens=5, drafter=drafter)


def test_a_draft_model_must_know_the_same_tokens():
    draft = CausalLM(theirs("GPT-2", vocab_size=7))
    with pytest.raises(ValueError, match="the target's vocabulary of 11, got 7"):
        generate(CausalLM(theirs("Llama")), [1], max_new_tokens=5, drafter=ModelDrafter(draft, 2))


# -- by name ---------------------------------------------------------------------------------------


def saved(folder, name="GPT-2"):
    """A model in a folder, with a tokenizer whose third token ends a text."""
    model = theirs(name).float()
    model.config.eos_token_id = model.generation_config.eos_token_id = 2
    model.save_pretrained(folder)
    words = {f"{number} ": number for number in range(11)}
    Tokenizer(models.WordLevel(words, unk_token="0 ")).save(str(folder / "tokenizer.json"))
    return model


def test_a_folder_of_another_architecture_loads(tmp_path):
    model = saved(tmp_path)
    loaded = speccore.load(f"{tmp_path}/")
    assert isinstance(loaded, CausalLM)
    assert loaded.tokenizer.encode("7 ") == [7] and loaded.tokenizer.end_of_text == 2
    assert loaded.dtype == torch.float32
    assert not any(weight.requires_grad for weight in loaded.parameters())
    ends = 0
    for prompt in PROMPTS:
        text = greedy_text(model, prompt, COUNT)
        assert speccore.generate(loaded, prompt, max_new_tokens=COUNT).tokens == text
        ends += text[-1] == 2
    assert ends, "a text that ends early"


def test_a_llama_that_ours_cannot_be_loads_too(tmp_path):
    model = theirs("Llama", attention_bias=True).float()
    model.save_pretrained(tmp_path)
    assert isinstance(speccore.load(str(tmp_path)), CausalLM)
    theirs("Llama", tie_word_embeddings=True).float().save_pretrained(tmp_path)
    assert isinstance(speccore.load(str(tmp_path)), Transformer)


def test_damaged_folders_are_refused(tmp_path):
    saved(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**settings, "n_layer": 3}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"folder: the weights in .* lack .*h\.2"):
        load_causal_lm(tmp_path)
    (tmp_path / "config.json").write_text(
        json.dumps({**settings, "model_type": "nothing"}), encoding="utf-8"
    )
    with pytest.raises(ValueError, match="folder: Transformers finds no causal language model"):
        load_causal_lm(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="folder: Transformers finds no causal language model"):
        load_causal_lm(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="folder: Transformers finds no causal language model"):
        load_causal_lm(tmp_path)


OFFLINE = """
import speccore
kept = speccore.load("someone/small")
print(type(kept).__name__, kept.config.vocab_size, kept.tokenizer.end_of_text)
print(type(speccore.load("someone/llama")).__name__)
try:
    speccore.load("someone/else")
except FileNotFoundError as error:
    print(error)
"""


def test_a_name_of_the_hub_is_looked_up_on_this_machine_when_offline(tmp_path):
    for name, make in (("small", saved), ("llama", partial(saved, name="Llama"))):
        here = tmp_path / "hub" / f"models--someone--{name}"
        (here / "refs").mkdir(parents=True)
        (here / "refs" / "main").write_text("0" * 40, encoding="utf-8")
        (here / "snapshots" / ("0" * 40)).mkdir(parents=True)
        make(here / "snapshots" / ("0" * 40))
    place = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "HF_HUB_CACHE": str(tmp_path / "hub")}
    run = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", OFFLINE],
        env={**os.environ, **place},
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    kept, llama, refusal = run.stdout.splitlines()
    assert kept == "CausalLM 11 2"
    assert llama == "Transformer"
    assert refusal.startswith("name: someone/else is no folder here and could not be had from the ")
    assert refusal.endswith("or give the path of a folder.")
    assert speccore.load(str(tmp_path / "hub/models--someone--llama/snapshots" / ("0" * 40)))
