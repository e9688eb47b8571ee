"""Mixed precision with every step in sight: what is rounded, what is kept, what is lost.

Three ideas keep the accuracy of FP32 with numbers of 16 bits (Micikevicius et al. 2018):

1. a *policy*: each operation runs in the format that it can bear (``OPERATIONS``, ``Autocast``);
2. *master weights*: updates are added in FP32, where they are not too small to count;
3. *loss scaling*: the loss is multiplied by a factor, so that small gradients stay above FP16's
   smallest number, and the gradients are divided by it before they are used (``LossScale``).

``MixedPrecision`` puts them together into training steps that equal those of ``torch.amp``.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from rlcore.validation import check_count, check_number, check_positive

Loss = Callable[[nn.Module], Tensor]
"""Computes the loss, one number, with a model."""

FORMATS = (torch.float32, torch.float16, torch.bfloat16)


def _check_format(name: str, dtype: torch.dtype) -> None:
    if dtype not in FORMATS:
        takes = ", ".join(map(str, FORMATS))
        raise ValueError(f"{name}: takes one of {takes}, got {dtype!r}")


# -- the policy of each operation ------------------------------------------------------------------

LOW = "16 bits"
FULL = "FP32"

_PRODUCT = "a sum of products: factors of 16 bits, summed in FP32 by the hardware, rounded once"
_EXPONENTIAL = "exponentials overflow, and their sum swamps small terms"
_SUM = "a sum of many terms: each addition would round"
_LOSS = "a mean over all tokens: the one number from which every gradient follows"

OPERATIONS: Mapping[str, tuple[str, str]] = {
    "linear": (LOW, _PRODUCT),
    "matmul": (LOW, _PRODUCT),
    "bmm": (LOW, _PRODUCT),
    "conv1d": (LOW, _PRODUCT),
    "conv2d": (LOW, _PRODUCT),
    "scaled_dot_product_attention": (LOW, _PRODUCT + "; its softmax is in FP32 inside"),
    "softmax": (FULL, _EXPONENTIAL),
    "log_softmax": (FULL, _EXPONENTIAL),
    "exp": (FULL, _EXPONENTIAL),
    "sum": (FULL, _SUM),
    "norm": (FULL, _SUM),
    "rms_norm": (FULL, _SUM),
    "layer_norm": (FULL, _SUM),
    "cross_entropy": (FULL, _LOSS),
    "nll_loss": (FULL, _LOSS),
    "mse_loss": (FULL, _LOSS),
}
"""Operation → its format, and why. All others take their inputs as they come; of two formats the
wider one wins, as PyTorch's type promotion has it."""


class Autocast(TorchFunctionMode):
    """Inside ``with Autocast(torch.float16):`` each operation gets its inputs as OPERATIONS says.

    It is ``torch.autocast`` in a few lines. Like it, leave it before ``backward()``: gradients then
    have the format of what they belong to.

    Args:
        dtype: ``torch.float16`` or ``torch.bfloat16`` for the operations of 16 bits;
            ``torch.float32`` changes nothing.
        simulate: round the inputs of these operations to ``dtype``, compute in FP32, and round the
            result. Tensor cores do just that; a CPU without FP16 units needs 20 times as long for
            its native FP16 products, which differ in the last bit at most.

    Attributes:
        calls: (operation, format of its result) → how often, for all operations in OPERATIONS.
    """

    def __init__(self, dtype: torch.dtype, *, simulate: bool = False) -> None:
        super().__init__()
        _check_format("dtype", dtype)
        self.dtype = dtype
        self.simulate = simulate
        self.calls: Counter[tuple[str, torch.dtype]] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        rule = OPERATIONS.get(name, (None, ""))[0]
        if rule is None:
            return func(*args, **kwargs)
        if rule == FULL or self.dtype == torch.float32:
            result = func(*_cast(args, torch.float32), **_cast(kwargs, torch.float32))
        elif self.simulate:
            args, kwargs = _cast(args, self.dtype), _cast(kwargs, self.dtype)
            result = func(*_cast(args, torch.float32), **_cast(kwargs, torch.float32))
            result = result.to(self.dtype)
        else:
            result = func(*_cast(args, self.dtype), **_cast(kwargs, self.dtype))
        self.calls[name, result.dtype] += 1
        return result


