"""The interface of a network: run on tokens, stopped at a position, and resumed from a rewritten state.

The state lives at a *site* (a GRU's `h`, a transformer's residual stream after a layer). A `RunState` is a batch of
runs, each stopped at one position of its sequence: the state there, and the context that the network needs to
continue. To intervene, replace the states of a run state and resume; there are no hooks, and nothing before the stop
runs again.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int, Shaped
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
        """The same runs with new states, which are converted to the floating-point type of the old ones."""
        return replace(self, states=states.to(self.states.dtype))

    def __getitem__(self, rows: Int[Tensor, " some"]) -> "RunState":
        """Selected runs, in the order of `rows`; a run may be repeated."""
        return self.select(rows.cpu(), self.states[rows.to(self.states.device)])

    def select(self, rows: Int[Tensor, " some"], states: Float[Tensor, "some state"]) -> "RunState":
        """Selected runs with new states, in the order of `rows` (on the CPU); stored tensors are not copied."""
        return replace(self, states=states.to(self.states.dtype), rows=self.context_rows[rows])

    def __len__(self) -> int:
        return len(self.states)


@final
class _ContextRows(Mapping[str, Tensor]):
    """Stored tensors; reading one selects the rows that belong to the runs."""

    def __init__(self, stored: Mapping[str, Tensor], rows: Tensor | None) -> None:
        self._stored, self._rows = stored, rows

    def __getitem__(self, name: str) -> Tensor:
        entry = self._stored[name]
        return entry if self._rows is None else entry.index_select(0, to_device(self._rows, entry.device))

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)


def join_run_states(states: Sequence[RunState]) -> RunState:
    """Joins run states of one network at one site, in order; shorter stored tensors are padded with zeros."""

    def join(tensors: list[Tensor]) -> Tensor:
        if tensors[0].ndim == 1:
            return torch.cat(tensors)
        time = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([pad(x, (0, 0) * (x.ndim - 2) + (0, time - x.shape[1])) for x in tensors])

    stored = {name: join([state.context[name] for state in states]) for name in states[0].stored}
    return RunState(states[0].site, torch.cat([state.states for state in states]), stored)


class Resumable(nn.Module, ABC):
    """What a search needs of a network: it resumes stopped runs from rewritten states, and predicts.

    *Features* are the input of the output layer: the network's last activations at a position. `resume` returns
    features, and `readout` turns them into logits, so that a caller computes logits only where it needs them.
    """

    @property
    def device(self) -> torch.device:
        """The device of the weights (parameters or buffers); the CPU if there are none."""
        weight = next(chain(self.parameters(), self.buffers()), None)
        return torch.device("cpu") if weight is None else weight.device

    @abstractmethod
    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits of the next token. `dropout` is given in training only; it draws which hidden units are dropped."""

    @abstractmethod
    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        """Continues stopped runs with the tokens `fed`, and returns the features that predict the targets.

        Column 0 of `target_mask` is the prediction at the stop itself, column j the prediction after `fed[:, j - 1]`.
        No row runs further than its last target. This is the innermost step of a search: tokens are not checked, and
        the call does not wait for the device.

        Args:
            state: the stopped runs; their states may have been rewritten. Read stored tensors through `state.context`.
            fed: the tokens that each run reads after the stop.
            target_mask: the predictions to return, at least one; on the CPU, where the order of work is planned.

        Returns:
            The features, in the order of `target_mask.nonzero()`.
        """


