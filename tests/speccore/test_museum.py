"""Every exhibit of the museum is caught, and what is right is not.

The published distances (``Mistake.published``) are of one pair of models that is not known. Over
100 random pairs, with independent normal logits, V = 3, order 1, γ = 2, three tokens, nothing
tuned, every one of them lies between the smallest and the largest distance found.
"""

import numpy as np
import pytest

from speccore.decoding.acceptance import rejection
from speccore.decoding.certificate import (
    TableDrafter,
    TableModel,
    exact_step_law,
    expected_step_length,
    speculative_step,
    total_variation,
)
from tests.speccore.museum import CHAIN, CORRECT, MISTAKES, SLOW_BUT_UNBIASED

PAIRS = 3
ON_CHAINS = [name for name in MISTAKES if not name.startswith("siblings")]
ON_TREES = [name for name in MISTAKES if name.startswith("siblings")]


def two_models(seed):
    generator = np.random.default_rng(seed)
    return [TableModel.random(3, 1, generator) for _ in range(2)]


def bias(step, models, sampling=None, length=2):
    """Distance of the next tokens from the target's law."""
    law = exact_step_law(step(*models), [0], length, 3)
    return total_variation(law, models[0].joint_law([0], length, sampling))


@pytest.mark.parametrize("name", ON_CHAINS)
def test_mistakes_on_chains_are_caught_on_every_model(name):
    mistake = MISTAKES[name]
    for seed in range(PAIRS):
        assert bias(mistake.step, two_models(seed), mistake.sampling, length=3) > 1e-3


@pytest.mark.parametrize("name", ON_TREES)
def test_mistakes_on_trees_are_caught(name):
    """Not by every model: where the second sibling is never needed, its law does not matter."""
    mistake = MISTAKES[name]
    found = [bias(mistake.step, two_models(seed), mistake.sampling) for seed in range(PAIRS)]
    assert max(found) > 1e-3


@pytest.mark.parametrize("name", CORRECT)
def test_the_unmistaken_parts_of_the_museum_are_exact(name):
    """So what the exhibits show is the mistake, and not how they were built."""
    for seed in range(PAIRS):
        assert bias(CORRECT[name], two_models(seed)) < 1e-12


def test_a_forgotten_bonus_token_is_no_bias_but_a_loss():
    step = SLOW_BUT_UNBIASED["bonus token left out"]
    for seed in range(PAIRS):
        models = two_models(seed)
        assert bias(step, models, length=3) < 1e-12
        right = speculative_step(models[0], TableDrafter(models[1], CHAIN), rejection)
        loss = expected_step_length(right, [0]) - expected_step_length(step(*models), [0])
        assert loss > 0.05  # the probability that the whole draft is accepted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("residual of the wrong sign", "rejected token emitted again"),
        ("siblings: q not renormalised", "siblings: drawn without, judged with replacement"),
    ],
)
def test_two_mistakes_that_are_one(one, other):
    """They look different in code, and have the same law."""
    models = two_models(0)
    first, second = (
        exact_step_law(MISTAKES[name].step(*models), [0], 2, 3) for name in (one, other)
    )
    assert total_variation(first, second) < 1e-12
