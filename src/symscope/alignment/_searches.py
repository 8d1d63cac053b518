"""The searches of a fit: the main one and those of its controls, on one network after another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from symscope.alignment._closed_form import ClosedForms, start_in_closed_form
from symscope.alignment._fitted import MAIN, FittedAlignments, Key, set_name
from symscope.alignment._pool import TrainingPool
from symscope.alignment._problem import LEAST_SQUARES, AlignmentProblem, SearchOptions, SearchResult
from symscope.alignment._search import search
from symscope.alignment._training_set import TrainingSet
from symscope.alignment.controls import ComputedControl, Control, Subject
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.least_squares import LeastSquaresFit
from symscope.alignment.masks import BoundaryMask, FixedMask, Mask
from symscope.alignment.score import validation_iias
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interchange import (
    CounterfactualData,
)
from symscope.networks import Network
from symscope.seeds import generator
from symscope.statistics import Interval, wilson
from symscope.tracking import STEP, OnStep
from symscope.verdict import Measurement, seeds_above_controls


@dataclass(frozen=True)
class Searches:
    """The same searches on one network after another, of all alignments or of `only` some.

    `on_step` gets the name `alignment` or that of a control, the `step`, and the best validation IIA so far of each
    alignment, such as `count.k4`.
    """

    function: AlignmentFunction
    site: str
    sizes: Sequence[int]
    joint: bool
    mask: BoundaryMask | None
    initial_frame: Tensor | None
    options: SearchOptions
    on_step: OnStep | None
    only: frozenset[Key] | None = None
    sets: dict[str, TrainingSet] = field(default_factory=dict)

    def fit(
        self,
        network: Network,
        data: CounterfactualData,
        controls: Sequence[Control],
        subjects: Sequence[Mapping[str, Subject]],
    ) -> FittedAlignments:
        """The main search with its controls; `subjects` are those of each control."""
        every = {name: subject for named in subjects for name, subject in named.items()}
        elsewhere = {name: subject for name, subject in every.items() if subject[0] is not network}
        here = {name: on_data for name, (_, on_data) in every.items() if name not in elsewhere}
        fewer = max(self.options.restarts // (1 + len(elsewhere)), 1)
        fitted = self._here(network, data, here, fewer)
        main = fitted[MAIN]
        for name, (fresh, on_data) in elsewhere.items():
            limits = {key: -(-result.best_step // len(elsewhere)) for key, result in main.searches.items()}
            fitted[name] = self._elsewhere(name, fresh, on_data, fewer, limits)
        made: list[FittedAlignments] = []
        for control, named in zip(controls, subjects, strict=True):
            made += [replace(fitted[name], is_null=control.is_null) for name in named]
            made += [_computed(control, main, self.sets)] if isinstance(control, ComputedControl) else []
        return replace(main, controls=tuple(made))

    def _here(
        self, network: Network, data: CounterfactualData, controls: Mapping[str, CounterfactualData], fewer: int
    ) -> dict[str, FittedAlignments]:
        """The main search, and the controls on the same network in the same batch."""
        problems = self._problems(MAIN, data)
        batch = list(problems)
        for name, on_data in controls.items():
            batch += [
                replace(problem, restarts=fewer, stops_with=number)
                for number, problem in enumerate(self._problems(name, on_data))
            ]
        outcomes = self._search(MAIN, network, {MAIN: data, **controls}, batch, len(problems))
        fitted = {}
        for at, (name, on_data) in enumerate({MAIN: data, **controls}.items()):
            part = outcomes[at * len(problems) : (at + 1) * len(problems)]
            fitted[name] = self._fitted(name, network, on_data, part)
        return fitted

    def _elsewhere(
        self, name: str, network: Network, data: CounterfactualData, restarts: int, limits: Mapping[Key, int]
    ) -> FittedAlignments:
        """A control on another network, within limits of steps."""
        problems = [
            replace(problem, restarts=restarts, max_steps=max(limits[keys[0]], self.options.validate_every))
            for problem, keys in zip(self._problems(name, data), self._keys(data), strict=True)
        ]
        return self._fitted(name, network, data, self._tried(name, network, data, problems))

    def _tried(
        self, name: str, network: Network, data: CounterfactualData, problems: Sequence[AlignmentProblem]
    ) -> list[SearchResult | str]:
        """The searches of a control on another network; those that fail are searched one by one."""
        try:
            return self._search(name, network, {name: data}, problems, 0)
        except (InvalidArgumentError, NonFiniteError) as error:
            if len(problems) == 1:
                return [str(error)]
            return [self._tried(name, network, data, [problem])[0] for problem in problems]

    def _groups(self, data: CounterfactualData) -> list[tuple[tuple[str, ...], int]]:
        """The sets of interventions that share a map, and its k."""
        groups = [data.variables] if self.joint else [(name,) for name in data.variables]
        pairs = [(group, size) for group in groups for size in self.sizes]
        return [(g, k) for g, k in pairs if self.only is None or any((name, k) in self.only for name in g)]

    def _keys(self, data: CounterfactualData) -> list[list[Key]]:
        """For each problem, the alignments that it gives."""
        return [[(name, size) for name in group] for group, size in self._groups(data)]

    def _problems(self, subject: str, data: CounterfactualData) -> list[AlignmentProblem]:
        return [
            AlignmentProblem(
                sets=tuple(set_name(subject, name) for name in group),
                mask=self._mask(data, group, size),
                function=self.function,
                seed=data.seed,
                start=None if self.initial_frame is None else (self.initial_frame, self.initial_frame.T),
            )
            for group, size in self._groups(data)
        ]

    def _mask(self, data: CounterfactualData, group: tuple[str, ...], size: int) -> Mask:
        sets = [data.train[name] for name in group]
        variables = dict.fromkeys(variable for drawn in sets for variable in drawn.variables)
        if self.mask is None:
            swaps = tuple(tuple(zip(drawn.variables, drawn.source_of, strict=True)) for drawn in sets)
            return FixedMask(tuple((variable, size) for variable in variables), swaps)
        used = {pair for drawn in sets for pair in zip(drawn.variables, drawn.source_of, strict=True)}
        if len(used) > 1:
            names = ", ".join(f"{variable} of source {source}" for variable, source in sorted(used))
            raise InvalidArgumentError(f"a learned mask is for one variable from one source, got {names} in one map")
        ((variable, source),) = used
        return replace(self.mask, variable=variable, k=size, source=source)

    def _search(
        self,
        name: str,
        network: Network,
        subjects: Mapping[str, CounterfactualData],
        problems: Sequence[AlignmentProblem],
        required: int,
    ) -> list[SearchResult | str]:
        """Searches; the reason where a problem could not be fitted, which is an error for the first `required` ones."""
        for subject, data in subjects.items():
            for variables in data.train:
                if set_name(subject, variables) not in self.sets:
                    part = TrainingSet.of(network, data, variables, self.site, max(self.sizes))
                    self.sets[set_name(subject, variables)] = part
        sets = {key: self.sets[key] for problem in problems for key in problem.sets}
        latents = {key: part.latents for key, part in sets.items()} if self.options.latent_weight else {}
        pool = TrainingPool(network, {key: part.train for key, part in sets.items()}, latents, self.options.memory)
        starts = [self._starts(problem, [sets[key] for key in problem.sets]) for problem in problems]
        labels = [_label(problem) for problem in problems[: required or None]]
        problems = [_started(problem, start) for problem, start in zip(problems, starts, strict=True)]

        def validated(step: int, best: list[float]) -> None:
            if self.on_step:
                self.on_step(name, {STEP: step, **dict(zip(labels, best[: required or None], strict=True))})

        validation = {key: part.validation for key, part in sets.items()}
        try:
            results = search(network, problems, pool, validation, self.options, validated)
            return [replace(result, starts=start) for result, start in zip(results, starts, strict=True)]
        except NonFiniteError as error:
            lost = [result.diverged == result.restarts for result in error.best]
            if not any(lost[:required]):
                return [str(error) if gone else result for result, gone in zip(error.best, lost, strict=True)]
            named = ", ".join(f"{n}: {' and '.join(p.sets)}, k = {p.mask.k}" for n, p in enumerate(problems))
            raise NonFiniteError(f"search of {name} ({named}): {error}", list(error.best)[:required]) from error

    def _starts(self, problem: AlignmentProblem, sets: Sequence[TrainingSet]) -> dict[str, LeastSquaresFit]:
        """The closed form of each variable of a problem; empty where the search starts elsewhere."""
        form, mask = self.function.closed_form, problem.mask
        elsewhere = self.options.init != LEAST_SQUARES or problem.start is not None
        if elsewhere or form is None or not isinstance(mask, FixedMask):
            return {}
        forms: dict[str, ClosedForms] = {}
        for part in sets:
            for variable in part.train.variables:
                closed = None if variable in forms else part.closed_forms(variable)
                forms |= {} if closed is None else {variable: closed}
        if any(variable not in forms for variable, _ in mask.sizes):
            return {}
        ordered, sizes = [forms[variable] for variable, _ in mask.sizes], [size for _, size in mask.sizes]
        start = start_in_closed_form(ordered, form, sizes, sets[0].network, [part.validation for part in sets])
        return {} if start is None else dict(zip(dict(mask.sizes), start, strict=True))

    def _fitted(
        self, name: str, network: Network, data: CounterfactualData, outcomes: Sequence[SearchResult | str]
    ) -> FittedAlignments:
        by_key = {key: outcome for keys, outcome in zip(self._keys(data), outcomes, strict=True) for key in keys}
        ordered = {(variables, size): None for variables in data.variables for size in self.sizes}
        by_key = {key: by_key[key] for key in ordered if key in by_key}
        searches = {key: outcome for key, outcome in by_key.items() if isinstance(outcome, SearchResult)}
        unfitted = {key: outcome for key, outcome in by_key.items() if isinstance(outcome, str)}
        alignments = {key: result.alignments for key, result in searches.items()}
        label = self.function.label
        return FittedAlignments(name, network, data, self.site, label, alignments, searches, unfitted)

    def is_above_controls(self, key: Key, main: FittedAlignments) -> bool:
        """Whether an alignment is above every null control, by the rule of the verdict, on validation interventions."""
        null_high = []
        for control in (control for control in main.controls if control.is_null and key in control.alignments):
            part = self.sets.get(set_name(control.name, key[0]), self.sets[set_name(MAIN, key[0])])
            if key in control.searches:
                iia = control.searches[key].validation_iia
            else:
                (iia,) = validation_iias(part.network, part.validation, [control.alignments[key]])
            null_high.append(_interval(iia, part).high)
        iia = main.searches[key].validation_iia
        low = _interval(iia, self.sets[set_name(MAIN, key[0])]).low
        return seeds_above_controls([Measurement(iia, low, max(null_high, default=None), None, None)]) != 0


def _started(problem: AlignmentProblem, starts: Mapping[str, LeastSquaresFit]) -> AlignmentProblem:
    """A problem with its closed-form start, whose ranks may be lower than k."""
    if not starts or not isinstance(problem.mask, FixedMask):
        return problem
    factors = torch.cat([fit.write for fit in starts.values()], 1), torch.cat([fit.read for fit in starts.values()])
    ranks = tuple((variable, fit.rank) for variable, fit in starts.items())
    return replace(problem, start=factors, mask=replace(problem.mask, sizes=ranks))


def _label(problem: AlignmentProblem) -> str:
    """Name of a problem in `on_step`: `count.k4`, or `count,phase.k4` for variables in one map."""
    variables, mask = [name.partition(": ")[2] for name in problem.sets], problem.mask
    size = max(size for _, size in mask.sizes) if isinstance(mask, FixedMask) else mask.k
    return f"{','.join(variables)}.k{size}"


def _interval(iia: float, part: TrainingSet) -> Interval:
    """The 95% interval of an IIA on validation interventions."""
    return wilson(round(iia * len(part.validation)), len(part.validation))


def _computed(control: ComputedControl, main: FittedAlignments, sets: Mapping[str, TrainingSet]) -> FittedAlignments:
    """The alignments of a control that needs no search."""
    alignments = {}
    for variables, size in main.alignments:
        part = sets[set_name(MAIN, variables)]
        names = part.train.variables
        draws = generator(main.data.seed, control.name.replace("_", " "), size)
        made = control.alignment(part, size * len(names), draws)
        if made is not None and len(set(part.train.source_of)) == 1:
            alignments[variables, size] = {names[0]: made}
        elif made is not None:
            blocks = [slice(number * size, (number + 1) * size) for number in range(len(names))]
            alignments[variables, size] = {
                name: replace(made, dimensions=block) for name, block in zip(names, blocks, strict=True)
            }
    return replace(main, name=control.name, alignments=alignments, searches={}, controls=(), is_null=control.is_null)
