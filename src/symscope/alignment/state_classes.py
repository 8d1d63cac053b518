"""Classes of states: states of one class agree on the values of all variables of an algorithm.

Class ids are integers from 0. The id -1 (`NEVER_OCCURS`) marks a combination of values that no natural state has.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from symscope.errors import InvalidArgumentError

NEVER_OCCURS = -1


def class_ids(
    natural_values: Shaped[Tensor, "samples variables"], requested_values: Shaped[Tensor, "rows variables"]
) -> tuple[Int[Tensor, " samples"], Int[Tensor, " rows"]]:
    """Numbers the combinations of values that natural states have, and looks up the requested ones.

    Args:
        natural_values: values of all variables at each natural state.
        requested_values: combinations to look up, such as the counterfactual values of interventions.

    Returns:
        The class of each natural state, and of each requested combination; `NEVER_OCCURS` where no state has it.
    """
    joined = torch.cat([natural_values.double(), requested_values.double()])
    kinds = joined.unique(dim=0, return_inverse=True)[1]
    natural, requested = kinds.split([len(natural_values), len(requested_values)])
    occurring = natural.unique()
    number = torch.full((int(kinds.max()) + 1,), NEVER_OCCURS, device=kinds.device)
    number[occurring] = torch.arange(len(occurring), device=kinds.device)
    return number[natural], number[requested]


class ClassSums(NamedTuple):
    """Sum and number of the natural states of each class; means without chosen members follow from both."""

    sums: Float[Tensor, "classes state"]
    sizes: Int[Tensor, " classes"]

    @classmethod
    def of(cls, states: Float[Tensor, "samples state"], classes: Int[Tensor, " samples"]) -> "ClassSums":
        """Sums over the classes of some states.

        Raises:
            InvalidArgumentError: there are no states, or a class id is negative.
        """
        if not len(classes) or int(classes.min()) < 0:
            raise InvalidArgumentError("class means need at least one natural state, and class ids of at least 0")
        sizes = torch.bincount(classes)
        sums = states.new_zeros(len(sizes), states.shape[1]).index_add_(0, classes, states)
        return cls(sums, sizes)

    def means(self, classes: Int[Tensor, " rows"]) -> Float[Tensor, "rows state"]:
        """The mean of one class for each row; NaN where a class has no members, and for `NEVER_OCCURS`."""
        nothing = self.sums.new_zeros(0, len(classes), self.sums.shape[1])
        return self.means_without(classes, nothing, classes.new_zeros(0, len(classes)))

    def means_without(
        self,
        classes: Int[Tensor, " rows"],
        states: Float[Tensor, "parts rows state"],
        state_classes: Int[Tensor, "parts rows"],
    ) -> Float[Tensor, "rows state"]:
        """The mean of one class for each row, without the given states where they belong to that class.

        Args:
            classes: the class of each row; `NEVER_OCCURS` gives NaN, as does a class without further members.
            states: natural states to leave out of each row's mean, `parts` for each row.
            state_classes: the classes of these states; `NEVER_OCCURS` where a state is not among the natural ones.
        """
        known = (classes >= 0) & (classes < len(self.sizes))
        index = torch.where(known, classes, 0)
        member = (state_classes == classes) & known
        sums = self.sums[index] - (states * member[:, :, None]).sum(0)
        sizes = torch.where(known, self.sizes[index] - member.sum(0), 0)
        return torch.where(sizes[:, None] > 0, sums / sizes[:, None], torch.nan)


@dataclass(frozen=True)
class InterventionStates:
    """States and classes of training interventions on one variable, or on several variables that are swapped together.

    Attributes:
        base: states of the bases at their positions.
        source: states of the sources.
        base_class: class of each base: its values of all variables.
        counterfactual_class: class of the values after the swap; `NEVER_OCCURS` where no natural state has them.
        natural_states: natural states of the network at the site.
        natural_class: their classes, from 0.
        members: rows of `natural_states` that are the bases, and the sources. Each intervention's class means then
            leave out its base and source, which otherwise bias the regression where classes are small.
    """

    base: Float[Tensor, "rows state"]
    source: Float[Tensor, "rows state"]
    base_class: Int[Tensor, " rows"]
    counterfactual_class: Int[Tensor, " rows"]
    natural_states: Float[Tensor, "samples state"]
    natural_class: Int[Tensor, " samples"]
    members: tuple[Int[Tensor, " rows"], Int[Tensor, " rows"]] | None = None
