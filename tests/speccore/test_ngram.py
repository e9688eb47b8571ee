"""The model of counts has the law of its formula, and guesses from text are copies of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speccore.decoding.chance import Chance
from speccore.decoding.drafters import DatastoreDrafter, NGramDrafter
from speccore.decoding.drafters.ngram import suffix_array
from speccore.decoding.sampling import Sampling
from speccore.models.ngram import NGramModel

TEXTS = st.lists(st.integers(0, 3), min_size=4, max_size=60)


def by_formula(text, context, order, vocab_size):
    """Witten and Bell's recursion, with counting by looking."""
    law = np.full(vocab_size, 1 / vocab_size)
    for n in range(min(order, len(context)) + 1):
        h = context[len(context) - n :]
        after = [text[i + n] for i in range(len(text) - n) if text[i : i + n] == h]
        if not after:
            break
        counts = np.bincount(after, minlength=vocab_size)
        different = np.count_nonzero(counts)
        law = (counts + different * law) / (counts.sum() + different)
    return law


@given(TEXTS, st.lists(st.integers(0, 3), max_size=6), st.integers(0, 3))
def test_the_law_of_counts_is_that_of_the_formula(text, context, order):
    law = NGramModel(text, order, vocab_size=5).law(context)
    assert np.allclose(law, by_formula(text, context, order, 5), rtol=0, atol=1e-14)
    assert law.sum() == pytest.approx(1.0)
    assert law.min() > 0


def test_arguments_of_the_model_of_counts():
    assert NGramModel(np.arange(256, dtype=np.uint8), 7).law([1, 2]).argmax() == 3
    with pytest.raises(ValueError, match="order: takes at most 7 with a vocabulary of 256, got 8"):
        NGramModel(np.arange(20), 8)
    with pytest.raises(ValueError, match="text: takes more than order = 3 whole numbers"):
        NGramModel([1, 2, 3], 3)
    with pytest.raises(ValueError, match="text: takes more than order = 1 whole numbers"):
        NGramModel([0.5, 1.0], 1)
    with pytest.raises(ValueError, match="text: takes ids from 0 to 2, got 3"):
        NGramModel([1, 2, 3], 1, vocab_size=3)


@given(TEXTS, st.integers(1, 9))
def test_places_are_in_the_order_of_what_stands_there(text, depth):
    order = suffix_array(text, depth).tolist()
    assert sorted(order) == list(range(len(text)))
    beginnings = [text[place : place + depth] for place in order]
    assert beginnings == sorted(beginnings)


def guesses(drafter, context):
    draft = drafter.propose(context, Sampling(1.0), Chance(0), None)
    assert draft.laws is None
    return draft.tree


@given(TEXTS, st.integers(1, 5), st.sampled_from(["recent", "frequent"]))
def test_prompt_lookup_guesses_what_followed_the_longest_suffix(text, length, prefer):
    drafter = NGramDrafter(length, longest=3, shortest=1, prefer=prefer).begin(None)
    for size in (len(text) // 2, len(text)):  # the second time it has learnt the rest as well
        context = text[:size]
        wanted = []
        while len(wanted) < length:
            so_far = context + wanted
            for n in (3, 2, 1):
                suffix = so_far[-n:]
                after = (
                    [context[i + n] for i in range(size - n) if context[i : i + n] == suffix]
                    if len(so_far) >= n
                    else []
                )
                if after:
                    break
            if not after:
                break
            if prefer == "recent":
                wanted.append(after[-1])
            else:
                most = max(map(after.count, after))
                wanted.append(next(t for t in reversed(after) if after.count(t) == most))
        assert guesses(drafter, context).tokens.tolist() == wanted


@given(TEXTS, st.lists(st.integers(0, 3), min_size=1, max_size=8), st.integers(1, 4))
def test_the_store_gives_the_most_frequent_continuations_of_the_longest_suffix(
    store, context, length
):
    longest = min(3, len(store) - 1)
    settings = {"longest": longest, "shortest": 1, "places": 1000}
    size = next(
        (
            n
            for n in range(min(longest, len(context)), 0, -1)
            if any(store[i : i + n] == context[-n:] for i in range(len(store) - n + 1))
        ),
        0,
    )
    places = [
        i + size
        for i in range(len(store) - size + 1)
        if size and store[i : i + size] == context[-size:]
    ]
    counts = {}
    for place in places:
        for depth in range(1, min(length, len(store) - place) + 1):
            path = tuple(store[place : place + depth])
            counts[path] = counts.get(path, 0) + 1
    tree = guesses(DatastoreDrafter(store, length, nodes=4, **settings), context)
    paths = [tuple(tree.tokens[list(tree.path_to(node))].tolist()) for node in range(len(tree))]
    assert len(set(paths)) == len(paths) == min(4, len(counts))
    kept = sorted((counts[path] for path in paths), reverse=True)
    assert kept == sorted(counts.values(), reverse=True)[:4]
    chain = guesses(DatastoreDrafter(store, length, **settings), context)
    assert chain.is_chain
    for depth in range(len(chain)):
        path = tuple(chain.tokens[: depth + 1].tolist())
        siblings = [
            count
            for other, count in counts.items()
            if other[:-1] == path[:-1] and len(other) == depth + 1
        ]
        assert counts[path] == max(siblings)


def test_tokens_that_the_store_cannot_hold_are_not_found():
    drafter = DatastoreDrafter(np.arange(50, dtype=np.uint8), 3, longest=4, shortest=1)
    assert guesses(drafter, [5, 6]).tokens.tolist() == [7, 8, 9]
    assert len(guesses(drafter, [5, 6 + 256])) == 0
    wide = DatastoreDrafter(np.arange(70_000), 2, longest=2, shortest=1)
    assert guesses(wide, [66_000]).tokens.tolist() == [66_001, 66_002]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: NGramDrafter(0), "draft_length: takes a whole number >= 1, got 0"),
        (lambda: NGramDrafter(2, longest=2, shortest=3), "shortest: takes at most longest = 2"),
        (lambda: NGramDrafter(2, prefer="old"), "prefer: takes 'recent' or 'frequent', got 'old'"),
        (lambda: DatastoreDrafter([1, 2], 2), "store: takes more than longest = 12 whole numbers"),
        (lambda: DatastoreDrafter([-1] * 20, 2), "store: takes token ids from 0 on, got -1"),
    ],
)
def test_bad_arguments_of_drafters_from_text(make, message):
    with pytest.raises(ValueError, match=message):
        make()
