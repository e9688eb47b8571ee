"""Drafters on the real model, heads that are shipped for it among them: the text stays its own."""

import numpy as np
import pytest
import torch

import speccore
from speccore.decoding.certificate import g_test
from speccore.decoding.generate import generate
from speccore.decoding.theory import grow_tree
from speccore.models.packed_linear import packed
from speccore.models.pretrained import CHECKPOINTS, model_card
from speccore.race.train_real_heads import HEADS_RECIPES, TOKENS, TRUNK

PROMPTS = (
    "Write the word 'river' five times, one a line.",
    "Repeat this sentence twice: The tall ship left the harbour at noon.",
    "What is the capital of France?",
    "Count from 1 to 12.",
    "Write a Python function that adds two numbers.",
    "Give me three names for a cat.",
)
NEW = 24
TIE = 1e-3  # logits of a longer pass differ by some 1e-5


@pytest.fixture(scope="module")
def trunk():
    return speccore.load(TRUNK)


@pytest.fixture(scope="module")
def model(trunk):
    return packed(trunk)


@pytest.fixture(scope="module")
def drafters(trunk):
    medusa, eagle = (
        packed(speccore.load_heads(f"smollm2-{name}", trunk)) for name in ("medusa", "eagle")
    )
    tree = grow_tree(model_card("smollm2-medusa")["validation_accuracy"], 6)
    return {
        "prompt lookup": speccore.NGramDrafter(5, shortest=2),
        "early exit": speccore.EarlyExitDrafter(20, 2),
        "lookahead": speccore.LookaheadDrafter(3, 2, 2),
        "Medusa": speccore.MedusaDrafter(medusa, tree),
        "EAGLE": speccore.EagleDrafter(eagle, 3),
        "EAGLE, tree": speccore.EagleTreeDrafter(eagle, 3, width=2, nodes=5),
    }


@pytest.fixture(scope="module")
def plain(model):
    prompts = [model.tokenizer.chat(each) for each in PROMPTS]
    return [(ids, generate(model, ids, max_new_tokens=NEW).tokens) for ids in prompts]


NAMES = ("prompt lookup", "early exit", "lookahead", "Medusa", "EAGLE", "EAGLE, tree")


@pytest.mark.parametrize("name", NAMES)
def test_greedy_text_is_that_of_plain_decoding(name, model, drafters, plain):
    accepted = 0
    for ids, expected in plain:
        output = generate(model, ids, max_new_tokens=NEW, drafter=drafters[name])
        accepted += sum(output.accepted_lengths)
        if output.tokens != expected:
            pairs = zip(output.tokens, expected, strict=False)
            place = next(n for n, (one, other) in enumerate(pairs) if one != other)
            with torch.inference_mode():
                logits = model(torch.tensor([[*ids, *expected[:place]]]))[0, -1]
            best = logits.topk(2).values.tolist()
            assert best[0] - best[1] < TIE, f"{name} wrote another text, and not at a tie"
    assert accepted > 0, "guesses that never come true would prove little"


@pytest.mark.parametrize("name", ["prompt lookup", "Medusa", "EAGLE", "EAGLE, tree"])
def test_the_law_of_a_sampled_token_is_the_models(name, model, drafters):
    """The next two tokens after a text in 200 runs; a right drafter fails once in 1000 times."""
    ids = model.tokenizer.encode("The cat saw the dog, and the cat saw the")
    outputs = generate(
        model, [ids] * 200, max_new_tokens=3, temperature=1.0, drafter=drafters[name], seed=17
    )
    with torch.inference_mode():
        law = model(torch.tensor([ids]))[0, -1].double().softmax(-1).numpy()
    first = np.array([each.tokens[0] for each in outputs])
    assert g_test(np.bincount(first, minlength=len(law)), law).passes(1e-3)
    assert 0 < sum(each.accepted_lengths[0] for each in outputs) < 400
    often = int(np.bincount(first).argmax())
    second = [each.tokens[1] for each in outputs if each.tokens[0] == often]
    with torch.inference_mode():
        law = model(torch.tensor([[*ids, often]]))[0, -1].double().softmax(-1).numpy()
    assert g_test(np.bincount(second, minlength=len(law)), law).passes(1e-3)


def test_the_heads_give_tokens_away(model, drafters, plain):
    for name in ("Medusa", "EAGLE", "EAGLE, tree"):
        outputs = [
            generate(model, ids, max_new_tokens=NEW, drafter=drafters[name]) for ids, _ in plain
        ]
        per_step = sum(len(each.tokens) for each in outputs) / sum(each.steps for each in outputs)
        assert per_step > 1.1, name


@pytest.mark.parametrize("name", HEADS_RECIPES)
def test_heads_are_what_their_recipe_and_their_card_say(name, trunk):
    card, recipe = model_card(name), HEADS_RECIPES[name]
    heads = speccore.load_heads(name, trunk)
    assert (card["steps"], card["seed"], card["sizes"]) == (recipe.steps, recipe.seed, recipe.sizes)
    assert type(heads) is type(recipe.build(trunk.config))
    assert len(heads.draft_tokens.ids) == TOKENS
    assert card["held_out_tokens_among_draft_tokens"] > 0.95
    accuracy = np.array(card["validation_accuracy"])
    assert accuracy[0, 0] == accuracy.max() and (accuracy.sum(axis=1) <= 1).all()


def test_the_heads_for_the_real_model_are_small():
    sizes = [(CHECKPOINTS / f"{name}.safetensors").stat().st_size for name in HEADS_RECIPES]
    assert sum(sizes) <= 15e6
