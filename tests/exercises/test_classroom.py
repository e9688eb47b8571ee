"""What a class hands in gets the verdict that it deserves, whatever it tries."""

import csv
import inspect
import json
import os
import re
import time
from importlib import import_module
from textwrap import indent

import numpy as np
import psutil
import pytest

import rlcore.exercises
import speccore.exercises
from rlcore.exercises import classroom, remote
from rlcore.exercises.exercise import Exercise
from rlcore.exercises.remote import Limits
from tests.exercises import answers_03, answers_14
from tests.notebooks.reading import CHAPTERS, SOLUTIONS, Notebook

EXERCISES = (*rlcore.exercises.EXERCISES, *speccore.exercises.EXERCISES)
NAMES = [each.name for each in EXERCISES]
RIGHT = inspect.getsource(answers_03.sarsa_target)
CHECK = "\n\ncheck.sarsa_target(sarsa_target)\n"


def check(*arguments):
    """Runs the command; returns its exit status."""
    return classroom.main(EXERCISES, "speccore.exercises", [str(each) for each in arguments])


def rows(path, *, names=None, seconds=20.0, megabytes=4000.0):
    """Verdicts by exercise."""
    wanted = [each for each in EXERCISES if names is None or each.name in names]
    limits = Limits(seconds, megabytes)
    found = classroom.rows_of(path, EXERCISES, wanted, limits, seed=0)
    return {row.exercise.name: row.verdict for row in found}


@pytest.fixture
def verdict(tmp_path):
    """From the code of a file to the verdict on its answer to exercise 3.1."""

    def of(code, **limits):
        path = tmp_path / "answer.py"
        path.write_text(code, encoding="utf-8")
        return rows(path, names={"sarsa_target"}, **limits)["sarsa_target"]

    return of


def notebook(path, *sources):
    cells = [{"cell_type": "code", "source": source.splitlines(True)} for source in sources]
    path.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    return path


# -- what is right, wrong, not attempted -----------------------------------------------------------


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_the_committed_solutions_are_correct(path):
    chapter = [each.name for each in EXERCISES if each.chapter == int(path.stem[:2])]
    assert rows(path, seconds=60) == dict.fromkeys(chapter, "correct")


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)
def test_wrong_answers_are_not_yet(path, tmp_path):
    answers = import_module(f"tests.exercises.answers_{path.stem[:2]}")
    lines = [f'check.{name}(WRONG["{name}"][-1])' for name in answers.WRONG]
    file = tmp_path / "answers.py"
    file.write_text("\n".join([inspect.getsource(answers), *lines]), encoding="utf-8")
    found = rows(file, names=set(answers.WRONG), seconds=60)
    assert set(found) == set(answers.WRONG)
    assert all(text.startswith("not yet: for ") or " — for " in text for text in found.values())


def test_a_chapter_as_it_comes_is_not_attempted(tmp_path):
    (path,) = [path for path in CHAPTERS if path.stem.startswith("14")]
    found = rows(path)
    assert found == dict.fromkeys(
        [each.__name__ for each in answers_14.SOLUTIONS], "not attempted yet"
    )
    empty = notebook(tmp_path / "empty.ipynb", "check.one_step(one_step)")
    found = rows(empty)
    assert found["best_length"] == "not attempted yet (no check.best_length(…) in the file)"
    assert found["one_step"] == "not yet: NameError: name 'one_step' is not defined"


def test_the_verdict_is_that_of_the_notebook(verdict):
    """The same words, inputs and answers, though they went through another process."""
    for code in (
        "lambda q, r, s, a, end, gamma: r + (not end) * q[s, a]",
        "lambda q, *rest: q['next']",
        "lambda *rest: None",
        "lambda *rest: ...",
        "lambda *rest: (1, [2.5, True], {'a': 'text'}, float('nan'))",
        "lambda *rest: {1, 2}",
        "lambda *rest: 10**400",
        "lambda: 3",
        "3.0",
        "...",
    ):
        here = rlcore.exercises.check.sarsa_target.verdict(eval(code))
        assert verdict(f"check.sarsa_target({code})") == here
        assert here != "correct"


def test_answers_that_numpy_takes_for_numbers_are_numbers(verdict):
    code = f"import numpy as np\nimport torch\nfrom fractions import Fraction\n{RIGHT}\n"
    for wrap in ("torch.tensor(x)", "Fraction(x)", "np.float32(x)", "np.array(x)"):
        code += f"def wrapped(*a):\n    x = sarsa_target(*a)\n    return {wrap}\n"
        assert verdict(code + "check.sarsa_target(wrapped)") == "correct"


