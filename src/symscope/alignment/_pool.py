"""What the fits of a search train on: one pool of interventions, the batches drawn from it, and their losses."""

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import pad

from symscope.alignment._batched_fits import BatchedFits
from symscope.alignment._problem import AlignmentProblem
from symscope.alignment.natural import NaturalStates
from symscope.interchange import CachedInterventions, counterfactual_losses, intervene, join_cached, rows_within
from symscope.networks import Resumable
from symscope.networks.packing import to_device

LatentLoss = Callable[[Tensor, Tensor], Tensor]
"""From rewritten states and their latents (fits x batch x state) the loss of each fit; NaN where no latent is known."""


class TrainingPool:
    """All interventions that the fits of a search train on.

    Args:
        network: the network.
        train: the sets of interventions, by name.
        latents: for each set a state with the values after each swap (NaN where there is none), for the
            counterfactual-latent loss; empty without that loss.
        memory: limit in bytes for what a step computes.
    """

    def __init__(
        self,
        network: Resumable,
        train: Mapping[str, CachedInterventions],
        latents: Mapping[str, Float[Tensor, "rows state"]],
        memory: int | None,
    ) -> None:
        self._network = network
        self._sets = dict(train)
        self._rows = join_cached(list(train.values()))
        self._latents = torch.cat([latents[name] for name in train]) if latents else None
        sizes = [len(cached) for cached in train.values()]
        self._begins = dict(zip(train, accumulate(sizes, initial=0), strict=False))
        self._rows_at_once = rows_within(network, self._rows, memory)
        self._natural: dict[tuple[str, ...], NaturalStates] = {}

    def natural_states(self, sets: tuple[str, ...]) -> NaturalStates:
        """The states at the stops of some sets, which the network reaches by itself."""
        if sets not in self._natural:
            states = torch.cat([self._sets[name].natural_states() for name in sets])
            self._natural[sets] = NaturalStates(states)
        return self._natural[sets]

    def draw(
        self, problem: AlignmentProblem, batches: int, batch: int, draws: Generator
    ) -> tuple[Int[Tensor, "batches batch"], Int[Tensor, "batches batch"]]:
        """Batches for a fit of a problem: rows of the pool, and which of the problem's sets each row is of."""
        sizes = torch.tensor([len(self._sets[name]) for name in problem.sets])
        ends = sizes.cumsum(0)
        drawn = torch.randint(int(ends[-1]), (batches, batch), generator=draws)
        swap = torch.bucketize(drawn, ends, right=True)
        offsets = torch.tensor([self._begins[name] for name in problem.sets]) - (ends - sizes)
        return drawn + offsets[swap], swap

    def losses(
        self,
        groups: Sequence[BatchedFits],
        order: Int[Tensor, " fits"] | None,
        index: Int[Tensor, "fits batch"],
        swap: Int[Tensor, "fits batch"],
        progress: float,
        latent_loss: LatentLoss | None = None,
    ) -> Float[Tensor, " fits"]:
        """The mean loss of each fit on its batch.

        Args:
            groups: the fits.
            order: puts the fits of all groups, one group after another, into the order of `index`; `None`: they are.
            index: rows of the pool.
            swap: which of its problem's sets each row is of.
            progress: share of the search that is over, from 0 to 1.
            latent_loss: the counterfactual-latent loss of the fits; `None`: without.
        """
        fits, batch = index.shape
        rows, device = self._rows, self._rows.base_states.device
        flat, which = index.flatten(), to_device(swap, device)

        def swapped(base: Float[Tensor, "rows state"], sources: Float[Tensor, "s rows state"]) -> Tensor:
            base, sources = base.view(fits, batch, -1), sources.view(len(sources), fits, batch, -1)
            if order is None:
                return groups[0].swap(base, sources, which, progress).flatten(0, 1)
            parts = []
            for group, members in zip(groups, order.argsort().split([len(g.members) for g in groups]), strict=True):
                rows_of_group = to_device(members, device)
                parts.append(
                    group.swap(
                        base.index_select(0, rows_of_group),
                        sources.index_select(1, rows_of_group),
                        which.index_select(0, rows_of_group),
                        progress,
                    )
                )
            return torch.cat(parts).index_select(0, to_device(order, device)).flatten(0, 1)

        states = intervene(rows, swapped, flat)
        counts = to_device(rows.target_mask[flat].view(fits, -1).sum(1), device)
        losses = counterfactual_losses(self._network, rows, states, flat, self._rows_at_once)
        losses = losses.view(fits, batch).sum(1) / counts
        if latent_loss is None or self._latents is None:
            return losses
        latents = self._latents.index_select(0, to_device(flat, device))
        return losses + latent_loss(states.view(fits, batch, -1), latents.view(fits, batch, -1))


def latent_loss_of(natural: Sequence[NaturalStates], weight: float) -> LatentLoss:
    """The counterfactual-latent loss of several fits, each with natural states of its own.

    Half the squared distance from a rewritten state to the mean of the natural states with the counterfactual values,
    as a mean over the principal directions of the natural span, in units of their standard deviation. Grant et al. 2025
    take single natural states, and distances and cosines in the state itself; at the same IIA that leaves rewritten
    states farther out, since directions of small variance hardly count there.

    Args:
        natural: the natural states of each fit.
        weight: of the loss.
    """
    width = max(each.whitening.shape[1] for each in natural)
    matrices = [each.whitening / each.whitening.shape[1] ** 0.5 for each in natural]
    stacked = torch.stack([pad(matrix, (0, width - matrix.shape[1])) for matrix in matrices]).to(natural[0].like())

    def loss(
        states: Float[Tensor, "fits batch state"], latents: Float[Tensor, "fits batch state"]
    ) -> Float[Tensor, " fits"]:
        known = latents.isfinite()
        difference = torch.where(known, states - latents, 0.0)
        losses = 0.5 * (difference @ stacked).square().sum(-1)
        return weight * losses.sum(1) / known.any(-1).sum(1).clamp(min=1)

    return loss
