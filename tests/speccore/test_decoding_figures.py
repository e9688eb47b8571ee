"""Figures and widget of chapter 13 show the numbers they are given, and real ones."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

from rlcore.plots import COLOURS
from speccore import plots, widgets
from speccore.decoding.sampling import Sampling
from speccore.models.prompts import PROMPTS
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.widgets.decoding import SHOWN, entropy, last_logits

pytestmark = pytest.mark.usefixtures("strict_figures")

COUNTS = (1, 2, 8)
TIMES = {
    "a": np.array([[2.0, 3.0, 4.0], [4.0, 5.0, 6.0], [3.0, 9.0, 5.0]]) / 1000,
    "b": np.array([[1.0, 2.0, 4.0]]) / 1000,
}


@pytest.fixture
def model():
    config = TransformerConfig(
        vocab_size=256, layers=1, width=16, heads=2, kv_heads=1, hidden=16, context=128
    )
    model = Transformer(config)
    model.tokenizer = ByteTokenizer()
    for weight in model.parameters():  # so that the law is not flat
        weight.data *= 20
    return model


def labels_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_costs_are_medians_in_units_of_a_pass_over_one_token():
    ax = plots.cost_curves(TIMES, COUNTS)
    first, alone, second = ax.lines
    assert first.get_ydata() == pytest.approx([1, 5 / 3, 5 / 3])
    assert second.get_ydata() == pytest.approx([1, 2, 4])
    assert alone.get_ydata() == pytest.approx(COUNTS), "n passes over one token cost n"
    assert labels_of(ax) == ["a", "n passes over one token", "b"]
    assert ax.get_ylabel() == "T(n) / T(1)"


def test_costs_in_milliseconds_with_the_middle_half_as_a_band():
    ax = plots.cost_curves(TIMES, COUNTS, relative=False, title="Times")
    first, alone, second, other = ax.lines
    assert first.get_ydata() == pytest.approx([3, 5, 5])
    assert second.get_ydata() == pytest.approx([1, 2, 4])
    assert alone.get_ydata() == pytest.approx([3, 6, 24])
    assert other.get_ydata() == pytest.approx([1, 2, 8])
    band = ax.collections[0].get_paths()[0].vertices
    at_one = band[band[:, 0] == 1, 1]
    assert (at_one.min(), at_one.max()) == pytest.approx((2.5, 3.5))
    assert "(ms)" in ax.get_ylabel() and ax.get_title(loc="left") == "Times"
    bare = plots.cost_curves({"a": TIMES["a"]}, (4, 5, 6), relative=False, each_alone=False)
    assert len(bare.lines) == 1 and labels_of(bare) == ["a"]


def test_costs_need_their_unit_and_one_column_a_count():
    with pytest.raises(ValueError, match=r"counts: takes 1 first, for T\(1\), got 4"):
        plots.cost_curves({"a": TIMES["a"]}, (4, 5, 6))
    with pytest.raises(ValueError, match=r"= \(repeats, 2\) for 'a', got \(3, 3\)"):
        plots.cost_curves(TIMES, (1, 2))


def test_a_roof_rises_with_the_bandwidth_and_ends_at_the_peak():
    ax = plots.roofline({"m": ([0.5, 4.0], [1e9, 6e9])}, peak=8e9, bandwidth=4e9, names=["1", "8"])
    roof, points = ax.lines
    x, y = roof.get_data()
    assert y == pytest.approx(np.minimum(8, 4 * x)) and x[1] == 2
    assert (x[0], x[-1]) == (0.25, 8)
    assert points.get_xydata().tolist() == [[0.5, 1], [4, 6]]
    assert [text.get_text() for text in ax.texts] == ["1", "8"]
    bound = dict(zip(labels_of(ax), ax.get_legend().legend_handles, strict=True))
    assert list(bound) == ["roof", "memory-bound", "compute-bound", "m"]
    memory, compute = ax.patches
    assert memory.get_x() + memory.get_width() == compute.get_x() == 2


def test_cut_tokens_are_grey_and_as_high_as_before():
    ax = plots.next_token_law([0.5, 0.3, 0.2], [0.625, 0.375, 0.0], ["a", "$", "b"], title="Law")
    assert [bar.get_height() for bar in ax.patches] == [0.625, 0.375, 0.2]
    assert [same_color(bar.get_facecolor(), COLOURS[0]) for bar in ax.patches] == [
        True,
        True,
        False,
    ]
    marks = [segment[0][1] for segment in ax.collections[0].get_segments()]
    assert marks == [0.5, 0.3, 0.2]
    assert labels_of(ax) == ["law", "cut", "before cutting"]
    assert ax.get_ylim()[1] > 0.625
    assert plots.next_token_law([1.0], [1.0], ["a"], legend=False).get_legend() is None


def test_figures_draw_into_axes_that_they_are_given():
    for draw in (
        lambda ax: plots.cost_curves(TIMES, COUNTS, ax=ax),
        lambda ax: plots.roofline({"m": ([1.0], [1.0])}, peak=1, bandwidth=1, ax=ax),
        lambda ax: plots.next_token_law([1.0], [1.0], ["a"], ax=ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax
    assert plt.get_fignums() == []


def test_entropy_of_a_fair_coin_is_one_bit_and_of_certainty_nothing():
    assert entropy(np.array([0.5, 0.5])) == 1 and entropy(np.full(8, 1 / 8)) == 3
    assert str(entropy(np.array([1.0, 0.0]))) == "0.0", "and not −0"


def test_the_widget_shows_the_law_from_which_a_token_would_be_drawn(model, monkeypatch):
    shown = []
    draw = plots.next_token_law

    def listening(before, after, labels, **settings):
        shown.append((before, after, labels, settings["title"]))
        return draw(before, after, labels, **settings)

    monkeypatch.setattr(plots, "next_token_law", listening)
    panel = widgets.next_token(model, "import ")
    logits = last_logits(model, "import ")
    order = np.argsort(-logits)[:SHOWN]
    assert len(set(logits)) == 256 and shown[0][2] == plots.byte_labels(order)
    for T, k, p in ((1.0, 256, 1.0), (0.5, 256, 0.7), (1.5, 10, 0.6), (0.0, 256, 1.0)):
        for name, value in {"temperature": T, "top_k": k, "top_p": p}.items():
            panel.controls[name].value = value
        law = Sampling(T, k, p).law(logits)
        before, after, _, title = shown[-1]
        assert after == pytest.approx(law[order]) and before == pytest.approx(
            Sampling(T).law(logits)[order]
        )
        assert f": {(law > 0).sum()} of 256 tokens kept, " in title
        assert title.endswith(f"→ {entropy(law):.3f} bits")


def test_the_widget_takes_a_model_with_its_tokenizer(model):
    model.tokenizer = None
    with pytest.raises(ValueError, match="model: takes one with a tokenizer"):
        widgets.next_token(model, PROMPTS[0])
