"""What the book shows otherwise than the files that it is made of; the files stay as they are."""

import json
import re
import shutil
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

README = "README"
APPENDIX = ["中文 <README.zh-CN>", "docs/bring_your_own", "docs/solutions", "docs/api"]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_NOTE = "*This is a widget: `make lab` runs it live.*"


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions of this file with Sphinx."""
    app.connect("source-read", prepare_source)
    app.connect("doctree-read", set_equations_as_written)
    app.connect("autodoc-process-docstring", prepare_docstring, priority=400)  # before napoleon
    app.connect("build-finished", add_index)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def anchor(title: str) -> str:
    """The anchor of a heading as JupyterLab spells it, and so the links of the notebooks."""
    return title.replace(" ", "-")


def prepare_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give README.md the tables of contents, and take from notebooks what needs a kernel."""
    if docname == README:
        source[0] += contents(source[0])
    elif docname.startswith("notebooks/"):
        text = source[0].replace("](solutions)", "](../docs/solutions.md)")  # a folder, a page here
        source[0] = json.dumps(without_kernel(json.loads(text)))


def contents(readme: str) -> str:
    """A toctree for each part of the table of chapters, and one for the appendix."""
    pattern = r"\*\*(Part [^*]+)\*\*|\]\((notebooks/\d\d_\w+)\.ipynb\)"
    parts: dict[str, list[str]] = {}
    for part, chapter in re.findall(pattern, readme):
        if part:
            pages = parts[part] = []
        else:
            pages.append(chapter)
    parts["Appendix"] = APPENDIX
    return "\n".join(
        "\n".join(["", "```{toctree}", ":hidden:", f":caption: {part}", "", *pages, "```"])
        for part, pages in parts.items()
    )


def without_kernel(notebook: dict[str, Any]) -> dict[str, Any]:
    """A note in the place of each widget, which is the value of its cell; no progress bars.

    A picture is called as its caption, which stands below it, calls it.
    """
    captions = iter(re.findall(r"\*\*(Figure [\d.]+\d)", json.dumps(notebook["cells"])))
    for cell in notebook["cells"]:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            cell["metadata"]["mystnb"] = {"image": {"alt": next(captions, "Figure")}}
        for output in cell.get("outputs", []):
            is_value = output["output_type"] == "execute_result"
            if WIDGET_VIEW in output.get("data", {}):
                output["data"] = {"text/markdown": WIDGET_NOTE} if is_value else {}
        if "outputs" in cell:
            cell["outputs"] = [each for each in cell["outputs"] if each.get("data") != {}]
    return notebook


def set_equations_as_written(app: Sphinx, doctree: nodes.document) -> None:
    """Sphinx would put an equation of several lines into an environment that takes no \\tag."""
    for equation in doctree.findall(nodes.math_block):
        if not equation.get("no-wrap", equation.get("nowrap")):
            equation["no-wrap"] = True
            equation[:] = [nodes.Text(rf"\[{equation.astext()}\]")]


def prepare_docstring(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]
) -> None:
    """Docstrings are written to be read as text; what reStructuredText takes otherwise is marked.

    A bar is |an absolute value|, a list of arguments may take two lines, and a table has one rule,
    under its head.
    """
    text = "\n".join(lines)
    text = re.sub(r"(``.+?``)|\|", lambda found: found[1] or r"\|", text)
    text = re.sub(r"^( +(?:\w+, )+\w+,)\n +(\w.*: )", r"\1 \2", text, flags=re.MULTILINE)
    table = r"^(.+)\n(-{3,}(?: +-{3,})+)\n((?:.+(?:\n|\Z))+)"
    text = re.sub(table, with_rules, text, flags=re.MULTILINE)
    lines[:] = text.split("\n")


def with_rules(table: re.Match[str]) -> str:
    """A table of a docstring with the three rules that reStructuredText wants."""
    head, rule, rows = table.groups()
    rule = rule.replace("-", "=")
    return "\n".join([rule, head, rule, rows.rstrip("\n"), rule, ""])


def add_index(app: Sphinx, error: Exception | None) -> None:
    """The page of README.md is also index.html, where browsers and servers begin."""
    if not error and app.builder.format == "html":
        shutil.copyfile(app.outdir / f"{README}.html", app.outdir / "index.html")
