"""The models that are shipped, and every drafter with them: the text is that of plain decoding."""

import numpy as np
import pytest
import torch

import speccore
from speccore.decoding.generate import generate
from speccore.decoding.tree import TokenTree
from speccore.models.packed_linear import packed
from speccore.models.pretrained import CHECKPOINTS, PACKAGED, model_card
from speccore.models.prompts import PROMPTS
from speccore.models.text import batches, standard_library
from speccore.models.train_course_models import RECIPES
from speccore.models.training import evaluate, guess_accuracy
from speccore.race import train_real_heads

PROMPT, NEW = 64, 24  # tokens
TIE = 1e-3  # logits of a longer pass differ by some 1e-5, from one CPU to another as well


@pytest.fixture(scope="module")
def corpus():
    return standard_library()


@pytest.fixture(scope="module")
def target():
    return packed(speccore.load("course-target"))


@pytest.fixture(scope="module")
def drafters(corpus):
    draft, text = packed(speccore.load("course-draft")), corpus.train[:300_000]
    tree, trunk = TokenTree.product((2, 2, 1)), speccore.load("course-target")

    def heads(name):
        return packed(speccore.load_heads(f"course-{name}", trunk))

    return {
        "model": speccore.ModelDrafter(draft, 4),
        "model, adaptive": speccore.ModelDrafter(draft, 6, least_confidence=0.5),
        "model tree": speccore.ModelTreeDrafter(draft, (3, 2, 1)),
        "n-gram": speccore.NGramDrafter(6),
        "n-gram, frequent": speccore.NGramDrafter(6, prefer="frequent"),
        "datastore": speccore.DatastoreDrafter(text, 4),
        "datastore tree": speccore.DatastoreDrafter(text, 4, nodes=10),
        "n-gram model": speccore.NGramModelDrafter(speccore.NGramModel(text, 5), 4),
        "early exit": speccore.EarlyExitDrafter(1, 3),
        "jacobi": speccore.JacobiDrafter(4),
        "lookahead": speccore.LookaheadDrafter(3, 3, 3),
        "Medusa": speccore.MedusaDrafter(heads("medusa"), tree),
        "blockwise": speccore.MedusaDrafter(heads("blockwise"), tree),
        "MTP heads": speccore.MedusaDrafter(heads("mtp-heads"), tree),
        "MTP modules": speccore.MTPDrafter(heads("mtp-modules")),
        "EAGLE": speccore.EagleDrafter(heads("eagle"), 4),
        "EAGLE tree": speccore.EagleTreeDrafter(heads("eagle"), 4, width=2, nodes=6),
    }


@pytest.fixture(scope="module")
def prompts(corpus):
    """200 pieces of files on which no model was trained."""
    generator = torch.Generator().manual_seed(0)
    pieces, _ = next(batches(corpus.validation, batch=200, length=PROMPT, generator=generator))
    return pieces.tolist()


@pytest.fixture(scope="module")
def plain(target, prompts):
    return [generate(target, prompt, max_new_tokens=NEW).tokens for prompt in prompts]


@torch.inference_mode()
def gap(model, tokens):
    """Between the two largest logits after a text."""
    first, second = model(torch.tensor([tokens]))[0, -1].topk(2).values.tolist()
    return first - second


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "model, adaptive",
        "model tree",
        "n-gram",
        "n-gram, frequent",
        "datastore",
        "datastore tree",
        "n-gram model",
        "early exit",
        "jacobi",
        "lookahead",
        "Medusa",
        "blockwise",
        "MTP heads",
        "MTP modules",
        "EAGLE",
        "EAGLE tree",
    ],
)
def test_greedy_text_is_that_of_plain_decoding(
    name, target, drafters, prompts, plain, record_property
):
    ties = []
    accepted = 0
    for prompt, expected in zip(prompts, plain, strict=True):
        output = generate(target, prompt, max_new_tokens=NEW, drafter=drafters[name])
        accepted += sum(output.accepted_lengths)
        if output.tokens != expected:
            same = [a == b for a, b in zip(output.tokens, expected, strict=False)]
            ties.append(gap(target, [*prompt, *expected[: same.index(False)]]))
    assert accepted > 200, "guesses that never come true would prove little"
    assert all(each < TIE for each in ties), f"other text, where the best token led by {max(ties)}"
    if ties:
        record_property("summary", f"{name}: {len(ties)} of 200 texts part at a tie, {max(ties)}")


def test_the_draft_model_gives_tokens_away(target, drafters):
    ids = [list(prompt.encode()) for prompt in PROMPTS]
    for temperature in (0.0, 0.7, 1.0):
        outputs = [
            generate(
                target, each, max_new_tokens=48, drafter=drafters["model"], temperature=temperature
            )
            for each in ids
        ]
        per_step = sum(len(each.tokens) for each in outputs) / sum(each.steps for each in outputs)
        assert per_step > 2, temperature


@pytest.mark.parametrize("name", RECIPES)
def test_a_model_is_what_its_recipe_and_its_card_say(name, corpus):
    card, recipe = model_card(name), RECIPES[name]
    assert (card["steps"], card["seed"]) == (recipe.steps, recipe.seed)
    assert card["sizes"] == recipe.sizes != ""
    held_out = batches(
        corpus.validation, batch=4, length=512, generator=torch.Generator().manual_seed(1)
    )
    # Other windows, and with another version of Python another text.
    if recipe.trunk is None:
        model = speccore.load(name)
        assert model.config == recipe.build().config
        assert evaluate(model, held_out, count=4) == pytest.approx(card["validation_loss"], abs=0.2)
    else:
        trunk = speccore.load(recipe.trunk)
        heads = speccore.load_heads(name, trunk)
        stated = np.array(card["validation_accuracy"])
        found = guess_accuracy(heads, trunk, held_out, count=4, best=stated.shape[1])
        assert type(heads) is type(recipe.build()) and heads.settings == recipe.build().settings
        assert found == pytest.approx(stated, abs=0.05)


def test_names_and_sizes_of_what_is_shipped():
    assert set(speccore.available()) - set(PACKAGED) == {*RECIPES, *train_real_heads.HEADS_RECIPES}
    assert sum(path.stat().st_size for path in CHECKPOINTS.iterdir()) <= 40e6
    draft, target = (
        RECIPES[name].build().config.parameters for name in ("course-draft", "course-target")
    )
    assert target > 10 * draft
