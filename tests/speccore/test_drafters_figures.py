"""Figures and widget of chapter 15 show the numbers they are given, and real ones."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from speccore import plots, widgets
from speccore.decoding.drafters import JacobiDrafter, NGramDrafter
from speccore.decoding.generate import generate
from speccore.models.prompts import KINDS, PROMPTS, PROSE, REPETITIVE
from speccore.models.text import ByteTokenizer
from speccore.models.transformer import Transformer, TransformerConfig
from speccore.plots.drafters import BY_TARGET, GIVEN, GUESSED
from speccore.widgets.drafters import LONGEST_SHOWN, TOKENS

pytestmark = pytest.mark.usefixtures("strict_figures")


def colours(ax):
    return [patch.get_facecolor() for patch in ax.patches]


def grey(colour):
    """How bright a grey printer makes it, from 0 to 1."""
    return np.dot(to_rgba(colour)[:3], (0.299, 0.587, 0.114))


def test_who_wrote_a_letter_can_be_seen_in_grey():
    ink, *fills = (grey(colour) for colour in ("black", BY_TARGET, GUESSED, GIVEN))
    assert fills == sorted(fills) and min(np.diff(fills)) > 0.15
    assert fills[0] - ink > 0.4, "letters are black"


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def test_each_letter_stands_in_the_colour_of_who_wrote_it():
    ax = plots.guessed_text("a\n$é", [True, False, False, True], prompt="x ", columns=4)
    assert colours(ax) == [to_rgba(c) for c in (GIVEN,) * 2 + (GUESSED, BY_TARGET) * 1] + [
        to_rgba(BY_TARGET),
        to_rgba(GUESSED),
    ]
    assert [text.get_text() for text in ax.texts] == ["x", " ", "a", r"\n", "$", "·"]
    assert [(box.get_x(), box.get_y()) for box in ax.patches] == [
        (0, 0),
        (1, 0),
        (2, 0),
        (3, 0),
        (0, 1),
        (1, 1),
    ]
    assert ax.get_ylim() == (2, 0) and legend(ax) == ["prompt", "guessed", "by the target"]
    bare = plots.guessed_text("a", [True], rows=5, legend=False)
    assert bare.get_legend() is None and bare.get_ylim() == (5, 0)
    with pytest.raises(ValueError, match="guessed: takes 2 values, got 1"):
        plots.guessed_text("ab", [True])


def test_points_stand_at_their_cost_and_acceptance():
    ax = plots.acceptance_and_cost([0.2, 0.0], [0.5, 0.4], ["a", "b"], measured=[0.3, np.nan])
    counted = next(line for line in ax.lines if line.get_label() == "cost counted")
    real = next(line for line in ax.lines if line.get_label() == "cost measured here")
    assert counted.get_xydata().tolist() == [[0.2, 0.5], [0.0, 0.4]]
    assert real.get_xydata()[0].tolist() == [0.3, 0.5] and np.isnan(real.get_xdata()[1])
    assert {"a", "b"} <= {text.get_text() for text in ax.texts}
    assert legend(plots.acceptance_and_cost([0.2], [0.5], ["a"])) == ["cost counted"]


def test_iterations_tell_certain_from_lucky():
    ax = plots.iterations([[True, False, True], [True, True, True]], [1, 3])
    dark = to_rgba("#0072B2")
    assert colours(ax) == [dark, to_rgba(GIVEN), to_rgba(GUESSED), dark, dark, dark]
    assert legend(ax) == ["certain", "right, not yet known", "wrong"]


def test_trade_off_has_a_curve_for_each_way():
    ax = plots.draft_trade_off({"fixed": [("1", 0.1, 1.5), ("8", 2, 3)], "least": [("0.5", 1, 2)]})
    assert ax.lines[0].get_xydata().tolist() == [[0.1, 1.5], [2, 3]]
    assert [text.get_text() for text in ax.texts] == ["1", "8", "0.5"]
    assert legend(ax) == ["fixed", "least"]


def test_spread_runs_from_the_smallest_to_the_largest_around_the_mean():
    ax = plots.spread_by_group(
        {"code": {"a": [1, 2, 6], "b": [1, 1, 1]}, "prose": {"b": [2, 4], "a": [5, 5]}},
        xlabel="x",
        reference=1,
    )
    code, prose = ax.lines[:2]
    assert code.get_xdata().tolist() == [3, 1] and prose.get_xdata().tolist() == [5, 3]
    ends = [segment[:, 0].tolist() for segment in ax.collections[0].get_segments()]
    assert ends == [[1, 6], [1, 1]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b"]
    assert legend(ax) == ["code", "prose"] and ax.lines[2].get_xdata() == [1, 1]


def test_break_even_puts_each_drafter_at_its_price_and_gain():
    ax = plots.break_even(
        {"a": [0.5, 2.0], "b": [1.0, 1.0]}, {"a": [2, 1], "b": [3, 1]}, ["x", "y"]
    )
    points = [line.get_xydata()[0].tolist() for line in ax.lines if len(line.get_xdata()) == 1]
    assert points == [[0.5, 2], [2, 1], [1, 3], [1, 1]]
    diagonal = ax.lines[0].get_xydata()
    assert (diagonal[:, 0] == diagonal[:, 1]).all() and diagonal.max() > 3
    assert legend(ax) == ["1 a", "2 b", "x", "y"]
    numbers = [(text.get_text(), text.xy) for text in ax.texts]
    assert numbers == [("1", (0.5, 2)), ("1", (2, 1)), ("2", (1, 3)), ("2", (1, 1))]


def test_figures_draw_into_axes_that_they_are_given():
    ax = Figure().add_subplot()
    for drawn in (
        plots.guessed_text("a", [True], ax=ax),
        plots.acceptance_and_cost([0.1], [0.2], ["a"], ax=ax),
        plots.iterations([[True]], [1], ax=ax),
        plots.draft_trade_off({"a": [("1", 1, 1)]}, ax=ax),
        plots.spread_by_group({"a": {"b": [1]}}, xlabel="x", ax=ax),
        plots.break_even({"a": [1]}, {"a": [1]}, ["x"], ax=ax),
    ):
        assert drawn is ax
    assert plt.get_fignums() == []


def small_model():
    config = TransformerConfig(
        vocab_size=256, layers=2, width=16, heads=2, kv_heads=1, hidden=24, context=256
    )
    model = Transformer(config, seed=3)
    model.tokenizer = ByteTokenizer()
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 3
    return model


def test_the_widget_colours_what_generate_says_was_guessed(monkeypatch):
    shown = []
    draw = plots.guessed_text

    def listening(letters, guessed, **settings):
        shown.append((list(letters), tuple(guessed), settings))
        return draw(letters, guessed, **settings)

    monkeypatch.setattr(plots, "guessed_text", listening)
    model = small_model()
    drafters = {"text": NGramDrafter(4, shortest=1), "Jacobi": JacobiDrafter(3)}
    prompts = ("ab" * 30, "x" * (LONGEST_SHOWN + 20))
    panel = widgets.who_guessed(model, drafters, prompts)
    decode = ByteTokenizer().decode
    for prompt in prompts:
        panel.controls["prompt"].value = prompt
        for name, drafter in drafters.items():
            panel.controls["drafter"].value = name
            for temperature in (1.0, 0.0):
                panel.controls["temperature"].value = temperature
                output = generate(
                    model,
                    list(prompt.encode()),
                    max_new_tokens=TOKENS,
                    temperature=temperature,
                    drafter=drafter,
                )
                letters, guessed, settings = shown[-1]
                assert letters == [decode([token]) for token in output.tokens]
                assert guessed == output.was_guessed
                assert prompt.endswith(settings["prompt"])
                assert f"{output.steps} passes for {len(output.tokens)} tokens" in settings["title"]
    assert any(any(guessed) for _, guessed, _ in shown)


def test_the_widget_takes_a_model_with_its_drafters():
    with pytest.raises(ValueError, match="drafters: takes drafters if, and only if"):
        widgets.who_guessed(small_model())


def test_prompts_of_each_kind_are_new_and_fit_the_context():
    assert list(KINDS.values()) == [PROMPTS, REPETITIVE, PROSE]
    everything = [text for kind in KINDS.values() for text in kind]
    assert len(set(everything)) == len(everything)
    assert all(len(kind) >= 8 for kind in KINDS.values())
    assert all(10 <= len(text.encode()) <= 300 and text.isascii() for text in everything)


def test_repetitive_beginnings_repeat_themselves_and_the_others_do_not():
    def repeated(text):
        windows = [text[i : i + 6] for i in range(len(text) - 5)]
        return 1 - len(set(windows)) / len(windows)

    shares = {kind: np.mean([repeated(text) for text in texts]) for kind, texts in KINDS.items()}
    assert shares["repetitive code"] > 3 * max(shares["fresh code"], shares["English prose"])
