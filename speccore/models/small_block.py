"""A small block over one token, as one compiled loop.

An operation of PyTorch takes some microseconds to begin, however little there is to do, and a block
has twenty of them; threads that share the work have to be woken first. In a draft model or a head
of a few hundred thousand weights this takes longer than the sums. Here one thread does all, and
finds the weights in its own cache again for the next token. Shapes as in ``transformer``; all
numbers are FP32, and the last argument of each loop is written to.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from rlcore.compilation import compiled
from rlcore.validation import Floats

ONE = np.float32(1)
BlockWeights = tuple[np.float32, Floats, Floats, np.float32, Floats, Floats]
"""ε C of the norm before attention; (C, (H + 2 K) D) to queries, keys and values; (C, C) behind
attention; ε C of the norm before the feed-forward layer; (C, 2 F) to gate and up; (F, C) down. The
factors of the norms are part of the matrices behind them."""


@partial(compiled, any_order=True)
def multiply_loop(x: Floats, w: Floats, y: Floats) -> None:
    """(in,), (in, out) → (out,) y = x w, four rows of w at a time."""
    whole = len(w) - len(w) % 4
    y[:] = 0
    for i in range(0, whole, 4):
        for j in range(len(y)):
            y[j] += x[i] * w[i, j] + x[i + 1] * w[i + 1, j]
            y[j] += x[i + 2] * w[i + 2, j] + x[i + 3] * w[i + 3, j]
    for i in range(whole, len(w)):
        for j in range(len(y)):
            y[j] += x[i] * w[i, j]


@partial(compiled, any_order=True)
def normalise_loop(x: Floats, least: np.float32, h: Floats) -> None:
    """(T, C) each row of x divided by √(‖x‖² + least)."""
    for row in range(len(x)):
        total = least
        for i in range(x.shape[1]):
            total += x[row, i] * x[row, i]
        factor = ONE / np.sqrt(total)
        for i in range(x.shape[1]):
            h[row, i] = factor * x[row, i]


@compiled
def turn_loop(heads: Floats, cos: Floats, sin: Floats, count: int) -> None:
    """``rotate`` the first heads of (T, heads, D) where they are."""
    half = heads.shape[2] // 2
    for row in range(len(heads)):
        for head in range(count):
            x = heads[row, head]
            for i in range(half):
                one, other = x[i], x[half + i]
                x[i] = one * cos[row, i] + other * sin[row, i]
                x[half + i] = other * cos[row, half + i] + one * sin[row, half + i]


@partial(compiled, any_order=True)
def attend_loop(q: Floats, keys: Floats, values: Floats, mask: Floats, y: Floats) -> None:
    """softmax(q kᵀ / √D + mask) v of each head.

    Args:
        q: (H, D).
        keys, values: (K, ≥ S, D).
        mask: (S,) of 0 and −∞.
        y: (H, D).
    """
    width, sharing = q.shape[1], len(q) // len(keys)
    scale = ONE / np.sqrt(np.float32(width))
    weights = np.empty(len(mask), np.float32)
    for head in range(len(q)):
        k, v, out = keys[head // sharing], values[head // sharing], y[head]
        largest = np.float32(-np.inf)
        for column in range(len(mask)):
            score = np.float32(0)
            for i in range(width):
                score += q[head, i] * k[column, i]
            weights[column] = score * scale + mask[column]
            largest = max(largest, weights[column])
        total = np.float32(0)
        for column in range(len(mask)):
            weights[column] = np.exp(weights[column] - largest)
            total += weights[column]
        out[:] = 0
        for column in range(len(mask)):
            weight = weights[column] / total
            for i in range(width):
                out[i] += weight * v[column, i]


@compiled
def remember_loop(
    x: Floats,
    cos: Floats,
    sin: Floats,
    least: np.float32,
    projection: Floats,
    keys: Floats,
    values: Floats,
    column: int,
    heads: Floats,
) -> None:
    """Queries, keys and values of norm(x), the first two rotated.

    Args:
        x: (1, C).
        cos, sin: (1, D) as of ``rotary_factors``.
        least: ε C of the norm.
        projection: (C, (H + 2 K) D), the factors of the norm being part of it.
        keys, values: (K, capacity, D) of a cache.
        column: in which the keys and values are written.
        heads: (1, H + 2 K, D).
    """
    groups = len(keys)
    turned = heads.shape[1] - groups
    h = np.empty_like(x)
    normalise_loop(x, least, h)
    multiply_loop(h[0], projection, heads.reshape(-1))
    turn_loop(heads, cos, sin, turned)
    for group in range(groups):
        keys[group, column] = heads[0, turned - groups + group]
        values[group, column] = heads[0, turned + group]


@compiled
def block_loop(
    x: Floats,
    cos: Floats,
    sin: Floats,
    keys: Floats,
    values: Floats,
    mask: Floats,
    weights: BlockWeights,
    y: Floats,
) -> None:
    """x + attention(norm(x)), then that + feed_forward(norm(that)).

    Args:
        x, cos, sin, keys, values: as of ``remember_loop``.
        mask: (S,) as of ``attend_loop``; column S − 1 of the cache is written.
        weights: of the block.
        y: (1, C).
    """
    least, projection, output, least_after, gate_and_up, down = weights
    width, wide = keys.shape[2], len(down)
    heads = len(output) // width
    projected = np.empty((1, heads + 2 * len(keys), width), np.float32)
    remember_loop(x, cos, sin, least, projection, keys, values, len(mask) - 1, projected)
    mixed = np.empty((heads, width), np.float32)
    attend_loop(projected[0, :heads], keys, values, mask, mixed)
    multiply_loop(mixed.reshape(-1), output, y[0])
    y += x
    h = np.empty_like(y)
    normalise_loop(y, least_after, h)
    inner = np.empty(2 * wide, np.float32)
    multiply_loop(h[0], gate_and_up, inner)
    for i in range(wide):
        inner[i] *= inner[wide + i] / (ONE + np.exp(-inner[i]))
    multiply_loop(inner[:wide], down, h[0])
    y += h


@compiled
def guess_loop(
    features: Floats,
    embeddings: Floats,
    join: Floats,
    cos: Floats,
    sin: Floats,
    keys: Floats,
    values: Floats,
    mask: Floats,
    weights: BlockWeights,
    y: Floats,
) -> None:
    """The features that follow T tokens: of all but the last only keys and values are needed.

    Args:
        features, embeddings: (T, C).
        join: (2 C, C), what makes the block's input from a direction and an embedding.
        cos, sin: (T, D).
        keys, values, mask, weights, y: as of ``block_loop``.
    """
    rows, size = features.shape
    least, projection = weights[:2]
    width = keys.shape[2]
    heads = np.empty((1, projection.shape[1] // width, width), np.float32)
    directions = np.empty_like(features)
    normalise_loop(features, np.float32(0), directions)
    directions *= np.sqrt(np.float32(size))
    pair, x = np.empty(2 * size, np.float32), np.empty_like(y)
    for row in range(rows):
        pair[:size], pair[size:] = directions[row], embeddings[row]
        multiply_loop(pair, join, x[0])
        here = slice(row, row + 1)
        if row < rows - 1:
            column = len(mask) - rows + row
            remember_loop(x, cos[here], sin[here], least, projection, keys, values, column, heads)
        else:
            block_loop(x, cos[here], sin[here], keys, values, mask, weights, y)
