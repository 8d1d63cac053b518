"""Ragged batches: rows of different lengths, one after another without padding, and grouped for attention.

What is done to each token alone (norms, matrix products) is done to the packed tokens. Attention needs rows of one
length, so it runs in groups of rows of similar length: padding is at most a tenth of what a group works on, where that
is enough to be worth a call of its own. It stands at the end of its row, where causal attention never looks, so it
changes no value and no gradient. The plan is made on the CPU and moved from there, so a device is never waited for.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from symscope.networks.packing import to_device

MOST_PADDING = 0.1
"""Share by which padding may add to the work of a group, counted in pairs of a query and a key."""
LEAST_PAIRS = 2**12
"""Of a group; while it has fewer, it takes on rows whatever the padding."""
MOST_PAIRS = 2**22
"""Of a group, since they may be written down; a larger one is split."""

Heads = Float[Tensor, "*tokens heads width"]


class Projected(NamedTuple):
    """What attention makes of some tokens."""

    queries: Heads
    keys: Heads
    values: Heads


class Earlier(NamedTuple):
    """What each row saw before its tokens here: so many first positions of a row of a cache, both on the CPU."""

    rows: Int[Tensor, " batch"]
    counts: Int[Tensor, " batch"]


class Cached(NamedTuple):
    """Keys and values of earlier tokens."""

    keys: Float[Tensor, "cached time heads width"]
    values: Float[Tensor, "cached time heads width"]


class Group(NamedTuple):
    """Rows that attend together, and how many queries and keys each has, padding counted in."""

    rows: int
    queries: int
    keys: int


@final
class Ragged:
    """Where the tokens of a batch go when it is packed.

    Args:
        lengths: tokens of each row, on the CPU.
        device: where the tokens are.
        earlier: what the rows saw before; default: nothing.

    Attributes:
        rows, steps: the row of each packed token and its place in it, on the CPU.
        begins: where each row begins, on the CPU.
        positions: of each packed token, what was seen earlier counted in.
        groups: in which rows attend.
    """

    def __init__(self, lengths: Int[Tensor, " batch"], device: torch.device, earlier: Earlier | None = None) -> None:
        self.rows, self.steps, self.begins = each_step(lengths)
        self._device, self._earlier = device, earlier
        before = torch.zeros_like(lengths) if earlier is None else earlier.counts
        self.positions = self._there(before[self.rows] + self.steps)
        order, self.groups = _grouped(lengths, before)
        widths = torch.tensor([group.queries for group in self.groups for _ in range(group.rows)], dtype=torch.long)
        slots, steps, begins = each_step(widths)
        slot_of_row = torch.empty_like(lengths).index_copy_(0, order, begins)
        self._slot = self._there(slot_of_row[self.rows] + self.steps)
        last = lengths - 1
        self._queries = self._there(self.begins[order][slots] + torch.minimum(steps, last[order][slots]))
        self._keys, self._masks = self._queries, [None] * len(self.groups)
        if earlier is not None:
            self._go_on(lengths, order, before)

    def _go_on(self, lengths: Int[Tensor, " batch"], order: Int[Tensor, " some"], before: Tensor) -> None:
        """Keys come from the cache first, then from the tokens here; a mask tells where each row's own begin."""
        self._seen_rows, self._seen_steps, seen_begins = each_step(before)
        widths = torch.tensor([group.keys for group in self.groups for _ in range(group.rows)], dtype=torch.long)
        slots, steps, _ = each_step(widths)
        row = order[slots]
        own = len(self._seen_rows) + self.begins[row] + torch.minimum(steps - before[row], lengths[row] - 1)
        self._keys = self._there(torch.where(steps < before[row], seen_begins[row] + steps, own))
        counts = self._there(before[order]).split([group.rows for group in self.groups])
        self._masks = [_visible(group, count) for group, count in zip(self.groups, counts, strict=True)]

    def pack(self, padded: Int[Tensor, "batch time"]) -> Int[Tensor, " total"]:
        """The tokens without their padding."""
        return padded.reshape(-1).index_select(0, self._place(padded.shape[1]))

    def spread(self, packed: Float[Tensor, "total *rest"], batch: int, time: int) -> Float[Tensor, "batch time *rest"]:
        """Packed values at their places, zero elsewhere."""
        padded = packed.new_zeros(batch * time, *packed.shape[1:])
        return padded.index_copy(0, self._place(time), packed).view(batch, time, *packed.shape[1:])

    def attend(self, now: Projected, cached: Cached | None = None) -> Float[Tensor, "total d"]:
        """Causal attention within each row and to what it saw earlier, heads side by side."""
        mixed = [
            scaled_dot_product_attention(queries, keys, values, mask, is_causal=mask is None)
            for (queries, keys, values), mask in self._each_group(now, cached)
        ]
        return self._ungroup(mixed, now.queries).flatten(1)

    def attend_with_mass(
        self, now: Projected, cached: Cached
    ) -> tuple[Float[Tensor, "total heads width"], Float[Tensor, "total heads"]]:
        """The same by explicit softmax, and the logarithm of what its weights summed to before they were normed."""
        mixed, mass = [], []
        for (queries, keys, values), mask in self._each_group(now, cached):
            scores = queries @ keys.mT / queries.shape[-1] ** 0.5
            scores = scores if mask is None else scores.masked_fill(~mask, -torch.inf)
            mass.append(scores.logsumexp(-1, keepdim=True))
            mixed.append(scores.softmax(-1) @ values)
        return self._ungroup(mixed, now.queries), self._ungroup(mass, now.queries[..., :1])[..., 0]

    def _each_group(self, now: Projected, cached: Cached | None) -> Iterator[tuple[list[Tensor], Tensor | None]]:
        """Queries, keys and values as (rows, heads, time, width), and what sees what where there is a cache."""
        seen = (now.keys, now.values)
        if cached is not None and self._earlier is not None:
            at = self._there(self._earlier.rows[self._seen_rows] * cached.keys.shape[1] + self._seen_steps)
            past = (x.flatten(0, 1).index_select(0, at) for x in cached)
            seen = (torch.cat(both) for both in zip(past, seen, strict=True))
        queries = now.queries.index_select(0, self._queries).split([g.rows * g.queries for g in self.groups])
        keys, values = (x.index_select(0, self._keys).split([g.rows * g.keys for g in self.groups]) for x in seen)
        for group, *parts, mask in zip(self.groups, queries, keys, values, self._masks, strict=True):
            yield [part.view(group.rows, -1, *part.shape[1:]).transpose(1, 2) for part in parts], mask

    def _ungroup(self, groups: Sequence[Tensor], like: Tensor) -> Float[Tensor, "total heads width"]:
        """What each packed token got; if there are none, as little as `like`."""
        if not groups:
            return like
        return torch.cat([x.transpose(1, 2).flatten(0, 1) for x in groups]).index_select(0, self._slot)

    def _place(self, time: int) -> Int[Tensor, " total"]:
        return self._there(self.rows * time + self.steps)

    def _there(self, index: Tensor) -> Tensor:
        return to_device(index, self._device)


