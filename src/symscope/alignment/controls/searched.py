"""Controls that are searched: shuffled labels on the same network, and untrained networks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

from torch import nn

from symscope.alignment.controls.base import SearchedControl, Subject
from symscope.errors import InvalidArgumentError
from symscope.interchange import CounterfactualData
from symscope.networks import Network, require_network


@final
@dataclass(frozen=True)
class ShuffledLabels(SearchedControl):
    """The same interventions with permuted values of the variable: what a search reaches without a variable to find.

    A control task in the sense of Hewitt & Liang (2019). Data without known values has no such control.
    """

    name = "shuffled_labels"

    def subjects(self, network: Network, data: CounterfactualData) -> Mapping[str, Subject]:
        if data.shuffle is None:
            return {}
        return {self.name: (network, data.shuffle(data))}


@final
class Untrained(SearchedControl):
    """Networks of the same architecture with fresh weights: would a random network score as well?

    Args:
        networks: one or several.
    """

    name = "untrained"

    def __init__(self, networks: nn.Module | Sequence[nn.Module]) -> None:
        several = networks if isinstance(networks, Sequence) else [networks]
        self.networks = tuple(require_network(network) for network in several)

    def subjects(self, network: Network, data: CounterfactualData) -> Mapping[str, Subject]:
        for fresh in self.networks:
            if (fresh.architecture, fresh.sites) != (network.architecture, network.sites):
                raise InvalidArgumentError(
                    f"an untrained network must have the architecture of the trained one: {fresh.architecture}, sites "
                    f"{dict(fresh.sites)}, differs from {network.architecture}, sites {dict(network.sites)}"
                )
        if len(self.networks) == 1:
            return {self.name: (self.networks[0], data)}
        return {f"{self.name} {number}": (fresh, data) for number, fresh in enumerate(self.networks, 1)}
