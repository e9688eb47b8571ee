"""The loop keeps the law of the target with every drafter, and its books are right."""

import copy
import itertools
from functools import partial

import numpy as np
import pytest
import torch

from speccore.decoding.acceptance import typical
from speccore.decoding.certificate import exact_law, g_test, total_variation
from speccore.decoding.chance import Chance
from speccore.decoding.drafters import (
    AdaptiveDrafter,
    DatastoreDrafter,
    EagleDrafter,
    EagleTreeDrafter,
    EarlyExitDrafter,
    FallbackDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    MedusaDrafter,
    ModelDrafter,
    ModelTreeDrafter,
    MTPDrafter,
    NGramDrafter,
    NGramModelDrafter,
    NoDrafter,
)
from speccore.decoding.drafters.drafter import Target
from speccore.decoding.generate import Output, Text, decode, generate, stream
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import TokenTree
from speccore.models.heads import BlockwiseHeads, EagleHead, MedusaHeads, MTPHeads, MTPModules
from speccore.models.kv_cache import KVCache
from speccore.models.ngram import NGramModel
from speccore.models.text import ByteTokenizer
from tests.speccore.random_models import random_model, true_law, with_noise

STEP_TIMES = (1.0, 1.2, 1.5, 1.9)


def drafters(model):
    """Of every kind one; the draft model is the target with noise on its weights."""
    draft = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in draft.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    store = np.random.default_rng(0).integers(0, model.config.vocab_size, 300)
    ranks = TokenTree.product((2, 1))
    return {
        "plain": NoDrafter(),
        "model": ModelDrafter(draft, 2),
        "model, confident": ModelDrafter(draft, 3, least_confidence=0.6),
        "model tree": ModelTreeDrafter(draft, (2, 1)),
        "early exit": EarlyExitDrafter(1, 2),
        "early exit, confident": EarlyExitDrafter(1, 3, least_confidence=0.6),
        "n-gram, recent": NGramDrafter(3, longest=3, shortest=1),
        "n-gram, frequent": NGramDrafter(3, longest=3, shortest=1, prefer="frequent"),
        "adaptive n-gram": AdaptiveDrafter(
            NGramDrafter(3, longest=3, shortest=1), STEP_TIMES, memory=2.0
        ),
        "adaptive model": AdaptiveDrafter(
            ModelDrafter(draft, 2), STEP_TIMES, guess_cost=0.1, prior_weight=1.0, memory=2.0
        ),
        "n-gram model": NGramModelDrafter(
            NGramModel(store, 1, vocab_size=model.config.vocab_size), 2
        ),
        "store": DatastoreDrafter(store, 3, longest=4, shortest=1),
        "store tree": DatastoreDrafter(store, 3, nodes=5, longest=4, shortest=1),
        "Jacobi": JacobiDrafter(3),
        "lookahead": LookaheadDrafter(3, 2, 2),
        "Medusa": MedusaDrafter(with_noise(MedusaHeads(model.config, 2)), ranks),
        "Medusa, own output": MedusaDrafter(
            with_noise(MedusaHeads(model.config, 2, own_output=True)), ranks
        ),
        "blockwise": MedusaDrafter(with_noise(BlockwiseHeads(model.config, 2)), ranks),
        "MTP heads": MedusaDrafter(with_noise(MTPHeads(model.config, 3)), ranks),
        "MTP modules": MTPDrafter(with_noise(MTPModules(model.config, 2))),
        "EAGLE": EagleDrafter(with_noise(EagleHead(model.config)), 2),
        "EAGLE tree": EagleTreeDrafter(with_noise(EagleHead(model.config)), 2, width=2, nodes=4),
        "n-gram, else EAGLE tree": FallbackDrafter(
            AdaptiveDrafter(NGramDrafter(3, longest=3, shortest=2), STEP_TIMES, memory=2.0),
            EagleTreeDrafter(with_noise(EagleHead(model.config)), 2, width=2, nodes=3),
        ),
    }