def _cast(inputs: Any, dtype: torch.dtype) -> Any:
    """The same inputs with floating-point tensors in ``dtype``; FP64 is meant, and stays."""
    if isinstance(inputs, Tensor):
        return inputs.to(dtype) if inputs.dtype in FORMATS else inputs
    if isinstance(inputs, Mapping):
        return {name: _cast(each, dtype) for name, each in inputs.items()}
    if isinstance(inputs, tuple):
        return tuple(_cast(each, dtype) for each in inputs)
    return inputs


# -- loss scaling ----------------------------------------------------------------------------------


class LossScale:
    """The factor on the loss: static, or growing until it overflows (dynamic).

    Dynamic, as ``torch.amp.GradScaler``: after a step whose gradients overflow, scale ← scale ·
    backoff; after ``interval`` good steps in a row, scale ← scale · growth. The scale so stays just
    below the largest one that the gradients bear.

    Args:
        scale: the first factor; a power of two rounds nothing.
        growth: > 1.
        backoff: in (0, 1).
        interval: good steps before the scale grows; None keeps it for ever (static).
    """

    def __init__(
        self,
        scale: float = 2.0**16,
        *,
        growth: float = 2.0,
        backoff: float = 0.5,
        interval: int | None = 2000,
    ) -> None:
        self.scale = check_positive("scale", scale)
        self.growth = check_number("growth", growth, "a number > 1", lambda x: 1 < x < math.inf)
        self.backoff = check_number("backoff", backoff, "a number in (0, 1)", lambda x: 0 < x < 1)
        self.interval = None if interval is None else check_count("interval", interval)
        self.good_steps = 0

    def update(self, overflow: bool) -> None:
        """Take note of a step."""
        if self.interval is None:
            return
        if overflow:
            self.scale *= self.backoff
            self.good_steps = 0
            return
        self.good_steps += 1
        if self.good_steps == self.interval:
            self.scale *= self.growth
            self.good_steps = 0


