import numpy as np
import pytest
import torch

from speccore.decoding.cost import measure_passes, pass_times, reading_time
from speccore.models.packed_linear import packed
from speccore.models.transformer import Transformer, TransformerConfig

MODEL = Transformer(
    TransformerConfig(vocab_size=16, layers=2, width=16, heads=2, kv_heads=1, hidden=32, context=64)
)


def test_every_pass_reads_as_many_tokens_as_it_says_after_the_same_context(monkeypatch):
    seen = []
    features = Transformer.features

    def spy(self, tokens, positions=None, mask=None, cache=None, layers=None):
        seen.append((cache.length, tokens.shape[1], layers))
        return features(self, tokens, positions, mask, cache, layers)

    monkeypatch.setattr(Transformer, "features", spy)
    seconds = measure_passes(MODEL, (1, 3), context=20, repeats=2, layers=1)
    assert seconds.shape == (2, 2) and (seconds > 0).all()
    # The context, then three rounds in turn, of which the first does not count.
    assert seen == [(0, 20, None), *[(20, 1, 1), (20, 3, 1)] * 3]


def test_pass_times_are_medians_for_each_number_of_tokens(monkeypatch):
    fixed = np.array([[1.0, 5.0], [2.0, 9.0], [9.0, 6.0]])
    asked = []

    def measured(model, counts, **options):
        asked.append(list(counts))
        return fixed

    monkeypatch.setattr("speccore.decoding.cost.measure_passes", measured)
    assert pass_times(MODEL, 2, repeats=3).tolist() == [2.0, 6.0]
    assert asked == [[1, 2]]


@pytest.mark.parametrize(
    ("counts", "options", "named"),
    [
        ((1, 0), {}, "counts"),
        ((1,), {"context": 0}, "context"),
        ((1,), {"repeats": 0}, "repeats"),
        ((8,), {"context": 60}, "context"),
    ],
)
def test_bad_arguments_are_named(counts, options, named):
    with pytest.raises(ValueError, match=named):
        measure_passes(MODEL, counts, **options)


def test_reading_goes_through_every_weight_once_a_time(monkeypatch):
    read = []
    whole = torch.Tensor.sum

    def spy(self, *arguments, **settings):
        read.append(self.numel())
        return whole(self, *arguments, **settings)

    monkeypatch.setattr(torch.Tensor, "sum", spy)
    assert reading_time(MODEL, repeats=3) > 0
    assert sum(read) == 3 * sum(each.numel() for each in MODEL.parameters())


def test_reading_takes_a_model_with_its_weights():
    with pytest.raises(TypeError, match="model: takes one that is not packed"):
        reading_time(packed(MODEL))
    with pytest.raises(ValueError, match="repeats"):
        reading_time(MODEL, repeats=0)
