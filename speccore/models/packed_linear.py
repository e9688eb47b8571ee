"""Linear maps that are good at a few rows on a CPU, and a model made of them.

Decoding multiplies few rows (one token, or a draft of a few) by large matrices. Two things help:

- the layout that fits: a product of one row reads the matrix once, and reads it faster along the
  longer of its sides; for 2 to 16 rows oneDNN, which is compiled for the processor that it finds,
  multiplies a large matrix fastest when it has been rearranged in blocks in advance;
- fewer operations: maps of the same input, side by side, are one map, the factors of the norm
  before it are part of its matrix, on a few rows norm and rotation are a compiled loop each, and on
  a single one all of a small block is.

A third thing changes the results: whole numbers of 8 bits in place of FP32 are a quarter to read.

The operators of oneDNN are private to PyTorch: where they are missing or do not work, the ordinary
ones take their place.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcore.compilation import compiled
from rlcore.validation import Floats
from speccore.models.heads import DraftTokens, Heads, NextFeatures
from speccore.models.kv_cache import CacheLayer
from speccore.models.small_block import (
    ONE,
    block_loop,
    guess_loop,
    multiply_loop,
    normalise_loop,
    turn_loop,
)
from speccore.models.transformer import (
    Attention,
    Block,
    Extend,
    FeedForward,
    Rotation,
    Transformer,
    rotate,
)

WORTH_PACKING = 1_000_000
"""Numbers of a matrix. A call of oneDNN takes 12 to 30 µs longer than an ordinary one: only large
matrices win it back."""
FEW_ROWS = 16
"""Tokens of a pass up to which norms and rotations are compiled loops."""
SMALL_PRODUCT = 100_000
"""Numbers of an output head that one thread has multiplied with one row before others have woken,
which small blocks before it have let sleep."""
SMALL_BLOCK = 500_000
"""Numbers of a block's matrices that a processor finds in its own cache again, for the next token.
Those of larger blocks come from a memory that all processors share, and which several read faster;
and a pass of one token and one of several stay the same operations, so that their times compare."""


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
        weight = _joined(maps)
        if factors is not None:
            weight = weight * factors.detach()
        self.packed: Tensor | None = None
        self.weight: Tensor | None = None
        self.array: Floats | None = None
        if weight.numel() > WORTH_PACKING and onednn_packs():
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        else:
            across = weight.shape[0] >= weight.shape[1]
            self.weight = weight.t().contiguous().t() if across else weight.clone()

    def __call__(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        if self.packed is not None:
            return torch.ops.mkldnn._linear_pointwise.default(x, self.packed, None, "none", [], "")
        array = self.array
        if array is None or x.numel() > len(array) or x.requires_grad:
            return F.linear(x, cast(Tensor, self.weight))
        y = np.empty(array.shape[1], np.float32)
        multiply_loop(_numbers(x), array, y)
        return torch.from_numpy(y).view(*x.shape[:-1], -1)

    def use_loop(self) -> None:
        """Multiply one row by a compiled loop, if the matrix is small."""
        if self.weight is not None and self.weight.numel() <= SMALL_PRODUCT:
            self.array = self.as_array()

    def as_array(self) -> Floats:
        """(in, out) the matrix, if it is not packed, as loops read it: no copy if out >= in."""
        return np.ascontiguousarray(cast(Tensor, self.weight).t().numpy())


class Int8Linear:
    """y ≈ x Wᵀ with W in whole numbers of 8 bits and x in pairs of 7, by FBGEMM.

    Each row of W is divided by a scale of its own, so that its largest number is ±127, and rounded:
    w ≈ s a. A row of x is not only rounded; what is left is magnified and rounded, too: x ≈ r (b +
    c/126), b and c from −63 to 63, so that y ≈ s r (Σ a b + Σ a c / 126), two sums without
    rounding. With b alone a few numbers that are far larger than the others, which language models
    have (Dettmers et al. 2022, section 4), would leave these no digits; and with 8 bits the sum of
    two products can leave the 16 bits in which the processor adds them. A row's result does not
    depend on the rows beside it.

    Args:
        maps, factors: as of ``PackedLinear``.

    Raises:
        TypeError: as of ``PackedLinear``.
        RuntimeError: this PyTorch has no FBGEMM, as on other processors than x86.
    """

    def __init__(self, *maps: Callable[[Tensor], Tensor], factors: Tensor | None = None) -> None:
        weight = _joined(maps)
        if "fbgemm" not in torch.backends.quantized.supported_engines:
            raise RuntimeError("Int8Linear: this PyTorch has no FBGEMM")
        # In W the factors would take digits from its rows.
        self.factors = np.ones(weight.shape[1], np.float32)
        if factors is not None:
            self.factors = factors.detach().numpy().copy()
        scales = weight.abs().amax(1).clamp_min(SMALLEST) / 127
        zeros = torch.zeros(len(scales), dtype=torch.int64)
        with warnings.catch_warnings():  # that PyTorch will move this elsewhere
            warnings.simplefilter("ignore", UserWarning)
            whole = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
        self.packed = torch.ops.quantized.linear_prepack(whole, None)
        self.multiply = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default

    def __call__(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        rows = np.ascontiguousarray(x.reshape(-1, x.shape[-1]).numpy())
        count, width = rows.shape
        pair, scale = np.empty((2 * count, width), np.float32), np.empty(count, np.float32)
        _split(rows, self.factors, pair, scale)
        both = self.multiply(torch.from_numpy(pair), 1.0, 64, self.packed).numpy()
        y = np.empty((count, both.shape[1]), np.float32)
        _add(both, scale, y)
        return torch.from_numpy(y).view(*x.shape[:-1], -1)


SMALLEST = 1e-30
"""The scale of numbers that are all zero."""


@compiled
def _split(x: Floats, factors: Floats, pair: Floats, scale: Floats) -> None:
    """r, b and c of each row: one loop in place of a dozen operations, which take longer than the
    product itself."""
    for row in range(len(x)):
        largest = np.float32(SMALLEST)
        for i in range(x.shape[1]):
            largest = max(largest, abs(x[row, i] * factors[i]))
        scale[row] = largest
        magnified = np.float32(63.0) / largest
        for i in range(x.shape[1]):
            fine = x[row, i] * factors[i] * magnified
            whole = np.rint(fine)
            pair[row, i] = whole
            pair[len(x) + row, i] = np.float32(126.0) * (fine - whole)


@compiled
def _add(both: Floats, scale: Floats, y: Floats) -> None:
    for row in range(len(y)):
        factor = scale[row] / np.float32(63.0)
        for j in range(y.shape[1]):
            y[row, j] = (both[row, j] + both[len(y) + row, j] / np.float32(126.0)) * factor


def _joined(maps: Sequence[Callable[[Tensor], Tensor]]) -> Tensor:
    """(out, in) one matrix of several maps of the same input."""
    weights = [cast(nn.Linear, each).weight.detach() for each in maps]
    for weight in weights:
        if weight.dtype != torch.float32 or weight.device.type != "cpu":
            raise TypeError(
                f"maps: takes weights of torch.float32 on the CPU, "
                f"got {weight.dtype} on {weight.device}"
            )
    if any(getattr(each, "bias", None) is not None for each in maps):
        raise TypeError("maps: takes layers without bias")
    return weights[0] if len(weights) == 1 else torch.cat(weights)


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
Linear = type[PackedLinear] | type[Int8Linear]


def packed(model: Model, linear: Linear = PackedLinear) -> Model:
    """A copy of a model or of heads for the CPU, with the same results up to rounding.

    It has no gradients, and a state dict without the matrices: keep the model itself if it is to be
    trained or saved. The embedding is the model's own and no copy, as it is large and only looked
    up.

    Args:
        model: in FP32, on the CPU.
        linear: ``Int8Linear`` for a model of a quarter of the size, which is faster still, and
            another model: it has logits of its own.

    Raises:
        TypeError: a model that is packed already, in another format than FP32, or on another
            device.
    """
    if is_packed(model):
        raise TypeError("model: takes one that is not packed yet")
    # Matrices are packed as they are, and each is given up when it is packed, if the caller has not
    # kept the model: a model that is packed as soon as it is loaded is never there twice.
    maps = (each for each in model.modules() if isinstance(each, nn.Linear | nn.Embedding))
    as_they_are = {
        id(each.weight): nn.Parameter(each.weight.detach(), requires_grad=False) for each in maps
    }
    twin: Any = copy.deepcopy(model, as_they_are).requires_grad_(False)
    del model, maps, as_they_are
    if isinstance(twin, Transformer):
        output = twin.embedding if twin.head is None else twin.head
        head = linear(output, factors=_factors(twin.norm))
        if isinstance(head, PackedLinear):
            head.use_loop()
        _replace(twin, "head", head)
        _replace(twin, "norm", _Direction(twin.norm))
    kinds = (Block, NextFeatures, DraftTokens)
    for part in [each for each in twin.modules() if isinstance(each, kinds)][::-1]:  # inner first
        if isinstance(part, Block):
            matrices = sum(each.numel() for each in part.parameters() if each.dim() == 2)
            part.attention = _PackedAttention(part.attention, part.attention_norm, linear)
            part.feed_forward = _PackedFeedForward(
                part.feed_forward, part.feed_forward_norm, linear
            )
            _replace(part, "attention_norm", _Direction(part.attention_norm))
            _replace(part, "feed_forward_norm", _Direction(part.feed_forward_norm))
            part.__class__ = _PackedBlock
            if linear is PackedLinear and matrices <= SMALL_BLOCK:
                part.__class__ = _SmallBlock
                cast(_SmallBlock, part).take_arrays()
        elif isinstance(part, NextFeatures):
            _replace(part, "join", linear(part.join))
            if isinstance(part.block, _SmallBlock) and part.joins_directions:
                part.__class__ = _SmallNextFeatures
                cast(_SmallNextFeatures, part).take_array()
        elif isinstance(part, DraftTokens):
            part.map = linear(part)
            part.register_buffer("weight", None)
    return cast(Model, twin)


def is_packed(model: Transformer | Heads) -> bool:
    """Whether ``packed`` has made it."""
    return any(isinstance(each, _PackedAttention) for each in model.modules())


def _replace(module: nn.Module, name: str, function: Callable[[Tensor], Tensor]) -> None:
    delattr(module, name)  # a module lets only modules take the place of one
    setattr(module, name, function)


def _is_few(x: Tensor, most: int = FEW_ROWS) -> bool:
    """Whether compiled loops take x: (1, T, C), few tokens of one text, without gradients."""
    return x.dim() == 3 and len(x) == 1 and x.shape[1] <= most and not x.requires_grad


def _numbers(x: Tensor) -> Floats:
    """All numbers of x in a row, in the same memory if that has no gaps."""
    return x.reshape(-1).numpy()


class _Direction:
    """RMSNorm without its factors: x / √(‖x‖² + ε C), the square root being a hypotenuse.

    With ``_factors``, weight · √C, which the map behind it has taken over, it is RMSNorm.
    """

    def __init__(self, norm: nn.RMSNorm) -> None:
        self.weight = norm.weight  # only says what numbers the model has
        self.floor = torch.tensor((cast(float, norm.eps) * norm.weight.numel()) ** 0.5)
        self.least = np.float32(self.floor.item() ** 2)

    def __call__(self, x: Tensor) -> Tensor:
        if _is_few(x):
            return self.of_rows(x[0]).unsqueeze(0)
        length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x / torch.hypot(length, self.floor)

    def of_rows(self, x: Tensor) -> Tensor:
        """As above, for (T, C) few rows."""
        h = torch.empty_like(x)
        normalise_loop(x.numpy(), self.least, h.numpy())
        return h


def _factors(norm: nn.RMSNorm) -> Tensor:
    return norm.weight * norm.weight.numel() ** 0.5


class _PackedBlock(Block):
    """A block of packed maps, with a path of fewer operations for a few tokens of one text: on so
    few numbers an operation of PyTorch takes longer to begin than to do."""

    attention: _PackedAttention
    feed_forward: _PackedFeedForward
    attention_norm: _Direction  # type: ignore[assignment]
    feed_forward_norm: _Direction  # type: ignore[assignment]

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, extend: Extend | None = None
    ) -> Tensor:
        if extend is None or not _is_few(x):
            return super().forward(x, rotation, mask, extend)
        rows = x[0]
        q, k, v = self.attention.project_rows(self.attention_norm.of_rows(rows), rotation)
        rows = rows + self.attention.output(self.attention.mix(q, k, v, mask, extend)[0])
        return rows.add_(self.feed_forward.forward(self.feed_forward_norm.of_rows(rows)))[None]


class _SmallBlock(_PackedBlock):
    """A packed block that is a compiled loop on a single token of one text."""

    def take_arrays(self) -> None:
        """Keep what the loop takes."""
        attention, feed_forward = self.attention, self.feed_forward
        maps = attention.joined, attention.output, feed_forward.joined, feed_forward.down
        projection, output, gate_and_up, down = (cast(PackedLinear, m).as_array() for m in maps)
        least, least_after = self.attention_norm.least, self.feed_forward_norm.least
        self.weights = least, projection, output, least_after, gate_and_up, down

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, extend: Extend | None = None
    ) -> Tensor:
        if not isinstance(extend, CacheLayer) or not _is_few(x, 1):
            return super().forward(x, rotation, mask, extend)
        keys, values, column = extend.arrays
        added = np.zeros(column + 1, np.float32) if mask is None else _numbers(mask)
        cos, sin = (each.view(1, -1).numpy() for each in rotation)
        y = torch.empty_like(x)
        block_loop(x[0].numpy(), cos, sin, keys, values, added, self.weights, y[0].numpy())
        return y


class _SmallNextFeatures(NextFeatures):
    """The same before a small block: a compiled loop, if only the last token is asked for."""

    block: _SmallBlock

    def take_array(self) -> None:
        """Keep the matrix as the loop takes it."""
        self.weights = cast(PackedLinear, self.join).as_array()

    def last(
        self,
        features: Tensor,
        embeddings: Tensor,
        rotation: Rotation,
        mask: Tensor | None = None,
        extend: Extend | None = None,
    ) -> Tensor:
        if not isinstance(extend, CacheLayer) or not _is_few(features):
            return super().last(features, embeddings, rotation, mask, extend)
        count = features.shape[1]
        keys, values, column = extend.arrays
        columns = column + count
        added = np.zeros(columns, np.float32) if mask is None else _numbers(mask)[-columns:]
        cos, sin = (each.view(count, -1).numpy() for each in rotation)
        y = np.empty((1, features.shape[2]), np.float32)
        guess_loop(
            features[0].numpy(),
            embeddings[0].numpy(),
            self.weights,
            cos,
            sin,
            keys,
            values,
            added,
            self.block.weights,
            y,
        )
        return torch.from_numpy(y)[None]


class _PackedAttention(Attention):
    def __init__(self, attention: Attention, norm: nn.RMSNorm, linear: Linear) -> None:
        nn.Module.__init__(self)  # the layers are those of `attention`, no new ones
        self.head_width, self.sharing = attention.head_width, attention.sharing
        maps = (attention.query, attention.key, attention.value)
        self.joined = linear(*maps, factors=_factors(norm))
        self.output = linear(attention.output)
        self.kv_heads = attention.key.out_features // self.head_width
        self.heads = self.kv_heads * self.sharing

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        heads = self._heads(self.joined(x))  # (B, H + 2 K, T, D)
        to_turn, v = torch.split_with_sizes(heads, (self.heads + self.kv_heads, self.kv_heads), 1)
        turned = rotate(to_turn, rotation)
        q, k = torch.split_with_sizes(turned, (self.heads, self.kv_heads), 1)
        return q, k, v

    def project_rows(self, x: Tensor, rotation: Rotation) -> Sequence[Tensor]:
        """(T, C) → as ``project``, of one text."""
        count = len(x)
        heads = self.joined(x).view(count, -1, self.head_width)  # (T, H + 2 K, D)
        cos, sin = (each.view(count, -1).numpy() for each in rotation)
        turn_loop(heads.numpy(), cos, sin, self.heads + self.kv_heads)
        heads = heads.transpose(0, 1).unsqueeze(0)
        return heads.split_with_sizes((self.heads, self.kv_heads, self.kv_heads), 1)


class _PackedFeedForward(FeedForward):
    def __init__(self, feed_forward: FeedForward, norm: nn.RMSNorm, linear: Linear) -> None:
        nn.Module.__init__(self)  # the layers are those of `feed_forward`, no new ones
        self.joined = linear(feed_forward.gate, feed_forward.up, factors=_factors(norm))
        self.down = linear(feed_forward.down)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.joined(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


def compile_loops() -> None:
    """Compile every loop above, by running it once on numbers of the types that models pass."""
    x, y, pair = (np.ones((rows, 2), np.float32) for rows in (1, 1, 2))
    wide, one = np.ones((2, 6), np.float32), np.ones(1, np.float32)
    _split(x, x[0], pair, y[0])
    _add(pair, y[0], y)
    normalise_loop(x, ONE, y)
    turn_loop(x[None], x, x, 1)
    weights = ONE, wide, pair, ONE, wide, pair
    block_loop(x, x, x, x[None], x[None], one, weights, y)
    guess_loop(x, x, np.ones((4, 2), np.float32), x, x, x[None], x[None], one, weights, y)
