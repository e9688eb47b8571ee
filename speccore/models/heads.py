"""Heads on a trunk that guess several tokens ahead: what is each guess computed from?

A *trunk* is a trained ``Transformer``. Its *features* f_i, what the last block leaves in the
residual stream after token t_i, are what its output head reads t_{i+1} from. All heads do one
thing: they make features from which the same output head reads a later token, guess k the token
t_{i+1+k}. They differ in what they make them from.

heads            guess k is computed from                   published by
---------------  -----------------------------------------  ---------------------------------
MedusaHeads      f_i, by a residual block of its own        Cai et al. 2024
BlockwiseHeads   f_i, by a feed-forward layer of its own    Stern et al. 2018
MTPHeads         f_0 … f_i, by a transformer block          Gloeckle et al. 2024 (Meta)
MTPModules       the features of guess k − 1 and t_{i+k},   DeepSeek-AI 2024
                 by a transformer block of its own
EagleHead        the same, by one block for all k           Li et al. 2024

The first three do not know the tokens in between, and so guess all of them at once; the last two
do, and guess one after the other. Shapes: B sequences of T tokens, C numbers a token, K guesses, V
token ids.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rlcore.validation import check_count
from speccore.models.kv_cache import KVCache
from speccore.models.transformer import (
    Block,
    Extend,
    Transformer,
    TransformerConfig,
    rotary_factors,
)

Read = Callable[[Tensor], Tensor]
"""(1, T, C) features of the next T tokens of a text → (K, C) what is guessed after the last."""


class Heads(nn.Module):
    """What all heads have in common.

    Args:
        config: of the trunk.
        count: K >= 1, guesses.
        seed: of the initial weights.

    Attributes:
        settings: the arguments beside ``config``, to build the same heads again.
        draft_tokens: what ``guess_among`` has set; None for all tokens of the trunk.
    """

    draft_tokens: DraftTokens | None

    def __init__(self, config: TransformerConfig, count: int, *, seed: int, **more: Any) -> None:
        super().__init__()
        check_count("seed", seed, minimum=0)
        self.config = config
        self.count = check_count("count", count)
        self.settings: dict[str, Any] = {"count": count, "seed": seed, **more}
        self.draft_tokens = None

    def guess_among(self, tokens: Sequence[int], trunk: Transformer) -> None:
        """Guess some tokens only, the frequent ones, since reading all rows of a large output head
        takes long (Zhao et al. 2025, FR-Spec).

        Args:
            tokens: increasing ids.
            trunk: whose output head the rows are copied from; not packed.

        Raises:
            TypeError: heads with output maps of their own.
            ValueError: tokens that do not increase or are outside the vocabulary.
        """
        if self.settings.get("own_output"):
            raise TypeError("heads: takes heads that read the trunk's output head, not own ones")
        self.draft_tokens = DraftTokens(tokens, trunk)

    @abstractmethod
    def guesses(self, features: Tensor, embeddings: Tensor) -> list[Tensor]:
        """The features of all guesses of a whole text, for training.

        Args:
            features: (B, T, C) of the trunk.
            embeddings: (B, T, C) of the tokens t_0 … t_{T−1}.

        Returns:
            K tensors; number k − 1 has shape (B, T − k, C) and holds what is guessed for t_{i+1+k}
            at i = 0 … T − 1 − k. (The last targets of a window are t_T.)
        """

    def logits(self, trunk: Transformer, guess: Tensor, k: int) -> Tensor:
        """(…, C) features of guess k = 1 … K → (…, V), by the trunk's own norm and output head."""
        return self._of_all_tokens(self.narrow_logits(trunk, guess, k))

    def narrow_logits(self, trunk: Transformer, guess: Tensor, k: int) -> Tensor:
        """As ``logits``, of the tokens that are guessed, if these are not all."""
        return self.read_out(trunk, guess)

    def all_logits(self, trunk: Transformer, guesses: Tensor) -> Tensor:
        """(K, C) features of the first guesses of a moment → (K, V)."""
        return self._of_all_tokens(self.read_out(trunk, guesses))

    def read_out(self, trunk: Transformer, features: Tensor) -> Tensor:
        """(…, C) features → the trunk's logits of the tokens that are guessed, (…, V) if of all."""
        return trunk.logits(features) if self.draft_tokens is None else self.draft_tokens(features)

    def _of_all_tokens(self, logits: Tensor) -> Tensor:
        return logits if self.draft_tokens is None else self.draft_tokens.spread(logits)

    def _draw(self, seed: int) -> None:
        """Weights like the trunk's; maps that add to the residual stream start at zero or small."""
        generator = torch.Generator().manual_seed(seed)
        for name, weight in self.named_parameters():
            if weight.dim() >= 2:
                small = name.endswith(("attention.output.weight", "down.weight"))
                std = 0.02 / 2**0.5 if small else 0.02
                nn.init.normal_(weight, std=std, generator=generator)


