"""Runs the network once on the base and source sequences, up to their cuts.

Nothing here depends on an alignment, so a search does it once, and every later step starts from the cuts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions.draw import Interventions
from symscope.networks import Cut, Network, join_cuts

ROWS_AT_ONCE = 4096


class Earlier(NamedTuple):
    """A position before the cut that is rewritten too: what with, and the base's own token that follows it."""

    source: Float[Tensor, "batch state"]
    token: Int[Tensor, " batch"]


@dataclass(frozen=True)
class Prepared:
    """Interventions on one network: its states at the cuts, and the continuations that must follow a swap."""

    base: Cut
    """Stopped at the first position that is rewritten; of a single one, that is the cut."""
    source: Float[Tensor, "batch state"]
    continuation: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    """On the CPU, where the order of work is planned; so is `scored`."""
    scored: Bool[Tensor, "batch time"]
    """Which tokens of the continuation are scored: the determined ones."""
    earlier: tuple[Earlier, ...] = ()
    """Of a window of several positions, those before the cut, in order."""

    def __len__(self) -> int:
        return len(self.source)

    def natural_states(self) -> Float[Tensor, "samples state"]:
        """The states that the network itself was in, where base and source are stopped."""
        return torch.cat([self.base.states, self.source])


@torch.no_grad()
def prepare(network: Network, interventions: Interventions, site: str) -> Prepared:
    """States of the network at the cuts of all interventions, on the network's device.

    Raises:
        UnknownNameError: the network has no such site.
        InvalidArgumentError: no token of the interventions is determined, so there is nothing to score.
        NonFiniteError: a state is NaN or infinite.
    """
    if not interventions.determined.any():
        raise InvalidArgumentError("the interventions have nothing to score: no token of a continuation is determined")
    device = next(network.parameters()).device

    continuation = interventions.continuation.to(device)
    network.check_tokens(continuation)

    def cuts(tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> Iterator[Cut]:
        for part, at in zip(tokens.split(ROWS_AT_ONCE), positions.split(ROWS_AT_ONCE), strict=True):
            yield network.cut(part.to(device), at.to(device), site)

    def sources(back: int) -> Float[Tensor, "batch state"]:
        return torch.cat([cut.states for cut in cuts(interventions.source, interventions.source_positions - back)])

    window = range(interventions.window - 1, 0, -1)
    stopped = cuts(interventions.base, interventions.base_positions - len(window))
    if not window:  # what follows the cut is known
        parts = zip(stopped, continuation.split(ROWS_AT_ONCE), interventions.lengths.split(ROWS_AT_ONCE), strict=True)
        stopped = (network.prefeed(*part) for part in parts)
    base, source = join_cuts(list(stopped)), sources(0)
    tokens, at = interventions.base.to(device), interventions.base_positions.to(device)[:, None]
    earlier = tuple(Earlier(sources(back), tokens.gather(1, at - back + 1)[:, 0]) for back in window)
    if not all(states.isfinite().all() for states in (base.states, source, *(one.source for one in earlier))):
        raise NonFiniteError(f"the network's states at site {site!r} are not all finite; was its training stable?")
    return Prepared(
        base,
        source,
        continuation,
        interventions.lengths,
        interventions.determined,
        earlier,
    )


def join(parts: Sequence[Prepared]) -> Prepared:
    """Several sets on one network, of windows of the same width, as one, their rows in order."""
    time = max(part.continuation.shape[1] for part in parts)
    return Prepared(
        join_cuts([part.base for part in parts]),
        torch.cat([part.source for part in parts]),
        torch.cat([pad(part.continuation, (0, time - part.continuation.shape[1])) for part in parts]),
        torch.cat([part.lengths for part in parts]),
        torch.cat([pad(part.scored, (0, time - part.scored.shape[1])) for part in parts]),
        tuple(
            Earlier(*(torch.cat(both) for both in zip(*same, strict=True)))
            for same in zip(*(part.earlier for part in parts), strict=True)
        ),
    )
