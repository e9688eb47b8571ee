"""Packed maps and models compute what the ordinary ones compute."""

import copy
import gc
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from speccore.models import packed_linear
from speccore.models.heads import (
    BlockwiseHeads,
    EagleHead,
    MedusaHeads,
    MTPHeads,
    MTPModules,
    NextFeatures,
    ParallelHeads,
    read_on,
)
from speccore.models.kv_cache import KVCache
from speccore.models.packed_linear import (
    Int8Linear,
    PackedLinear,
    _SmallBlock,
    onednn_packs,
    packed,
)
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=700, layers=2, width=192, heads=6, kv_heads=2, hidden=704, context=32
)
HEADS = {
    "Medusa": partial(MedusaHeads, count=2),
    "Medusa, own output": partial(MedusaHeads, count=2, own_output=True),
    "blockwise": partial(BlockwiseHeads, count=2),
    "MTP heads": partial(MTPHeads, count=2),
    "MTP modules": partial(MTPModules, count=2),
    "EAGLE": EagleHead,
    "EAGLE, tokens only": partial(EagleHead, reads_features=False),
}
# The third and the fourth are packed, as SMALL says here.
SIZES = [(40, 24), (24, 40), (512, 260), (260, 512), (1, 30)]
SMALL = 100_000


def layer(rows, columns, seed=0):
    """Weights that are not yet those of any model: numbers of the size of 1."""
    with torch.random.fork_rng(devices=[]):
        map_ = nn.Linear(columns, rows, bias=False)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(map_.weight, generator=generator)
    return map_


