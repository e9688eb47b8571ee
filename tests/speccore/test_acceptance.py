"""Every lossless rule, proved on random small models: all outcomes enumerated, no sampling."""

import re
from functools import partial, wraps

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speccore.decoding.acceptance import (
    Verdict,
    greedy,
    rejection,
    sample_and_descend,
    typical,
    with_replacement,
    within_distance,
    within_top_k,
    without_replacement,
)
from speccore.decoding.certificate import (
    TableDrafter,
    TableModel,
    exact_step_law,
    expected_step_length,
    outcomes,
    speculative_step,
    total_variation,
)
from speccore.decoding.chance import Chance
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import (
    acceptance_rate,
    acceptance_with_replacement,
    expected_accepted,
    expected_tokens,
)
from speccore.decoding.tree import Draft, TokenTree

EXACT = 1e-12
WITH, WITHOUT, CHOSEN = "with replacement", "without replacement", "most probable"
LOSSLESS = [
    (rejection, WITH),
    (rejection, CHOSEN),
    (with_replacement, WITH),
    (with_replacement, CHOSEN),
    (without_replacement, WITHOUT),
    (without_replacement, CHOSEN),
    (sample_and_descend, WITH),
    (sample_and_descend, WITHOUT),
    (sample_and_descend, CHOSEN),
]
CHAINS = [(), (-1,), (-1, 0), (-1, 0, 1)]
TREES = [(-1, -1), (-1, -1, -1), (-1, -1, 0, 0), (-1, -1, 0, 1), (-1, 0, 0, -1), (-1, 0, -1, 2)]
TOP_TWO = wraps(within_top_k)(partial(within_top_k, k=2))
NEAR = wraps(within_distance)(partial(within_distance, epsilon=1))
RULES = [
    greedy,
    rejection,
    with_replacement,
    without_replacement,
    sample_and_descend,
    typical,
    TOP_TWO,
    NEAR,
]


def names(value):
    return getattr(value, "__name__", None)


def two_models(seed, vocabulary=3, order=1, scale=1.0):
    generator = np.random.default_rng(seed)
    return [TableModel.random(vocabulary, order, generator, scale=scale) for _ in range(2)]


def distance(target, draft, rule, siblings, shape, length, sampling=None, context=(0, 0)):
    """Total variation of the next tokens from the target's law."""
    step = speculative_step(target, TableDrafter(draft, shape, siblings), rule, sampling)
    law = exact_step_law(step, context, length, target.vocabulary)
    return total_variation(law, target.joint_law(context, length, sampling))


def shapes_for(rule):
    return CHAINS if rule is rejection else CHAINS + TREES


CASES = [(rule, way, shape) for rule, way in LOSSLESS for shape in shapes_for(rule)]


# -- exact -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "siblings", "shape"), CASES, ids=names)
def test_the_output_follows_the_target(rule, siblings, shape):
    target, draft = two_models(len(shape))
    assert distance(target, draft, rule, siblings, shape, length=2) <= EXACT


@pytest.mark.parametrize(("rule", "siblings"), LOSSLESS, ids=names)
def test_three_tokens_of_models_that_look_back_two_tokens_follow_the_target(rule, siblings):
    shape = (-1, 0) if rule is rejection else (-1, 0, -1)
    target, draft = two_models(7, order=2)
    assert distance(target, draft, rule, siblings, shape, length=3, context=(2, 1)) <= EXACT


@pytest.mark.parametrize("vocabulary", [1, 2, 4])
@pytest.mark.parametrize(("rule", "siblings"), LOSSLESS, ids=names)
def test_vocabularies_of_other_sizes_follow_the_target(rule, siblings, vocabulary):
    shape = (-1, 0) if rule is rejection else (-1, -1, 0)
    target, draft = two_models(11, vocabulary)
    assert distance(target, draft, rule, siblings, shape, length=2) <= EXACT


SPECIAL = {
    "identical": ([0.2, 0.5, 0.3], [0.2, 0.5, 0.3]),
    "disjoint": ([0.4, 0.6, 0.0, 0.0], [0.0, 0.0, 0.7, 0.3]),
    "the target rules tokens out": ([0.4, 0.0, 0.6], [0.3, 0.3, 0.4]),
    "the draft rules tokens out": ([0.2, 0.3, 0.5], [0.9, 0.1, 0.0]),
    "point masses, equal": ([0.0, 1.0, 0.0], [0.0, 1.0, 0.0]),
    "point masses, different": ([0.0, 1.0, 0.0], [1.0, 0.0, 0.0]),
    "almost identical": ([0.2, 0.5, 0.3], [0.2 + 1e-15, 0.5 - 1e-15, 0.3]),
    "tiny": ([1e-300, 0.5, 0.5 - 1e-300], [0.5, 1e-300, 0.5]),
}


