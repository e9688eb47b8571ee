"""Losses of heads against loops by hand; what they train, what they leave, and what they cost."""

import copy
from dataclasses import replace
from functools import partial
from itertools import count

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from speccore.foundations.mixed_precision import BF16_AUTOCAST, FP32
from speccore.models.heads import (
    EagleHead,
    MedusaHeads,
    MTPHeads,
    MTPModules,
    directions,
)
from speccore.models.memory import peak_memory
from speccore.models.text import batches
from speccore.models.training import (
    WithHeads,
    eagle_loss,
    guess_accuracy,
    heads_loss,
    joint_loss,
    sequential_backward,
    train,
)
from speccore.models.transformer import Transformer, TransformerConfig
from tests.speccore.random_models import HEADS, random_model, with_noise

KINDS = {name: make for name, make in HEADS.items() if name != "EAGLE, tokens only"}
PARALLEL = [name for name in KINDS if name not in ("MTP modules", "EAGLE")]
TOGETHER = [name for name in KINDS if name != "EAGLE"]
CONFIG = TransformerConfig(
    vocab_size=20, layers=1, width=32, heads=2, kv_heads=1, hidden=24, context=8
)
ALPHABET = (torch.arange(400) % 20).to(torch.uint8)


def stream(seed=0, batch=8):
    return batches(ALPHABET, batch=batch, length=8, generator=torch.Generator().manual_seed(seed))


