"""The comparison of models in one call: model alignment search with controls, and measures of similarity beside it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from symscope.algorithms import Algorithm, CausalGraph
from symscope.alignment import SearchOptions
from symscope.alignment._align import data_of
from symscope.alignment.functions import AlignmentFunction, LinearFunction, Oblique
from symscope.alignment.natural import NaturalStates, divergence
from symscope.alignment.score import Score, swap_of
from symscope.arguments import integer
from symscope.comparison._mas import UNTRAINED, Group, JointFit, JointSearch
from symscope.comparison._sets import SHUFFLED, TEST, TRUE, Direction, JointSets
from symscope.comparison.models import ComparedModel, Model, check_models
from symscope.comparison.result import Frame, ModelComparison, PairSimilarity, SearchSummary, Transfer
from symscope.comparison.similarity import compare_states, similarity_measures
from symscope.errors import InvalidArgumentError
from symscope.interchange import (
    PAPER_PROTOCOL,
    CounterfactualData,
    InterventionProtocol,
    StoppedInputs,
    intervene,
    matches_counterfactual,
)
from symscope.networks import Network
from symscope.progress import progress_bar
from symscope.seeds import generator
from symscope.tracking import OnStep, call_each

SEQUENCES = 600
"""Most sequences whose states are compared by the measures of similarity."""


@torch.inference_mode(False)
def compare_models(  # noqa: PLR0913  (the whole question in one call; all but three have a default)
    models: Sequence[Network | ComparedModel],
    data: Algorithm | CausalGraph | CounterfactualData,
    variables: str | Sequence[str] | None = None,
    *,
    k: SupportsIndex | Sequence[SupportsIndex] = 4,
    function: AlignmentFunction | None = None,
    joint: bool = False,
    similarities: bool = True,
    n_train: SupportsIndex = 2_000,
    n_validation: SupportsIndex = 1_000,
    n_test: SupportsIndex = 1_000,
    seed: SupportsIndex = 0,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
    options: SearchOptions | None = None,
    progress: bool = True,
    on_step: OnStep | None = None,
) -> ModelComparison:
    """Do models compute with the same variable? Takes its value from one model and writes it into another.

    Model alignment search (Grant et al. 2025): each model has a frame of k directions, and the frames of all models are
    fitted to all directions at once, within a model and across models. A base of model i and a source of model j give
    the state h_i + U_i (C_j h_j - C_i h_i), with centred states and C_i U_i = I. With an orthogonal function C_i is the
    transpose of U_i, which cannot match scales across models; an oblique one can. The search starts at closed forms
    whose coordinates are turned into each other, and stays in the natural span of each model if the function does.

    Controls: shuffled labels, untrained networks as sources (where models name them) and random frames. Measures of
    similarity (CKA, RSA, CCA, stitching on states, probe transfer) stand beside it, and never alone.

    Args:
        models: two or more networks, or one: then the search is that of `align`.
        data: the algorithm, for the task of all models; a causal graph; or counterfactual data. All models run on the
            same inputs.
        variables: each is searched with frames of its own; default: all of the graph or data. Variables joined by `+`
            are overwritten together in one block of k dimensions: `"count+phase"` is the whole relevant state.
        k: dimensions of a frame; each of several is searched. Where the natural states of a model span fewer, all
            frames have as many as those (`rank` of a transfer); a control that spans still fewer is reported as
            unfitted.
        function: a linear alignment function; default: `Oblique(coordinates="natural-span")`.
        joint: search all variables in one map, each in its own block of k dimensions.
        similarities: measure the similarity of states too.
        n_train: interventions to fit to, in each direction.
        n_validation: interventions to choose by.
        n_test: interventions to report on.
        seed: fixes all draws and starts.
        protocol: where sequences stop, and how many demo tokens follow an intervention.
        options: how to search; a step has `options.batch` interventions for each model, spread over all directions.
        progress: show a progress bar in a terminal or notebook.
        on_step: called after each validation with `alignment` and values: `step`, and the best mean validation IIA so
            far of each variable, such as `count.k4`.

    Raises:
        UnknownNameError: a variable or site that does not exist.
        InvalidArgumentError: models without a common vocabulary, several data sets, a k above the width of the states,
            or interventions that take values from several sources.
        NonFiniteError: a loss or state is not finite.
    """
    counts = {"n_train": n_train, "n_validation": n_validation, "n_test": n_test}
    drawn = drawn_data(data, variables, {**counts, "seed": seed, "protocol": protocol})
    names = tuple(data.task.vocabulary.names) if isinstance(data, Algorithm) else None
    checked = check_models(models, drawn.vocabulary, names)
    function, options = function or Oblique(coordinates="natural-span"), options or SearchOptions()
    if not isinstance(function, LinearFunction):
        raise InvalidArgumentError(f"models are compared with linear alignment functions, got {function.label!r}")
    sizes = [integer(size, "k", 1) for size in (k if isinstance(k, Sequence) else [k])]
    blocks = [drawn.variables] if joint else [(name,) for name in drawn.variables]
    groups = [(block, size) for block in blocks for size in sizes]
    sets = joint_sets(checked, drawn, function, max(len(block) * size for block, size in groups))
    fits, transfers = searched(sets, function, groups, options, progress=progress, on_step=on_step)
    return ModelComparison(
        hypothesis=drawn.hypothesis,
        models=tuple(model.name for model in checked),
        accuracy={model.name: model.accuracy(drawn.uncut) for model in checked},
        function=function.label,
        transfers=transfers,
        similarities=_similarities(checked, drawn) if similarities and len(checked) > 1 else (),
        searches=tuple(summary for group in groups for summary in summaries(group, fits[group][0])),
        unfitted_controls={
            name: f"its natural states have {width} dimensions in these coordinates ({function.coordinates})"
            for name, width in sets.too_narrow.items()
        },
        frames={key: frame for group in groups for key, frame in _frames(sets, group, fits[group][0]).items()},
    )


def joint_sets(
    models: Sequence[Model], data: CounterfactualData, function: LinearFunction, dimensions: int
) -> JointSets:
    """The interventions with true and, where values are known, shuffled labels."""
    shuffled = {} if data.shuffle is None else {SHUFFLED: data.shuffle(data)}
    return JointSets(models, {TRUE: data, **shuffled}, function, dimensions)


def searched(
    sets: JointSets,
    function: LinearFunction,
    groups: Sequence[Group],
    options: SearchOptions,
    *,
    progress: bool,
    on_step: OnStep | None = None,
) -> tuple[dict[Group, list[JointFit]], tuple[Transfer, ...]]:
    """The fits of all groups of variables, and the test IIA of every direction."""
    with progress_bar(options.steps, visible=progress) as show:
        fits = JointSearch(sets, function, groups, options, call_each(show, on_step)).fit()
    return fits, tuple(each for group in groups for each in _transfers(sets, group, fits[group]))


def drawn_data(data: object, variables: str | Sequence[str] | None, options: Mapping[str, Any]) -> CounterfactualData:
    """The interventions of a comparison; `options` are those of `counterfactuals`, for an algorithm or graph."""
    if not isinstance(data, Algorithm | CausalGraph | CounterfactualData):
        raise InvalidArgumentError(
            "all models run on the same inputs: give one algorithm, causal graph or CounterfactualData, got "
            f"{type(data).__name__}"
        )
    return data_of(data, variables, **options)


def _transfers(sets: JointSets, group: Group, fits: Sequence[JointFit]) -> list[Transfer]:
    """The test IIA of every direction of a group of variables, with its controls."""
    main, natural = fits[0], {}
    controls: dict[tuple[str, int, int], dict[str, Score]] = {}
    for fit in fits[1:]:
        for direction in filter(sets.can_resume, fit.directions):
            source = sets.twin_of[direction.source - sets.trained] if fit.subject == UNTRAINED else direction.source
            scored = controls.setdefault((direction.variable, direction.target, source), {})
            scored[fit.subject] = _score(sets, direction, fit.alignments)[0]
    transfers = []
    for direction in main.directions:
        name, target, source, _ = direction
        score = informative = states = None
        if sets.can_resume(direction):
            score, swapped = _score(sets, direction, main.alignments)
            telling = sets.drawn(direction, TEST).informative
            informative = Score.of(score.correct[telling]) if telling is not None and telling.any() else None
            if target not in natural:
                natural[target] = NaturalStates(sets.natural_states(target, TEST))
            states = divergence(natural[target], swapped, generator(0, "divergence"))
        names = sets.models[target].name, sets.models[source].name
        rank, scores = main.alignments[name].k, controls.get((name, target, source), {})
        transfers.append(Transfer(name, group[1], rank, *names, score, informative, states, scores))
    return transfers


@torch.no_grad()
def _score(sets: JointSets, direction: Direction, alignments: Mapping[str, Any]) -> tuple[Score, Tensor]:
    """The test IIA of a direction, and the rewritten states of its target model."""
    cached = sets.cross(direction, TEST)
    swapped = intervene(cached, swap_of(alignments, cached))
    correct = matches_counterfactual(sets.network, cached, swapped).cpu()
    states = sets.network.states(cached.base.rewrite(swapped), direction.target)
    return Score.of(correct, sets.drawn(direction, TEST).cluster), states


def summaries(group: Group, fit: JointFit) -> list[SearchSummary]:
    """How the search of a group went, for each of its variables."""
    search, (variables, k) = fit.search, group
    assert search is not None, "the alignment itself is searched"
    return [
        SearchSummary(name, k, search.validation_iia, search.best_step, search.total_steps, fit.closed_form)
        for name in variables
    ]


def _frames(sets: JointSets, group: Group, fit: JointFit) -> dict[tuple[str, int, str], Frame]:
    """The frames of each model in coordinates of its state."""
    frames = {}
    for name, alignment in fit.alignments.items():
        function, block = alignment.function, alignment.dimensions
        assert isinstance(function, LinearFunction)
        stacked = [tensor[None] for tensor in alignment.tensors]
        write, read = (factor[0] for factor in function.factors(stacked, alignment.function_k))
        for number, model in enumerate(sets.models[: sets.trained]):
            part, space = sets.space.part(number), sets.space.spaces[number]
            writes, reads = write[part, block].to(space.decode), read[block, part].to(space.encode)
            frames[name, group[1], model.name] = Frame(space.decode @ writes, reads @ space.encode, space.mean)
    return frames


def _similarities(models: Sequence[Model], data: CounterfactualData) -> tuple[PairSimilarity, ...]:
    """All measures for each pair of models, on one row of each test sequence: the stop of a base or source.

    With all positions, sequences of one length could be exchanged only, and where the length says something about a
    variable the null distribution would contain it. Measures with a direction are computed in both directions.
    """
    test = next(iter(data.test.values()))
    runs = [run.select(torch.arange(min(len(test), SEQUENCES // 2))) for run in (test.base, test.sources[0])]
    states = [_states(model, runs) for model in models]
    twins = [
        None if model.untrained is None else _states(replace(model, network=model.untrained), runs) for model in models
    ]
    known = [name for name in runs[0].values if name in runs[1].values]
    values = {name: torch.cat([run.values[name] for run in runs]) for name in known}
    numeric = [name for name in values if data.value_names.get(name) in ((), None)]
    measures, sequences = similarity_measures(values, numeric), torch.arange(len(states[0]))
    directed = tuple(measure for measure in measures if measure.directed)
    return tuple(
        PairSimilarity(models[i].name, models[j].name, similarity)
        for i, j in permutations(range(len(models)), 2)
        for similarity in compare_states(
            states[i], states[j], sequences, measures if i < j else directed, untrained=twins[j], seed=data.seed
        )
    )


def _states(model: Model, runs: Sequence[StoppedInputs]) -> Tensor:
    return torch.cat([model.states_at(run.inputs, run.position) for run in runs])
