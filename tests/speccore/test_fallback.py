"""Several drafters in turn: who drafts, what the others are told, and what they have missed."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from speccore import (
    AdaptiveDrafter,
    EagleTreeDrafter,
    FallbackDrafter,
    MedusaDrafter,
    ModelDrafter,
    NGramDrafter,
)
from speccore.decoding.acceptance import Verdict, sample_and_descend
from speccore.decoding.chance import Chance
from speccore.decoding.drafters.drafter import Drafter, Target
from speccore.decoding.generate import Text, decode, generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import NO_DRAFT, Draft, TokenTree
from speccore.models.heads import EagleHead, MedusaHeads
from tests.speccore.random_models import random_model, with_noise

TARGET = random_model(0, 5)
PROMPT = [0, 1, 2, 0, 1]


class Scripted(Drafter):
    """Drafts what it was told to, and notes what it is shown."""

    most_nodes = 3

    def __init__(self, drafts, needs_features=False):
        self.drafts, self.needs_features = list(drafts), needs_features
        self.shown, self.observed = [], []

    def propose(self, context, sampling, chance, target):
        self.shown.append((len(context), target.features))
        guesses = self.drafts.pop(0)
        return Draft(TokenTree.chain(guesses)) if guesses else NO_DRAFT

    def observe(self, draft, verdict, logits):
        self.observed.append((draft.tree.tokens.tolist(), verdict, len(logits)))


def step(drafter, tokens, path=(), token=4):
    """One step of a text in which the features of a token are its place."""
    start, end = tokens
    places = torch.arange(start, end, dtype=torch.float32).reshape(1, -1, 1)
    draft = drafter.propose(list(range(end + 1)), Sampling(), Chance(0), Target(None, None, places))
    drafter.observe(draft, Verdict(path, token), np.zeros((len(draft.tree) + 1, 5)))
    return draft.tree.tokens.tolist()


def test_the_first_drafter_with_a_guess_drafts():
    drafter = FallbackDrafter(Scripted([[1], [], []]), Scripted([[2], []]), Scripted([[3]]))
    assert [step(drafter, (k, k + 1)) for k in range(3)] == [[1], [2], [3]]


def test_who_had_no_guess_has_seen_a_step_of_plain_decoding():
    first, second, third = Scripted([[], [7]]), Scripted([[3, 2]]), Scripted([])
    drafter = FallbackDrafter(first, second, third)
    step(drafter, (0, 1), path=(0, 1), token=4)
    assert first.observed == [([], Verdict((), 3), 1)], "the first token that was committed"
    assert second.observed == [([3, 2], Verdict((0, 1), 4), 3)]
    step(drafter, (1, 4), path=(), token=4)
    assert first.observed[1:] == [([7], Verdict((), 4), 2)]
    assert len(second.observed) == 1 and not third.observed, "they were not asked"


def test_features_that_were_missed_are_shown_later_and_once():
    first, second = Scripted([[1], [1], [], []]), Scripted([[2], [2]], needs_features=True)
    drafter = FallbackDrafter(first, second)
    assert drafter.needs_features
    for tokens in ((0, 3), (3, 5), (5, 6), (6, 7)):
        step(drafter, tokens)
    assert [features.flatten().tolist() for _, features in second.shown] == [
        [0, 1, 2, 3, 4, 5],
        [6],
    ]


def test_heads_guess_as_if_they_had_read_along():
    """The tree after steps that a lookup has made is that of a reader of all features."""
    tree = EagleTreeDrafter(with_noise(EagleHead(TARGET.config)), 2, width=2, nodes=4)
    guesses = [[1, 2], [], [3], [0, 1], [], []]
    text = Text(list(PROMPT), 24, FallbackDrafter(Scripted(guesses * 9), tree), Chance(0))
    compared = 0
    for _ in decode(TARGET, [text], Sampling()):
        if text.drafter._used == 1 and text.remaining > 3:  # a draft near the end is cut
            new = text.tokens[: -(text.accepted_lengths[-1] + 1)]
            with torch.inference_mode():
                features = TARGET.features(torch.tensor([new[:-1]]))[-1]
                alone = tree.begin(TARGET)
                target = Target(TARGET, None, features)
                expected = alone.propose(new, Sampling(), Chance(0), target)
            assert text.draft.tree.tokens.tolist() == expected.tree.tokens.tolist()
            compared += 1
    assert compared >= 3


def test_the_drafters_are_left_as_they_were():
    lookup = AdaptiveDrafter(NGramDrafter(3, shortest=1), np.ones(4))
    heads = MedusaDrafter(with_noise(MedusaHeads(TARGET.config, 2)), TokenTree.product((2, 1)))
    drafter = FallbackDrafter(lookup, heads)
    assert (drafter.most_nodes, drafter.needs_features) == (4, True)
    assert drafter.lossless is sample_and_descend
    settings = {"max_new_tokens": 16, "drafter": drafter, "temperature": 0.8}
    first = generate(TARGET, PROMPT, **settings)
    assert lookup.alpha == 0.5
    second = generate(TARGET, PROMPT, **settings)
    assert replace(first, timings={}) == replace(second, timings={})


def test_what_cannot_be_combined_is_refused():
    with pytest.raises(ValueError, match="drafters: takes two or more, got 1"):
        FallbackDrafter(NGramDrafter(3))
    with pytest.raises(ValueError, match="one lossless rule, got rejection and sample_and_descend"):
        FallbackDrafter(NGramDrafter(3), ModelDrafter(TARGET, 2))
