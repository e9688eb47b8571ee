"""Guesses without a cache are those of the drafters, and inputs are those that really matter."""

import pytest
import torch

from speccore.decoding.chance import Chance
from speccore.decoding.drafters import EagleDrafter, MedusaDrafter, MTPDrafter
from speccore.decoding.drafters.drafter import Target
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import TokenTree
from speccore.exercises.chapter_18 import EXERCISES
from speccore.models.guessing import (
    guess_ahead,
    guess_features,
    inputs_of_guesses,
    most_guesses,
    ranks_along,
)
from speccore.models.heads import BlockwiseHeads, EagleHead, MedusaHeads, MTPHeads, MTPModules
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=13, layers=2, width=16, heads=2, kv_heads=1, hidden=24, context=32
)
NAMES = ("Medusa", "blockwise", "Meta", "DeepSeek", "EAGLE")
TEXT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]


def random_weights(module, seed):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.double().parameters():
            weight.copy_(0.4 * torch.randn(weight.shape, generator=generator).double())
    return module


@pytest.fixture(scope="module")
def trunk():
    return random_weights(Transformer(CONFIG), 0)


@pytest.fixture(scope="module")
def heads():
    made = (
        MedusaHeads(CONFIG, 3),
        BlockwiseHeads(CONFIG, 3),
        MTPHeads(CONFIG, 3),
        MTPModules(CONFIG, 3),
        EagleHead(CONFIG),
    )
    return {
        name: random_weights(each, seed)
        for seed, (name, each) in enumerate(zip(NAMES, made, strict=True), start=1)
    }


def drafter(name, heads):
    if name == "DeepSeek":
        return MTPDrafter(heads)
    if name == "EAGLE":
        return EagleDrafter(heads, 3)
    return MedusaDrafter(heads, TokenTree.chain([0, 0, 0]))


@pytest.mark.parametrize("name", NAMES)
def test_a_drafter_with_its_caches_guesses_the_same_along_a_text(name, trunk, heads):
    drafts = drafter(name, heads[name]).begin(trunk)
    with torch.inference_mode():
        features = trunk.features(torch.tensor([TEXT]))[-1]
    read = 0
    for length in range(3, len(TEXT) + 1):
        shown = Target(trunk, None, features[:, read : length - 1])
        read = length - 1
        draft = drafts.propose(TEXT[:length], Sampling(0.0), Chance(0), shown)
        assert draft.tree.tokens.tolist() == guess_ahead(heads[name], trunk, TEXT[:length], 3)[0]


@pytest.mark.parametrize("name", NAMES)
def test_guesses_of_a_text_for_training_are_those_when_it_is_drafted(name, trunk, heads):
    """For EAGLE guess 1 alone: it is trained with true features."""
    each, count = heads[name], heads[name].count
    with torch.no_grad():
        features = trunk.features(torch.tensor([TEXT]))[-1]
        embeddings = trunk.embedding(torch.tensor([TEXT]))
        whole = each.guesses(features, embeddings)
        for k in range(1, count + 1):
            for columns in range(1, len(TEXT) - k + 1):
                made = guess_features(each, features[:, :columns], embeddings[:, : columns + k])
                assert torch.allclose(made[k - 1], whole[k - 1][0, columns - 1], atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_an_input_is_read_if_and_only_if_the_guess_changes_with_it(name, trunk, heads):
    columns, count = 4, 3
    read = inputs_of_guesses(heads[name], trunk, TEXT[: columns + count], count)
    with torch.no_grad():
        inputs = (
            trunk.features(torch.tensor([TEXT[:columns]]))[-1],
            trunk.embedding(torch.tensor([TEXT[: columns + count]])),
        )
        before = guess_features(heads[name], *inputs)
        for kind in (0, 1):
            for place in range(inputs[kind].shape[1]):
                changed = [each.clone() for each in inputs]
                changed[kind][0, place, 0] += 0.5
                after = guess_features(heads[name], *changed)
                assert ((after != before).any(dim=1) == read[kind][:, place]).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_first_exercise_says_what_the_gradients_say(name, trunk, heads):
    answer = EXERCISES[0].solution
    for i in (0, 3):
        found = inputs_of_guesses(heads[name], trunk, TEXT[: i + 4], 3)
        for k in (1, 2, 3):
            features, tokens = (each[k - 1].nonzero().flatten().tolist() for each in found)
            assert (features, tokens) == answer(name, k, i)


def test_only_eagle_guesses_without_end(heads):
    limits = {name: most_guesses(each) for name, each in heads.items()}
    assert limits.pop("EAGLE") is None and set(limits.values()) == {3}


def test_more_guesses_than_heads_are_refused(trunk, heads):
    with pytest.raises(ValueError, match="takes those of 1 to 3 tokens behind the 9 features"):
        guess_ahead(heads["Medusa"], trunk, TEXT, 4)
    with pytest.raises(ValueError, match="takes those of 1 to any number of tokens"):
        guess_features(heads["EAGLE"], torch.zeros(1, 3, 16), torch.zeros(1, 3, 16))
    assert len(guess_ahead(heads["EAGLE"], trunk, TEXT, 6)[0]) == 6


@pytest.mark.parametrize("name", NAMES)
def test_a_rank_counts_the_candidates_that_look_better_than_the_texts_token(name, trunk, heads):
    each, start, count = heads[name], 3, 2
    ranks = ranks_along(each, trunk, TEXT, start, count)
    assert ranks.shape == (len(TEXT) - count - start + 1, count)
    with torch.no_grad():
        features = trunk.features(torch.tensor([TEXT]))[-1]
        embeddings = trunk.embedding(torch.tensor([TEXT]))
    for place, n in enumerate(range(start, len(TEXT) - count + 1)):
        made = guess_features(each, features[:, : n - 1], embeddings[:, : n - 1 + count])
        for k in (1, 2):
            order = each.logits(trunk, made[k - 1], k).argsort(descending=True).tolist()
            assert ranks[place, k - 1] == order.index(TEXT[n + k - 1])


def test_ranks_need_a_text_and_heads_that_reach_so_far(trunk, heads):
    with pytest.raises(ValueError, match=r"text: takes at least start \+ count = 12 tokens"):
        ranks_along(heads["EAGLE"], trunk, TEXT, 8, 4)
    with pytest.raises(ValueError, match="count: takes at most 3 with these heads, got 4"):
        ranks_along(heads["Medusa"], trunk, TEXT, 3, 4)
    with pytest.raises(ValueError, match="start: "):
        ranks_along(heads["Medusa"], trunk, TEXT, 1, 2)