# -- training steps --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """Which numbers of a training run have which format.

    Raises:
        TypeError, ValueError: a format that is none of FP32, FP16 and BF16.
    """

    weights: torch.dtype = torch.float32
    """Of the weights that the model computes with, of their gradients and of what flows through."""
    compute: torch.dtype = torch.float32
    """Of the operations of 16 bits, see ``Autocast``."""
    master_weights: bool = True
    """Whether updates are added to weights in FP32. If False, to ``weights`` as they are stored."""
    simulate: bool = False
    """Compute products in FP32 from rounded numbers, see ``Autocast``."""

    def __post_init__(self) -> None:
        _check_format("weights", self.weights)
        _check_format("compute", self.compute)


FP32 = Precision()
PURE_FP16 = Precision(torch.float16, torch.float16, master_weights=False)
FP16_MASTER = Precision(torch.float16, torch.float16)
FP16_AUTOCAST = Precision(compute=torch.float16)
BF16_AUTOCAST = Precision(compute=torch.bfloat16)


@dataclass(frozen=True)
class Step:
    """What happened in a training step."""

    loss: float
    """Mean over the micro-batches, unscaled."""
    scale: float
    """The factor that was on the loss."""
    overflow: bool
    """Whether a gradient was infinite or NaN; then the step was skipped."""
    norm: float
    """2-norm of all gradients, unscaled and before clipping."""
    lost: float
    """Share of the non-zero updates that changed nothing; 0 with master weights or if skipped."""


class MixedPrecision:
    """Training steps of a model in a given precision.

    ``masters`` are the weights that the optimiser has to be given: FP32 copies of the model's
    weights, or the model's weights themselves if they are FP32. The model is changed to
    ``precision.weights`` in place.

    Args:
        model: any module, its weights in FP32.
        precision: the formats.
        loss_scale: the factor on the loss; None for none.
    """

    def __init__(
        self, model: nn.Module, precision: Precision, loss_scale: LossScale | None = None
    ) -> None:
        given = {weight.dtype for weight in model.parameters()}
        if given - {torch.float32}:
            raise ValueError(f"model: takes weights in torch.float32, got {given}")
        self.model = model
        self.precision = precision
        self.loss_scale = loss_scale or LossScale(1.0, interval=None)
        originals = [weight.detach().clone() for weight in model.parameters()]
        model.to(precision.weights)
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.masters = [
            weight if weight.dtype == torch.float32 else nn.Parameter(original)
            for weight, original in zip(model.parameters(), originals, strict=True)
            if weight.requires_grad
        ]

    def step(
        self,
        losses: Sequence[Loss],
        optimizer: torch.optim.Optimizer,
        *,
        clip: float | None = None,
    ) -> Step:
        """One training step; skipped, but for the loss scale, if a gradient overflows.

        Args:
            losses: a function of the model for each micro-batch, which returns its loss; the
                gradients of their mean are used.
            optimizer: of ``masters``.
            clip: largest 2-norm of all gradients together; None for any.

        Raises:
            ValueError: no micro-batch.
        """
        if not losses:
            raise ValueError("losses: takes at least one function, got none")
        scale = self.loss_scale.scale
        total = self._backward(losses, scale)
        self._unscale(scale)
        gradients = [each.grad for each in self.masters if each.grad is not None]
        overflow = not all(bool(torch.isfinite(each).all()) for each in gradients)
        norm = nn.utils.get_total_norm(gradients)
        lost = 0.0
        if not overflow:
            if clip is not None:
                nn.utils.clip_grads_with_norm_(self.masters, clip, norm)
            lost = self._update(optimizer)
        self.loss_scale.update(overflow)
        return Step(total, scale, overflow, float(norm), lost)

    def _backward(self, losses: Sequence[Loss], scale: float) -> float:
        """Add the scaled gradients of all micro-batches, in FP32, to ``masters``."""
        total = 0.0
        for master in self.masters:
            master.grad = None
        for compute_loss in losses:
            with Autocast(self.precision.compute, simulate=self.precision.simulate):
                loss = compute_loss(self.model) / len(losses)
            torch.autograd.backward(loss.float() * scale)
            total += float(loss.detach())
            for weight, master in zip(self.weights, self.masters, strict=True):
                if master is not weight and weight.grad is not None:
                    gradient = weight.grad.float()
                    master.grad = gradient if master.grad is None else master.grad + gradient
                    weight.grad = None
        return total

    def _unscale(self, scale: float) -> None:
        for master in self.masters:
            if master.grad is not None:
                master.grad *= 1.0 / scale

    @torch.no_grad()
    def _update(self, optimizer: torch.optim.Optimizer) -> float:
        """Let the optimiser change the weights; returns the share of updates that were lost."""
        if self.precision.master_weights:
            optimizer.step()
            self.store()
            return 0.0
        # The update is computed in FP32, but from the stored weights and for them alone: what
        # their format cannot hold is gone before the next step.
        for weight, master in zip(self.weights, self.masters, strict=True):
            master.copy_(weight)
        before = [master.clone() for master in self.masters]
        optimizer.step()
        wanted = [after - old for after, old in zip(self.masters, before, strict=True)]
        self.store()
        return lost_updates(before, wanted, self.weights)

    def store(self) -> None:
        """Round the masters to the weights that the model computes with."""
        for weight, master in zip(self.weights, self.masters, strict=True):
            if master is not weight:
                weight.copy_(master)


# -- what is lost, and what it costs ---------------------------------------------------------------


def lost_updates(
    before: Sequence[Tensor], updates: Sequence[Tensor], after: Sequence[Tensor]
) -> float:
    """Share of the non-zero updates that changed nothing: before + update rounds to before.

    Args:
        before: weights before an update.
        updates: what was to be added to each.
        after: the weights as they were stored.
    """
    wanted = lost = 0
    for old, update, new in zip(before, updates, after, strict=True):
        nonzero = update != 0
        wanted += int(nonzero.sum())
        lost += int((nonzero & (new.to(old.dtype) == old)).sum())
    return lost / max(1, wanted)


def gradients(
    model: nn.Module, compute_loss: Loss, precision: Precision = FP32, scale: float = 1.0
) -> dict[str, Tensor]:
    """Gradients of scale · loss, as ``precision`` computes them; the model stays as it is.

    Args:
        model: its weights in FP32.
        compute_loss: the loss.
        precision: the formats.
        scale: the factor on the loss.

    Returns:
        name of a weight, or of the module whose output it is ("" is the model) → gradient.
    """
    model = copy.deepcopy(model).to(precision.weights)
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.requires_grad:
                output.retain_grad()
                outputs[name] = output

        return hook

    for name, module in model.named_modules():
        module.register_forward_hook(keep(name))
    with Autocast(precision.compute, simulate=precision.simulate):
        loss = compute_loss(model)
    torch.autograd.backward(loss.float() * scale)
    tensors = {**outputs, **dict(model.named_parameters())}
    return {name: each.grad for name, each in tensors.items() if each.grad is not None}


def flushed(reference: Mapping[str, Tensor], measured: Mapping[str, Tensor]) -> float:
    """Share of the non-zero reference gradients that are zero in ``measured``."""
    nonzero = zero = 0
    for name, gradient in reference.items():
        there = gradient != 0
        nonzero += int(there.sum())
        zero += int((there & (measured[name] == 0)).sum())
    return zero / max(1, nonzero)


@dataclass(frozen=True)
class Memory:
    """Bytes of a training run, by what they hold."""

    weights: int
    """Those that the model computes with."""
    masters: int
    """Their FP32 copies, if the weights are not FP32 themselves."""
    gradients: int
    """As they wait for the optimiser, in FP32."""
    optimizer: int
    """Adam's two means and step counts."""
    activations: int
    """What the forward pass keeps for the backward pass."""


