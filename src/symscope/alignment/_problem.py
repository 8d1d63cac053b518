"""What a search fits, how it searches, and what it returns."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from symscope.alignment.functions import Alignment, AlignmentFunction, Factors
from symscope.alignment.least_squares import LeastSquaresFit
from symscope.alignment.masks import Mask
from symscope.errors import InvalidArgumentError

LEAST_SQUARES, PRINCIPAL_COMPONENTS, RANDOM = INITS = ("least-squares", "principal-components", "random")
"""Where the first fit of a search can start."""


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        learning_rate: of Adam.
        batch: interventions in a step, for each fit.
        steps: the most steps of a fit.
        validate_every: steps between validations.
        target_iia: validation IIA at which a search stops.
        patience: a fit stops after this many validations without a better one.
        restarts: fits of each alignment; the best on validation is kept. Local minima are common, above all at small k.
        more_restarts: further restarts of an alignment that is not clearly above every null control; 0: none.
        init: where the first fit starts: at the `"least-squares"` alignment (for functions that have one, and where it
            applies; else at random), at the `"principal-components"` of the natural states, or at `"random"`. The other
            fits start at random.
        latent_weight: weight of the counterfactual-latent loss (see `latent_loss_of`); interventions with unknown
            values or several sources have none. With it a fit does not stop at `target_iia`, and of alignments that are
            equally good on validation the last is kept.
        memory: limit in bytes for what a step computes, which then splits itself; `None`: no limit.
    """

    learning_rate: float = 1e-2
    batch: int = 128
    steps: int = 300
    validate_every: int = 25
    target_iia: float = 0.995
    patience: int = 6
    restarts: int = 1
    more_restarts: int = 2
    init: str = LEAST_SQUARES
    latent_weight: float = 0.05
    memory: int | None = None

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "steps", "validate_every", "patience", "restarts"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidArgumentError(f"{name} must be above 0 and finite, got {getattr(self, name)}")
        if self.more_restarts < 0:
            raise InvalidArgumentError(f"more_restarts must be at least 0, got {self.more_restarts}")
        if self.init not in INITS:
            raise InvalidArgumentError(f"init is one of {', '.join(map(repr, INITS))}, got {self.init!r}")
        if not 0 < self.target_iia <= math.inf:
            raise InvalidArgumentError(f"target_iia must be above 0, got {self.target_iia}")
        if not 0 <= self.latent_weight < math.inf:
            raise InvalidArgumentError(f"latent_weight must be at least 0 and finite, got {self.latent_weight}")


@dataclass(frozen=True)
class AlignmentProblem:
    """One alignment to search: of one variable, or of several variables in one map.

    Attributes:
        sets: names of the sets of interventions to fit to, in the order of the swaps of the mask; batches are drawn
            evenly from all of them.
        mask: which dimensions belong to which variable.
        function: the alignment function.
        seed: fixes the starts and the draws of these fits, whatever is searched in the same batch.
        start: a projector of rank mask.k, in coordinates of the state, at which the first fit starts.
        restarts: number of fits; `None`: as the options say.
        max_steps: the fits stop at the first validation at or after so many steps; `None`: as the options say.
        stops_with: index of another problem of the same search; when that stops, so does this one.
        validated_by: the validation IIA of a fit is the lowest IIA over its sets, or their mean.
    """

    sets: tuple[str, ...]
    mask: Mask
    function: AlignmentFunction
    seed: int
    start: Factors | None = None
    restarts: int | None = None
    max_steps: int | None = None
    stops_with: int | None = None
    validated_by: Literal["lowest", "mean"] = "lowest"


@dataclass(frozen=True)
class SearchResult:
    """The best alignment that a search reached for one problem.

    Attributes:
        alignments: the alignment of each variable.
        restart: the fit that it comes from, counted from 0.
        validation_iia: the minimum over the sets of the problem, such as its variables, or their mean.
        best_step: the step at which the fit was best.
        restarts: number of fits.
        total_steps: steps of all fits of the problem together.
        diverged: number of fits that became non-finite; each kept its best alignment up to there.
        starts: the closed form of each variable at which the first fit started; empty where it started elsewhere.
    """

    alignments: Mapping[str, Alignment]
    restart: int
    validation_iia: float
    best_step: int
    restarts: int
    total_steps: int
    diverged: int = 0
    starts: Mapping[str, LeastSquaresFit] = field(default_factory=dict)
