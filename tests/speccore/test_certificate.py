"""The certificate against brute force, against real chance, and against scipy."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from speccore.decoding.acceptance import rejection, with_replacement
from speccore.decoding.certificate import (
    Enumeration,
    GTest,
    TableDrafter,
    TableModel,
    count_outcomes,
    exact_law,
    exact_step_law,
    expected_step_length,
    expected_value,
    g_test,
    outcomes,
    speculative_step,
    total_variation,
)
from speccore.decoding.chance import Chance
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import TokenTree
from tests.speccore.museum import MISTAKES


def two_models(seed, vocabulary=3, order=1):
    generator = np.random.default_rng(seed)
    return [TableModel.random(vocabulary, order, generator) for _ in range(2)]


def whole_run(step, context, length):
    """A decoder: steps one after another, as a loop does them."""

    def run(chance):
        tokens = []
        while len(tokens) < length:
            tokens += step([*context, *tokens], chance)
        return tokens

    return run


# -- enumeration -----------------------------------------------------------------------------------


def test_two_questions_have_the_outcomes_that_one_writes_down():
    def run(chance):
        if chance.accepts(0.3, 0.4):
            return "kept"
        return chance.draw(np.array([1.0, 0.0, 3.0]))

    law = {result: weight for weight, result in outcomes(run)}
    assert law == pytest.approx({"kept": 0.75, 0: 0.0625, 2: 0.1875})


def test_certain_answers_are_no_branches():
    def run(chance):
        return (
            chance.accepts(0.5, 0.5),
            chance.accepts(0.0, 0.5),
            chance.draw(np.array([0.0, 2.0])),
        )

    assert list(outcomes(run)) == [(1.0, (True, False, 1))]


def test_a_run_without_chance_has_one_outcome():
    assert list(outcomes(lambda chance: "so")) == [(1.0, "so")]


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_weights_sum_to_one_and_no_outcome_comes_twice(seed):
    def run(chance):
        # The number of questions depends on the answers.
        generator, told = np.random.default_rng(seed), []
        while len(told) < 4 and (not told or told[-1] != 0):
            law = generator.integers(0, 3, size=3).astype(float)
            told.append(chance.draw(law) if law.any() else int(chance.accepts(0.2, 0.9)))
        return tuple(told)

    found = list(outcomes(run))
    assert sum(weight for weight, _ in found) == pytest.approx(1.0, abs=1e-12)
    assert len({result for _, result in found}) == len(found)
    assert all(weight > 0 for weight, _ in found)


def test_expected_value_is_the_mean_over_outcomes():
    assert expected_value(lambda chance: 10 * chance.draw(np.array([1.0, 1.0, 2.0]))) == 12.5


def test_real_chance_agrees_with_the_enumerated_law():
    """False alarm: 1e-3; the seeds are fixed."""
    target, draft = two_models(4)
    run = whole_run(speculative_step(target, TableDrafter(draft, (-1, 0)), rejection), [0], 2)
    counts = count_outcomes(lambda seed: run(Chance(seed)), 4000, 2, 3)
    assert counts.sum() == 4000
    assert g_test(counts, exact_law(run, 2, 3)).passes(1e-3)


def test_whole_runs_and_steps_give_the_same_law():
    target, draft = two_models(1)
    for shape, rule in (((-1, 0), rejection), ((-1, -1), with_replacement)):
        step = speculative_step(target, TableDrafter(draft, shape), rule)
        whole = exact_law(whole_run(step, [2], 2), 2, 3)
        assert total_variation(whole, exact_step_law(step, [2], 2, 3)) < 1e-14


def test_memory_between_steps_is_found_by_whole_runs_only():
    """A draft that keeps its first proposal judges later ones by the wrong law."""
    target, draft = two_models(2)

    class Forgetful:
        def __init__(self):
            self.laws = None

        def propose(self, context, sampling, chance, target):
            made = TableDrafter(draft, (-1,)).propose(context, sampling, chance)
            self.laws = made.laws if self.laws is None else self.laws
            return type(made)(made.tree, self.laws)

    def run(chance):
        step = speculative_step(target, Forgetful(), rejection)
        return whole_run(step, [0], 3)(chance)

    def fresh_step(context, chance):
        return speculative_step(target, Forgetful(), rejection)(context, chance)

    truth = target.joint_law([0], 3)
    assert total_variation(exact_law(run, 3, 3), truth) > 1e-3
    assert total_variation(exact_step_law(fresh_step, [0], 3, 3), truth) < 1e-12


def test_step_length_counts_the_tokens_of_one_step():
    assert (
        expected_step_length(lambda context, chance: [0] * (1 + chance.draw(np.ones(3))), []) == 2
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: exact_law(lambda chance: [0], 2, 3), "run: takes one that returns >= 2 tokens"),
        (lambda: exact_step_law(lambda c, chance: [], [0], 2, 3), "step: takes one that returns"),
        (lambda: exact_law(lambda chance: [0], 0, 3), "length"),
        (lambda: Enumeration().draw(np.zeros(2)), "law: takes numbers >= 0 with a positive"),
        (lambda: Enumeration().draw(np.array([2.0, -1.0])), "law: takes numbers >= 0"),
        (lambda: total_variation([1.0], [0.5, 0.5]), "q: takes the shape (1,) of p, got (2,)"),
        (lambda: TableModel(np.zeros((2, 3))), "logits: takes shape (V, …, V), got (2, 3)"),
        (lambda: TableModel(np.zeros((2, 2))).after([]), "context: takes 1 tokens or more"),
        (
            lambda: TableDrafter(TableModel(np.zeros(2)), (-1,), "sorted"),
            "siblings: takes one of with replacement, without replacement, most probable",
        ),
        (lambda: TableDrafter(TableModel(np.zeros(2)), (0,)), "parents"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


# -- models that are tables ------------------------------------------------------------------------


def test_the_joint_law_multiplies_the_laws_along_each_sequence():
    target, _ = two_models(0, order=2)
    sampling = Sampling(0.8, top_k=2)
    law = target.joint_law([1, 2], 3, sampling)
    assert law.sum() == pytest.approx(1.0, abs=1e-14)
    for tokens in itertools.product(range(3), repeat=3):
        probability, context = 1.0, [1, 2]
        for token in tokens:
            probability *= sampling.law(target.after(context))[token]
            context.append(token)
        assert law[tokens] == pytest.approx(probability, rel=1e-13)


def test_logits_of_a_tree_are_those_after_each_path():
    target, _ = two_models(0, order=2)
    tree = TokenTree([0, 1, 2, 2], [-1, 0, -1, 1])
    logits = target.logits([2, 1], tree)
    assert (logits[0] == target.after([2, 1])).all()
    for node in range(4):
        path = tree.tokens[list(tree.path_to(node))].tolist()
        assert (logits[node + 1] == target.after([2, 1, *path])).all()


def test_a_table_of_probabilities_has_these_probabilities():
    laws = np.array([[0.25, 0.75], [1.0, 0.0]])
    model = TableModel.from_laws(laws)
    for token in range(2):
        np.testing.assert_allclose(Sampling().law(model.after([token])), laws[token], rtol=1e-15)


def test_a_table_draft_says_from_which_laws_it_was_drawn():
    _, draft = two_models(0)
    for siblings in ("with replacement", "without replacement", "most probable"):
        made = TableDrafter(draft, (-1, -1, 0), siblings).propose([1], Sampling(0.5), Chance(1))
        if siblings == "most probable":
            assert made.laws is None
            first = Sampling().law(draft.after([1])).argmax()
            assert made.tree.tokens[0] == first
        else:
            assert (made.laws == Sampling(0.5).law(draft.logits([1], made.tree))).all()
        if siblings != "with replacement":
            assert made.tree.tokens[0] != made.tree.tokens[1]


def test_a_draft_without_replacement_ends_when_nothing_is_left():
    draft = TableModel.from_laws([0.5, 0.5, 0.0])
    made = TableDrafter(draft, (-1, -1, -1, 2, 1), "without replacement").propose(
        [], Sampling(), Chance(0)
    )
    assert made.tree.parents.tolist() == [-1, -1, 1]
    assert sorted(made.tree.tokens[:2].tolist()) == [0, 1]


# -- the statistical test --------------------------------------------------------------------------


@given(
    st.lists(st.integers(0, 60), min_size=2, max_size=8).filter(lambda counts: sum(counts) >= 40),
    st.integers(0, 1000),
)
def test_g_and_its_p_value_are_those_of_scipy(counts, seed):
    law = np.random.default_rng(seed).dirichlet(np.full(len(counts), 5.0))
    law = (law + 0.3 / len(counts)) / 1.3
    found = g_test(counts, law, smallest=1e-9)
    expected = stats.power_divergence(counts, sum(counts) * law, lambda_="log-likelihood")
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    assert found.degrees == len(counts) - 1


def test_a_right_law_fails_as_often_as_stated():
    """2000 tests at 5 %: between 65 and 137 failures with probability 0.9998."""
    generator = np.random.default_rng(0)
    law = np.array([[0.4, 0.3], [0.2, 0.1]])
    failures = 0
    for _ in range(2000):
        counts = generator.multinomial(500, law.ravel()).reshape(2, 2)
        failures += not g_test(counts, law).passes(0.05)
    assert 65 <= failures <= 137


def test_a_mistake_of_the_museum_fails_the_statistical_test():
    """At a false-alarm rate of 1e-9; what the right decoder does is tested above."""
    target, draft = two_models(4)
    run = whole_run(MISTAKES["resampling from p"].step(target, draft), [0], 2)
    counts = count_outcomes(lambda seed: run(Chance(seed)), 2000, 2, 3)
    assert not g_test(counts, target.joint_law([0], 2)).passes(1e-9)


def test_what_the_law_rules_out_must_not_happen():
    assert g_test([5, 0, 5], [0.5, 0.0, 0.5]).p_value == 1.0
    assert g_test([500, 1, 500], [0.5, 0.0, 0.5]) == GTest(np.inf, 1, 0.0)


def test_cells_that_expect_little_are_merged():
    law = [0.9, 0.04, 0.03, 0.02, 0.01]
    assert g_test([90, 4, 3, 2, 1], law, smallest=5.0).degrees == 1  # 1 + 2 + 3 expect 6; 4 joins
    assert g_test([90, 4, 3, 2, 1], law, smallest=0.5).degrees == 4
    assert g_test([3, 1], [0.5, 0.5]).p_value == 1.0  # too few to tell anything


@pytest.mark.parametrize(
    ("counts", "law", "message"),
    [
        ([1, 2], [0.5, 0.25, 0.25], "law: takes the shape (2,) of counts, got (3,)"),
        ([0, 0], [0.5, 0.5], "counts: takes whole numbers >= 0, not all 0"),
        ([1, -1], [0.5, 0.5], "counts"),
        ([1.5, 1], [0.5, 0.5], "counts"),
        ([1, 1], [0.5, 0.4], "law: takes probabilities that sum to 1, got a sum 0.9"),
        ([1, 1], [1.5, -0.5], "law"),
    ],
)
def test_bad_counts_and_laws_are_refused(counts, law, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        g_test(counts, law)


def test_a_rate_of_false_alarms_is_a_probability():
    with pytest.raises(ValueError, match="false_alarm"):
        g_test([5, 5], [0.5, 0.5]).passes(0.0)
