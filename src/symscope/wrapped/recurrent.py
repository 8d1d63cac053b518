"""Trained recurrent modules of torch: `nn.GRU`, `nn.LSTM` and `nn.RNN`, of one or several layers.

The fused module runs up to the stop and continues from the rewritten states; there are no hooks, which on a fused
module change one output and not the recurrence. A single layer of a GRU or LSTM on token embeddings runs as the GRU and
LSTM of symscope do, which is faster on a CPU: the input of each token to the gates is a table. Rewriting a layer
changes the layers above it at the same token, so these are computed again there, by torch's functions for one step.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from symscope.errors import InvalidArgumentError
from symscope.networks import RunState, evaluation_mode
from symscope.networks.gru import gru_scan
from symscope.networks.lstm import lstm_scan
from symscope.networks.packing import Packing, to_device
from symscope.wrapped._checked import CheckedNetwork, check_logits

StateTensors = tuple[Tensor, ...]
"""The hidden states of all layers (layers x batch x width) and, of an LSTM, the cell states."""


def wrap_recurrent(
    embedding: nn.Module,
    rnn: nn.Module,
    readout: nn.Module,
    *,
    initial: Tensor | Sequence[Tensor] | None = None,
    vocabulary: int | None = None,
) -> "WrappedRecurrent":
    """A trained recurrent module of torch as a network; its logits are compared with those of the modules.

    Sites: `state`, the states of all layers side by side; `h.L`, the hidden state of layer L, counted from 0; for an
    LSTM `c.L`, its cell state. Rewriting `h.0` changes the layers above at the same token, and rewriting `c.0` changes
    `h.0`; `state` is taken as it is.

    Args:
        embedding: from token ids (batch, time) to the input of the recurrent module.
        rnn: an `nn.GRU`, `nn.LSTM` or `nn.RNN` in one direction, with either `batch_first`; projections are possible.
        readout: from the hidden state of the last layer to logits.
        initial: the states that a run starts from, such as learned ones: layers x width, for an LSTM a pair of them;
            default: zero.
        vocabulary: number of token ids; default: `embedding.num_embeddings`.

    Raises:
        InvalidArgumentError: a module that is none of these, reads in both directions, or initial states of another
            shape.
        BrokenLawError: the logits differ.
    """
    modules = [getattr(module, "_orig_mod", module) for module in (embedding, rnn, readout)]
    network = WrappedRecurrent(*modules, initial=initial, vocabulary=vocabulary)
    check_logits(network, network.plain_logits)
    return network


@final
class WrappedRecurrent(CheckedNetwork):
    """An embedding, a recurrent module of torch, and an output layer; see `wrap_recurrent`."""

    def __init__(
        self,
        embedding: nn.Module,
        rnn: nn.Module,
        readout: nn.Module,
        *,
        initial: Tensor | Sequence[Tensor] | None = None,
        vocabulary: int | None = None,
    ) -> None:
        super().__init__()
        if type(rnn) not in (nn.GRU, nn.LSTM, nn.RNN):
            raise InvalidArgumentError(
                f"expected nn.GRU, nn.LSTM or nn.RNN, got {type(rnn).__name__}; for another recurrence use sc.Stepwise"
            )
        self.embedding, self.rnn, self.output = embedding, cast("Any", rnn), readout
        if self.rnn.bidirectional:
            raise InvalidArgumentError(
                "a bidirectional module reads the whole sequence before it predicts, so a run cannot be stopped and "
                "resumed"
            )
        tokens = vocabulary or getattr(embedding, "num_embeddings", None)
        if tokens is None:
            raise InvalidArgumentError(f"{type(embedding).__name__} has no num_embeddings; pass vocabulary=")
        self.vocabulary = int(tokens)
        self._is_lstm = isinstance(rnn, nn.LSTM)
        hidden = int(self.rnn.proj_size or self.rnn.hidden_size)
        self._widths = [hidden, int(self.rnn.hidden_size)] if self._is_lstm else [hidden]
        layers = range(self.rnn.num_layers)
        self._initial = self._check_initial(initial)
        total = len(layers) * sum(self._widths)
        parts = {f"{'hc'[kind]}.{layer}": width for kind, width in enumerate(self._widths) for layer in layers}
        self.sites = {"state": total, **parts}
        self.default_site = "state"
        self.architecture = f"{type(rnn).__name__}, {len(layers)} layers, hidden size {self.rnn.hidden_size}"
        self.outputs = self._check_widths(hidden)

    def _check_widths(self, hidden: int) -> int:
        """The number of logits; raises `InvalidArgumentError` where the three modules do not fit together."""
        with torch.no_grad(), evaluation_mode(self):
            inputs = self.embedding(torch.zeros(1, 1, dtype=torch.long, device=self.device))
            if inputs.ndim != 3 or inputs.shape[-1] != self.rnn.input_size:
                raise InvalidArgumentError(
                    f"the embedding makes {tuple(inputs.shape)} of one token; expected (1, 1, {self.rnn.input_size})"
                )
            try:
                logits = self.output(torch.zeros(1, 1, hidden, dtype=self.dtype, device=self.device))
            except RuntimeError as error:
                raise InvalidArgumentError(f"the readout does not take {hidden} hidden units: {error}") from error
        if not isinstance(logits, Tensor):
            raise InvalidArgumentError(f"the readout returns {type(logits).__name__}, not a tensor of logits")
        return logits.shape[-1]

    def plain_logits(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time outputs"]:
        """The logits of the modules called one after another, as their user calls them."""
        inputs, start = self.embedding(tokens), self._start(len(tokens))
        states = start if self._is_lstm else start[0]
        if self.rnn.batch_first:
            return self.output(self.rnn(inputs, states)[0])
        return self.output(self.rnn(inputs.transpose(0, 1), states)[0].transpose(0, 1))

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """The hidden state of the last layer."""
        self.check_tokens(tokens, lengths)
        lengths = torch.full((len(tokens),), tokens.shape[1]) if lengths is None else lengths.cpu()
        return self._run(self._start(len(tokens)), tokens, lengths)[0]

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        del dropout  # a wrapped module is not trained here
        return self.output(features)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        self.check_site(site)
        self.check_tokens(tokens)
        states, found, single = self._start(len(tokens)), [], torch.ones(len(tokens), dtype=torch.long)
        for time in range(tokens.shape[1]):
            _, states = self._run(states, tokens[:, time : time + 1], single)
            found.append(self._site(self._flat(states), site))
        return torch.stack(found, 1)

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """The run state stores the last token, and the states of all layers after it and, below `state`, before it."""
        self.check_site(site)
        self.check_positions(tokens, positions)
        self.check_tokens(tokens)
        at = positions.cpu()
        last = tokens.gather(1, positions.to(tokens.device)[:, None])
        _, before = self._run(self._start(len(tokens)), tokens, at)
        _, after = self._run(before, last, torch.ones_like(at))
        flat = self._flat(after)
        if site == "state":
            return RunState(site, flat)
        return RunState(site, self._site(flat, site), {"last": last, "before": self._flat(before), "after": flat})

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        start = self._split(state.states) if state.site == "state" else self._rewritten(state)
        needed = (target_mask * torch.arange(target_mask.shape[1])).amax(1)
        with self._differentiable():
            after, _ = self._run(start, fed, needed)
        features = torch.cat([start[0][-1][:, None], after], 1)
        return features.flatten(0, 1)[
            to_device(target_mask[:, : features.shape[1]].flatten().nonzero()[:, 0], fed.device)
        ]

    def _differentiable(self) -> AbstractContextManager[Any]:
        """CuDNN has no backward pass in evaluation mode."""
        needed = self.device.type == "cuda" and torch.is_grad_enabled()
        return torch.backends.cudnn.flags(enabled=False) if needed else nullcontext()

    def _run(
        self, start: StateTensors, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch longest hidden"], StateTensors]:
        """The hidden states of the last layer after each token, and the states of all layers after the last one."""
        run = self._scan if self._has_table(tokens) else self._run_fused
        return run(start, tokens, lengths)

    def _run_fused(
        self, start: StateTensors, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch longest hidden"], StateTensors]:
        """`_run` by the module itself."""
        rows, longest = (lengths > 0).nonzero()[:, 0], int(lengths.max()) if len(lengths) else 0
        if not longest:
            return start[0].new_zeros(len(tokens), 0, self._widths[0]), start
        everything = len(rows) == len(lengths)
        on_device = to_device(rows, tokens.device)
        some = (tokens, start) if everything else (tokens[on_device], tuple(part[:, on_device] for part in start))
        inputs = self.embedding(some[0][:, :longest])
        if everything and bool((lengths == longest).all()):
            packed: Any = inputs if self.rnn.batch_first else inputs.transpose(0, 1)
        else:
            packed = pack_padded_sequence(inputs, lengths[rows], batch_first=True, enforce_sorted=False)
        output, end = self.rnn(
            packed, tuple(x.contiguous() for x in some[1]) if self._is_lstm else some[1][0].contiguous()
        )
        if packed is inputs or isinstance(output, Tensor):
            hidden = output if self.rnn.batch_first else output.transpose(0, 1)
        else:
            hidden, _ = pad_packed_sequence(output, batch_first=True)
        end = tuple(end) if self._is_lstm else (end,)
        if everything:
            return hidden, end
        spread = hidden.new_zeros(len(tokens), *hidden.shape[1:]).index_copy(0, on_device, hidden)
        return spread, tuple(old.index_copy(1, on_device, new) for old, new in zip(start, end, strict=True))

    def _has_table(self, tokens: Int[Tensor, "batch time"]) -> bool:
        """Whether the inputs of all tokens to the gates are a table, with at most as many rows as there are tokens."""
        one_layer = self.rnn.num_layers == 1 and not self.rnn.proj_size and not isinstance(self.rnn, nn.RNN)
        plain = type(self.embedding) is nn.Embedding and self.embedding.max_norm is None
        return one_layer and plain and self.device.type == "cpu" and self.vocabulary <= tokens.numel()

    def _scan(
        self, start: StateTensors, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch longest hidden"], StateTensors]:
        """`_run` for one layer, with the inputs of all tokens computed once."""
        packing, (w_input, w_hidden, b_input, b_hidden) = Packing(lengths), self._weights(0)
        states, longest = torch.cat(start, 2)[0], len(packing.running)
        if not longest:
            return states.new_zeros(len(tokens), 0, self._widths[0]), start
        inputs, first = linear(cast("Any", self.embedding).weight, w_input, b_input), states[packing.order]
        read = tokens[packing.rows, packing.steps]
        hidden_bias = w_hidden.new_zeros(len(w_hidden)) if b_hidden is None else b_hidden
        if self._is_lstm:
            after = lstm_scan(first, inputs + hidden_bias, w_hidden, read, packing.running)
        else:
            after = gru_scan(first, inputs, w_hidden, hidden_bias, read, packing.running)
        padded = after.new_zeros(len(tokens) * longest, after.shape[1])
        padded = padded.index_copy(0, packing.rows * longest + packing.steps, after).view(len(tokens), longest, -1)
        last = padded[torch.arange(len(tokens)), lengths - 1]
        end = torch.where(lengths[:, None] > 0, last, states)[None]
        return padded[..., : self._widths[0]], end.split(self._widths, 2)

    def _rewritten(self, state: RunState) -> StateTensors:
        """The states of all layers after the last token, where one of them is rewritten."""
        kind, layer = state.site.split(".")
        context, first = state.context, int(layer)
        before, after = self._split(context["before"]), self._split(context["after"])
        parts = [list(part.unbind(0)) for part in after]
        parts["hc".index(kind)][first] = state.states
        if kind == "c":
            below = self.embedding(context["last"])[:, 0] if first == 0 else parts[0][first - 1]
            parts[0][first] = self._hidden_of(state.states, first, below, before)
        for above in range(first + 1, self.rnn.num_layers):
            for part, new in zip(parts, self._step(above, parts[0][above - 1], before), strict=True):
                part[above] = new
        return tuple(torch.stack(part) for part in parts)

    def _step(self, layer: int, inputs: Float[Tensor, "batch input"], before: StateTensors) -> StateTensors:
        """One step of one layer: its new hidden state and, of an LSTM, its new cell state."""
        if self._is_lstm:
            written, kept, new, _ = self._gates(layer, inputs, before)
            cell = kept.sigmoid() * before[1][layer] + written.sigmoid() * new.tanh()
            return self._hidden_of(cell, layer, inputs, before), cell
        weights = self._weights(layer)
        if isinstance(self.rnn, nn.GRU):
            return (torch.gru_cell(inputs, before[0][layer], *weights),)
        step = torch.rnn_relu_cell if self.rnn.nonlinearity == "relu" else torch.rnn_tanh_cell
        return (step(inputs, before[0][layer], *weights),)

    def _hidden_of(
        self, cell: Float[Tensor, "batch cell"], layer: int, inputs: Float[Tensor, "batch input"], before: StateTensors
    ) -> Float[Tensor, "batch hidden"]:
        """The hidden state of an LSTM layer that belongs to a cell state: the output gate times its tanh."""
        hidden = self._gates(layer, inputs, before)[3].sigmoid() * cell.tanh()
        return linear(hidden, getattr(self.rnn, f"weight_hr_l{layer}")) if self.rnn.proj_size else hidden

    def _gates(self, layer: int, inputs: Float[Tensor, "batch input"], before: StateTensors) -> tuple[Tensor, ...]:
        """Input gate, forget gate, new content and output gate of an LSTM layer, before their nonlinearities."""
        w_input, w_hidden, b_input, b_hidden = self._weights(layer)
        return (linear(inputs, w_input, b_input) + linear(before[0][layer], w_hidden, b_hidden)).chunk(4, 1)

    def _weights(self, layer: int) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        matrices = (getattr(self.rnn, f"weight_{kind}_l{layer}") for kind in ("ih", "hh"))
        biases = (getattr(self.rnn, f"bias_{kind}_l{layer}") if self.rnn.bias else None for kind in ("ih", "hh"))
        return (*matrices, *biases)  # pyright: ignore[reportReturnType]

    def _flat(self, states: StateTensors) -> Float[Tensor, "batch state"]:
        return torch.cat([part.transpose(0, 1).flatten(1) for part in states], 1)

    def _split(self, flat: Float[Tensor, "batch state"]) -> StateTensors:
        layers = self.rnn.num_layers
        parts = flat.split([layers * width for width in self._widths], 1)
        return tuple(part.unflatten(1, (layers, -1)).transpose(0, 1) for part in parts)

    def _site(self, flat: Float[Tensor, "batch state"], site: str) -> Float[Tensor, "batch part"]:
        if site == "state":
            return flat
        kind, layer = site.split(".")
        return self._split(flat)["hc".index(kind)][int(layer)]

    def _start(self, rows: int) -> StateTensors:
        shapes = [(self.rnn.num_layers, width) for width in self._widths]
        if self._initial is None:
            starts = [torch.zeros(shape, dtype=self.dtype, device=self.device) for shape in shapes]
        else:
            starts = [getattr(self, name) for name in self._initial]
        return tuple(start[:, None].expand(-1, rows, -1).to(self.dtype) for start in starts)

    def _check_initial(self, initial: Tensor | Sequence[Tensor] | None) -> tuple[str, ...] | None:
        """Keeps initial states as parameters or buffers, and returns their names."""
        if initial is None:
            return None
        parts = [initial] if isinstance(initial, Tensor) else list(initial)
        shapes = [(self.rnn.num_layers, width) for width in self._widths]
        parts = [part.squeeze(1) if part.ndim == 3 else part for part in parts]
        if [tuple(part.shape) for part in parts] != shapes:
            raise InvalidArgumentError(
                f"initial states have the shapes {[tuple(part.shape) for part in parts]}, not {shapes}: layers x width"
            )
        names = ("initial_h", "initial_c")[: len(parts)]
        for name, part in zip(names, parts, strict=True):
            if isinstance(part, nn.Parameter):
                self.register_parameter(name, part)
            else:
                self.register_buffer(name, part.to(self.device))
        return names
