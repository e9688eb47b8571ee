"""The files of the project tell one story: what is installed, run, listed and linked."""

import contextlib
import io
import os
import re
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


def test_readme_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)\s]+)\)", README)
    targets += re.findall(r'(?:src|href)="([^"]+)"', README)
    local = [target.partition("#")[0] for target in targets if not target.startswith("http")]
    assert local
    assert not [target for target in local if target and not (ROOT / target).exists()]


def test_readme_lists_every_chapter_by_its_title():
    listed = dict(re.findall(r"\[([^\]]+)\]\(notebooks/([^)]+\.ipynb)\)", README))
    titles = {}
    for path in ROOT.glob("notebooks/*.ipynb"):
        first = nbformat.read(path, as_version=4).cells[0].source
        titles[re.match(r"# \d\d · (.+)", first)[1]] = path.name
    assert listed == titles


def test_readme_code_prints_what_readme_says():
    blocks = re.findall(r"```python\n(.*?)```\n+```text\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == README.count("```python")
    for code, promised in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, "README.md", "exec"), {})
        assert printed.getvalue() == promised


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


@pytest.mark.parametrize("package", ["rlcore", "speccore"])
def test_packages_are_typed(package):
    assert (ROOT / package / "py.typed").exists()
