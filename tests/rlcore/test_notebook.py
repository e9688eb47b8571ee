"""What a notebook shows as source is the source."""

import ast
import inspect

import pytest

import rlcore
from rlcore import plots
from rlcore.notebook import show_source
from rlcore.tabular import control, targets


def code_of(shown):
    return shown.data.split("```python\n")[1].split("\n```")[0]


def test_a_target_is_shown_with_its_module_and_decorator():
    assert show_source(targets.td_target).data == (
        "`rlcore/tabular/targets.py`\n\n```python\n"
        "@compiled\n"
        "def td_target(reward: float, discount: float, next_value: float) -> Any:\n"
        "    return reward + discount * next_value\n"
        "```"
    )


def test_what_is_shown_computes_what_the_package_computes():
    namespace = {"compiled": lambda function: function, "Any": object}
    exec(code_of(show_source(targets.expected_sarsa_target)), namespace)
    row = targets.np.array([1.0, 4.0, 2.5])
    shown = namespace["expected_sarsa_target"](1.0, 0.9, row, 0.2)
    assert shown == targets.expected_sarsa_target(1.0, 0.9, row, 0.2)


def test_with_docstring_it_is_the_file_to_the_letter():
    source = inspect.getsource(control.q_learning_loop.py_func)
    assert code_of(show_source(control.q_learning_loop, docstring=True)) == source.rstrip("\n")
    assert '"""' in code_of(show_source(rlcore.sarsa, docstring=True))


@pytest.mark.parametrize(
    "shown",
    [
        rlcore.sarsa,
        control.q_learning_loop,
        plots.value_map,
        rlcore.TabularMDP,
        rlcore.TabularMDP.policy_values,
        rlcore.TabularMDP.num_states,
        rlcore.TabularMDP.__dict__["reachable_states"],
        targets,
        rlcore,
    ],
    ids=lambda shown: getattr(shown, "__name__", type(shown).__name__),
)
def test_docstrings_are_left_out_and_nothing_else(shown):
    def without_docstrings(source):
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                node.body = node.body[1:] or [ast.Expr(ast.Constant(...))]
        return ast.dump(tree)

    short = code_of(show_source(shown))
    assert ast.dump(ast.parse(short)) == without_docstrings(
        code_of(show_source(shown, docstring=True))
    )
    assert "\0" not in short


class OnlyDocumented:
    """Nothing but this line."""


def test_what_is_only_documented_stays_valid_python():
    assert code_of(show_source(OnlyDocumented)) == "class OnlyDocumented:\n    ..."


def test_several_of_one_module_share_a_block():
    shown = show_source(targets.td_target, targets.sarsa_target, rlcore.sarsa).data
    assert shown.count("```python") == 2
    assert shown.index("rlcore/tabular/targets.py") < shown.index("rlcore/tabular/control.py")
    assert "next_value\n\n\n@compiled\ndef sarsa_target" in shown


def test_packages_are_shown_by_their_init_file():
    assert show_source(rlcore).data.startswith("`rlcore/__init__.py`\n")


def test_the_text_is_the_same_on_every_machine():
    shown = show_source(rlcore.TabularMDP)
    assert str(rlcore.__path__[0]) not in shown.data
    assert repr(shown) == "<IPython.core.display.Markdown object>"


@pytest.mark.parametrize("shown", [len, 3, None])
def test_what_has_no_source_is_refused(shown):
    with pytest.raises(TypeError, match="show_source: takes functions, classes or modules"):
        show_source(shown)


def test_nothing_to_show_is_refused():
    with pytest.raises(TypeError, match="at least one"):
        show_source()
