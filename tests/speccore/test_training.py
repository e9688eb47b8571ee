"""The trainer learns, the same on every run, by the schedule that it states."""

import copy
import json
import math
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rlcore.checkpoint import save_arrays
from speccore.foundations.mixed_precision import (
    BF16_AUTOCAST,
    FP16_MASTER,
    FP32,
    PURE_FP16,
    LossScale,
)
from speccore.models import five_ways
from speccore.models.text import batches
from speccore.models.training import (
    distillation_loss,
    early_exit_loss,
    evaluate,
    learning_rate_at,
    next_token_loss,
    train,
)
from speccore.models.transformer import Transformer, TransformerConfig

CONFIG = TransformerConfig(
    vocab_size=20, layers=1, width=16, heads=2, kv_heads=1, hidden=24, context=8
)
ALPHABET = torch.arange(400, dtype=torch.uint8) % 20
SETTINGS = {"steps": 60, "learning_rate": 0.02, "warmup": 5}


def stream(seed=0, batch=8):
    return batches(ALPHABET, batch=batch, length=8, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_minus_log_p_of_the_next_token():
    model, (tokens, targets) = Transformer(CONFIG), next(stream())
    p = model(tokens).softmax(-1).gather(-1, targets.unsqueeze(-1))
    loss = next_token_loss((tokens, targets))(model)
    assert loss.item() == pytest.approx(-p.log().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("precision", "scale"),
    [
        (FP32, None),
        (BF16_AUTOCAST, None),
        (replace(FP16_MASTER, simulate=True), 2.0**14),
        (FP16_MASTER, 2.0**14),
    ],
    ids=["fp32", "bf16", "fp16 simulated", "fp16"],
)
def test_the_alphabet_is_learnt_in_every_precision(precision, scale):
    model = Transformer(CONFIG)
    result = train(
        model,
        stream(),
        **SETTINGS,
        precision=precision,
        loss_scale=None if scale is None else LossScale(scale),
    )
    assert result.losses[0] == pytest.approx(math.log(20), abs=0.05)
    assert result.losses[-1] < 0.3
    assert not result.overflows.any()
    assert evaluate(model, stream(1), count=3, precision=precision) < 0.3


def test_the_same_seeds_give_the_same_run():
    runs = []
    for seed in (0, 0, 1):
        model = Transformer(CONFIG)
        losses = train(model, stream(seed), **SETTINGS).losses
        runs.append((losses, model.embedding.weight.detach()))
    assert np.array_equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1], runs[1][1])
    assert not np.array_equal(runs[0][0], runs[2][0])


class Stopped(Exception):
    """What ends a run before its time."""


def stopped_after(count, stream):
    for _ in range(count):
        yield next(stream)
    raise Stopped


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": partial(early_exit_loss, exits=(1,), weight=0.3)},
        {"precision": replace(PURE_FP16, simulate=True)},
        {"precision": FP16_MASTER, "loss_scale": LossScale(2.0**20, interval=7), "accumulate": 2},
        {"precision": FP16_MASTER, "loss_scale": LossScale(2.0**40)},
    ],
    ids=["fp32, early exit", "pure fp16", "fp16, scaled", "fp16, no step taken when it is saved"],
)
def test_a_stopped_run_goes_on_as_if_it_had_never_stopped(settings, tmp_path):
    config = replace(CONFIG, layers=2)
    settings = {**SETTINGS, "steps": 30, **settings}
    whole, first, second = (Transformer(config) for _ in range(3))
    wanted = train(whole, stream(), **copy.deepcopy(settings))
    saving = {"checkpoint": tmp_path / "run.safetensors", "checkpoint_every": 5}
    count = 17 * settings.get("accumulate", 1)
    with pytest.raises(Stopped):
        train(first, stopped_after(count, stream()), **copy.deepcopy(settings), **saving)
    found = train(second, stream(), **copy.deepcopy(settings), **saving)
    assert all(map(torch.equal, whole.parameters(), second.parameters()))
    for name, values in vars(wanted).items():
        np.testing.assert_array_equal(values, vars(found)[name], err_msg=name)  # NaN is NaN


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"steps": 7}, "has steps=6; got steps=7"),
        ({"learning_rate": 0.01}, "has learning_rate=0.02; got learning_rate=0.01"),
        (
            {"warmup": 4, "betas": (0.9, 0.99)},
            "has warmup=5, betas=[0.9, 0.95]; got warmup=4, betas=[0.9, 0.99]",
        ),
        ({"rates": {"blocks": 0.5}}, "has rates={}; got rates={'blocks': 0.5}"),
        ({"precision": BF16_AUTOCAST}, "'compute': 'torch.bfloat16'"),
        ({"loss_scale": LossScale(4.0)}, "got loss_scale={'scale': 4.0, "),
        (
            {"loss": partial(early_exit_loss, exits=(1,), weight=0.2)},
            "got loss={'function': 'early_exit_loss', ",
        ),
        ({"loss": next_token_loss}, "got loss='next_token_loss'"),
        ({"batches": stream(1)}, "; got first batch='"),
        (
            {"model": Transformer(replace(CONFIG, layers=3))},
            "has no shape of blocks.2.attention_norm.weight, ",
        ),
        (
            {"model": Transformer(replace(CONFIG, layers=2, hidden=32))},
            "shape of blocks.0.feed_forward.down.weight=[16, 24], ",
        ),
    ],
    ids=lambda each: "" if isinstance(each, str) else "-".join(each),
)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(other, differs, tmp_path):
    settings = {**SETTINGS, "steps": 6, "loss": partial(early_exit_loss, exits=(1,), weight=0.3)}

    def run(**changes):
        model = Transformer(replace(CONFIG, layers=2))
        given = {"model": model, "batches": stream(), **settings, **changes}
        return train(**given, checkpoint=tmp_path / "run.safetensors")

    whole = run()
    assert np.array_equal(run().losses, whole.losses)
    same = "checkpoint: takes one of a run with the same arguments; "
    with pytest.raises(ValueError, match=same) as refusal:
        run(**other)
    assert differs in str(refusal.value)


