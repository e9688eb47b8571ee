"""Every Chinese name that a chapter gives stands in the glossary of chapter 00."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
CHAPTERS = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
HAN = r"\u4e00-\u9fff"
NAME = re.compile(rf"[(（]([^()（）]*[{HAN}][^()（）]*)[)）]")
SUMMARY = re.compile(r"^\*\*小结\*\*\n\n(?:\d\. .*\n?)+", re.MULTILINE)  # Chinese throughout
ROW = re.compile(r"^\| (?P<term>[^|]+) \| (?P<name>[^|]+) \| [^|]+ \| \[(\d\d)\]", re.MULTILINE)


def words(path):
    notebook = nbformat.read(path, as_version=4)
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def glossary():
    return [row.groupdict() for row in ROW.finditer(words(NOTEBOOKS / "00_start_here.ipynb"))]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_chinese_names_of_a_chapter_are_in_the_glossary(path):
    known = {name.strip() for row in glossary() for name in row["name"].split("；")}
    text = SUMMARY.sub("", words(path))
    assert {name.strip() for name in NAME.findall(text)} <= known


def test_glossary_is_sorted_and_names_each_term_once():
    terms = [row["term"] for row in glossary()]
    assert len(terms) > 40
    assert terms == sorted(set(terms), key=str.casefold)
