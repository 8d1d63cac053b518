"""Arbitrary labels: the same interventions, but every value of a variable stands for another one.

An algorithm whose variable is relabelled at random computes nothing that a network could have learned. What a search
reaches on its interventions is what the search, and the form of the interventions, give by themselves.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Shaped
from torch import Generator, Tensor

from symscope.algorithms import Algorithm
from symscope.errors import InvalidArgumentError
from symscope.interventions.draw import MORE_DEMO, Interventions, continue_from, select


class Labels(NamedTuple):
    """Values of a variable, ascending, and the one that each stands for instead."""

    values: Shaped[Tensor, " values"]
    instead: Shaped[Tensor, " values"]

    def of(self, column: Shaped[Tensor, " batch"]) -> Shaped[Tensor, " batch"]:
        """What values stand for; one that was not among them stands for what its neighbour does."""
        return self.instead[torch.searchsorted(self.values, column).clamp(max=len(self.values) - 1)]


def arbitrary_labels(drawn: Interventions, generator: Generator) -> dict[str, Labels]:
    """Labels for each swapped variable: its values that occur, each standing for another of them, at random.

    Raises:
        InvalidArgumentError: a variable has one value only.
    """
    labels = {}
    for name in drawn.variables:
        values = torch.cat([drawn.base_values[name], drawn.source_values[name]]).unique()
        if len(values) < 2:
            raise InvalidArgumentError(f"variable {name!r} always has the same value, so it cannot have other labels")
        order = torch.randperm(len(values), generator=generator)
        instead = torch.empty_like(values)
        instead[order] = values[order.roll(1)]  # one round through all of them: none stands for itself
        labels[name] = Labels(values, instead)
    return labels


def relabel(
    algorithm: Algorithm, drawn: Interventions, labels: Mapping[str, Labels], generator: Generator
) -> Interventions:
    """The same bases, sources and cuts, followed by what the base does with what the source's values stand for.

    Interventions that cannot end any more are left out; `redrawn` is the share of them.
    """
    swapped = {**drawn.base_values, **{name: labels[name].of(drawn.source_values[name]) for name in drawn.variables}}
    remaining = torch.randint(MORE_DEMO + 1, (len(drawn),), generator=generator)
    then = continue_from(algorithm, swapped, remaining, generator)
    relabelled = replace(drawn, continuation=then.tokens, lengths=then.lengths, determined=then.determined)
    return replace(select(relabelled, then.ends), redrawn=float((~then.ends).double().mean()))
