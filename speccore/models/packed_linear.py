"""Linear maps that are good at a few rows on a CPU, and a model made of them.

Decoding multiplies few rows (one token, or a draft of a few) by large matrices. Two things help:

- the layout that fits: a product of one row reads the matrix once, and reads it faster along the
  longer of its sides; oneDNN, which is compiled for the processor that it finds, takes 2 to 16 rows
  with a matrix that has been rearranged in blocks in advance;
- fewer and larger products: maps of the same input, side by side, are one map.

The operators of oneDNN are private to PyTorch: where they are missing or do not work, the ordinary
ones take their place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from functools import cache
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from speccore.models.transformer import Attention, Block, FeedForward, Transformer, rotate

WORTH_PACKING = 2**17
"""A call of oneDNN takes some 12 µs longer than an ordinary one: smaller matrices never win it
back."""


class PackedLinear(nn.Module):
    """y = x Wᵀ with W arranged for inference; it is no part of the state dict.

    Args:
        maps: layers with a ``weight`` of FP32 on the CPU and without bias, of the same input; their
            results stand side by side. The weights are copied.

    Raises:
        TypeError: weights in another format or on another device, a layer with bias.
    """

    def __init__(self, *maps: nn.Module) -> None:
        super().__init__()
        weights = [cast(Tensor, each.weight).detach() for each in maps]
        for weight in weights:
            if weight.dtype != torch.float32 or weight.device.type != "cpu":
                raise TypeError(
                    f"maps: takes weights of torch.float32 on the CPU, "
                    f"got {weight.dtype} on {weight.device}"
                )
        if any(getattr(each, "bias", None) is not None for each in maps):
            raise TypeError("maps: takes layers without bias")
        weight = torch.cat(weights)  # (out, in)
        self.packed: Tensor | None = None
        if weight.numel() > WORTH_PACKING and onednn_packs():
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        if weight.shape[0] > weight.shape[1]:
            weight = weight.t().contiguous().t()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
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


def packed(model: Transformer) -> Transformer:
    """A copy of a model for inference on the CPU, with the same results up to rounding.

    It holds each large matrix twice. It has no gradients, and a state dict without the matrices:
    keep the model itself if it is to be trained or saved.

    Raises:
        TypeError: a model that is packed already, in another format than FP32, or on another
            device.
    """
    if isinstance(model.head, PackedLinear):
        raise TypeError("model: takes one that is not packed yet")
    twin = copy.deepcopy(model).requires_grad_(False)
    for block in cast(Iterable[Block], twin.blocks):
        block.attention_norm = _ShortNorm(block.attention_norm)
        block.feed_forward_norm = _ShortNorm(block.feed_forward_norm)
        block.attention = _PackedAttention(block.attention)
        block.feed_forward = _PackedFeedForward(block.feed_forward)
    twin.norm = _ShortNorm(twin.norm)
    twin.head = PackedLinear(twin.embedding if twin.head is None else twin.head)
    return twin


class _ShortNorm(nn.RMSNorm):
    """RMSNorm in four operations: √(mean x² + ε) · √C = √(‖x‖² + ε C), a hypotenuse."""

    def __init__(self, norm: nn.RMSNorm) -> None:
        nn.Module.__init__(self)  # the weight is that of `norm`, no new one
        self.weight = norm.weight
        width, eps = norm.weight.numel(), cast(float, norm.eps)
        self.scale = norm.weight.detach() * width**0.5
        self.floor = torch.tensor((eps * width) ** 0.5)

    def forward(self, x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / torch.hypot(length, self.floor) * self.scale


class _PackedAttention(Attention):
    def __init__(self, attention: Attention) -> None:
        nn.Module.__init__(self)  # the layers are those of `attention`, no new ones
        self.head_width, self.sharing = attention.head_width, attention.sharing
        self.joined = PackedLinear(attention.query, attention.key, attention.value)
        self.output = PackedLinear(attention.output)
        self.kv_heads = attention.key.out_features // self.head_width

    def project(self, x: Tensor, rotation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heads = self._heads(self.joined(x))  # (B, H + 2 K, T, D)
        turned = rotate(heads[:, : -self.kv_heads], rotation)
        return (
            turned[:, : -self.kv_heads],
            turned[:, -self.kv_heads :],
            heads[:, -self.kv_heads :],
        )


class _PackedFeedForward(FeedForward):
    def __init__(self, feed_forward: FeedForward) -> None:
        nn.Module.__init__(self)  # the layers are those of `feed_forward`, no new ones
        self.joined = PackedLinear(feed_forward.gate, feed_forward.up)
        self.down = PackedLinear(feed_forward.down)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.joined(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)
