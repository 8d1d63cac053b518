"""What a block of rows takes while its losses and gradients are worked out, and how many rows fit into a limit.

Networks differ, a user's own among them, so it is measured: the bytes of all tensors alive at once, on a few rows of
the longest continuations. What a block takes is at most `fixed + rows * each`.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from symscope.errors import InvalidArgumentError
from symscope.interventions.prepare import Prepared
from symscope.interventions.rewrite import ROWS_AT_ONCE, losses_after
from symscope.networks import Network

PROBES = 16, 64


class BlockMemory(NamedTuple):
    """Bytes that a block of rows takes, at most."""

    fixed: int
    each: int


def rows_within(network: Network, prepared: Prepared, limit: int | None) -> int:
    """How many rows may be run at once within so many bytes; without a limit, as many as the cache likes.

    Raises:
        InvalidArgumentError: the limit is below what a single row takes.
    """
    if limit is None:
        return ROWS_AT_ONCE
    taken = block_memory(network, prepared)
    rows = (limit - taken.fixed) // taken.each
    if rows < 1:
        raise InvalidArgumentError(
            f"a memory limit of {limit:,} bytes is too low: one intervention takes {taken.fixed + taken.each:,} bytes"
        )
    return min(rows, ROWS_AT_ONCE)


def block_memory(network: Network, prepared: Prepared) -> BlockMemory:
    """What rows of the longest continuations take, from two blocks of different size."""
    longest = torch.argsort(prepared.lengths, descending=True)[:1]

    def run(rows: int) -> None:
        states = prepared.source[longest].repeat(rows, 1).requires_grad_()
        losses_after(network, prepared, states, longest.repeat(rows))

    few, many = (peak_bytes(lambda rows=rows: run(rows)) for rows in PROBES)
    each = -(-(many - few) // (PROBES[1] - PROBES[0]))
    return BlockMemory(max(few - PROBES[0] * each, 0), each)


def peak_bytes(run: Callable[[], object]) -> int:
    """The most bytes that the tensors made during a call have taken at one time."""
    with _Alive() as alive:
        run()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Counts the storages that operations make, until nobody holds them any more."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = {id(leaf.untyped_storage()) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and id(leaf.untyped_storage()) not in given | self._known:
                self._count(leaf.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        self._known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size
