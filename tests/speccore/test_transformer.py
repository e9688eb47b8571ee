"""The language model against a slow, obvious one, and the properties that decoding will rely on."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from speccore.models.transformer import Transformer, TransformerConfig, rotary_factors, rotate
from tests.speccore.llama import as_llama, llama_name

CONFIG = TransformerConfig(
    vocab_size=31, layers=2, width=24, heads=6, kv_heads=2, hidden=20, context=16
)
# Logits are up to 10 here, and sums in another order differ by some units of FP32's 6e-8, relative;
# any mistake in mask, positions or heads moves logits by more than 1e-2.
CLOSE = {"rtol": 0, "atol": 2e-5}


def tokens_of(batch=2, length=9, seed=0):
    return torch.randint(31, (batch, length), generator=torch.Generator().manual_seed(seed))


def lively(config=CONFIG, seed=0):
    """A model whose weights are large enough for attention to be far from uniform."""
    model = Transformer(config, seed=seed)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(seed + 100)
        for weight in model.parameters():
            weight += 0.3 * torch.randn(weight.shape, generator=generator)
    return model


def by_hand(model, tokens):
    """The same logits, written a token, a head and a pair at a time, in FP64."""
    config, w = model.config, {n: p.detach().double() for n, p in model.named_parameters()}
    D, group = config.width // config.heads, config.heads // config.kv_heads

    def norm(x, weight):
        return x / torch.sqrt((x**2).mean() + config.norm_eps) * weight

    def turned(x, position):
        z = torch.complex(x[: D // 2], x[D // 2 :])
        angles = torch.tensor([config.rope_theta ** (-2 * i / D) for i in range(D // 2)]).double()
        z = z * torch.polar(torch.ones(D // 2).double(), position * angles)
        return torch.cat((z.real, z.imag))

    logits = []
    for row in tokens:
        stream = [w["embedding.weight"][token] for token in row]
        for layer in range(config.layers):
            part = {n.removeprefix(f"blocks.{layer}."): p for n, p in w.items()}
            normed = [norm(x, part["attention_norm.weight"]) for x in stream]
            for t, x in enumerate(normed):
                heads = []
                for head in range(config.heads):
                    mine = slice(head * D, (head + 1) * D)
                    shared = slice(head // group * D, (head // group + 1) * D)
                    q = turned(part["attention.query.weight"][mine] @ x, t)
                    k = [
                        turned(part["attention.key.weight"][shared] @ each, s)
                        for s, each in enumerate(normed[: t + 1])
                    ]
                    v = [part["attention.value.weight"][shared] @ each for each in normed[: t + 1]]
                    p = torch.softmax(torch.stack([q @ each for each in k]) / D**0.5, 0)
                    heads.append(sum(share * each for share, each in zip(p, v, strict=True)))
                stream[t] = stream[t] + part["attention.output.weight"] @ torch.cat(heads)
            for t, x in enumerate(stream):
                x = norm(x, part["feed_forward_norm.weight"])
                gate = part["feed_forward.gate.weight"] @ x
                inner = gate * torch.sigmoid(gate) * (part["feed_forward.up.weight"] @ x)
                stream[t] = stream[t] + part["feed_forward.down.weight"] @ inner
        head = w["embedding.weight"] if config.tied else w["head.weight"]
        logits.append(torch.stack([head @ norm(x, w["norm.weight"]) for x in stream]))
    return torch.stack(logits)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_logits_are_those_written_a_head_and_a_pair_at_a_time(kv_heads, tied):
    model = lively(replace(CONFIG, kv_heads=kv_heads, tied=tied))
    tokens = tokens_of()
    expected = by_hand(model, tokens)
    assert expected.std() > 0.5
    assert torch.allclose(model(tokens).double(), expected, rtol=1e-5, atol=2e-5)


def test_a_token_changes_no_earlier_logit_and_every_later_one():
    model, tokens = lively(), tokens_of()
    before = model(tokens)
    for place in range(9):
        changed = tokens.clone()
        changed[:, place] = (tokens[:, place] + 1) % 31
        difference = (model(changed) - before).abs().amax(dim=(0, 2))
        assert torch.all(difference[:place] == 0)
        assert torch.all(difference[place:] > 0)


def test_a_longer_text_does_not_change_the_logits_of_its_beginning():
    model, tokens = lively(), tokens_of(length=16)
    whole = model(tokens)
    for length in (1, 5, 15):
        assert torch.allclose(model(tokens[:, :length]), whole[:, :length], **CLOSE)


def test_only_the_distance_of_positions_counts():
    """Rotary positions: q at m and k at n give a product that depends on m − n alone."""
    model, tokens = lively(), tokens_of()
    here = model(tokens, torch.arange(9))
    assert torch.equal(here, model(tokens))
    assert torch.allclose(model(tokens, torch.arange(9) + 7), here, rtol=0, atol=2e-5)
    assert not torch.allclose(model(tokens, torch.arange(9).flip(0)), here, rtol=0, atol=1e-2)


def test_the_pairs_of_rotary_positions_lie_half_a_head_apart():
    config = replace(CONFIG, width=8, heads=1, kv_heads=1)
    x = torch.zeros(1, 1, 1, 8)
    x[..., 1] = 1.0  # turns into number 1 + 8 / 2 = 5
    angle = 3 * 10_000.0 ** (-2 / 8)
    y = rotate(x, rotary_factors(torch.tensor([3]), config))[0, 0, 0]
    expected = torch.zeros(8)
    expected[1], expected[5] = torch.tensor(angle).cos(), torch.tensor(angle).sin()
    assert torch.allclose(y, expected, atol=1e-6)
    assert torch.allclose(y.norm(), torch.ones(()))


def test_rotary_angles_stay_in_fp32_when_the_model_does_not():
    config = replace(CONFIG, context=5000)
    exact = rotary_factors(torch.tensor([4999]), config)
    assert {each.dtype for each in exact} == {torch.float32}
    x = torch.randn(1, 1, 1, 4, generator=torch.Generator().manual_seed(0))
    y = rotate(x.half(), exact)
    assert y.dtype == torch.float16
    assert torch.allclose(y.float(), rotate(x, exact), rtol=0, atol=4e-3)  # one rounding to FP16


def test_shared_key_and_value_heads_are_repeated_heads():
    shared = lively()
    full = Transformer(replace(CONFIG, kv_heads=6))
    state = dict(shared.state_dict())
    for name, weight in state.items():
        if name.endswith(("key.weight", "value.weight")):
            heads = weight.view(2, 4, 24).repeat_interleave(3, dim=0)
            state[name] = heads.reshape(24, 24)
    full.load_state_dict(state)
    tokens = tokens_of()
    assert torch.allclose(shared(tokens), full(tokens), **CLOSE)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_parameters_are_those_of_the_formula(tied, kv_heads):
    config = replace(CONFIG, tied=tied, kv_heads=kv_heads, layers=3)
    counted = sum(weight.numel() for weight in Transformer(config).parameters())
    assert counted == config.parameters
    assert config.head_width == 4


def test_a_tied_head_is_the_embedding():
    model = lively()
    assert not [name for name in model.state_dict() if "head" in name]
    tokens = torch.full((1, 3), 5)
    model(tokens).sum().backward()
    rows = model.embedding.weight.grad.abs().sum(dim=1)
    assert torch.all(rows > 0), "every token id gets a gradient, though only one was read"
    before = model(tokens)
    with torch.no_grad():
        model.embedding.weight[7] *= 2
    after = model(tokens)
    assert torch.allclose(after[..., 7], 2 * before[..., 7], **CLOSE)
    untied = lively(replace(CONFIG, tied=False))
    untied(tokens).sum().backward()
    assert (untied.embedding.weight.grad.abs().sum(dim=1) > 0).sum() == 1


def test_the_default_mask_is_the_triangle():
    model, tokens = lively(), tokens_of()
    triangle = torch.ones(9, 9, dtype=torch.bool).tril()
    for mask in (triangle, triangle.expand(2, 9, 9)):
        assert torch.allclose(model(tokens, mask=mask), model(tokens), **CLOSE)


def test_branches_of_a_tree_see_their_ancestors_only():
    """Two ways to go on after a common beginning, in one pass, equal two passes."""
    model = lively()
    start, one, other = [3, 1, 4], [1, 5], [9, 2, 6]
    both = torch.tensor([start + one + other])
    positions = torch.tensor([0, 1, 2, 3, 4, 3, 4, 5])
    mask = torch.ones(8, 8, dtype=torch.bool).tril()
    mask[5:, 3:5] = False
    logits = model(both, positions, mask)[0]
    assert torch.allclose(logits[:5], model(torch.tensor([start + one]))[0], **CLOSE)
    alone = model(torch.tensor([start + other]))[0]
    assert torch.allclose(logits[5:], alone[3:], **CLOSE)
    assert not torch.allclose(model(both, positions)[0, 5:], alone[3:], rtol=0, atol=1e-2)


def test_rows_have_positions_and_masks_of_their_own():
    model, tokens = lively(), tokens_of()
    positions = torch.stack((torch.arange(9), torch.arange(9) * 15 // 8))
    masks = torch.stack((torch.ones(9, 9).tril(), torch.eye(9))).bool()
    together = model(tokens, positions, masks)
    for row in range(2):
        alone = model(tokens[row : row + 1], positions[row], masks[row])
        assert torch.allclose(together[row : row + 1], alone, **CLOSE)


def test_the_seed_decides_the_weights_and_the_global_stream_is_left_alone():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one, same, other = Transformer(CONFIG), Transformer(CONFIG), Transformer(CONFIG, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    tokens = tokens_of()
    assert torch.equal(one(tokens), same(tokens))
    assert not torch.equal(one(tokens), other(tokens))


def test_initial_weights_have_the_deviation_that_the_docstring_says():
    model = Transformer(replace(CONFIG, width=240, hidden=200, layers=2, tied=False))
    for name, weight in model.named_parameters():
        if weight.dim() == 1:
            assert torch.all(weight == 1)
            continue
        expected = 0.01 if name.endswith(("output.weight", "down.weight")) else 0.02
        # Relative error of a deviation from n numbers: 1 / sqrt(2 n); five of them.
        assert abs(float(weight.detach().std()) / expected - 1) < 5 / (2 * weight.numel()) ** 0.5


def test_an_untrained_model_knows_nothing():
    logits = Transformer(CONFIG)(tokens_of())
    loss = F.cross_entropy(logits.flatten(0, 1), tokens_of(seed=1).flatten())
    assert loss.item() == pytest.approx(torch.tensor(31.0).log().item(), abs=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": 0}, "layers: takes a whole number >= 1, got 0"),
        ({"width": 25}, r"width: takes a multiple of 2 · heads = 12, got 25"),
        ({"width": 30}, r"width: takes a multiple of 2 · heads = 12, got 30"),
        ({"kv_heads": 4}, "kv_heads: takes a divisor of heads = 6, got 4"),
        ({"rope_theta": 0.0}, "rope_theta: takes a number > 0, got 0.0"),
        ({"norm_eps": -1.0}, "norm_eps: takes a number > 0, got -1.0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **change)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([1, 2],), TypeError, "tokens: takes a tensor of int64 or int32, got list"),
        ((torch.ones(1, 2),), TypeError, "tokens: .* got torch.float32"),
        ((torch.tensor([1, 2]),), ValueError, r"tokens: takes shape \(B, T\), got \(2,\)"),
        ((torch.zeros(1, 0, dtype=torch.long),), ValueError, r"tokens: takes shape \(B, T\)"),
        ((torch.tensor([[1, 31]]),), ValueError, "tokens: takes numbers from 0 to 30, got 31"),
        ((torch.tensor([[-1, 3]]),), ValueError, "tokens: takes numbers from 0 to 30, got -1"),
        ((torch.full((4, 9), 31),), ValueError, "tokens: takes numbers from 0 to 30, got 31"),
        ((tokens_of(length=17),), ValueError, "tokens: takes at most context = 16 .* got 17"),
        (
            (tokens_of(), torch.arange(8)),
            ValueError,
            r"positions: takes shape \(9,\) or \(2, 9\), got \(8,\)",
        ),
        (
            (tokens_of(), torch.arange(9) + 8),
            ValueError,
            "positions: takes numbers from 0 to 15, got 16",
        ),
        ((tokens_of(), None, torch.ones(9, 9)), TypeError, "mask: takes a tensor of bool"),
        (
            (tokens_of(), None, torch.ones(9, 8).bool()),
            ValueError,
            r"mask: takes shape \(9, 9\) or \(2, 9, 9\), got \(9, 8\)",
        ),
    ],
)
def test_bad_input_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Transformer(CONFIG)(*arguments)


def test_a_seed_is_a_whole_number():
    with pytest.raises(ValueError, match="seed: takes a whole number >= 0, got -1"):
        Transformer(CONFIG, seed=-1)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_logits_are_those_of_transformers_llama(kv_heads, tied):
    config = replace(CONFIG, kv_heads=kv_heads, tied=tied, rope_theta=500.0, norm_eps=1e-4)
    ours = lively(config)
    theirs = as_llama(ours)
    tokens = tokens_of(length=16)
    with torch.inference_mode():
        expected = theirs(tokens).logits
        assert expected.std() > 0.5
        assert torch.allclose(ours(tokens), expected, rtol=0, atol=1e-4)


def test_names_of_llama_are_those_that_its_files_have():
    assert sorted(
        llama_name(name) for name in Transformer(replace(CONFIG, tied=False)).state_dict()
    )[:5] == [
        "lm_head.weight",
        "model.embed_tokens.weight",
        "model.layers.0.input_layernorm.weight",
        "model.layers.0.mlp.down_proj.weight",
        "model.layers.0.mlp.gate_proj.weight",
    ]
