"""The network's side of an intervention: put rewritten states in place, go on, read what it predicts.

The network is frozen and its rows are independent, and so are the logits of one token of the features of others. So
the work is done in blocks of rows of similar length, the output layer in blocks of tokens, each forwards and backwards
before the next: memory is bounded whatever the number of rows, and a block stays in the cache.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from symscope.interventions.prepare import Prepared
from symscope.networks import Cut, Network
from symscope.networks.packing import sum_each, to_device

ROWS_AT_ONCE = 1024
TOKENS_AT_ONCE = 1024


Swap = Callable[[Float[Tensor, "rows state"], Float[Tensor, "rows state"]], Float[Tensor, "rows state"]]
"""What rewrites states of a base (the first) with those of a source."""


def rewritten(network: Network, prepared: Prepared, swap: Swap, index: Int[Tensor, " rows"] | None = None) -> Cut:
    """Each base rewritten at its cut, and before at all other positions of its window, one after the other.

    In a recurrent network the second position sees what the rewrite of the first has done to it; in a transformer no
    state at the site depends on another, and what is above the site sees all rewritten ones.

    Args:
        network: the network.
        prepared: interventions on it.
        swap: from states of base and source, row by row, to the rewritten ones; once for each position.
        index: which of the interventions the rows are, on the CPU; default: all of them, each once.
    """
    rows = _rows(prepared, index)
    there = to_device(rows, prepared.source.device)
    cut = prepared.base.at(rows, prepared.base.states.index_select(0, there))
    for source, token in prepared.earlier:
        states = swap(cut.states, source.index_select(0, there))
        cut = network.advance(cut.rewrite(states), token.index_select(0, there))
    return cut.rewrite(swap(cut.states, prepared.source.index_select(0, there)))


def losses_after(
    network: Network,
    prepared: Prepared,
    states: Float[Tensor, "rows state"] | Cut,
    index: Int[Tensor, " rows"] | None = None,
    at_once: int = ROWS_AT_ONCE,
) -> Float[Tensor, " rows"]:
    """Cross-entropy of the scored tokens of each row, summed, in nats, when the network goes on from `states`.

    Differentiable once, by the states (and the context of a cut): the gradient is worked out along with the losses,
    block by block.

    Args:
        network: the network, its weights frozen.
        prepared: interventions on it.
        states: the states to go on from; or the cuts, where more than these was rewritten (see `rewritten`).
        index: which of the interventions the rows are, on the CPU; default: all of them, each once.
        at_once: rows in a block.
    """
    rows = _rows(prepared, index)
    cut = _cut(prepared, rows, states)
    moved = [name for name, entry in cut.context.items() if entry.requires_grad]
    return _Losses.apply(network, prepared, rows, at_once, cut, moved, cut.states, *(cut.of(name) for name in moved))


@torch.no_grad()
def follows(
    network: Network,
    prepared: Prepared,
    states: Float[Tensor, "rows state"] | Cut,
    index: Int[Tensor, " rows"] | None = None,
) -> Bool[Tensor, " rows"]:
    """Where the network, going on from `states`, predicts every scored token; for the arguments see `losses_after`."""
    rows = _rows(prepared, index)
    cut = _cut(prepared, rows, states)
    right = torch.empty(len(cut), dtype=torch.bool, device=cut.states.device)
    for block in _blocks(prepared, rows, cut, ROWS_AT_ONCE):
        features = network.resume(block.cut, block.continuation, block.scored)
        guesses = [network.readout(some).argmax(-1) for some in features.split(TOKENS_AT_ONCE)]
        wrong = (torch.cat(guesses) != block.targets).to(cut.states.dtype)
        right[block.place] = sum_each(wrong, block.each) == 0
    return right


def _rows(prepared: Prepared, index: Int[Tensor, " rows"] | None) -> Int[Tensor, " rows"]:
    return torch.arange(len(prepared)) if index is None else index


def _cut(prepared: Prepared, rows: Int[Tensor, " rows"], states: Float[Tensor, "rows state"] | Cut) -> Cut:
    return states if isinstance(states, Cut) else prepared.base.at(rows, states)


class _Block(NamedTuple):
    """Some of the rows, ready to be run."""

    place: Int[Tensor, " block"]
    cut: Cut
    continuation: Int[Tensor, "block time"]
    scored: Bool[Tensor, "block time"]
    targets: Int[Tensor, " scored"]
    each: Int[Tensor, " block"]


def _blocks(prepared: Prepared, index: Int[Tensor, " rows"], cut: Cut, at_once: int) -> Iterator[_Block]:
    device = cut.states.device
    for place in torch.argsort(prepared.lengths[index], descending=True, stable=True).split(at_once):
        rows = index[place]
        time = int(prepared.lengths[rows].max())
        scored = prepared.scored[rows, :time]
        there, at = to_device(rows, device), to_device(place, device)
        continuation = prepared.continuation[:, :time].index_select(0, there)
        targets = continuation.flatten().index_select(0, to_device(scored.flatten().nonzero()[:, 0], device))
        some = cut.at(place, cut.states.index_select(0, at))
        yield _Block(at, some, continuation, scored, targets, to_device(scored.sum(1), device))


@final
class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        network: Network,
        prepared: Prepared,
        index: Tensor,
        at_once: int,
        cut: Cut,
        moved: Sequence[str],
        *tensors: Tensor,
    ) -> Tensor:
        losses, gradients = tensors[0].new_empty(len(cut)), [torch.zeros_like(tensor) for tensor in tensors]
        for block in _blocks(prepared, index, cut.rewrite(tensors[0].detach()), at_once):
            losses[block.place], *parts = _with_gradient(network, block, moved)
            for gradient, part in zip(gradients, parts, strict=True):
                gradient[block.place] = part
        ctx.save_for_backward(*gradients)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        by_row = ((gradients[0] * saved.transpose(0, -1)).transpose(0, -1) for saved in ctx.saved_tensors)
        return None, None, None, None, None, None, *by_row


@torch.enable_grad()
def _with_gradient(network: Network, block: _Block, moved: Sequence[str]) -> tuple[Tensor, ...]:
    """The losses of a block, and their gradients by its states and by what has moved of its context."""
    cut = block.cut
    if moved:
        context = {name: cut.of(name).detach() for name in cut.context}
        cut = replace(cut, rows=None, context=context)
    wanted = [tensor.requires_grad_() for tensor in (cut.states, *(cut.context[name] for name in moved))]
    features = network.resume(cut, block.continuation, block.scored)
    losses, gradients = [], []
    for some, targets in zip(features.detach().split(TOKENS_AT_ONCE), block.targets.split(TOKENS_AT_ONCE), strict=True):
        loss = cross_entropy(network.readout(some.requires_grad_()), targets, reduction="none")
        gradients += torch.autograd.grad(loss.sum(), some)
        losses.append(loss.detach())
    return sum_each(torch.cat(losses), block.each), *torch.autograd.grad(features, wanted, torch.cat(gradients))
