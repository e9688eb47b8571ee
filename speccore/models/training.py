"""One trainer: AdamW on the next token, in any precision of ``mixed_precision``."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm.auto import tqdm

from rlcore.checkpoint import digest, load_arrays, save_arrays
from rlcore.validation import check_count, check_fraction, check_positive
from speccore.foundations.mixed_precision import (
    FP32,
    Autocast,
    Loss,
    LossScale,
    MixedPrecision,
    Precision,
    Step,
)
from speccore.models.heads import Heads, ParallelHeads, directions
from speccore.models.transformer import Transformer

Batch = tuple[Tensor, Tensor]
HISTORY = ("losses", "scales", "overflows", "norms", "lost")  # in the order of Step's fields


@dataclass(frozen=True, eq=False)
class TrainingResult:
    """What happened in each step of a training run; all arrays have shape (steps,)."""

    losses: NDArray[np.float64]
    """Mean cross-entropy of the step's tokens, in nats, before the update."""
    scales: NDArray[np.float64]
    """The factor on the loss."""
    overflows: NDArray[np.bool_]
    """Whether the step was skipped."""
    norms: NDArray[np.float64]
    """2-norm of the gradients before clipping."""
    lost: NDArray[np.float64]
    """Share of the non-zero updates that changed nothing."""


def next_token_loss(batch: Batch) -> Loss:
    """The mean of −log p(target | tokens before it), in nats, as a function of the model.

    Args:
        batch: (B, T) tokens and (B, T) targets, each the token after.
    """
    tokens, targets = batch
    return lambda model: F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())


def early_exit_loss(batch: Batch, *, exits: Sequence[int], weight: float) -> Loss:
    """The loss of the last layer + weight · the mean of the losses at some earlier ones.

    Every exit uses the last norm and the output head, so that the first layers become a language
    model of their own, which drafts for the whole (LayerSkip, Elhoushi et al. 2024, section 4.1).

    Args:
        batch: (B, T) tokens and (B, T) targets.
        exits: numbers of layers after which to predict, each below that of all layers.
        weight: of the earlier losses, >= 0.
    """
    tokens, targets = batch

    def loss(model: Any) -> Tensor:
        features = model.features(tokens)
        final, *early = (
            F.cross_entropy(model.logits(features[layers]).flatten(0, 1), targets.flatten())
            for layers in (-1, *exits)
        )
        return final + weight * torch.stack(early).mean()

    return loss


def distillation_loss(batch: Batch, *, teacher: Callable[[Tensor], Tensor]) -> Loss:
    """The mean of −Σ_x p(x) log q(x), p of the teacher and q of the model, in nats.

    The entropy of p apart, which no student can change, it is the divergence KL(p ‖ q) (Hinton et
    al. 2015, section 2). A draft model that is trained so is accepted more often, because what is
    rejected, TV(p, q), is at most √(KL / 2) (Zhou et al. 2024, DistillSpec).

    Args:
        batch: (B, T) tokens; the targets are not read.
        teacher: (B, T) tokens → (B, T, V) logits; no gradients flow into it.
    """
    tokens, _ = batch
    with torch.no_grad():
        p = teacher(tokens).softmax(-1).flatten(0, 1)
    return lambda model: F.cross_entropy(model(tokens).flatten(0, 1), p)


def heads_loss(
    batch: Batch, *, trunk: Transformer, decay: float = 0.8, distil: bool = True
) -> Loss:
    """Σ_k decay^k · the mean loss of guess k, of heads on a trunk that stays as it is.

    Medusa-1 (Cai et al. 2024, section 2.2.1, equation 1, decay 0.8).

    Args:
        batch: (B, T) tokens and (B, T) targets, each the token after; in place of the targets
            (B, T, C) features, if the trunk has made them before.
        trunk: what the heads guess for; no gradients flow into its weights.
        decay: in (0, 1]: what is far ahead is hard to guess and counts less.
        distil: whether a guess is compared with the law that the trunk has where it has read so
            far (then it learns what will be accepted, whatever the text says), or with the text's
            token.

    Raises:
        TypeError, ValueError: another decay; when it is called, windows of too few tokens.
    """
    check_fraction("decay", decay, positive=True)
    tokens, targets = batch
    with torch.no_grad():
        features = _features(batch, trunk)
        embeddings = trunk.embedding(tokens)

    def loss(heads: Any) -> Tensor:
        truth = targets
        if distil:
            with torch.no_grad():
                truth = heads.read_out(trunk, features).softmax(-1)
        with _fixed(trunk):
            return _decayed(heads, trunk, features, embeddings, truth, decay)

    return loss


