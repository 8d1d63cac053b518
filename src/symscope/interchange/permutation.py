"""Shuffled labels: the same interventions, in which every value of a variable stands for another value.

An algorithm with randomly permuted values computes nothing that a network could have learned. What a search reaches on
its interventions is due to the search and to the form of the interventions (control task, Hewitt & Liang 2019).
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor

from symscope.algorithms import Algorithm
from symscope.errors import InvalidArgumentError
from symscope.interchange.data import Interventions
from symscope.interchange.draw import PAPER_PROTOCOL, InterventionProtocol, swap_interventions

Permutation = tuple[Shaped[Tensor, " values"], Shaped[Tensor, " values"]]
"""Values in ascending order, and the value that each stands for."""


def permute_values(interventions: Interventions, generator: Generator) -> dict[str, Permutation]:
    """For each overwritten variable, its values that occur, each standing for another of them at random.

    Raises:
        InvalidArgumentError: a variable takes a single value.
    """
    permutations = {}
    for name, source in zip(interventions.variables, interventions.source_of, strict=True):
        runs = (interventions.base, interventions.sources[source])
        values = torch.cat([run.values[name] for run in runs]).unique()
        if len(values) < 2:
            raise InvalidArgumentError(f"variable {name!r} always has the same value, so its labels cannot be shuffled")
        order = torch.randperm(len(values), generator=generator)
        replacement = torch.empty_like(values)
        replacement[order] = values[order.roll(1)]  # one cycle through all values: no value stands for itself
        permutations[name] = (values, replacement)
    return permutations


def shuffled_labels(
    algorithm: Algorithm,
    interventions: Interventions,
    permutations: Mapping[str, Permutation],
    generator: Generator,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
) -> Interventions:
    """The same bases and sources, followed by what the base does with the permuted values of the source.

    A value that the permutation does not know stands for what its neighbour stands for. Interventions that can no
    longer end are left out; `rejection_rate` is their share.
    """
    swapped = dict(interventions.counterfactual_values)
    for name in interventions.variables:
        values, replacement = permutations[name]
        swapped[name] = replacement[torch.searchsorted(values, swapped[name]).clamp(max=len(values) - 1)]
    extra = protocol.draw_extra(algorithm, len(interventions), generator)
    continuation = protocol.continue_from(algorithm, swapped, extra, generator)
    (source,) = interventions.sources
    shuffled = swap_interventions(interventions.variables, interventions.base, source, continuation)
    return replace(shuffled, rejection_rate=float((~continuation[2]).double().mean()))
