"""What a reader may rely on in every notebook as it is committed, whoever wrote it."""

import re
import socket

import pytest

from tests.notebooks.reading import (
    CHAPTERS,
    NOTEBOOKS,
    SOLUTIONS,
    WIDGET_VIEW,
    Notebook,
    without_code,
)

START = "00_start_here"
LONGEST_CELL = 25
ABSOLUTE_PATH = re.compile(
    r"(?<![\w.:/~-])/(?:home|Users|root|tmp|work|var|opt|usr|private|mnt)/|\b[A-Z]:\\\w"
)


def named(paths):
    """Pytest parameters: notebooks under their paths inside notebooks/."""
    return [
        pytest.param(Notebook(path), id=path.relative_to(NOTEBOOKS).as_posix()) for path in paths
    ]


every_notebook = pytest.mark.parametrize("notebook", named(CHAPTERS + SOLUTIONS))
every_chapter = pytest.mark.parametrize("notebook", named(CHAPTERS))
every_lesson = pytest.mark.parametrize(
    "notebook", named(path for path in CHAPTERS if path.stem != START)
)


@every_notebook
def test_cells_were_executed_in_order_without_gaps(notebook):
    counts = [cell.execution_count for cell in notebook.code]
    assert counts == list(range(1, len(counts) + 1)), "run the notebook from top to bottom"


@every_notebook
def test_no_cell_is_empty_or_longer_than_a_reader_can_hold(notebook):
    lines = {str(cell): len(cell.source.splitlines()) for cell in notebook.code}
    assert not {cell: n for cell, n in lines.items() if not 0 < n <= LONGEST_CELL}


@every_notebook
def test_nothing_is_written_to_stderr(notebook):
    assert not [
        f"{cell}: {output.text}"
        for cell in notebook.code
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]


@every_notebook
def test_errors_stand_only_where_they_are_the_lesson(notebook):
    for cell in notebook.code:
        fails = any(output.output_type == "error" for output in cell.outputs)
        promised = "raises-exception" in cell.tags
        assert fails == promised, f"{cell}: ends in an error: {fails}, tagged so: {promised}"


@every_notebook
def test_every_output_is_compared(notebook):
    unchecked = {"nbval-skip", "nbval-ignore-output"}
    for cell in notebook.code:
        assert not unchecked & set(cell.tags), f"{cell} is tagged {cell.tags}"
        assert "NBVAL_" not in cell.source, f"{cell} is marked for nbval"


@every_notebook
def test_no_path_or_name_of_the_machine_is_shown(notebook):
    host = socket.gethostname()
    for cell in notebook.cells:
        shown = cell.source + "\n" + cell.output_text
        found = ABSOLUTE_PATH.search(shown)
        assert not found, f"{cell}: …{shown[found.start() :][:40]}"
        assert len(host) < 5 or host not in shown, f"{cell}: {host}"


@every_notebook
def test_metadata_say_python_3_and_no_more(notebook):
    metadata = dict(notebook.raw.metadata)
    assert metadata.pop("kernelspec", {}).get("name") == "python3", "make run repairs this"
    assert metadata.pop("language_info", {}) == {"name": "python"}, "make run repairs this"
    assert not metadata, "make run repairs this"
    for cell in notebook.raw.cells:
        assert "execution" not in cell.metadata, "time stamps: make run repairs this"


@every_notebook
def test_no_statement_ends_in_a_semicolon(notebook):
    """A trailing ; hides an output from JupyterLab, but not from the comparison."""
    assert not [str(cell) for cell in notebook.code if cell.source.rstrip().endswith(";")]


