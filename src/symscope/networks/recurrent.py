"""Recurrent networks: a cell, unrolled over time, and an output layer.

The state after a token is all that a recurrent network carries on (it is Markov), so resuming from a rewritten
state is running the cell onwards, and every later step sees the rewrite. One unrolled loop serves whole sequences
and continuations alike; rows leave it as they end, so padding costs nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from symscope.networks.base import Cut, Network, check_positions, rows_at


class Cell(nn.Module, ABC):
    """One step of a recurrent network. A user's own cell implements this and goes into `RecurrentNetwork`.

    Attributes:
        width: size of the whole state.
        sites: which slice of the state each site is; the whole state is one of them.
        output: which slice the output layer reads.
    """

    width: int
    sites: Mapping[str, slice]
    output: slice

    @abstractmethod
    def drives(self) -> Float[Tensor, "vocabulary drive"]:
        """What each token contributes to a step. There are few tokens, so it is looked up, not multiplied."""

    @abstractmethod
    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """The state after one more token."""

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        """Steps over a packed batch: `running[t]` rows, the first ones, are there at step t, never more than before.

        This is the plain route, one `step` after another. A cell may have a faster one to the same values.

        Args:
            start: the states before the first step.
            tokens: the tokens of step 0, then those of step 1, ...
            running: how many tokens each step has; not empty.

        Returns:
            The states after each token, packed like `tokens`.
        """
        states, after = start, []
        for drives in self.drives()[tokens].split(running):
            states = self.step(states[: len(drives)], drives)
            after.append(states)
        return torch.cat(after)


@final
class RecurrentNetwork(Network):
    """A cell from a zero state, and an output layer on its output.

    Args:
        cell: the step.
        output: a module from features (and, in training, a dropout generator) to logits.
    """

    def __init__(self, cell: Cell, output: nn.Module) -> None:
        super().__init__()
        self.cell, self.output = cell, output
        self.sites = {name: part.stop - part.start for name, part in cell.sites.items()}
        self.default_site = max(self.sites, key=lambda name: self.sites[name])  # the whole state
        self.architecture = f"recurrent, {type(cell).__name__}, {type(output).__name__}"
        with torch.no_grad():
            self.vocabulary = len(cell.drives())

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """See `Network.features`."""
        return self._over_time(tokens, lengths)[..., self.cell.output]

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """See `Network.readout`."""
        return self.output(features, dropout)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        """See `Network.states`."""
        self.check_site(site)
        return self._over_time(tokens, None)[..., self.cell.sites[site]]

    def cut(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> Cut:
        """See `Network.cut`; nothing after the positions is run."""
        self.check_site(site)
        check_positions(tokens, positions)
        whole = rows_at(self._over_time(tokens, positions.cpu() + 1), positions)
        return Cut(site, whole[:, self.cell.sites[site]], {"whole": whole})

    def resume(
        self, cut: Cut, continuation: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time feature"]:
        """See `Network.resume`."""
        part, whole = self.cell.sites[cut.site], cut.context["whole"]
        start = torch.cat([whole[:, : part.start], cut.states, whole[:, part.stop :]], 1)
        batch, time = continuation.shape
        after, place = self._run(start, continuation[:, :-1], lengths - 1)
        # The features of the cut itself come first, so whatever follows moves one position on.
        place = torch.cat([torch.arange(batch, device=start.device) * time, place + place // max(time - 1, 1) + 1])
        return _spread(torch.cat([start, after])[:, self.cell.output], place, batch, time)

    def _over_time(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch time state"]:
        self.check_tokens(tokens)
        batch, time = tokens.shape
        weight = next(self.parameters())
        start = torch.zeros(batch, self.cell.width, dtype=weight.dtype, device=weight.device)
        after, place = self._run(start, tokens, torch.full((batch,), time) if lengths is None else lengths)
        return _spread(after, place, batch, time)

    def _run(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "steps state"], Int[Tensor, " steps"]]:
        """States after each token before `lengths`, packed, and where in the flattened tokens each of them belongs."""
        time = tokens.shape[1]
        order = torch.argsort(lengths.cpu(), descending=True, stable=True)
        there = torch.arange(time)[:, None] < lengths.cpu()[order]
        running = [rows for rows in there.sum(1).tolist() if rows]
        place = (order * time + torch.arange(time)[:, None])[there].to(start.device)
        if not running:
            return start[:0], place
        packed = tokens.reshape(-1).index_select(0, place)
        return self.cell.scan(start.index_select(0, order.to(start.device)), packed, running), place


def _spread(
    packed: Float[Tensor, "steps state"], place: Int[Tensor, " steps"], batch: int, time: int
) -> Float[Tensor, "batch time state"]:
    """Packed values at their places, zero elsewhere."""
    padded = packed.new_zeros(batch * time, packed.shape[1])
    return padded.index_copy(0, place, packed).view(batch, time, -1)