@pytest.mark.parametrize("case", SPECIAL)
@pytest.mark.parametrize(("rule", "siblings"), LOSSLESS, ids=names)
def test_special_laws_follow_the_target(rule, siblings, case):
    target, draft = (TableModel.from_laws(law) for law in SPECIAL[case])
    # Order 0: the same law everywhere; the logits are looked up by an empty context.
    for shape in [(-1,), (-1, 0)] if rule is rejection else [(-1, -1, -1), (-1, -1, 0, 0)]:
        assert distance(target, draft, rule, siblings, shape, length=2) <= EXACT


PROCESSED = [
    Sampling(0.5),
    Sampling(2.0),
    Sampling(top_k=2),
    Sampling(top_p=0.6),
    Sampling(0.7, top_k=3, top_p=0.8),
    Sampling(0.0),
]


@pytest.mark.parametrize("sampling", PROCESSED, ids=repr)
@pytest.mark.parametrize(("rule", "siblings"), LOSSLESS, ids=names)
def test_processed_laws_follow_the_target(rule, siblings, sampling):
    shape = (-1, 0) if rule is rejection else (-1, -1, 0)
    target, draft = two_models(5, vocabulary=4, scale=1.5)
    assert distance(target, draft, rule, siblings, shape, 2, sampling) <= EXACT


@pytest.mark.parametrize("siblings", [WITH, WITHOUT, CHOSEN])
@pytest.mark.parametrize("rule", [greedy, typical, TOP_TWO], ids=names)
def test_at_temperature_zero_any_draft_gives_greedy_decoding(rule, siblings):
    for shape in CHAINS + TREES:
        target, draft = two_models(3)
        assert distance(target, draft, rule, siblings, shape, 3, Sampling(0.0)) == 0.0


def test_typical_acceptance_changes_the_law():
    target, draft = two_models(3)
    assert distance(target, draft, typical, CHOSEN, (-1, 0), 2) > 0.1


def test_a_draft_may_end_after_an_unlikely_guess():
    """An adaptive length is no bias if what was drawn is tried; the museum has the other case."""
    target, draft = two_models(3)

    class Adaptive:
        def propose(self, context, sampling, chance, target):
            tokens, laws = [], [sampling.law(draft.after(context))]
            while len(tokens) < 3 and (not tokens or laws[-2][tokens[-1]] >= 0.4):
                tokens.append(chance.draw(laws[-1]))
                laws.append(sampling.law(draft.after([*context, *tokens])))
            return Draft(TokenTree.chain(tokens), np.stack(laws))

    for rule in (rejection, with_replacement, without_replacement):
        law = exact_step_law(speculative_step(target, Adaptive(), rule), [0], 3, 3)
        assert total_variation(law, target.joint_law([0], 3)) <= EXACT


# -- how many tokens -------------------------------------------------------------------------------


def step_length(target, draft, rule, siblings, shape):
    return expected_step_length(
        speculative_step(target, TableDrafter(draft, shape, siblings), rule), [0]
    )


@pytest.mark.parametrize("rule", [rejection, with_replacement, without_replacement])
@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_a_chain_gives_the_tokens_of_theory(rule, length):
    siblings = WITHOUT if rule is without_replacement else WITH
    for seed in range(4):
        target, draft = two_models(seed, order=0)
        alpha = acceptance_rate(Sampling().law(target.after([])), Sampling().law(draft.after([])))
        tokens = step_length(target, draft, rule, siblings, tuple(range(-1, length - 1)))
        assert tokens == pytest.approx(expected_tokens(alpha, length), rel=1e-12)


def test_a_chain_whose_acceptance_depends_on_the_context_gives_the_tokens_of_theory():
    target, draft = two_models(1)
    p, q = (np.stack([Sampling().law(m.after([x])) for x in range(3)]) for m in (target, draft))
    kept = np.minimum(p, q)  # probability that x is drawn after y, and kept
    expected = 1 + kept[0].sum() + (kept[0] @ kept).sum()
    tokens = step_length(target, draft, rejection, WITH, (-1, 0))
    assert tokens == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("siblings", [1, 2, 3, 4])
def test_siblings_with_replacement_are_kept_as_theory_says(siblings):
    for seed in range(4):
        target, draft = two_models(seed, order=0)
        p, q = Sampling().law(target.after([])), Sampling().law(draft.after([]))
        tokens = step_length(target, draft, with_replacement, WITH, (-1,) * siblings)
        expected = 1 + acceptance_with_replacement(p, q, siblings)
        assert tokens == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rule", [sample_and_descend, with_replacement, without_replacement])
