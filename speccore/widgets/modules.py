"""Widgets of chapter 09: modules and functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from rlcore.widgets.panel import Panel, blank_figure, choice, panel, slider
from speccore import plots
from speccore.foundations.functional_pairs.table import ROW_KINDS, Row, html_table

_SIZE = 32  # rows and columns of the matrix that dropout is applied to


def dropout_switch() -> Panel:
    """The module and the function on the same input under the same seed, side by side."""
    x = torch.randn(_SIZE, _SIZE, generator=torch.Generator().manual_seed(0))
    layer = nn.Dropout()

    def draw(p: float, training: bool, passed: bool) -> Figure:
        layer.p = p
        layer.train(training)
        of_module = _seeded(layer, x)
        if passed:
            of_function = _seeded(lambda x: F.dropout(x, p, training=layer.training), x)
        else:
            of_function = _seeded(lambda x: F.dropout(x, p), x)
        same = "equal" if torch.equal(of_module, of_function) else "NOT equal"
        mode = "train" if training else "eval"
        call = "mode passed" if passed else "mode not passed"
        return plots.side_by_side(
            {f"m(x) after m.{mode}()": of_module.numpy(), f"F, {call}": of_function.numpy()},
            title=f"p = {p:.2f}: module and function are {same}",
            figure=blank_figure(height=320),
        )

    return panel(
        draw,
        hint="Switch the module to eval: its zeros vanish, those of the function stay, because "
        "F.dropout is on unless told. Then pass the mode: both are off. Raise p in training mode: "
        "more zeros, and what is left grows by 1 / (1 − p).",
        alt="Two matrices as pictures, the output of the dropout module and of the dropout "
        "function, and the histograms of their entries.",
        p=slider("p (probability of a zero)", 0.5, 0.0, 0.9, 0.05),
        training=choice("module", True, [("train()", True), ("eval()", False)]),
        passed=choice(
            "function", False, [("F.dropout(x, p)", False), ("…, training=m.training", True)]
        ),
    )


def _seeded(call: Any, x: Tensor) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        result: Tensor = call(x)
    return result


class AtlasSearch(ipywidgets.VBox):
    """A search box and a choice above the rows of the atlas that match; see ``search_atlas``."""

    search: Any
    """An ``ipywidgets.Text``: words that all have to occur."""
    kind: Any
    """An ``ipywidgets.Dropdown``: everything, or one of the kinds of rows."""
    table: Any
    """An ``ipywidgets.HTML`` with the rows."""
    count: Any
    """An ``ipywidgets.Label`` that says how many rows there are."""

    def __repr__(self) -> str:
        return f"AtlasSearch(search={self.search.value!r}, kind={self.kind.value!r})"


def search_atlas(rows: Sequence[Row]) -> AtlasSearch:
    """The rows of the atlas, filtered while one types. A table and no picture, hence no ``Panel``.

    Args:
        rows: from ``functional_pairs.rows``.
    """
    search = ipywidgets.Text(description="search", placeholder="conv bias", continuous_update=True)
    options = zip(("pairs", "modules alone", "functions alone"), ROW_KINDS, strict=True)
    kind = choice("show", "", [("everything", ""), *options])
    table, count = ipywidgets.HTML(), ipywidgets.Label()
    container = AtlasSearch([ipywidgets.HBox([search, kind, count]), table])
    container.search, container.kind = search, kind
    container.table, container.count = table, count

    def show(_: Any = None) -> None:
        found = [
            row for row in rows if row.kind.startswith(kind.value) and row.matches(search.value)
        ]
        table.value = html_table(found)
        count.value = f"{len(found)} of {len(rows)} rows"

    for control in (search, kind):
        control.observe(show, names="value")
    show()
    return container