def random_batch(vocab_size, length=7, rows=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(vocab_size, (rows, length + 1), generator=generator)
    return tokens[:, :-1], tokens[:, 1:]


def pair(name, **more):
    trunk = random_model(0, 11, context=16, **more)
    return trunk, with_noise(KINDS[name](trunk.config))


def weights_of(model):
    return {key: each.detach().clone() for key, each in model.state_dict().items()}


def same(model, before):
    return all(torch.equal(each, before[key]) for key, each in model.state_dict().items())


# -- the losses ------------------------------------------------------------------------------------


def heads_part(heads, trunk, batch, decay, distil):
    """Token by token: −Σ_x truth(x) log q_k(x) at every place of every row, decay^k a head."""
    tokens, targets = batch
    rows, length = tokens.shape
    features = trunk.features(tokens)[-1]
    laws = trunk(tokens).softmax(-1)
    total = 0.0
    for k, guess in enumerate(heads.guesses(features, trunk.embedding(tokens)), start=1):
        log_q = heads.logits(trunk, guess, k).log_softmax(-1)
        found = []
        for row in range(rows):
            for i in range(length - k):
                if distil:  # the law after t_{i+k}, of t_{i+k+1}
                    found.append(-(laws[row, i + k] * log_q[row, i]).sum())
                else:
                    found.append(-log_q[row, i, targets[row, i + k]])
        total = total + decay**k * sum(found) / len(found)
    return total


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("distil", [True, False])
def test_the_loss_of_heads_is_a_sum_by_hand(name, distil):
    trunk, heads = pair(name)
    batch = random_batch(11)
    for decay in (0.8, 0.3, 1.0):
        expected = heads_part(heads, trunk, batch, decay, distil)
        found = heads_loss(batch, trunk=trunk, decay=decay, distil=distil)(heads)
        assert torch.allclose(found, expected, rtol=1e-12)
    assert torch.equal(
        heads_loss(batch, trunk=trunk)(heads), heads_loss(batch, trunk=trunk, decay=0.8)(heads)
    )


@pytest.mark.parametrize("name", TOGETHER)
def test_the_joint_loss_adds_the_weighted_heads_to_the_trunks_own(name):
    trunk, heads = pair(name)
    batch = tokens, targets = random_batch(11)
    own = -trunk(tokens).log_softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()
    for weight, decay in ((0.0, 1.0), (1.0, 1.0), (0.3, 0.8)):
        found = joint_loss(batch, weight=weight, decay=decay)(WithHeads(trunk, heads))
        expected = own + weight * heads_part(heads, trunk, batch, decay, False)
        assert torch.allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("reads_features", [True, False])
def test_eagles_loss_compares_features_and_laws_by_hand(reads_features):
    trunk = random_model(0, 11, context=16)
    head = with_noise(EagleHead(trunk.config, reads_features=reads_features))
    tokens, _ = batch = random_batch(11)
    features = trunk.features(tokens)[-1]
    true = features / features.square().mean(-1, keepdim=True).sqrt()
    law = trunk(tokens).softmax(-1)
    for noise, classification, seed in ((0.2, 0.1, 0), (0.5, 1.0, 3), (0.0, 0.0, 0)):
        generator = torch.Generator().manual_seed(seed + int(tokens.sum()))
        uniform = torch.rand(true.shape, generator=generator) - 0.5
        (guess,) = head.guesses(true + noise * uniform, trunk.embedding(tokens))
        error = guess / guess.square().mean(-1, keepdim=True).sqrt() - true[:, 1:]
        smooth = torch.where(error.abs() < 1, error.square() / 2, error.abs() - 0.5).mean()
        crossed = -(law[:, 1:] * trunk.logits(guess).log_softmax(-1)).sum(-1).mean()
        found = eagle_loss(
            batch, trunk=trunk, noise=noise, classification=classification, seed=seed
        )(head)
        assert torch.allclose(found, smooth + classification * crossed, rtol=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_recorded_features_take_the_place_of_a_pass_of_the_trunk(name):
    trunk, heads = pair(name)
    batch = tokens, _ = random_batch(11)
    recorded = tokens, trunk.features(tokens)[-1]
    losses = [heads_loss, eagle_loss] if name == "EAGLE" else [heads_loss]
    for loss in losses:
        one, other = (loss(each, trunk=trunk)(heads) for each in (batch, recorded))
        assert torch.allclose(one, other, rtol=1e-12, atol=0)
    shares = [
        guess_accuracy(heads, trunk, iter([each]), count=1, best=3) for each in (batch, recorded)
    ]
    assert (shares[0] == shares[1]).all()


@pytest.mark.parametrize("name", ["Medusa", "EAGLE"])
def test_heads_of_some_tokens_learn_the_law_of_these(name):
    """As if the other tokens were none: the laws are those of softmax over the few."""
    trunk, heads = pair(name)
    few = [1, 2, 5, 9]
    heads.guess_among(few, trunk)
    tokens, _ = batch = random_batch(11)
    laws = trunk(tokens)[..., few].softmax(-1)
    features = trunk.features(tokens)[-1]
    guesses = heads.guesses(features, trunk.embedding(tokens))
    expected = sum(
        -(0.8**k) * (laws[:, k:] * trunk.logits(guess)[..., few].log_softmax(-1)).sum(-1).mean()
        for k, guess in enumerate(guesses, start=1)
    )
    assert torch.allclose(heads_loss(batch, trunk=trunk)(heads), expected, rtol=1e-10)
    if name == "EAGLE":
        one, other = (
            eagle_loss(batch, trunk=trunk, noise=0.0, classification=weight)(heads)
            for weight in (0.0, 1.0)
        )
        assert torch.allclose(other - one, expected / 0.8, rtol=1e-10)


def test_directions_have_a_root_mean_square_of_1():
    x = torch.randn(5, 3, 8, generator=torch.Generator().manual_seed(0)).double() * 7
    assert torch.allclose(directions(x).square().mean(-1), torch.ones(5, 3).double())
    assert torch.allclose(directions(x), directions(x / 100))


@pytest.mark.parametrize("decay", [0.0, -0.1, 1.1])
def test_a_decay_outside_0_to_1_is_refused(decay):
    trunk, heads = pair("MTP heads")
    message = rf"decay: takes a number in \(0, 1\], got {decay}"
    with pytest.raises(ValueError, match=message):
        heads_loss(random_batch(11), trunk=trunk, decay=decay)
    with pytest.raises(ValueError, match=message):
        joint_loss(random_batch(11), weight=1.0, decay=decay)
    with pytest.raises(ValueError, match=message):
        sequential_backward(WithHeads(trunk, heads), random_batch(11), decay=decay)


@pytest.mark.parametrize("name", KINDS)
def test_a_window_without_a_place_for_every_head_is_refused(name):
    """Its loss would be the mean of nothing."""
    trunk, heads = pair(name)
    short, model = random_batch(11, length=heads.count), WithHeads(trunk, heads)
    message = f"batch: takes windows of more than {heads.count} tokens, one a head, got"
    runs = [
        lambda: heads_loss(short, trunk=trunk)(heads),
        lambda: joint_loss(short, weight=1.0)(model),
        lambda: guess_accuracy(heads, trunk, iter([short]), count=1, best=1),
    ]
    if name == "EAGLE":
        runs.append(lambda: eagle_loss(short, trunk=trunk)(heads))
    if name in PARALLEL:
        runs.append(lambda: sequential_backward(model, short))
    for run in runs:
        with pytest.raises(ValueError, match=message):
            run()
    longer = random_batch(11, length=heads.count + 1)
    assert torch.isfinite(heads_loss(longer, trunk=trunk)(heads))


# -- what is trained, and what stays ---------------------------------------------------------------


@pytest.mark.parametrize("name", KINDS)
def test_heads_learn_on_a_trunk_that_stays_as_it_is(name):
    trunk, heads = pair(name)
    loss = eagle_loss if name == "EAGLE" else heads_loss
    loss(random_batch(11), trunk=trunk)(heads).backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in heads.parameters())
    assert all(weight.requires_grad and weight.grad is None for weight in trunk.parameters())
    trunk, heads = trunk.float(), heads.float()
    before, own = weights_of(trunk), weights_of(heads)
    batch = (random_batch(11, seed=seed) for seed in count())
    train(heads, batch, steps=3, learning_rate=0.01, loss=partial(loss, trunk=trunk))
    assert same(trunk, before)
    assert not any(torch.equal(each, own[key]) for key, each in heads.state_dict().items())


@pytest.mark.parametrize("name", KINDS)
def test_a_trunk_that_could_learn_gives_the_gradients_of_one_that_cannot(name):
    """To the last bit; and each of its weights can learn afterwards if it could before."""
    trunk, heads = pair(name)
    loss = eagle_loss if name == "EAGLE" else heads_loss
    for number, weight in enumerate(trunk.parameters()):
        weight.requires_grad_(number % 3 > 0)
    could = [weight.requires_grad for weight in trunk.parameters()]
    frozen = copy.deepcopy(trunk).requires_grad_(False)
    found, expected = (
        torch.autograd.grad(loss(random_batch(11), trunk=each)(heads), list(heads.parameters()))
        for each in (trunk, frozen)
    )
    assert all(map(torch.equal, found, expected))
    with pytest.raises(ValueError, match="batch: takes windows"):
        loss(random_batch(11, length=heads.count), trunk=trunk)(heads)
    assert [weight.requires_grad for weight in trunk.parameters()] == could
    assert all(weight.grad is None for weight in trunk.parameters())


@pytest.mark.parametrize("name", TOGETHER)
def test_parts_learn_at_their_own_rates(name):
    """As two optimisers by hand, one a part."""
    ours, theirs = (WithHeads(Transformer(CONFIG), KINDS[name](CONFIG)) for _ in range(2))
    loss = partial(joint_loss, weight=0.5, decay=0.8)
    settings = {"steps": 5, "learning_rate": 0.01, "weight_decay": 0.1}
    train(ours, stream(), **settings, rates={"trunk": 0.25}, loss=loss)
    optimizers = []
    for part, factor in ((theirs.trunk, 0.25), (theirs.heads, 1.0)):
        groups = [
            {"params": [w for w in part.parameters() if w.dim() > 1], "weight_decay": 0.1},
            {"params": [w for w in part.parameters() if w.dim() == 1], "weight_decay": 0.0},
        ]
        optimizers.append((torch.optim.AdamW(groups, betas=(0.9, 0.95)), factor))
    source = stream()
    for step in range(5):
        theirs.zero_grad()
        loss(next(source))(theirs).backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
        for optimizer, factor in optimizers:
            for group in optimizer.param_groups:
                rate = 0.01 * (0.1 + 0.45 * (1 + np.cos(np.pi * step / 5)))
                group["lr"] = factor * rate
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, rtol=0, atol=1e-7)