def each_step(
    counts: Int[Tensor, " batch"],
) -> tuple[Int[Tensor, " total"], Int[Tensor, " total"], Int[Tensor, " batch"]]:
    """Row and step of each of so many steps a row, row after row, and where each row begins."""
    begins = counts.cumsum(0) - counts
    rows = torch.arange(len(counts)).repeat_interleave(counts)
    return rows, torch.arange(len(rows)) - begins[rows], begins


def _grouped(
    lengths: Int[Tensor, " batch"], before: Int[Tensor, " batch"]
) -> tuple[Int[Tensor, " some"], tuple[Group, ...]]:
    """The rows that have tokens, longest first, and what is taken together as long as padding stays within bounds."""
    if not (lengths > 0).any():
        return torch.empty(0, dtype=torch.long), ()
    base = int(before.max()) + 1
    key = lengths * base + before
    order = torch.argsort(key, descending=True, stable=True)[: int((lengths > 0).sum())]
    kinds, counts = key[order].unique_consecutive(return_counts=True)
    groups: list[Group] = []
    rows, queries, keys, work = 0, 0, 0, 0
    for length, earlier, more in zip((kinds // base).tolist(), (kinds % base).tolist(), counts.tolist(), strict=True):
        added = more * length * (length + earlier)
        widest = max(keys, length + earlier)
        padded = (rows + more) * queries * widest
        if rows and padded > max(LEAST_PAIRS, (1 + MOST_PADDING) * (work + added)):
            groups += _split(rows, queries, keys)
            rows, work = 0, 0
        if not rows:
            queries, widest = length, length + earlier
        rows, keys, work = rows + more, widest, work + added
    return order, (*groups, *_split(rows, queries, keys))


def _split(rows: int, queries: int, keys: int) -> Iterator[Group]:
    most = max(1, MOST_PAIRS // max(1, queries * keys))
    for first in range(0, rows, most):
        yield Group(min(most, rows - first), queries, keys)


def _visible(group: Group, before: Int[Tensor, " rows"]) -> Bool[Tensor, "rows 1 queries keys"]:
    """Each query sees what came before its row's tokens here, and these up to itself."""
    query, key = (torch.arange(count, device=before.device) for count in (group.queries, group.keys))
    return (key <= before[:, None, None] + query[:, None])[:, None]
