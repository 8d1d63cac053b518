"""Natural states to hold a rewritten one against: those whose variables have the values wanted after the swap."""

import torch
from jaxtyping import Int, Shaped
from torch import Generator, Tensor

from symscope.algorithms import Algorithm
from symscope.interventions.draw import Interventions


def wanted_states(algorithm: Algorithm, drawn: Interventions, generator: Generator) -> Int[Tensor, " batch"]:
    """For each intervention a cut, of any base or source of the set, where all variables have the wanted values.

    Returns:
        Rows of `Prepared.natural_states()`, drawn at random among those that fit; -1 where none does.
    """
    names = [variable.name for variable in algorithm.variables]
    wanted = torch.stack(
        [(drawn.source_values if name in drawn.variables else drawn.base_values)[name].double() for name in names], 1
    )
    there = torch.stack([torch.cat([drawn.base_values[name], drawn.source_values[name]]).double() for name in names], 1)
    _, kinds = torch.cat([there, wanted]).unique(dim=0, return_inverse=True)
    kind_there, kind_wanted = kinds.split([len(there), len(wanted)])
    return _one_of_each(kind_there, kind_wanted, generator)


def _one_of_each(
    there: Int[Tensor, " states"], wanted: Int[Tensor, " batch"], generator: Generator
) -> Int[Tensor, " batch"]:
    """For each wanted kind the place of a state of that kind, at random; -1 where there is none."""
    order = torch.argsort(there, stable=True)
    counts: Shaped[Tensor, " kinds"] = torch.bincount(there, minlength=int(wanted.max()) + 1)
    begins, many = (counts.cumsum(0) - counts)[wanted], counts[wanted]
    chance = torch.rand(len(wanted), generator=generator, dtype=torch.double)
    at = begins + (chance * many).long().clamp(max=(many - 1).clamp(min=0))
    return torch.where(many > 0, order[at.clamp(max=len(order) - 1)], -1)
