"""Interventions to search with: the training and validation interventions of one set of variables on one network."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import final

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment._closed_form import ClosedForms, counterfactual_means, intervention_states
from symscope.alignment._neurons import rank_neurons
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions, CounterfactualData, cache_states
from symscope.networks import Network


@final
@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Interventions on one set of variables in one network, to fit to and to choose by.

    What follows from them is computed once, for the search and for all controls.

    Attributes:
        network: the network.
        data: the counterfactual data, for the names and kinds of values.
        name: name of the set of overwritten variables.
        train: the interventions to fit to.
        validation: the interventions to choose by.
        max_k: the largest k that is searched.
    """

    network: Network
    data: CounterfactualData
    name: str
    train: CachedInterventions
    validation: CachedInterventions
    max_k: int
    _closed_forms: dict[str, ClosedForms | None] = field(default_factory=dict, init=False)

    @classmethod
    def of(cls, network: Network, data: CounterfactualData, name: str, site: str, max_k: int) -> "TrainingSet":
        """Runs the network up to the stops of the interventions; for the errors see `cache_states`."""
        train, validation = (cache_states(network, part[name], site) for part in (data.train, data.validation))
        return cls(network, data, name, train, validation, max_k)

    def closed_forms(self, variable: str) -> ClosedForms | None:
        """The closed forms of one of the overwritten variables; `None` where they do not apply.

        They do not where values are unknown, where values after the swap never occur in natural states, and where
        states do not vary.
        """
        if variable not in self._closed_forms:
            names = list(self.data.value_names)
            try:
                forms = ClosedForms(self.network, self.train, self.validation, names, self.max_k, variable)
            except InvalidArgumentError:
                forms = None
            self._closed_forms[variable] = forms
        return self._closed_forms[variable]

    @cached_property
    def latents(self) -> Float[Tensor, "rows state"]:
        """For each training intervention a state with its counterfactual values; NaN where there is none or unknown."""
        try:
            return counterfactual_means(intervention_states(self.train, list(self.data.value_names)))
        except InvalidArgumentError:  # no values, or several sources
            return torch.full_like(self.train.base_states, torch.nan)

    @cached_property
    def neuron_order(self) -> list[int]:
        """The neurons of the state, those first that do most by themselves (see `rank_neurons`)."""
        return rank_neurons(self.network, self.validation)
