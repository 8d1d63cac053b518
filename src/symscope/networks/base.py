"""A network is run on tokens, its state at a position can be read, and it can be resumed from a rewritten state.

The state lives at a *site* (a GRU's `h`, a transformer's residual stream after a layer). A `Cut` is a network
stopped at one position of each sequence: the state there, and whatever else it needs to go on. Rewriting a state
means replacing it in the cut and resuming; there are no hooks, and nothing before the cut is ever run again.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks.packing import to_device


@dataclass(frozen=True)
class Cut:
    """A batch of runs stopped at one position each."""

    site: str
    states: Float[Tensor, "batch state"]
    context: Mapping[str, Tensor] = field(default_factory=dict)
    """What else the network needs to go on: a row a run, then time, where that differs from cut to cut."""
    rows: Int[Tensor, " batch"] | None = None
    """Which row of the context each run has, on the CPU; default: each its own, in order."""

    def rewrite(self, states: Float[Tensor, "batch state"]) -> "Cut":
        """The same runs with other states."""
        return replace(self, states=states)

    def __getitem__(self, rows: Int[Tensor, " some"]) -> "Cut":
        """Some of the runs, in the order of `rows`."""
        return self.at(rows.cpu(), self.states[rows.to(self.states.device)])

    def at(self, rows: Int[Tensor, " some"], states: Float[Tensor, "some state"]) -> "Cut":
        """Some of the runs, in the order of `rows` (on the CPU), with other states; the context is not copied."""
        return replace(self, states=states, rows=self.context_rows[rows])

    @property
    def context_rows(self) -> Int[Tensor, " batch"]:
        """Which row of the context each run has, on the CPU."""
        return torch.arange(len(self.states)) if self.rows is None else self.rows

    def of(self, name: str) -> Tensor:
        """An entry of the context, a row for each run."""
        entry = self.context[name]
        return entry if self.rows is None else entry.index_select(0, to_device(self.rows, entry.device))

    def __len__(self) -> int:
        return len(self.states)


def join_cuts(cuts: Sequence[Cut]) -> Cut:
    """Cuts of one network at one site as one, their rows in order; a shorter context is padded with zeros."""

    def join(tensors: list[Tensor]) -> Tensor:
        if tensors[0].ndim == 1:
            return torch.cat(tensors)
        time = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([pad(x, (0, 0) * (x.ndim - 2) + (0, time - x.shape[1])) for x in tensors])

    context = {name: join([cut.of(name) for cut in cuts]) for name in cuts[0].context}
    return Cut(cuts[0].site, torch.cat([cut.states for cut in cuts]), context)


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
    def cut(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> Cut:
        """Each sequence run up to and with the token at its position (counted from 0), and stopped there."""

    @abstractmethod
    def resume(
        self, cut: Cut, continuation: Int[Tensor, "batch time"], wanted: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "wanted feature"]:
        """Goes on from a cut, and gives the features that predict the wanted tokens of the continuations.

        What predicts `continuation[:, 0]` is the cut itself, so a continuation's last token is never fed, and no row
        runs further than its last wanted token asks for. This is the innermost step of a search: the tokens are not
        checked, and nothing waits for the device.

        Args:
            cut: where to go on from; its states may have been rewritten.
            continuation: the tokens that follow.
            wanted: which of them are to be predicted; on the CPU, where the order of work is planned. At least one.

        Returns:
            The features, in the order of `wanted.nonzero()`.
        """

    def prefeed(self, cut: Cut, continuation: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]) -> Cut:
        """The same cut, with all of a continuation's run, up to its length, that no rewritten state can change.

        `resume` from it with that continuation, or less of it, gives the same features and has less to do; it must not
        be given any other. Where everything depends on the state, this is the cut as it was.
        """
        return cut

    def advance(self, cut: Cut, tokens: Int[Tensor, " batch"]) -> Cut:
        """The same runs stopped one token later: each is fed one more, whatever it would have predicted.

        For runs that are rewritten at several positions; so the new cut, states and context, is differentiable by the
        states of the old one. That must not have been fed anything beforehand (`prefeed`).

        Raises:
            InvalidArgumentError: this network does not say how.
        """
        raise InvalidArgumentError(f"{self.architecture}: rewriting several positions of a run needs `advance`")

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
