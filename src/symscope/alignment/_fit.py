"""From counterfactual data to fitted alignments and their controls."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment._closed_form import ClosedForms, start_in_closed_form
from symscope.alignment._diagnostics import Naturalness, NaturalReference
from symscope.alignment._pool import TrainingPool
from symscope.alignment._problem import LEAST_SQUARES, AlignmentProblem, SearchOptions, SearchResult
from symscope.alignment._search import search
from symscope.alignment._training_set import TrainingSet
from symscope.alignment.controls import DEFAULT_CONTROLS, ComputedControl, Control, SearchedControl, Subject
from symscope.alignment.functions import Alignment, AlignmentFunction, Oblique, check_coordinates
from symscope.alignment.masks import BoundaryMask, FixedMask, Mask
from symscope.arguments import integer
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interchange import (
    CounterfactualData,
    cache_states,
    matches_counterfactual,
)
from symscope.networks import Network, require_network
from symscope.seeds import generator

OnSearch = Callable[[str, int, list[float]], None]
"""Called with what is searched (`"alignment"` or the name of a control), the step, and the best validation IIAs."""
Key = tuple[str, int]
"""Name of a set of overwritten variables, and k."""
MAIN = "alignment"


@dataclass(frozen=True, repr=False)
class FittedAlignments:
    """Alignments of variables in one network, and those of their controls.

    Attributes:
        name: `"alignment"`, or the name of a control.
        network: the network.
        data: the interventions that they are fitted to, and those to test on.
        site: where in the network.
        function: label of the alignment function.
        alignments: for each set of overwritten variables and k, the alignment of each of its variables.
        searches: what the search says of each; empty for a control that needs no search.
        naturalness: of each main alignment, on validation interventions; `None` where it cannot be measured.
        is_null: whether an alignment must beat it.
        trial_accuracy: share of sequences without an intervention that the network completes correctly; `None`:
            unknown.
        controls: the controls of the main alignments.
    """

    name: str
    network: Network
    data: CounterfactualData
    site: str
    function: str
    alignments: Mapping[Key, Mapping[str, Alignment]]
    searches: Mapping[Key, SearchResult]
    naturalness: Mapping[Key, Naturalness | None] = field(default_factory=dict)
    is_null: bool = False
    trial_accuracy: float | None = None
    controls: tuple["FittedAlignments", ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(f"{name} (k = {k})" for name, k in self.alignments)
        controls = ", ".join(control.name for control in self.controls)
        return f"FittedAlignments({self.function} at {self.site}: {names}; controls: {controls or 'none'})"


@torch.inference_mode(False)
def fit(  # noqa: PLR0913  (all but three have a default)
    network: Network,
    data: CounterfactualData,
    k: SupportsIndex | Sequence[SupportsIndex],
    *,
    function: AlignmentFunction | None = None,
    site: str | None = None,
    joint: bool = False,
    mask: BoundaryMask | None = None,
    initial_frame: Float[Tensor, "state k"] | None = None,
    controls: Sequence[Control] = DEFAULT_CONTROLS,
    options: SearchOptions | None = None,
    on_validation: OnSearch | None = None,
) -> FittedAlignments:
    """Searches alignments of variables in a network, and fits the controls.

    Searched controls have the same function, sizes, draws and stopping rule. They divide the number of restarts among
    them, at least one for each. Those on the same network are fitted in the same batch and stop with the main search;
    other networks share the steps of the best alignment, at least one validation each.

    Args:
        network: the trained network; its weights are not changed.
        data: the interventions.
        k: dimensions given to a variable; each of several is searched.
        function: the alignment function; default: `Oblique(coordinates="natural-span")`.
        site: where in the network; default: its `default_site`.
        joint: search all variables in one map, each in its own block of k dimensions; default: each in its own map.
        mask: learn the size of each subspace, of at most k dimensions; default: exactly k.
        initial_frame: a matrix with orthonormal columns at which the first fit of each search starts.
        controls: what to compare with.
        options: how to search.
        on_validation: called during the searches.

    Raises:
        UnknownNameError: a site or coordinates that do not exist.
        InvalidArgumentError: a k that does not fit the state, another vocabulary, or two controls of one name.
        NonFiniteError: a loss or state is not finite; its `best` holds the best alignments up to there.
    """
    network = require_network(network, data.vocabulary)
    function, options = function or Oblique(coordinates="natural-span"), options or SearchOptions()
    site = network.default_site if site is None else site
    sizes = _check(network, data, site, k, function)
    accuracy = uncut_accuracy(network, data, site)
    run = _Searches(function, site, sizes, joint, mask, initial_frame, options, on_validation)
    subjects = [c.subjects(network, data) if isinstance(c, SearchedControl) else {} for c in controls]
    every = {name: subject for named in subjects for name, subject in named.items()}
    _check_controls(controls, subjects, data)
    elsewhere = {name: subject for name, subject in every.items() if subject[0] is not network}
    here = {name: on_data for name, (_, on_data) in every.items() if name not in elsewhere}
    fewer = max(options.restarts // (1 + len(elsewhere)), 1)
    fitted, sets = run.main(network, data, here, fewer)
    main = fitted[MAIN]
    for name, (fresh, on_data) in elsewhere.items():
        limits = {key: -(-result.best_step // len(elsewhere)) for key, result in main.searches.items()}
        fitted[name] = run.elsewhere(name, fresh, on_data, fewer, limits, main)
    made: list[FittedAlignments] = []
    for control, named in zip(controls, subjects, strict=True):
        made += [replace(fitted[name], is_null=control.is_null) for name in named]
        made += [_computed(control, main, sets)] if isinstance(control, ComputedControl) else []
    natural = _naturalness(main, sets)
    return replace(
        main,
        trial_accuracy=accuracy,
        naturalness=natural,
        controls=tuple(control for control in made if control.alignments),
    )


def _check(
    network: Network,
    data: CounterfactualData,
    site: str,
    k: SupportsIndex | Sequence[SupportsIndex],
    function: AlignmentFunction,
) -> list[int]:
    """Checks arguments of `fit`; returns every k as a list."""
    network.check_site(site)
    check_coordinates(function.coordinates)
    if any(parameter.is_inference() for parameter in network.parameters()):
        raise InvalidArgumentError(
            "the network was made in torch.inference_mode(), so no gradient passes through it; make it outside, or use "
            "torch.no_grad() instead"
        )
    several = k if isinstance(k, Iterable) and getattr(k, "ndim", 1) > 0 else [k]  # arrays may hold a single number
    sizes = [integer(size, "k", 1) for size in several]
    if not data.variables or not sizes:
        raise InvalidArgumentError("nothing to search: name at least one variable and one k")
    return sizes


def _check_controls(
    controls: Sequence[Control], subjects: Sequence[Mapping[str, Subject]], data: CounterfactualData
) -> None:
    names = [MAIN, *(name for named in subjects for name in named)]
    names += [control.name for control in controls if isinstance(control, ComputedControl)]
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise InvalidArgumentError(
            f"each control needs a different name, and {MAIN!r} is taken; got twice: {', '.join(twice)}. Pass several "
            "untrained networks to a single control, Untrained([first, second])"
        )
    for named in subjects:
        for name, (_, interventions) in named.items():
            if interventions.variables != data.variables:
                raise InvalidArgumentError(
                    f"control {name!r} needs interventions on {', '.join(data.variables)}, as the main search has; it "
                    f"has interventions on {', '.join(interventions.variables)}"
                )


@torch.no_grad()
def uncut_accuracy(network: Network, data: CounterfactualData, site: str | None = None) -> float | None:
    """Share of sequences without an intervention that a network completes correctly; `None` where there are none.

    Each sequence stops after its first token and is resumed, so this also tests how the network is stopped and resumed.
    """
    if data.uncut is None:
        return None
    cached = cache_states(network, data.uncut, network.default_site if site is None else site)
    return float(matches_counterfactual(network, cached, cached.base_states).double().mean())


@dataclass(frozen=True)
class _Searches:
    """The same searches on one network after another."""

    function: AlignmentFunction
    site: str
    sizes: Sequence[int]
    joint: bool
    mask: BoundaryMask | None
    initial_frame: Tensor | None
    options: SearchOptions
    on_validation: OnSearch | None

    def main(
        self, network: Network, data: CounterfactualData, controls: Mapping[str, CounterfactualData], fewer: int
    ) -> tuple[dict[str, FittedAlignments], dict[str, TrainingSet]]:
        """The main search, and the controls on the same network in the same batch."""
        problems = self._problems(MAIN, data)
        batch = list(problems)
        for name, on_data in controls.items():
            batch += [
                replace(problem, restarts=fewer, stops_with=number)
                for number, problem in enumerate(self._problems(name, on_data))
            ]
        results, sets = self._search(MAIN, network, {MAIN: data, **controls}, batch, len(problems), ())
        fitted = {}
        for at, (name, on_data) in enumerate({MAIN: data, **controls}.items()):
            part = results[at * len(problems) : (at + 1) * len(problems)]
            fitted[name] = self._fitted(name, network, on_data, part)
        return fitted, sets

    def elsewhere(
        self,
        name: str,
        network: Network,
        data: CounterfactualData,
        restarts: int,
        limits: Mapping[Key, int],
        main: FittedAlignments,
    ) -> FittedAlignments:
        """A control on another network, within limits of steps."""
        problems = [
            replace(problem, restarts=restarts, max_steps=max(limits[keys[0]], self.options.validate_every))
            for problem, keys in zip(self._problems(name, data), self._keys(data), strict=True)
        ]
        fallback = [main.searches[keys[0]] for keys in self._keys(data)]
        results, _ = self._search(name, network, {name: data}, problems, len(problems), fallback)
        return self._fitted(name, network, data, results)

    def _groups(self, data: CounterfactualData) -> list[tuple[str, ...]]:
        """The sets of interventions that share a map."""
        return [data.variables] if self.joint else [(name,) for name in data.variables]

    def _keys(self, data: CounterfactualData) -> list[list[Key]]:
        """For each problem, the alignments that it gives."""
        return [[(name, size) for name in group] for group in self._groups(data) for size in self.sizes]

    def _problems(self, subject: str, data: CounterfactualData) -> list[AlignmentProblem]:
        return [
            AlignmentProblem(
                sets=tuple(_set_name(subject, name) for name in group),
                mask=self._mask(data, group, size),
                function=self.function,
                seed=data.seed,
                start=None if self.initial_frame is None else (self.initial_frame, self.initial_frame.T),
            )
            for group in self._groups(data)
            for size in self.sizes
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
        reported: int,
        fallback: Sequence[SearchResult],
    ) -> tuple[list[SearchResult], dict[str, TrainingSet]]:
        """Searches; `reported` problems are reported, and the error of a failed search holds at least `fallback`."""
        sets = {
            _set_name(subject, variables): TrainingSet.of(network, data, variables, self.site, max(self.sizes))
            for subject, data in subjects.items()
            for variables in data.train
        }
        latents = {key: part.latents for key, part in sets.items()} if self.options.latent_weight else {}
        pool = TrainingPool(network, {key: part.train for key, part in sets.items()}, latents, self.options.memory)
        if self.options.init == LEAST_SQUARES:
            problems = [self._started(problem, [sets[key] for key in problem.sets]) for problem in problems]

        validation = {key: part.validation for key, part in sets.items()}

        def validated(step: int, best: list[float]) -> None:
            if self.on_validation:
                self.on_validation(name, step, best[:reported])

        try:
            return search(network, problems, pool, validation, self.options, validated), sets
        except NonFiniteError as error:
            named = ", ".join(f"{n}: {' and '.join(p.sets)}, k = {p.mask.k}" for n, p in enumerate(problems))
            best = list(fallback or error.best)[:reported]
            raise NonFiniteError(f"search of {name} ({named}): {error}", best) from error

    def _started(self, problem: AlignmentProblem, sets: Sequence[TrainingSet]) -> AlignmentProblem:
        """A problem with its closed-form start, whose ranks may be lower than k; unchanged where there is none."""
        form, mask = self.function.closed_form, problem.mask
        if form is None or problem.start is not None or not isinstance(mask, FixedMask):
            return problem
        forms: dict[str, ClosedForms] = {}
        for part in sets:
            for variable in part.train.variables:
                closed = None if variable in forms else part.closed_forms(variable)
                forms |= {} if closed is None else {variable: closed}
        if any(variable not in forms for variable, _ in mask.sizes):
            return problem
        ordered, sizes = [forms[variable] for variable, _ in mask.sizes], [size for _, size in mask.sizes]
        start = start_in_closed_form(ordered, form, sizes, sets[0].network, [part.validation for part in sets])
        if start is None:
            return problem
        ranks = tuple((name, fit.diagnostics.rank) for (name, _), fit in zip(mask.sizes, start, strict=True))
        factors = torch.cat([fit.write for fit in start], 1), torch.cat([fit.read for fit in start])
        return replace(problem, start=factors, mask=replace(mask, sizes=ranks))

    def _fitted(
        self, name: str, network: Network, data: CounterfactualData, results: Sequence[SearchResult]
    ) -> FittedAlignments:
        searches = {key: result for keys, result in zip(self._keys(data), results, strict=True) for key in keys}
        searches = {(variables, size): searches[variables, size] for variables in data.variables for size in self.sizes}
        alignments = {key: result.alignments for key, result in searches.items()}
        return FittedAlignments(name, network, data, self.site, self.function.label, alignments, searches)


def _set_name(subject: str, variables: str) -> str:
    return f"{subject}: {variables}"


def _naturalness(main: FittedAlignments, sets: Mapping[str, TrainingSet]) -> dict[Key, Naturalness | None]:
    """The naturalness of the main alignments."""
    measured = {}
    for variables in main.data.variables:
        part, drawn = sets[_set_name(MAIN, variables)], main.data.validation[variables]
        reference = NaturalReference(main.network, part.train, part.validation, drawn, list(main.data.value_names))
        for (name, size), alignments in main.alignments.items():
            if name == variables:
                measured[name, size] = reference.measure(alignments)
    return measured


def _computed(control: ComputedControl, main: FittedAlignments, sets: Mapping[str, TrainingSet]) -> FittedAlignments:
    """The alignments of a control that needs no search."""
    alignments = {}
    for variables, size in main.alignments:
        part = sets[_set_name(MAIN, variables)]
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
    return replace(main, name=control.name, alignments=alignments, searches={}, is_null=control.is_null)
