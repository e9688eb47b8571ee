"""A draft as long as pays: the estimate is what it says, and the past alone decides."""

import inspect

import numpy as np
import pytest
import torch

from speccore.decoding import drafters
from speccore.decoding.acceptance import Verdict, rejection
from speccore.decoding.chance import Chance
from speccore.decoding.drafters import (
    AdaptiveDrafter,
    DatastoreDrafter,
    EagleDrafter,
    EarlyExitDrafter,
    JacobiDrafter,
    LookaheadDrafter,
    ModelDrafter,
    MTPDrafter,
    NGramDrafter,
    NGramModelDrafter,
)
from speccore.decoding.generate import Text, decode, generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import acceptance_rate, best_measured_draft_length
from speccore.models.heads import EagleHead, MTPModules
from speccore.models.ngram import NGramModel
from tests.speccore.random_models import random_model, with_noise

TIMES = np.array([1.0, 1.03, 1.15, 1.22, 1.29, 1.33, 1.38, 1.42])
STEEP = np.array([1.0, 3.0, 5.0])  # not even a sure guess pays

TARGET = random_model(0, 5)
OF_CHAINS = {
    DatastoreDrafter: lambda: DatastoreDrafter([*range(5)] * 8, 2, shortest=1),
    EagleDrafter: lambda: EagleDrafter(with_noise(EagleHead(TARGET.config)), 2),
    EarlyExitDrafter: lambda: EarlyExitDrafter(1, 2),
    JacobiDrafter: lambda: JacobiDrafter(2),
    ModelDrafter: lambda: ModelDrafter(random_model(1, 5), 2),
    MTPDrafter: lambda: MTPDrafter(with_noise(MTPModules(TARGET.config, 2))),
    NGramDrafter: lambda: NGramDrafter(2, shortest=1),
    NGramModelDrafter: lambda: NGramModelDrafter(NGramModel([*range(5)] * 8, 2, vocab_size=5), 2),
}


def replay(drafter, prompt, text):
    """The draft's size and what was kept of it, a step each, if the target's text is known."""
    drafter, context, left, steps = drafter.begin(None), list(prompt), list(text), []
    while left:
        draft = drafter.propose(context, Sampling(0.0), Chance(0), None).up_to(len(left) - 1)
        guesses, kept = draft.tree.tokens.tolist(), 0
        while kept < len(guesses) and guesses[kept] == left[kept]:
            kept += 1
        verdict = Verdict(tuple(range(kept)), left[kept])
        drafter.observe(draft, verdict, np.zeros((len(guesses) + 1, 1)))
        context += left[: kept + 1]
        left = left[kept + 1 :]
        steps.append((len(guesses), kept))
    return drafter, steps


def time_of(steps):
    return sum(TIMES[size] for size, _ in steps)


def test_the_estimate_is_the_stated_one():
    """Guesses 0 1 2 …, of which the target keeps a known number a step."""
    cycle = list(range(5)) * 60
    drafter = AdaptiveDrafter(
        NGramDrafter(8), TIMES, prior=0.4, prior_weight=3.0, memory=5.0
    ).begin(None)
    tried = kept = 0.0
    for step, wish in enumerate([7, 0, 1, 3, 0, 0, 0, 2, 7, 7]):
        assert drafter.alpha == pytest.approx((kept + 3.0 * 0.4) / (tried + 3.0))
        assert drafter.best_length == best_measured_draft_length(drafter.alpha, TIMES, 0.0)
        context = cycle[: 20 + 5 * step]
        draft = drafter.propose(context, Sampling(0.0), Chance(0), None)
        assert len(draft.tree) == drafter.best_length
        wins = min(wish, len(draft.tree))
        came_true = wins == len(draft.tree) and wish == 7  # the guess that was not verified
        token = cycle[len(context) + wins] if came_true else 99
        drafter.observe(draft, Verdict(tuple(range(wins)), token), np.zeros((8, 1)))
        kept, tried = 0.8 * kept + wins + came_true, 0.8 * tried + wins + 1
    assert drafter.alpha == pytest.approx((kept + 1.2) / (tried + 3.0))


def test_lengths_follow_the_text():
    """A copy drives the draft to its full length; what comes at random, back to none."""
    rng = np.random.default_rng(0)
    start = rng.integers(0, 50, 80).tolist()
    noise = rng.integers(0, 20, 120).tolist()  # its parts occur again, and go on otherwise
    drafter = AdaptiveDrafter(NGramDrafter(7, shortest=1), TIMES)
    _, copied = replay(drafter, start, start)
    _, random = replay(drafter, noise, rng.integers(0, 20, 200).tolist())
    assert copied[-2][0] == 7 and len(copied) < 16
    assert np.mean([size for size, _ in random[-100:]]) < 1.0
    assert time_of(random) < 200 / 0.95
    fixed = replay(NGramDrafter(7, shortest=1), noise, rng.integers(0, 20, 200).tolist())[1]
    assert time_of(fixed) > 200 / 0.95, "a fixed length would lose here"
    _, both = replay(drafter, [*noise, *start], [*rng.integers(0, 20, 100).tolist(), *start])
    assert both[-2][0] == 7