@pytest.mark.parametrize("shape", CHAINS + TREES)
def test_a_tree_of_chosen_guesses_gives_the_tokens_of_theory(rule, shape):
    target, draft = two_models(2)
    guesses = TableDrafter(draft, shape, CHOSEN).propose([0], Sampling(), Chance(0)).tree
    p = Sampling().law(target.logits([0], guesses))
    acceptance = p[guesses.parents + 1, guesses.tokens]
    tokens = step_length(target, draft, rule, CHOSEN, shape)
    assert tokens == pytest.approx(1 + expected_accepted(guesses, acceptance), rel=1e-12)


def test_siblings_that_are_all_tokens_are_never_all_rejected_without_replacement():
    for seed in range(5):
        target, draft = two_models(seed, order=0)
        tokens = step_length(target, draft, without_replacement, WITHOUT, (-1, -1, -1))
        assert tokens == pytest.approx(2.0, rel=1e-12)


def test_without_replacement_keeps_more_than_with_replacement_on_random_models():
    for seed in range(40):
        target, draft = two_models(seed, vocabulary=4, order=0)
        without = step_length(target, draft, without_replacement, WITHOUT, (-1, -1))
        assert without > step_length(target, draft, with_replacement, WITH, (-1, -1))


# -- single verdicts -------------------------------------------------------------------------------


class Says:
    """A source of chance that always gives the same answer and draws the first possible token."""

    def __init__(self, accepted):
        self.accepted = accepted
        self.laws = []

    def accepts(self, p, q):
        return self.accepted

    def draw(self, law):
        self.laws.append(law)
        return int(np.flatnonzero(law)[0])


def test_a_fully_accepted_chain_is_followed_by_a_token_from_p_at_its_end():
    p = np.array([[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]])
    draft = Draft(TokenTree.chain([1, 0]), np.full((3, 2), 0.5))
    for rule in (rejection, with_replacement, without_replacement):
        chance = Says(True)
        assert rule(draft, p, chance) == Verdict((0, 1), 0)
        assert (chance.laws[0] == p[2]).all()


def test_a_rejected_guess_is_followed_by_a_token_from_the_residual():
    p, q = np.array([[0.5, 0.3, 0.2]] * 3), np.array([[0.2, 0.2, 0.6]] * 3)
    draft = Draft(TokenTree.chain([2, 0]), q)
    for rule in (rejection, with_replacement, without_replacement):
        chance = Says(False)
        assert rule(draft, p, chance).path == ()
        np.testing.assert_allclose(chance.laws[0], [0.75, 0.25, 0.0])


@pytest.mark.parametrize("rule", [rejection, with_replacement, without_replacement])
def test_a_rejection_that_only_rounding_could_cause_still_draws_from_the_target(rule):
    p = np.array([[0.5, 0.5, 0.0]] * 2)
    chance = Says(False)
    verdict = rule(Draft(TokenTree.chain([1]), p.copy()), p, chance)
    assert verdict == Verdict((), 0) and (chance.laws[0] == p[0]).all()


def test_typical_acceptance_by_hand():
    """Of two tokens, exp(−H) = .5; δ = .3 makes it .15, above ε = .09, so ε decides."""
    half = np.array([0.5, 0.5, 0.0, 0.0])
    mixed = np.array([0.88, 0.08, 0.04, 0.0])
    p = np.stack([half, mixed, mixed, half])
    chain = Draft(TokenTree([1, 0, 3], [-1, 0, 1]))
    assert typical(chain, p, Says(False)) == Verdict((0, 1), 0)
    assert typical(Draft(TokenTree([2, 0, 3], [-1, 0, 1])), p, Says(False)) == Verdict((), 0)
    # H(mixed) = .4433: δ exp(−H) = .1926, so the least probability kept is ε = .09 > .08 …
    assert typical(Draft(TokenTree([1, 1, 0], [-1, 0, 1])), p, Says(False)).path == (0,)
    # … and with δ = .1 it is .0642 < .08.
    lower = typical(Draft(TokenTree([1, 1, 0], [-1, 0, 1])), p, Says(False), delta=0.1)
    assert lower.path == (0, 1, 2)


def test_typical_acceptance_takes_more_than_the_threshold():
    p = np.array([[0.5, 0.5]] * 2)
    draft = Draft(TokenTree.chain([1]))
    assert typical(draft, p, Says(False), epsilon=0.5, delta=10.0).path == ()
    assert typical(draft, p, Says(False), epsilon=0.49, delta=10.0).path == (0,)