class DraftTokens(nn.Module):
    """The part of a trunk's norm and output head for some tokens; no part of a state dict.

    Args:
        tokens, trunk: as of ``Heads.guess_among``.
    """

    def __init__(self, tokens: Sequence[int], trunk: Transformer) -> None:
        super().__init__()
        size = trunk.config.vocab_size
        ends = (-1, *tokens, size)
        if not tokens or any(one >= other for one, other in pairwise(ends)):
            raise ValueError(
                f"tokens: takes increasing numbers from 0 to {size - 1}, got {list(tokens)[:5]} …"
            )
        head = trunk.embedding if trunk.head is None else trunk.head
        ids = torch.tensor(tokens)
        rows: Tensor = head.weight.detach()[ids]  # type: ignore[union-attr]
        self.size = size
        self.eps = cast(float, trunk.norm.eps)
        self.ids: Tensor
        self.weight: Tensor
        self.register_buffer("ids", ids, persistent=False)
        self.register_buffer("weight", rows * trunk.norm.weight.detach(), persistent=False)
        self.map: Callable[[Tensor], Tensor] | None = None  # in place of the weight, if packed

    def forward(self, features: Tensor) -> Tensor:
        """(…, C) features → (…, N) logits of the N tokens."""
        h = F.rms_norm(features, features.shape[-1:], eps=self.eps)
        return F.linear(h, self.weight) if self.map is None else self.map(h)

    def spread(self, logits: Tensor) -> Tensor:
        """(…, N) logits → (…, V): a number so low for all other tokens that none is guessed."""
        wide = logits.new_full((*logits.shape[:-1], self.size), NOT_GUESSED)
        wide[..., self.ids] = logits
        return wide


NOT_GUESSED = -1e9
"""The logit of a token that is not guessed; finite, as all logits."""


# -- all at once, from the trunk's features alone --------------------------------------------------


class ParallelHeads(Heads):
    """Heads that guess all K tokens at once."""

    @abstractmethod
    def parallel(self, features: Tensor, which: slice = slice(None)) -> Tensor:
        """(B, T, C) features → (K, B, T, C) features of all guesses, or of some."""

    def guesses(self, features: Tensor, embeddings: Tensor) -> list[Tensor]:
        """As of ``Heads``; the tokens are not looked at."""
        length = features.shape[1]
        return [each[:, : length - k] for k, each in enumerate(self.parallel(features).unbind(), 1)]

    def reader(self, count: int | None = None) -> Read:
        """What guesses along a growing text: here it has nothing to remember.

        Args:
            count: so many guesses, all K if None; the other heads are not asked.
        """
        return lambda features: self.parallel(features[:, -1:], slice(count))[:, 0, 0]


class MedusaHeads(ParallelHeads):
    """Guess k: h + SiLU(W_k h), h the direction of f_i (Cai et al. 2024, section 2.1.1).

    W_k starts at zero, so that each head starts as the trunk's own output head. (The paper has the
    trunk's last norm before the block; here it stands behind it, where the output head has it, and
    h is f_i divided by its root mean square.)

    Args:
        config: of the trunk.
        count: K >= 1, heads.
        own_output: whether each head has an output map of its own, copied from the trunk's at the
            start with ``copy_output``, or all share the trunk's.
    """

    def __init__(
        self, config: TransformerConfig, count: int = 4, *, own_output: bool = False, seed: int = 0
    ) -> None:
        super().__init__(config, count, seed=seed, own_output=own_output)
        self.maps = nn.Parameter(torch.zeros(count, config.width, config.width))
        self.output_norm: nn.RMSNorm | None = None
        if own_output:
            self.output_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
            self.outputs = nn.Parameter(torch.zeros(count, config.vocab_size, config.width))

    @torch.no_grad()
    def copy_output(self, trunk: Transformer) -> None:
        """Start the heads' own output maps as the trunk's.

        Raises:
            TypeError: heads that share it.
        """
        if self.output_norm is None:
            raise TypeError("heads: takes heads with own_output=True, these share the trunk's")
        head = trunk.embedding if trunk.head is None else trunk.head
        self.outputs.copy_(head.weight.expand_as(self.outputs))  # type: ignore[union-attr]
        self.output_norm.load_state_dict(trunk.norm.state_dict())

    def parallel(self, features: Tensor, which: slice = slice(None)) -> Tensor:
        """(B, T, C) features → (K, B, T, C)."""
        h = directions(features).flatten(0, 1)  # (B · T, C)
        guesses = h + F.silu(torch.matmul(h, self.maps[which].mT))  # (K, B · T, C)
        return guesses.view(-1, *features.shape)

    def narrow_logits(self, trunk: Transformer, guess: Tensor, k: int) -> Tensor:
        """(…, C) features of guess k → (…, V), or those of the tokens that are guessed."""
        if self.output_norm is None:
            return super().narrow_logits(trunk, guess, k)
        return F.linear(self.output_norm(guess), self.outputs[k - 1])

    def all_logits(self, trunk: Transformer, guesses: Tensor) -> Tensor:
        """(K, C) → (K, V)."""
        if self.output_norm is None:
            return super().all_logits(trunk, guesses)
        outputs = self.outputs[: len(guesses)]
        return torch.einsum("kc,kvc->kv", self.output_norm(guesses), outputs)


