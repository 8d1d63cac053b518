"""Runs the network once on the base and source sequences, up to their cuts.

Nothing here depends on an alignment, so a search does it once, and every later step starts from the cuts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions.draw import Interventions
from symscope.networks import Network, RunState, join_run_states

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Prepared:
    """Interventions on one network: its states at the cuts, and the continuations that must follow a swap."""

    base: RunState
    source: Float[Tensor, "batch state"]
    continuation: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    """On the CPU, where the order of work is planned; so is `scored`."""
    scored: Bool[Tensor, "batch time"]
    """Which tokens of the continuation are scored: the determined ones."""

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

    def cuts(tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> Iterator[RunState]:
        for part, at in zip(tokens.split(ROWS_AT_ONCE), positions.split(ROWS_AT_ONCE), strict=True):
            yield network.run_until(part.to(device), at.to(device), site)

    parts = zip(
        cuts(interventions.base, interventions.base_positions),
        continuation[:, :-1].split(ROWS_AT_ONCE),
        (interventions.lengths - 1).split(ROWS_AT_ONCE),
        strict=True,
    )
    base = join_run_states([network.precompute(*part) for part in parts])
    source = torch.cat([cut.states for cut in cuts(interventions.source, interventions.source_positions)])
    if not all(states.isfinite().all() for states in (base.states, source)):
        raise NonFiniteError(f"the network's states at site {site!r} are not all finite; was its training stable?")
    return Prepared(
        base,
        source,
        continuation,
        interventions.lengths,
        interventions.determined,
    )


def join(parts: Sequence[Prepared]) -> Prepared:
    """Several sets on one network as one, their rows in order."""
    time = max(part.continuation.shape[1] for part in parts)
    return Prepared(
        join_run_states([part.base for part in parts]),
        torch.cat([part.source for part in parts]),
        torch.cat([pad(part.continuation, (0, time - part.continuation.shape[1])) for part in parts]),
        torch.cat([part.lengths for part in parts]),
        torch.cat([pad(part.scored, (0, time - part.scored.shape[1])) for part in parts]),
    )
