"""A draft is a token tree. A chain is a tree with one branch; an empty tree is no draft at all.

The root is the last committed token. It is no node of the tree, but it is part of the verifying
pass: row 0 of the mask and of every array of laws is the root, row i + 1 is node i.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rlcore.validation import Floats

ROOT = -1
Scalar = TypeVar("Scalar", bound=np.generic)


class TokenTree:
    """Guesses for the coming tokens: node i guesses ``tokens[i]`` after the path to its parent.

    Siblings may carry the same token (draws with replacement can coincide); their order is the
    order in which they are tried.

    Args:
        tokens: (n,) token ids >= 0.
        parents: (n,) index of each node's parent, smaller than its own; −1 for the root.

    Raises:
        TypeError: not whole numbers.
        ValueError: different lengths, a negative token, or a parent that does not come before.
    """

    def __init__(self, tokens: ArrayLike, parents: ArrayLike) -> None:
        self.tokens = _as_indices("tokens", tokens)
        self.parents = _as_indices("parents", parents)
        if len(self.tokens) != len(self.parents):
            raise ValueError(
                f"parents: takes one for each of the {len(self.tokens)} tokens, "
                f"got {len(self.parents)}"
            )
        if len(self) and self.tokens.min() < 0:
            raise ValueError(f"tokens: takes ids >= 0, got {self.tokens.min()}")
        wrong = (self.parents < ROOT) | (self.parents >= np.arange(len(self)))
        if wrong.any():
            node = int(wrong.argmax())
            raise ValueError(
                f"parents: takes an index from -1 to {node - 1} for node {node}, "
                f"got {self.parents[node]}"
            )

    @classmethod
    def chain(cls, tokens: ArrayLike) -> TokenTree:
        """Each token follows the one before."""
        tokens = _as_indices("tokens", tokens)
        return cls(tokens, np.arange(-1, len(tokens) - 1))

    @classmethod
    def from_paths(cls, sequences: Iterable[Sequence[int]]) -> TokenTree:
        """The smallest tree that holds all sequences: shared prefixes are merged."""
        nodes: dict[tuple[int, int], int] = {}  # (parent, token) -> node
        for sequence in sequences:
            parent = ROOT
            for token in sequence:
                parent = nodes.setdefault((parent, int(token)), len(nodes))
        return cls([token for _, token in nodes], [parent for parent, _ in nodes])

    @classmethod
    def product(cls, widths: Sequence[int]) -> TokenTree:
        """All combinations of a choice a level; the token of a node is the number of its choice.

        Args:
            widths: (depth,) choices at each level, >= 1.
        """
        return cls.from_paths(itertools.product(*map(range, widths)))

    def relabelled(self, tokens: ArrayLike) -> TokenTree:
        """The same shape with other tokens, and nothing about the shape computed again.

        Args:
            tokens: (n,) token ids >= 0.
        """
        for each in ("depth", "mask", "is_chain", "_children"):
            getattr(self, each)  # known from now on, to all that have this shape
        new = copy.copy(self)
        new.tokens = _as_indices("tokens", tokens)
        if len(new.tokens) != len(self.parents):
            raise ValueError(f"tokens: takes {len(self.parents)} of them, got {len(new.tokens)}")
        return new

    def subtree(self, nodes: Sequence[int] | NDArray[np.int64]) -> TokenTree:
        """Some of the nodes, in increasing order, each with its parent."""
        kept = _as_indices("nodes", nodes)
        place = np.full(len(self) + 1, ROOT)
        place[kept + 1] = np.arange(len(kept))
        return TokenTree(self.tokens[kept], place[self.parents[kept] + 1])

    def __len__(self) -> int:
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"TokenTree(tokens={self.tokens.tolist()}, parents={self.parents.tolist()})"

    def children(self, node: int) -> tuple[int, ...]:
        """The nodes that guess what follows ``node`` (−1: the root), in order."""
        return tuple(self._children[node + 1])

    def child(self, node: int, token: int) -> int | None:
        """The first child of ``node`` that carries ``token``, or None."""
        return next((i for i in self._children[node + 1] if self.tokens[i] == token), None)

    def path_to(self, node: int) -> tuple[int, ...]:
        """The nodes from the root (which is not a node) to ``node``."""
        path: list[int] = []
        while node != ROOT:
            path.append(node)
            node = int(self.parents[node])
        return tuple(reversed(path))

    def paths(self) -> list[tuple[int, ...]]:
        """The path to every leaf, in the order of the leaves."""
        return [self.path_to(node) for node in range(len(self)) if not self._children[node + 1]]

    @cached_property
    def depths(self) -> NDArray[np.int64]:
        """(n,) distance from the root, 1 for its children: what is added to the root's position."""
        depths = [0]
        for parent in self.parents.tolist():
            depths.append(depths[parent + 1] + 1)
        return _constant(np.array(depths[1:], dtype=np.int64))

    @cached_property
    def depth(self) -> int:
        """Distance of the deepest node from the root; 0 without nodes."""
        return int(self.depths.max(initial=0))

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(n + 1, n + 1) row sees column: a node sees its ancestors, the root and itself."""
        mask = np.eye(len(self) + 1, dtype=bool)
        for row, parent in enumerate(self.parents.tolist(), start=1):
            mask[row] |= mask[parent + 1]
        return _constant(mask)

    @cached_property
    def is_chain(self) -> bool:
        """Whether each node is the only child of the one before."""
        return bool((self.parents == np.arange(-1, len(self) - 1)).all())

    @cached_property
    def _children(self) -> list[list[int]]:
        children: list[list[int]] = [[] for _ in range(len(self) + 1)]
        for node, parent in enumerate(self.parents.tolist()):
            children[parent + 1].append(node)
        return children


@dataclass(frozen=True)
class Draft:
    """A token tree and the laws from which it was really drawn.

    Args:
        tree: the guesses.
        laws: (n + 1, V), row i + 1 is the law from which the first child of node i was drawn (row
            0: of the root); rows of leaves are never read. None if the guesses were not drawn
            (n-gram, top-k, …): then each is a point mass.

    Raises:
        ValueError: not n + 1 rows.
    """

    tree: TokenTree
    laws: Floats | None = None

    def __post_init__(self) -> None:
        if self.laws is not None and (
            self.laws.ndim != 2 or self.laws.shape[0] != len(self.tree) + 1
        ):
            raise ValueError(
                f"laws: takes shape (n + 1, V) with n = {len(self.tree)} nodes, "
                f"got {self.laws.shape}"
            )

    def up_to(self, depth: int) -> Draft:
        """The draft without the nodes below a depth; a rule that is lossless stays so."""
        if len(self.tree) <= depth or self.tree.depth <= depth:
            return self
        kept = np.flatnonzero(self.tree.depths <= depth)
        laws = None if self.laws is None else self.laws[[0, *(kept + 1)]]
        return Draft(self.tree.subtree(kept), laws)


def _as_indices(name: str, values: ArrayLike) -> NDArray[np.int64]:
    array = np.array(values)
    if array.size == 0:
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: takes whole numbers, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"{name}: takes shape (n,), got {array.shape}")
    return _constant(array.astype(np.int64, copy=False))


def _constant(array: NDArray[Scalar]) -> NDArray[Scalar]:
    array.setflags(write=False)
    return array


NO_DRAFT = Draft(TokenTree([], []))
