"""The network's side of an intervention: put rewritten states in place, go on, read what it predicts.

The network is frozen and its rows are independent, and so are the logits of one token of the features of others. So
the work is done in blocks of rows of similar length, the output layer in blocks of tokens, each forwards and backwards
before the next: memory is bounded whatever the number of rows, and a block stays in the cache.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from symscope.interventions.prepare import Prepared
from symscope.networks import Network, RunState
from symscope.networks.packing import sum_each, to_device

ROWS_AT_ONCE = 1024
TOKENS_AT_ONCE = 1024


Swap = Callable[[Float[Tensor, "rows state"], Float[Tensor, "rows state"]], Float[Tensor, "rows state"]]
"""What rewrites states of a base (the first) with those of a source."""


def rewritten(prepared: Prepared, swap: Swap, index: Int[Tensor, " rows"] | None = None) -> Float[Tensor, "rows state"]:
    """The state of each base at its cut, rewritten.

    Args:
        prepared: interventions on a network.
        swap: from states of base and source, row by row, to the rewritten ones.
        index: which of the interventions the rows are, on the CPU; default: all of them, each once.
    """
    there = to_device(_rows(prepared, index), prepared.source.device)
    return swap(prepared.base.states.index_select(0, there), prepared.source.index_select(0, there))


def losses_after(
    network: Network,
    prepared: Prepared,
    states: Float[Tensor, "rows state"],
    index: Int[Tensor, " rows"] | None = None,
    at_once: int = ROWS_AT_ONCE,
) -> Float[Tensor, " rows"]:
    """Cross-entropy of the scored tokens of each row, summed, in nats, when the network goes on from `states`.

    Differentiable once, by the states: the gradient is worked out along with the losses, block by block.

    Args:
        network: the network, its weights frozen.
        prepared: interventions on it.
        states: the states to go on from.
        index: which of the interventions the rows are, on the CPU; default: all of them, each once.
        at_once: rows in a block.
    """
    rows = _rows(prepared, index)
    return _Losses.apply(network, prepared, rows, at_once, states)


@torch.no_grad()
def follows(
    network: Network,
    prepared: Prepared,
    states: Float[Tensor, "rows state"],
    index: Int[Tensor, " rows"] | None = None,
) -> Bool[Tensor, " rows"]:
    """Where the network, going on from `states`, predicts every scored token; for the arguments see `losses_after`."""
    rows = _rows(prepared, index)
    right = torch.empty(len(states), dtype=torch.bool, device=states.device)
    for block in _blocks(prepared, rows, states, ROWS_AT_ONCE):
        features = network.resume(block.cut, block.fed, block.scored)
        guesses = [network.readout(some).argmax(-1) for some in features.split(TOKENS_AT_ONCE)]
        wrong = (torch.cat(guesses) != block.targets).to(states.dtype)
        right[block.place] = sum_each(wrong, block.each) == 0
    return right


def _rows(prepared: Prepared, index: Int[Tensor, " rows"] | None) -> Int[Tensor, " rows"]:
    return torch.arange(len(prepared)) if index is None else index


class _Block(NamedTuple):
    """Some of the rows, ready to be run."""

    place: Int[Tensor, " block"]
    cut: RunState
    fed: Int[Tensor, "block steps"]
    scored: Bool[Tensor, "block steps+1"]
    targets: Int[Tensor, " scored"]
    each: Int[Tensor, " block"]


def _blocks(
    prepared: Prepared, index: Int[Tensor, " rows"], states: Float[Tensor, "rows state"], at_once: int
) -> Iterator[_Block]:
    device = states.device
    for place in torch.argsort(prepared.lengths[index], descending=True, stable=True).split(at_once):
        rows = index[place]
        time = int(prepared.lengths[rows].max())
        scored = prepared.scored[rows, :time]
        there, at = to_device(rows, device), to_device(place, device)
        continuation = prepared.continuation[:, :time].index_select(0, there)
        targets = continuation.flatten().index_select(0, to_device(scored.flatten().nonzero()[:, 0], device))
        some = prepared.base.select(rows, states.index_select(0, at))
        yield _Block(at, some, continuation[:, :-1], scored, targets, to_device(scored.sum(1), device))


@final
class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, network: Network, prepared: Prepared, index: Tensor, at_once: int, states: Tensor) -> Tensor:
        losses, gradients = states.new_empty(len(states)), torch.zeros_like(states)
        for block in _blocks(prepared, index, states.detach(), at_once):
            losses[block.place], gradients[block.place] = _with_gradient(network, block)
        ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (saved,) = ctx.saved_tensors
        return None, None, None, None, gradients[0][:, None] * saved


@torch.enable_grad()
def _with_gradient(network: Network, block: _Block) -> tuple[Tensor, Tensor]:
    """The losses of a block, and their gradient by its states."""
    states = block.cut.states.requires_grad_()
    features = network.resume(block.cut, block.fed, block.scored)
    losses, gradients = [], []
    for some, targets in zip(features.detach().split(TOKENS_AT_ONCE), block.targets.split(TOKENS_AT_ONCE), strict=True):
        loss = cross_entropy(network.readout(some.requires_grad_()), targets, reduction="none")
        gradients += torch.autograd.grad(loss.sum(), some)
        losses.append(loss.detach())
    (gradient,) = torch.autograd.grad(features, states, torch.cat(gradients))
    return sum_each(torch.cat(losses), block.each), gradient
