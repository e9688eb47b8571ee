"""The most memory that tensors take while something runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def peak_memory(run: Callable[[], object]) -> int:
    """Bytes of the tensors that are made during a run, at the moment when they are most.

    What was there before does not count, nor what an operation uses within itself. Views share
    their memory, which counts once, until the last of them and autograd have let it go. A backward
    pass belongs to the run that calls it; on a CPU, where it has no thread of its own.

    Args:
        run: a function without arguments, called once.
    """
    with _Watch() as watch:
        run()
    return watch.peak


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every operation, those of a backward pass too."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._alive = 0
        self._known: set[int] = set()  # storages, by their address in PyTorch

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self._note((args, kwargs), new=False)
        results = operation(*args, **kwargs)
        self._note(results, new=True)
        return results

    def _note(self, tensors: Any, *, new: bool) -> None:
        for each in tree_leaves(tensors):
            if not isinstance(each, Tensor):
                continue
            storage = each.untyped_storage()
            if storage._cdata in self._known:
                continue
            size = storage.nbytes() if new else 0
            self._known.add(storage._cdata)
            # PyTorch keeps the Python object of a storage as long as the storage itself.
            weakref.finalize(storage, self._forget, storage._cdata, size).atexit = False
            self._alive += size
            self.peak = max(self.peak, self._alive)

    def _forget(self, address: int, size: int) -> None:
        self._known.discard(address)
        self._alive -= size
