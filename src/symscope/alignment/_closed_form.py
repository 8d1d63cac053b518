"""Alignments in closed form for interventions on a network: where a search starts, and a baseline without a search."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions import Alignment, subspace
from symscope.alignment.least_squares import (
    TARGETS,
    LeastSquaresFit,
    LeastSquaresProblem,
    in_one_map,
    least_squares_path,
    smallest_rank,
)
from symscope.alignment.score import validation_iias
from symscope.alignment.state_classes import NEVER_OCCURS, ClassSums, InterventionStates, class_ids
from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions
from symscope.networks import Network

CHOICE_ROWS = 300
"""Validation interventions by which target and rank are chosen."""
EXACT = 0.99
"""Validation IIA of a closed form from which nothing is left to search in more dimensions."""
RANKS_TRIED = 8
"""Ranks up to k that are tried, evenly spaced in their logarithm."""


def intervention_states(
    cached: CachedInterventions, variables: Sequence[str], overwritten: str | None = None
) -> InterventionStates:
    """The states of interventions with the classes of their values.

    Args:
        cached: interventions on a network, with values.
        variables: the variables of the hypothesis.
        overwritten: the variable that is overwritten; where the interventions overwrite several, the states and classes
            are those of the same intervention on this one alone. Default: all of them, from a single source.

    Raises:
        InvalidArgumentError: values are unknown, or all variables are overwritten and come from several sources.
    """
    unknown = [name for name in variables if name not in cached.values or name not in cached.counterfactual_values]
    changed = cached.variables if overwritten is None else (overwritten,)
    used = sorted({at for name, at in zip(cached.variables, cached.source_of, strict=True) if name in changed})
    if unknown or not variables or len(used) != 1:
        raise InvalidArgumentError(
            "no closed form: it needs the values of all variables, from a single source; unknown are those of "
            f"{', '.join(unknown) or 'none'}, and there are {len(used)} sources"
        )
    (source,), rows = used, len(cached)
    after = [(cached.counterfactual_values if n in changed else cached.values)[n][:rows].double() for n in variables]
    natural = torch.stack([cached.values[name].double() for name in variables], 1)
    natural_class, requested = class_ids(natural, torch.stack(after, 1))
    device = cached.base_states.device
    natural_class, members = natural_class.to(device), torch.arange(rows, device=device)
    return InterventionStates(
        base=cached.base_states,
        source=cached.source_states[source],
        base_class=natural_class[:rows],
        counterfactual_class=requested.to(device),
        natural_states=cached.natural_states(),
        natural_class=natural_class,
        members=(members, members + (source + 1) * rows),
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
        train: interventions to fit to, with values.
        validation: interventions to choose target and rank by.
        variables: the variables of the hypothesis.
        max_k: the largest k that is requested.
        variable: the variable; default: the only one that is overwritten.

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
        variable: str | None = None,
    ) -> None:
        self._network, self._validation = network, validation
        self.variable = variable or train.variables[0]
        self._like = train.base_states
        self.problem = LeastSquaresProblem.of(intervention_states(train, variables, self.variable))
        self._max_k = min(max_k, self.problem.span)
        self._paths: dict[str, dict[str, list[LeastSquaresFit]]] = {}
        self._scores: dict[tuple[str, str, int], float] = {}

    def best(self, form: str, k: int) -> LeastSquaresFit:
        """The projector of rank at most k that is best on validation, over both targets; on a tie the smaller rank."""
        candidates = self._tried(form, k)
        scores = self._score(form, candidates)
        number = max(range(len(candidates)), key=lambda n: (scores[n], -candidates[n].rank, -n))
        return candidates[number]

    def largest(self, form: str, target: str, k: int) -> LeastSquaresFit:
        """The projector of the largest rank up to k."""
        return max(self._up_to(form, target, k), key=lambda fit: fit.rank)

    def exact(self, form: str, k: int) -> LeastSquaresFit | None:
        """The best projector of rank at most k where its validation IIA is at least `EXACT`."""
        best = self.best(form, k)
        return best if self._score(form, [best])[0] >= EXACT else None

    def effective(self, form: str, target: str, k: int) -> LeastSquaresFit:
        """The projector of the smallest rank up to k whose error is near the least."""
        return smallest_rank(self._up_to(form, target, k))

    def _up_to(self, form: str, target: str, k: int) -> list[LeastSquaresFit]:
        """The projectors of rank up to k; orthogonal ones where all oblique ones are badly conditioned."""
        path = [fit for fit in self._path(form, target) if fit.rank <= k]
        return path or least_squares_path(self.problem, min(k, self._max_k), form=form, target=target)

    def _path(self, form: str, target: str) -> list[LeastSquaresFit]:
        paths = self._paths.setdefault(form, {})
        if target not in paths:
            paths[target] = least_squares_path(self.problem, self._max_k, form=form, target=target)
        return paths[target]

    def _tried(self, form: str, k: int) -> list[LeastSquaresFit]:
        ranks = {round(k ** (step / (RANKS_TRIED - 1))) for step in range(RANKS_TRIED)} | {1, k}
        tried = []
        for target in TARGETS:
            path = self._up_to(form, target, k)
            last = max(fit.rank for fit in path)
            tried += [fit for fit in path if fit.rank in ranks or fit.rank == last]
        return tried

    def _score(self, form: str, candidates: Sequence[LeastSquaresFit]) -> list[float]:
        keys = [(form, fit.target, fit.rank) for fit in candidates]
        new = [number for number, key in enumerate(keys) if key not in self._scores]
        if new:
            alignments = [{self.variable: alignment_of(candidates[number], self._like)} for number in new]
            rows = torch.arange(min(CHOICE_ROWS, len(self._validation)))
            scores = validation_iias(self._network, self._validation, alignments, rows)
            self._scores |= {keys[number]: score for number, score in zip(new, scores, strict=True)}
        return [self._scores[key] for key in keys]


def start_in_closed_form(
    forms: Sequence[ClosedForms],
    form: str,
    k: Sequence[int],
    network: Network,
    validation: Sequence[CachedInterventions],
) -> list[LeastSquaresFit] | None:
    """Projectors of one or several variables to start a search from; together they are one map.

    A single variable starts at the best closed form where that is exact, which may have a low rank. Otherwise each has
    the largest rank up to its k, and all have the target that is better on validation. A start of lower rank that is
    filled up with other directions is worse: they are swapped at full strength.

    Args:
        forms: of each variable.
        form: `oblique` or `orthogonal`.
        k: the largest rank of each variable.
        network: the network.
        validation: interventions on these variables; the lowest IIA of several sets counts.

    Returns:
        The projector of each variable, each of which has the product zero with the others; `None` where no ranks give
        such projectors.
    """
    if len(forms) == 1 and (exact := forms[0].exact(form, k[0])) is not None:
        return [exact]
    starts = [start for target in TARGETS if (start := _in_one_map(forms, form, target, k)) is not None]
    if not starts:
        return None
    like = validation[0].base_states
    candidates = [
        {closed.variable: alignment_of(fit, like) for closed, fit in zip(forms, start, strict=True)} for start in starts
    ]
    scores = [
        validation_iias(network, cached, candidates, torch.arange(min(CHOICE_ROWS, len(cached))))
        for cached in validation
    ]
    lowest = [min(of_start) for of_start in zip(*scores, strict=True)]
    return starts[lowest.index(max(lowest))]


def _in_one_map(forms: Sequence[ClosedForms], form: str, target: str, k: Sequence[int]) -> list[LeastSquaresFit] | None:
    """The projectors of the largest ranks; of several that do not fit in one map, those of lower ranks."""
    fits = [closed.largest(form, target, size) for closed, size in zip(forms, k, strict=True)]
    together = fits if len(fits) == 1 else in_one_map(forms[0].problem, fits)
    for limit in range(max(k), 0, -1):
        if together is None:
            lower = [closed.effective(form, target, min(limit, size)) for closed, size in zip(forms, k, strict=True)]
            together = in_one_map(forms[0].problem, lower)
    return together


def alignment_of(fit: LeastSquaresFit, like: Tensor) -> Alignment:
    """A closed form as an alignment."""
    form = fit.form
    return subspace(fit.write.to(like), fit.read.to(like), name=f"least_squares_{form}")