DRAFTERS = tuple(drafters(random_model(0)))
PROMPT = [0, 1, 2, 1, 0, 1]


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize(
    "sampling",
    [Sampling(1.0), Sampling(0.6, top_k=2), Sampling(1.3, top_p=0.8)],
    ids=["T = 1", "T = 0.6, top-k", "T = 1.3, top-p"],
)
def test_the_joint_law_of_the_tokens_is_the_targets(name, sampling):
    length = 2 if name == "model tree" else 3  # three tokens of a tree have a million outcomes
    model = random_model(0)
    drafter = drafters(model)[name]

    def run(chance):
        text = Text(list(PROMPT), length, drafter, chance)
        for _ in decode(model, [text], sampling):
            pass
        return text.tokens[len(PROMPT) :]

    law = exact_law(run, length, 3)
    truth = true_law(model, 3, PROMPT, length, sampling)
    assert truth.max() < 0.9, "a law that is nearly certain would prove little"
    assert total_variation(law, truth) <= 1e-12


@pytest.mark.parametrize("name", DRAFTERS)
def test_greedy_decoding_gives_the_tokens_of_plain_decoding(name):
    model = random_model(1, 11)
    drafter = drafters(model)[name]
    rng = np.random.default_rng(0)
    guessed = 0
    for size in (1, 2, 3, 5, 8, 13, 20):
        prompt = rng.integers(0, 11, size).tolist()
        plain = generate(model, prompt, max_new_tokens=25)
        output = generate(model, prompt, max_new_tokens=25, drafter=drafter)
        assert output.tokens == plain.tokens
        guessed += sum(output.accepted_lengths)
    assert (guessed > 0) == (name != "plain")


def deep_drafters(model):
    """Drafts of six levels."""
    draft = drafters(model)["model"].model
    return {
        "model": ModelDrafter(draft, 6),
        "model tree": ModelTreeDrafter(draft, (2, 1, 1, 1, 1, 1)),
        "early exit": EarlyExitDrafter(1, 6),
        "Medusa": MedusaDrafter(with_noise(MedusaHeads(model.config, 6)), TokenTree.chain([0] * 6)),
        "MTP heads": MedusaDrafter(with_noise(MTPHeads(model.config, 6)), TokenTree.chain([0] * 6)),
        "MTP modules": MTPDrafter(with_noise(MTPModules(model.config, 6))),
        "EAGLE": EagleDrafter(with_noise(EagleHead(model.config)), 6),
        "EAGLE tree": EagleTreeDrafter(with_noise(EagleHead(model.config)), 6, width=2, nodes=22),
    }


@pytest.mark.parametrize("name", deep_drafters(random_model(0)))
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_text_may_fill_the_context_to_its_end(name, temperature):
    model = random_model(1, 11, context=24)
    settings = {"max_new_tokens": 21, "temperature": temperature}
    output = generate(model, [1, 2, 3], drafter=deep_drafters(model)[name], **settings)
    assert len(output.tokens) == 21
    assert max(output.draft_lengths) == 6
    if temperature == 0.0:
        assert output.tokens == generate(model, [1, 2, 3], **settings).tokens


@pytest.mark.parametrize("name", DRAFTERS)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_text_in_a_batch_is_the_text_alone(name, temperature):
    model = random_model(2, 7)
    drafter = drafters(model)[name]
    prompts = [[1], [2, 3, 2, 3, 2], [0] * 12, [6, 5, 4]]
    settings = {"max_new_tokens": 14, "temperature": temperature, "drafter": drafter}
    together = generate(model, prompts, seed=3, **settings)
    for row, prompt in enumerate(prompts):
        alone = generate(model, prompt, seed=3 + row, **settings)
        assert together[row].tokens == alone.tokens
        assert together[row].accepted_lengths == alone.accepted_lengths
        assert together[row].draft_sizes == alone.draft_sizes