@contextmanager
def _fixed(trunk: Transformer) -> Iterator[None]:
    """What is computed here has no gradients to the trunk's weights, so that the heads alone learn.

    Guesses go through the trunk's output head, and a gradient to them would end in it, too.
    """
    learning = [weight for weight in trunk.parameters() if weight.requires_grad]
    for weight in learning:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learning:
            weight.requires_grad_(True)


def _features(batch: Batch, trunk: Transformer) -> Tensor:
    """(B, T, C): those that come with the tokens, or the trunk's."""
    tokens, beside = batch
    return beside.to(trunk.norm.weight.dtype) if beside.dim() == 3 else trunk.features(tokens)[-1]


def _check_window(features: Tensor, heads: Heads) -> None:
    """Each head has something to guess."""
    if features.shape[1] <= heads.count:
        raise ValueError(
            f"batch: takes windows of more than {heads.count} tokens, one a head, "
            f"got {features.shape[1]}"
        )


def joint_loss(batch: Batch, *, weight: float, decay: float = 1.0) -> Loss:
    """The trunk's own loss + weight · Σ_k decay^k · the loss of guess k, as a function of both.

    trained together from the start       weight         decay
    ------------------------------------  -------------  ------
    Meta (Gloeckle et al. 2024, eq. 2)    1              1
    DeepSeek-V3 (2024, eq. 25)            λ / D          1
    Medusa-2 (Cai et al. 2024, eq. 2)     λ₀             0.8

    Args:
        batch: (B, T) tokens and (B, T) targets, each the token after.
        weight: of the heads' part, >= 0.
        decay: in (0, 1].

    Raises:
        TypeError, ValueError: as ``heads_loss``.
    """
    check_fraction("decay", decay, positive=True)
    tokens, targets = batch

    def loss(model: Any) -> Tensor:
        trunk, heads = model.trunk, model.heads
        features = trunk.features(tokens)[-1]
        own = F.cross_entropy(trunk.logits(features).flatten(0, 1), targets.flatten())
        embeddings = trunk.embedding(tokens)
        return own + weight * _decayed(heads, trunk, features, embeddings, targets, decay)

    return loss


def _decayed(
    heads: Heads,
    trunk: Transformer,
    features: Tensor,
    embeddings: Tensor,
    truth: Tensor,
    decay: float,
) -> Tensor:
    _check_window(features, heads)
    logits = heads.narrow_logits if truth.dim() == 3 else heads.logits  # a law, or token ids
    losses = [
        decay**k
        * F.cross_entropy(logits(trunk, guess, k).flatten(0, 1), truth[:, k:].flatten(0, 1))
        for k, guess in enumerate(heads.guesses(features, embeddings), start=1)
    ]
    return torch.stack(losses).sum()


def eagle_loss(
    batch: Batch,
    *,
    trunk: Transformer,
    noise: float = 0.2,
    classification: float = 0.1,
    seed: int = 0,
) -> Loss:
    """Smooth-L1 between predicted and true features + classification · cross-entropy of the laws.

    Li et al. 2024 (EAGLE), section 4.2, with its weights. Features are compared by their
    ``directions``. The features that the head reads get noise, uniform in ±noise / 2, since when it
    drafts they will be its own, which are not exact.

    Args:
        batch: (B, T) tokens; and their (B, T, C) features, if the trunk has made them before, else
            targets, which are not read.
        trunk: whose features are predicted; no gradients flow into its weights.
        noise: width of the noise, >= 0; the features' root mean square is 1.
        classification: weight of the cross-entropy, >= 0.
        seed: of the noise, together with the batch's tokens.
    """
    tokens, _ = batch
    generator = torch.Generator().manual_seed(seed + int(tokens.sum()))
    with torch.no_grad():
        features = _features(batch, trunk)
        embeddings = trunk.embedding(tokens)
        true = directions(features)
        shaken = true + noise * (torch.rand(true.shape, generator=generator) - 0.5)

    def loss(head: Any) -> Tensor:
        _check_window(features, head)
        (guess,) = head.guesses(shaken, embeddings)
        regression = F.smooth_l1_loss(directions(guess), true[:, 1:])
        with _fixed(trunk):
            logits = head.narrow_logits(trunk, guess, 1).flatten(0, 1)
        with torch.no_grad():
            law = head.read_out(trunk, features[:, 1:]).softmax(-1).flatten(0, 1)
        return regression + classification * F.cross_entropy(logits, law)

    return loss


