"""Every check knows the stub, the right answer and the usual wrong ones."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import rlcore.exercises
import speccore.exercises
from rlcore.exercises import check, table

EXERCISES = (*rlcore.exercises.EXERCISES, *speccore.exercises.EXERCISES)
CHECKS = {**vars(rlcore.exercises.check), **vars(speccore.exercises.check)}
CHAPTERS = sorted(
    int(path.stem.removeprefix("chapter_"))
    for package in (rlcore, speccore)
    for path in Path(package.exercises.__file__).parent.glob("chapter_*.py")
)
ANSWERS = [import_module(f"tests.exercises.answers_{chapter:02d}") for chapter in CHAPTERS]
SOLUTIONS = {solution.__name__: solution for each in ANSWERS for solution in each.SOLUTIONS}
WRONG = [(name, wrong) for each in ANSWERS for name, found in each.WRONG.items() for wrong in found]

named = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


def by_position(exercise, function):
    """A function with keywords, called as the checks call a reader's."""
    names = list(next(exercise.cases(np.random.default_rng(0))))
    return lambda *arguments: function(**dict(zip(names, arguments, strict=True)))


@named
def test_a_solution_written_without_the_package_is_correct(exercise, capsys):
    exercise(SOLUTIONS[exercise.name])
    assert capsys.readouterr().out == "correct\n"


@named
def test_the_package_agrees_with_itself(exercise):
    assert exercise.verdict(exercise.solution) == "correct"


@named
def test_a_stub_is_not_attempted_yet(exercise, capsys):
    def unwritten(*arguments):
        raise NotImplementedError

    for stub in (..., lambda *arguments: ..., unwritten):
        exercise(stub)
        assert capsys.readouterr().out == "not attempted yet\n"
    assert exercise.verdict(lambda *arguments: None).startswith("not attempted yet (")


@named
def test_every_usual_mistake_is_found_and_named(exercise):
    assert len(exercise.mistakes) >= 3
    for mistake, wrong in exercise.mistakes.items():
        verdict = exercise.verdict(by_position(exercise, wrong))
        assert verdict.startswith(f"not yet: {mistake} — for "), verdict
        assert ": expected " in verdict and ", got " in verdict
        assert "\n" not in verdict


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_other_wrong_answers_are_found_too(name, wrong):
    assert CHECKS[name].verdict(wrong).startswith("not yet: ")


def test_the_message_names_the_mistake_the_input_and_both_answers():
    def without_gamma(q, reward, next_state, next_action, terminated, gamma):
        return reward + (not terminated) * q[next_state, next_action]

    assert check.sarsa_target.verdict(without_gamma) == (
        "not yet: γ seems to be missing — for q = [[0, 1, 2], [6, 4, 8]], reward = 1, "
        "next_state = 1, next_action = 1, terminated = False, gamma = 0.5: expected 3, got 5"
    )


def test_an_exception_is_reported_with_its_type_and_the_input():
    verdict = check.sarsa_target.verdict(lambda q, *rest: q["next"])
    assert verdict.startswith("not yet: IndexError: ")
    assert "for q = [[0, 1, 2], [6, 4, 8]], reward = 1" in verdict
    verdict = check.sarsa_target.verdict(lambda q: q)
    assert verdict.startswith("not yet: TypeError: ")


def test_a_result_instead_of_the_function_is_refused():
    verdict = check.sarsa_target.verdict(3.0)
    assert verdict == "not yet: check.sarsa_target takes the function itself, got 3 (float)"


def test_answers_of_another_kind_are_not_yet():
    for answer in ("three", [1.0, 2.0], {"value": 3.0}, float("nan"), object):
        verdict = check.sarsa_target.verdict(lambda *arguments, answer=answer: answer)
        assert verdict.startswith("not yet: "), verdict


@named
def test_a_function_that_spoils_its_inputs_spoils_nothing_else(exercise):
    solution = SOLUTIONS[exercise.name]

    def vandal(*arguments):
        answer = solution(*arguments)
        answer = tuple(np.copy(a) for a in answer) if isinstance(answer, tuple) else answer
        answer = np.copy(answer) if isinstance(answer, np.ndarray) else answer
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                argument[...] = 99
            elif isinstance(argument, list | dict):
                argument.clear()
        return answer

    assert exercise.verdict(vandal) == "correct"
    assert exercise.verdict(solution) == "correct"


def test_a_guess_from_a_law_that_does_not_sum_to_1_is_a_guess():
    """As the text of exercise 14.2 says."""

    def one_step(p, q, chance):
        x = chance.draw(3 * q)
        return x if chance.accepts(p[x], q[x]) else chance.draw(np.maximum(p - q, 0))

    assert CHECKS["one_step"].verdict(one_step) == "correct"


def test_chapters_have_two_or_three_exercises_from_easy_to_hard():
    order = ["easy", "medium", "hard"]
    assert [each.chapter for each in EXERCISES] == sorted(each.chapter for each in EXERCISES)
    assert sorted({each.chapter for each in EXERCISES}) == CHAPTERS
    for chapter in CHAPTERS:
        found = [each for each in EXERCISES if each.chapter == chapter]
        assert [each.number for each in found] == list(range(1, len(found) + 1))
        assert 2 <= len(found) <= 3
        levels = [order.index(each.difficulty) for each in found]
        assert levels == sorted(levels)
        assert all(0 < each.minutes <= 30 for each in found)


def test_table_lists_them():
    lines = "\n".join(filter(None, (table(), speccore.exercises.table()))).split("\n")
    assert len(lines) == len(EXERCISES) == len({each.name for each in EXERCISES})
    assert table(2).split("\n") == [line for line in lines if line.startswith("02.")]
    assert "check.td_update" in table(2)