@pytest.mark.parametrize("name", DRAFTERS)
def test_the_books_are_right(name):
    model = random_model(3, 5)
    drafter = drafters(model)[name]
    output = generate(model, [1, 2, 3], max_new_tokens=20, temperature=0.8, drafter=drafter)
    assert len(output.tokens) == 20
    ended_in_guesses = output.was_guessed[-1]
    assert sum(output.accepted_lengths) + output.steps == 20 + ended_in_guesses
    assert output.steps == len(output.draft_lengths) == len(output.draft_sizes)
    assert sum(output.was_guessed) == sum(output.accepted_lengths)
    pairs = zip(output.accepted_lengths, output.draft_lengths, strict=True)
    assert all(kept <= drafted for kept, drafted in pairs)
    assert max(output.draft_sizes) <= drafter.most_nodes
    assert set(output.timings) == {"prompt", "draft", "verify", "accept", "cache"}
    assert all(seconds >= 0 for seconds in output.timings.values())
    assert output.tokens_per_step == 20 / output.steps
    assert output.tokens_per_second > 0


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_a_draft_ends_before_the_first_guess_of_little_confidence(temperature):
    model, least = random_model(11, 11), 0.5
    # Greedy laws are certain everywhere: what the model believes is its softmax.
    belief = Sampling(temperature or 1.0)
    lengths = set()
    for seed in range(30):
        prompt = np.random.default_rng(seed).integers(0, 11, 6).tolist()
        drafter = ModelDrafter(model, 4, least_confidence=least).begin(model)
        draft = drafter.propose(prompt, Sampling(temperature), Chance(seed), None)
        tokens = draft.tree.tokens.tolist()
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 :].numpy()
        confident = (belief.law(logits).max(axis=1) >= least).tolist()
        assert all(confident[: len(tokens)])
        assert len(tokens) == 4 or not confident[len(tokens)]
        lengths.add(len(tokens))
    assert {0, 4} < lengths


@pytest.mark.parametrize("layers", [1, 2])
def test_an_early_exit_draws_from_the_laws_of_the_first_layers(layers):
    model, how = random_model(12, 11, layers=3), Sampling(0.8)
    prompt, drafter = [3, 1, 4, 1, 5], EarlyExitDrafter(layers, 4).begin(model)
    with torch.inference_mode():
        cache = KVCache(model.config, dtype=torch.float64)
        model(torch.tensor([prompt[:-1]]), cache=cache)
        target = Target(model, cache, model.embedding(torch.zeros(1, 0, dtype=torch.int64)))
        draft = drafter.propose(prompt, how, Chance(0), target)
        text = torch.tensor([[*prompt, *draft.tree.tokens.tolist()]])
        truth = how.law(model.logits(model.features(text)[layers])[0, 4:8].numpy())
        assert len(draft.tree) == 4 and np.allclose(draft.laws[:4], truth, rtol=0, atol=1e-12)
        # All layers read on, as if nothing had been guessed.
        assert cache.length == 4
        after, whole = model(text[:, 4:5], cache=cache), model(text[:, :5])
        assert torch.allclose(after[:, -1], whole[:, -1], rtol=0, atol=1e-12)


def test_acceptance_by_position_counts_what_was_tried():

    output = Output((0,) * 9, (2, 0, 1, 2), (3, 3, 1, 2), (3, 3, 1, 2), {"prompt": 0.0})
    # depth 1: four tries, three kept; depth 2: (3 | kept >= 1) and (2 | kept >= 1); depth 3: one.
    assert output.acceptance_by_position.tolist() == [3 / 4, 1.0, 0.0]


