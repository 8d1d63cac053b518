"""Baselines: alignments computed from labels or in closed form, tested on the same interventions as a search."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Float, Shaped
from torch import Generator, Tensor

from symscope.alignment._closed_form import alignment_of
from symscope.alignment._training_set import TrainingSet
from symscope.alignment.baseline_directions import ProjectorFactors, diff_means, lda, leace, linear_probe
from symscope.alignment.controls.base import ComputedControl
from symscope.alignment.functions import Alignment, subspace
from symscope.errors import InvalidArgumentError

PROBED_STATES = 4000
"""Natural states that a baseline is computed from."""


class Baseline(ComputedControl, ABC):
    """An alignment computed from natural states and the value of one variable at each; neither a null nor a ceiling.

    Its rank is the smaller of k and the largest rank of its kind. Without known values there is none.
    """

    is_null = False

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment | None:
        train, data = interventions.train, interventions.data
        if len(train.variables) != 1 or train.variables[0] not in train.values:
            return None
        (variable,) = train.variables
        states, labels = train.natural_states(), train.values[variable].to(train.base_states.device)
        rows = torch.arange(0, len(states), -(-len(states) // PROBED_STATES), device=states.device)
        try:
            factors = self.factors(states[rows], labels[rows], k, numeric=not data.value_names.get(variable))
        except InvalidArgumentError:  # a single value: there is nothing to read
            return None
        return subspace(factors.write.to(states), factors.read.to(states), name=self.name)

    @abstractmethod
    def factors(
        self,
        states: Float[Tensor, "samples state"],
        labels: Shaped[Tensor, " samples"],
        k: int,
        *,
        numeric: bool,
    ) -> ProjectorFactors:
        """The projector.

        Args:
            states: natural states.
            labels: the value of the variable at each.
            k: largest rank.
            numeric: whether values are numbers, not names.
        """


@final
@dataclass(frozen=True)
class DiffMeans(Baseline):
    """Differences of class means (see `baseline_directions.diff_means`)."""

    name = "diff_means"

    def factors(self, states: Tensor, labels: Tensor, k: int, *, numeric: bool) -> ProjectorFactors:
        return diff_means(states, labels, k)


@final
@dataclass(frozen=True)
class LinearProbe(Baseline):
    """A ridge or logistic probe, made a projector by Haufe's pattern (see `baseline_directions.linear_probe`)."""

    name = "linear_probe"

    def factors(self, states: Tensor, labels: Tensor, k: int, *, numeric: bool) -> ProjectorFactors:
        return linear_probe(states, labels, k, numeric=numeric)


@final
@dataclass(frozen=True)
class LDA(Baseline):
    """Linear discriminant analysis (see `baseline_directions.lda`)."""

    name = "lda"

    def factors(self, states: Tensor, labels: Tensor, k: int, *, numeric: bool) -> ProjectorFactors:
        return lda(states, labels, k)


@final
@dataclass(frozen=True)
class LEACE(Baseline):
    """The projector that least-squares concept erasure removes (see `baseline_directions.leace`)."""

    name = "leace"

    def factors(self, states: Tensor, labels: Tensor, k: int, *, numeric: bool) -> ProjectorFactors:
        return leace(states, labels, k, numeric=numeric)


@final
@dataclass(frozen=True)
class LeastSquares(ComputedControl):
    """The oblique alignment in closed form, its target and rank chosen on validation: no search at all."""

    name, is_null = "least_squares", False

    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment | None:
        train = interventions.train
        closed = interventions.closed_forms(train.variables[0]) if len(train.variables) == 1 else None
        return None if closed is None else alignment_of(closed.best("oblique", k), train.base_states)


def baselines() -> tuple[ComputedControl, ...]:
    """All baselines, to be given to a search with its controls: `controls=(*DEFAULT_CONTROLS, *baselines())`."""
    return (LeastSquares(), DiffMeans(), LinearProbe(), LDA(), LEACE())
