"""What the page must know of natural states: how far out they lie, where each class lies, and what each value reads.

Distances follow `symscope.alignment.naturalness`: Mahalanobis distance within the span of natural states, and distance
to the nearest natural state with the same values of all variables. Both are in units of what 99% of natural states do
not exceed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.algorithms import Algorithm
from symscope.alignment.functions import Alignment, principal_axes
from symscope.alignment.functions.fixed import VARIES
from symscope.alignment.naturalness import QUANTILE, nearest_of_class
from symscope.alignment.state_classes import ClassSums
from symscope.errors import InvalidArgumentError
from symscope.explorer.encoding import encode_array
from symscope.networks import Network, evaluation_mode
from symscope.seeds import generator

DRAWN = 400
"""Sequences whose states are natural states of the page."""
MAX_STATES = 6_000
"""Natural states that statistics are computed from."""
MAX_KEPT_NUMBERS = 131_072
"""Numbers of the natural states that the page holds, two bytes each."""
MAX_VALUES = 64
"""Values of a variable that the page decodes; of more, evenly spaced ones are kept."""
LOWEST_SPREAD = 1e-6
"""Spread of aligned coordinates below which values are not scaled."""


@dataclass(frozen=True)
class Natural:
    """Natural states of a network at a site, with the values of the algorithm's variables.

    Attributes:
        states: the states, in double precision.
        values: the value of each variable at each.
    """

    states: Float[Tensor, "samples state"]
    values: Mapping[str, Tensor]


@torch.no_grad()
def natural_states(network: Network, algorithm: Algorithm, site: str) -> Natural:
    """States after the tokens of drawn sequences, without `BOS` and `EOS`.

    Raises:
        InvalidArgumentError: the states are too few or all the same.
    """
    task, draws = algorithm.task, generator(0, "explorer", "natural states")
    drawn = task.draw(task.draw_quantities(DRAWN, draws), draws)
    values = algorithm.run(drawn.tokens)
    position = torch.arange(drawn.tokens.shape[1])
    rows, columns = ((position > 0) & (position < drawn.lengths[:, None] - 1)).nonzero().unbind(1)
    step = max(-(-len(rows) // MAX_STATES), 1)
    rows, columns = rows[::step], columns[::step]
    with evaluation_mode(network):
        states = network.states(drawn.tokens.to(network.device), site).cpu().double()[rows, columns]
    if len(states) < 4 or not (states != states[0]).any():
        raise InvalidArgumentError(
            f"the natural states at site {site!r} are all the same, so that no distance has a meaning: choose a site "
            "that the tokens change"
        )
    return Natural(states, {name: column[rows, columns] for name, column in values.items()})


def natural_document(natural: Natural, variables: Sequence[str]) -> dict[str, Any]:
    """Statistics of natural states, and a sample of them, as JSON values for the page."""
    axes = principal_axes(natural.states).in_use()
    whitened = (natural.states - axes.mean) @ axes.directions / axes.spreads
    combinations = torch.stack([natural.values[name].double() for name in variables], 1)
    classes, labels = combinations.unique(dim=0, return_inverse=True)
    kept = _some_of_each_class(labels, MAX_KEPT_NUMBERS // natural.states.shape[1])
    return {
        "mean": encode_array(axes.mean),
        "directions": encode_array(axes.directions.T.contiguous()),
        "spreads": encode_array(axes.spreads),
        "limit": float(whitened.square().sum(1).quantile(QUANTILE).sqrt()),
        "classes": classes.tolist(),
        "labels": encode_array(labels[kept], "u2"),
        "states": encode_array(natural.states[kept], "f2"),
        "nearestLimit": _nearest_limit(natural.states, labels, kept, float(axes.spreads[0])),
    }


def _nearest_limit(
    states: Float[Tensor, "samples state"], labels: Int[Tensor, " samples"], kept: Int[Tensor, " kept"], spread: float
) -> float:
    """The distance to the nearest kept state of its class that 99% of the other natural states do not exceed."""
    remaining = torch.ones(len(states), dtype=torch.bool)
    remaining[kept] = False
    distances = nearest_of_class(states[remaining], labels[remaining], states[kept], labels[kept])
    finite = distances[distances.isfinite()]
    return max(float(finite.quantile(QUANTILE)) if len(finite) else 0.0, VARIES * spread)


def _some_of_each_class(labels: Int[Tensor, " samples"], count: int) -> Int[Tensor, " kept"]:
    """Rows of at most `count` states: the same number of each class, where it has as many."""
    rank = torch.empty_like(labels)
    for label in labels.unique():
        members = (labels == label).nonzero()[:, 0]
        rank[members] = torch.arange(len(members))
    return torch.argsort(rank, stable=True)[:count].sort().values


def value_document(alignment: Alignment, natural: Natural, variable: str) -> dict[str, Any]:
    """The mean aligned coordinates of the natural states of each value of a variable, and their spread.

    A state reads as the value whose mean is nearest, in units of the spread within values.
    """
    coordinates = alignment.read(natural.states)
    values, labels = natural.values[variable].double().unique(return_inverse=True)
    means = ClassSums.of(coordinates, labels).means(torch.arange(len(values)))
    within = (coordinates - means[labels]).square().mean(0).sqrt()
    spread = torch.maximum(within, LOWEST_SPREAD + VARIES * coordinates.std(0))
    kept = torch.linspace(0, len(values) - 1, min(len(values), MAX_VALUES)).round().long()
    return {
        "values": values[kept].tolist(),
        "means": encode_array(means[kept]),
        "spread": encode_array(spread),
    }