class BlockwiseHeads(ParallelHeads):
    """Guess k: h + V_k ReLU(U_k h), h the direction of f_i (Stern et al. 2018, section 6).

    Blockwise parallel decoding: one hidden layer of K · F numbers, a residual connection to each of
    the K outputs, and the trunk's output head for all. (The paper computes the next token so as
    well; here it stays the trunk's own.)

    Args:
        config: of the trunk; F = ``hidden``.
        count: K >= 1, guesses.
    """

    def __init__(self, config: TransformerConfig, count: int = 4, *, seed: int = 0) -> None:
        super().__init__(config, count, seed=seed)
        self.up = nn.Parameter(torch.empty(count, config.hidden, config.width))
        self.down = nn.Parameter(torch.empty(count, config.width, config.hidden))
        self._draw(seed)
        nn.init.zeros_(self.down)

    def parallel(self, features: Tensor, which: slice = slice(None)) -> Tensor:
        """(B, T, C) features → (K, B, T, C)."""
        h = directions(features).flatten(0, 1)  # (B · T, C)
        hidden = torch.relu(torch.matmul(h, self.up[which].mT))  # (K, B · T, F)
        return (h + torch.matmul(hidden, self.down[which].mT)).view(-1, *features.shape)


class MTPHeads(ParallelHeads):
    """Guess k: a transformer block of its own over f_0 … f_i (Gloeckle et al. 2024, section 2).

    The blocks read the directions of the features. In the paper the next token has such a block,
    too: here it is the last one of the trunk.

    Args:
        config: of the trunk; the blocks are like its own.
        count: K >= 1, heads beside the one for the next token (the paper's n is K + 1).
    """

    def __init__(self, config: TransformerConfig, count: int = 4, *, seed: int = 0) -> None:
        super().__init__(config, count, seed=seed)
        with torch.random.fork_rng(devices=[]):
            self.blocks = nn.ModuleList(Block(config) for _ in range(count))
        self._draw(seed)

    def parallel(self, features: Tensor, which: slice = slice(None)) -> Tensor:
        """(B, T, C) features → (K, B, T, C)."""
        positions = torch.arange(features.shape[1], device=features.device)
        rotation = rotary_factors(positions, self.config)
        h = directions(features)
        return torch.stack([block(h, rotation, None) for block in self.blocks[which]])

    def reader(self, count: int | None = None) -> Read:
        """What guesses along a growing text: the blocks keep their keys and values.

        Args:
            count: so many guesses, all K if None; the other blocks are not run.
        """
        asked = list(self.blocks)[:count]
        weight = cast(Block, asked[0]).attention_norm.weight
        config = replace(self.config, layers=len(asked))
        cache = KVCache(config, dtype=weight.dtype, device=weight.device)

        def read(features: Tensor) -> Tensor:
            made = read_on(asked, (directions(features),), cache)
            return torch.stack([each[0, -1] for each in made])

        return read


# -- one after the other, each from the token before -----------------------------------------------


class NextFeatures(nn.Module):
    """Features of the next position from those of this one and the next token: M [f; e], a block.

    Args:
        config: of the trunk.
        norms: whether f and e are each normalised by an RMSNorm of their own; else f is divided by
            its root mean square, without factors, and e is taken as it is.
        reads_features: False leaves f out, so that the block knows the tokens only.
    """

    def __init__(
        self, config: TransformerConfig, *, norms: bool, reads_features: bool = True
    ) -> None:
        super().__init__()
        self.features_norm = self.embedding_norm = None
        if norms:
            self.features_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
            self.embedding_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.reads_features = reads_features
        inputs = 2 * config.width if reads_features else config.width
        self.join: Callable[[Tensor], Tensor] = nn.Linear(inputs, config.width, bias=False)
        self.block = Block(config)

    @property
    def joins_directions(self) -> bool:
        """Whether it reads features, and without norms."""
        return self.reads_features and self.features_norm is None

    def forward(
        self,
        features: Tensor,
        embeddings: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        extend: Extend | None = None,
    ) -> Tensor:
        """(B, T, C) features of tokens i and embeddings of the tokens i + 1 → (B, T, C)."""
        if self.features_norm is None or self.embedding_norm is None:
            features = directions(features)
        else:
            features = self.features_norm(features)
            embeddings = self.embedding_norm(embeddings)
        x = torch.cat((features, embeddings), -1) if self.reads_features else embeddings
        x = self.join(x)
        return self.block(x, rotation, mask, extend)

    def last(
        self,
        features: Tensor,
        embeddings: Tensor,
        rotation: tuple[Tensor, Tensor],
        mask: Tensor | None = None,
        extend: Extend | None = None,
    ) -> Tensor:
        """As the call, of the last token alone: (B, 1, C)."""
        return self(features, embeddings, rotation, mask, extend)[:, -1:]


