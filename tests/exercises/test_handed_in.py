"""Of a file, the answer is found with the code that it needs, and no more."""

import ast
import json

import pytest

from rlcore.exercises.handed_in import find, names_in, read_cells


@pytest.fixture
def cells(tmp_path):
    """From sources of code cells to the cells of a notebook."""

    def notebook(*sources):
        path = tmp_path / "notebook.ipynb"
        listed = [{"cell_type": "code", "source": source} for source in sources]
        path.write_text(json.dumps({"cells": listed}), encoding="utf-8")
        return read_cells(path)

    return notebook


def run(handed_in):
    """The function, as the process of the student makes it; and the statements that were run."""
    names, ran = {}, []
    for _, source, chosen in handed_in.cells:
        body = ast.parse(source).body
        ran += [ast.unparse(body[index]) for index in chosen]
        exec(compile(ast.Module([body[index] for index in chosen], []), "cell", "exec"), names)
    return eval(f"({handed_in.expression}\n)", names), ran


def test_only_what_the_answer_needs_is_run_in_the_order_of_the_file(cells):
    found = find(
        cells(
            "import math\nimport antigravity_of_another_planet",
            "raise RuntimeError('minutes of training')",
            "base = 2\ndef helper(x):\n    return math.sqrt(x) * factor",
            "factor = base + 1\nq = expensive()\nprint(factor)",
            "def answer(q):\n    return helper(q)\n\n\ncheck.answer(answer)",
        ),
        "answer",
    )
    function, ran = run(found)
    assert function(4.0) == 6.0
    assert [line.split("\n")[0] for line in ran] == [
        "import math",
        "base = 2",
        "def helper(x):",
        "factor = base + 1",
        "def answer(q):",
    ]


def test_changes_in_place_are_part_of_what_is_needed(cells):
    sources = [
        "memo = {}\nlimits = []\nother = []",
        "memo[0] = 1\nlimits.append(7)\nother.append(unknown)",
        "for k in range(1, 4):\n    memo[k] = 2 * memo[k - 1]",
        "def answer(k):\n    return memo[k] + limits[0]",
        "check.answer(answer)",
    ]
    function, _ = run(find(cells(*sources), "answer"))
    assert function(3) == 8 + 7


def test_names_of_arguments_and_locals_need_nothing(cells):
    sources = [
        "p = expensive()\ntotal = expensive()",
        "def answer(p):\n    total = sum(x for x in p)\n    return total",
        "check.answer(answer)",
    ]
    function, ran = run(find(cells(*sources), "answer"))
    assert function([1, 2]) == 3 and len(ran) == 1


def test_the_last_check_counts_and_what_comes_after_it_does_not(cells):
    sources = [
        "def answer():\n    return 1",
        "check.answer(answer)",
        "def answer():\n    return 2",
        "check.answer(answer)",
        "def answer():\n    return 3",
    ]
    function, _ = run(find(cells(*sources), "answer"))
    assert function() == 2


@pytest.mark.parametrize(
    "call",
    [
        "check.answer(lambda: 5)",
        "exercises.check.answer(lambda: 5)",
        "if True:\n    check.answer(\n        lambda:\n            5  # of them\n    )",
        "from functools import partial\ncheck.answer(partial(max, 5, 4))",
        "class Mine:\n    @staticmethod\n    def f():\n        return 5\ncheck.answer(Mine.f)",
        "def answer():\n    return 5",
        "%%time\n!ls\ndef answer():\n    return 5\ncheck.answer(answer)",
        "from math import *\ncheck.answer(lambda: floor(5.5))",
    ],
)
def test_an_answer_may_be_written_in_many_ways(cells, call):
    function, _ = run(find(cells(call), "answer"))
    assert function() == 5


def test_a_syntax_error_elsewhere_does_not_matter_and_in_the_answer_it_is_named(cells):
    good = "def answer():\n    return 1\ncheck.answer(answer)"
    assert not isinstance(find(cells("def (", good, "return 3"), "answer"), str)
    broken = cells("x = 1", "def answer():\n    return (1\ncheck.answer(answer)")
    assert find(broken, "answer") == "not yet: SyntaxError in cell 2, line 2"
    assert names_in(broken, {"answer", "other"}) == {"answer"}


def test_no_answer_is_not_attempted(cells):
    found = find(cells("def other():\n    return 1", "check.other(other)"), "answer")
    assert found == "not attempted yet (no check.answer(…) in the file)"


def test_a_file_is_about_what_it_checks_or_else_about_what_it_defines(cells):
    known = {"answer", "other"}
    assert names_in(cells("def other(): ...", "check.answer(f)"), known) == {"answer"}
    assert names_in(cells("def other(): ...", "def third(): ..."), known) == {"other"}


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"cells": [{}]}', '{"cells": 3}', "[" * 100_000, "\x00", "not JSON"]
)
def test_what_is_no_notebook_is_refused(tmp_path, text):
    path = tmp_path / "notebook.ipynb"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((ValueError, RecursionError)):
        read_cells(path)