def memory(mixed: MixedPrecision, optimizer: torch.optim.Optimizer, compute_loss: Loss) -> Memory:
    """Bytes as they are: of every tensor that is held after a step, and saved within one.

    Args:
        mixed: after at least one step.
        optimizer: of ``mixed.masters``.
        compute_loss: of one micro-batch.
    """
    own = [
        master
        for weight, master in zip(mixed.weights, mixed.masters, strict=True)
        if master is not weight and mixed.precision.master_weights
    ]
    states = [value for state in optimizer.state.values() for value in state.values()]
    return Memory(
        weights=_bytes(mixed.weights),
        masters=_bytes(own),
        gradients=_bytes(each.grad for each in mixed.masters if each.grad is not None),
        optimizer=_bytes(each for each in states if isinstance(each, Tensor)),
        activations=saved_bytes(mixed.model, compute_loss, mixed.precision),
    )


def saved_bytes(model: nn.Module, compute_loss: Loss, precision: Precision) -> int:
    """Bytes that autograd keeps between the forward and the backward pass, without the weights.

    Counted with ``torch.autograd.graph.saved_tensors_hooks``; memory that several operations share
    counts once. A simulated precision saves its FP32 inputs, so ``simulate`` is ignored here.
    """
    weights = {each.untyped_storage().data_ptr() for each in model.parameters()}
    saved: dict[int, Tensor] = {}  # holds each tensor, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in weights:
            saved[address] = tensor
        return tensor

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)
    with hooks, Autocast(precision.compute):
        compute_loss(model)
    return sum(each.untyped_storage().nbytes() for each in saved.values())


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)
