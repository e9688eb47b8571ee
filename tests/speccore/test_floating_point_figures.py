"""Figures and the widget of chapter 11 show the numbers that the formats give."""

import numpy as np
import pytest

from speccore import plots, widgets
from speccore.foundations.floating_point import BF16, FP8_E4M3, FP16, FP64
from speccore.widgets.floating_point import CLICKABLE, SHOWN, WORTH_A_LOOK, bit_rows

pytestmark = pytest.mark.usefixtures("strict_figures")


def texts(ax):
    return [text.get_text() for text in ax.texts]


def buttons(panel):
    return panel.children[0].children[-1].children


def pattern_of(panel):
    return int("".join(button.description for button in buttons(panel)), 2)


def test_bit_patterns_draw_a_box_a_bit_dark_for_one():
    rows = [plots.BitRow("FP16", FP16.bit_string(0xC500), "-5", "normal")]
    ax = plots.bit_patterns(rows, marked="FP16", title="A number")
    boxes = ax.collections[0]
    assert len(boxes.get_paths()) == 16
    dark = boxes.get_facecolor()[:, 3] == 1
    assert "".join("01"[int(is_one)] for is_one in dark) == "1100010100000000"
    assert len({tuple(colour[:3]) for colour in boxes.get_facecolor()}) == 3
    assert texts(ax) == ["FP16", "-5", "normal"]
    assert len(ax.patches) == 1, "the frame of the marked row"


def test_number_lines_mark_every_number_and_the_subnormal_ones():
    values = FP8_E4M3.decode(np.arange(0x7F))
    ax = plots.number_lines(
        {"FP8 E4M3": values}, subnormal_below={"FP8 E4M3": FP8_E4M3.smallest_normal}
    )
    normal, subnormal = ([path[0, 0] for path in each.get_segments()] for each in ax.collections)
    assert sorted(normal + subnormal) == values.tolist()
    assert len(subnormal) == 8  # zero and seven more


def test_ranges_are_in_order_of_their_width():
    reach = {f.name: (f.smallest_subnormal, f.smallest_normal, f.max) for f in (FP16, BF16)}
    ax = plots.ranges({name: plots.Range(*each) for name, each in reach.items()})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["BF16", "FP16"]
    ends = sorted(each.get_x() + each.get_width() for each in ax.patches)
    assert ends == pytest.approx(
        np.log10([BF16.smallest_normal, FP16.smallest_normal, FP16.max, BF16.max])
    )


def test_log_curves_leave_out_what_has_no_logarithm():
    ax = plots.log_curves({"a": ([1, 2, 4], [1.0, 0.0, 3.0])}, xlabel="x", ylabel="y", base=2)
    assert np.array_equal(ax.lines[0].get_ydata(), [1, np.nan, 3], equal_nan=True)
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_magnitude_histogram_counts_all_but_zeros():
    samples = [0.0, 0.5, -0.5, 3.0, 2.0**-20]
    reach = plots.Range(FP16.smallest_subnormal, FP16.smallest_normal, FP16.max)
    ax = plots.magnitude_histogram({"g": samples}, {"FP16": reach})
    heights, edges, _ = ax.patches[1].get_data()
    assert dict(zip(edges, heights, strict=False)) == {
        **dict.fromkeys(edges[:-1], 0.0),
        -20.0: 25.0,
        -1.0: 50.0,
        1.0: 25.0,
    }


# -- the widget ------------------------------------------------------------------------------------


def test_rows_of_the_widget_say_what_each_format_stores():
    rows = {row.name: row for row in bit_rows(0.1)}
    assert list(rows) == [fmt.name for fmt in SHOWN]
    assert rows["FP64"].value == "0.10000000000000001" and rows["FP64"].note == "normal"
    assert rows["FP16"] == ("FP16", "0 01011 1001100110", "0.0999755859375", rows["FP16"].note)
    assert rows["FP16"].note == "normal, error -0.0244 %"
    kinds = {row.name: row.note for row in bit_rows(65520.0)}
    assert kinds["FP16"] == "infinity" and kinds["FP8 E4M3"] == "nan"
    assert {row.name: row.note for row in bit_rows(1e-8)}["FP16"] == "zero, error -100 %"


def test_a_click_on_a_bit_flips_it_and_sets_the_number():
    panel = widgets.bit_explorer()
    assert panel.controls["number"].value == "0.15625"
    assert pattern_of(panel) == FP16.encode(0.15625)
    before, picture = pattern_of(panel), panel.image.value
    for index, button in enumerate(buttons(panel)):
        button.click()
        assert pattern_of(panel) == before ^ (1 << (15 - index))
        assert float(panel.controls["number"].value) == FP16.decode(pattern_of(panel))
        assert panel.image.value != picture
        buttons(panel)[index].click()
        assert panel.image.value == picture


def test_nan_keeps_the_bits_that_were_clicked():
    panel = widgets.bit_explorer()
    panel.controls["number"].value = "inf"
    buttons(panel)[15].click()
    assert panel.controls["number"].value == "0x7c01" and pattern_of(panel) == 0x7C01
    buttons(panel)[15].click()
    assert panel.controls["number"].value == "inf"


@pytest.mark.parametrize("name", CLICKABLE)
def test_the_buttons_are_the_bits_of_the_chosen_format(name):
    panel = widgets.bit_explorer()
    panel.controls["bits_of"].value = name
    fmt = CLICKABLE[name]
    assert len(buttons(panel)) == fmt.bits
    for number in WORTH_A_LOOK:
        panel.controls["number"].value = number
        assert pattern_of(panel) == fmt.encode(float(number))


def test_a_click_draws_once(monkeypatch):
    drawn = []
    original = plots.bit_patterns
    monkeypatch.setattr(plots, "bit_patterns", lambda *a, **k: drawn.append(1) or original(*a, **k))
    panel = widgets.bit_explorer()
    drawn.clear()
    buttons(panel)[3].click()
    assert drawn == [1]


@pytest.mark.parametrize("number", ["two", "", "0x10000", "0xzz"])
def test_what_is_no_number_is_refused_in_the_panel(number):
    panel = widgets.bit_explorer()
    with pytest.raises(ValueError, match="number: takes a number, inf, nan, or a pattern of FP16"):
        panel.controls["number"].value = number
    assert "number: takes a number" in panel.message.value
    panel.controls["number"].value = "1"
    assert panel.message.value == "" and pattern_of(panel) == 0x3C00


def test_the_reference_of_the_errors_is_fp64():
    assert SHOWN[0] == FP64
