"""Interventions across models, in the joint space: bases of one model, sources of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment._closed_form import counterfactual_means, intervention_states
from symscope.alignment.functions import LinearFunction
from symscope.comparison._joint import SITE, JointNetwork, JointSpace, ModelSpace
from symscope.comparison.models import Model
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions, CounterfactualData, Interventions
from symscope.networks import RunState, join_run_states

TRUE, SHUFFLED = "true", "shuffled_labels"
"""Labels of the interventions."""
TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")


class Direction(NamedTuple):
    """Interventions on a variable: values of the source model are written into states of the target model."""

    variable: str
    target: int
    source: int
    labels: str = TRUE

    def __str__(self) -> str:
        return f"{self.labels}/{self.variable}/{self.target}<-{self.source}"


Key = tuple[str, str, str]
"""Labels, split and variable of a set of interventions."""


@final
@dataclass
class JointSets:
    """The states of all models at the stops of all interventions, and the sets of interventions made of them.

    Args:
        models: the models that are compared. Their untrained networks are added at the end, as sources only.
        data: the interventions, by their labels.
        function: the alignment function, for its coordinates.
        dimensions: the most dimensions that a map takes in each model. Where the states of a model have fewer in these
            coordinates, maps take as many as the narrowest of these models has. An untrained network with fewer than
            that is left out.

    Attributes:
        trained: number of models that are compared.
        twin_of: for each untrained network the number of the model that it belongs to.
        too_narrow: dimensions of each untrained network that is left out, by its name.

    Raises:
        InvalidArgumentError: interventions take values from several sources.
    """

    models: Sequence[Model]
    data: Mapping[str, CounterfactualData]
    function: LinearFunction
    dimensions: int
    trained: int = field(init=False)
    twin_of: tuple[int, ...] = field(init=False)
    too_narrow: dict[str, int] = field(init=False)
    cached: dict[tuple[int, Key], CachedInterventions] = field(init=False)
    space: JointSpace = field(init=False)
    network: JointNetwork = field(init=False)

    def __post_init__(self) -> None:
        self._drawn: dict[Key, Interventions] = {
            (labels, split, name): getattr(data, split)[name]
            for labels, data in self.data.items()
            for split, name in product(SPLITS, data.variables)
        }
        for (_, _, name), drawn in self._drawn.items():
            if len(set(drawn.source_of)) != 1:
                raise InvalidArgumentError(f"interventions on {name!r} take values from several sources; one is needed")
        self.trained = len(self.models)
        every = [*self.models, *self._twins()]
        self.cached = {
            (number, key): model.cache(drawn)
            for number, model in enumerate(every)
            for key, drawn in self._drawn.items()
            if number < self.trained or key[0] == TRUE
        }
        spaces = [ModelSpace.of(self.function, self.natural_states(number, TRAIN)) for number in range(len(every))]
        self._leave_out_narrow(every, spaces)
        self.space = JointSpace(tuple(spaces))
        self._begins: dict[tuple[int, Key], int] = {}
        runs = [self._runs(number) for number in range(len(self.models))]
        networks = [model.network if number < self.trained else None for number, model in enumerate(self.models)]
        self.network = JointNetwork(networks, runs, self.space, [model.ids for model in self.models])

    def _twins(self) -> list[Model]:
        """The untrained networks of all models that name one."""
        self.twin_of = tuple(number for number, model in enumerate(self.models) if model.untrained is not None)
        named = [self.models[number] for number in self.twin_of]
        return [replace(model, name=f"{model.name}, untrained", network=model.untrained) for model in named]

    def _leave_out_narrow(self, every: Sequence[Model], spaces: list[ModelSpace]) -> None:
        """Sets the models to those whose states have enough dimensions, and removes the spaces of the rest."""
        least = min(self.dimensions, *(space.width for space in spaces[: self.trained]))
        kept = [n for n, space in enumerate(spaces) if n < self.trained or space.width >= least]
        self.too_narrow = {every[n].name: spaces[n].width for n in range(len(every)) if n not in kept}
        self.cached = {(kept.index(n), key): cached for (n, key), cached in self.cached.items() if n in kept}
        self.twin_of = tuple(self.twin_of[n - self.trained] for n in kept[self.trained :])
        self.models = [every[n] for n in kept]
        spaces[:] = [spaces[n] for n in kept]

    def k_of(self, variables: Sequence[str], k: int) -> int:
        """The dimensions that each variable of a map takes: k, or fewer where the states of a model have fewer."""
        return min(k, min(self.space.widths[: self.trained]) // len(variables))

    def _runs(self, number: int) -> RunState | None:
        """All runs of a model that can be resumed; where those of each set begin is kept."""
        if number >= self.trained or self.models[number].network is None:
            return None
        begin, runs = 0, []
        for key in self._drawn:
            cached = self.cached[number, key]
            self._begins[number, key] = begin
            begin += len(cached)
            runs.append(cached.base)
        return join_run_states(runs)

    def natural_states(self, number: int, split: str) -> Float[Tensor, "samples state"]:
        """The states of a model where bases and sources stop."""
        keys = [key for key in self._drawn if key[:2] == (TRUE, split)]
        return torch.cat([self.cached[number, key].natural_states() for key in keys])

    def can_resume(self, direction: Direction) -> bool:
        """Whether the target model can be resumed, so that an intervention has an effect."""
        return self.models[direction.target].network is not None

    def drawn(self, direction: Direction, split: str) -> Interventions:
        """The interventions of a direction."""
        return self._drawn[direction.labels, split, direction.variable]

    def cross(self, direction: Direction, split: str) -> CachedInterventions:
        """The interventions of a direction in the joint space."""
        key = (direction.labels, split, direction.variable)
        base, source = self.cached[direction.target, key], self.cached[direction.source, key]
        space, rows, resumable = self.space, len(base), self.can_resume(direction)
        states = space.embed(direction.target, space.spaces[direction.target].coordinates(base.base_states))
        (at,) = set(base.source_of)
        values = space.spaces[direction.source].coordinates(source.source_states[at])
        begin = self._begins.get((direction.target, key), 0)
        stored = {"model": torch.full((rows,), direction.target), "run": torch.arange(begin, begin + rows)}
        return CachedInterventions(
            (direction.variable,),
            (0,),
            RunState(SITE, states, stored),
            states,
            space.embed(direction.source, values)[None],
            base.fed,
            base.targets,
            base.target_mask if resumable else torch.zeros_like(base.target_mask),
            base.lengths if resumable else torch.ones_like(base.lengths),
            {},
            {},
        )

    def latents(self, direction: Direction) -> Float[Tensor, "rows joint"]:
        """For each training intervention the mean natural state of the target model with the counterfactual values.

        NaN in the parts of other models, and where there is no such state or values are unknown.
        """
        target, space = direction.target, self.space.spaces[direction.target]
        cached = self.cached[target, (direction.labels, TRAIN, direction.variable)]
        try:
            means = counterfactual_means(intervention_states(cached, self.value_names))
        except InvalidArgumentError:  # no values
            means = torch.full_like(cached.base_states, torch.nan)
        return self.space.embed(target, space.coordinates(means), torch.nan)

    @property
    def value_names(self) -> list[str]:
        """The variables of the hypothesis that have values."""
        return list(self.data[TRUE].value_names)