def test_rates_name_parts_that_are_trained():
    model = WithHeads(Transformer(CONFIG), MedusaHeads(CONFIG, 2))
    settings = {"steps": 1, "learning_rate": 0.01, "loss": partial(joint_loss, weight=1.0)}
    for part in ("head", "trunk.block", "body", ""):
        with pytest.raises(ValueError, match=f"rates: takes parts of the model .*, got '{part}'"):
            train(model, stream(), **settings, rates={part: 0.5})
    with pytest.raises(ValueError, match=r"rates: takes a number > 0, got 0\.0"):
        train(model, stream(), **settings, rates={"trunk": 0.0})
    model.trunk.requires_grad_(False)
    with pytest.raises(ValueError, match=r"rates: takes parts .* with weights to train"):
        train(model, stream(), **settings, rates={"trunk": 0.5})


class Stopped(Exception):
    """What ends a run before its time."""


def test_a_stopped_joint_run_goes_on_with_its_rates(tmp_path):
    def two_parts():
        return WithHeads(Transformer(CONFIG), MTPModules(CONFIG, 2))

    def stopped():
        source = stream()
        yield from (next(source) for _ in range(7))
        raise Stopped

    settings = {
        "steps": 10,
        "learning_rate": 0.01,
        "warmup": 2,
        "rates": {"trunk": 0.25, "heads": 2.0},
        "loss": partial(joint_loss, weight=0.5),
    }
    saving = {"checkpoint": tmp_path / "run.safetensors", "checkpoint_every": 3}
    whole, again = two_parts(), two_parts()
    wanted = train(whole, stream(), **settings)
    with pytest.raises(Stopped):
        train(two_parts(), stopped(), **settings, **saving)
    found = train(again, stream(), **settings, **saving)
    assert np.array_equal(wanted.losses, found.losses)
    assert all(map(torch.equal, whole.parameters(), again.parameters()))
    with pytest.raises(ValueError, match="checkpoint: takes one of a run with the same arguments"):
        train(two_parts(), stream(), **settings | {"rates": {"trunk": 0.5}}, **saving)


