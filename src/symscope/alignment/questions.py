"""What a search is asked, how it is to search, and what it finds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.masks import Mask
from symscope.alignment.starts import PRINCIPAL_COMPONENTS, RANDOM, check_function
from symscope.errors import InvalidArgumentError
from symscope.interventions import Prepared


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        learning_rate: of Adam.
        batch: interventions a step, for each fit.
        steps: the most steps that a fit takes.
        validate_every: steps between validations.
        wanted: validation IIA at which a question counts as answered and its fits stop.
        patience: a fit stops after this many validations without a better one.
        starts: starts for each question; the best on validation is kept. Local minima are real, most of all at small k.
        first: where the first start is, at the leading principal components of the natural states or at random; the
            others are random.
        latent_weight: weight of the counterfactual-latent loss, for questions that come with targets. A fit does then
            not stop at `wanted`, and of alignments that are equally good on validation the last is kept.
        memory: bytes that a step may take beside what it is given; it splits itself to keep to them. Default: no limit.
    """

    learning_rate: float = 1e-3
    batch: int = 128
    steps: int = 20_000
    validate_every: int = 100
    wanted: float = 0.995
    patience: int = 10
    starts: int = 3
    first: str = PRINCIPAL_COMPONENTS
    latent_weight: float = 0.0
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "steps", "validate_every", "patience", "starts"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidArgumentError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.first not in (PRINCIPAL_COMPONENTS, RANDOM):
            raise InvalidArgumentError(
                f"the first start is at {PRINCIPAL_COMPONENTS!r} or {RANDOM!r}, got {self.first!r}"
            )
        if not 0 <= self.latent_weight < math.inf:
            raise InvalidArgumentError(f"latent_weight must be at least 0 and finite, got {self.latent_weight}")


@dataclass(frozen=True)
class Question:
    """Where are these variables? Interventions on each to fit and to choose by, and what kind of alignment to fit.

    Attributes:
        train: interventions to fit to, for each variable; batches are drawn evenly from all of them.
        validation: interventions to choose by.
        mask: which dimensions of the function each variable takes; `Blocks({variable: k})` for one.
        seed: determines the starts and the draws of this question's fits, whatever is searched beside it.
        function: name of the alignment function, one of `FUNCTIONS`.
        options: of the function.
        given: a frame of mask.k columns to start at, in place of the first start.
        targets: for each variable a natural state for each training intervention, whose variables have the values that
            are wanted after the swap (NaN where there is none), for the counterfactual-latent loss.
        starts: how many starts it gets; default: as many as the options say.
        steps: its fits stop at the first validation at or after so many steps; default: as the options say.
        until: the place of another question of the same search; when that has stopped, so does this one.
    """

    train: Mapping[str, Prepared]
    validation: Mapping[str, Prepared]
    mask: Mask
    seed: int
    function: str = "orthogonal"
    options: Mapping[str, Any] = field(default_factory=dict)
    given: Float[Tensor, "state k"] | None = None
    targets: Mapping[str, Float[Tensor, "train state"]] | None = None
    starts: int | None = None
    steps: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        check_function(self.function, self.options)
        if not set(self.train) == set(self.validation) == set(self.mask.variables):
            raise InvalidArgumentError(
                f"interventions to fit to ({', '.join(self.train)}), to choose by ({', '.join(self.validation)}) and "
                f"the mask ({', '.join(self.mask.variables)}) must be of the same variables"
            )

    def natural_states(self) -> Float[Tensor, "samples state"]:
        """States that the network itself was in."""
        return torch.cat([self.train[variable].natural_states() for variable in self.mask.variables])


@dataclass(frozen=True)
class Found:
    """The best alignment that a search found for a question."""

    functions: Mapping[str, AlignmentFunction]
    """Of each variable, fixed."""
    start: int
    """Which start it came from, counted from 0."""
    validation_iia: float
    """Of several variables the lowest."""
    step: int
    """The step at which it was best."""
    steps: int
    """Steps taken by all starts together."""
    diverged: int = 0
    """How many starts became non-finite; each kept its best up to there."""

    @property
    def function(self) -> AlignmentFunction:
        """The alignment of the only variable; raises where there are several."""
        (function,) = self.functions.values()
        return function
