"""Values from a function: read ``features`` first, then the loops of Part I with other storage.

``features`` makes feature maps, ``objectives`` and ``expected`` hold what is exact, ``prediction``
and ``control`` the linear learners; ``value_network`` and ``dqn``, which need PyTorch, are imported
by name.
"""

from rlcore.approximation.control import (
    LINEAR_CONTROL,
    LinearControlResult,
    semi_gradient_expected_sarsa,
    semi_gradient_n_step_sarsa,
    semi_gradient_q_learning,
    semi_gradient_sarsa,
)
from rlcore.approximation.expected import ExpectedUpdate, expected_td0, expected_tdc
from rlcore.approximation.features import (
    FeatureMap,
    aggregation,
    fourier,
    from_function,
    from_matrix,
    grid_points,
    one_hot,
    polynomial,
    radial_basis,
    tile_coding,
)
from rlcore.approximation.objectives import LinearEvaluation
from rlcore.approximation.prediction import (
    LINEAR_PREDICTION,
    LinearPredictionResult,
    gradient_monte_carlo,
    lstd,
    semi_gradient_n_step_td,
    semi_gradient_td0,
    semi_gradient_td_lambda,
    tdc,
)

__all__ = [
    "LINEAR_CONTROL",
    "LINEAR_PREDICTION",
    "ExpectedUpdate",
    "FeatureMap",
    "LinearControlResult",
    "LinearEvaluation",
    "LinearPredictionResult",
    "aggregation",
    "expected_td0",
    "expected_tdc",
    "fourier",
    "from_function",
    "from_matrix",
    "gradient_monte_carlo",
    "grid_points",
    "lstd",
    "one_hot",
    "polynomial",
    "radial_basis",
    "semi_gradient_expected_sarsa",
    "semi_gradient_n_step_sarsa",
    "semi_gradient_n_step_td",
    "semi_gradient_q_learning",
    "semi_gradient_sarsa",
    "semi_gradient_td0",
    "semi_gradient_td_lambda",
    "tdc",
    "tile_coding",
]
