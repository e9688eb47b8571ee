"""The decoder-only language model of the course: one class for toy and real sizes.

The architecture is that of Llama (Touvron et al. 2023): RMSNorm before each layer, rotary
positions, grouped-query attention, SwiGLU. Shapes: B sequences of T tokens, V token ids, C numbers
a token (the width), H heads of D = C / H numbers each, K key/value heads, F inside the feed-forward
layer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcore.validation import check_count, check_positive

if TYPE_CHECKING:
    from speccore.models.kv_cache import KVCache
    from speccore.models.text import ByteTokenizer, SubwordTokenizer

Extend = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(B, K, T, D) new keys and values → those and all before, from a cache."""
Rotation = tuple[Tensor, Tensor]
"""What ``rotary_factors`` returns."""


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a model.

    Raises:
        TypeError, ValueError: a size that is no whole number >= 1, or sizes that do not fit
            together.
    """

    vocab_size: int
    """V, number of token ids."""
    layers: int
    """Number of blocks."""
    width: int
    """C, numbers a token; a multiple of 2 · heads, since rotary positions turn pairs."""
    heads: int
    """H, query heads."""
    kv_heads: int
    """K, key and value heads, a divisor of ``heads``; equal to it for ordinary attention."""
    hidden: int
    """F, numbers a token inside the feed-forward layer."""
    context: int
    """The longest sequence; positions run from 0 to context − 1."""
    rope_theta: float = 10_000.0
    """θ, the base of the rotary frequencies."""
    norm_eps: float = 1e-5
    """ε of RMSNorm."""
    tied: bool = True
    """Whether the embedding matrix is also the output head."""

    def __post_init__(self) -> None:
        for name in ("vocab_size", "layers", "width", "heads", "kv_heads", "hidden", "context"):
            check_count(name, getattr(self, name))
        check_positive("rope_theta", self.rope_theta)
        check_positive("norm_eps", self.norm_eps)
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width: takes a multiple of 2 · heads = {2 * self.heads}, got {self.width}"
            )
        if self.heads % self.kv_heads:
            raise ValueError(
                f"kv_heads: takes a divisor of heads = {self.heads}, got {self.kv_heads}"
            )

    @property
    def head_width(self) -> int:
        """D = C / H."""
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """V·C (twice if untied) + C + layers · (2·C² + 2·C·K·D + 3·C·F + 2·C)."""
        attention = 2 * self.width**2 + 2 * self.width * self.kv_heads * self.head_width
        block = attention + 3 * self.width * self.hidden + 2 * self.width
        embeddings = (1 if self.tied else 2) * self.vocab_size * self.width
        return embeddings + self.width + self.layers * block


class Transformer(nn.Module):
    """A causal language model: p(next token | tokens so far) = softmax(logits).

    Args:
        config: the sizes.
        seed: of the initial weights, normal with standard deviation 0.02, divided by
            √(2 · layers) for the maps that write into the residual stream (Radford et al. 2019,
            section 2.3).

    Attributes:
        tokenizer: what turns text into the model's token ids, for a model that has been loaded.
    """

    tokenizer: ByteTokenizer | SubwordTokenizer | None = None

    def __init__(self, config: TransformerConfig, *, seed: int = 0) -> None:
        super().__init__()
        check_count("seed", seed, minimum=0)
        self.config = config
        # The layers draw weights of their own before ours; that must not move the reader's stream.
        with torch.random.fork_rng(devices=[]):
            self.embedding = nn.Embedding(config.vocab_size, config.width)
            self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
            self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
            self.head: Callable[[Tensor], Tensor] | None = None  # if tied, the embedding
            if not config.tied:
                self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        generator = torch.Generator().manual_seed(seed)
        residual = 0.02 / (2 * config.layers) ** 0.5
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                std = (
                    residual if name.endswith(("attention.output.weight", "down.weight")) else 0.02
                )
                nn.init.normal_(weight, std=std, generator=generator)

    @property
    def dtype(self) -> torch.dtype:
        """Of the numbers with which it computes."""
        return self.norm.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.norm.weight.device

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
    ) -> Tensor:
        """Logits of the token after each token.

        Args:
            tokens: (B, T) token ids.
            positions: (T,) or (B, T) place of each token in its sequence; 0 … T − 1 if None, or
                from the length of the row's cache on.
            mask: (T, T) or (B, T, T), True where a token (row) may look at a token (column);
                each looks at itself and what came before if None. With a cache (T, S) or (B, T,
                S) with S >= T: the last S − T tokens of the cache come first.
            cache: what came before these tokens; they are added to it. All of it is seen, except
                what ``mask`` hides. No gradients can be computed through it.

        Returns:
            (B, T, V).

        Raises:
            TypeError: ``tokens`` that are no tensor of int64 or int32, a cache of another dtype.
            ValueError: ids outside the vocabulary, more tokens than the context or the cache
                hold, positions beyond the context, shapes that do not fit, a cache of another
                configuration or batch.
            RuntimeError: a cache, and gradients are on.
        """
        return self.logits(self.features(tokens, positions, mask, cache)[-1])

    def features(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
        cache: KVCache | None = None,
        layers: int | None = None,
    ) -> list[Tensor]:
        """What stands in the residual stream before the first block and after each.

        Args:
            tokens, positions, mask, cache: as of ``forward``.
            layers: stop after so many blocks, all if None. The others lack these tokens in their
                cache until it has been rolled back and the tokens are read again.

        Returns:
            layers + 1 tensors (B, T, C).
        """
        layers = self._checked(tokens, positions, mask, cache, layers)
        rotation, mask = self._context(tokens, positions, mask, cache)
        features = [self.embedding(tokens)]  # (B, T, C)
        if cache is not None:
            cache.open(tokens.shape[1], layers)
        for number, block in enumerate(islice(self.blocks, layers)):
            extend = None if cache is None else cache.layer(number)
            features.append(block(features[-1], rotation, mask, extend))
        if cache is not None:
            cache.close(tokens.shape[1], layers)
        return features

    def logits(self, features: Tensor) -> Tensor:
        """(B, T, C) features of a layer → (B, T, V): the last norm, then the output head."""
        features = self.norm(features)
        if self.head is None:
            return F.linear(features, self.embedding.weight)
        return self.head(features)

    def _context(
        self, tokens: Tensor, positions: Tensor | None, mask: Tensor | None, cache: KVCache | None
    ) -> tuple[Rotation, Tensor | None]:
        """The rotary factors and the mask that the blocks take."""
        length = tokens.shape[1]
        if cache is not None:
            if positions is None:
                rotation = cache.next_rotation(length)
            else:
                rotation = cache.rotation_at(positions)
            return rotation, cache.mask(length, mask)
        if positions is None:
            positions = torch.arange(length, device=tokens.device)
        if mask is not None:
            mask = mask.unsqueeze(-3)  # the same for all heads
        return rotary_factors(positions, self.config), mask

    def _checked(
        self,
        tokens: Tensor,
        positions: Tensor | None,
        mask: Tensor | None,
        cache: KVCache | None,
        layers: int | None,
    ) -> int:
        """The number of layers to run, when all arguments are what they should be."""
        if not isinstance(tokens, Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            kind = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
            raise TypeError(f"tokens: takes a tensor of int64 or int32, got {kind}")
        if tokens.dim() != 2 or not tokens.numel():
            raise ValueError(f"tokens: takes shape (B, T), got {tuple(tokens.shape)}")
        batch, length = tokens.shape
        _check_range("tokens", tokens, self.config.vocab_size)
        if cache is not None:
            self._check_cache(cache, batch)
        before = 0 if cache is None or positions is not None else max(cache.lengths)
        if before + length > self.config.context:
            raise ValueError(
                f"tokens: takes at most context = {self.config.context} a sequence, "
                f"got {before + length}"
            )
        if positions is not None:
            if positions.shape not in ((length,), (batch, length)):
                raise ValueError(
                    f"positions: takes shape ({length},) or ({batch}, {length}), "
                    f"got {tuple(positions.shape)}"
                )
            _check_range("positions", positions, self.config.context)
        if mask is not None:
            if mask.dtype != torch.bool:
                raise TypeError(f"mask: takes a tensor of bool, got {mask.dtype}")
            cached = 0 if cache is None else min(cache.lengths)
            seen = mask.shape[-1] if length <= mask.shape[-1] <= length + cached else length
            shape = (length, seen)
            if mask.shape not in (shape, (batch, *shape)):
                raise ValueError(
                    f"mask: takes shape {shape} or {(batch, *shape)}, got {tuple(mask.shape)}"
                )
        if layers is None:
            return self.config.layers
        if check_count("layers", layers, minimum=0) > self.config.layers:
            raise ValueError(f"layers: takes a number from 0 to {self.config.layers}, got {layers}")
        return layers

    def _check_cache(self, cache: KVCache, batch: int) -> None:
        if cache.config != self.config:
            raise ValueError(f"cache: takes one for {self.config}, got one for {cache.config}")
        if cache.batch != batch:
            raise ValueError(f"cache: takes one of batch {batch}, got {cache.batch}")
        if cache.keys.dtype != self.dtype:
            raise TypeError(f"cache: takes one of {self.dtype}, got {cache.keys.dtype}")


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x))."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, extend: Extend | None = None
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotation, mask, extend)
        return x + self.feed_forward(self.feed_forward_norm(x))


class Attention(nn.Module):
    """softmax(q kᵀ / √D) v for each head; H / K query heads share one key and value head.

    Vaswani et al. 2017, equation 1; shared keys and values: Ainslie et al. 2023.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.head_width = config.head_width
        self.sharing = config.heads // config.kv_heads
        narrow = config.kv_heads * config.head_width
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, narrow, bias=False)
        self.value = nn.Linear(config.width, narrow, bias=False)
        self.output: Callable[[Tensor], Tensor] = nn.Linear(config.width, config.width, bias=False)

    def forward(
        self, x: Tensor, rotation: Rotation, mask: Tensor | None, extend: Extend | None = None
    ) -> Tensor:
        return self.output(self.mix(*self.project(x, rotation), mask, extend))

    def project(self, x: Tensor, rotation: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, C) → queries and keys, both rotated, and values: (B, H or K, T, D)."""
        q = rotate(self._heads(self.query(x)), rotation)
        k = rotate(self._heads(self.key(x)), rotation)
        return q, k, self._heads(self.value(x))

    def mix(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, extend: Extend | None
    ) -> Tensor:
        """What ``project`` returns → (B, T, C) the values that each token's heads attend to."""
        if extend is None:
            k, v = (each.repeat_interleave(self.sharing, dim=1) for each in (k, v))
        else:
            k, v = extend(k, v)  # (B, K, all so far, D), and not a copy a head
        causal = mask is None and q.shape[2] == k.shape[2]
        y = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=causal, enable_gqa=extend is not None
        )
        return y.transpose(1, 2).flatten(2)

    def _heads(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], -1, self.head_width).transpose(1, 2)