def test_greedy_takes_the_lowest_of_equally_probable_tokens():
    p = np.array([[0.2, 0.4, 0.4]] * 2)
    assert greedy(Draft(TokenTree.chain([2])), p, Says(False)) == Verdict((), 1)
    assert greedy(Draft(TokenTree.chain([1])), p, Says(False)) == Verdict((0,), 1)


def test_typical_acceptance_keeps_the_longest_path_then_the_most_probable():
    p = np.tile([0.5, 0.3, 0.2], (6, 1))
    # Paths 0 → 0, of depth 2, against 1 and 2; then two of the same depth.
    assert typical(Draft(TokenTree([1, 0, 2], [-1, -1, 0])), p[:4], Says(False)).path == (0, 2)
    tree = TokenTree([1, 0, 0, 0], [-1, -1, 0, 1])
    assert typical(Draft(tree), p[:5], Says(False)).path == (1, 3)


def test_blockwise_criteria_by_hand():
    p = np.stack([[0.1, 0.5, 0.4, 0.0], [0.6, 0.0, 0.3, 0.1], [0.0, 0.2, 0.3, 0.5]])
    second_best = Draft(TokenTree.chain([2, 2]))
    assert within_top_k(second_best, p, Says(False), k=1) == Verdict((), 1)
    assert within_top_k(second_best, p, Says(False), k=2) == Verdict((0, 1), 3)
    third = Draft(TokenTree.chain([2, 3]))
    assert within_top_k(third, p, Says(False), k=2) == Verdict((0,), 0)
    # |2 − 1| = 1 and |2 − 0| = 2 from the most probable tokens 1 and 0.
    assert within_distance(second_best, p, Says(False), epsilon=0) == Verdict((), 1)
    assert within_distance(second_best, p, Says(False), epsilon=1) == Verdict((0,), 0)
    assert within_distance(second_best, p, Says(False), epsilon=2) == Verdict((0, 1), 3)


def test_top_k_never_takes_what_is_impossible():
    certain = np.array([[0.0, 1.0, 0.0]] * 2)
    draft = Draft(TokenTree.chain([2]))
    assert within_top_k(draft, certain, Says(False), k=2) == Verdict((), 1)
    assert within_top_k(draft, certain, Says(False), k=9) == Verdict((), 1)


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("rule", RULES, ids=names)
def test_laws_are_never_edited(rule, accepted):
    tree = TokenTree.chain([2, 0]) if rule is rejection else TokenTree([2, 0, 1], [-1, -1, -1])
    p = np.tile([0.5, 0.3, 0.2], (len(tree) + 1, 1))
    laws = np.tile([0.2, 0.2, 0.6], (len(tree) + 1, 1))
    given_p, given_laws = p.copy(), laws.copy()
    rule(Draft(tree, laws), p, Says(accepted))
    assert (p == given_p).all() and (laws == given_laws).all()


@st.composite
def drafts(draw):
    """A random tree, drawn laws or none, and laws of the target, with zeros."""
    seed, vocabulary = draw(st.integers(0, 2**32 - 1)), draw(st.integers(1, 5))
    generator = np.random.default_rng(seed)
    size = draw(st.integers(0, 7))
    chain = draw(st.booleans())
    parents = [node - 1 if chain else int(generator.integers(-1, node)) for node in range(size)]
    siblings = draw(st.sampled_from([WITH, WITHOUT, CHOSEN]))
    sampling = Sampling(
        draw(st.sampled_from([0.0, 0.5, 1.0])), top_k=draw(st.sampled_from([None, 2]))
    )
    target, model = (TableModel.random(vocabulary, 1, generator, scale=2.0) for _ in range(2))
    draft = TableDrafter(model, parents, siblings).propose([0], sampling, Chance(seed))
    return draft, sampling.law(target.logits([0], draft.tree)), siblings, seed


@settings(max_examples=300)
@given(drafts(), st.sampled_from(RULES))
def test_a_verdict_is_a_path_of_possible_tokens(case, rule):
    draft, p, siblings, seed = case
    if rule is rejection and not draft.tree.is_chain:
        return
    if rule is without_replacement and siblings == WITH:
        return  # not what the rule is for: a token drawn twice is refused
    verdict = rule(draft, p, Chance(seed))
    before = -1
    for node in verdict.path:
        assert draft.tree.parents[node] == before
        if rule not in (typical, NEAR):
            assert p[before + 1, draft.tree.tokens[node]] > 0
        before = node
    assert p[before + 1, verdict.token] > 0
    assert rule(draft, p, Chance(seed)) == verdict


