"""Our mixed precision is that of torch.amp, step for step, and loses what it says it loses."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from speccore.foundations.mixed_precision import (
    BF16_AUTOCAST,
    FP16_AUTOCAST,
    FP16_MASTER,
    FP32,
    OPERATIONS,
    PURE_FP16,
    Autocast,
    LossScale,
    MixedPrecision,
    Precision,
    flushed,
    gradients,
    lost_updates,
    memory,
    saved_bytes,
)
from speccore.models.training import next_token_loss
from speccore.models.transformer import Transformer, TransformerConfig

HALVES = (torch.float16, torch.bfloat16)
CONFIG = TransformerConfig(
    vocab_size=50, layers=2, width=16, heads=2, kv_heads=1, hidden=24, context=12
)
SIMULATED = replace(FP16_MASTER, simulate=True)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed))


def losses(count, batch=3):
    for seed in range(count):
        tokens = torch.randint(50, (batch, 13), generator=generator(seed))
        yield next_token_loss((tokens[:, :-1], tokens[:, 1:]))


class Scalar(nn.Module):
    """One weight; the loss is weight · number, so that the gradient is any number we like."""

    def __init__(self, value=1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(value))


def times(*numbers):
    """One micro-batch for each number, whose mean has the mean number as its gradient."""
    return [lambda model, number=number: model.weight * number for number in numbers]


# -- the policy ------------------------------------------------------------------------------------

ON_CPU = {
    "linear": lambda x, w: F.linear(x, w),
    "matmul": lambda x, w: x @ w.T,
    "bmm": lambda x, w: torch.bmm(x[None], w.T[None]),
    "conv1d": lambda x, w: F.conv1d(x[None], w[:, :6, None]),
    "conv2d": lambda x, w: F.conv2d(x[None, :, :, None], w[:, :6, None, None]),
    "scaled_dot_product_attention": lambda x, w: F.scaled_dot_product_attention(
        x[None], w[None], w[None]
    ),
    "cross_entropy": lambda x, w: F.cross_entropy((x @ w.T).clone(), torch.arange(6)),
    "mse_loss": lambda x, w: F.mse_loss(x @ w.T, torch.ones(6, 7)),
}


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("name", ON_CPU)
def test_operations_have_the_values_and_gradients_of_torch_autocast(name, dtype):
    found = []
    for cast in (Autocast(dtype), torch.autocast("cpu", dtype=dtype)):
        x, w = normal(6, 8).requires_grad_(), normal(7, 8, seed=1).requires_grad_()
        with cast:
            y = ON_CPU[name](x, w)
        y.float().square().sum().backward()
        found.append((y, x.grad, w.grad))
    ours, theirs = found
    assert ours[0].dtype == theirs[0].dtype
    for one, other in zip(ours, theirs, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_sums_and_exponentials_stay_in_fp32(dtype):
    x = (normal(4, 8) * 3).to(dtype)
    calls = {
        "softmax": lambda: F.softmax(x, -1),
        "log_softmax": lambda: F.log_softmax(x, -1),
        "exp": lambda: x.exp(),
        "sum": lambda: x.sum(),
        "norm": lambda: x.norm(),
        "rms_norm": lambda: F.rms_norm(x, (8,)),
        "layer_norm": lambda: F.layer_norm(x, (8,)),
        "nll_loss": lambda: F.nll_loss(x, torch.arange(4)),
    }
    for name, call in calls.items():
        with Autocast(dtype) as cast:
            y = call()
        assert y.dtype == torch.float32
        assert cast.calls[name, torch.float32] == 1
    assert {*calls, *ON_CPU} == set(OPERATIONS), "every rule is tested"


def test_other_operations_take_inputs_as_they_come_and_fp64_stays():
    half, wide = normal(4).half(), normal(4, seed=1)
    with Autocast(torch.float16) as cast:
        assert (half + half).dtype == torch.float16
        assert (half + wide).dtype == torch.float32
        assert F.silu(half).dtype == torch.float16
        assert F.linear(wide.double(), wide.double()[None]).dtype == torch.float64
    assert list(cast.calls) == [("linear", torch.float64)]


def test_fp32_autocast_changes_nothing():
    x = normal(3, 4)
    with Autocast(torch.float32, simulate=True):
        assert torch.equal(F.linear(x, x), F.linear(x, x))
        assert F.linear(x, x).dtype == torch.float32


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_simulated_products_are_native_ones_within_a_last_bit(dtype):
    ulp = torch.finfo(dtype).eps
    for seed in range(20):
        x, w = normal(17, 65, seed=seed), normal(9, 65, seed=100 + seed)
        with Autocast(dtype):
            native = F.linear(x, w)
        with Autocast(dtype, simulate=True):
            simulated = F.linear(x, w)
        assert simulated.dtype == native.dtype == dtype
        difference = (native.double() - simulated.double()).abs()
        # Sums in another order differ by FP32's rounding, which moves the last bit at most; where
        # terms cancel, FP32's own error is what remains.
        assert torch.all(difference <= ulp * simulated.double().abs() + 1e-4 * ulp)
        assert (difference > 0).double().mean() < 0.02


def test_simulated_gradients_are_rounded_and_flushed_like_native_ones():
    results = []
    for simulate in (False, True):
        x = normal(5, 8).requires_grad_()
        with Autocast(torch.float16, simulate=simulate):
            y = F.linear(x, normal(3, 8, seed=1))
        y.backward(torch.full_like(y, 2.0**-24))  # the smallest number there is
        results.append(x.grad)
    assert torch.equal(results[0] == 0, results[1] == 0)
    assert (results[0] == 0).any() and (results[0] != 0).any()


# -- loss scaling ----------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.integers(1, 4),
    st.sampled_from([2.0, 4.0]),
    st.sampled_from([0.5, 0.25]),
)
def test_the_scale_moves_like_that_of_grad_scaler(overflows, interval, growth, backoff):
    ours = LossScale(1024.0, growth=growth, backoff=backoff, interval=interval)
    theirs = torch.amp.GradScaler(
        "cpu",
        init_scale=1024.0,
        growth_factor=growth,
        backoff_factor=backoff,
        growth_interval=interval,
    )
    weight = nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for overflow in overflows:
        weight.grad = torch.tensor([math.inf if overflow else 1.0])
        theirs.scale(torch.ones(1))
        theirs.step(optimizer)
        theirs.update()
        ours.update(overflow)
        assert ours.scale == theirs.get_scale()


def test_a_static_scale_never_moves():
    scale = LossScale(128.0, interval=None)
    for overflow in (True, False, False, True):
        scale.update(overflow)
    assert scale.scale == 128.0


# -- steps -----------------------------------------------------------------------------------------


def amp_steps(model, all_losses, dtype, scaler, clip):
    """The loop of PyTorch's own documentation."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for loss_of in all_losses:
        scale = scaler.get_scale()
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=dtype):
            loss = loss_of(model)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        yield loss.item(), scale, norm.item()


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("precision", [FP16_AUTOCAST, BF16_AUTOCAST], ids=["fp16", "bf16"])
def test_every_step_is_that_of_torch_amp(precision, tied):
    """Bit for bit: losses, scales, norms and weights, through overflow, back-off and growth."""
    config = replace(CONFIG, tied=tied)
    start = 2.0**22 if precision.compute == torch.float16 else 1.0
    ours, theirs = Transformer(config), Transformer(config)
    mixed = MixedPrecision(ours, precision, LossScale(start, interval=3))
    optimizer = torch.optim.AdamW(mixed.masters, lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", init_scale=start, growth_interval=3)
    clip = 0.5
    amp = amp_steps(theirs, losses(14), precision.compute, scaler, clip)
    overflows = growths = clipped = 0
    for loss_of, (loss, scale, norm) in zip(losses(14), amp, strict=True):
        step = mixed.step([loss_of], optimizer, clip=clip)
        assert (step.loss, step.scale) == (loss, scale)
        assert step.overflow == (not math.isfinite(norm))
        assert step.norm == norm or step.overflow
        for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.equal(one, other)
        overflows += step.overflow
        clipped += step.norm > clip
        growths += mixed.loss_scale.scale > step.scale
    assert clipped > 0 and growths > 0
    assert (overflows > 0) == (precision.compute == torch.float16)


def test_clipping_sees_unscaled_gradients():
    """In FP32 a scale of a power of two changes nothing at all, clipped or not."""
    reached = []
    for scale in (1.0, 2.0**14, 2.0**-14):
        model = Transformer(CONFIG)
        mixed = MixedPrecision(model, FP32, LossScale(scale, interval=None))
        optimizer = torch.optim.SGD(mixed.masters, lr=0.5)
        norms = [mixed.step([loss], optimizer, clip=0.3).norm for loss in losses(4)]
        assert max(norms) > 0.3, "something is clipped"
        reached.append([weight.detach().clone() for weight in model.parameters()])
    for other in reached[1:]:
        assert all(map(torch.equal, reached[0], other))


def test_a_clipped_gradient_has_the_norm_asked_for():
    model = Scalar()
    mixed = MixedPrecision(model, FP16_MASTER, LossScale(8.0, interval=None))
    optimizer = torch.optim.SGD(mixed.masters, lr=1.0)
    step = mixed.step(times(4.0), optimizer, clip=0.25)
    assert step.norm == 4.0
    assert mixed.masters[0].item() == pytest.approx(0.75, abs=1e-6)  # clipping adds 1e-6 to norms


@pytest.mark.parametrize("precision", [FP16_MASTER, PURE_FP16, SIMULATED])
@pytest.mark.parametrize("bad", [math.inf, math.nan, 7e4])
def test_a_step_that_overflows_leaves_weights_and_optimiser_alone(precision, bad):
    model = Scalar(0.5)
    mixed = MixedPrecision(model, precision, LossScale(4.0, interval=2))
    optimizer = torch.optim.AdamW(mixed.masters, lr=0.1)
    mixed.step(times(1.0), optimizer)
    weight, master = model.weight.item(), mixed.masters[0].item()
    state = {name: each.clone() for name, each in optimizer.state[mixed.masters[0]].items()}
    step = mixed.step(times(bad), optimizer, clip=1.0)
    assert step.overflow and step.scale == 4.0
    assert mixed.loss_scale.scale == 2.0
    assert (model.weight.item(), mixed.masters[0].item()) == (weight, master)
    for name, each in optimizer.state[mixed.masters[0]].items():
        assert torch.equal(each, state[name])
    assert not mixed.step(times(1.0), optimizer).overflow


def test_master_weights_keep_what_fp16_would_lose():
    """1 + 1000 · 2⁻¹³: each addition is below half of FP16's spacing at 1, 2⁻¹⁰."""
    reached = {}
    for precision in (PURE_FP16, FP16_MASTER, FP32):
        model = Scalar(1.0)
        mixed = MixedPrecision(model, precision)
        optimizer = torch.optim.SGD(mixed.masters, lr=2.0**-13)
        steps = [mixed.step(times(-1.0), optimizer) for _ in range(1000)]
        reached[precision] = model.weight.item()
        assert {step.lost for step in steps} == {1.0 if precision == PURE_FP16 else 0.0}
    exact = 1 + 1000 * 2.0**-13
    assert reached[FP32] == exact
    assert reached[FP16_MASTER] == torch.tensor(exact).half().item()
    assert reached[PURE_FP16] == 1.0


def test_pure_fp16_rounds_an_update_and_forgets_the_rest():
    model = Scalar(1.0)
    mixed = MixedPrecision(model, PURE_FP16)
    optimizer = torch.optim.SGD(mixed.masters, lr=1.0)
    for _ in range(3):  # 0.75 of a spacing is rounded up to a whole one, each time
        assert mixed.step(times(-0.75 * 2.0**-10), optimizer).lost == 0.0
    assert model.weight.item() == 1 + 3 * 2.0**-10
    assert model.weight.dtype == torch.float16


def test_micro_batches_are_added_in_fp32():
    """In FP16, 2048 + 1 = 2048."""
    model = Scalar(0.0)
    mixed = MixedPrecision(model, FP16_MASTER)
    optimizer = torch.optim.SGD(mixed.masters, lr=1.0)
    mixed.step(times(*[4 * each for each in (2048.0, 1.0, 1.0, 1.0)]), optimizer)
    assert mixed.masters[0].item() == -2051.0
    assert model.weight.grad is None


def test_a_gradient_below_half_of_the_smallest_number_is_flushed_unless_scaled():
    tiny = 2.0**-26
    for scale, reached in ((1.0, 0.0), (2.0**10, -tiny)):
        model = Scalar(0.0)
        mixed = MixedPrecision(model, FP16_MASTER, LossScale(scale, interval=None))
        optimizer = torch.optim.SGD(mixed.masters, lr=1.0)
        mixed.step([lambda model: model.weight.float() * tiny], optimizer)
        assert mixed.masters[0].item() == reached


def test_accumulated_micro_batches_are_one_large_batch():
    one, other = Transformer(CONFIG), Transformer(CONFIG)
    tokens = torch.randint(50, (6, 13), generator=generator(0))
    parts = [next_token_loss((part[:, :-1], part[:, 1:])) for part in tokens.chunk(3)]
    whole = [next_token_loss((tokens[:, :-1], tokens[:, 1:]))]
    for model, batches in ((one, parts), (other, whole)):
        mixed = MixedPrecision(model, FP32)
        mixed.step(batches, torch.optim.SGD(mixed.masters, lr=0.1))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        # Gradients below 1, summed in another order: a few units of FP32's 6e-8.
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_frozen_weights_stay():
    model = Transformer(CONFIG)
    model.embedding.weight.requires_grad_(False)
    before = model.embedding.weight.detach().clone()
    mixed = MixedPrecision(model, FP16_MASTER)
    assert len(mixed.masters) == len(list(model.parameters())) - 1
    mixed.step(list(losses(1)), torch.optim.SGD(mixed.masters, lr=1.0))
    assert torch.equal(model.embedding.weight, before.half())


# -- reports ---------------------------------------------------------------------------------------


def test_lost_updates_are_counted_among_those_that_were_wanted():
    before = [torch.tensor([1.0, 1.0, 1.0, 2.0])]
    updates = [torch.tensor([0.0, 2.0**-12, 2.0**-9, -(2.0**-12)])]
    after = [(before[0] + updates[0]).half()]
    assert lost_updates(before, updates, after) == pytest.approx(2 / 3)
    assert lost_updates(before, [torch.zeros(4)], before) == 0.0


def test_flushed_gradients_are_counted_among_those_that_are_not_zero():
    reference = {"a": torch.tensor([0.0, 1.0, 1e-9]), "b": torch.tensor([2e-9])}
    measured = {name: each.half() for name, each in reference.items()}
    assert flushed(reference, measured) == pytest.approx(2 / 3)
    assert flushed(reference, reference) == 0.0


def test_gradients_are_those_of_backward_and_leave_the_model_alone():
    model = Transformer(CONFIG)
    loss = next(losses(1))
    found = gradients(model, loss, scale=4.0)
    assert all(weight.grad is None for weight in model.parameters())
    loss(model).backward()
    for name, weight in model.named_parameters():
        assert torch.allclose(found[name], 4 * weight.grad, rtol=1e-6, atol=0)
    assert found[""].shape == (3, 12, 50), "of the logits too"
    assert found["blocks.0.attention"].shape == (3, 12, 16)
    assert gradients(model, loss, SIMULATED)["blocks.0.attention.query"].dtype == torch.float16


def test_a_larger_scale_flushes_fewer_gradients_until_it_overflows():
    model, loss = Transformer(CONFIG), next(losses(1))
    exact = gradients(model, loss)
    shares = []
    for exponent in (-16, -8, 0, 8, 12):
        found = gradients(model, loss, SIMULATED, scale=2.0**exponent)
        assert all(bool(each.isfinite().all()) for each in found.values())
        shares.append(flushed(exact, found))
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.5 and shares[-1] < 0.01
    huge = gradients(model, loss, SIMULATED, scale=2.0**30)
    assert not all(bool(each.isfinite().all()) for each in huge.values())


@pytest.mark.parametrize(
    ("precision", "weights", "masters"),
    [(FP32, 4, 0), (PURE_FP16, 2, 0), (FP16_MASTER, 2, 4), (FP16_AUTOCAST, 4, 0)],
)
def test_bytes_a_weight_are_those_of_the_formula(precision, weights, masters):
    model = Transformer(CONFIG)
    mixed = MixedPrecision(model, precision)
    optimizer = torch.optim.AdamW(mixed.masters)
    loss = next(losses(1))
    mixed.step([loss], optimizer)
    found, count = memory(mixed, optimizer, loss), CONFIG.parameters
    assert found.weights == weights * count
    assert found.masters == masters * count
    assert found.gradients == 4 * count
    assert found.optimizer == 8 * count + 4 * len(mixed.masters)  # two means, and a step count
    assert found.activations == saved_bytes(model, loss, precision)


def test_saved_activations_are_those_of_the_formula():
    """A block: 10 C + 4 F + H + 2 numbers a token (see chapter 12)."""
    for layers, batch in ((1, 2), (3, 2), (3, 5)):
        config = replace(CONFIG, layers=layers)
        C, H, hidden, V = config.width, config.heads, config.hidden, config.vocab_size
        tokens = batch * 12
        block = 10 * C + 4 * hidden + H + 2
        ends = 3 * C + 1 + V
        rotation = 2 * 12 * config.head_width
        numbers = tokens * (layers * block + ends) + rotation + 1
        ids = 8 * batch * (13 + 12)  # the windows themselves, and the targets
        loss = next(losses(1, batch))
        found = saved_bytes(Transformer(config), loss, FP32)
        assert found == 4 * numbers + ids


def test_activations_of_16_bits_take_less_but_not_half():
    loss = next(losses(1))
    wide = saved_bytes(Transformer(CONFIG), loss, FP32)
    for precision in (FP16_MASTER, FP16_AUTOCAST, BF16_AUTOCAST):
        narrow = saved_bytes(Transformer(CONFIG).to(precision.weights), loss, precision)
        assert 0.5 * wide < narrow < 0.9 * wide


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Precision(torch.float64), "weights: takes one of torch.float32, "),
        (lambda: Precision(compute=torch.int8), "compute: takes one of torch.float32, "),
        (lambda: Autocast("float16"), "dtype: takes one of .*, got 'float16'"),
        (lambda: LossScale(0.0), "scale: takes a number > 0, got 0.0"),
        (lambda: LossScale(growth=1.0), "growth: takes a number > 1, got 1.0"),
        (lambda: LossScale(backoff=1.5), r"backoff: takes a number in \(0, 1\), got 1.5"),
        (lambda: LossScale(interval=0), "interval: takes a whole number >= 1, got 0"),
        (
            lambda: MixedPrecision(Scalar().half(), FP16_MASTER),
            r"model: takes weights in torch.float32, got \{torch.float16\}",
        ),
        (
            lambda: MixedPrecision(Scalar(), FP32).step([], torch.optim.SGD([nn.Parameter()])),
            "losses: takes at least one",
        ),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
