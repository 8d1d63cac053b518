"""Trial accuracy: the share of sequences in which a network predicts every determined token."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import SupportsIndex

import torch
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from symscope.arguments import integer
from symscope.networks import Network, evaluation_mode, require_network
from symscope.tasks import Task, TokenBatch


@dataclass(frozen=True)
class TrialAccuracy:
    """Trial accuracy for one quantity.

    Attributes:
        quantity: the quantity.
        held_out: whether training excludes this quantity, or the task does not have it.
        trial_accuracy: the share of correct trials.
        n: number of trials.
    """

    quantity: int
    held_out: bool
    trial_accuracy: float
    n: int


@torch.no_grad()
def trials_correct(network: Network, sequences: TokenBatch) -> Bool[Tensor, " batch"]:
    """Whether the network's most probable token is right at every determined token of a sequence; on the CPU.

    The network runs in evaluation mode.
    """
    batch = sequences.to(network.device)
    determined, targets = batch.determined[:, 1:], batch.tokens[:, 1:]
    with evaluation_mode(network):
        features = network.features(batch.tokens, sequences.lengths)[:, :-1]
        wrong = network.readout(features[determined]).argmax(-1) != targets[determined]
    row = determined.nonzero()[:, 0]
    return (torch.zeros(len(sequences), device=network.device).index_add_(0, row, wrong.float()) == 0).cpu()


def trial_accuracy(
    network: nn.Module,
    task: Task,
    generator: Generator,
    *,
    each: SupportsIndex = 15,
    quantities: Collection[SupportsIndex] | None = None,
) -> list[TrialAccuracy]:
    """Measures trial accuracy by quantity, on newly drawn sequences.

    Args:
        network: the network.
        task: the task.
        generator: draws the sequences.
        each: number of sequences for each quantity (15 in the paper).
        quantities: default: all quantities of the task, trained and held out; larger quantities test extrapolation.

    Raises:
        InvalidArgumentError: `network` is not a network with the task's vocabulary, or there are no quantities or
            sequences.
    """
    network, each = require_network(network, len(task.vocabulary)), integer(each, "each", 1)
    values = sorted(integer(n, "a quantity") for n in (task.quantities if quantities is None else quantities))
    sequences = task.draw(torch.tensor(values, dtype=torch.long).repeat_interleave(each), generator)
    shares = trials_correct(network, sequences).view(len(values), each).double().mean(1).tolist()
    return [TrialAccuracy(n, n not in task.trained, share, each) for n, share in zip(values, shares, strict=True)]
