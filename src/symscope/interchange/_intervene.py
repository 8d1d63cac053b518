"""Interventions carried out: rewrite the state of the base, resume the network, read what it predicts.

The network is frozen and its rows are independent, and so are the logits of one target of the features of others. So
the work is done in blocks of rows of similar length, the output layer in blocks of targets, each forwards and backwards
before the next: memory is bounded whatever the number of rows, and a block stays in the cache of the processor.
"""

from collections.abc import Callable, Iterator
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import cross_entropy

from symscope.interchange.cache import CachedInterventions
from symscope.networks import Resumable, RunState, evaluation_mode
from symscope.networks.packing import sum_each, to_device

ROWS_AT_ONCE = 1024
TARGETS_AT_ONCE = 1024

Swap = Callable[[Float[Tensor, "rows state"], Float[Tensor, "sources rows state"]], Float[Tensor, "rows state"]]
"""Rewrites states of a base with those of its sources."""


def intervene(
    cached: CachedInterventions, swap: Swap, index: Int[Tensor, " rows"] | None = None
) -> Float[Tensor, "rows state"]:
    """The rewritten state of each base at its stop.

    Args:
        cached: interventions on a network.
        swap: from the states of base and sources, row by row, to the rewritten ones.
        index: the interventions that the rows are, on the CPU; default: all of them, each once.
    """
    if index is None:
        return swap(cached.base_states, cached.source_states)
    rows = to_device(index, cached.base_states.device)
    return swap(cached.base_states.index_select(0, rows), cached.source_states.index_select(1, rows))


def counterfactual_losses(
    network: Resumable,
    cached: CachedInterventions,
    states: Float[Tensor, "rows state"],
    index: Int[Tensor, " rows"] | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Float[Tensor, " rows"]:
    """Cross-entropy of the targets of each row, summed, in nats, when the network resumes from `states`.

    Differentiable once, by the states: the gradient is computed along with the losses, block by block.

    Args:
        network: the network, its weights frozen.
        cached: interventions on it.
        states: the states to resume from.
        index: the interventions that the rows are, on the CPU; default: all of them, each once.
        rows_at_once: rows in a block.
    """
    with evaluation_mode(network):
        return _Losses.apply(network, cached, _rows(cached, index), rows_at_once, states)


@torch.no_grad()
def matches_counterfactual(
    network: Resumable,
    cached: CachedInterventions,
    states: Float[Tensor, "rows state"],
    index: Int[Tensor, " rows"] | None = None,
) -> Bool[Tensor, " rows"]:
    """Where the network, resumed from `states`, predicts every target; arguments as in `counterfactual_losses`."""
    correct = torch.empty(len(states), dtype=torch.bool, device=states.device)
    with evaluation_mode(network):
        blocks = _blocks(cached, _rows(cached, index), states, ROWS_AT_ONCE)
        for block_rows, stopped, fed, mask, tokens, counts in blocks:
            features = network.resume(stopped, fed, mask)
            guesses = [network.readout(part).argmax(-1) for part in features.split(TARGETS_AT_ONCE)]
            wrong = (torch.cat(guesses) != tokens).to(states.dtype)
            correct[block_rows] = sum_each(wrong, counts) == 0
    return correct


@torch.no_grad()
def predictions(
    network: Resumable,
    cached: CachedInterventions,
    states: Float[Tensor, "rows state"],
    index: Int[Tensor, " rows"] | None = None,
) -> Int[Tensor, "rows targets"]:
    """The token that the network predicts for each target, -1 where none counts; on the CPU.

    Arguments as in `counterfactual_losses`.
    """
    guesses = torch.full((len(states), cached.target_mask.shape[1]), -1)
    with evaluation_mode(network):
        for at, stopped, fed, mask, _, _ in _blocks(cached, _rows(cached, index), states, ROWS_AT_ONCE):
            features = network.resume(stopped, fed, mask)
            tokens = [network.readout(part).argmax(-1).cpu() for part in features.split(TARGETS_AT_ONCE)]
            block = torch.full(mask.shape, -1)
            block[mask] = torch.cat(tokens)
            guesses[at.cpu(), : mask.shape[1]] = block
    return guesses


def _rows(cached: CachedInterventions, index: Int[Tensor, " rows"] | None) -> Int[Tensor, " rows"]:
    return torch.arange(len(cached)) if index is None else index


Block = tuple[Tensor, RunState, Tensor, Tensor, Tensor, Tensor]
"""Places of the rows, their stopped runs, what they are fed, their target mask, all targets that count in order, and
how many each row has."""


def _blocks(
    cached: CachedInterventions, index: Int[Tensor, " rows"], states: Float[Tensor, "rows state"], rows_at_once: int
) -> Iterator[Block]:
    """Rows of similar length, ready to run; no block where there are no rows."""
    if not len(index):
        return
    device, dtype = states.device, cached.base.states.dtype
    for block_rows in torch.argsort(cached.lengths[index], descending=True, stable=True).split(rows_at_once):
        rows = index[block_rows]
        time = int(cached.lengths[rows].max())
        mask = cached.target_mask[rows, :time]
        on_device, at = to_device(rows, device), to_device(block_rows, device)
        targets = cached.targets[:, :time].index_select(0, on_device)
        tokens = targets.flatten().index_select(0, to_device(mask.flatten().nonzero()[:, 0], device))
        fed = cached.fed[:, : time - 1].index_select(0, on_device)
        stopped = cached.base.select(rows, states.index_select(0, at).to(dtype))
        yield at, stopped, fed, mask, tokens, to_device(mask.sum(1), device)


@final
class _Losses(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, network: Resumable, cached: CachedInterventions, index: Tensor, rows_at_once: int, states: Tensor
    ) -> Tensor:
        losses, gradients = states.new_empty(len(states)), torch.zeros_like(states)
        blocks = _blocks(cached, index, states.detach(), rows_at_once)
        for block_rows, stopped, fed, mask, tokens, counts in blocks:
            loss, gradient = _with_gradient(network, stopped, fed, mask, tokens, counts)
            losses[block_rows], gradients[block_rows] = loss.to(losses.dtype), gradient.to(losses.dtype)
        ctx.save_for_backward(gradients)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (saved,) = ctx.saved_tensors
        return None, None, None, None, gradients[0][:, None] * saved


@torch.enable_grad()
def _with_gradient(
    network: Resumable, stopped: RunState, fed: Tensor, mask: Tensor, tokens: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """The losses of a block, and their gradient by its states."""
    states = stopped.states.requires_grad_()
    features = network.resume(stopped, fed, mask)
    losses, gradients = [], []
    for part, targets in zip(features.detach().split(TARGETS_AT_ONCE), tokens.split(TARGETS_AT_ONCE), strict=True):
        loss = cross_entropy(network.readout(part.requires_grad_()), targets, reduction="none")
        gradients += torch.autograd.grad(loss.sum(), part)
        losses.append(loss.detach())
    (gradient,) = torch.autograd.grad(features, states, torch.cat(gradients))
    return sum_each(torch.cat(losses), counts), gradient