def test_what_is_not_verified_is_counted_as_it_would_have_been():
    """No guess pays, so that none is drafted: the estimate is the share that would be right."""
    rng = np.random.default_rng(1)
    text = [0, 1, 2, 3] * 30
    for place in rng.choice(len(text), 25, replace=False):
        text[place] = 7
    drafter = AdaptiveDrafter(
        NGramDrafter(2, shortest=1), STEEP, prior=0.5, prior_weight=1e-9, memory=1e9
    )
    learned, steps = replay(drafter, text[:20], text[20:])
    assert {size for size, _ in steps} == {0} and len(steps) == 100
    plain, right, made = NGramDrafter(1, shortest=1).begin(None), 0, 0
    for end in range(20, 120):
        guess = plain.propose(text[:end], Sampling(0.0), Chance(0), None).tree.tokens.tolist()
        made += len(guess)
        right += guess == [text[end]]
    assert 0 < right < made
    assert learned.alpha == pytest.approx(right / made)


def test_a_drawn_guess_is_counted_with_its_probability_of_being_kept():
    target, draft, sampling = random_model(0, 5), random_model(1, 5), Sampling(0.8)
    drafter = AdaptiveDrafter(ModelDrafter(draft, 2), STEEP, prior_weight=1e-9, memory=1e9)
    text = Text([1, 2, 3], 12, drafter, Chance(0))
    for _ in decode(target, [text], sampling):
        pass
    assert set(text.draft_sizes) == {0}
    rates = []
    with torch.no_grad():
        for end in range(3, 15):
            tokens = torch.tensor([text.tokens[:end]])
            p, q = (sampling.law(model(tokens)[0, -1].numpy()) for model in (target, draft))
            rates.append(acceptance_rate(p, q))
    assert 0.1 < np.mean(rates) < 0.9
    assert text.drafter.alpha == pytest.approx(np.mean(rates))


def test_a_drafter_whose_guesses_cost_rests_and_tries_again():
    rng = np.random.default_rng(2)
    noise = rng.integers(0, 20, 300).tolist()
    costly = AdaptiveDrafter(NGramDrafter(4, shortest=1), TIMES, guess_cost=0.25)
    _, steps = replay(costly, noise[:100], noise[100:])
    drafted = [size > 0 for size, _ in steps]
    assert drafted[0] and not all(drafted)
    rested = drafted.index(False)
    assert any(drafted[rested:]), "it tries again"
    assert sum(drafted) < len(drafted) / 2


def test_the_other_drafter_is_left_as_it_was():
    other = ModelDrafter(random_model(1, 5), 3)
    drafter = AdaptiveDrafter(other, TIMES, guess_cost=0.1)
    assert drafter.lossless is rejection and drafter.most_nodes == 3
    first = generate(random_model(0, 5), [1, 2], max_new_tokens=12, drafter=drafter)
    assert other.draft_length == 3 and drafter.alpha == 0.5
    again = generate(random_model(0, 5), [1, 2], max_new_tokens=12, drafter=drafter)
    assert again.draft_sizes == first.draft_sizes


def test_all_that_have_a_draft_length_are_tried_below():
    found = {
        each
        for each in vars(drafters).values()
        if inspect.isclass(each) and "draft_length" in inspect.signature(each).parameters
    }
    assert found == set(OF_CHAINS)


@pytest.mark.parametrize("kind", OF_CHAINS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("guess_cost", [0.0, 0.01])
def test_no_more_guesses_than_the_draft_length(kind, guess_cost):
    drafter = AdaptiveDrafter(
        OF_CHAINS[kind](), np.ones(8), guess_cost=guess_cost, prior=1.0, prior_weight=1e9
    )
    assert drafter.most_nodes == drafter.best_length == 2
    text, made = Text([0, 1, 2, 3, 4, 0, 1, 2], 12, drafter, Chance(0)), set()
    for _ in decode(TARGET, [text], Sampling(0.8)):
        made.add(len(text.drafter._whole.tree))
    assert max(made) == max(text.draft_sizes) == 2


def test_no_more_guesses_than_there_are_times():
    drafter = AdaptiveDrafter(NGramDrafter(30), TIMES, prior=1.0)
    assert drafter.most_nodes == drafter.best_length == 7


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"drafter": LookaheadDrafter()}, TypeError, "one with a draft_length, got LookaheadDraft"),
        ({"times": [1.0, 0.0]}, ValueError, "pass_times"),
        ({"times": []}, ValueError, "pass_times"),
        ({"guess_cost": -0.1}, ValueError, "guess_cost: takes a finite number >= 0, got -0.1"),
        ({"prior": 1.1}, ValueError, r"prior: takes a number in \[0, 1\], got 1.1"),
        ({"prior_weight": 0.0}, ValueError, "prior_weight: takes a number > 0, got 0.0"),
        ({"memory": 0.5}, ValueError, "memory: takes a finite number >= 1, got 0.5"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    given = {"drafter": NGramDrafter(3), "times": TIMES, **change}
    with pytest.raises(error, match=message):
        AdaptiveDrafter(given.pop("drafter"), given.pop("times"), **given)


def test_trees_are_refused():
    store = np.tile([1, 2, 3, 1, 2, 4], 20)
    trees = DatastoreDrafter(store, 2, nodes=4, shortest=1)
    drafter = AdaptiveDrafter(trees, TIMES).begin(None)
    with pytest.raises(ValueError, match="takes one of chains, got a tree of DatastoreDrafter"):
        drafter.propose([1, 2], Sampling(0.0), Chance(0), None)