def inputs(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def enliven(*models, size=0.05):
    """Noise on all weights, so that no part is without effect; returns its generator."""
    generator = torch.Generator().manual_seed(0)
    for weight in (each for model in models for each in model.parameters()):
        weight += size * torch.randn(weight.shape, generator=generator)
    return generator


@pytest.fixture(params=["packed", "fallback", "loops"])
def either(request, monkeypatch):
    """So that small models try all: oneDNN, ordinary products, compiled loops."""
    monkeypatch.setattr(packed_linear, "WORTH_PACKING", SMALL)
    loops = request.param == "loops"
    monkeypatch.setattr(packed_linear, "SMALL_PRODUCT", 10**9 if loops else 0)
    monkeypatch.setattr(packed_linear, "SMALL_BLOCK", 10**9 if loops else 0)
    if request.param != "packed":
        monkeypatch.setattr(packed_linear, "onednn_packs", lambda: False)
    return request.param


@pytest.mark.parametrize(("out", "width"), SIZES)
def test_results_are_those_of_the_ordinary_layer(out, width, either):
    map_ = layer(out, width)
    ours = PackedLinear(map_)
    ours.use_loop()
    should_pack = either == "packed" and out * width > SMALL and onednn_packs()
    assert (ours.packed is not None) == should_pack
    assert (ours.weight is None) == should_pack
    with torch.inference_mode():
        for rows in (1, 2, 3, 4, 5, 8, 9, 16, 17, 100):
            x = inputs(rows, width)
            expected = F.linear(x.double(), map_.weight.double())
            # A sum of `width` products of normal numbers has this deviation; 2⁻²² of it, rounded.
            close = {"rtol": 0, "atol": 40 * width**0.5 * 2**-22}
            assert torch.allclose(ours(x).double(), expected, **close)
            assert torch.allclose(ours(x.unsqueeze(0))[0].double(), expected, **close)


def test_inputs_need_not_be_contiguous(either):
    map_ = layer(512, 260)
    ours = PackedLinear(map_)
    ours.use_loop()
    for x in (inputs(260, 7).t(), inputs(260, 2)[:, :1].t()):
        assert not x.is_contiguous()
        with torch.inference_mode():
            assert torch.allclose(ours(x), map_(x), rtol=0, atol=1e-3)


def test_maps_of_one_input_stand_side_by_side(either):
    one, other = layer(300, 260), layer(250, 260, seed=5)
    x = inputs(1, 6, 260)
    with torch.inference_mode():
        found = PackedLinear(one, other)(x)
        assert torch.allclose(found[..., :300], one(x), rtol=0, atol=1e-3)
        assert torch.allclose(found[..., 300:], other(x), rtol=0, atol=1e-3)


def test_later_changes_of_the_weights_do_not_reach_it(either):
    map_ = layer(512, 260)
    ours, x = PackedLinear(map_), inputs(1, 260)
    with torch.inference_mode():
        before = ours(x)
    with torch.no_grad():
        map_.weight.zero_()
    with torch.inference_mode():
        assert torch.equal(ours(x), before)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_a_packed_model_has_the_same_logits(kv_heads, tied, either):
    model = Transformer(replace(CONFIG, kv_heads=kv_heads, tied=tied))
    enliven(model)
    state = {name: each.clone() for name, each in model.state_dict().items()}
    twin = packed(model)
    tokens = torch.randint(700, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = model(tokens)
        assert expected.std() > 0.5
        assert torch.allclose(twin(tokens), expected, rtol=0, atol=1e-4)
        for batch in (1, 2):  # a few tokens of one text have a path of their own
            cache = KVCache(twin.config, batch)
            pieces = tokens[:batch].split((2, 7, 1, 2, 4, 4), dim=1)
            found = [twin(piece, cache=cache) for piece in pieces]
            assert torch.allclose(torch.cat(found, dim=1), expected[:batch], rtol=0, atol=1e-4)
        for one, other in zip(twin.features(tokens), model.features(tokens), strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-4)
    assert all(torch.equal(each, state[name]) for name, each in model.state_dict().items())
    assert not any(weight.requires_grad for weight in twin.parameters())
    assert all(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("count", [1, 2, packed_linear.FEW_ROWS, packed_linear.FEW_ROWS + 1])
def test_a_tree_is_read_the_same_with_few_tokens_and_with_many(count, either):
    """Positions that repeat and a mask, on either side of where the compiled loops end."""
    model = Transformer(CONFIG)
    generator = enliven(model)
    text, nodes = torch.randint(700, (1, 30), generator=generator).split((30 - count, count), dim=1)
    positions = 30 - count + torch.arange(count) // 2
    some = torch.rand(count, 5 + count, generator=generator)  # and of the last 5 tokens before
    mask = some.tril(5) + torch.eye(5 + count)[5:] > 0.5
    found = []
    with torch.inference_mode():
        for each in (model, packed(model)):
            cache = KVCache(CONFIG)
            each(text, cache=cache)
            found.append(each(nodes, positions, mask, cache))
    assert found[0].std() > 0.5
    assert torch.allclose(found[1], found[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["MTP modules", "EAGLE", "EAGLE, tokens only"])
def test_packed_heads_guess_the_same_token_by_token(name, either):
    """What a head has made takes the place of the trunk's features."""
    trunk, head = Transformer(CONFIG), HEADS[name](CONFIG)
    generator = enliven(trunk, head)
    tokens = torch.randint(700, (1, 9), generator=generator)
    with torch.inference_mode():
        (features,), embeddings = trunk.features(tokens, layers=0), trunk.embedding(tokens)
        found = []
        for heads in (head, packed(head)):
            each = next(part for part in heads.modules() if isinstance(part, NextFeatures))
            assert isinstance(each.block, _SmallBlock) == (heads is not head and either == "loops")
            cache = KVCache(replace(CONFIG, layers=1))
            guesses = read_on([each.last], (features[:, :4], embeddings[:, 1:5]), cache)
            for place in range(5, 9):
                inputs = guesses[-1], embeddings[:, place : place + 1]
                guesses += read_on([each.last], inputs, cache)
            found.append(torch.cat(guesses, dim=1))
    assert found[0].std() > 0.5
    assert torch.allclose(found[1], found[0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("count", [1, 4])
def test_few_tokens_of_features_with_gradients_have_the_same_logits_and_hand_them_on(
    count, monkeypatch
):
    monkeypatch.setattr(packed_linear, "SMALL_PRODUCT", 10**9)
    model = packed(Transformer(CONFIG))
    features = torch.randn(1, count, CONFIG.width, generator=torch.Generator().manual_seed(0))
    expected = model.logits(features)
    features.requires_grad_()
    found = model.logits(features)
    assert torch.allclose(found, expected, rtol=0, atol=1e-4)
    found.sum().backward()
    assert features.grad is not None and features.grad.abs().max() > 0


def test_a_packed_model_with_a_cache_leaves_its_inputs_alone():
    model = packed(Transformer(CONFIG))
    cache, tokens = KVCache(CONFIG), torch.arange(5)[None]
    with torch.inference_mode():
        model(torch.arange(9)[None], cache=cache)
        features = model.features(tokens, cache=cache)
        assert torch.equal(features[0], model.embedding(tokens))
        cache.roll_back(9)
        again = model.features(tokens, cache=cache, layers=1)
        assert torch.equal(again[1], features[1])  # what later blocks have read


@pytest.mark.parametrize("name", HEADS)
def test_packed_heads_guess_the_same(name, either):
    trunk, heads = Transformer(CONFIG), HEADS[name](CONFIG)
    enliven(trunk, heads, size=0.02)
    twin = packed(heads)
    tokens = torch.randint(700, (1, 20), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        given = trunk.features(tokens)[-1], trunk.embedding(tokens)
        pairs = zip(heads.guesses(*given), twin.guesses(*given), strict=True)
        for k, (expected, found) in enumerate(pairs, start=1):
            assert expected.std() > 0.05
            assert torch.allclose(found, expected, rtol=0, atol=1e-5)
            logits = heads.logits(trunk, expected, k)
            assert torch.allclose(twin.logits(packed(trunk), found, k), logits, rtol=0, atol=1e-4)
        if isinstance(heads, ParallelHeads):
            one, other = heads.reader(), twin.reader()
            for piece in given[0].split((9, 1, 6, 4), dim=1):
                assert torch.allclose(other(piece), one(piece), rtol=0, atol=1e-5)
    assert not any(weight.requires_grad for weight in twin.parameters())
    assert all(weight.requires_grad for weight in heads.parameters())


@pytest.mark.parametrize("linear", [PackedLinear, Int8Linear])
def test_packed_heads_of_some_tokens_guess_the_same(linear, either):
    trunk, head, few = Transformer(CONFIG), EagleHead(CONFIG), list(range(5, 695))
    head.guess_among(few, trunk)
    twin = packed(head, linear)
    x = inputs(1, 3, CONFIG.width)
    with torch.inference_mode():
        expected, found = (each.logits(trunk, x, 1) for each in (head, twin))
    assert torch.equal(found[..., :5], expected[..., :5])
    close = 1e-5 if linear is PackedLinear else 0.05 * expected[..., few].std()
    assert torch.allclose(found[..., few], expected[..., few], rtol=0, atol=close)
    assert head.draft_tokens.weight is not None


def test_a_packed_model_shares_nothing_but_the_embedding(either):
    """The matrices are there once more, the embedding, the largest of a real model, is not."""
    model = Transformer(CONFIG)
    twin = packed(model)
    assert twin.embedding.weight.data_ptr() == model.embedding.weight.data_ptr()
    tokens = torch.arange(9)[None]
    with torch.inference_mode():
        before = twin(tokens)
        for name, weight in model.named_parameters():
            if name != "embedding.weight":
                weight.fill_(0.5)
        assert torch.equal(twin(tokens), before)


def whole_numbers(weight):
    """(rows, columns) of 8 bits, and a scale a row."""
    scale = weight.double().abs().amax(1, keepdim=True) / 127
    return (weight.double() / scale).round(), scale


@pytest.mark.parametrize(("out", "width"), SIZES[:-1])
def test_in_8_bits_only_the_weights_are_rounded(out, width):
    map_ = layer(out, width)
    x = inputs(7, width)
    x[::2, 0] *= 1000  # as in language models: one number is far larger than the others
    whole, scale = whole_numbers(map_.weight.detach())
    rounded = F.linear(x.double(), whole * scale)
    # b + c/126 leaves at most half of 1/126 of 1/63 of the row's largest number, in each product;
    # errors that are uniform in that have a mean absolute sum of 0.46 ‖w‖.
    left = x.abs().amax(-1, keepdim=True) / (63 * 126) / 2
    error = (Int8Linear(map_)(x).double() - rounded).abs()
    assert (error <= left * (whole * scale).abs().sum(-1) + 1e-3).all()
    assert (error / (left * (whole * scale).norm(dim=-1))).mean() < 0.55


def test_in_8_bits_sums_do_not_leave_their_16_bits():
    """Where all products are as large as they get, two of them would."""
    map_ = layer(64, 256)
    nn.init.constant_(map_.weight, -0.7)
    x = torch.full((3, 256), 5.0)
    assert torch.allclose(Int8Linear(map_)(x), F.linear(x, map_.weight), rtol=1e-5)


def test_in_8_bits_a_row_does_not_know_the_rows_beside_it():
    """Else a draft would be judged by another law than that of plain decoding."""
    ours, x = Int8Linear(layer(300, 260)), inputs(9, 260) * torch.logspace(-3, 3, 9)[:, None]
    together = ours(x)
    for row in range(9):
        assert torch.equal(ours(x[row : row + 1]), together[row : row + 1])
        assert torch.equal(ours(x[None, row : row + 3]), together[None, row : row + 3])


def test_in_8_bits_zeros_stay_zeros_and_factors_are_on_the_inputs():
    map_, factors = layer(300, 260), inputs(260, seed=3)
    assert not Int8Linear(map_)(torch.zeros(2, 260)).any()
    x = inputs(4, 260)
    found = Int8Linear(map_, factors=factors)(x)
    assert torch.equal(found, Int8Linear(map_)(x * factors))


def test_a_model_in_8_bits_is_close_and_another_one():
    model = Transformer(CONFIG)
    tokens = torch.randint(700, (2, 20), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected, found = model(tokens), packed(model, Int8Linear)(tokens)
        error = (found - expected).square().mean() / expected.var()
    assert 1e-6 < error < 1e-3


def test_without_fbgemm_8_bits_are_refused(monkeypatch):
    monkeypatch.setattr(type(torch.backends.quantized), "supported_engines", ["qnnpack"])
    with pytest.raises(RuntimeError, match="Int8Linear: this PyTorch has no FBGEMM"):
        Int8Linear(layer(30, 20))


def test_packing_leaves_the_global_stream_of_random_numbers_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    packed(Transformer(CONFIG))
    onednn_packs.__wrapped__()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_with_fewer_threads_than_promised_the_results_are_right():
    """oneDNN then leaves out a part of the product, without an error."""
    code = (
        "import torch; from speccore.models.packed_linear import PackedLinear\n"
        "torch.set_num_threads(2)\n"
        "layer = torch.nn.Linear(1024, 1024, bias=False)\n"
        "x = torch.randn(5, 1024)\n"
        "assert torch.allclose(PackedLinear(layer)(x), layer(x), rtol=0, atol=1e-4)"
    )
    limited = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    subprocess.run([sys.executable, "-c", code], env=limited, check=True)


def test_what_cannot_be_packed_is_refused():
    model = Transformer(CONFIG)
    with pytest.raises(TypeError, match="model: takes one that is not packed yet"):
        packed(packed(model))
    with pytest.raises(TypeError, match=r"maps: takes weights of torch.float32 .* torch.float16"):
        packed(copy.deepcopy(model).half())
    with pytest.raises(TypeError, match="maps: takes layers without bias"):
        PackedLinear(nn.Linear(3, 3))


def test_matrices_are_given_up_one_by_one():
    """Unless the caller has kept the model: so that its memory is not taken twice."""
    alive, places = [], set()

    class Spy(PackedLinear):
        def __init__(self, *maps, factors=None):
            super().__init__(*maps, factors=factors)
            there = [each for each in gc.get_objects() if type(each) is nn.Parameter]
            alive.append(len(places & {each.data_ptr() for each in there}))

    def made():
        model = Transformer(CONFIG)
        for block in model.blocks:
            places.update(each.data_ptr() for each in block.parameters() if each.dim() == 2)
        return model

    packed(made(), Spy)
    assert alive[0] == len(places)
    assert alive[-1] <= len(places) // CONFIG.layers  # only the last block's are still there
