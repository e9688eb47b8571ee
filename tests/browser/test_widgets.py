"""Each chapter in JupyterLab in a real browser, with every control of every widget moved.

nbval runs every cell of every chapter. Here the first chapters are run whole, as a newcomer does,
and of the others the cells that a widget needs.
"""

import shutil
from collections import defaultdict
from statistics import median

import nbformat
import pytest

from rlcore.compilation import compile_kernels
from tests.browser import jupyterlab
from tests.notebooks.reading import CHAPTERS, NOTEBOOKS, Notebook

WHOLE = CHAPTERS[:3]


@pytest.fixture(scope="module")
def context(chromium):
    with jupyterlab.browser(chromium) as context:
        yield context


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    compile_kernels()  # a first compilation writes to stderr
    folder = tmp_path_factory.mktemp("served") / "notebooks"
    shutil.copytree(NOTEBOOKS, folder)
    for path in CHAPTERS:
        chapter = Notebook(path)
        shown = chapter.raw if path in WHOLE else chapter.without_what_no_widget_needs()
        nbformat.write(shown, folder / path.name)
    with jupyterlab.lab(folder) as address:
        yield address


def summary(name, reactions):
    """A line for each control: milliseconds from an input to the picture that answers it."""
    times = defaultdict(lambda: defaultdict(list))
    for reaction in reactions:
        times[reaction.panel, reaction.control][reaction.gesture].append(reaction.milliseconds)
    for (panel, control), by_gesture in times.items():
        medians = [f"{median(each):4.0f} ms by {gesture}" for gesture, each in by_gesture.items()]
        yield f"{', '.join(medians)}: {name}, widget {panel}, {control}"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chapter_runs_and_every_widget_answers(path, context, address, record_property):
    widgets = [cell for cell in Notebook(path).cells if cell.shows_a_widget]
    chapter = jupyterlab.Chapter(context, address, path.name)
    try:
        chapter.run_all()
        assert chapter.complaints() == []
        assert len(chapter.panels()) == len(widgets) > 0
        reactions = chapter.move_every_control()
        for line in summary(path.stem, reactions):
            record_property("summary", line)
        assert chapter.complaints() == [], "a control made a cell complain"
        assert chapter.outside_requests == set()
        assert chapter.console_errors == []
    finally:
        chapter.close()
