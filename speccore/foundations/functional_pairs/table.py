"""The atlas as a table that can be searched."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from speccore.foundations.functional_pairs.atlas import Atlas, Report

ROW_KINDS = ("pair", "module alone", "function alone")
# Headings, and the widths of their columns in percent.
_HEADINGS = {"Module": 34, "Function": 40, "The module adds, or why there is no pair": 26}


@dataclass(frozen=True)
class Row:
    """A pair, or a module or function that has none."""

    kind: str
    """One of ``ROW_KINDS``."""
    module: str
    """The expression that makes the module; empty if there is none."""
    function: str
    """The call; empty if there is none."""
    note: str
    """What the module adds, or the reason."""

    def matches(self, search: str) -> bool:
        """Whether all words of ``search`` occur in the row, in upper or lower case."""
        text = " ".join((self.kind, self.module, self.function, self.note)).lower()
        return all(word in text for word in search.lower().split())


def rows(atlas: Atlas, reports: Mapping[str, Report]) -> list[Row]:
    """All of the atlas: the pairs, then the modules and the functions that have none.

    Args:
        atlas: from ``discover``.
        reports: name of a module → what ``examine`` found out; those without a report, or with a
            difference, say so.
    """
    found = []
    for name, pair in atlas.pairs.items():
        report = reports.get(name)
        note = "not examined" if report is None else report.adds
        if report is not None and not report.equal:
            note = f"NOT EQUAL: {', '.join(report.differences)}"
        found.append(Row("pair", pair.module, pair.function, note))
    found += [Row(ROW_KINDS[1], f"nn.{name}", "", why) for name, why in atlas.modules_alone.items()]
    found += [
        Row(ROW_KINDS[2], "", f"F.{name}", why) for name, why in atlas.functions_alone.items()
    ]
    return found


def html_table(shown: Iterable[Row], height: int = 24) -> str:
    """Rows as HTML, in a box of its own that scrolls.

    Args:
        shown: the rows.
        height: of the box, in lines.
    """
    left = "style='text-align: left; overflow-wrap: anywhere'"
    body = "".join(
        f"<tr><td {left}>{_code(row.module)}</td><td {left}>{_code(row.function)}</td>"
        f"<td {left}>{html.escape(row.note)}</td></tr>\n"
        for row in shown
    )
    heads = "".join(
        f"<th style='text-align: left; width: {width}%'>{heading}</th>"
        for heading, width in _HEADINGS.items()
    )
    return (
        f"<div style='max-height: {height}em; overflow-y: auto'>\n"
        "<table style='table-layout: fixed; width: 100%'>\n"
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>"
    )


def _code(text: str) -> str:
    return f"<code>{html.escape(text)}</code>" if text else "none"