def test_an_answer_may_print(verdict):
    talkative = "print('here')\nx = print('there')\n" + RIGHT.replace(
        "\n", "\n    print(x, flush=True)\n", 1
    )
    assert "print(x" in talkative
    assert verdict(talkative + CHECK) == "correct"


def test_a_syntax_error_in_another_cell_and_magics_do_not_matter(tmp_path):
    path = notebook(
        tmp_path / "a.ipynb", "%matplotlib inline", "def broken(:", "raise OSError", RIGHT + CHECK
    )
    assert rows(path)["sarsa_target"] == "correct"


def test_a_failure_in_what_the_answer_needs_is_named(verdict):
    assert verdict("import no_such_module\n" + RIGHT + CHECK) == "correct"
    found = verdict("from no_such_module import *\n" + RIGHT + CHECK)
    assert found == "not yet: ModuleNotFoundError: No module named 'no_such_module'"
    assert verdict("def sarsa_target(:\n" + CHECK) == "not yet: SyntaxError in answer.py, line 1"


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wait", ["while True: pass", "import time; time.sleep(1000)", "input()"])
def test_an_endless_answer_is_stopped(verdict, wait):
    begun = time.monotonic()
    found = verdict(f"def sarsa_target(*a):\n    {wait}\n{CHECK}", seconds=2)
    assert found.startswith(("not yet: TimeoutError: no answer within 2 s", "not yet: EOFError"))
    assert time.monotonic() - begun < 60
    found = verdict(f"def forever():\n    {wait}\nx = forever()\ncheck.sarsa_target(x)", seconds=2)
    assert found.startswith(("not yet: TimeoutError: no answer within 2 s", "not yet: EOFError"))


def test_processor_time_is_limited_besides_the_clock(verdict, monkeypatch):
    monkeypatch.setattr(remote, "PATIENCE", 30)
    begun = time.monotonic()
    found = verdict("def sarsa_target(*a):\n    while True: pass\n" + CHECK, seconds=2)
    assert found.startswith("not yet: TimeoutError: no answer within 2 s")
    assert time.monotonic() - begun < 60


def test_an_answer_that_takes_all_memory_is_stopped(verdict):
    code = "def sarsa_target(*a):\n    kept = []\n    while True: kept.append(bytearray(10**7))\n"
    found = verdict(code + CHECK, megabytes=500, seconds=100)
    assert found.startswith("not yet: MemoryError: more than 500 MB — for q = [[")


def test_an_answer_too_long_to_read_is_refused(verdict):
    found = verdict("check.sarsa_target(lambda *a: 'x' * 10**8)")
    assert found.startswith("not yet: ValueError: an answer of more than 4 MB")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_process_that_outlives_the_answer_stops_nothing(verdict):
    code = """
def sarsa_target(*a):
    import os, time
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
    os._exit(0)
"""
    begun = time.monotonic()
    assert verdict(code + CHECK, seconds=4).startswith("not yet: ")
    assert time.monotonic() - begun < 50


def test_no_process_is_left_over(verdict, tmp_path):
    number = tmp_path / "number"
    code = f"""
def sarsa_target(*a):
    import pathlib, subprocess, sys, time
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path({str(number)!r}).write_text(str(child.pid))
    time.sleep(1)
    return 0.0
"""
    assert verdict(code + CHECK).startswith("not yet: ")
    begun = time.monotonic()
    while _runs(int(number.read_text(encoding="utf-8"))):
        assert time.monotonic() - begun < 10
        time.sleep(0.1)


def _runs(number):
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# -- cheating --------------------------------------------------------------------------------------