@every_notebook
def test_every_link_leads_somewhere(notebook):
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)", without_code(notebook.text))
    targets += re.findall(r"""(?:href|src)=["']([^"']+)["']""", notebook.text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (notebook.path.parent / file) if file else notebook.path
        assert path.exists(), f"no file: {target}"
        if anchor and path.suffix == ".ipynb":
            assert anchor in Notebook(path.resolve()).anchors, f"no heading: {target}"


@every_chapter
def test_every_widget_stands_after_its_static_figure(notebook):
    """On paper, on a web page and before the first run, the figure says what the widget would."""
    figure_before = False
    for cell in notebook.cells:
        if cell.kind == "markdown" and re.search(r"^## ", cell.source, flags=re.MULTILINE):
            figure_before = False
        if cell.shows_a_widget:
            assert figure_before, f"{cell}: no static figure before it in its section"
            assert any(WIDGET_VIEW in output.get("data", {}) for output in cell.outputs), (
                f"{cell}: the widget is not the cell's value"
            )
        figure_before = figure_before or cell.shows_a_picture


@every_chapter
def test_every_figure_has_a_numbered_caption(notebook):
    """Captions read **Figure 2.1** …, one for each cell that draws, counted from 1."""
    captions = re.findall(r"\*\*Figure (\d+\.\d+)\.?\*\*", notebook.text)
    pictures = [str(cell) for cell in notebook.code if cell.shows_a_picture]
    expected = [f"{int(notebook.path.stem[:2])}.{n}" for n in range(1, len(pictures) + 1)]
    assert captions == expected, f"captions {captions} for the pictures of {pictures}"


@every_chapter
def test_opening_says_what_the_chapter_gives_and_takes(notebook):
    opening = notebook.cells[0]
    assert opening.kind == "markdown"
    assert re.match(rf"# {notebook.path.stem[:2]} · \S", opening.source), opening.source[:60]
    before_code = "\n".join(
        cell.source for cell in notebook.cells[: notebook.cells.index(notebook.code[0])]
    )
    for phrase in ("After this chapter you can", "Reading time", "Builds on"):
        assert phrase in before_code, f"the opening lacks {phrase!r}"
    abilities = before_code.partition("After this chapter you can")[2]
    count = len(re.findall(r"^\s*(?:[-*]|\d+\.) ", abilities, flags=re.MULTILINE))
    assert 3 <= count <= 5, f"{count} abilities are promised, not 3 to 5"


@every_chapter
def test_the_first_code_cell_alone_imports(notebook):
    importing = [
        cell.position
        for cell in notebook.code
        if re.search(r"^(?:import|from) \w", cell.source, flags=re.MULTILINE)
    ]
    assert importing == [notebook.code[0].position]


@every_chapter
def test_chapter_has_a_widget_and_an_asserted_claim(notebook):
    assert any(cell.shows_a_widget for cell in notebook.code), "no widget"
    assert any(
        re.search(r"^\s*assert\b|\btesting\.assert_", cell.source, flags=re.MULTILINE)
        for cell in notebook.code
    ), "no claim is asserted"


@every_lesson
def test_lesson_ends_in_pitfalls_exercises_summary_and_references(notebook):
    wanted = ["## Pitfalls", "## Exercises", "## Summary", "## References"]
    assert [heading for heading in notebook.headings if heading in wanted] == wanted


@every_lesson
def test_summary_has_five_lines_and_says_them_again_in_chinese(notebook):
    """Whoever changes a line has to change its translation: formulas and code are the same."""
    english, chinese = notebook.section("Summary").split("**小结**")
    lines = [
        re.findall(r"^(\d)\. (.+)$", part.split("**Next**")[0], flags=re.MULTILINE)
        for part in (english, chinese)
    ]
    for one, other in zip(*lines, strict=True):
        assert one[0] == other[0]
        formulas = [sorted(re.findall(r"\$[^$]+\$|`[^`]+`", text)) for text in (one[1], other[1])]
        assert formulas[0] == formulas[1], f"line {one[0]}"
        assert re.search(r"[\u4e00-\u9fff]", other[1])
    assert len(lines[0]) == 5


@every_lesson
def test_exercises_say_how_hard_and_how_long_and_give_a_hint(notebook):
    parts = re.split(r"^### Exercise ", notebook.section("Exercises"), flags=re.MULTILINE)[1:]
    assert 2 <= len(parts) <= 3, f"{len(parts)} exercises"
    for number, part in enumerate(parts, 1):
        assert part.startswith(str(number)), f"exercise {number} is headed {part[:20]!r}"
        assert re.search(r"\b(?:easy|medium|hard)\b", part), f"exercise {number}: no difficulty"
        assert re.search(r"\d+ min", part), f"exercise {number}: no minutes"
        assert "<details>" in part, f"exercise {number}: no hint that folds open"
    assert f"solutions/{notebook.path.name}" in notebook.text, "no link to the solutions"
    solutions = NOTEBOOKS / "solutions" / notebook.path.name
    assert solutions.exists(), f"no {solutions.name} in notebooks/solutions"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_solutions_belong_to_a_chapter(path):
    assert (NOTEBOOKS / path.name).exists()
    assert f"../{path.name}" in Notebook(path).text, "no link back to the chapter"


def test_chapters_are_numbered_without_gaps():
    assert [int(path.stem[:2]) for path in CHAPTERS] == list(range(len(CHAPTERS)))