@settings(max_examples=100)
@given(drafts())
def test_the_strictest_criteria_are_greedy(case):
    draft, p, siblings, seed = case
    if siblings == WITH or (np.diff(np.sort(p, axis=1)[:, -2:]) == 0.0).any():
        return  # equal siblings, or equally probable tokens: more than one path is the best
    expected = greedy(draft, p, Chance(seed))
    assert within_top_k(draft, p, Chance(seed), k=1) == expected
    assert within_distance(draft, p, Chance(seed), epsilon=0) == expected


@settings(max_examples=100)
@given(drafts())
def test_a_chain_is_judged_alike_by_the_rule_for_chains_and_those_for_trees(case):
    draft, p, _, seed = case
    if draft.tree.is_chain:
        verdict = rejection(draft, p, Chance(seed))
        assert with_replacement(draft, p, Chance(seed)) == verdict
        assert without_replacement(draft, p, Chance(seed)) == verdict


@settings(max_examples=60)
@given(drafts(), st.sampled_from([with_replacement, without_replacement, sample_and_descend]))
def test_chosen_guesses_are_kept_with_the_same_law_by_every_tree_rule(case, rule):
    draft, p, _, _ = case
    laws = []
    for each in (rule, sample_and_descend):
        law = {}
        unique = TokenTree.from_paths(
            [draft.tree.tokens[list(path)].tolist() for path in draft.tree.paths()]
        )
        rows = p[: len(unique) + 1]
        for weight, verdict in outcomes(
            lambda chance, each=each, t=unique, r=rows: each(Draft(t), r, chance)
        ):
            law[verdict] = law.get(verdict, 0.0) + weight
        laws.append(law)
    for verdict in laws[0].keys() | laws[1].keys():
        assert laws[0].get(verdict, 0.0) == pytest.approx(laws[1].get(verdict, 0.0), abs=1e-12)


# -- bad input -------------------------------------------------------------------------------------

CHAIN = TokenTree.chain([1, 0])
HALVES = np.full((3, 2), 0.5)


@pytest.mark.parametrize("rule", RULES, ids=names)
@pytest.mark.parametrize(
    ("draft", "p", "message"),
    [
        (Draft(CHAIN), HALVES[:2], "p: takes shape (n + 1, V) with n = 2 nodes, got (2, 2)"),
        (Draft(CHAIN), HALVES[0], "p: takes shape (n + 1, V)"),
        (Draft(CHAIN, np.ones((3, 5))), HALVES, "draft.laws: takes the shape (3, 2) of p"),
        (Draft(TokenTree.chain([1, 2])), HALVES, "draft.tree: takes tokens < 2, the size of the"),
    ],
)
def test_drafts_and_laws_that_do_not_belong_together_are_refused(rule, draft, p, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        rule(draft, p, Chance(0))


def test_the_rule_for_chains_refuses_a_tree():
    with pytest.raises(ValueError, match=r"draft.tree: takes a chain, got TokenTree\(tokens=\[0"):
        rejection(Draft(TokenTree([0, 1], [-1, -1])), HALVES, Chance(0))


@pytest.mark.parametrize("rule", [rejection, with_replacement, without_replacement])
def test_a_draft_that_was_not_drawn_from_its_law_is_refused(rule):
    laws = np.array([[1.0, 0.0]] * 3)
    with pytest.raises(ValueError, match=r"draft.laws: .* gives token 1 probability 0.0"):
        rule(Draft(CHAIN, laws), HALVES, Chance(0))


def test_without_replacement_refuses_a_token_that_was_drawn_twice():
    twice = Draft(TokenTree([1, 1], [-1, -1]), HALVES)
    with pytest.raises(ValueError, match=r"gives token 1 probability 0\.0"):
        without_replacement(twice, np.array([[1.0, 0.0]] * 3), Chance(0))


@pytest.mark.parametrize("arguments", [{"epsilon": 0.0}, {"epsilon": 1.5}, {"delta": 0.0}])
def test_typical_acceptance_refuses_bad_thresholds(arguments):
    with pytest.raises(ValueError, match=next(iter(arguments))):
        typical(Draft(CHAIN), HALVES, Chance(0), **arguments)


def test_blockwise_criteria_refuse_bad_bounds():
    with pytest.raises(ValueError, match="k: "):
        within_top_k(Draft(CHAIN), HALVES, Chance(0), k=0)
    with pytest.raises(ValueError, match="epsilon: "):
        within_distance(Draft(CHAIN), HALVES, Chance(0), epsilon=-1)
