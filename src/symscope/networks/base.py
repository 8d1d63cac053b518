"""A network is run on tokens, its state at a position can be read, and it can be resumed from a rewritten state.

The state lives at a *site* (a GRU's `h`, a transformer's residual stream after a layer). A `RunState` is a network
stopped at one position of each sequence: the state there, and whatever else it needs to continue. To rewrite a state,
replace it in the run state and resume; there are no hooks, and nothing before the stop is ever run again.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks.packing import to_device


@dataclass(frozen=True)
class RunState:
    """A batch of runs of a network, each stopped after one position of its sequence.

    Attributes:
        site: the site of the states.
        states: the state of each run at the site.
        stored: further tensors that the network needs to continue; read them through `context`.
        rows: the row of `stored` that belongs to each run, on the CPU; default: run i has row i.
    """

    site: str
    states: Float[Tensor, "batch state"]
    stored: Mapping[str, Tensor] = field(default_factory=dict)
    rows: Int[Tensor, " batch"] | None = None

    @property
    def context(self) -> Mapping[str, Tensor]:
        """The stored tensors with one row for each run, in the order of `states`."""
        return _ContextRows(self.stored, self.rows)

    @property
    def context_rows(self) -> Int[Tensor, " batch"]:
        """The row of `stored` that belongs to each run, on the CPU."""
        return torch.arange(len(self.states)) if self.rows is None else self.rows

    def rewrite(self, states: Float[Tensor, "batch state"]) -> "RunState":
        """The same runs with other states."""
        return replace(self, states=states)

    def __getitem__(self, rows: Int[Tensor, " some"]) -> "RunState":
        """Some of the runs, in the order of `rows`."""
        return self.select(rows.cpu(), self.states[rows.to(self.states.device)])

    def select(self, rows: Int[Tensor, " some"], states: Float[Tensor, "some state"]) -> "RunState":
        """Some of the runs, in the order of `rows` (on the CPU), with other states; stored tensors are not copied."""
        return replace(self, states=states, rows=self.context_rows[rows])

    def __len__(self) -> int:
        return len(self.states)


@final
class _ContextRows(Mapping[str, Tensor]):
    """Stored tensors, of which each access selects the rows that belong to the runs."""

    def __init__(self, stored: Mapping[str, Tensor], rows: Tensor | None) -> None:
        self._stored, self._rows = stored, rows

    def __getitem__(self, name: str) -> Tensor:
        entry = self._stored[name]
        return entry if self._rows is None else entry.index_select(0, to_device(self._rows, entry.device))

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode (no dropout), and restores the mode of each of its modules afterwards."""
    training = [module for module in network.modules() if module.training]
    network.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def join_run_states(states: Sequence[RunState]) -> RunState:
    """Joins run states of one network at one site, rows in order; shorter stored tensors are padded with zeros."""

    def join(tensors: list[Tensor]) -> Tensor:
        if tensors[0].ndim == 1:
            return torch.cat(tensors)
        time = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([pad(x, (0, 0) * (x.ndim - 2) + (0, time - x.shape[1])) for x in tensors])

    stored = {name: join([state.context[name] for state in states]) for name in states[0].stored}
    return RunState(states[0].site, torch.cat([state.states for state in states]), stored)


class Network(nn.Module, ABC):
    """What symscope asks of a network.

    A *feature* is what the output layer reads: the network's last activity at a position. `features` and `resume`
    give features, `readout` turns them into logits, so that a caller reads out only the positions that it scores.

    Attributes:
        sites: where a state can be read and rewritten, with its width there.
        default_site: the site that is meant when none is named.
        architecture: what it is, in words that tell it from any other of the same weights (kind, heads, ...).
        vocabulary: number of tokens.
    """

    sites: Mapping[str, int]
    default_site: str
    architecture: str
    vocabulary: int

    @abstractmethod
    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """The features after each token. Given `lengths`, those of the padding may be anything.

        Raises:
            InvalidArgumentError: there are no tokens, one is outside the vocabulary, or a length is not that of a row.
        """

    @abstractmethod
    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits of the next token. `dropout` is given in training only and drops hidden units at random."""

    @abstractmethod
    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        """The state at a site after each token; `UnknownNameError` when there is no such site."""

    @abstractmethod
    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """Runs each sequence up to and including the token at its position (counted from 0), and stops there."""

    @abstractmethod
    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        """Continues stopped runs with the tokens `fed`, and returns the features that predict the targets.

        Column 0 of `target_mask` is the prediction at the stop itself, column j the prediction after `fed[:, j - 1]`.
        No row runs further than its last target needs. This is the innermost step of a search: the tokens are not
        checked, and nothing waits for the device.

        Args:
            state: the stopped runs; their states may have been rewritten.
            fed: the tokens that each run reads after the stop.
            target_mask: which predictions are needed; on the CPU, where the order of work is planned. At least one.

        Returns:
            The features, in the order of `target_mask.nonzero()`.
        """

    def precompute(self, state: RunState, fed: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> RunState:
        """Runs all of the fed tokens that no rewritten state can change, up to `lengths` tokens of each row.

        `resume` from the returned run state, with the same `fed` or with less of it, gives the same features and does
        less work. A network in which everything depends on the state returns the run state unchanged.
        """
        return state

    def states_at(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str
    ) -> Float[Tensor, "batch state"]:
        """The state at a site after the token at one position of each sequence; nothing above the site is run."""
        return self.run_until(tokens, positions, site).states

    @property
    def device(self) -> torch.device:
        """The device of the weights, parameters or buffers; the CPU where there are none."""
        first = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if first is None else first.device

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocabulary"]:
        """Logits of the token after each position."""
        return self.readout(self.features(tokens))

    def check_site(self, site: str) -> None:
        """Raises `UnknownNameError` when the network has no such site."""
        if site not in self.sites:
            raise UnknownNameError("site", site, self.sites)

    def check_tokens(self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None) -> None:
        """Raises `InvalidArgumentError` on no token, one that the vocabulary does not have, or an impossible length."""
        if tokens.numel() == 0:
            raise InvalidArgumentError(f"nothing to run on: tokens have the shape {tuple(tokens.shape)}")
        low, high = torch.stack(tokens.aminmax()).tolist()
        if low < 0 or high >= self.vocabulary:
            wrong = low if low < 0 else high
            raise InvalidArgumentError(f"token {wrong} is outside the vocabulary: ids are 0..{self.vocabulary - 1}")
        if lengths is not None:
            _check_lengths(tokens, lengths)


def _check_lengths(tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " count"]) -> None:
    rows, time = tokens.shape
    if len(lengths) != rows:
        raise InvalidArgumentError(f"each row has a length; got {len(lengths)} for {rows} rows")
    low, high = int(lengths.min()), int(lengths.max())
    if low < 1 or high > time:
        raise InvalidArgumentError(f"lengths lie in 1..{time}, the width of the tokens; got {low if low < 1 else high}")


def check_positions(tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> None:
    """Raises `InvalidArgumentError` when a position lies outside its sequence."""
    if tokens.numel() == 0 or len(positions) != len(tokens):
        raise InvalidArgumentError(
            f"a cut needs one position for each sequence, and at least one of each; got {len(positions)} positions "
            f"for tokens of the shape {tuple(tokens.shape)}"
        )
    low, high = int(positions.min()), int(positions.max())
    if low < 0 or high >= tokens.shape[1]:
        wrong = low if low < 0 else high
        raise InvalidArgumentError(
            f"position {wrong} does not exist: sequences have positions 0..{tokens.shape[1] - 1}"
        )