def test_arrays_that_are_no_training_are_refused(tmp_path):
    path = tmp_path / "run.safetensors"
    save_arrays(path, {"q": np.zeros(3)}, {})
    with pytest.raises(
        ValueError, match=r"has no steps, no learning_rate, .* more; got steps=60, "
    ):
        train(Transformer(CONFIG), stream(), **SETTINGS, checkpoint=path)


def test_an_early_exit_predicts_with_its_own_layers_and_the_shared_head():
    model, batch = Transformer(replace(CONFIG, layers=2)), next(stream())
    tokens, targets = batch
    final, exit_1 = (
        F.cross_entropy(model.logits(model.features(tokens)[n]).flatten(0, 1), targets.flatten())
        for n in (2, 1)
    )
    loss = early_exit_loss(batch, exits=(1,), weight=0.3)(model)
    assert torch.allclose(loss, final + 0.3 * exit_1)
    assert torch.equal(next_token_loss(batch)(model), final)
    assert torch.equal(model.logits(model.features(tokens)[-1]), model(tokens))


def test_distillation_is_least_at_the_teacher_and_there_the_mean_entropy():
    teacher, (tokens, targets) = Transformer(CONFIG, seed=1), next(stream())
    loss = distillation_loss((tokens, targets), teacher=teacher)
    p = teacher(tokens).softmax(-1)
    assert torch.allclose(loss(teacher), -(p * p.log()).sum(-1).mean())
    loss(teacher).backward()
    assert max(weight.grad.abs().max() for weight in teacher.parameters()) < 1e-6
    student = Transformer(CONFIG, seed=2)
    divergence = (p * (p.log() - student(tokens).log_softmax(-1))).sum(-1).mean()
    assert torch.allclose(loss(student) - loss(teacher), divergence, atol=1e-6)