def test_sampling_with_a_real_seed_follows_the_law():
    # Four drafters at a false-alarm rate of 1e-3 each: this fails once in 250 seeds.
    model, sampling = random_model(0), Sampling(1.0)
    law = true_law(model, 3, PROMPT, 2, sampling)
    for name in ("model", "model tree", "early exit", "store tree"):
        counts, drafter = np.zeros((3, 3)), drafters(model)[name]
        for seed in range(600):
            output = generate(
                model,
                PROMPT,
                max_new_tokens=2,
                temperature=1.0,
                drafter=drafter,
                seed=seed,
            )
            counts[output.tokens] += 1
        assert g_test(counts, law).passes(1e-3), name


def test_the_same_seed_gives_the_same_text_and_others_do_not():
    model = random_model(4, 9)
    texts = [
        generate(model, [1, 2], max_new_tokens=30, temperature=1.0, seed=seed).tokens
        for seed in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize("name", DRAFTERS)
def test_a_stream_is_the_text(name):
    model = random_model(5, 6)
    drafter = drafters(model)[name]
    settings = {"max_new_tokens": 17, "temperature": 0.9, "drafter": drafter, "seed": 2}
    assert tuple(stream(model, [3, 1], **settings)) == generate(model, [3, 1], **settings).tokens


def byte_model(seed=6):
    model = random_model(seed, 256, width=16)
    model.tokenizer = ByteTokenizer()
    return model


@pytest.mark.parametrize("name", DRAFTERS)
def test_end_of_text_ends_the_text_within_guesses_too(name):
    model = byte_model()
    drafter = drafters(model)[name]
    plain = generate(model, [65, 66, 65], max_new_tokens=30).tokens
    # Whatever token stands at some place becomes the end; it may have come earlier.
    for end in sorted(set(plain)):
        model.tokenizer = ByteTokenizer()
        model.tokenizer.end_of_text = end
        output = generate(model, [65, 66, 65], max_new_tokens=30, drafter=drafter)
        assert output.tokens == plain[: plain.index(end) + 1]
        assert sum(output.was_guessed) == sum(output.accepted_lengths)


def test_stop_strings_end_the_text_with_the_token_that_completes_one():
    model = byte_model(7)
    plain = generate(model, [65], max_new_tokens=40, temperature=1.0, seed=1).tokens
    text = model.tokenizer.decode
    ascii_run = next(
        k for k in range(2, 39) if all(token < 128 for token in plain[k : k + 2]) and plain[k]
    )
    stop = text(plain[ascii_run : ascii_run + 2])
    output = generate(model, [65], max_new_tokens=40, temperature=1.0, seed=1, stop=["no", stop])
    assert text(output.tokens).endswith(stop)
    assert output.tokens == plain[: len(output.tokens)]
    assert stop not in text(output.tokens[:-1])


@pytest.mark.parametrize("name", DRAFTERS)
def test_the_cache_holds_all_committed_tokens_but_the_last(name, monkeypatch):
    model = random_model(8, 6)
    drafter = drafters(model)[name]
    text = Text([1, 2, 3], 20, drafter, Chance(0))
    seen = []
    propose = type(drafter).propose

    def watching(self, context, sampling, chance, target):
        seen.append((target.cache.length, len(context)))
        draft = propose(self, context, sampling, chance, target)
        assert target.cache.length == len(context) - 1
        return draft

    monkeypatch.setattr(type(drafter), "propose", watching)
    for _ in decode(model, [text], Sampling(1.0)):
        pass
    assert seen and all(cached == committed - 1 for cached, committed in seen)


def test_a_drafter_is_shown_the_features_of_all_committed_tokens(monkeypatch):
    """Also after a path whose nodes are not the first ones of the tree."""
    model = random_model(8, 6)
    drafter = MedusaDrafter(with_noise(MedusaHeads(model.config, 2)), TokenTree.product((4, 3)))
    shown, contexts, paths = [], [], []
    propose, rule = MedusaDrafter.propose, drafter.lossless

    def watching(self, context, sampling, chance, target):
        shown.append(target.features)
        contexts.append(list(context))
        return propose(self, context, sampling, chance, target)

    def noting(draft, p, chance):
        verdict = rule(draft, p, chance)
        paths.append(verdict.path)
        return verdict

    monkeypatch.setattr(MedusaDrafter, "propose", watching)
    for prompt in ([1], [2, 0, 5]):
        shown.clear()
        text = Text(prompt, 30, drafter, Chance(0))
        for _ in decode(model, [text], Sampling(1.0), noting):
            pass
        with torch.inference_mode():
            whole = model.features(torch.tensor([contexts[-1][:-1]]))[-1]
            assert torch.allclose(torch.cat(shown, dim=1), whole, atol=1e-9)
    assert any(path != tuple(range(len(path))) for path in paths)


def test_typical_acceptance_can_be_asked_for_by_name():
    model = random_model(9, 8)
    settings = {"max_new_tokens": 20, "drafter": EarlyExitDrafter(1, 3), "temperature": 1.0}
    output = generate(model, [1], acceptance=partial(typical, epsilon=0.3), **settings)
    assert len(output.tokens) == 20
    # It asks no chance but the drafter's: with a greedy threshold of 1 nothing is ever kept.
    none = generate(model, [1], acceptance=partial(typical, epsilon=1.0, delta=1e9), **settings)
    assert sum(none.accepted_lengths) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_no_numbers_stop_with_the_step(bad):
    model = random_model(10)
    logits = model.logits
    passes = itertools.count(1)

    def breaking(features):
        found = logits(features)
        return found * bad if next(passes) == 3 else found

    model.logits = breaking
    with pytest.raises(FloatingPointError, match="step 3 of text 0: logits: takes finite numbers"):
        generate(model, [1, 2], max_new_tokens=5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": []}, ValueError, "ids: takes a prompt of at least one token"),
        ({"ids": [[1], []]}, ValueError, "ids: takes a prompt of at least one token"),
        ({"ids": [0, 3]}, ValueError, "ids: takes numbers from 0 to 2, got 3"),
        ({"ids": [0, -1]}, ValueError, "ids: takes numbers from 0 to 2, got -1"),
        ({"ids": [0, 0.5]}, TypeError, "ids: takes whole numbers, got 0.5"),
        ({"ids": [0] * 40}, ValueError, "max_new_tokens: takes at most context"),
        ({"max_new_tokens": 0}, ValueError, "max_new_tokens: takes a whole number >= 1, got 0"),
        ({"temperature": -1.0}, ValueError, "temperature: takes a finite number >= 0, got -1.0"),
        ({"top_p": 0.0}, ValueError, "top_p"),
        ({"top_k": 0}, ValueError, "top_k"),
        ({"seed": -1}, ValueError, "seed: takes a whole number >= 0, got -1"),
        ({"stop": "x"}, TypeError, "stop: takes a sequence of strings"),
        ({"stop": ["x"]}, ValueError, "stop: takes a model with a tokenizer"),
        (
            {"drafter": EarlyExitDrafter(2, 2)},
            ValueError,
            "layers: takes fewer than the target's 2",
        ),
        (
            {"drafter": ModelDrafter(random_model(0, 4), 2)},
            ValueError,
            "drafter: takes a draft model with the target's vocabulary of 3, got 4",
        ),
        (
            {"drafter": ModelDrafter(random_model(0, 3, context=8), 2)},
            ValueError,
            "drafter: takes a draft model with a context of 48",
        ),
    ],
)
def test_bad_arguments_are_named_before_work_starts(change, error, message, monkeypatch):
    model = random_model(0)
    monkeypatch.setattr(model, "features", lambda *_, **__: pytest.fail("work has started"))
    arguments = {"ids": [0, 1], "max_new_tokens": 20, **change}
    with pytest.raises(error, match=message):
        generate(model, arguments.pop("ids"), **arguments)
    if "ids" not in change:
        with pytest.raises(error, match=message):
            stream(model, [0, 1], **arguments)
