"""Ragged batches for transformers: rows of different lengths, concatenated without padding and grouped for attention.

Functions of each token alone (norms, matrix products) run on the packed tokens. Attention needs rows of equal length,
so it runs in groups of rows of similar length: padding adds at most a tenth to the work of a group that is large enough
for a call of its own. Padding is at the end of its row, where causal attention never looks, so it changes no value and
no gradient. The plan is made on the CPU and copied from there, so the program never waits for a device.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from symscope.networks.packing import to_device

MAX_PADDING = 0.1
"""Largest share that padding may add to the work of a group, counted in pairs of a query and a key."""
MIN_PAIRS = 2**12
"""Pairs of a query and a key below which a group takes in further rows whatever their padding."""
MAX_PAIRS = 2**22
"""Largest number of pairs of a group, whose scores may be stored; a larger group is split."""

Heads = Float[Tensor, "*tokens heads width"]


class Projected(NamedTuple):
    """Queries, keys and values of some tokens."""

    queries: Heads
    keys: Heads
    values: Heads


class Earlier(NamedTuple):
    """The cached tokens that each row attends to: the first `counts[i]` positions of row `rows[i]`; on the CPU."""

    rows: Int[Tensor, " batch"]
    counts: Int[Tensor, " batch"]


class Cached(NamedTuple):
    """Keys and values of earlier tokens."""

    keys: Float[Tensor, "cached time heads width"]
    values: Float[Tensor, "cached time heads width"]


class Group(NamedTuple):
    """Number of rows that attend together, and of queries and keys of each, padding included."""

    rows: int
    queries: int
    keys: int


@final
class Ragged:
    """The plan of a packed batch: the index of each token, and the groups in which rows attend.

    Args:
        lengths: number of tokens of each row, on the CPU.
        device: the device of the tokens.
        earlier: the cached tokens that each row attends to; default: none.

    Attributes:
        rows, steps: the row of each packed token and its index in that row, on the CPU.
        begins: the first packed token of each row, on the CPU.
        positions: the position of each packed token in its sequence, cached tokens included.
        groups: the groups in which rows attend.
    """

    def __init__(self, lengths: Int[Tensor, " batch"], device: torch.device, earlier: Earlier | None = None) -> None:
        self.rows, self.steps, self.begins = enumerate_steps(lengths)
        self._device, self._earlier = device, earlier
        before = torch.zeros_like(lengths) if earlier is None else earlier.counts
        self.positions = self._to_device(before[self.rows] + self.steps)
        order, self.groups = _group_rows(lengths, before)
        widths = torch.tensor([group.queries for group in self.groups for _ in range(group.rows)], dtype=torch.long)
        slots, steps, begins = enumerate_steps(widths)
        slot_of_row = torch.empty_like(lengths).index_copy_(0, order, begins)
        self._slot = self._to_device(slot_of_row[self.rows] + self.steps)
        last = lengths - 1
        self._queries = self._to_device(self.begins[order][slots] + torch.minimum(steps, last[order][slots]))
        self._keys, self._masks = self._queries, [None] * len(self.groups)
        if earlier is not None:
            self._plan_cached_keys(lengths, order, before)

    def _plan_cached_keys(self, lengths: Int[Tensor, " batch"], order: Int[Tensor, " some"], before: Tensor) -> None:
        """The keys of a row are its cached keys, then the keys of its new tokens; a mask marks where these begin."""
        self._cached_rows, self._cached_steps, cached_begins = enumerate_steps(before)
        widths = torch.tensor([group.keys for group in self.groups for _ in range(group.rows)], dtype=torch.long)
        slots, steps, _ = enumerate_steps(widths)
        row = order[slots]
        new = len(self._cached_rows) + self.begins[row] + torch.minimum(steps - before[row], lengths[row] - 1)
        self._keys = self._to_device(torch.where(steps < before[row], cached_begins[row] + steps, new))
        counts = self._to_device(before[order]).split([group.rows for group in self.groups])
        self._masks = [_visible(group, count) for group, count in zip(self.groups, counts, strict=True)]

    def pack(self, padded: Int[Tensor, "batch time"]) -> Int[Tensor, " total"]:
        """The tokens without their padding."""
        return padded.reshape(-1).index_select(0, self._index_in_padded(padded.shape[1]))

    def spread(self, packed: Float[Tensor, "total *rest"], batch: int, time: int) -> Float[Tensor, "batch time *rest"]:
        """Packed values in a padded batch; padding is zero."""
        padded = packed.new_zeros(batch * time, *packed.shape[1:])
        return padded.index_copy(0, self._index_in_padded(time), packed).view(batch, time, *packed.shape[1:])

    def attend(self, projected: Projected, cached: Cached | None = None) -> Float[Tensor, "total d"]:
        """Causal attention within each row and to its cached tokens; heads are concatenated."""
        mixed = [
            scaled_dot_product_attention(queries, keys, values, mask, is_causal=mask is None)
            for (queries, keys, values), mask in self._each_group(projected, cached)
        ]
        return self._ungroup(mixed, projected.queries).flatten(1)

    def attend_with_mass(
        self, projected: Projected, cached: Cached
    ) -> tuple[Float[Tensor, "total heads width"], Float[Tensor, "total heads"]]:
        """The same with explicit softmax, and the logarithm of the sum of the unnormalised weights."""
        mixed, mass = [], []
        for (queries, keys, values), mask in self._each_group(projected, cached):
            scores = queries @ keys.mT / queries.shape[-1] ** 0.5
            scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            mass.append(scores.logsumexp(-1, keepdim=True))
            mixed.append(scores.softmax(-1) @ values)
        return self._ungroup(mixed, projected.queries), self._ungroup(mass, projected.queries[..., :1])[..., 0]

    def _each_group(self, projected: Projected, cached: Cached | None) -> Iterator[tuple[list[Tensor], Tensor | None]]:
        """Queries, keys and values of each group as (rows, heads, time, width); with a cache also the causal mask."""
        visible = (projected.keys, projected.values)
        if cached is not None and self._earlier is not None:
            rows = self._earlier.rows[self._cached_rows]
            index = self._to_device(rows * cached.keys.shape[1] + self._cached_steps)
            earlier = (x.flatten(0, 1).index_select(0, index) for x in cached)
            visible = (torch.cat(both) for both in zip(earlier, visible, strict=True))
        queries = projected.queries.index_select(0, self._queries).split([g.rows * g.queries for g in self.groups])
        keys, values = (x.index_select(0, self._keys).split([g.rows * g.keys for g in self.groups]) for x in visible)
        for group, *parts, mask in zip(self.groups, queries, keys, values, self._masks, strict=True):
            yield [part.view(group.rows, -1, *part.shape[1:]).transpose(1, 2) for part in parts], mask

    def _ungroup(self, groups: Sequence[Tensor], like: Tensor) -> Float[Tensor, "total heads width"]:
        """The results of all groups, packed; without groups `like`, which is empty then."""
        if not groups:
            return like
        return torch.cat([x.transpose(1, 2).flatten(0, 1) for x in groups]).index_select(0, self._slot)

    def _index_in_padded(self, time: int) -> Int[Tensor, " total"]:
        return self._to_device(self.rows * time + self.steps)

    def _to_device(self, index: Tensor) -> Tensor:
        return to_device(index, self._device)


def enumerate_steps(
    counts: Int[Tensor, " batch"],
) -> tuple[Int[Tensor, " total"], Int[Tensor, " total"], Int[Tensor, " batch"]]:
    """Row and step of every step, row after row, where row i has `counts[i]` steps; and the first entry of each row."""
    begins = counts.cumsum(0) - counts
    rows = torch.arange(len(counts)).repeat_interleave(counts)
    return rows, torch.arange(len(rows)) - begins[rows], begins


def _group_rows(
    lengths: Int[Tensor, " batch"], before: Int[Tensor, " batch"]
) -> tuple[Int[Tensor, " some"], tuple[Group, ...]]:
    """The rows that have tokens, longest first, and their groups, filled as long as padding stays within bounds."""
    if not (lengths > 0).any():
        return torch.empty(0, dtype=torch.long), ()
    base = int(before.max()) + 1
    key = lengths * base + before
    order = torch.argsort(key, descending=True, stable=True)[: int((lengths > 0).sum())]
    kinds, counts = key[order].unique_consecutive(return_counts=True)
    groups: list[Group] = []
    rows, queries, keys, work = 0, 0, 0, 0
    for length, earlier, count in zip((kinds // base).tolist(), (kinds % base).tolist(), counts.tolist(), strict=True):
        added = count * length * (length + earlier)
        widest = max(keys, length + earlier)
        padded = (rows + count) * queries * widest
        if rows and padded > max(MIN_PAIRS, (1 + MAX_PADDING) * (work + added)):
            groups += _split(rows, queries, keys)
            rows, work = 0, 0
        if not rows:
            queries, widest = length, length + earlier
        rows, keys, work = rows + count, widest, work + added
    return order, (*groups, *_split(rows, queries, keys))


def _split(rows: int, queries: int, keys: int) -> Iterator[Group]:
    limit = max(1, MAX_PAIRS // max(1, queries * keys))
    for first in range(0, rows, limit):
        yield Group(min(limit, rows - first), queries, keys)


def _visible(group: Group, before: Int[Tensor, " rows"]) -> Bool[Tensor, "rows 1 queries keys"]:
    """Each query sees the `before` cached keys of its row, and the new keys up to its own."""
    query, key = (torch.arange(count, device=before.device) for count in (group.queries, group.keys))
    return (key <= before[:, None, None] + query[:, None])[:, None]
