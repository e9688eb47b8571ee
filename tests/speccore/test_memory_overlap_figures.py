"""Memory maps show the tensor that they are given, and the widget says what torch will do."""

import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from speccore import plots, widgets
from speccore.foundations.memory_overlap import INTERNAL_OVERLAP, explain

pytestmark = pytest.mark.usefixtures("strict_figures")


def words(ax):
    return [text.get_text() for text in ax.texts]


def framed(ax):
    """Colours of the cells with a thick frame."""
    return [to_hex(each.get_facecolor()) for each in ax.patches if each.get_linewidth() > 1]


def test_an_expanded_column_shows_each_location_four_times():
    ax = plots.memory_map(explain(torch.zeros(3, 1).expand(3, 4)), title="expanded")
    shown = words(ax)
    assert shown[:12] == [*"000011112222"]
    assert shown[12:] == ["storage", "0", "x4", "1", "x4", "2", "x4"]
    colours = framed(ax)
    assert len(colours) == 15 and len(set(colours)) == 3
    assert colours[:4] == [colours[12]] * 4, "the storage has the colours of the tensor"
    assert ax.get_title(loc="left") == "expanded"


def test_a_map_marks_what_is_shared_and_hatches_what_is_unused():
    ax = plots.memory_map(explain(torch.zeros(8)[1:7].unfold(0, 3, 2)))
    assert words(ax)[:6] == ["1", "2", "3", "3", "4", "5"]
    assert len(framed(ax)) == 3  # twice in the tensor, once in the storage
    assert sum(each.get_hatch() is not None for each in ax.patches) == 3  # 0, 6 and 7
    assert ax.get_title(loc="left") == "shape (2, 3), strides (2, 1)"


def test_nothing_is_framed_without_overlap():
    ax = plots.memory_map(explain(torch.zeros(3, 4).T))
    assert words(ax)[:12] == ["0", "4", "8", "1", "5", "9", "2", "6", "10", "3", "7", "11"]
    assert framed(ax) == []
    assert len({each.get_facecolor() for each in ax.patches}) == 1, "colours mean sharing"


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 2, 3), (0, 3), (3, 0), (2, 0, 3)])
def test_every_shape_of_up_to_three_dimensions_has_a_map(shape):
    ax = Figure().subplots()
    assert plots.memory_map(explain(torch.zeros(shape)), ax=ax) is ax
    assert len(ax.patches) == 2 * torch.Size(shape).numel()
    assert all(text.isascii() for text in words(ax))


def test_maps_that_nobody_could_read_are_refused():
    for tensor in (torch.zeros(1, 1, 1, 1), torch.zeros(97), torch.zeros(97)[:2]):
        with pytest.raises(ValueError, match="found: takes at most 3 dimensions and 96 elements"):
            plots.memory_map(explain(tensor))


def test_storage_bytes_draws_the_numbers_it_writes():
    ax = plots.storage_bytes({"expand": 4, "clone": 4000})
    assert [bar.get_width() for bar in ax.patches] == [4, 4000]
    assert words(ax) == ["4", "4,000"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["expand", "clone"]


# -- the widget ------------------------------------------------------------------------------------


def drawn(monkeypatch):
    """A widget, and the reports that its maps were drawn from."""
    reports, original = [], plots.memory_map

    def memory_map(found, **rest):
        reports.append((found, rest["title"]))
        return original(found, **rest)

    monkeypatch.setattr(plots, "memory_map", memory_map)
    return widgets.memory_overlap(), reports


def test_the_widget_explains_the_strides_that_are_chosen(monkeypatch):
    panel, reports = drawn(monkeypatch)
    assert reports[-1][0].write_is_safe and reports[-1][1].endswith("contiguous")
    panel.controls["column_stride"].value = 0
    assert reports[-1][0].error == INTERNAL_OVERLAP
    assert reports[-1][1] == "x.as_strided((3, 4), (4, 0)): a column, expanded"
    panel.controls["row_stride"].value = 1
    panel.controls["column_stride"].value = 1
    found, title = reports[-1]
    assert found.overlaps and found.write_is_legal and title.endswith("windows that overlap")
    panel.controls["column_stride"].value = 3
    assert reports[-1][1].endswith("transposed") and reports[-1][0].write_is_safe


def test_the_names_of_the_widget_are_those_of_real_views(monkeypatch):
    panel, reports = drawn(monkeypatch)
    views = {
        "contiguous": torch.zeros(3, 4),
        "transposed": torch.zeros(4, 3).T,
        "a column, expanded": torch.zeros(3, 1).expand(3, 4),
        "a row, expanded": torch.zeros(1, 4).expand(3, 4),
        "one number, expanded": torch.zeros(1).expand(3, 4),
        "elements apart": torch.zeros(3, 5)[:, :4],
        "windows that overlap": torch.zeros(10).unfold(0, 4, 3),
    }
    for name, view in views.items():
        panel.controls["row_stride"].value, panel.controls["column_stride"].value = view.stride()
        assert reports[-1][1].endswith(f": {name}")
