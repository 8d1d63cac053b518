"""How natural the states are that an alignment writes, measured on validation interventions on a network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from symscope.alignment.functions import Alignment
from symscope.alignment.natural import NaturalStates
from symscope.alignment.naturalness import WithinClass, far_out_share, within_class_distance
from symscope.alignment.score import swap_of
from symscope.alignment.state_classes import class_ids
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions, Interventions, intervene, matches_counterfactual
from symscope.networks import Network

NATURAL_STATES = 8000
"""Natural states that rewritten ones are compared with."""


@dataclass(frozen=True)
class Naturalness:
    """How natural rewritten states are; in brackets the value that natural states have (its floor).

    Measured on the validation interventions that change a value. `symscope.verdict` has the limits.

    Attributes:
        off_span_share: share of the norm of the rewritten states, from the natural mean, outside the span of natural
            states (0): root mean square over states.
        dormant_share: of the interventions that change the continuation and succeed, the share that fails when the swap
            writes only within that span (0); `None` where there are none.
        far_out_share: share of rewritten states farther out within the span than 99% of natural states.
        far_out_floor: the same share of natural states that did not set the limit (about 0.01).
        within_class_distance: distance to the nearest natural state with the counterfactual values, in units of the
            same distance between natural states (1), median; `None` where no values are known.
        class_radius: distance to the mean of these natural states, in the same way (1).
    """

    off_span_share: float
    dormant_share: float | None
    far_out_share: float
    far_out_floor: float
    within_class_distance: float | None
    class_radius: float | None

    def __str__(self) -> str:
        parts = [
            f"{self.off_span_share:.0%} of the norm off the natural span",
            f"{self.far_out_share:.0%} farther out than natural states (natural {self.far_out_floor:.0%})",
        ]
        if self.within_class_distance is not None:
            parts.append(f"{self.within_class_distance:.1f} times the natural distance to states of the same values")
        if self.dormant_share is not None:
            parts.append(f"{self.dormant_share:.0%} of the effect dormant")
        return ", ".join(parts)


@final
class NaturalReference:
    """Natural states of a network and validation interventions on it; what alignments share is computed once.

    Args:
        network: the network.
        train: interventions whose natural states are the reference.
        validation: the interventions that are measured.
        drawn: the same as data.
        variables: the variables of the hypothesis.
    """

    def __init__(
        self,
        network: Network,
        train: CachedInterventions,
        validation: CachedInterventions,
        drawn: Interventions,
        variables: Sequence[str],
    ) -> None:
        self._network, self._validation, self._drawn = network, validation, drawn
        states = train.natural_states()
        rows = torch.arange(0, len(states), max(-(-len(states) // NATURAL_STATES), 1))
        self._states = states[rows.to(states.device)]
        self._natural = NaturalStates(self._states)
        self._classes: tuple[Int[Tensor, " samples"], Int[Tensor, " rows"]] | None = None
        if variables and all(name in cached.values for name in variables for cached in (train, validation)):
            natural = torch.stack([train.values[name][rows].double() for name in variables], 1)
            after = torch.stack([validation.counterfactual_values[name].double() for name in variables], 1)
            ids, requested = class_ids(natural, after)
            self._classes = ids.to(states.device), requested.to(states.device)

    @cached_property
    def _changing(self) -> Bool[Tensor, " rows"]:
        """The interventions that change a value; all of them where no values are known."""
        after, base = self._validation.counterfactual_values, self._drawn.base.values
        changing = torch.zeros(len(self._validation), dtype=torch.bool)
        for name in after:
            changing |= after[name] != base[name]
        return changing if changing.any() else torch.ones_like(changing)

    @torch.no_grad()
    def measure(self, alignments: Mapping[str, Alignment]) -> Naturalness | None:
        """The naturalness of an alignment; `None` where natural states are too few, or all the same."""
        swapped = intervene(self._validation, swap_of(alignments, self._validation))
        changing = self._changing.to(swapped.device)
        states = swapped[changing]
        try:
            self._natural.check_variation()
            far_out = far_out_share(states, self._states)
        except InvalidArgumentError:
            return None
        within = self._within_class(states, changing)
        return Naturalness(
            off_span_share=self._off_span_share(states),
            dormant_share=self._dormant_share(swapped),
            far_out_share=far_out.share,
            far_out_floor=far_out.floor,
            within_class_distance=None if within is None else within.distance,
            class_radius=None if within is None else within.radius,
        )

    def _within_class(self, states: Tensor, changing: Tensor) -> WithinClass | None:
        if self._classes is None:
            return None
        natural, after = self._classes
        try:
            return within_class_distance(states, after[changing], self._states, natural)
        except InvalidArgumentError:  # no class has members to compare with
            return None

    def _off_span_share(self, states: Float[Tensor, "rows state"]) -> float:
        axes = self._natural.axes
        centred = states.double() - axes.mean
        inside = centred @ axes.directions
        return float(((centred - inside @ axes.directions.T).square().sum() / centred.square().sum()).sqrt())

    def _dormant_share(self, swapped: Float[Tensor, "rows state"]) -> float | None:
        if self._drawn.changes_base is None:
            return None
        correct = matches_counterfactual(self._network, self._validation, swapped).cpu()
        rows = (correct & self._drawn.changes_base).nonzero()[:, 0]
        if not len(rows):
            return None
        at = rows.to(swapped.device)
        base = self._validation.base_states[at]
        within = base + self._natural.within(swapped[at] - base)
        return 1 - float(matches_counterfactual(self._network, self._validation, within, rows).double().mean())