def sequential_backward(
    model: WithHeads, batch: Batch, *, weight: float = 1.0, decay: float = 1.0
) -> float:
    """The gradients of ``joint_loss``, with the logits of one head in memory at a time.

    Gloeckle et al. 2024, section 2 and figure 2. The trunk runs once. Then each head, that of the
    next token first, runs forward and at once backward, as far as the features, where ∂L/∂f is
    added up; a last pass takes the sum back through the trunk. All heads at once would keep a
    (B, T, V) tensor each until the backward pass.

    Args:
        model: both parts are trained; gradients are added to ``grad`` of their weights.
        batch: (B, T) tokens and (B, T) targets, each the token after.
        weight, decay: as of ``joint_loss``.

    Returns:
        The loss.

    Raises:
        TypeError: heads that guess one after the other; they need each other's graph.
        ValueError: another decay, windows of too few tokens.
    """
    trunk, heads = model.trunk, model.heads
    if not isinstance(heads, ParallelHeads):
        raise TypeError(f"model: takes ParallelHeads on a trunk, got {type(heads).__name__}")
    check_fraction("decay", decay, positive=True)
    tokens, targets = batch
    length = tokens.shape[1]
    features = trunk.features(tokens)[-1]
    _check_window(features, heads)
    leaf = features.detach().requires_grad_()

    def backward(k: int) -> float:
        if k == 0:
            factor, logits = 1.0, trunk.logits(leaf)
        else:
            (guess,) = heads.parallel(leaf, slice(k - 1, k))[:, :, : length - k]
            factor, logits = weight * decay**k, heads.logits(trunk, guess, k)
        loss = factor * F.cross_entropy(logits.flatten(0, 1), targets[:, k:].flatten())
        torch.autograd.backward(loss)
        return float(loss.detach())  # what else was made is gone

    total = sum(backward(k) for k in range(heads.count + 1))
    torch.autograd.backward(features, leaf.grad)
    return total


