"""The table, the figures and the widgets of chapter 09 show what the package computes."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from speccore import plots, widgets
from speccore.foundations.functional_pairs import PAIRS, discover, examine, html_table, rows
from speccore.widgets.modules import search_atlas

ATLAS = discover()


@pytest.fixture(scope="module")
def table():
    return rows(ATLAS, {"Conv2d": examine(ATLAS.pairs["Conv2d"])})


@pytest.fixture(autouse=True)
def no_figure_left():
    yield
    plt.close("all")


# -- table -----------------------------------------------------------------------------------------


def test_everything_has_one_row(table):
    counts = {kind: sum(row.kind == kind for row in table) for kind in {row.kind for row in table}}
    assert counts == {
        "pair": len(PAIRS),
        "module alone": len(ATLAS.modules_alone),
        "function alone": len(ATLAS.functions_alone),
    }
    assert html_table(table).count("<tr>") == len(table) + 1


def test_a_row_says_what_was_found_or_that_nothing_was(table):
    notes = {row.module: row.note for row in table}
    assert notes[ATLAS.pairs["Conv2d"].module] == "weight, bias"
    assert notes[ATLAS.pairs["Conv1d"].module] == "not examined"
    assert notes["nn.Identity"] == ATLAS.modules_alone["Identity"]
    wrong = examine(ATLAS.pairs["ReLU"]._replace(function="F.silu(x)"))
    (note,) = (row.note for row in rows(ATLAS, {"ReLU": wrong}) if row.module == "nn.ReLU()")
    assert note.startswith("NOT EQUAL: train: output 0")


def test_all_words_have_to_occur_in_upper_or_lower_case(table):
    found = [row.module for row in table if row.matches("CONV2D groups")]
    assert found == [ATLAS.pairs["Conv2d"].module]
    assert all(row.matches("") for row in table)


def test_signs_of_html_are_written_as_text():
    row = rows(discover(), {})[0]
    strange = type(row)("pair", "nn.<b>", "F.a & b", "x < y")
    shown = html_table([strange])
    assert "<b>" not in shown and "nn.&lt;b&gt;" in shown and "x &lt; y" in shown


# -- figures ---------------------------------------------------------------------------------------


def test_stacked_bars_have_the_counts_as_lengths():
    ax = plots.stacked_counts({"a": {"x": 3, "y": 2}, "b": {"y": 4}})
    widths = [[bar.get_width() for bar in kind] for kind in ax.containers]
    assert widths == [[0, 3], [4, 2]]  # the longest bar on top, that is, last
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert {"4", "5"} <= {text.get_text() for text in ax.texts}


def test_overhead_is_drawn_at_its_place():
    names = ("a", "b", "c")
    ax = plots.call_overhead(
        dict(zip(names, (1.0, 10.0, 5.0), strict=True)),
        dict(zip(names, (2.0, 3.0, -1.0), strict=True)),
        {name: (1.0, 4.0) for name in names},
        groups={"a": "one", "b": "two", "c": "two"},
    )
    points = [line.get_xydata().tolist() for line in ax.lines]
    assert points == [[[1.0, 2.0]], [[10.0, 3.0]]], "nothing below zero on a logarithmic axis"


def test_pictures_say_how_many_zeros_there_are():
    figure = plots.side_by_side({"a": np.eye(4), "b": np.ones((4, 4))})
    pictures = figure.axes
    assert [ax.get_xlabel() for ax in pictures[:2]] == ["75% zeros", "0% zeros"]
    assert np.array_equal(pictures[0].images[0].get_array(), np.eye(4))
    assert len(pictures[2].patches) == 2


def test_histogram_counts_and_marks_the_reference():
    ax = plots.histogram([1, 1, 2.5], [0, 2, 4], reference={"right": 3.0})
    assert [bar.get_height() for bar in ax.patches] == [2, 1]
    assert list(ax.lines[0].get_xdata()) == [3.0, 3.0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["right"]


# -- widgets ---------------------------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch):
    """What the dropout widget draws, instead of a picture of it."""
    drawn = []
    real = plots.side_by_side

    def spy(outputs, **settings):
        drawn.append((outputs, settings["title"]))
        return real(outputs, **settings)

    monkeypatch.setattr(plots, "side_by_side", spy)
    return drawn


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("passed", [True, False])
def test_dropout_switch_shows_the_module_and_the_function_as_called(shown, training, passed):
    panel = widgets.dropout_switch()
    panel.controls["training"].value = training
    panel.controls["passed"].value = passed
    panel.controls["p"].value = 0.3
    (of_module, of_function), title = tuple(shown[-1][0].values()), shown[-1][1]
    assert (title == "p = 0.30: module and function are equal") == (training or passed)
    x = torch.randn(*of_module.shape, generator=torch.Generator().manual_seed(0))
    for output, on in ((of_module, training), (of_function, training or not passed)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            assert np.array_equal(output, F.dropout(x, 0.3, training=on))
    # 1024 entries: five standard deviations of the share of zeros are 0.072.
    assert abs((of_module == 0).mean() - 0.3 * training) < 0.072


def test_dropout_switch_leaves_the_random_numbers_alone():
    before = torch.random.get_rng_state()
    widgets.dropout_switch().controls["p"].value = 0.2
    assert torch.equal(torch.random.get_rng_state(), before)


def test_search_shows_what_matches_and_counts_it(table):
    search = search_atlas(table)
    assert search.table.value == html_table(table)
    assert search.count.value == f"{len(table)} of {len(table)} rows"
    search.search.value = "conv2d groups"
    assert search.count.value == f"1 of {len(table)} rows"
    assert "nn.Conv2d" in search.table.value and "nn.ReLU" not in search.table.value
    search.search.value = ""
    search.kind.value = "function alone"
    assert search.count.value == f"{len(ATLAS.functions_alone)} of {len(table)} rows"
    assert "grid_sample" in search.table.value and "nn.Conv2d" not in search.table.value
    assert repr(search) == "AtlasSearch(search='', kind='function alone')"
