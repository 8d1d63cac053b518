"""Recurrent networks: a cell, unrolled over time, and an output layer.

A recurrent network is Markov: its state after a token is all that later steps depend on. So resuming from a rewritten
state means running the cell from it, and every later step sees the rewrite. The same packed loop runs whole sequences
and continuations; a row leaves the loop where it ends, so padding costs nothing.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from symscope.errors import InvalidArgumentError
from symscope.networks.base import Network, RunState
from symscope.networks.packing import Packing, pick, to_device


class Cell(nn.Module, ABC):
    """One step of a recurrent network. A user's cell implements this class and is passed to `RecurrentNetwork`.

    Attributes:
        width: size of the whole state.
        sites: the contiguous slice of the state for each site; the whole state is one of the sites.
        output: the slice that the output layer reads.
    """

    width: int
    sites: Mapping[str, slice]
    output: slice

    @cached_property
    def vocabulary(self) -> int:
        """Number of tokens. A cell that knows it sets it, so that the table need not be computed for it."""
        with torch.no_grad():
            return len(self.token_inputs())

    @abstractmethod
    def token_inputs(self) -> Float[Tensor, "vocabulary input"]:
        """The input of each token to a step, as a table: a step looks up the rows of its tokens."""

    @abstractmethod
    def step(
        self, states: Float[Tensor, "batch state"], inputs: Float[Tensor, "batch input"]
    ) -> Float[Tensor, "batch state"]:
        """The state after one more token, from the state before and the token's row of `token_inputs`."""

    def scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, " steps"], running: Sequence[int]
    ) -> Float[Tensor, "steps state"]:
        """Steps over a packed batch: step t runs the first `running[t]` rows, a number that never grows.

        This implementation calls `step` in a loop. A cell may override it with a faster version of the same function.

        Args:
            start: the states before the first step.
            tokens: the tokens of step 0, then those of step 1, ...
            running: the number of tokens of each step; not empty.

        Returns:
            The states after each token, packed like `tokens`.
        """
        states, after = start, []
        for inputs in self.token_inputs()[tokens].split(running):
            states = self.step(states[: len(inputs)], inputs)
            after.append(states)
        return torch.cat(after)


@final
class RecurrentNetwork(Network):
    """A cell that starts from the zero state, and an output layer.

    Args:
        cell: the step.
        output: a module from features to logits. If it takes a second argument, this is the generator that draws
            dropout in training, else None.

    Raises:
        InvalidArgumentError: a site of the cell is not a contiguous part of its state.
    """

    def __init__(self, cell: Cell, output: nn.Module) -> None:
        super().__init__()
        self.cell, self.output = cell, output
        self._output_drops = len(inspect.signature(output.forward).parameters) > 1
        self._slices = {name: _contiguous(name, part, cell.width) for name, part in cell.sites.items()}
        self.sites = {name: part.stop - part.start for name, part in self._slices.items()}
        if not self.sites:
            raise InvalidArgumentError(f"{type(cell).__name__} has no sites; name the whole state at least")
        self.default_site = max(self.sites, key=lambda name: self.sites[name])  # the whole state
        self.architecture = f"recurrent, {type(cell).__name__}, {type(output).__name__}"
        self.vocabulary = cell.vocabulary

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        return self._over_time(tokens, lengths)[..., self.cell.output]

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        return self.output(features, dropout) if self._output_drops else self.output(features)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        self.check_site(site)
        return self._over_time(tokens, None)[..., self._slices[site]]

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        self.check_site(site)
        self.check_positions(tokens, positions)
        lengths = positions.cpu() + 1
        self.check_tokens(tokens, lengths)
        after, packing = self._from_zero(tokens, lengths)
        last = packing.index(torch.arange(len(lengths)), lengths - 1)
        whole = after.index_select(0, to_device(last, after.device))
        if self.sites[site] == self.cell.width:
            return RunState(site, whole)
        return RunState(site, whole[:, self._slices[site]], {"whole": whole})

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        start = self._whole(state)
        rows, steps = target_mask.nonzero().unbind(1)
        needed = (target_mask * torch.arange(target_mask.shape[1])).amax(1)
        packing = Packing(needed)
        start = pick(start, to_device(packing.order, start.device))
        after = self._scan(start, fed, packing)
        # The stopped states predict column 0, and they come first.
        index = len(start) + packing.index(rows, (steps - 1).clamp(min=0))
        index = to_device(torch.where(steps == 0, packing.rank[rows], index), start.device)
        return pick(torch.cat([start, after])[:, self.cell.output], index)

    def _whole(self, state: RunState) -> Float[Tensor, "batch width"]:
        """The whole states of stopped runs, with the rewritten part in its slice."""
        if "whole" not in state.stored:
            return state.states
        part, whole = self._slices[state.site], state.context["whole"]
        return torch.cat([whole[:, : part.start], state.states, whole[:, part.stop :]], 1)

    def _over_time(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, "batch time state"]:
        self.check_tokens(tokens, lengths)
        batch, time = tokens.shape
        after, packing = self._from_zero(tokens, torch.full((batch,), time) if lengths is None else lengths.cpu())
        padded = after.new_zeros(batch * time, after.shape[1])
        index = to_device(packing.rows * time + packing.steps, after.device)
        return padded.index_copy(0, index, after).view(batch, time, -1)

    def _from_zero(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "steps state"], Packing]:
        """The packed states after each token, from the zero state, and their packing."""
        start = torch.zeros(len(tokens), self.cell.width, dtype=self.dtype, device=self.device)
        packing = Packing(lengths)
        return self._scan(start, tokens, packing), packing

    def _scan(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, "batch time"], packing: Packing
    ) -> Float[Tensor, "steps state"]:
        """The packed states after each token; `start` is in the order of the packing."""
        if not packing.running:
            return start[:0]
        index = to_device(packing.rows * tokens.shape[1] + packing.steps, start.device)
        return self.cell.scan(start, tokens.reshape(-1).index_select(0, index), packing.running)


def _contiguous(site: str, part: slice, width: int) -> slice:
    """The slice with start and stop counted from 0; negative and missing bounds are resolved."""
    start, stop, step = part.indices(width)
    within = all(bound is None or -width <= bound <= width for bound in (part.start, part.stop))
    if step != 1 or stop <= start or not within:
        raise InvalidArgumentError(
            f"site {site!r} is {part}, but a site is a contiguous, non-empty part of the {width}-dimensional state, "
            f"such as slice(0, {width}); for arbitrary dimensions search the whole state"
        )
    return slice(start, stop)