class WithHeads(nn.Module):
    """A trunk and heads that are trained together; called, it is the trunk."""

    def __init__(self, trunk: Transformer, heads: Heads) -> None:
        super().__init__()
        self.trunk = trunk
        self.heads = heads

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, T) tokens → (B, T, V) logits."""
        logits: Tensor = self.trunk(tokens)
        return logits


def learning_rate_at(step: int, steps: int, peak: float, warmup: int) -> float:
    """Linear from 0 to the peak during warm-up, then half a cosine down to a tenth of it.

    lr = peak · (step + 1) / warmup, then peak · (0.1 + 0.45 (1 + cos(π (step − warmup) / (steps −
    warmup)))) (Loshchilov & Hutter 2017; with a floor as in Touvron et al. 2023, section 2.3).
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def train(
    model: nn.Module,
    batches: Iterator[Batch],
    *,
    steps: int,
    learning_rate: float,
    warmup: int = 0,
    accumulate: int = 1,
    weight_decay: float = 0.1,
    betas: tuple[float, float] = (0.9, 0.95),
    clip: float = 1.0,
    rates: Mapping[str, float] | None = None,
    precision: Precision = FP32,
    loss_scale: LossScale | None = None,
    loss: Callable[[Batch], Loss] = next_token_loss,
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 200,
    progress: bool = False,
) -> TrainingResult:
    """Train a model to predict the next token, with AdamW (Loshchilov & Hutter 2019).

    Deterministic: the model's weights and the batches decide the result. The model is trained in
    place, and is left in the formats of ``precision``.

    Args:
        model: (B, T) tokens → (B, T, V) logits.
        batches: (tokens, targets) pairs, ``steps`` · ``accumulate`` at least.
        steps: number of updates.
        learning_rate: the peak, > 0; see ``learning_rate_at``.
        warmup: steps until the peak.
        accumulate: micro-batches a step.
        weight_decay: of matrices; vectors (the norms' factors) do not decay.
        betas: of Adam's two means.
        clip: largest 2-norm of the gradient.
        rates: name of a part of the model → factor > 0 on the learning rate of its weights; 1 for
            all others.
        precision: the formats of the numbers.
        loss_scale: the factor on the loss, None for none.
        loss: what is minimised, of a batch.
        checkpoint: file to which the whole state is saved, in safetensors format, and from which
            a run goes on that was stopped. It has to be given the same arguments; the result is
            that of a run that was never stopped, to the last bit. Compared are the numbers, the
            formats, the name of the loss and the arguments bound to it, the names and shapes of
            the weights to train, and the first batch.
        checkpoint_every: steps between two savings; it is saved at the end, too.
        progress: show a bar.

    Raises:
        ValueError, TypeError: an argument outside what it takes, a checkpoint that is damaged or
            of another run.
        FloatingPointError: the loss is NaN or infinite, or the loss scale has shrunk below 2⁻²⁴:
            no step can succeed any more.
    """
    check_count("steps", steps)
    check_count("warmup", warmup, minimum=0)
    check_count("accumulate", accumulate)
    check_positive("learning_rate", learning_rate)
    check_positive("clip", clip)
    check_fraction("weight_decay", weight_decay)
    mixed = MixedPrecision(model, precision, loss_scale)
    alike: dict[tuple[float, float], list[nn.Parameter]] = {}
    factors = _factors(model, rates or {})
    for master, factor in zip(mixed.masters, factors, strict=True):
        alike.setdefault((weight_decay if master.dim() >= 2 else 0.0, factor), []).append(master)
    groups: list[dict[str, Any]] = [
        {"params": masters, "weight_decay": decay, "factor": factor}
        for (decay, factor), masters in alike.items()
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas)
    taken: list[Step] = []
    settings: dict[str, Any] = {}
    if checkpoint is not None:
        first = next(batches)
        batches = itertools.chain([first], batches)
        settings = {
            "steps": steps,
            "learning_rate": learning_rate,
            "warmup": warmup,
            "accumulate": accumulate,
            "weight_decay": weight_decay,
            "betas": betas,
            "clip": clip,
            "rates": dict(rates or {}),
            "precision": vars(precision),
            "loss_scale": vars(mixed.loss_scale),
            "loss": loss,
            "first batch": _digest(first),
            **{f"shape of {name}": list(weight.shape) for name, weight in _trained(model)},
        }
        settings = json.loads(json.dumps(settings, default=_named))
        if Path(checkpoint).exists():
            taken = _resume(Path(checkpoint), settings, mixed, optimizer)
            for _ in range(len(taken) * accumulate):
                next(batches)
    for step in tqdm(range(steps), disable=not progress, initial=len(taken)):
        if step < len(taken):
            continue
        for group in optimizer.param_groups:
            rate = learning_rate_at(step, steps, learning_rate, warmup)
            group["lr"] = group["factor"] * rate
        micro = [loss(next(batches)) for _ in range(accumulate)]
        taken.append(mixed.step(micro, optimizer, clip=clip))
        if not math.isfinite(taken[-1].loss) or taken[-1].scale < 2.0**-24:
            raise FloatingPointError(
                f"step {step}: loss {taken[-1].loss}, loss scale {taken[-1].scale}"
            )
        if checkpoint is not None and (len(taken) % checkpoint_every == 0 or len(taken) == steps):
            _save(Path(checkpoint), settings, mixed, optimizer, taken)
    return _result(taken)


