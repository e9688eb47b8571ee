"""Figures and widget of chapter 17 show the numbers they are given, and real decoding."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from speccore import plots, widgets
from speccore.decoding.acceptance import typical
from speccore.decoding.chance import Chance
from speccore.decoding.drafters.medusa import MedusaDrafter
from speccore.decoding.generate import generate
from speccore.decoding.sampling import Sampling
from speccore.decoding.tree import Draft, TokenTree
from speccore.models.heads import MedusaHeads
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.widgets.medusa import PROMPT, TREE, drafted_steps

pytestmark = pytest.mark.usefixtures("strict_figures")

# -- figures ---------------------------------------------------------------------------------------


def test_a_table_of_probabilities_is_coloured_and_written_where_it_is_read():
    law = np.array([[0.5, 0.004], [0.25, 0.1]])
    ax = plots.pair_law(law, ["a", "b"], ["x", "y"], title="Law")
    assert (ax.images[0].get_array() == law).all()
    written = {text.get_position(): text.get_text() for text in ax.texts}
    assert written == {(0, 0): "50", (0, 1): "25", (1, 1): "10"}, "less than 1 % is left out"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["x", "y"]
    assert ax.images[0].get_clim() == (0.0, 0.5)
    plain = plots.pair_law(law, ["a", "b"], ["x", "y"], percent=False, limit=1.0)
    assert [text.get_text() for text in plain.texts] == ["0.50", "0.00", "0.25", "0.10"]
    assert plain.images[0].get_clim() == (0.0, 1.0)


def test_budgets_show_the_grown_line_the_products_and_what_was_measured():
    ax = plots.tree_budget(
        [1, 1.5, 1.8], {"2": (2, 1.7)}, measured={"T = 0": {1: 1.4, 2: 1.9}, "T = 1": {1: 1.3}}
    )
    grown, products, zero, one = ax.lines
    assert grown.get_xdata().tolist() == [0, 1, 2]
    assert grown.get_ydata().tolist() == [1, 1.5, 1.8]
    assert (list(products.get_xdata()), list(products.get_ydata())) == ([2], [1.7])
    assert (list(zero.get_xdata()), list(zero.get_ydata())) == ([1, 2], [1.4, 1.9])
    assert one.get_color() != zero.get_color() and one.get_marker() != zero.get_marker()
    assert [text.get_text() for text in ax.get_legend().get_texts()][2:] == ["T = 0", "T = 1"]
    assert len(plots.tree_budget([1, 2], {}).lines) == 1


def test_the_threshold_is_epsilon_until_the_entropy_takes_over():
    ax = plots.typical_threshold({"paper": (0.09, 0.3)})
    reference, line = ax.lines
    entropy, least = line.get_data()
    assert reference.get_ydata() == pytest.approx(np.exp(-entropy))
    turn = np.log(0.3 / 0.09)
    assert least[entropy < turn] == pytest.approx(0.09)
    assert least[entropy > turn] == pytest.approx(0.3 * np.exp(-entropy[entropy > turn]))


@pytest.mark.parametrize("size", [2, 5, 40])
def test_the_threshold_drawn_is_that_of_the_rule(size):
    p = np.random.default_rng(size).dirichlet(np.ones(size))
    entropy = -(p * np.log(p)).sum()
    line = plots.typical_threshold({"paper": (0.09, 0.3)}).lines[1]
    least = np.exp(np.interp(entropy, line.get_xdata(), np.log(line.get_ydata())))
    for token in range(size):
        kept = typical(Draft(TokenTree.chain([token])), np.stack([p, p]), Chance(0)).path
        if abs(p[token] / least - 1) > 0.02:  # between two points of the line
            assert bool(kept) == (p[token] > least)


def test_points_of_a_trade_off_are_named_and_joined_in_order():
    points = {"lossless": (2.0, 1.3), "t1": (2.5, 0.9), "t2": (2.2, 0.8)}
    ax = plots.acceptance_trade_off(points, line=["t2", "t1"], level=1.2)
    joined, single, level = ax.lines
    assert list(zip(*joined.get_data(), strict=True)) == [(2.2, 0.8), (2.5, 0.9)]
    assert list(zip(*single.get_data(), strict=True)) == [(2.0, 1.3)]
    assert set(level.get_ydata()) == {1.2}
    assert {text.get_text(): text.xy for text in ax.texts} == points
    with pytest.raises(ValueError, match=r"line: takes names of points, got \['t3'\]"):
        plots.acceptance_trade_off(points, line=["t3"])


def test_a_judged_tree_says_what_the_target_gives_each_guess():
    tree = TokenTree([3, 4, 5], [-1, -1, 0])
    ax = plots.judged_tree(tree, ["a", "b", "c"], [0.62, 0.2, 0.004], kept=(0,))
    labels = [text.get_text() for text in ax.texts if text.get_bbox_patch()]
    assert labels == ["root", "a 62%", "b 20%", "c <1%"]
    with pytest.raises(ValueError, match=r"probabilities: takes shape \(3,\), got \(2,\)"):
        plots.judged_tree(tree, ["a", "b", "c"], [0.5, 0.5])


def test_figures_draw_into_axes_that_they_are_given():
    for draw in (
        lambda ax: plots.pair_law([[1.0]], ["a"], ["b"], ax=ax),
        lambda ax: plots.tree_budget([1, 2], {}, ax=ax),
        lambda ax: plots.typical_threshold({"a": (0.1, 0.3)}, ax=ax),
        lambda ax: plots.acceptance_trade_off({"a": (1, 1)}, ax=ax),
        lambda ax: plots.judged_tree(TokenTree([1], [-1]), ["a"], [0.5], ax=ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax
    assert plt.get_fignums() == []
    with pytest.raises(ValueError, match=r"law: takes shape \(1, 2\), got \(2, 2\)"):
        plots.pair_law(np.eye(2), ["a"], ["b", "c"])


# -- the steps, and the widget ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    """A trunk over bytes and heads on it, with random weights."""
    config = TransformerConfig(
        vocab_size=256, layers=2, width=16, heads=2, kv_heads=1, hidden=16, context=128
    )
    trunk, heads = Transformer(config, seed=0), MedusaHeads(config, 4)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in trunk.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
        heads.maps.normal_(std=0.1, generator=generator)
    return trunk, heads


@pytest.fixture(scope="module")
def steps(models):
    return drafted_steps(*models, TREE, list(PROMPT.encode()))


def test_steps_are_those_of_the_decode(models, steps):
    trunk, heads = models
    prompt = list(PROMPT.encode())
    output = generate(trunk, prompt, max_new_tokens=32, drafter=MedusaDrafter(heads, TREE))
    text = [*prompt, *output.tokens]
    ends = len(prompt) + np.cumsum([0, *(kept + 1 for kept in output.accepted_lengths)])
    assert [len(step.context) for step in steps] == ends[: len(steps)].tolist()
    assert len(steps) >= output.steps - 1, "the last step may have no place for a draft"
    for step, kept in zip(steps, output.accepted_lengths, strict=False):
        assert list(step.context) == text[: len(step.context)]
        verdict = step.greedy()
        room = len(text) - len(step.context)
        assert min(len(verdict.path), room) == min(kept, room)
        if len(verdict.path) < room:
            assert verdict.token == text[len(step.context) + len(verdict.path)]


@torch.inference_mode()
def test_each_guess_is_judged_by_the_law_after_its_parent(models, steps):
    trunk, _ = models
    step = steps[1]
    for node in range(len(step.tree)):
        *before, last = step.tree.tokens[list(step.tree.path_to(node))].tolist()
        logits = trunk(torch.tensor([[*step.context, *before]]))[0, -1]
        law = Sampling().law(logits.double().numpy())
        assert step.guess_probabilities[node] == pytest.approx(law[last], abs=1e-6)


def test_typical_acceptance_keeps_more_with_lower_thresholds(steps):
    lengths = [[len(step.typical(e, d).path) for step in steps] for e, d in ((1e-9, 1e-9), (1, 99))]
    assert lengths[0] == [step.tree.depth for step in steps], "everything is typical enough"
    assert lengths[1] == [0] * len(steps), "nothing is"


@pytest.fixture
def drawn(monkeypatch):
    """What the widget hands to the figure of a tree."""
    calls = []
    draw = plots.judged_tree

    def listening(tree, tokens, probabilities, **settings):
        calls.append((tree, settings))
        return draw(tree, tokens, probabilities, **settings)

    monkeypatch.setattr(plots, "judged_tree", listening)
    return calls


def test_the_widget_shows_both_rules_on_the_real_laws(models, steps, drawn):
    panel = widgets.medusa_steps(*models)
    controls = panel.controls
    assert controls["step"].max == len(steps)
    for number in (1, len(steps)):
        controls["step"].value = number
        for epsilon, delta in ((0.01, 0.05), (0.09, 0.3), (0.6, 1.0)):
            controls["epsilon"].value, controls["delta"].value = epsilon, delta
            (tree, above), (_, below) = drawn[-2:]
            step = steps[number - 1]
            assert tree.tokens.tolist() == step.tree.tokens.tolist()
            assert above["kept"] == step.greedy().path
            assert below["kept"] == step.typical(epsilon, delta).path
            assert f"{epsilon:.2f}" in below["title"] and f"{delta:.2f}" in below["title"]


def test_a_trunk_without_heads_is_refused(models):
    with pytest.raises(ValueError, match="heads: takes heads if, and only if, there is a trunk"):
        widgets.medusa_steps(models[0])
