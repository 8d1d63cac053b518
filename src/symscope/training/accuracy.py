"""Behaviour: does the network solve the task? A trial counts when every determined token is predicted."""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from symscope.networks import Network
from symscope.tasks import Task, TokenBatch


@dataclass(frozen=True)
class TrialAccuracy:
    """Trial accuracy for one quantity."""

    quantity: int
    held_out: bool
    """Whether training never showed this quantity; so too where it lies beyond the task's."""
    trial_accuracy: float
    n: int


@torch.no_grad()
def trials_correct(network: Network, sequences: TokenBatch) -> Bool[Tensor, " batch"]:
    """Where every determined token is the network's first choice; on the CPU."""
    device = next(network.parameters()).device
    there = sequences.to(device)
    asked = there.determined[:, 1:]
    features = network.features(there.tokens, sequences.lengths)[:, :-1]
    wrong = network.readout(features[asked]).argmax(-1) != there.tokens[:, 1:][asked]
    row = asked.nonzero()[:, 0]
    return (torch.zeros(len(sequences), device=device).index_add_(0, row, wrong.float()) == 0).cpu()


def trial_accuracy(
    network: Network, task: Task, generator: Generator, *, each: int = 15, quantities: Collection[int] | None = None
) -> list[TrialAccuracy]:
    """Trial accuracy by quantity, on freshly drawn sequences.

    Args:
        network: the network.
        task: the task.
        generator: draws the sequences.
        each: sequences for each quantity (the paper has 15).
        quantities: default: all of the task's, trained and held out; others test extrapolation.
    """
    asked = sorted(task.quantities if quantities is None else quantities)
    sequences = task.draw(torch.tensor(asked).repeat_interleave(each), generator)
    right = trials_correct(network, sequences).view(len(asked), each).double().mean(1).tolist()
    return [TrialAccuracy(n, n not in task.trained, share, each) for n, share in zip(asked, right, strict=True)]