def _trained(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """The weights that are trained, by name, in the order of the masters."""
    return [(name, each) for name, each in model.named_parameters() if each.requires_grad]


def _digest(batch: Batch) -> str:
    """SHA-256 of a batch, whatever the format of its numbers."""
    parts = (each.detach().cpu().flatten().view(torch.uint8).numpy() for each in batch)
    return digest({str(number): part for number, part in enumerate(parts)})


def _named(value: Any) -> Any:
    """What JSON does not take: a function by its name, with what is bound to it; else the type."""
    if isinstance(value, partial):
        return {"function": value.func, "positional": value.args, **value.keywords}
    if isinstance(value, torch.dtype):
        return str(value)
    return getattr(value, "__qualname__", type(value).__qualname__)


def _factors(model: nn.Module, rates: Mapping[str, float]) -> list[float]:
    """The factor on the learning rate of each weight that is trained."""
    names = [name for name, _ in _trained(model)]
    for part, factor in rates.items():
        check_positive("rates", factor)
        if not any(name.startswith(f"{part}.") for name in names):
            raise ValueError(f"rates: takes parts of the model with weights to train, got {part!r}")
    return [
        next((factor for part, factor in rates.items() if name.startswith(f"{part}.")), 1.0)
        for name in names
    ]


def _result(taken: Sequence[Step]) -> TrainingResult:
    return TrainingResult(
        losses=np.array([each.loss for each in taken]),
        scales=np.array([each.scale for each in taken]),
        overflows=np.array([each.overflow for each in taken]),
        norms=np.array([each.norm for each in taken]),
        lost=np.array([each.lost for each in taken]),
    )


def _save(
    path: Path,
    settings: Mapping[str, Any],
    mixed: MixedPrecision,
    optimizer: torch.optim.Optimizer,
    taken: Sequence[Step],
) -> None:
    """Write all that changes while a model is trained."""
    arrays = {f"history.{name}": np.array(values) for name, values in vars(_result(taken)).items()}
    for number, master in enumerate(mixed.masters):
        arrays[f"master.{number}"] = master.detach().cpu().numpy()
        for name, value in optimizer.state[master].items():
            arrays[f"{name}.{number}"] = value.cpu().numpy()
    scale = json.dumps([mixed.loss_scale.scale, mixed.loss_scale.good_steps])
    save_arrays(path, arrays, {"arguments": json.dumps(settings), "loss_scale": scale})


@torch.no_grad()
def _resume(
    path: Path,
    settings: Mapping[str, Any],
    mixed: MixedPrecision,
    optimizer: torch.optim.Optimizer,
) -> list[Step]:
    """Take up what ``_save`` wrote; returns the steps that were taken."""
    arrays, metadata = load_arrays(path, "checkpoint")
    found = json.loads(metadata.get("arguments", "{}"))
    differ = [name for name in {**settings, **found} if settings.get(name) != found.get(name)]
    if differ:
        raise ValueError(
            f"checkpoint: takes one of a run with the same arguments; {path} has "
            f"{_values(found, differ)}; got {_values(settings, differ)}"
        )
    for number, master in enumerate(mixed.masters):
        names = [name for name in ("exp_avg", "exp_avg_sq", "step") if f"{name}.{number}" in arrays]
        if names:  # none, if every step so far has overflowed
            state = {name: torch.from_numpy(arrays[f"{name}.{number}"]) for name in names}
            optimizer.state[master] = state
        master.copy_(torch.from_numpy(arrays[f"master.{number}"]))
    mixed.store()
    mixed.loss_scale.scale, mixed.loss_scale.good_steps = json.loads(metadata["loss_scale"])
    columns = (arrays[f"history.{name}"].tolist() for name in HISTORY)
    return [Step(*values) for values in zip(*columns, strict=True)]


def _values(settings: Mapping[str, Any], names: Sequence[str], most: int = 4) -> str:
    """Some settings by name, in a message."""
    shown = [f"{name}={settings[name]!r}" if name in settings else f"no {name}" for name in names]
    more = [f"{len(names) - most} more"] if len(names) > most else []
    return ", ".join(shown[:most] + more)


@torch.no_grad()
def evaluate(
    model: nn.Module, batches: Iterator[Batch], *, count: int, precision: Precision = FP32
) -> float:
    """Mean −log p(target | tokens before it) over ``count`` batches, in nats a token.

    Args:
        model: as ``train`` left it.
        batches: (tokens, targets) pairs, ``count`` at least.
        count: number of batches.
        precision: the formats in which the model was trained.
    """
    check_count("count", count)
    total = 0.0
    with Autocast(precision.compute, simulate=precision.simulate):
        for _ in range(count):
            total += float(next_token_loss(next(batches))(model))
    return total / count


@torch.no_grad()
def guess_accuracy(
    heads: Heads, trunk: Transformer, batches: Iterator[Batch], *, count: int, best: int
) -> NDArray[np.float64]:
    """How often a candidate is the token that the trunk itself finds most probable there.

    The tokens before a guess are the text's: those of guess k up to t_{i+k}, where its head reads
    them. An ``EagleHead``, which is trained for k = 1, is followed as far as that.

    Args:
        heads: of the trunk.
        trunk: what the heads guess for.
        batches: (tokens, targets) pairs, or (tokens, features) ones, ``count`` at least.
        count: number of batches.
        best: R >= 1, candidates a guess.

    Returns:
        (K, R): how often candidate r of guess k is the trunk's token, as ``grow_tree`` takes it.
    """
    check_count("count", count)
    check_count("best", best)
    right = torch.zeros(heads.count, best)
    tried = torch.zeros(heads.count, 1)
    for _ in range(count):
        drawn = next(batches)
        tokens, features = drawn[0], _features(drawn, trunk)
        _check_window(features, heads)
        truth = trunk.logits(features).argmax(-1, keepdim=True)
        for k, guess in enumerate(heads.guesses(features, trunk.embedding(tokens)), start=1):
            candidates = heads.logits(trunk, guess, k).topk(best).indices
            right[k - 1] += (candidates == truth[:, k:]).flatten(0, 1).sum(0)
            tried[k - 1] += guess.shape[0] * guess.shape[1]
    shares: NDArray[np.float64] = (right / tried).double().numpy()
    return shares
