"""Figures and widget of chapter 18 show what they are given, and what real heads guess."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from rlcore.plots import COLOURS
from speccore import plots, widgets
from speccore.models.guessing import guess_ahead, ranks_along
from speccore.models.heads import EagleHead, MedusaHeads, MTPModules
from speccore.models.prompts import PROMPTS
from speccore.models.text import own_text
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.plots.heads import FEATURE, GUESS, TOKEN, UNREAD

pytestmark = pytest.mark.usefixtures("strict_figures")


def boxes(ax):
    """Place → (text, colour of its box)."""
    return {
        text.get_position(): (text.get_text(), text.get_bbox_patch().get_facecolor())
        for text in ax.texts
        if text.get_bbox_patch() is not None
    }


def arrows(ax):
    """Where arrows come from, and where they end."""
    return {(text.xyann, text.xy) for text in ax.texts if getattr(text, "arrow_patch", None)}


# -- figures ---------------------------------------------------------------------------------------


def test_inputs_that_are_read_are_in_colour_and_have_an_arrow():
    ax = plots.guess_inputs([False, True], [False, True, True, False], 2)
    found = boxes(ax)
    assert [found[x, 0][1] for x in (-1, 0)] == [to_rgba(UNREAD), to_rgba(FEATURE)]
    assert [found[x, 1][1] for x in (-1, 0, 1, 2)] == [
        to_rgba(each) for each in (UNREAD, TOKEN, TOKEN, UNREAD)
    ]
    assert found[3, 2] == (r"$\hat{t}_{i+3}$", to_rgba(GUESS)), "guess 2 is for t_{i+3}"
    assert arrows(ax) == {((0, 0), (3, 2)), ((0, 1), (3, 2)), ((1, 1), (3, 2))}
    assert [found[x, 0][0] for x in (-1, 0)] == ["$f_{i-1}$", "$f_{i}$"]
    assert [found[x, 1][0] for x in (1, 2)] == ["$t_{i+1}$", r"$\hat{t}_{i+2}$"]


def test_tokens_can_be_real_ones():
    labels = plots.byte_labels(b"$a_b")
    ax = plots.guess_inputs([True], [True] * 4, 1, labels=labels)
    assert [boxes(ax)[x, 1][0] for x in range(4)] == labels
    with pytest.raises(ValueError, match="labels: takes 4, one a token, got 1"):
        plots.guess_inputs([True], [True] * 4, 1, labels=["a"])
    with pytest.raises(ValueError, match="k: takes a guess from 1 to 3"):
        plots.guess_inputs([True], [True] * 4, 4)


def test_the_trunks_own_choice_is_green_among_the_candidates():
    ax = plots.candidates(["a", "$", "c"], [0.5, 0.3, 0.1], right=1)
    colours = [patch.get_facecolor() for patch in ax.patches]
    assert colours == [to_rgba(each) for each in (FEATURE, GUESS, FEATURE)]
    assert [patch.get_width() for patch in ax.patches] == [0.5, 0.3, 0.1]
    bare = plots.candidates(["a"], [0.5])
    assert bare.patches[0].get_facecolor() == to_rgba(FEATURE)


def test_curves_by_count_may_differ_in_length():
    ax = plots.by_count(
        {"a": ((1, 2), (80, 60)), "b": ((1, 2, 3), (9, 8, 7))},
        xlabel="k",
        ylabel="%",
        band=(85, 90),
        band_label="published",
    )
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1, 2, 3]]
    assert ax.lines[0].get_ydata().tolist() == [80, 60] and ax.get_ylim()[0] == 0
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["published", "a", "b"]
    band = ax.patches[0]
    assert (band.get_y(), band.get_y() + band.get_height()) == (85, 90)


def test_more_curves_by_count_than_colours_can_be_told_apart():
    many = {f"{i}": ((1,), (1,)) for i in range(len(COLOURS) + 2)}
    lines = plots.by_count(many, xlabel="k", ylabel="%").lines
    looks = {(line.get_color(), line.get_marker(), line.get_markerfacecolor()) for line in lines}
    assert len(looks) == len(many)


def test_what_is_given_up_is_in_percent():
    ax = plots.given_up({"exact": (2.0, 1.0), "top 2": (2.5, 0.25)})
    assert [(line.get_xdata()[0], line.get_ydata()[0]) for line in ax.lines] == [
        (2.0, 100.0),
        (2.5, 25.0),
    ]


def test_calibration_has_a_diagonal_and_areas_by_count():
    ax = plots.calibration([0.2, 0.8], [0.1, 0.9], [10, 40])
    assert ax.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    points = ax.collections[0]
    assert points.get_offsets().tolist() == [[0.2, 0.1], [0.8, 0.9]]
    small, large = points.get_sizes()
    assert small < large


def test_a_table_has_every_cell_in_its_column():
    ax = plots.text_table(["x", "y"], {"a": ["1", "2"], "b": ["3", "4"]})
    found = {text.get_text(): text.get_position() for text in ax.texts}
    assert found["1"] == (0, 0) and found["4"] == (1, 1)
    assert found["y"][0] == 1 and found["b"][1] == 1
    with pytest.raises(ValueError, match="rows: takes 2 cells a row, got 1 for 'a'"):
        plots.text_table(["x", "y"], {"a": ["1"]})


def test_cells_of_two_lines_stay_clear_of_the_head():
    ax = plots.text_table(["x"], {str(row): ["lookup,\nadaptive"] for row in range(10)})
    ax.figure.canvas.draw()
    head, cell = (
        next(text for text in ax.texts if text.get_text() == words).get_window_extent()
        for words in ("x", "lookup,\nadaptive")
    )
    (rule,) = ax.lines
    below = ax.transData.transform((0, rule.get_ydata()[0]))[1]
    assert cell.y1 < below < head.y0


def test_figures_draw_into_axes_that_they_are_given():
    ax = Figure().add_subplot()
    for drawn in (
        plots.guess_inputs([True], [True, True], 1, ax=ax),
        plots.candidates(["a"], [1.0], ax=ax),
        plots.by_count({"a": ((1,), (1,))}, xlabel="x", ylabel="y", ax=ax),
        plots.given_up({"a": (1, 1)}, ax=ax),
        plots.calibration([0.5], [0.5], [1], ax=ax),
        plots.text_table(["x"], {"a": ["1"]}, ax=ax),
    ):
        assert drawn is ax
    assert plt.get_fignums() == []


# -- the widgets -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models():
    """A trunk over bytes, and heads of three kinds, two modules among them."""
    config = TransformerConfig(
        vocab_size=256, layers=1, width=16, heads=2, kv_heads=1, hidden=16, context=256
    )
    heads = {
        "Medusa": MedusaHeads(config, 4),
        "modules": MTPModules(config, 2),
        "EAGLE": EagleHead(config),
    }
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for each in heads.values():
            for weight in each.parameters():
                weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return Transformer(config, seed=0), heads


@pytest.fixture
def drawn(monkeypatch):
    """What the widgets hand to their figures."""
    calls = {"guess_inputs": [], "candidates": [], "by_count": []}
    for name, found in calls.items():
        draw = getattr(plots, name)

        def listening(*arguments, draw=draw, found=found, **settings):
            found.append((arguments, settings))
            return draw(*arguments, **settings)

        monkeypatch.setattr(plots, name, listening)
    return calls


def test_the_widget_shows_what_the_heads_guess_and_read(models, drawn):
    trunk, heads = models
    panel = widgets.what_flows_where(trunk, heads)
    for name in heads:
        panel.controls["architecture"].value = name
        for k in (1, 2):
            panel.controls["k"].value = k
            context = list(PROMPTS[0].encode())
            guesses, logits = guess_ahead(heads[name], trunk, context, k)
            (labels, probabilities), settings = drawn["candidates"][-1]
            assert labels[0] == plots.byte_labels(guesses[-1:])[0]
            assert np.allclose(probabilities, logits[-1].softmax(-1).topk(len(labels)).values)
            with torch.no_grad():
                own = int(trunk(torch.tensor([[*context, *guesses[:-1]]]))[0, -1].argmax())
            best = plots.byte_labels([own])[0]
            assert (settings["right"] is None) == (best not in labels)
            assert settings["right"] is None or labels[settings["right"]] == best
            (features, tokens, shown), _ = drawn["guess_inputs"][-1]
            assert shown == k
            assert features.tolist() == [name != "Medusa"] * 3 + [True]
            count = len(tokens) - 4
            reads = [name != "Medusa"] * (4 + k) + [False] * (count - k)
            assert tokens.tolist() == reads


def test_a_third_module_that_does_not_exist_is_said_so(models, drawn):
    panel = widgets.what_flows_where(*models)
    panel.controls["architecture"].value = "modules"
    before, count = panel.image.value, len(drawn["candidates"])
    panel.controls["k"].value = 3
    assert panel.image.value != before and len(drawn["candidates"]) == count
    assert panel.message.value == ""


def test_more_candidates_are_right_more_often(models, drawn):
    trunk, heads = models
    panel = widgets.accuracy_by_distance(trunk, heads)
    for count in (1, 8):
        panel.controls["candidates"].value = count
    few, many = ({name: y for name, (_, y) in drawn["by_count"][i][0][0].items()} for i in (0, -1))
    text = own_text(
        trunk,
        torch.tensor([list(PROMPTS[0].encode())]),
        10 + 3,
        temperature=0.0,
        generator=torch.Generator(),
    )[0].tolist()
    for name, each in heads.items():
        ranks = ranks_along(each, trunk, text, len(PROMPTS[0].encode()) + 1, len(few[name]))
        assert len(few[name]) == (2 if name == "modules" else 3)
        assert few[name] == pytest.approx(100 * (ranks < 1).mean(axis=0))
        assert many[name] == pytest.approx(100 * (ranks < 8).mean(axis=0))
    assert panel.message.value == ""
