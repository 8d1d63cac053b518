"""The memory that a block of rows needs while its losses and gradients are computed, and how many rows fit a limit.

Networks differ, so the memory is measured: the bytes of all tensors alive at once, on a few rows of the longest
continuations. A block needs at most `fixed + rows * each` bytes.
"""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from symscope.errors import InvalidArgumentError
from symscope.interchange._intervene import ROWS_AT_ONCE, counterfactual_losses
from symscope.interchange.cache import CachedInterventions
from symscope.networks import Resumable

PROBES = 16, 64


class BlockMemory(NamedTuple):
    """The bytes that a block of rows needs, at most."""

    fixed: int
    each: int


def rows_within(network: Resumable, cached: CachedInterventions, limit: int | None) -> int:
    """How many rows can run at once within a limit in bytes; without a limit, the default number.

    Raises:
        InvalidArgumentError: a single row needs more than the limit.
    """
    if limit is None:
        return ROWS_AT_ONCE
    needed = block_memory(network, cached)
    rows = (limit - needed.fixed) // needed.each
    if rows < 1:
        raise InvalidArgumentError(
            f"a memory limit of {limit:,} bytes is too low: one intervention needs {needed.fixed + needed.each:,} bytes"
        )
    return min(rows, ROWS_AT_ONCE)


def block_memory(network: Resumable, cached: CachedInterventions) -> BlockMemory:
    """The memory of rows of the longest continuations, from two blocks of different size."""
    longest = torch.argsort(cached.lengths, descending=True)[:1]

    def run(rows: int) -> None:
        states = cached.base_states[longest].repeat(rows, 1).requires_grad_()
        counterfactual_losses(network, cached, states, longest.repeat(rows))

    few, many = (peak_bytes(lambda rows=rows: run(rows)) for rows in PROBES)
    each = -(-(many - few) // (PROBES[1] - PROBES[0]))
    return BlockMemory(max(few - PROBES[0] * each, 0), each)


def peak_bytes(run: Callable[[], object]) -> int:
    """The largest number of bytes that the tensors made during a call need at one time."""
    with _Alive() as alive:
        run()
    return alive.peak


class _Alive(TorchDispatchMode):
    """Counts the bytes of all storages that operations make and that are still alive."""

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
