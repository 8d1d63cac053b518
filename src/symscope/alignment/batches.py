"""What the fits of a search train on: one pool of interventions, batches drawn from it, and the losses on them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import cosine_similarity

from symscope.alignment.program import Program
from symscope.alignment.questions import Question, SearchOptions
from symscope.interventions import Prepared, join, losses_after, rewritten, rows_within
from symscope.networks import Network
from symscope.networks.packing import to_device


@dataclass(frozen=True)
class Pool:
    """All interventions to fit to, each set once though several questions share it."""

    rows: Prepared
    offsets: list[Int[Tensor, " _"]]
    """For each question, from a place among its own interventions, one variable's after another's, to one here."""
    ends: list[Int[Tensor, " _"]]
    """For each question, where each variable's interventions end among its own."""
    targets: Float[Tensor, "rows state"] | None
    at_once: int
    """How many rows the network may run at once."""

    @classmethod
    def of(cls, network: Network, questions: Sequence[Question], options: SearchOptions) -> "Pool":
        unique = {id(one): one for question in questions for one in question.train.values()}
        rows = join(list(unique.values()))
        begins = dict(zip(unique, accumulate((len(one) for one in unique.values()), initial=0), strict=False))
        ends, offsets = [], []
        for question in questions:
            own = [question.train[variable] for variable in question.mask.variables]
            sizes = torch.tensor([len(one) for one in own])
            ends.append(sizes.cumsum(0))
            offsets.append(torch.tensor([begins[id(one)] for one in own]) - (ends[-1] - sizes))
        targets = _targets(questions, rows, begins) if options.latent_weight else None
        return cls(rows, offsets, ends, targets, rows_within(network, rows, options.memory))

    def draw(
        self, question: int, batches: int, batch: int, draws: Generator
    ) -> tuple[Int[Tensor, "batches batch"], Int[Tensor, "batches batch"]]:
        """Batches for a fit of this question: rows of the pool, and which variable each swaps."""
        place = torch.randint(int(self.ends[question][-1]), (batches, batch), generator=draws)
        variable = torch.bucketize(place, self.ends[question], right=True)
        return place + self.offsets[question][variable], variable


def _targets(questions: Sequence[Question], rows: Prepared, begins: Mapping[int, int]) -> Float[Tensor, "rows state"]:
    targets = torch.full_like(rows.source, math.nan)
    for question in questions:
        for variable, own in (question.targets or {}).items():
            at = begins[id(question.train[variable])]
            targets[at : at + len(own)] = own.to(targets)
    return targets


def losses(
    network: Network,
    program: Program,
    pool: Pool,
    index: Int[Tensor, "fits batch"],
    variable: Int[Tensor, "fits batch"],
    progress: float,
    latent_weight: float = 0.0,
) -> Float[Tensor, " fits"]:
    """Each fit's mean cross-entropy of its scored tokens, and the counterfactual-latent loss where it is asked for."""
    rows, (many, batch) = pool.rows, index.shape
    flat = index.flatten()
    there, which = (to_device(x, rows.source.device) for x in (flat, variable))

    def swap(*states: Float[Tensor, "rows state"]) -> Float[Tensor, "rows state"]:
        base, source = (x.view(many, batch, -1) for x in states)
        return program.swap(base, source, which, progress).flatten(0, 1)

    swapped = rewritten(rows, swap, flat)
    scored = to_device(rows.scored[flat].view(many, -1).sum(1), there.device)
    apart = losses_after(network, rows, swapped, flat, pool.at_once).view(many, batch).sum(1) / scored
    if pool.targets is None:
        return apart
    latent = latent_losses(swapped, pool.targets.index_select(0, there)).view(many, batch)
    return apart + latent_weight * latent.nanmean(1).nan_to_num()


def latent_losses(swapped: Float[Tensor, "rows state"], targets: Float[Tensor, "rows state"]) -> Float[Tensor, " rows"]:
    """The counterfactual-latent loss of each row: half the squared distance less half the cosine to its target.

    NaN for rows whose target is NaN, without a gradient (Grant et al. 2025).
    """
    known = targets.isfinite().all(1)
    there = torch.where(known[:, None], targets, swapped.detach())
    losses = 0.5 * (swapped - there).square().sum(1) - 0.5 * cosine_similarity(swapped, there)
    return torch.where(known, losses, math.nan)
