"""Figures and widget of chapter 12 show the numbers they are given, and real ones."""

import re

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from speccore import plots, widgets
from speccore.foundations.mixed_precision import flushed, gradients
from speccore.widgets.mixed_precision import FORMATS, _small_model

pytestmark = pytest.mark.usefixtures("strict_figures")


FP16 = {"tiny": 2.0**-24, "normal": 2.0**-14, "largest": 65504.0}


def heights(ax):
    """Middle of a bar → its height, of the gradients in FP32 and as stored."""
    for stairs in [each for each in ax.patches if isinstance(each, StepPatch)]:
        values, edges, _ = stairs.get_data()
        yield dict(zip((edges[:-1] + edges[1:]) / 2, values, strict=True))


def test_gradients_stand_at_their_exponents_and_what_is_lost_is_missing():
    exact = [2.0**-30, 1.5 * 2.0**-20, 2.0**-20, 8.0]
    stored = np.array(exact, dtype=np.float16).astype(float)
    ax = plots.gradient_histogram(exact, stored, **FP16, title="Gradients")
    wide, narrow = heights(ax)
    assert wide[-29.5] == 25 and wide[-19.5] == 50 and wide[3.5] == 25
    assert narrow[-29.5] == 0 and narrow[-19.5] == 50 and narrow[3.5] == 25
    assert ax.get_title(loc="left") == "Gradients"
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["FP32", "as stored", "flushed to zero", "digits missing", "overflow"]


def test_infinite_gradients_are_left_out_and_far_ones_counted_at_the_end():
    ax = plots.gradient_histogram([1.0, 2.0**40], [1.0, np.inf], **FP16)
    wide, narrow = heights(ax)
    assert wide[19.5] == 50 and narrow[19.5] == 0


def test_updates_are_counted_in_spacings():
    ax = plots.update_histogram({"rate": [0.0, 0.3, 0.3, 4.0, 2.0**30]})
    values, edges, _ = ax.patches[0].get_data()
    by_edge = dict(zip(edges, values, strict=False))
    assert (by_edge[-2.0], by_edge[2.0], by_edge[11.5]) == (50, 25, 25)


def test_curves_are_means_with_the_range_of_the_seeds():
    ax = plots.training_curves([10, 20], {"one": [[3, 1], [5, 2]], "two": [[1, 1]]})
    assert ax.lines[0].get_ydata().tolist() == [4, 1.5]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].min() == 1 and band[:, 1].max() == 5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["one", "two"]
    bare = plots.training_curves([10, 20], {"one": [[3, 1]]}, legend=False, ylim=(0, 9))
    assert bare.get_legend() is None and bare.get_ylim() == (0, 9)
    with pytest.raises(ValueError, match=r"curves: takes shape .* = \(seeds, 2\) for 'one'"):
        plots.training_curves([10, 20], {"one": [[1, 2, 3]]})


def test_flushed_shares_are_percent_and_marks_are_named():
    ax = plots.flushed_shares(
        [-2, 0, 2], {"of weights": [0.5, 0.25, 0.0]}, overflow_from=2, marks={"here": 0}
    )
    assert ax.lines[0].get_ydata().tolist() == [50, 25, 0]
    assert [text.get_text() for text in ax.texts] == ["here"]
    assert "overflow" in [text.get_text() for text in ax.get_legend().get_texts()]


def test_skipped_steps_are_marked_at_their_scale():
    ax = plots.scale_trace([8, 4, 4, 8], [True, False, False, True])
    steps, skipped = ax.lines
    assert steps.get_ydata().tolist() == [3, 2, 2, 3]
    assert (skipped.get_xdata().tolist(), skipped.get_ydata().tolist()) == ([0, 3], [3, 3])


def test_bars_are_stacked_in_order_and_spread_is_of_quartiles():
    ax = plots.stacked_bars({"a": {"x": 1, "y": 2}, "b": {"y": 3}}, xlabel="Bytes")
    assert [(bar.get_x(), bar.get_width()) for bar in ax.patches] == [
        (0, 1),
        (0, 0),
        (1, 2),
        (0, 3),
    ]
    ax = plots.bars_with_spread({"a": [1, 2, 3, 4, 10]}, xlabel="ms")
    assert ax.patches[0].get_width() == 3


def test_figures_draw_into_axes_that_they_are_given():
    ax = Figure().add_subplot()
    for drawn in (
        plots.gradient_histogram([1.0], [1.0], **FP16, ax=ax),
        plots.update_histogram({"a": [1.0]}, ax=ax),
        plots.training_curves([1], {"a": [[1]]}, ax=ax),
        plots.flushed_shares([0, 1], {"a": [0, 1]}, ax=ax),
        plots.scale_trace([1, 2], [False, True], ax=ax),
        plots.stacked_bars({"a": {"x": 1}}, xlabel="x", ax=ax),
        plots.bars_with_spread({"a": [1]}, xlabel="x", ax=ax),
    ):
        assert drawn is ax
    assert plt.get_fignums() == []


def test_the_widget_counts_what_the_real_backward_pass_loses(monkeypatch):
    titles = []
    draw = plots.gradient_histogram

    def listening(*arguments, **settings):
        titles.append(settings["title"])
        return draw(*arguments, **settings)

    monkeypatch.setattr(plots, "gradient_histogram", listening)
    panel = widgets.loss_scale()
    model, loss = _small_model()
    exact = gradients(model, loss)
    for exponent, name in ((-10, "FP16"), (10, "FP16"), (30, "FP16"), (-10, "BF16")):
        panel.controls["dtype"].value = name
        panel.controls["exponent"].value = exponent
        zero, broken = map(float, re.findall(r"([\d.]+) %", titles[-1]))
        stored = gradients(model, loss, FORMATS[name], scale=2.0**exponent)
        assert zero == pytest.approx(100 * flushed(exact, stored), abs=0.051)
        assert (broken > 0) == (exponent == 30)
        assert (zero > 30) == (exponent == -10 and name == "FP16")


def test_the_widget_takes_a_model_with_its_loss():
    with pytest.raises(ValueError, match="compute_loss: takes a loss if, and only if"):
        widgets.loss_scale(_small_model()[0])
    assert widgets.loss_scale(*_small_model()).image.value