# -- what is learnt --------------------------------------------------------------------------------


def right(heads, trunk):
    """How often guess k, after tokens of the alphabet up to t_i, is t_{i+1+k}, by hand."""
    tokens, _ = next(stream(1))
    with torch.no_grad():
        features, embeddings = trunk.features(tokens)[-1], trunk.embedding(tokens)
        guesses = heads.guesses(features, embeddings)
        found = []
        for k, guess in enumerate(guesses, start=1):
            truth = (tokens[:, : tokens.shape[1] - k] + 1 + k) % 20
            found.append(float((heads.logits(trunk, guess, k).argmax(-1) == truth).float().mean()))
    return found


@pytest.fixture(scope="module")
def trained_trunk():
    trunk = Transformer(CONFIG)
    train(trunk, stream(), steps=100, learning_rate=0.02, warmup=5)
    return trunk.requires_grad_(False)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("distil", [True, False])
def test_guess_k_becomes_the_token_after_the_next_k(name, distil, trained_trunk):
    heads = KINDS[name](CONFIG)
    if name == "Medusa, own output":
        heads.copy_output(trained_trunk)
    loss = partial(heads_loss, distil=distil)
    if name == "EAGLE":
        loss = partial(eagle_loss, noise=0.2 * distil, classification=1.0)
    train(
        heads,
        stream(),
        steps=120,
        learning_rate=0.02,
        warmup=5,
        loss=partial(loss, trunk=trained_trunk),
    )
    assert right(heads, trained_trunk) == [1.0] * heads.count
    best = guess_accuracy(heads, trained_trunk, stream(2), count=2, best=3)
    assert best.shape == (heads.count, 3)
    assert (best == [1.0, 0.0, 0.0]).all()


def test_medusa_2_trains_the_heads_first_and_then_both():
    def losses(model):
        tokens, targets = batch = next(stream(5))
        own = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        guessed = joint_loss(batch, weight=1.0, decay=0.8)(model) - own
        return float(own.detach()), float(guessed.detach())

    def second_stage(rate):
        trunk = Transformer(CONFIG)
        train(trunk, stream(), steps=25, learning_rate=0.01, warmup=5)  # half of its way
        model = WithHeads(trunk, MedusaHeads(CONFIG, 3))
        start, before = losses(model), weights_of(trunk)
        first = partial(heads_loss, trunk=trunk, distil=False)
        train(model.heads, stream(), steps=30, learning_rate=0.01, warmup=5, loss=first)
        assert same(trunk, before)
        middle = losses(model)
        assert middle[0] == start[0] and middle[1] < start[1]
        train(
            model,
            stream(1),
            steps=30,
            learning_rate=0.01,
            warmup=15,
            rates={"trunk": rate},
            loss=partial(joint_loss, weight=0.2, decay=0.8),
        )
        end = losses(model)
        assert end[0] < middle[0] and end[1] < middle[1]
        return torch.stack([(trunk.state_dict()[key] - before[key]).norm() for key in before])

    slow, fast = second_stage(0.25), second_stage(1.0)
    assert (slow < 0.6 * fast).all(), "the trunk moves less at a quarter of the rate"


