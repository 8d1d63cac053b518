"""Ragged batches: sequences of different lengths, row after row without padding, and grouped for attention.

What is done to each token alone (norms, matrix products) is done to the packed tokens. Attention needs rows of one
length, so it runs in groups of rows of similar length: padding is at most a tenth of what a group works on. It stands
at the end of its row, where causal attention never looks, so it changes no value and no gradient.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

MOST_PADDING = 0.1
"""Share by which padding may add to the work of a group, counted in pairs of positions."""

Heads = Float[Tensor, "*tokens heads width"]


class Projected(NamedTuple):
    """What attention makes of some tokens."""

    queries: Heads
    keys: Heads
    values: Heads


@dataclass(frozen=True)
class Ragged:
    """Where the tokens of a batch go when it is packed, longest rows first."""

    place: Int[Tensor, " total"]
    """Of each packed token in the flattened padded batch."""
    positions: Int[Tensor, " total"]
    """Of each packed token in its row."""
    slots: Int[Tensor, " padded"]
    """The packed token in each slot of the groups, in order; padding repeats the last token of its row."""
    slot: Int[Tensor, " total"]
    """The slot of each packed token."""
    groups: tuple[tuple[int, int], ...]
    """Rows and length of each group."""

    @classmethod
    def of(cls, lengths: Int[Tensor, " batch"], time: int, device: torch.device) -> "Ragged":
        """The layout of rows of these lengths in a batch of `time`; worked out on the CPU and moved once."""
        counts, order = lengths.cpu().sort(descending=True, stable=True)
        groups = _groups(counts)
        widths = torch.tensor([width for _, width in groups]).repeat_interleave(torch.tensor([r for r, _ in groups]))
        row, positions, starts = _rows(counts)
        padded_row, padded_position, padded_starts = _rows(widths)
        last = (counts[padded_row] - 1).clamp(min=0)
        parts = (
            order[row] * time + positions,
            positions,
            starts[padded_row] + torch.minimum(padded_position, last),
            padded_starts[row] + positions,
        )
        place, positions, slots, slot = torch.cat(parts).to(device).split([len(part) for part in parts])
        return cls(place, positions, slots, slot, groups)

    def pack(self, padded: Int[Tensor, "batch time"]) -> Int[Tensor, " total"]:
        """The tokens without their padding."""
        return padded.reshape(-1).index_select(0, self.place)

    def spread(self, packed: Float[Tensor, "total *rest"], batch: int, time: int) -> Float[Tensor, "batch time *rest"]:
        """Packed values at their places, zero elsewhere."""
        padded = packed.new_zeros(batch * time, *packed.shape[1:])
        return padded.index_copy(0, self.place, packed).view(batch, time, *packed.shape[1:])

    def attend(self, projected: Projected) -> Float[Tensor, "total d"]:
        """Causal attention within each row, heads side by side."""
        sizes = [rows * width for rows, width in self.groups]
        grouped = zip(*(x.index_select(0, self.slots).split(sizes) for x in projected), strict=True)
        mixed = []
        for (rows, width), parts in zip(self.groups, grouped, strict=True):
            heads = (part.view(rows, width, *part.shape[1:]).transpose(1, 2) for part in parts)
            mixed.append(scaled_dot_product_attention(*heads, is_causal=True).transpose(1, 2).flatten(2).flatten(0, 1))
        return torch.cat(mixed).index_select(0, self.slot)


def _rows(counts: Int[Tensor, " batch"]) -> tuple[Int[Tensor, " total"], Int[Tensor, " total"], Int[Tensor, " batch"]]:
    """Row and position of each of so many tokens a row, and where each row starts."""
    starts = counts.cumsum(0) - counts
    row = torch.arange(len(counts)).repeat_interleave(counts)
    return row, torch.arange(len(row)) - starts[row], starts


def _groups(counts: Int[Tensor, " batch"]) -> tuple[tuple[int, int], ...]:
    """Rows, longest first, taken together as long as padding stays within bounds: (rows, longest) of each group."""
    groups, rows, width, work = [], 0, 0, 0
    for length, more in zip(*(x.tolist() for x in counts.unique_consecutive(return_counts=True)), strict=True):
        added = work + more * length**2
        if rows and (rows + more) * width**2 > (1 + MOST_PADDING) * added:
            groups.append((rows, width))
            rows, added = 0, more * length**2
        rows, width, work = rows + more, width if rows else length, added
    return (*groups, (rows, width))