class Network(Resumable):
    """Base class of all networks.

    Attributes:
        sites: the names of the states that can be read and rewritten, with the width of each.
        default_site: the site that is used when a caller names none.
        architecture: kind, layers, heads and so on, such that weights fit only a network of the same description.
        vocabulary: number of tokens.
        outputs: number of logits where it is not the number of tokens, as for labels; else `None`.
        input_width: for a network that takes one vector for each row, its width: it has a single position, 0, and is
            fed nothing after it; `None`: the network takes token ids.
        config: the arguments of `make_network` as JSON values, with the keys kind, d, vocabulary and options; None for
            a network that was built in any other way.
    """

    sites: Mapping[str, int]
    default_site: str
    architecture: str
    vocabulary: int
    outputs: int | None = None
    input_width: int | None = None
    config: Mapping[str, Any] | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of the weights (parameters or buffers); torch's default type if there are none."""
        weights = (weight for weight in chain(self.parameters(), self.buffers()) if weight.is_floating_point())
        weight = next(weights, None)
        return torch.get_default_dtype() if weight is None else weight.dtype

    @abstractmethod
    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """The features after each token. With `lengths`, the features of padding are arbitrary.

        Raises:
            InvalidArgumentError: there are no tokens, a token is outside the vocabulary, or a length is impossible.
        """

    @abstractmethod
    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        """The state at a site after each token.

        Raises:
            UnknownNameError: the network has no such site.
            InvalidArgumentError: there are no tokens, or a token is outside the vocabulary.
        """

    @abstractmethod
    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """Runs each sequence up to and including the token at its position (counted from 0), and stops there.

        Raises:
            UnknownNameError: the network has no such site.
            InvalidArgumentError: there are no tokens, a token is outside the vocabulary, or a position does not exist.
        """

    def precompute(self, state: RunState, fed: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> RunState:
        """Computes the part of `resume` that does not depend on the states, for the first `lengths` tokens of each row.

        `resume` from the returned run state, with the same `fed` or a prefix of it, gives the same features with less
        work. A network in which everything depends on the state returns the run state unchanged.
        """
        return state

    def states_at(
        self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str
    ) -> Float[Tensor, "batch state"]:
        """The state at a site after the token at one position of each sequence: the states of `run_until`.

        A network may override it with a version that does not compute what follows the site.
        """
        return self.run_until(tokens, positions, site).states

    def run_until_each(
        self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " batch"], sites: Sequence[str]
    ) -> Iterator[RunState]:
        """The same stops at each of several sites in turn: the run states of `run_until`.

        A network may override it with a version that computes once what the sites share.
        """
        for site in sites:
            yield self.run_until(tokens, positions, site)

    def states_at_each(
        self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " batch"], sites: Sequence[str]
    ) -> Iterator[Float[Tensor, "batch state"]]:
        """The states of `states_at` at each of several sites in turn; see `run_until_each`."""
        for site in sites:
            yield self.states_at(tokens, positions, site)

    def forward(self, tokens: Shaped[Tensor, "batch inputs"]) -> Float[Tensor, "batch time vocabulary"]:
        """Logits after each position."""
        return self.readout(self.features(tokens))

    def check_site(self, site: str) -> None:
        """Raises `UnknownNameError` when the network has no such site."""
        if site not in self.sites:
            raise UnknownNameError("site", site, self.sites)

    def check_tokens(self, tokens: Shaped[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None) -> None:
        """Raises `InvalidArgumentError` on an empty batch, a token outside the vocabulary, or an impossible length."""
        if tokens.numel() == 0:
            raise InvalidArgumentError(f"nothing to run on: tokens have the shape {tuple(tokens.shape)}")
        low, high = torch.stack(tokens.aminmax()).tolist()
        if low < 0 or high >= self.vocabulary:
            wrong = low if low < 0 else high
            raise InvalidArgumentError(f"token {wrong} is outside the vocabulary: ids are 0..{self.vocabulary - 1}")
        if lengths is not None:
            _check_lengths(tokens, lengths)

    def check_positions(self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " count"]) -> None:
        """Raises `InvalidArgumentError` on an empty batch, or when a position lies outside its sequence."""
        if tokens.numel() == 0 or len(positions) != len(tokens):
            raise InvalidArgumentError(
                f"each sequence needs one position to stop at, and there must be at least one of each; got "
                f"{len(positions)} positions for tokens of the shape {tuple(tokens.shape)}"
            )
        low, high = int(positions.min()), int(positions.max())
        if low < 0 or high >= tokens.shape[1]:
            wrong = low if low < 0 else high
            raise InvalidArgumentError(
                f"position {wrong} does not exist: sequences have positions 0..{tokens.shape[1] - 1}"
            )


def _check_lengths(tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " count"]) -> None:
    rows, time = tokens.shape
    if len(lengths) != rows:
        raise InvalidArgumentError(f"each row needs a length; got {len(lengths)} lengths for {rows} rows")
    low, high = int(lengths.min()), int(lengths.max())
    if low < 1 or high > time:
        raise InvalidArgumentError(f"lengths lie in 1..{time}, the width of the tokens; got {low if low < 1 else high}")


@contextmanager
def evaluation_mode(*networks: nn.Module) -> Iterator[None]:
    """Networks in evaluation mode (`eval()`) inside the block; afterwards every submodule has its old mode again."""
    modes = [(module, module.training) for network in networks for module in network.modules()]
    for network in networks:
        network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def frozen_weights(network: nn.Module) -> Iterator[None]:
    """The weights of a network have no gradients inside the block: only what acts on its states learns."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def require_network(value: object, vocabulary: int | None = None) -> Network:
    """An argument as a `Network`.

    A network inside `nn.DataParallel` or `torch.compile` is unwrapped: symscope calls methods that these wrappers do
    not have. The result shares its weights with the wrapper.

    Args:
        value: the argument.
        vocabulary: the number of tokens that the network must have, such as that of its task.

    Raises:
        InvalidArgumentError: it is no network, or it has a different number of tokens; the message says what to do.
    """
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    network = value.module if isinstance(value, wrappers) else getattr(value, "_orig_mod", value)
    if not isinstance(network, Network):
        raise InvalidArgumentError(_how_to_make_a_network(network))
    if vocabulary is not None and network.vocabulary != vocabulary:
        raise InvalidArgumentError(
            f"the network has {network.vocabulary} tokens and its task has {vocabulary}: the sizes must be equal, and "
            f"each token id must mean the same in both"
        )
    return network


def _how_to_make_a_network(value: object) -> str:
    kind = type(value).__name__
    if isinstance(value, type):
        return f"expected a network, got the class {value.__name__}; pass an instance of it"
    if not isinstance(value, nn.Module):
        return f"expected a symscope Network, got {kind}"
    if isinstance(value, nn.RNNBase):
        return (
            f"a torch.nn.{kind} alone has no tokens and no output layer: pass "
            f"sc.wrap_recurrent(embedding, rnn, readout) (docs/how-to/own-network.md)"
        )
    if isinstance(value, nn.RNNCellBase):
        return f"a torch.nn.{kind} is one step: pass sc.Stepwise(initial, step, readout) (docs/how-to/own-network.md)"
    return (
        f"{kind} is a torch module, but not a symscope Network: pass sc.wrap(module, sites=...), and for a language "
        f"model of Hugging Face sc.wrap_causal_lm(model) (docs/how-to/own-network.md)"
    )
