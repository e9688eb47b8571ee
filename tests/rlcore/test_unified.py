"""The table of targets tells what the code does."""

import numpy as np
import pytest

from rlcore import CONTROL, PREDICTION
from rlcore.tabular import control, prediction
from rlcore.tabular.unified import METHODS, Experience, target_table

EXAMPLE = Experience(
    rewards=np.array([1.0, 0.0, 2.0]),
    discounts=np.array([0.9, 0.9, 0.0]),
    next_q=np.array([[0.5, 2.0], [1.0, 3.0], [7.0, 7.0]]),
    next_actions=np.array([0, 1, 0]),
    other_next_q=np.array([[1.0, 1.5], [0.0, 0.0], [7.0, 7.0]]),
    epsilon=0.2,
)


@pytest.mark.parametrize("name", METHODS)
def test_each_method_names_the_target_that_its_loop_calls(name):
    learner, target, _ = METHODS[name]
    module = control if learner in CONTROL else prediction
    loops = [each for each in learner.__code__.co_names if each.endswith("_loop")]
    called = {each for loop in loops for each in getattr(module, loop).py_func.__code__.co_names}
    assert target.__name__ in called


def test_all_learners_are_in_the_table_but_the_backward_view():
    shown = {method.learner for method in METHODS.values()}
    assert shown == {*PREDICTION, *CONTROL} - {prediction.td_lambda}


def test_numbers_by_hand():
    numbers = {row[0]: float(row[-1]) for row in target_table(EXAMPLE, n=2, lam=0.8).rows}
    assert numbers == {
        "TD(0)": 2.665,
        "n-step TD": 3.268,
        "TD(λ)": 2.733,
        "Monte Carlo": 2.62,
        "Sarsa": 1.45,
        "n-step Sarsa": 3.43,
        "Expected Sarsa": 2.665,
        "Q-learning": 2.8,
        "Double Q-learning": 2.35,
    }


def test_nothing_after_the_end_counts():
    next_q = EXAMPLE.next_q.copy()
    next_q[-1] = 1e9
    for n in (1, 2, 3, 10):
        assert target_table(EXAMPLE._replace(next_q=next_q), n=n) == target_table(EXAMPLE, n=n)


def test_limits_of_n_and_lambda_are_td_and_monte_carlo():
    target = {name: method.of for name, method in METHODS.items()}
    one, whole = target["TD(0)"](EXAMPLE, 1, 0.0), target["Monte Carlo"](EXAMPLE, 1, 0.0)
    for name in ("n-step TD", "TD(λ)"):
        assert target[name](EXAMPLE, 1, 0.0) == pytest.approx(one)
        assert target[name](EXAMPLE, 3, 1.0) == pytest.approx(whole)
    assert target["n-step Sarsa"](EXAMPLE, 1, 0.0) == target["Sarsa"](EXAMPLE, 1, 0.0)
    assert target["n-step Sarsa"](EXAMPLE, 99, 0.0) == pytest.approx(whole)


def test_shown_as_text_and_as_a_table():
    table = target_table(EXAMPLE)
    assert repr(table).startswith("TD(0): td_target = 2.665\n    r + γ v(s′)")
    lines = table._repr_markdown_().split("\n")
    assert len(lines) == 2 + len(METHODS)
    # A | inside a formula is escaped, so that it does not end the cell.
    assert {line.replace("\\|", "").count("|") for line in lines} == {6}
