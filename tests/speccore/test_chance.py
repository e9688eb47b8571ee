"""Choices at the edges of the uniform number, and as frequencies."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from speccore.decoding.certificate import g_test
from speccore.decoding.chance import Chance

LARGEST = 1.0 - 2.0**-53  # what a generator can return; its smallest is 0
uniforms = st.one_of(
    st.sampled_from([0.0, 2.0**-53, 0.5, LARGEST]), st.floats(0, 1, exclude_max=True)
)
probabilities = st.one_of(st.sampled_from([0.0, 5e-324, 1e-300, 1.0]), st.floats(0, 1))


class Fixed:
    def __init__(self, value):
        self.value = value

    def random(self):
        return self.value


def chance_with(value):
    chance = Chance(0)
    chance._generator = Fixed(value)
    return chance


@given(uniforms, st.floats(1e-300, 1), st.floats(0, 1))
def test_a_guess_that_the_target_likes_as_much_as_the_draft_is_always_kept(u, q, more):
    assert chance_with(u).accepts(q + more, q)
    assert chance_with(u).accepts(q, q)


@given(uniforms, st.floats(1e-300, 1))
def test_a_guess_that_the_target_rules_out_is_never_kept(u, q):
    assert not chance_with(u).accepts(0.0, q)


def test_a_guess_is_kept_for_the_share_p_over_q_of_all_uniform_numbers():
    kept = [chance_with(u).accepts(0.3, 0.4) for u in (np.arange(1000) + 0.5) / 1000]
    assert sum(kept) == 750


@example(LARGEST, [5e-324])  # u times the sum would be the sum: past the end
@example(0.3, [0.0, 5e-324])
@given(uniforms, st.lists(probabilities, min_size=1, max_size=9).filter(any))
def test_a_token_of_probability_zero_is_never_drawn(u, law):
    assert law[chance_with(u).draw(np.array(law))] > 0


@given(uniforms, st.lists(st.integers(0, 4), min_size=1, max_size=9).filter(any))
def test_a_draw_inverts_the_cumulative_sum(u, weights):
    # A sum of small whole numbers over 2^k is exact, so the slow way must agree to the bit.
    weights.append(64 - sum(weights))
    cumulative, expected = 0.0, None
    for token, weight in enumerate(weights):
        cumulative += weight / 64
        if expected is None and u < cumulative:
            expected = token
    assert chance_with(u).draw(np.array(weights, dtype=float)) == expected


def test_draws_and_acceptances_have_the_right_frequencies():
    """False alarms: 1e-3 each; the seed is fixed."""
    chance = Chance(3)
    law = np.array([0.5, 0.0, 2.0, 1.5])
    tokens = np.bincount([chance.draw(law) for _ in range(20_000)], minlength=4)
    assert g_test(tokens, law / 4).passes(1e-3)
    kept = sum(chance.accepts(0.2, 0.7) for _ in range(20_000))
    assert g_test([kept, 20_000 - kept], [2 / 7, 5 / 7]).passes(1e-3)


def test_the_same_seed_makes_the_same_choices():
    law = np.ones(50)
    first, second, other = Chance(5), Chance(5), Chance(6)
    draws = [[chance.draw(law) for _ in range(20)] for chance in (first, second, other)]
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize("law", [[0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_a_law_with_nothing_to_draw_is_refused(law):
    with pytest.raises(ValueError, match=r"law: takes numbers >= 0 with a positive, finite sum"):
        Chance(0).draw(np.array(law))


def test_a_seed_is_a_whole_number():
    with pytest.raises(TypeError, match="seed"):
        Chance(None)
    with pytest.raises(ValueError, match="seed"):
        Chance(-1)