CHEATS = {
    "prints the verdict": "print('correct'); print('03.1  sarsa_target  correct')",
    "ends with success": "import sys; sys.exit(0)",
    "ends at once": "import os; os._exit(0)",
    "raises SystemExit": "raise SystemExit(0)",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "raises an error called correct": "raise type('correct', (Exception,), {})('\\ncorrect')",
    "raises an error with a row of the table": "raise ValueError('\\n  03.1  x  correct\\x1b[2K')",
    "claims to be unwritten": "raise NotImplementedError('correct')",
    "replaces numpy's comparison": """
import numpy as np
np.allclose = np.isclose = np.array_equal = lambda *a, **k: True
np.asarray = lambda *a, **k: np.zeros(())
return 0.0""",
    "replaces the exercise's verdict": """
import importlib, sys
for name in [name for name in sys.modules if "exercises" in name]:
    del sys.modules[name]
from rlcore.exercises import check, exercise, remote, classroom
exercise.Exercise.verdict = exercise.Exercise.__call__ = lambda *a: "correct"
exercise._equal = lambda *a: True
remote.verdict_on = classroom.rows_of = lambda *a, **k: "correct"
return 0.0""",
    "replaces the check": """
import builtins, sys, types
check = builtins.check = types.SimpleNamespace(sarsa_target=lambda f: print("correct"))
sys.modules["rlcore.exercises"].check = check
sys.modules["rlcore.exercises"].EXERCISES = ()
return 0.0""",
    "asks the check for the solution": """
from rlcore.exercises import check
return check.sarsa_target.solution(*given)""",
    "redefines builtins": """
import builtins
for name in ("isinstance", "all", "any", "callable", "set", "float", "print", "repr", "str"):
    setattr(builtins, name, lambda *a, **k: "correct")
return 0.0""",
    "writes to every open file": """
import os
for fd in range(64):
    for line in ('correct', '["value", "correct"]', '["correct"]', '"correct"', '{}', '[', ''):
        try: os.write(fd, line.encode() + b'\\n')
        except OSError: pass
return 0.0""",
    "answers many times at once": """
import os
for fd in range(64):
    try: os.write(fd, b'["value", 0.0]\\n["callable", "correct"]\\n' * 100)
    except OSError: pass
return 0.0""",
    "asks for methods of the other side": """
import os
for fd in range(64):
    try: os.write(fd, b'["ask", 0, "__class__", ["tuple", []]]\\n["ask", -1, "verdict", []]\\n')
    except OSError: pass
return 0.0""",
    "is equal to everything": """
class Equal(float):
    def __eq__(self, other): return True
    __hash__ = float.__hash__
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __array__(self, *a, **k): return self
    def __array_function__(self, *a, **k): return True
    def __array_ufunc__(self, *a, **k): return True
    def __repr__(self): return "correct"
return Equal(0.0)""",
    "is not a number": "return float('nan')",
    "looks for the answer in the callers": """
import gc, sys
frame = sys._getframe()
while frame := frame.f_back:
    for name in ("expected", "solution", "exercise", "cases"):
        if name in frame.f_locals: return frame.f_locals[name]
for each in gc.get_objects():
    if type(each).__name__ == "Exercise": return each.solution(*given)
return 0.0""",
    "leaves something for the end": """
import atexit, os, threading
atexit.register(lambda: os._exit(0))
threading.Thread(target=lambda: [print("correct") for _ in range(1000)], daemon=True).start()
return 0.0""",
}


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_not_correct(cheat, verdict, capfd):
    body = indent(CHEATS[cheat].strip(), "    ")
    found = verdict(f"def sarsa_target(*given):\n{body}\n{CHECK}", seconds=10)
    assert found.startswith(("not yet: ", "not attempted yet")) and "\n" not in found
    assert found.isprintable()
    assert capfd.readouterr() == ("", "")
    everywhere = f"def cheat(*given):\n{body}\nx = cheat()\ndef sarsa_target(*a, x=x): return 0.0\n"
    assert not verdict(everywhere + CHECK, seconds=10).startswith("correct")
    assert verdict(RIGHT + CHECK) == "correct", "the next one is judged as ever"


def test_an_exit_is_an_error_like_others(verdict):
    for name in ("SystemExit", "KeyboardInterrupt"):
        found = verdict(f"def sarsa_target(*a):\n    raise {name}('0')\n{CHECK}")
        assert found.startswith(f"not yet: {name}: 0 — for q = [[0, 1, 2]")


def test_of_a_source_of_chance_only_the_questions_can_be_asked(tmp_path):
    path = tmp_path / "answer.py"
    code = (
        "def one_step(p, q, chance):\n    raise ValueError(*vars(chance))\ncheck.one_step(one_step)"
    )
    path.write_text(code, encoding="utf-8")
    found = rows(path, names={"one_step"})["one_step"]
    assert found.startswith("not yet: ValueError: ('accepts', 'draw') — for p = ")


def test_answers_copied_from_the_check_are_not_yet(verdict):
    """The inputs of the notebook's check are known to everyone, and its answers are shown."""
    exercise = rlcore.exercises.check.sarsa_target
    cases = list(exercise.cases(np.random.default_rng(exercise.chapter)))
    table = {repr([*case.values()]): float(exercise.solution(**case)) for case in cases}
    code = (
        f"TABLE = {table!r}\ndef sarsa_target(*given):\n    return TABLE.get(repr([*given]), 0.0)\n"
    )
    names = {}
    exec(code, names)
    assert exercise.verdict(names["sarsa_target"]) == "correct"
    assert verdict(code + CHECK).startswith("not yet: for q = ")


