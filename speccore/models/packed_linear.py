"""Linear maps that are good at a few rows on a CPU, and a model made of them.

Decoding multiplies few rows (one token, or a draft of a few) by large matrices. Two things help:

- the layout that fits: a product of one row reads the matrix once, and reads it faster along the
  longer of its sides; oneDNN, which is compiled for the processor that it finds, takes 2 to 16 rows
  with a matrix that has been rearranged in blocks in advance;
- fewer operations: maps of the same input, side by side, are one map, and the factors of the
  norm before it are part of its matrix.

The operators of oneDNN are private to PyTorch: where they are missing or do not work, the ordinary
ones take their place.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speccore.models.heads import Heads, NextFeatures
from speccore.models.transformer import Attention, Block, FeedForward, Rotation, Transformer, rotate

WORTH_PACKING = 100_000
"""Numbers of a matrix. A call of oneDNN takes some 12 µs longer than an ordinary one: smaller
matrices never win it back."""


class PackedLinear:
    """y = x Wᵀ with W arranged for inference.

    No module: calling one takes as long as a small product. So it is no part of a state dict.

    Args:
        maps: layers with a ``weight`` of FP32 on the CPU and without bias, of the same input; their
            results stand side by side. The weights are copied.
        factors: (in,) what the inputs are multiplied with first, as part of W; None for nothing.

    Raises:
        TypeError: weights in another format or on another device, a layer with bias.
    """

    def __init__(self, *maps: Callable[[Tensor], Tensor], factors: Tensor | None = None) -> None:
        weights = [cast(nn.Linear, each).weight.detach() for each in maps]
        for weight in weights:
            if weight.dtype != torch.float32 or weight.device.type != "cpu":
                raise TypeError(
                    f"maps: takes weights of torch.float32 on the CPU, "
                    f"got {weight.dtype} on {weight.device}"
                )
        if any(getattr(each, "bias", None) is not None for each in maps):
            raise TypeError("maps: takes layers without bias")
        weight = torch.cat(weights)  # (out, in)
        if factors is not None:
            weight = weight * factors.detach()
        self.packed: Tensor | None = None
        if weight.numel() > WORTH_PACKING and onednn_packs():
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        if weight.shape[0] > weight.shape[1]:
            weight = weight.t().contiguous().t()
        self.weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        if self.packed is None or x.numel() == x.shape[-1]:
            return F.linear(x, self.weight)
        return torch.ops.mkldnn._linear_pointwise.default(x, self.packed, None, "none", [], "")


@cache
def onednn_packs() -> bool:
    """Whether this PyTorch has oneDNN's packed product on this processor, and it is right."""
    # As large as what is packed, so that threads share the work: where the environment grants fewer
    # than PyTorch counts on (OMP_THREAD_LIMIT), oneDNN leaves out the others' part without a word.
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(WORTH_PACKING // 256 + 8, 256, generator=generator)
    x = torch.randn(3, 256, generator=generator)
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        y = torch.ops.mkldnn._linear_pointwise.default(x, packed, None, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    return torch.allclose(y, F.linear(x, weight), rtol=0, atol=1e-4)


Model = TypeVar("Model", bound=Transformer | Heads)


def packed(model: Model) -> Model:
    """A copy of a model or of heads for the CPU, with the same results up to rounding.

    It holds each large matrix twice. It has no gradients, and a state dict without the matrices:
    keep the model itself if it is to be trained or saved.

    Raises:
        TypeError: a model that is packed already, in another format than FP32, or on another
            device.
    """
    if is_packed(model):
        raise TypeError("model: takes one that is not packed yet")
    twin: Any = copy.deepcopy(model).requires_grad_(False)
    for part in list(twin.modules()):
        if isinstance(part, Block):
            part.attention = _PackedAttention(part.attention, part.attention_norm)
            part.feed_forward = _PackedFeedForward(part.feed_forward, part.feed_forward_norm)
            _replace(part, "attention_norm", _Direction(part.attention_norm))
            _replace(part, "feed_forward_norm", _Direction(part.feed_forward_norm))
        elif isinstance(part, NextFeatures):
            _replace(part, "join", PackedLinear(part.join))
    if isinstance(twin, Transformer):
        output = twin.embedding if twin.head is None else twin.head
        _replace(twin, "head", PackedLinear(output, factors=_factors(twin.norm)))
        _replace(twin, "norm", _Direction(twin.norm))
    return cast(Model, twin)


def is_packed(model: Transformer | Heads) -> bool:
    """Whether ``packed`` has made it."""
    return any(isinstance(each, _PackedAttention) for each in model.modules())


def _replace(module: nn.Module, name: str, function: Callable[[Tensor], Tensor]) -> None:
    delattr(module, name)  # a module lets only modules take the place of one
    setattr(module, name, function)


class _Direction:
    """RMSNorm without its factors: x / √(‖x‖² + ε C), the square root being a hypotenuse.

    With ``_factors``, weight · √C, which the map behind it has taken over, it is RMSNorm.
    """

    def __init__(self, norm: nn.RMSNorm) -> None:
        self.weight = norm.weight  # only says what numbers the model has
        self.floor = torch.tensor((cast(float, norm.eps) * norm.weight.numel()) ** 0.5)

    def __call__(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / torch.hypot(length, self.floor)


def _factors(norm: nn.RMSNorm) -> Tensor:
    return norm.weight * norm.weight.numel() ** 0.5


class _PackedAttention(Attention):
    def __init__(self, attention: Attention, norm: nn.RMSNorm) -> None:
        nn.Module.__init__(self)  # the layers are those of `attention`, no new ones
        self.head_width, self.sharing = attention.head_width, attention.sharing
        maps = (attention.query, attention.key, attention.value)
        self.joined = PackedLinear(*maps, factors=_factors(norm))
        self.output = PackedLinear(attention.output)
        self.kv_heads = attention.key.out_features // self.head_width
        self.heads = self.kv_heads * self.sharing

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        heads = self._heads(self.joined(x))  # (B, H + 2 K, T, D)
        to_turn, v = torch.split_with_sizes(heads, (self.heads + self.kv_heads, self.kv_heads), 1)
        turned = rotate(to_turn, rotation)
        q, k = torch.split_with_sizes(turned, (self.heads, self.kv_heads), 1)
        return q, k, v


class _PackedFeedForward(FeedForward):
    def __init__(self, feed_forward: FeedForward, norm: nn.RMSNorm) -> None:
        nn.Module.__init__(self)  # the layers are those of `feed_forward`, no new ones
        self.joined = PackedLinear(feed_forward.gate, feed_forward.up, factors=_factors(norm))
        self.down = PackedLinear(feed_forward.down)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.joined(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)