class MTPModules(Heads):
    """Guess k: h_i^k = block_k(M_k [norm(h_i^{k−1}); norm(Emb(t_{i+k}))]), h_i^0 = f_i.

    DeepSeek-AI 2024 (DeepSeek-V3), equations 21–23; embedding and output head are the trunk's. The
    chain stays causal: guess k is made with the tokens before it known.

    Args:
        config: of the trunk; the blocks are like its own.
        count: D >= 1, modules, each for one distance.
    """

    def __init__(self, config: TransformerConfig, count: int = 2, *, seed: int = 0) -> None:
        super().__init__(config, count, seed=seed)
        with torch.random.fork_rng(devices=[]):
            self.steps = nn.ModuleList(NextFeatures(config, norms=True) for _ in range(count))
        self._draw(seed)

    def guesses(self, features: Tensor, embeddings: Tensor) -> list[Tensor]:
        """As of ``Heads``; guess k looks at the true tokens up to t_{i+k}."""
        found = []
        for k, step in enumerate(self.steps, start=1):
            length = embeddings.shape[1] - k
            rotation = rotary_factors(torch.arange(length, device=features.device), self.config)
            features = step(features[:, :length], embeddings[:, k:], rotation)
            found.append(features)
        return found


class EagleHead(Heads):
    """Guess k: f̂_{i+k} = block(M [f̂_{i+k−1}; Emb(t_{i+k})]), f̂_i = f_i, one block for all k.

    Li et al. 2024 (EAGLE), section 4.1. It predicts the trunk's features, so that its guess can
    take the place of f in the next one. It is trained on k = 1 only.

    Args:
        config: of the trunk; the block is like its own.
        hidden: F of the block, the trunk's if None: a guess costs a pass of the head, and most of
            a block's weights are in its feed-forward layer.
        reads_features: False for a head that sees the tokens only, to compare.
    """

    def __init__(
        self,
        config: TransformerConfig,
        *,
        hidden: int | None = None,
        reads_features: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(config, 1, seed=seed)
        self.settings = {"seed": seed, "hidden": hidden, "reads_features": reads_features}
        block = replace(config, hidden=config.hidden if hidden is None else hidden)
        with torch.random.fork_rng(devices=[]):
            self.step = NextFeatures(block, norms=False, reads_features=reads_features)
        self._draw(seed)

    def guesses(self, features: Tensor, embeddings: Tensor) -> list[Tensor]:
        """As of ``Heads``, for k = 1."""
        positions = torch.arange(features.shape[1] - 1, device=features.device)
        rotation = rotary_factors(positions, self.config)
        return [self.step(features[:, :-1], embeddings[:, 1:], rotation)]


def directions(features: Tensor) -> Tensor:
    """(…, C) features, each divided by its root mean square: all that an output head reads."""
    length = torch.linalg.vector_norm(features, dim=-1, keepdim=True)
    return features * (features.shape[-1] ** 0.5 / length)


def read_on(
    blocks: Sequence[Callable[..., Tensor]],
    inputs: tuple[Tensor, ...],
    cache: KVCache,
    positions: Tensor | None = None,
    mask: Tensor | None = None,
) -> list[Tensor]:
    """Some blocks over the next tokens of a text, whose keys and values a cache keeps.

    Args:
        blocks: side by side, each with a layer of the cache of its own.
        inputs: (1, T, C) each, what every block reads of the new tokens.
        cache: of one row, with as many layers as there are blocks.
        positions: (T,); the next ones if None.
        mask: as of ``KVCache.mask``.

    Returns:
        (1, T, C) of each block.

    Raises:
        ValueError: no room for the tokens.
    """
    count = inputs[0].shape[1]
    rotation = cache.next_rotation(count) if positions is None else cache.rotation_at(positions)
    added = cache.mask(count, mask)
    cache.open(count, len(blocks))
    made = [
        block(*inputs, rotation, added, cache.layer(layer)) for layer, block in enumerate(blocks)
    ]
    cache.close(count, len(blocks))
    return made


ALL_HEADS = (MedusaHeads, BlockwiseHeads, MTPHeads, MTPModules, EagleHead)
"""All heads."""