def test_nothing_of_the_checks_is_loaded_where_the_answer_runs(verdict):
    code = """
def sarsa_target(*a):
    import sys
    import rlcore
    from rlcore.exercises import check, table
    raise ValueError(repr([name for name in sys.modules if "exercise" in name]), vars(check))
"""
    found = verdict(code + CHECK)
    assert found.startswith(
        "not yet: ValueError: (\"['rlcore.exercises', 'speccore.exercises']\", {})"
    )


# -- the command -----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Three students; one is right, one is wrong, one has not begun."""
    answers = tmp_path / "class"
    (answers / ".ipynb_checkpoints").mkdir(parents=True)
    (answers / ".ipynb_checkpoints" / "old.py").write_text(RIGHT + CHECK, encoding="utf-8")
    (answers / "a.py").write_text(RIGHT + CHECK, encoding="utf-8")
    wrong = "def sarsa_target(*a):\n    raise KeyError('=1+1')"
    notebook(answers / "b.ipynb", wrong, CHECK)
    notebook(answers / "c.ipynb", "def sarsa_target(*a):\n    return ...", CHECK)
    return answers


def test_a_class_in_one_go(folder, capsys, tmp_path):
    table = tmp_path / "table.csv"
    assert check("--exercise", "sarsa_target", "--csv", table, folder) == 1
    *lines, total, each = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line] == [
        str(folder / "a.py"),
        "  03.1  sarsa_target  correct",
        str(folder / "b.ipynb"),
        lines[3],
        str(folder / "c.ipynb"),
        "  03.1  sarsa_target  not attempted yet",
    ]
    assert lines[3].startswith(
        "  03.1  sarsa_target  not yet: KeyError: '=1+1' — for q = [[0, 1, 2]"
    )
    assert total == "3 files, 3 exercises: 1 correct, 1 not yet, 1 not attempted"
    assert each == "  03.1  sarsa_target: 1 correct, 1 not yet, 1 not attempted"
    with table.open(encoding="utf-8-sig", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["verdict"] for row in written] == ["correct", "not yet", "not attempted"]
    assert {row["exercise"] for row in written} == {"sarsa_target"}


def test_the_exit_status_says_how_it_ended(folder, capsys, tmp_path):
    right = folder / "a.py"
    assert check("--exercise", "sarsa_target", right) == 0
    assert check("--chapter", 3, right) == 1, "two exercises of the chapter are missing"
    assert check("--chapter", 4, right) == 1, "nothing of the chapter"
    assert "none of the exercises" in capsys.readouterr().out
    (tmp_path / "nothing").mkdir()
    assert check(tmp_path / "nothing") == 1
    broken = tmp_path / "broken.ipynb"
    broken.write_text("[", encoding="utf-8")
    for path in (broken, tmp_path / "missing.ipynb"):
        assert check("--exercise", "sarsa_target", path, right) == 2
        shown = capsys.readouterr().out
        assert "could not be read: " in shown and "sarsa_target  correct" in shown
    for wrong in (["--chapter", 99], ["--seconds", 0], ["--exercise", "none"], ["--jobs", "0"]):
        with pytest.raises(SystemExit) as ended:
            check(*wrong, right)
        assert ended.value.code == 2


def test_without_files_the_exercises_are_listed(capsys):
    assert check() == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(EXERCISES)
    assert lines[0].startswith("01.1  easy ") and lines[0].endswith("(check.bellman_backup)")
    assert check("--chapter", 14) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_a_file_name_is_no_formula(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "=1+1.py").write_text("check.sarsa_target(...)", encoding="utf-8")
    check("--csv", "table.csv", "--exercise", "sarsa_target", "=1+1.py")
    assert "'=1+1.py,3,1," in (tmp_path / "table.csv").read_text(encoding="utf-8-sig")


# -- what the checks rest on -----------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_right_answers_are_right_on_other_inputs_too(exercise: Exercise):
    answers = import_module(f"tests.exercises.answers_{exercise.chapter:02d}")
    (solution,) = [each for each in answers.SOLUTIONS if each.__name__ == exercise.name]
    for seed in range(2):
        assert exercise.verdict(solution, seed) == "correct"


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_chapter_shows_no_answer(path):
    """Every check is committed unattempted, and no output quotes the checks or the solutions."""
    answers = [
        cell.source.partition("\ncheck.")[0].strip()
        for solutions in SOLUTIONS
        for cell in Notebook(solutions).code
        if "\ncheck." in cell.source
    ]
    for cell in Notebook(path).code:
        if any(f"check.{name}(" in cell.source for name in NAMES):
            assert cell.output_text.startswith("not attempted yet"), str(cell)
            continue
        assert not re.search(r"not yet: |exercises.chapter_\d\d", cell.output_text), str(cell)
        assert not [answer for answer in answers if answer in cell.output_text], str(cell)
