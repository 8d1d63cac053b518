"""The network's side of an intervention: put rewritten states in place, go on, read what it predicts."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from symscope.interventions.prepare import Prepared
from symscope.networks import Network


def logits_after(
    network: Network, prepared: Prepared, states: Float[Tensor, "batch state"]
) -> Float[Tensor, "scored vocabulary"]:
    """Logits of the scored tokens, in row-major order, when the network goes on from `states` at the cuts."""
    features = network.resume(prepared.base.rewrite(states), prepared.continuation, prepared.lengths)
    return network.readout(features[prepared.scored])


@torch.no_grad()
def follows(network: Network, prepared: Prepared, states: Float[Tensor, "batch state"]) -> Bool[Tensor, " batch"]:
    """Where the network predicts every scored token of the continuation from the rewritten states."""
    wrong = logits_after(network, prepared, states).argmax(-1) != prepared.continuation[prepared.scored]
    row = prepared.scored.nonzero()[:, 0]
    return torch.zeros(len(states), device=states.device).index_add_(0, row, wrong.float()) == 0