@pytest.mark.parametrize("precision", [FP32, BF16_AUTOCAST], ids=["fp32", "bf16"])
@pytest.mark.parametrize(("name", "weight"), [("MTP heads", 1.0), ("MTP modules", 0.3)])
def test_trunk_and_heads_learn_together_from_the_start(name, weight, precision):
    model = WithHeads(Transformer(CONFIG), KINDS[name](CONFIG))
    result = train(
        model,
        stream(),
        steps=100,
        learning_rate=0.02,
        warmup=5,
        precision=precision,
        loss=partial(joint_loss, weight=weight),
    )
    assert result.losses[0] == pytest.approx((1 + 3 * weight) * np.log(20), rel=0.02)
    assert result.losses[-1] < 0.1 * result.losses[0]
    assert right(model.heads, model.trunk) == [1.0] * 3
    tokens, targets = next(stream(1))
    assert torch.equal(model(tokens).argmax(-1), targets)


# -- one head at a time ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", PARALLEL)
@pytest.mark.parametrize("tied", [True, False])
def test_heads_one_at_a_time_give_the_gradients_of_the_joint_loss(name, tied):
    model = WithHeads(*pair(name, tied=tied))
    batch = random_batch(11)
    for weight, decay in ((1.0, 1.0), (0.3, 0.8)):
        model.zero_grad()
        loss = joint_loss(batch, weight=weight, decay=decay)(model)
        loss.backward()
        expected = {key: each.grad.clone() for key, each in model.named_parameters()}
        for times in (1, 2):  # they are added to what is there
            if times == 1:
                model.zero_grad()
            found = sequential_backward(model, batch, weight=weight, decay=decay)
            assert found == pytest.approx(loss.item(), rel=1e-12)
            for key, each in model.named_parameters():
                assert torch.allclose(each.grad, times * expected[key], rtol=0, atol=1e-12), key


@pytest.mark.parametrize("name", ["MTP modules", "EAGLE"])
def test_heads_that_need_each_other_cannot_run_one_at_a_time(name):
    kind = type(pair(name)[1]).__name__
    with pytest.raises(TypeError, match=f"model: takes ParallelHeads on a trunk, got {kind}"):
        sequential_backward(WithHeads(*pair(name)), random_batch(11))


def test_one_head_at_a_time_keeps_the_logits_of_one():
    config = replace(CONFIG, vocab_size=4096, context=32)
    batch = random_batch(4096, length=32)
    logits = 2 * 32 * 4096 * 4  # bytes of one head's
    plain, sequential = {}, {}
    for n in (1, 2, 4, 8):
        model = WithHeads(Transformer(config), MTPHeads(config, n))
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)  # which both would allocate
        loss = joint_loss(batch, weight=1.0)
        plain[n] = peak_memory(lambda model=model, loss=loss: loss(model).backward()) / logits
        sequential[n] = peak_memory(lambda model=model: sequential_backward(model, batch)) / logits
    for n in (2, 4, 8):
        added = sum(1 - k / 32 for k in range(2, n + 1))  # a head k guesses 32 − k tokens a row
        assert plain[n] - plain[1] == pytest.approx(added, rel=0.1)
        assert sequential[n] - sequential[1] < 0.2
    assert sequential[8] < plain[1] + 1


def test_the_peak_is_that_of_known_allocations():
    def overlapping():
        x = torch.zeros(1000)  # 4000 bytes
        y = torch.zeros(500)  # 6000
        view = x[3:]
        del x  # the view holds it
        z = torch.zeros(100)  # 6400
        del view  # 2400
        w = torch.zeros(900)  # 6000
        return y, z, w

    def with_backward():
        x = torch.ones(1000, requires_grad=True)  # 4000
        x.exp().sum().backward()  # eˣ, the sum, its gradient, that of x

    old = torch.zeros(5000)

    def in_place():
        old.add_(1).view(50, 100)[3].mul_(2)
        torch.zeros(2000)
        torch.zeros(1000)  # when the first are gone

    assert peak_memory(overlapping) == 6400
    assert peak_memory(with_backward) == 4000 + 4000 + 4 + 4 + 4000
    assert peak_memory(in_place) == 8000
    assert peak_memory(lambda: None) == 0
