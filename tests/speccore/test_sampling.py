"""Temperature, top-k and top-p against their definitions, written out one token at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speccore.decoding.sampling import Sampling

# Whole numbers make ties.
rows = st.lists(
    st.one_of(st.integers(-4, 4), st.floats(-30, 30, width=32)), min_size=1, max_size=12
)
temperatures = st.sampled_from([0.3, 1.0, 1.7])


def softmax(logits, temperature):
    weights = [np.exp((z - max(logits)) / temperature) for z in logits]
    return np.array(weights) / sum(weights)


def smallest_set(law, enough):
    """The most probable tokens one after another until ``enough``, and the ties of the last one."""
    order = sorted(range(len(law)), key=lambda x: -law[x])
    kept = []
    for token in order:
        kept.append(token)
        if enough(kept):
            break
    return [x for x in range(len(law)) if law[x] >= law[kept[-1]]]


def restricted(law, kept):
    rest = np.array([law[x] if x in kept else 0.0 for x in range(len(law))])
    return rest / rest.sum()


@given(rows, temperatures)
def test_temperature_divides_the_logits(logits, temperature):
    law = Sampling(temperature).law(logits)
    np.testing.assert_allclose(law, softmax(logits, temperature), rtol=1e-12)


@given(rows, temperatures, st.integers(1, 14))
def test_top_k_keeps_the_k_most_probable(logits, temperature, k):
    law = Sampling(temperature).law(logits)
    kept = smallest_set(law, lambda kept: len(kept) == k)
    cut = Sampling(temperature, top_k=k).law(logits)
    np.testing.assert_allclose(cut, restricted(law, kept), rtol=1e-12)
    assert np.count_nonzero(cut) >= min(k, np.count_nonzero(law))


@given(rows, temperatures, st.floats(0.01, 1.0))
def test_top_p_keeps_the_fewest_that_sum_to_p(logits, temperature, top_p):
    law = Sampling(temperature).law(logits)
    kept = smallest_set(law, lambda kept: np.cumsum([law[x] for x in kept])[-1] >= top_p)
    cut = Sampling(temperature, top_p=top_p).law(logits)
    np.testing.assert_allclose(cut, restricted(law, kept), rtol=1e-12)


@given(rows, temperatures, st.integers(1, 14), st.floats(0.01, 1.0))
def test_top_k_comes_before_top_p(logits, temperature, k, top_p):
    law = Sampling(temperature, top_k=k).law(logits)
    kept = smallest_set(law, lambda kept: np.cumsum([law[x] for x in kept])[-1] >= top_p)
    both = Sampling(temperature, top_k=k, top_p=top_p).law(logits)
    np.testing.assert_allclose(both, restricted(law, kept), rtol=1e-12)


def test_temperature_comes_before_top_p():
    logits = np.log([0.6, 0.3, 0.1])
    assert np.count_nonzero(Sampling(1.0, top_p=0.55).law(logits)) == 1
    assert np.count_nonzero(Sampling(3.0, top_p=0.55).law(logits)) == 2


def test_a_nucleus_by_hand():
    logits = np.log([0.1, 0.4, 0.2, 0.3])
    np.testing.assert_allclose(Sampling(top_p=0.69).law(logits), [0, 4 / 7, 0, 3 / 7])
    np.testing.assert_allclose(Sampling(top_p=0.71).law(logits), [0, 4 / 9, 2 / 9, 3 / 9])


@given(rows)
def test_temperature_zero_is_the_first_of_the_largest(logits):
    law = Sampling(0).law(logits)
    assert law.sum() == 1.0
    assert law[logits.index(max(logits))] == 1.0


@given(rows.filter(lambda logits: sorted(logits)[-2:][0] < max(logits) - 1e-3 or len(logits) == 1))
def test_a_tiny_temperature_is_greedy(logits):
    for temperature in (1e-6, 1e-300, 5e-324):
        assert (Sampling(temperature).law(logits) == Sampling(0).law(logits)).all()


@given(rows, temperatures, st.integers(1, 5), st.floats(0.1, 1.0), st.randoms())
def test_the_law_does_not_depend_on_the_order_of_the_ids(logits, temperature, k, top_p, random):
    sampling = Sampling(temperature, k, top_p)
    order = random.sample(range(len(logits)), len(logits))
    shuffled = sampling.law([logits[x] for x in order])
    # Sums in another order differ in the last bit, which may move the edge of a nucleus.
    if (np.count_nonzero(shuffled)) == np.count_nonzero(sampling.law(logits)):
        np.testing.assert_allclose(shuffled, sampling.law(logits)[order], rtol=1e-12)
    else:
        sums = np.sort(Sampling(temperature, k).law(logits))[::-1].cumsum()
        assert np.abs(sums - top_p).min() < 1e-12


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(0), Sampling(0.7, 5, 0.8), Sampling(1.3, top_p=0.5)]
)
def test_every_row_is_a_law_of_its_own(sampling):
    logits = np.random.default_rng(0).normal(size=(2, 3, 40)).astype(np.float32)
    laws = sampling.law(torch.from_numpy(logits))
    assert laws.shape == logits.shape and laws.dtype == np.float64
    for index in np.ndindex(2, 3):
        assert (laws[index] == sampling.law(logits[index])).all()
    assert sampling.law(logits[:0]).shape == (0, 3, 40)


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(0), Sampling(0.5), Sampling(1, 2, 0.9)])
def test_the_logits_are_left_alone(sampling):
    logits = np.arange(6.0)
    logits.setflags(write=False)
    assert sampling.law(logits) is not logits


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_stop_with_an_error(bad, temperature):
    with pytest.raises(FloatingPointError, match=f"logits: takes finite numbers, got {bad}"):
        Sampling(temperature).law([[0.0, 1.0], [0.0, bad]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"temperature": -0.1}, ValueError, "temperature: takes a finite number >= 0, got -0.1"),
        ({"temperature": np.inf}, ValueError, "temperature"),
        ({"temperature": np.nan}, ValueError, "temperature"),
        ({"temperature": "hot"}, TypeError, "temperature"),
        ({"top_k": 0}, ValueError, "top_k: takes a whole number >= 1, got 0"),
        ({"top_k": 2.5}, TypeError, "top_k"),
        ({"top_p": 0.0}, ValueError, r"top_p: takes a number in \(0, 1\], got 0.0"),
        ({"top_p": 1.1}, ValueError, "top_p"),
    ],
)
def test_bad_settings_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        Sampling(**arguments)


@pytest.mark.parametrize("logits", [0.5, np.zeros((2, 0))])
def test_logits_of_no_token_are_refused(logits):
    with pytest.raises(ValueError, match=r"logits: takes shape \(…, V\)"):
        Sampling().law(logits)
