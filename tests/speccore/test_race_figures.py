"""Figures and widget of chapter 19 show what they are given."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from speccore import plots, race, widgets
from speccore.decoding.generate import Output
from speccore.plots.drafters import BY_TARGET, GUESSED
from tests.speccore.test_race import a_race

pytestmark = pytest.mark.usefixtures("strict_figures")


def test_a_map_has_every_number_in_its_cell():
    ax = plots.race_map(
        {"x": {"edit": 2.0, "chat": 0.5}, "y, tree": {"edit": 1.0, "chat": 1.25}}, label="speed-up"
    )
    found = {text.get_position(): text.get_text() for text in ax.texts}
    assert found == {(0, 0): "2.00", (1, 0): "1.00", (0, 1): "0.50", (1, 1): "1.25"}
    assert [each.get_text() for each in ax.get_xticklabels()] == ["x", "y,\ntree"]
    shades = ax.images[0].to_rgba(ax.images[0].get_array())
    assert np.allclose(shades[0, 0, :3].sum(), shades[1, 0, :3].sum(), atol=1.5)
    middle = shades[0, 1, :3]
    assert middle.min() > 0.93, "1 is neither"
    assert shades[0, 0, 2] > shades[0, 0, 0] and shades[1, 0, 0] > shades[1, 0, 2]


def test_the_numbers_of_a_map_stand_out_from_every_colour():
    values = {f"{x}": {"edit": 2.0**x} for x in np.linspace(-1, 1, 101)}
    ax = plots.race_map(values, label="speed-up")
    papers = ax.images[0].to_rgba(ax.images[0].get_array())[0, :, :3]
    inks = np.array([to_rgba(text.get_color())[:3] for text in ax.texts])
    weights = (0.2126, 0.7152, 0.0722)
    lights = np.sort([inks**2.2 @ weights, papers**2.2 @ weights], axis=0) + 0.05
    assert (lights[1] / lights[0]).min() >= 4.5, "the contrast that WCAG 2.1 asks of text"


def test_clouds_have_a_diagonal_or_a_level():
    ax = plots.clouds(
        {"a": ([1, 2], [1, 3]), "b": ([4], [2])}, xlabel="x", ylabel="y", diagonal=True
    )
    assert [line.get_xydata().tolist() for line in ax.lines[:2]] == [[[1, 1], [2, 3]], [[4, 2]]]
    assert ax.lines[2].get_xydata().tolist() == [[0, 0], [4.24, 4.24]]
    assert ax.get_xlim() == ax.get_ylim() == (0, 4.24)
    ax = plots.clouds({"a": ([1], [1])}, xlabel="x", ylabel="y", level=2.0)
    assert ax.lines[1].get_ydata() == [2.0, 2.0]


def boxes(ax):
    return [(box.get_xy(), box.get_width(), box.get_facecolor()) for box in ax.patches]


def test_each_token_is_a_box_in_the_colour_of_its_author():
    ax = plots.written_tokens(["ab", " c", "\n", "d$"], [True, False, True, False], columns=10)
    blue, orange = to_rgba(GUESSED), to_rgba(BY_TARGET)
    assert boxes(ax) == [
        ((0, 0), 2, blue),
        ((2, 0), 2, orange),
        ((4, 0), 2, blue),
        ((0, 1), 2, orange),
    ]
    assert [text.get_text() for text in ax.texts] == ["ab", " c", r"\n", "d$"]


def test_tokens_that_do_not_fit_begin_a_row_and_the_last_rows_are_shown():
    pieces = ["abcd", "efg", "hij", "é"]
    ax = plots.written_tokens(pieces, [False] * 4, columns=8)
    assert [place for place, *_ in boxes(ax)] == [(0, 0), (4, 0), (0, 1), (3, 1)]
    assert ax.texts[-1].get_text() == "·"
    ax = plots.written_tokens(pieces, [False] * 4, columns=8, rows=1)
    assert [place for place, *_ in boxes(ax)] == [(0, 0), (3, 0)]
    with pytest.raises(ValueError, match="guessed: takes 4 values, got 1"):
        plots.written_tokens(pieces, [True])


def test_progress_has_a_bar_a_method():
    ax = plots.progress_bars({"plain": 10, "fast": 30}, 40, chosen="fast")
    assert [bar.get_width() for bar in ax.patches] == [10, 30]
    assert ax.patches[1].get_facecolor() != ax.patches[0].get_facecolor()
    assert [text.get_text() for text in ax.texts] == ["10", "30"] and ax.get_xlim() == (0, 40)


def test_figures_draw_into_axes_that_they_are_given():
    ax = Figure().add_subplot()
    for drawn in (
        plots.race_map({"x": {"edit": 2.0}}, label="speed-up", ax=ax),
        plots.clouds({"a": ([1], [1])}, xlabel="x", ylabel="y", ax=ax),
        plots.written_tokens(["a"], [True], ax=ax),
        plots.progress_bars({"x": 1}, 2, ax=ax),
    ):
        assert drawn is ax
    assert plt.get_fignums() == []


# -- the widget ------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """What the widget hands to its figures."""
    calls = {"written_tokens": [], "progress_bars": []}
    for name, found in calls.items():
        draw = getattr(plots, name)

        def listening(*arguments, draw=draw, found=found, **settings):
            found.append((arguments, settings))
            return draw(*arguments, **settings)

        monkeypatch.setattr(plots, name, listening)
    return calls


def test_the_widget_replays_the_steps_of_the_race(drawn):
    given = a_race()  # plain: a token a second; copy: 3 tokens after 1.2 s, the fourth after 2.4 s
    panel = widgets.race(given)
    panel.controls["method"].value = "copy"
    shown = []
    for moment in range(5):
        panel.controls["moment"].value = moment
        (pieces, guessed), _ = drawn["written_tokens"][-1]
        (done, total), settings = drawn["progress_bars"][-1]
        assert settings["chosen"] == "copy" and total == 4
        assert done == {"plain": moment, "copy": len(pieces)}
        assert tuple(guessed) == given.runs["copy"][0].output.was_guessed[: len(pieces)]
        shown.append("".join(pieces))
    assert shown == ["", "", "012", "0123", "0123"]
    assert panel.message.value == ""


def test_the_time_goes_on_when_plain_decoding_has_ended(drawn):
    given = a_race()
    short = given.runs["plain"][1].output
    ended = Output(short.tokens[:2], (0, 0), (0, 0), (0, 0), short.timings)
    runs = {**given.runs, "plain": (given.runs["plain"][0], race.Run((ended,), (1.0, 1.0)))}
    panel = widgets.race(a_race(runs=runs))
    panel.controls["prompt"].value = 1
    panel.controls["moment"].value = 4
    assert drawn["progress_bars"][-1][0][0] == {"plain": 2, "copy": 4}
