"""Recurrent networks: a cell, unrolled over time, and an output layer.

The state after a token is all that a recurrent network carries on (it is Markov), so resuming from a rewritten
state is running the cell onwards, and every later step sees the rewrite. One unrolled loop serves whole sequences
and continuations alike; rows leave it as they end, so padding costs nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import linear

from symscope.errors import InvalidArgumentError
from symscope.networks.base import Cut, Network, check_positions, rows_at
from symscope.networks.initial import normal_parameter, uniform_parameter
from symscope.networks.readouts import MLPReadout


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


@final
class GRUCell(Cell):
    """The gated recurrent unit, in torch's convention (reset, update, new), behind an embedding of width d."""

    def __init__(self, d: int, vocabulary: int, generator: Generator) -> None:
        super().__init__()
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.embedding = normal_parameter((vocabulary, d), generator)
        self.input_weight = uniform_parameter((3 * d, d), d, generator)
        self.input_bias = uniform_parameter((3 * d,), d, generator)
        self.state_weight = uniform_parameter((3 * d, d), d, generator)
        self.state_bias = uniform_parameter((3 * d,), d, generator)

    def drives(self) -> Float[Tensor, "vocabulary drive"]:
        """See `Cell.drives`."""
        return linear(self.embedding, self.input_weight, self.input_bias)

    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """See `Cell.step`."""
        d = self.width
        recurrent = linear(states, self.state_weight, self.state_bias)
        reset, update = torch.sigmoid(drives[:, : 2 * d] + recurrent[:, : 2 * d]).split(d, 1)
        new = torch.tanh(drives[:, 2 * d :] + reset * recurrent[:, 2 * d :])
        return torch.lerp(new, states, update)


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
        later = self._run(start, continuation, lengths - 1)
        return torch.cat([start[:, None], later], 1)[:, :-1, self.cell.output]

    def _over_time(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch time state"]:
        if tokens.numel() == 0:
            raise InvalidArgumentError(f"nothing to run on: tokens have the shape {tuple(tokens.shape)}")
        batch, time = tokens.shape
        weight = next(self.parameters())
        start = torch.zeros(batch, self.cell.width, dtype=weight.dtype, device=weight.device)
        return self._run(start, tokens, torch.full((batch,), time) if lengths is None else lengths)

    def _run(
        self,
        start: Float[Tensor, "batch state"],
        tokens: Int[Tensor, "batch time"],
        lengths: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch time state"]:
        """States after each token; zero from `lengths` onwards."""
        batch, time = tokens.shape
        lengths = lengths.cpu()
        order = torch.argsort(lengths, descending=True, stable=True)
        running = (torch.arange(time)[:, None] < lengths[order]).sum(1).tolist()
        drives, ordered = self.cell.drives(), tokens[order.to(tokens.device)]
        states, after = start[order.to(start.device)], []
        for position, rows in enumerate(running):
            if rows == 0:
                break
            states = self.cell.step(states[:rows], drives[ordered[:rows, position]])
            after.append(states)
        place = torch.cat([order[:rows] * time + position for position, rows in enumerate(running)])
        padded = start.new_zeros(batch * time, self.cell.width)
        if after:
            padded = padded.index_copy(0, place.to(start.device), torch.cat(after))
        return padded.view(batch, time, self.cell.width)


def gru(d: int, vocabulary: int, generator: Generator) -> RecurrentNetwork:
    """The paper's GRU: embedding and state of width d, one cell, the MLP output layer; site `h`."""
    if d < 1:
        raise InvalidArgumentError(f"the state size d is at least 1, got {d}")
    return RecurrentNetwork(GRUCell(d, vocabulary, generator), MLPReadout(d, vocabulary, generator))