class FeedForward(nn.Module):
    """down(SiLU(gate(x)) · up(x)), SwiGLU (Shazeer 2020, equation 6)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.width, config.hidden, bias=False)
        self.up = nn.Linear(config.width, config.hidden, bias=False)
        self.down: Callable[[Tensor], Tensor] = nn.Linear(config.hidden, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


def rotary_factors(positions: Tensor, config: TransformerConfig) -> Rotation:
    """cos and sin of position · θ^(−2i/D) for i = 0 … D/2 − 1 (Su et al. 2021, equation 15).

    Always in FP32: an angle of a few hundred radians has no digits left in 16 bits.

    Args:
        positions: (T,) or (B, T).

    Returns:
        (1, T, D) or (B, 1, T, D) twice, with an axis for the heads: the cosines, two times over;
        minus the sines, and the sines. So ``rotate`` multiplies with them.
    """
    exponents = torch.arange(0, config.head_width, 2, device=positions.device) / config.head_width
    angles = positions.unsqueeze(-1) * config.rope_theta**-exponents  # (…, T, D/2)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat((cos, cos), -1).unsqueeze(-3), torch.cat((-sin, sin), -1).unsqueeze(-3)


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Turn each pair (x_i, x_{i+D/2}) by its angle; the factors' FP32 wins over 16 bits.

    (x_i, x_{i+D/2}) ↦ (x_i cos − x_{i+D/2} sin, x_{i+D/2} cos + x_i sin). The pairs are those of
    Llama as it is published; the paper pairs neighbours, which is the same up to the order of the
    columns of the weights.

    Args:
        x: (B, heads, T, D).
        rotation: what ``rotary_factors`` returns.
    """
    cos, sin = rotation
    partners = x.roll(x.shape[-1] // 2, -1)
    return torch.addcmul(x * cos, partners, sin).type_as(x)


def _check_range(name: str, ids: Tensor, limit: int) -> None:
    few = ids.numel() <= 32  # where a loop in Python is faster
    ends = ids.flatten() if few else torch.stack(torch.aminmax(ids))
    numbers = ends.tolist()  # waits for the device once
    low, high = min(numbers), max(numbers)
    if low < 0 or high >= limit:
        raise ValueError(
            f"{name}: takes numbers from 0 to {limit - 1}, got {low if low < 0 else high}"
        )
