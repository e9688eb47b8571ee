"""Keys and values of the tokens that a model has read, so that none is computed twice.

The memory is allocated once. A token's keys and values are a *column*; ``lengths`` says how many
columns of each row count, so that rolling back is a number and what lies behind it is overwritten.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from rlcore.validation import Floats, check_count
from speccore.models.language_model import LanguageModel, Sizes
from speccore.models.transformer import Rotation, TransformerConfig, rotary_factors

Layers = list[tuple[Tensor, Tensor]]
"""Keys and values (B, K, columns, D) of each layer."""


class KVCache:
    """The cache of a language model, which ``model(tokens, cache=cache)`` fills.

    It takes 2 · layers · B · K · capacity · D numbers, and no pass makes a copy of them.

    Args:
        config: of the model.
        batch: B, rows; each has a length of its own.
        capacity: columns a row; ``config.context`` if None. A tree takes a column a node, though
            its siblings share a position.
        dtype: of the model's numbers.
        device: where the model is.

    Attributes:
        keys, values: (layers, B, K, capacity, D).

    Raises:
        TypeError, ValueError: numbers that are no whole numbers >= 1.
    """

    def __init__(
        self,
        config: Sizes,
        batch: int = 1,
        capacity: int | None = None,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        self.config = config
        self.batch = check_count("batch", batch)
        self.capacity = check_count("capacity", config.context if capacity is None else capacity)
        shape = (2, config.layers, batch, config.kv_heads, self.capacity, config.head_width)
        with torch.inference_mode(False):  # so that it can be written to in every mode
            # Zeros: a hidden column has weight 0, and 0 times whatever was there could be NaN.
            self._hold(torch.zeros(shape, dtype=dtype, device=device))
        self._lengths = (0,) * batch
        self._before = self._lengths  # the lengths before the last pass
        self._complete = self._lengths  # the columns that all layers have written
        self._layers = config.layers  # the first layers, which have written all columns
        # Of the pass under way: its tokens, and for each layer all columns up to its end and those
        # that it writes, by their place if the rows' lengths differ.
        self._count = 0
        self._so_far: Layers = []
        self._new: Layers = []
        self._place: tuple[Tensor, slice, Tensor]
        self._chains: dict[int, Tensor] = {}

    @classmethod
    def of(cls, model: LanguageModel, batch: int = 1, capacity: int | None = None) -> KVCache:
        """An empty cache of a model, with its numbers and where it is."""
        return cls(model.config, batch, capacity, dtype=model.dtype, device=model.device)

    @cached_property
    def _rotation(self) -> Rotation:
        """The rotary factors of all positions; a model of Transformers makes its own."""
        config = cast(TransformerConfig, self.config)
        with torch.inference_mode(False):
            return rotary_factors(torch.arange(config.context, device=self.keys.device), config)

    def _hold(self, columns: Tensor) -> None:
        self._columns = columns
        self.keys, self.values = columns

    @property
    def lengths(self) -> tuple[int, ...]:
        """Columns that count, a number a row."""
        return self._lengths

    @property
    def length(self) -> int:
        """Columns that count, where all rows have the same number.

        Raises:
            ValueError: they have not.
        """
        if self._ragged:
            raise ValueError(f"length: takes rows of one length, this cache has {self._lengths}")
        return self._lengths[0]

    @property
    def bytes(self) -> int:
        """2 · layers · B · K · capacity · D · bytes a number."""
        config = self.config
        numbers = config.layers * self.batch * config.kv_heads * self.capacity * config.head_width
        return 2 * numbers * self.keys.element_size()

    def row(self, number: int) -> KVCache:
        """A cache of one row on the same memory, with a length of its own.

        What is read with it does not count in this one, which will write over it.
        """
        if self.batch == 1 and number == 0:
            return self
        row = copy.copy(self)
        row.batch = 1
        row._hold(self._columns[:, :, number : number + 1])
        row._lengths = row._before = row._complete = self._lengths[number : number + 1]
        return row

    def roll_back(self, length: int | Sequence[int]) -> None:
        """Forget all columns from ``length`` on.

        Args:
            length: columns that stay, one number for all rows or one a row.

        Raises:
            TypeError, ValueError: no whole number from 0 to the row's length.
        """
        lengths = (length,) * self.batch if isinstance(length, int) else tuple(length)
        if len(lengths) != self.batch:
            raise ValueError(f"length: takes one number a row, {self.batch}, got {len(lengths)}")
        for new, old in zip(lengths, self._lengths, strict=True):
            if check_count("length", new, minimum=0) > old:
                raise ValueError(f"length: takes a number from 0 to {old}, got {new}")
        self._shorten(lengths)

    def keep(self, path: Sequence[int], *, start: int | None = None, row: int = 0) -> None:
        """Keep the nodes of one path of a tree, next to each other, and forget the others.

        Only nodes that are not yet in their place move.

        Args:
            path: numbers of nodes, increasing; node i lies in column ``start`` + i.
            start: the column of node 0; columns before it stay. If None, the second column of
                the last pass, whose first token is the root.
            row: of the batch.

        Raises:
            TypeError, ValueError: a row or a start outside the cache, nodes that do not increase
                or were not read.
        """
        if check_count("row", row, minimum=0) >= self.batch:
            raise ValueError(f"row: takes a number from 0 to {self.batch - 1}, got {row}")
        length = self._lengths[row]
        start = self._before[row] + 1 if start is None else check_count("start", start, minimum=0)
        if start > length:
            raise ValueError(f"start: takes a number from 0 to {length}, got {start}")
        ends = (-1, *path, length - start)
        if any(node >= following for node, following in pairwise(ends)):
            raise ValueError(
                f"path: takes increasing numbers from 0 to {length - start - 1}, got {tuple(path)}"
            )
        moved = [place for place, node in enumerate(path) if node != place]
        if moved:  # from the first of them on, all
            first, last = start + moved[0], start + len(path)
            source = torch.tensor(path[moved[0] :], device=self.keys.device) + start
            columns = self._columns[:, :, row]  # (2, layers, K, capacity, D)
            columns[:, :, :, first:last] = columns[:, :, :, source]
        new = start + len(path)
        if self._complete[row] < length and moved:  # what moved was not complete
            self._complete = _replaced(self._complete, row, min(self._complete[row], start))
        self._shorten(_replaced(self._lengths, row, new))

    def open(self, count: int, layers: int) -> None:
        """Begin a pass of the first ``layers`` layers over ``count`` new tokens a row.

        Raises:
            ValueError: no room for them, or columns that one of these layers has not written,
                because an earlier pass has stopped before it.
        """
        longest = max(self._lengths)
        if longest + count > self.capacity:
            raise ValueError(
                f"tokens: takes at most capacity − length = {self.capacity} − {longest} = "
                f"{self.capacity - longest} a row with this cache, got {count}"
            )
        if layers > self._layers:
            raise ValueError(
                f"layers: takes at most {self._layers}, got {layers}: a pass has stopped after "
                f"{self._layers}; roll back to {self._complete} first"
            )
        self._count, self._so_far = count, []

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write a layer's keys and values of the new tokens.

        Args:
            layer: number from 0 on.
            keys, values: (B, K, T, D), T as ``open`` was told.

        Returns:
            Views of all columns, (B, K, longest length + T, D) each.

        Raises:
            RuntimeError: gradients are on; a cache is overwritten, which autograd cannot follow.
        """
        if keys.requires_grad:
            raise RuntimeError("cache: takes passes without gradients, under torch.no_grad()")
        if not self._so_far:
            self._view()
        all_keys, all_values = self._so_far[layer]
        if self._ragged:  # (B, T, K, D): indexed axes come first
            all_keys[self._place] = keys.transpose(1, 2)
            all_values[self._place] = values.transpose(1, 2)
        else:
            new_keys, new_values = self._new[layer]
            new_keys.copy_(keys)
            new_values.copy_(values)
        return all_keys, all_values

    def _view(self) -> None:
        """The columns of a pass in all layers, of which views are made at once."""
        count, longest = self._count, max(self._lengths)
        self._so_far = _of_each_layer(self._columns.narrow(4, 0, longest + count))
        if self._ragged:
            rows = torch.arange(self.batch, device=self.keys.device).unsqueeze(1)
            self._place = (rows, slice(None), self.next_positions(count))
        else:
            self._new = _of_each_layer(self._columns.narrow(4, longest, count))

    def layer(self, number: int) -> CacheLayer:
        """``append`` of one layer."""
        return CacheLayer(self, number)

    def close(self, count: int, layers: int) -> None:
        """End a pass: the new columns count from now on."""
        self._before = self._lengths
        self._lengths = tuple(length + count for length in self._lengths)
        if layers == self.config.layers:
            self._complete = self._lengths
        self._layers = layers

    def next_positions(self, count: int) -> Tensor:
        """(T,) positions of ``count`` new tokens; (B, T) if the rows' lengths differ."""
        device = self.keys.device
        if not self._ragged:
            return torch.arange(self.length, self.length + count, device=device)
        starts = torch.tensor(self._lengths, device=device).unsqueeze(1)
        return starts + torch.arange(count, device=device)

    def next_rotation(self, count: int) -> Rotation:
        """The rotary factors of ``count`` new tokens."""
        if self._ragged:
            return self.rotation_at(self.next_positions(count))
        cos, sin = self._rotation
        return cos.narrow(1, self.length, count), sin.narrow(1, self.length, count)

    def rotation_at(self, positions: Tensor) -> Rotation:
        """The rotary factors of (T,) or (B, T) positions."""
        cos, sin = (each[0, positions].unsqueeze(-3) for each in self._rotation)
        return cos, sin

    def mask(self, count: int, mask: Tensor | None) -> Tensor | None:
        """What ``count`` new tokens see of all columns, their own included.

        Args:
            count: T.
            mask: (T, S) or (B, T, S), True where a new token may look at one of the last S
                columns; it sees all before these. If None: each sees all up to itself.

        Returns:
            What is added to the scores, 0 or −∞, of shape (T, longest length + T), or (B, 1, T,
            longest length + T); None if nothing is hidden, or if the cache is empty and ``mask``
            is None, where the plain causal mask is meant.
        """
        longest, device = max(self._lengths), self.keys.device
        if mask is None and not self._ragged:
            if count == 1 or not longest:
                return None
            return self._chain(count)[:, self.capacity - longest :]
        if mask is None:
            mask = torch.ones(count, count, dtype=torch.bool, device=device).tril()
        stated = mask.shape[-1]
        if self._ragged:
            lengths = torch.tensor(self._lengths, device=device).view(-1, 1, 1)
            columns = torch.arange(longest + count, device=device)
            visible = (columns < lengths).repeat(1, count, 1)  # (B, T, longest + T)
            last = lengths + torch.arange(count - stated, count, device=device)  # (B, 1, S)
            where = (self.batch, count, stated)
            visible.scatter_(2, last.expand(where), mask.expand(where))
        else:
            visible = mask.new_ones((*mask.shape[:-1], longest + count))
            visible[..., -stated:] = mask
        added = torch.zeros(visible.shape, dtype=self.keys.dtype, device=device)
        added.masked_fill_(~visible, -torch.inf)
        return added if added.dim() == 2 else added.unsqueeze(1)  # the same for all heads

    def _chain(self, count: int) -> Tensor:
        """(T, capacity + T), of which the last length + T columns are the mask of T tokens in a
        row, whatever the length; made once, as so small a thing takes as long as a large one."""
        if count not in self._chains:
            with torch.inference_mode(False):
                later = self.keys.new_full((count, count), -torch.inf).triu(1)
                self._chains[count] = F.pad(later, (self.capacity, 0))
        return self._chains[count]

    @property
    def _ragged(self) -> bool:
        return self.batch > 1 and len(set(self._lengths)) > 1

    def _shorten(self, lengths: tuple[int, ...]) -> None:
        self._lengths = lengths
        self._complete = tuple(map(min, self._complete, lengths))
        if self._complete == lengths:
            self._layers = self.config.layers


@dataclass
class CacheLayer:
    """What a block writes its keys and values to: ``append`` of one layer."""

    cache: KVCache
    number: int

    def __call__(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """As ``KVCache.append``."""
        return self.cache.append(self.number, keys, values)

    @property
    def arrays(self) -> tuple[Floats, Floats, int]:
        """(K, capacity, D) keys and values of a cache of one row on the CPU, for a loop that writes
        those of new tokens by itself, and the column of the first of them."""
        cache = self.cache
        keys, values = (each[self.number, 0].numpy() for each in (cache.keys, cache.values))
        return keys, values, cache.length


def _replaced(numbers: tuple[int, ...], place: int, number: int) -> tuple[int, ...]:
    return (*numbers[:place], number, *numbers[place + 1 :])


def _of_each_layer(columns: Tensor) -> Layers:
    keys, values = columns.unbind()
    return list(zip(keys.unbind(), values.unbind(), strict=True))
