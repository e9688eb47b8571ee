"""rlcore: one update, many targets. Values by temporal differences, checked against exact truth.

Read ``rlcore.tabular.targets`` first. ``rlcore.mdp`` holds what is exact, ``rlcore.tabular`` what
is learnt, ``rlcore.simulation`` the two functions that every learner's loop is written against.
"""

from rlcore import environments
from rlcore.experiments import SweepResult, sweep
from rlcore.mdp import Layout, SolverResult, TabularMDP, policy_iteration, value_iteration
from rlcore.policies import (
    epsilon_greedy_policy,
    exponential_schedule,
    greedy_policy,
    harmonic_schedule,
    linear_schedule,
    softmax_policy,
    uniform_policy,
)
from rlcore.tabular.control import (
    CONTROL,
    ControlResult,
    double_q_learning,
    expected_sarsa,
    n_step_sarsa,
    q_learning,
    q_learning_from_transitions,
    sarsa,
)
from rlcore.tabular.prediction import (
    PREDICTION,
    PredictionResult,
    batch_monte_carlo,
    batch_td,
    monte_carlo,
    n_step_td,
    offline_lambda_return,
    td0,
    td_lambda,
)
from rlcore.transitions import Transitions, collect

__all__ = [
    "CONTROL",
    "PREDICTION",
    "ControlResult",
    "Layout",
    "PredictionResult",
    "SolverResult",
    "SweepResult",
    "TabularMDP",
    "Transitions",
    "batch_monte_carlo",
    "batch_td",
    "collect",
    "double_q_learning",
    "environments",
    "epsilon_greedy_policy",
    "expected_sarsa",
    "exponential_schedule",
    "greedy_policy",
    "harmonic_schedule",
    "linear_schedule",
    "monte_carlo",
    "n_step_sarsa",
    "n_step_td",
    "offline_lambda_return",
    "policy_iteration",
    "q_learning",
    "q_learning_from_transitions",
    "sarsa",
    "softmax_policy",
    "sweep",
    "td0",
    "td_lambda",
    "uniform_policy",
    "value_iteration",
]
