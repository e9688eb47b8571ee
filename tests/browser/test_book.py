"""The book as a reader opens it from the disk: each page, in a real browser, as wide as a phone."""

import re
import runpy
import subprocess
import sys
from dataclasses import dataclass, field
from urllib.parse import unquote

import pytest

from tests.browser import jupyterlab
from tests.notebooks.reading import CHAPTERS, SOLUTIONS, WIDGET_VIEW, Notebook

pytest.importorskip("sphinx", reason="make book installs the tools of the book")

ROOT = jupyterlab.ROOT
PHONE = 400
WIDGET_NOTE = "This is a widget"
TYPESET = "() => window.MathJax?.startup && MathJax.startup.promise.then(() => null)"
LOOK = """() => ({
    width: document.documentElement.scrollWidth,
    written: document.querySelectorAll(".math").length,
    typeset: document.querySelectorAll(".math mjx-container").length,
    failed: [...document.querySelectorAll("[data-mml-node=merror]")].map(
        error => error.closest(".math").textContent + ": " + error.dataset.mjxError),
    broken: [...document.images].filter(image => !image.naturalWidth).map(image => image.src),
    silent: [...document.images].filter(image => !image.alt).map(image => image.src),
    links: [...document.querySelectorAll("a[href]")].map(link => link.href),
    ids: [...document.querySelectorAll("[id]")].map(element => element.id),
})"""


@dataclass
class Visit:
    """What the browser saw on a page, and what it complained of."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    page: dict = field(default_factory=dict)


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """The folder of a fresh build, in which a warning is an error."""
    folder = tmp_path_factory.mktemp("build") / "book"
    command = [sys.executable, str(ROOT / "docs" / "build.py"), str(folder)]
    build = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace")
    assert build.returncode == 0, build.stdout + build.stderr
    return folder


@pytest.fixture(scope="module")
def context(chromium):
    with jupyterlab.browser(chromium, width=PHONE) as context:
        yield context


@pytest.fixture(scope="module")
def visits(book, context):
    """Every page of the book, visited: its path in the book to what was seen."""
    seen = {}
    for path in sorted(set(book.rglob("*.html")) - set(book.glob("_static/**/*"))):
        visit = seen[path.relative_to(book).as_posix()] = Visit()
        page = context.new_page()
        page.on("console", lambda message, visit=visit: _note(message, visit))
        page.on("pageerror", lambda error, visit=visit: visit.complaints.append(str(error)))
        page.on("request", lambda request, visit=visit: visit.requests.append(request.url))
        page.goto(path.as_uri())
        page.evaluate(TYPESET)
        visit.page = page.evaluate(LOOK)
        page.close()
    return seen


def _note(message, visit):
    if message.type in ("error", "warning"):
        visit.complaints.append(message.text)


def each(visits, what):
    """The pages on which something is there that should not be."""
    return {name: found for name, visit in visits.items() if (found := what(visit))}


def test_every_notebook_is_a_page_and_index_is_the_readme(book):
    for path in CHAPTERS + SOLUTIONS:
        assert (book / path.relative_to(ROOT).with_suffix(".html")).exists()
    assert "A course in notebooks" in (book / "index.html").read_text(encoding="utf-8")


def test_no_page_complains_in_the_console(visits):
    assert not each(visits, lambda visit: visit.complaints)


def test_no_page_asks_for_anything_but_files_of_the_book(visits, book):
    inside = (book.as_uri() + "/", "data:", "blob:")
    assert not each(visits, lambda visit: [r for r in visit.requests if not r.startswith(inside)])


def test_every_equation_is_typeset(visits):
    assert sum(visit.page["written"] for visit in visits.values()) > 1000
    assert not each(visits, lambda visit: visit.page["failed"])
    assert not each(visits, lambda visit: visit.page["written"] - visit.page["typeset"])


def test_every_picture_is_shown_and_has_a_text(visits):
    assert not each(visits, lambda visit: visit.page["broken"])
    assert not each(visits, lambda visit: visit.page["silent"])


def test_no_page_is_wider_than_a_phone(visits):
    assert not each(visits, lambda visit: max(visit.page["width"] - PHONE, 0))


def test_every_link_inside_the_book_leads_somewhere(visits, book):
    missing = set()
    for name, visit in visits.items():
        for link in visit.page["links"]:
            address, _, anchor = link.partition("#")
            if not address.startswith(book.as_uri()):
                assert not address.startswith("file:"), f"{name} links out of the book: {link}"
                continue
            target = unquote(address.removeprefix(book.as_uri() + "/"))
            known = target not in visits or unquote(anchor) in ["", *visits[target].page["ids"]]
            if not (book / target).is_file() or not known:
                missing.add((name, f"{target}#{anchor}"))
    assert not missing


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_note_stands_in_the_place_of_every_widget(path, book):
    page = (book / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
    outputs = [output for cell in Notebook(path).code for output in cell.outputs]
    values = [each.data for each in outputs if each.output_type == "execute_result"]
    assert page.count(WIDGET_NOTE) == sum(WIDGET_VIEW in data for data in values) > 0
    assert "?it/s]" not in page, "a progress bar is left"


def test_search_finds_a_chapter(book, context):
    page = context.new_page()
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.goto((book / "search.html").as_uri() + "?q=Robbins")
    page.get_by_role("link", name="TD learning of state values").first.wait_for(timeout=10_000)
    assert complaints == []
    page.close()


def test_no_page_shows_a_path_of_this_machine(book):
    for path in book.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert str(ROOT) not in text and sys.prefix not in text, path.name


def test_every_public_module_is_documented():
    pages = (ROOT / "docs" / "api").glob("*.rst")
    documented = re.findall(
        r"automodule:: (\S+)", "\n".join(page.read_text(encoding="utf-8") for page in pages)
    )
    modules = []
    for package in ("rlcore", "speccore"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "exercises" not in parts and parts[-1] != "__main__":
                modules.append(".".join(parts).removesuffix(".__init__"))
    assert sorted(documented) == sorted(modules)


def test_a_build_after_one_that_did_not_end_well_trusts_nothing(tmp_path):
    build = runpy.run_path(str(ROOT / "docs" / "build.py"))["build"]
    asked = []

    def killed(options):
        asked.append("--fresh-env" in options)
        raise KeyboardInterrupt

    def ending_with(status):
        def run(options):
            asked.append("--fresh-env" in options)
            return status

        return run

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path / "book", killed)
    for status in (1, 0, 0):
        assert build(tmp_path / "book", ending_with(status)) == status
    assert asked == [False, True, True, False]
