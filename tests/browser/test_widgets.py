"""Each chapter, run in JupyterLab in a real browser, with every control of every widget moved."""

import os
from collections import defaultdict
from statistics import median

import pytest

from tests.browser import jupyterlab

NOTEBOOKS = jupyterlab.ROOT / "notebooks"
CHAPTERS = sorted(path.name for path in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


@pytest.fixture(scope="module")
def context():
    found = jupyterlab.find_browser()
    if not found and os.environ.get("CI"):
        pytest.fail("no Chromium, Chrome or Edge: install one, or set BROWSER_PATH")
    if not found:
        pytest.skip("no Chromium, Chrome or Edge here: install one, or set BROWSER_PATH")
    with jupyterlab.browser(found) as context:
        yield context


@pytest.fixture(scope="module")
def address():
    with jupyterlab.lab(NOTEBOOKS) as address:
        yield address


def summary(name, reactions):
    """A line for each control: milliseconds from input to picture."""
    by_control = defaultdict(list)
    for reaction in reactions:
        by_control[reaction.panel, reaction.control].append(reaction.milliseconds)
    return [
        f"{name}: widget {panel}, {control}: "
        f"{min(times):.0f} / {median(times):.0f} / {max(times):.0f} ms (min/median/max)"
        for (panel, control), times in by_control.items()
    ]


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_runs_and_every_widget_answers(name, context, address, record_property):
    chapter = jupyterlab.Chapter(context, address, name)
    try:
        chapter.run_all()
        assert chapter.complaints() == []
        assert chapter.panels(), "the chapter shows no widget"
        reactions = chapter.move_every_control()
        for line in summary(name, reactions):
            record_property("summary", line)
        assert chapter.complaints() == [], "a control made a cell complain"
        assert chapter.outside_requests == set()
        assert chapter.console_errors == []
    finally:
        chapter.close()
