"""Guess after guess by any heads, without a cache: the obvious way, and what each guess reads.

In decoding the trunk has read t_0 … t_i, so that the features f_0 … f_i are there, and t_{i+1} is
known as well: the token that ended the last step. Guess k is the token t_{i+1+k}. Shapes: T = i + 1
columns of features, K guesses, C numbers a token, V token ids.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rlcore.validation import check_count
from speccore.models.heads import EagleHead, Heads, MTPModules, ParallelHeads
from speccore.models.transformer import Transformer, rotary_factors


def most_guesses(heads: Heads) -> int | None:
    """How many tokens these heads can guess in a row; None if there is no end."""
    return None if isinstance(heads, EagleHead) else heads.count


def guess_features(heads: Heads, features: Tensor, embeddings: Tensor) -> Tensor:
    """The features of K guesses, when the tokens in between are given.

    Args:
        heads: any.
        features: (1, T, C) of the trunk, f_0 … f_i.
        embeddings: (1, T + K, C) of t_0 … t_{i+K}: guess k may read those up to t_{i+k}.

    Returns:
        (K, C).

    Raises:
        ValueError: more guesses than the heads can make, or none.
    """
    columns = features.shape[1]
    count = embeddings.shape[1] - columns
    limit = most_guesses(heads)
    if count < 1 or (limit is not None and count > limit):
        raise ValueError(
            f"embeddings: takes those of 1 to {limit or 'any number of'} tokens behind the "
            f"{columns} features, got {count}"
        )
    if isinstance(heads, ParallelHeads):
        return heads.parallel(features)[:count, 0, -1]
    made = []
    for k in range(1, count + 1):
        if isinstance(heads, MTPModules):  # the next block, over as many columns
            rotation = rotary_factors(torch.arange(columns), heads.config)
            features = heads.steps[k - 1](features, embeddings[:, k : k + columns], rotation)
            made.append(features[0, -1])
        else:  # the same block, over one column more
            assert isinstance(heads, EagleHead)
            rotation = rotary_factors(torch.arange(features.shape[1]), heads.config)
            new = heads.step(features, embeddings[:, 1 : columns + k], rotation)[:, -1:]
            features = torch.cat((features, new), dim=1)
            made.append(new[0, 0])
    return torch.stack(made)


@torch.no_grad()
def guess_ahead(
    heads: Heads, trunk: Transformer, context: Sequence[int], count: int
) -> tuple[list[int], Tensor]:
    """The K most probable guesses in a row, each with the ones before it as the text.

    Args:
        heads: any.
        trunk: what they guess for, not packed.
        context: t_0 … t_{i+1}, two tokens at least.
        count: K >= 1.

    Returns:
        The guesses, and (K, V) the logits from which they were taken.

    Raises:
        ValueError: more guesses than the heads can make.
    """
    features = trunk.features(torch.tensor([context[:-1]]))[-1]
    tokens = list(context)
    for _ in range(check_count("count", count)):
        made = guess_features(heads, features, trunk.embedding(torch.tensor([tokens])))
        k = len(made)
        logits = heads.logits(trunk, made[-1], k)
        tokens.append(int(logits.argmax()))
    rows = [heads.logits(trunk, guess, k) for k, guess in enumerate(made, start=1)]
    return tokens[len(context) :], torch.stack(rows)


@torch.no_grad()
def ranks_along(
    heads: Heads, trunk: Transformer, text: Sequence[int], start: int, count: int
) -> NDArray[np.int64]:
    """At each place of a text: which candidate of guess k is the token that stands there?

    The tokens in between are those of the text, whatever was guessed for them.

    Args:
        heads: any.
        trunk: what they guess for.
        text: t_0 … t_{N−1}, such as the trunk would write.
        start: tokens of the first context, >= 2; each place adds one.
        count: K >= 1, guesses at each place.

    Returns:
        (N − K − start + 1, K), 0 for the most probable candidate.

    Raises:
        ValueError, TypeError: numbers outside what they take, more guesses than the heads can
            make, a text that is too short for one place.
    """
    check_count("start", start, minimum=2)
    if len(text) < start + check_count("count", count):
        raise ValueError(f"text: takes at least start + count = {start + count} tokens")
    features = trunk.features(torch.tensor([text]))[-1]
    embeddings = trunk.embedding(torch.tensor([text]))
    columns = range(start - 1, len(text) - count)  # that a context of one token more has
    if isinstance(heads, EagleHead):  # guess after guess
        made = torch.stack(
            [guess_features(heads, features[:, :n], embeddings[:, : n + count]) for n in columns], 1
        )
    else:
        every = heads.guesses(features, embeddings)
        if count > len(every):
            raise ValueError(f"count: takes at most {len(every)} with these heads, got {count}")
        made = torch.stack([each[0, start - 2 :][: len(columns)] for each in every[:count]])
    ranks = []
    for k, guess in enumerate(made, start=1):  # (places, C)
        logits = heads.logits(trunk, guess, k)
        true = torch.tensor(text[start + k - 1 :][: len(columns)])
        ranks.append((logits > logits.gather(1, true[:, None])).sum(1))
    return torch.stack(ranks, 1).numpy()


def inputs_of_guesses(
    heads: Heads, trunk: Transformer, tokens: Sequence[int], count: int
) -> tuple[Tensor, Tensor]:
    """What each guess is computed from, found by its gradients, not by reading the code.

    An input counts as read if the guess changes when it does.

    Args:
        heads: any, trained: heads that start at zero read nothing yet.
        trunk: what they guess for, not packed.
        tokens: t_0 … t_{i+K}.
        count: K >= 1.

    Returns:
        (K, T) and (K, T + K) booleans: which of the features f_0 … f_i, and which of the tokens.
    """
    check_count("count", count)
    text = torch.tensor([tokens])
    with torch.no_grad():
        features = trunk.features(text[:, : len(tokens) - count])[-1]
        embeddings = trunk.embedding(text)
    features, embeddings = features.requires_grad_(), embeddings.requires_grad_()
    direction = torch.randn(features.shape[-1], generator=torch.Generator().manual_seed(0))
    direction = direction.to(features)
    with torch.enable_grad():
        made = guess_features(heads, features, embeddings)
        found = [
            torch.autograd.grad(
                guess @ direction,
                (features, embeddings),
                retain_graph=True,
                allow_unused=True,
                materialize_grads=True,
            )
            for guess in made
        ]
    by_features, by_tokens = zip(*found, strict=True)
    return tuple(  # type: ignore[return-value]
        torch.stack([each[0].ne(0).any(dim=-1) for each in kind])
        for kind in (by_features, by_tokens)
    )
