"""Alignments in closed form for interventions on a network: where a search starts, and a baseline without a search."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions import Alignment, subspace
from symscope.alignment.least_squares import (
    TARGETS,
    InterventionStates,
    LeastSquaresFit,
    LeastSquaresProblem,
    least_squares_path,
)
from symscope.alignment.score import validation_iias
from symscope.alignment.state_classes import NEVER_OCCURS, ClassSums, class_ids
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions
from symscope.networks import Network

CHOICE_ROWS = 300
"""Validation interventions by which target and rank are chosen."""
RANKS_TRIED = 8
"""Ranks up to k that are tried, evenly spaced in their logarithm."""


def intervention_states(cached: CachedInterventions, variables: Sequence[str]) -> InterventionStates:
    """The states of interventions with the classes of their values.

    Args:
        cached: interventions of a single source on a network, with values.
        variables: the variables of the hypothesis.
    """
    unknown = [name for name in variables if name not in cached.values or name not in cached.counterfactual_values]
    if unknown or not variables or len(cached.source_states) != 1:
        raise InvalidArgumentError(
            "no closed form: it needs the values of all variables, from a single source; unknown are those of "
            f"{', '.join(unknown) or 'none'}, and there are {len(cached.source_states)} sources"
        )
    natural, after = (
        torch.stack([values[name].double() for name in variables], 1)
        for values in (cached.values, cached.counterfactual_values)
    )
    ids = class_ids(natural, after)
    device, rows = cached.base_states.device, len(cached)
    members = torch.arange(2 * rows, device=device)
    natural_class = ids.natural.to(device)
    return InterventionStates(
        base=cached.base_states,
        source=cached.source_states[0],
        base_class=natural_class[:rows],
        counterfactual_class=ids.requested.to(device),
        natural_states=cached.natural_states(),
        natural_class=natural_class,
        members=(members[:rows], members[rows:]),
    )


def counterfactual_means(states: InterventionStates) -> Float[Tensor, "rows state"]:
    """For each intervention the mean of the natural states with its counterfactual values, without its base and source.

    NaN where no such state exists.
    """
    sums = ClassSums.of(states.natural_states.double(), states.natural_class)
    pair = torch.stack([states.base, states.source]).double()
    if states.members is None:
        members = torch.full(pair.shape[:2], NEVER_OCCURS, device=pair.device)
    else:
        members = torch.stack([states.natural_class[rows] for rows in states.members])
    return sums.means_without(states.counterfactual_class, pair, members).to(states.base.dtype)


class ClosedForms:
    """Closed-form alignments of one variable in one network; each form is computed once.

    Args:
        network: the network.
        train: interventions of a single source to fit to, with values.
        validation: interventions to choose target and rank by.
        variables: the variables of the hypothesis.
        max_k: the largest k that is requested.

    Raises:
        InvalidArgumentError: the closed form does not apply: no value after a swap occurs in natural states, or nothing
            varies.
    """

    def __init__(
        self,
        network: Network,
        train: CachedInterventions,
        validation: CachedInterventions,
        variables: Sequence[str],
        max_k: int,
    ) -> None:
        self._network, self._validation = network, validation
        self.variable = train.variables[0]
        self._like = train.base_states
        self.problem = LeastSquaresProblem.of(intervention_states(train, variables))
        self._max_k = min(max_k, self.problem.span)
        self._paths: dict[str, dict[str, list[LeastSquaresFit]]] = {}
        self._scores: dict[tuple[str, str, int], float] = {}

    def best(self, form: str, k: int) -> LeastSquaresFit:
        """The projector of rank at most k that is best on validation, over both targets; on a tie the smaller rank."""
        candidates = self._tried(form, k)
        scores = self._score(form, candidates)
        number = max(range(len(candidates)), key=lambda n: (scores[n], -candidates[n].diagnostics.rank, -n))
        return candidates[number]

    def start(self, form: str, k: int) -> LeastSquaresFit:
        """The projector to start a search from: the largest rank up to k, and the better target on validation.

        A start of lower rank filled up with other directions is worse: they are swapped at full strength.
        """
        path = [self._largest(form, target, k) for target in TARGETS]
        scores = self._score(form, path)
        return path[scores.index(max(scores))]

    def _largest(self, form: str, target: str, k: int) -> LeastSquaresFit:
        return max(
            (fit for fit in self._path(form, target) if fit.diagnostics.rank <= k), key=lambda f: f.diagnostics.rank
        )

    def _path(self, form: str, target: str) -> list[LeastSquaresFit]:
        paths = self._paths.setdefault(form, {})
        if target not in paths:
            paths[target] = least_squares_path(self.problem, self._max_k, form=form, target=target)
        return paths[target]

    def _tried(self, form: str, k: int) -> list[LeastSquaresFit]:
        ranks = {round(k ** (step / (RANKS_TRIED - 1))) for step in range(RANKS_TRIED)} | {1, k}
        tried = []
        for target in TARGETS:
            path = [fit for fit in self._path(form, target) if fit.diagnostics.rank <= k]
            last = max(fit.diagnostics.rank for fit in path)
            tried += [fit for fit in path if fit.diagnostics.rank in ranks or fit.diagnostics.rank == last]
        return tried

    def _score(self, form: str, candidates: Sequence[LeastSquaresFit]) -> list[float]:
        keys = [(form, fit.diagnostics.target, fit.diagnostics.rank) for fit in candidates]
        new = [number for number, key in enumerate(keys) if key not in self._scores]
        if new:
            alignments = [{self.variable: alignment_of(candidates[number], self._like)} for number in new]
            rows = torch.arange(min(CHOICE_ROWS, len(self._validation)))
            scores = validation_iias(self._network, self._validation, alignments, rows)
            self._scores |= {keys[number]: score for number, score in zip(new, scores, strict=True)}
        return [self._scores[key] for key in keys]


def alignment_of(fit: LeastSquaresFit, like: Tensor) -> Alignment:
    """A closed form as an alignment."""
    form = fit.diagnostics.form
    return subspace(fit.write.to(like), fit.read.to(like), name=f"least_squares_{form}")
