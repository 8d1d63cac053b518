"""Recurrent networks: a cell, unrolled over time, and an output layer.

The state after a token is all that a recurrent network carries on (it is Markov), so resuming from a rewritten
state is running the cell onwards, and every later step sees the rewrite. One unrolled loop serves whole sequences
and continuations alike; rows leave it as they end, so padding costs nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from symscope.networks.base import Network, RunState, check_positions
from symscope.networks.packing import Packing, pick, to_device


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
    def token_inputs(self) -> Float[Tensor, "vocabulary drive"]:
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
        for drives in self.token_inputs()[tokens].split(running):
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
            self.vocabulary = len(cell.token_inputs())

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

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """See `Network.run_until`; nothing after the positions is run."""
        self.check_site(site)
        check_positions(tokens, positions)
        lengths = positions.cpu() + 1
        self.check_tokens(tokens, lengths)
        after, packing = self._from_zero(tokens, lengths)
        last = packing.index(torch.arange(len(lengths)), lengths - 1)
        return self._stopped(after.index_select(0, to_device(last, after.device)), site)

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        """See `Network.resume`."""
        start = self._whole(state)
        rows, steps = target_mask.nonzero().unbind(1)
        needed = (target_mask * torch.arange(target_mask.shape[1])).amax(1)
        packing = Packing(needed)
        start = pick(start, to_device(packing.order, start.device))
        after = self._scan(start, fed, packing)
        # The stopped states predict column 0, and they come first.
        at = len(start) + packing.index(rows, (steps - 1).clamp(min=0))
        at = to_device(torch.where(steps == 0, packing.place[rows], at), start.device)
        return pick(torch.cat([start, after])[:, self.cell.output], at)

    def _stopped(self, whole: Float[Tensor, "batch width"], site: str) -> RunState:
        """Runs in these whole states, stopped at a site that may be a part of them."""
        if self.sites[site] == self.cell.width:
            return RunState(site, whole)
        return RunState(site, whole[:, self.cell.sites[site]], {"whole": whole})

    def _whole(self, state: RunState) -> Float[Tensor, "batch width"]:
        """The whole states of stopped runs, their rewritten part included."""
        if "whole" not in state.stored:
            return state.states
        part, whole = self.cell.sites[state.site], state.context["whole"]
        return torch.cat([whole[:, : part.start], state.states, whole[:, part.stop :]], 1)

    def _over_time(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch time state"]:
        self.check_tokens(tokens, lengths)
        batch, time = tokens.shape
        after, packing = self._from_zero(tokens, torch.full((batch,), time) if lengths is None else lengths.cpu())
        padded = after.new_zeros(batch * time, after.shape[1])
        place = to_device(packing.rows * time + packing.steps, after.device)
        return padded.index_copy(0, place, after).view(batch, time, -1)

    def _from_zero(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "steps state"], Packing]:
        """The packed states after each token, from the zero state, and how they are packed."""
        weight = next(self.parameters())
        start = torch.zeros(len(tokens), self.cell.width, dtype=weight.dtype, device=weight.device)
        packing = Packing(lengths)
        return self._scan(start, tokens, packing), packing

    def _scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, "batch time"], packing: Packing
    ) -> Float[Tensor, "steps state"]:
        """The packed states after each token, from states in the order of the packing."""
        if not packing.running:
            return start[:0]
        place = to_device(packing.rows * tokens.shape[1] + packing.steps, start.device)
        return self.cell.scan(start, tokens.reshape(-1).index_select(0, place), packing.running)
