"""Figures and widgets of chapter 14 show the numbers they are given, and real ones."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from speccore import plots, widgets
from speccore.decoding.sampling import Sampling
from speccore.decoding.theory import acceptance_rate, best_draft_length, speedup
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer, TransformerConfig

pytestmark = pytest.mark.usefixtures("strict_figures")

P, Q = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.2, 0.3, 0.4, 0.1])


def listen(monkeypatch, name):
    """What a widget asks a plot function to draw, call by call."""
    calls, draw = [], getattr(plots, name)

    def listening(*arguments, **settings):
        calls.append((arguments, settings))
        return draw(*arguments, **settings)

    monkeypatch.setattr(plots, name, listening)
    return calls


def bars(ax):
    """Label of a part → token → (from, to)."""
    names = [text.get_text() for text in ax.get_xticklabels()]
    found = {}
    for container in ax.containers:
        found[container.get_label().split(":")[0]] = {
            names[round(bar.get_x() + bar.get_width() / 2)]: (
                round(float(bar.get_y()), 9),
                round(float(bar.get_y() + bar.get_height()), 9),
            )
            for bar in container
        }
    return found


def test_the_overlap_has_the_common_part_below_and_what_is_left_of_either_law_above():
    found = bars(plots.overlap(P, Q, "abcd", title="Laws"))
    assert found == {
        "both": {"a": (0, 0.2), "b": (0, 0.3), "c": (0, 0.2)},
        "target alone": {"a": (0.2, 0.5)},
        "draft alone": {"c": (0.2, 0.4), "d": (0, 0.1)},
    }


def test_tokens_without_a_bar_of_their_own_share_one_and_no_probability_is_lost():
    found = bars(plots.overlap(P, Q, "abcd", shown=2, legend=False))
    assert found["both"] == {"a": (0, 0.2), "c": (0, 0.2), "others": (0, 0.3)}
    assert found["draft alone"]["others"] == (0.3, 0.4)
    total = {part: sum(high - low for low, high in found[part].values()) for part in found}
    assert total["both"] == pytest.approx(acceptance_rate(P, Q))
    assert total["target alone"] == pytest.approx(total["draft alone"]) == pytest.approx(0.3)


def test_the_overlap_takes_laws_of_the_tokens_that_are_named():
    with pytest.raises(ValueError, match=r"p, q: take shape \(V,\) = \(3,\), got \(4,\)"):
        plots.overlap(P, Q, "abc")


def test_distances_stand_in_rows_and_zero_at_the_left_end():
    ax = plots.distances({"right": [0.0, 1e-16], "wrong": [0.1, 0.2]}, {"wrong": 0.15})
    right, wrong, diamond = ax.lines
    assert right.get_xdata().tolist() == [1e-17, 1e-16] and set(right.get_ydata()) == {0}
    assert wrong.get_xdata().tolist() == [0.1, 0.2] and set(wrong.get_ydata()) == {1}
    assert diamond.get_xdata().tolist() == [0.15] and diamond.get_ydata().tolist() == [1]
    assert ax.get_xscale() == "log" and ax.get_xlim()[0] < 1e-17
    assert [text.get_text() for text in ax.get_yticklabels()] == ["right", "wrong"]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["a pair of random models", "quoted, for one other pair"]


def test_rates_are_counted_in_percent_and_their_mean_is_a_line():
    ax = plots.acceptance_histogram({"T = 1": [0.01, 0.02, 0.99, 1.0]})
    values, edges, _ = ax.patches[0].get_data()
    assert (values[0], values[-1], values.sum()) == (50, 50, 100) and edges[-1] == 1.0
    assert ax.lines[0].get_xdata() == pytest.approx([0.505, 0.505])


def test_the_map_has_a_speedup_for_each_cell_and_no_line_where_no_draft_pays():
    alphas, lengths = [0.2, 0.5, 0.8], [1, 2]
    gains = np.array([[0.5, 0.25], [1.0, 1.0], [2.0, 4.0]])
    ax = plots.speedup_map(gains, alphas, lengths, [0, 1, 2], at=(0.5, 1), measured=(0.8, 2))
    shades = ax.collections[0].get_array()
    assert np.asarray(shades).tolist() == [[-1, 0, 1], [-2, 0, 2]]
    best, chosen, real = ax.lines
    assert np.isnan(best.get_ydata()[0]) and best.get_ydata()[1:].tolist() == [1, 2]
    assert [line.get_xydata().tolist() for line in (chosen, real)] == [[[0.5, 1]], [[0.8, 2]]]
    with pytest.raises(ValueError, match=r"gains: takes shape .* = \(3, 2\), got \(2, 3\)"):
        plots.speedup_map(gains.T, alphas, lengths, [0, 1, 2])


def test_figures_draw_into_axes_that_they_are_given():
    for draw in (
        lambda ax: plots.overlap(P, Q, "abcd", ax=ax),
        lambda ax: plots.distances({"a": [0.1]}, ax=ax),
        lambda ax: plots.acceptance_histogram({"a": [0.1]}, ax=ax),
        lambda ax: plots.speedup_map(np.eye(2) + 1, [0, 1], [1, 2], [1, 2], ax=ax),
    ):
        ax = Figure().add_subplot()
        assert draw(ax) is ax
    assert plt.get_fignums() == []


# -- widgets ---------------------------------------------------------------------------------------


def byte_model(seed):
    config = TransformerConfig(
        vocab_size=256, layers=1, width=16, heads=2, kv_heads=1, hidden=24, context=64
    )
    model = Transformer(config, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(0.5 * torch.randn(weight.shape, generator=generator))
    return model


def test_the_widget_shows_the_laws_of_the_two_models_after_the_bytes_that_were_read(monkeypatch):
    target, draft, text = byte_model(0), byte_model(1), "x = $y or z"
    calls = listen(monkeypatch, "overlap")
    panel = widgets.acceptance(target, draft, text)
    ids = ByteTokenizer().encode(text)
    for place, temperature, mix in ((4, 1.0, 0.0), (7, 0.7, 0.0), (11, 1.5, 0.5), (6, 0.0, 1.0)):
        panel.controls["place"].value = place
        panel.controls["temperature"].value = temperature
        panel.controls["mix"].value = mix
        (p, q, _), settings = calls[-1]
        context = torch.tensor([ids[:place]])
        with torch.inference_mode():
            laws = [
                Sampling(temperature).law(model(context)[0, -1].double().numpy())
                for model in (target, draft)
            ]
        assert np.allclose(p, laws[0], atol=1e-5)
        assert np.allclose(q, (1 - mix) * laws[1] + mix * laws[0], atol=1e-5)
        assert f"= {acceptance_rate(p, q):.3f}" in settings["title"]
    assert acceptance_rate(p, q) == 1.0  # the target drafts for itself


def test_the_widget_refuses_a_text_too_short_to_walk_through():
    with pytest.raises(ValueError, match="text: takes more than 4 bytes, got 'ab'"):
        widgets.acceptance(byte_model(0), byte_model(1), "ab")


def test_the_map_of_the_widget_is_the_formula_with_the_chosen_point_and_the_measured_one(
    monkeypatch,
):
    calls = listen(monkeypatch, "speedup_map")
    panel = widgets.draft_value(measured=(0.6, 3))
    for alpha, length, cost in ((0.7, 4, 0.1), (0.9, 12, 0.05), (0.3, 2, 0.4)):
        panel.controls["alpha"].value = alpha
        panel.controls["draft_length"].value = length
        panel.controls["cost"].value = cost
        (gains, alphas, lengths, best), settings = calls[-1]
        assert settings["at"] == (alpha, length) and settings["measured"] == (0.6, 3)
        for i, k in ((0, 0), (40, 3), (99, 15)):
            assert gains[i, k] == speedup(alphas[i], lengths[k], cost)
            assert best[i] == best_draft_length(alphas[i], cost, longest=16)
        assert f"{speedup(alpha, length, cost):.2f} times" in settings["title"]
        found = best_draft_length(alpha, cost, longest=16)
        assert settings["title"].endswith(f"= {found}")