def test_fp32_is_the_loop_that_everyone_writes():
    ours, theirs = Transformer(CONFIG), Transformer(CONFIG)
    result = train(ours, stream(), **SETTINGS, weight_decay=0.2, clip=0.4)
    optimizer = torch.optim.AdamW(
        [
            {"params": [w for w in theirs.parameters() if w.dim() > 1], "weight_decay": 0.2},
            {"params": [w for w in theirs.parameters() if w.dim() == 1], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.95),
    )
    source, losses = stream(), []
    for step in range(SETTINGS["steps"]):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate_at(step, 60, 0.02, 5)
        tokens, targets = next(source)
        loss = F.cross_entropy(theirs(tokens).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(theirs.parameters(), 0.4)
        optimizer.step()
        losses.append(loss.item())
    assert result.losses.tolist() == losses
    assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_micro_batches_are_taken_one_after_the_other():
    one, other = Transformer(CONFIG), Transformer(CONFIG)
    small, pairs = stream(batch=4), stream(batch=4)
    train(one, small, steps=3, learning_rate=0.01, accumulate=2)
    joined = (tuple(map(torch.cat, zip(next(pairs), next(pairs), strict=True))) for _ in range(3))
    train(other, joined, steps=3, learning_rate=0.01)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        # Adam divides by the size of the gradient, so that FP32's rounding can show in full where
        # a gradient is next to nothing; elsewhere it is some 1e-7.
        assert (a - b).abs().mean() < 1e-5


def test_the_learning_rate_rises_and_falls_to_a_tenth():
    rates = [learning_rate_at(step, 100, 0.5, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.05) and rates[9] == rates[10] == pytest.approx(0.5)
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[55] == pytest.approx(0.5 * 0.55)
    assert rates[100] == pytest.approx(0.05)
    assert learning_rate_at(0, 10, 1.0, 0) == 1.0


def test_a_dynamic_scale_is_found_and_skipped_steps_change_nothing():
    model = Transformer(CONFIG)
    result = train(
        model,
        stream(),
        **SETTINGS,
        precision=replace(FP16_MASTER, simulate=True),
        loss_scale=LossScale(2.0**40, interval=1000),
    )
    skipped = int(result.overflows.sum())
    assert 10 < skipped < 40
    assert result.overflows[:skipped].all()
    assert np.array_equal(result.scales[: skipped + 1], 2.0 ** (40 - np.arange(skipped + 1)))
    assert np.all(result.scales[skipped:] == result.scales[-1])
    assert np.isfinite(result.norms[~result.overflows]).all()


def test_pure_fp16_reports_what_it_lost():
    slow = {**SETTINGS, "learning_rate": 1e-5}
    lost = train(Transformer(CONFIG), stream(), **slow, precision=PURE_FP16).lost
    kept = train(Transformer(CONFIG), stream(), **slow, precision=FP16_MASTER).lost
    assert lost.mean() > 0.5
    assert kept.max() == 0.0


def test_a_hopeless_run_is_stopped_with_the_step():
    model = Transformer(CONFIG)
    with torch.no_grad():
        model.norm.weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="step 0: loss nan"):
        train(model, stream(), steps=3, learning_rate=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps: takes a whole number >= 1, got 0"),
        ({"warmup": -1}, "warmup: takes a whole number >= 0, got -1"),
        ({"learning_rate": 0.0}, "learning_rate: takes a number > 0, got 0.0"),
        ({"accumulate": 0}, "accumulate: takes a whole number >= 1, got 0"),
        ({"clip": -1.0}, "clip: takes a number > 0, got -1.0"),
        ({"weight_decay": 2.0}, r"weight_decay: takes a number in \[0, 1\], got 2.0"),
    ],
)
def test_bad_input_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        train(Transformer(CONFIG), stream(), **{**SETTINGS, **change})
    with pytest.raises(ValueError, match="count: takes a whole number >= 1, got 0"):
        evaluate(Transformer(CONFIG), stream(), count=0)


# -- the experiment of chapter 12 ------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch):
    """The experiment, small enough for a test."""
    monkeypatch.setattr(five_ways, "standard_library", cache(five_ways.standard_library))
    stages = {name: replace(each, steps=4, warmup=1) for name, each in five_ways.STAGES.items()}
    monkeypatch.setattr(five_ways, "STAGES", stages)
    monkeypatch.setattr(five_ways, "SEEDS", 1)
    monkeypatch.setattr(five_ways, "EVERY", 2)
    monkeypatch.setattr(five_ways, "BATCH", 2)
    monkeypatch.setattr(five_ways, "CONFIG", replace(five_ways.CONFIG, width=16, hidden=24))


def test_the_five_ways_resume_where_they_were_stopped(tiny, tmp_path):
    path = tmp_path / "runs.jsonl"
    five_ways.main(path)
    whole = path.read_text(encoding="utf-8")
    found, runs = five_ways.read(path)
    assert len(runs) == 2 * 5
    assert found["model"]["width"] == 16
    assert all(len(run["loss"]) == 2 for run in runs)
    lines = whole.splitlines(keepends=True)
    for kept in (3, 8):
        path.write_text("".join(lines[:kept]), encoding="utf-8")
        five_ways.main(path)
        assert path.read_text(encoding="utf-8") == whole
    five_ways.main(path)
    assert path.read_text(encoding="utf-8") == whole, "nothing is left to do"


def test_runs_of_other_settings_are_not_mixed(tiny, tmp_path, monkeypatch):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"model": "another"}) + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="path: takes a file of the same settings"):
        five_ways.main(path)


def test_a_share_of_a_power_of_two_changes_nothing_in_fp32(tiny):
    reached = []
    for tokens in (five_ways.BATCH * five_ways.CONFIG.context, 2**19):
        stage = replace(five_ways.STAGES["late"], batch_tokens=tokens)
        model = Transformer(five_ways.CONFIG)
        text = torch.arange(2000, dtype=torch.uint8)
        losses = five_ways.run(model, text, stage, "FP32", 0).losses
        reached.append((losses, model.embedding.weight.detach()))
    assert np.array_equal(reached[0][0], reached[1][0])
    assert torch.equal(reached[0][1], reached[1][1])
