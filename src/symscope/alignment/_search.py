"""Distributed alignment search (DAS): fits alignments to interventions on a frozen network (TMLR 2025, section 3.4).

The states at the stops are cached, so a step runs continuations only. All fits on a network, of every variable,
function, size and restart, train as one batch. Each fit has its own draws, early stop and best alignment.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Generator, Tensor

from symscope.alignment._batched_fits import BatchedFits, train_step
from symscope.alignment._pool import TrainingPool, latent_loss_of
from symscope.alignment._problem import (
    LEAST_SQUARES,
    PRINCIPAL_COMPONENTS,
    RANDOM,
    AlignmentProblem,
    SearchOptions,
    SearchResult,
)
from symscope.alignment.functions import Alignment, AlignmentFunction, Factors, Preprocessed, check_size
from symscope.alignment.natural import NaturalStates
from symscope.alignment.score import validation_iias
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interchange import CachedInterventions
from symscope.networks import Resumable, evaluation_mode, frozen_weights
from symscope.seeds import generator

OnValidation = Callable[[int, list[float]], None]
"""Called with the step and the best validation IIA of each problem so far."""


@dataclass
class _Fit:
    """One restart of a problem."""

    number: int
    problem: int
    restart: int
    draws: Generator
    best: Mapping[str, Alignment]
    best_iia: float = -1.0
    best_step: int = 0
    worse: int = 0
    steps: int = 0
    running: bool = True
    diverged: bool = False
    dimensions: int = field(init=False)

    def __post_init__(self) -> None:
        self.dimensions = _dimensions(self.best)


def _dimensions(alignments: Mapping[str, Alignment]) -> int:
    return sum(alignment.k for alignment in alignments.values())


@torch.enable_grad()
def search(
    network: Resumable,
    problems: Sequence[AlignmentProblem],
    pool: TrainingPool,
    validation: Mapping[str, CachedInterventions],
    options: SearchOptions,
    on_validation: OnValidation | None = None,
) -> list[SearchResult]:
    """Fits alignments, all problems and restarts as one batch.

    Args:
        network: the network; its weights are not changed.
        problems: what to fit.
        pool: the interventions to fit to.
        validation: for sets of the pool, the interventions to choose by; each problem needs one.
        options: how to search.
        on_validation: called after each validation.

    Returns:
        The best alignment of each problem, in order.

    Raises:
        InvalidArgumentError: no problems, a k that does not fit the state, or a memory limit that is too low.
        NonFiniteError: every fit of a problem became non-finite. The other fits have run to their end; the error's
            `best` holds the best alignment of each problem.
    """
    if not problems:
        raise InvalidArgumentError("nothing to search: no problems")
    with frozen_weights(network), evaluation_mode(network):
        groups, fits = _start(problems, pool, options)
        running, step = list(fits), 0
        while True:
            best = _validate(network, problems, validation, fits, groups, step, options)
            if on_validation:
                on_validation(step, best)
            running = [fit for fit in running if fit.running]
            if not running or step == options.steps:
                break
            kept = {fit.number for fit in running}
            groups = [group for group in groups if kept & set(group.members)]
            for group in groups:
                if not set(group.members) <= kept:
                    group.keep(kept)
            step = _train(problems, groups, running, pool, step, options)
    results = [_result(fits, number, options) for number in range(len(problems))]
    _check_finite(fits, results)
    return results


def _start(
    problems: Sequence[AlignmentProblem], pool: TrainingPool, options: SearchOptions
) -> tuple[list[BatchedFits], list[_Fit]]:
    fits: list[_Fit] = []
    alike: dict[tuple[object, ...], list[int]] = {}
    starts: list[tuple[AlignmentFunction, list[Tensor]]] = []
    for number, problem in enumerate(problems):
        natural = pool.natural_states(problem.sets)
        for restart in range(options.restarts if problem.restarts is None else problem.restarts):
            draws = generator(problem.seed, "frame", restart)
            first = options.init if problem.start is None else problem.start
            start = first if restart == 0 and first != LEAST_SQUARES else RANDOM
            function, tensors = initialise(problem.function, problem.mask.k, natural, draws, start)
            starts.append((function, [*tensors, *_moved(problem.mask.initialise(), natural.like())]))
            draws = generator(problem.seed, "draws", restart)
            fits.append(_Fit(len(fits), number, restart, draws, {}))
            shapes = tuple(tuple(tensor.shape) for tensor in starts[-1][1])
            alike.setdefault((function, problem.mask.structure, shapes), []).append(fits[-1].number)
    groups = [
        BatchedFits(
            starts[members[0]][0],
            problems[fits[members[0]].problem].mask,
            members,
            [starts[member][1] for member in members],
            options.learning_rate,
        )
        for members in alike.values()
    ]
    for group in groups:
        for member in group.members:
            fit = fits[member]
            fit.best = group.alignments(member, problems[fit.problem].mask)
            fit.dimensions = _dimensions(fit.best)
    return groups, fits


def initialise(
    function: AlignmentFunction,
    k: int,
    natural: NaturalStates,
    draws: Generator,
    start: Factors | str = RANDOM,
) -> tuple[AlignmentFunction, list[Tensor]]:
    """An alignment function in its coordinates, and the tensors of a map to start from.

    Args:
        function: the function.
        k: dimensions given to variables.
        natural: natural states of the network.
        draws: the source of randomness.
        start: a projector in coordinates of the state, or `"principal-components"` or `"random"`.

    Raises:
        InvalidArgumentError: k exceeds the width of the state or of its natural span, or a projector of another shape.
    """
    transformed = function.coordinates != "state"
    coordinates, inside = natural.coordinates(function.coordinates, function.whitening)
    d, width = inside.like().shape[1], natural.like().shape[1]
    check_size(d, k)
    factors = None
    if not isinstance(start, str):
        write, read = (factor.to(natural.like()) for factor in start)
        if write.shape != (width, k) or read.shape != (k, width):
            raise InvalidArgumentError(f"a start has the shape {(width, k)}, got {tuple(write.shape)}")
        factors = (coordinates[0] @ write, read @ coordinates[1]) if transformed else (write, read)
    elif start == PRINCIPAL_COMPONENTS:
        frame = inside.leading_directions(k)
        factors = frame, frame.T
    tensors = _moved(function.initialise(d, k, factors, draws), natural.like())
    if not transformed:
        return function, tensors
    return Preprocessed(function=function), [*tensors, *coordinates]


def _moved(tensors: Sequence[Tensor], like: Tensor) -> list[Tensor]:
    """The tensors on another device and in another precision, trainable as before."""
    return [tensor.detach().to(like).requires_grad_(tensor.requires_grad) for tensor in tensors]


def _train(
    problems: Sequence[AlignmentProblem],
    groups: Sequence[BatchedFits],
    running: Sequence[_Fit],
    pool: TrainingPool,
    step: int,
    options: SearchOptions,
) -> int:
    """The steps up to the next validation, of which none waits for the device; returns the number of the next step."""
    steps = min(options.validate_every, options.steps - step)
    drawn = [pool.draw(problems[fit.problem], options.validate_every, options.batch, fit.draws) for fit in running]
    index, swap = (torch.stack(parts, 1) for parts in zip(*drawn, strict=True))
    order = None
    if len(groups) > 1:
        place_of = {number: at for at, number in enumerate(n for group in groups for n in group.members)}
        order = torch.tensor([place_of[fit.number] for fit in running])
    latent_loss = None
    if options.latent_weight:
        natural = [pool.natural_states(problems[fit.problem].sets) for fit in running]
        latent_loss = latent_loss_of(natural, options.latent_weight)
    history = []
    for now in range(steps):
        progress = (step + now) / options.steps
        losses = pool.losses(groups, order, index[now], swap[now], progress, latent_loss)
        train_step(groups, losses)
        history.append(losses.detach())
    finite = torch.stack(history).isfinite().all(0).tolist()
    for fit, fine in zip(running, finite, strict=True):
        fit.steps += steps
        fit.diverged = not fine
    return step + steps


def _validate(
    network: Resumable,
    problems: Sequence[AlignmentProblem],
    validation: Mapping[str, CachedInterventions],
    fits: Sequence[_Fit],
    groups: Sequence[BatchedFits],
    step: int,
    options: SearchOptions,
) -> list[float]:
    """Scores the running fits, keeps the best of each, and stops those that are done; returns the best IIAs."""
    current = _current_alignments(problems, fits, groups)
    scores = _validation_iias(network, problems, validation, fits, current)
    for number, alignments in current.items():
        fit, iia = fits[number], scores[number]
        now = _rank(iia, _dimensions(alignments), options)
        before = _rank(fit.best_iia, fit.dimensions, options)
        if now > before or (now == before and options.latent_weight):
            fit.best, fit.best_iia, fit.best_step, fit.worse = alignments, iia, step, 0
            fit.dimensions = _dimensions(alignments)
        else:
            fit.worse += 1
    best = [_top(fits, number, options).best_iia for number in range(len(problems))]
    _stop(problems, fits, best, step, options)
    return best


def _current_alignments(
    problems: Sequence[AlignmentProblem], fits: Sequence[_Fit], groups: Sequence[BatchedFits]
) -> dict[int, Mapping[str, Alignment]]:
    """The alignments of the running fits; a fit whose map or loss is not finite is stopped."""
    current: dict[int, Mapping[str, Alignment]] = {}
    for group in groups:
        for number in group.members:
            fit = fits[number]
            if not fit.diverged:
                try:
                    current[number] = group.alignments(number, problems[fit.problem].mask)
                    continue
                except InvalidArgumentError:  # the map has become singular
                    fit.diverged = True
            fit.running = False
    return dict(sorted(current.items()))


def _stop(
    problems: Sequence[AlignmentProblem],
    fits: Sequence[_Fit],
    best: Sequence[float],
    step: int,
    options: SearchOptions,
) -> None:
    """Stops the fits that are done."""
    running = [fit for fit in fits if fit.running]
    for fit in running:
        problem = problems[fit.problem]
        if problem.mask.settled(step / options.steps):
            reached = best[fit.problem] >= options.target_iia and not options.latent_weight
            fit.running &= fit.worse < options.patience and not reached
        if problem.max_steps is not None:
            fit.running &= step < problem.max_steps
    unfinished = {fit.problem for fit in running if fit.running}
    for fit in running:
        stops_with = problems[fit.problem].stops_with
        fit.running &= stops_with is None or stops_with in unfinished


def _validation_iias(
    network: Resumable,
    problems: Sequence[AlignmentProblem],
    validation: Mapping[str, CachedInterventions],
    fits: Sequence[_Fit],
    current: Mapping[int, Mapping[str, Alignment]],
) -> dict[int, float]:
    """For each fit the lowest or mean IIA over its sets that have validation interventions; one pass for each set."""
    by_set: dict[str, list[int]] = {}
    for number in current:
        for name in (name for name in problems[fits[number].problem].sets if name in validation):
            by_set.setdefault(name, []).append(number)
    iias: dict[int, list[float]] = {number: [] for number in current}
    for name, members in by_set.items():
        alignments = [current[number] for number in members]
        for number, share in zip(members, validation_iias(network, validation[name], alignments), strict=True):
            iias[number].append(share)
    chosen = {number: problems[fits[number].problem].validated_by for number in iias}
    return {n: min(shares) if chosen[n] == "lowest" else fmean(shares) for n, shares in iias.items()}


def _rank(iia: float, dimensions: int, options: SearchOptions) -> tuple[float, int, float]:
    """Orders alignments: a higher IIA up to the target, then fewer dimensions, then the IIA again."""
    return min(iia, options.target_iia), -dimensions, iia


def _top(fits: Sequence[_Fit], problem: int, options: SearchOptions) -> _Fit:
    fits_of_problem = (fit for fit in fits if fit.problem == problem)
    return max(fits_of_problem, key=lambda fit: _rank(fit.best_iia, fit.dimensions, options))


def _result(fits: Sequence[_Fit], problem: int, options: SearchOptions) -> SearchResult:
    fits_of_problem, top = [fit for fit in fits if fit.problem == problem], _top(fits, problem, options)
    steps, diverged = sum(fit.steps for fit in fits_of_problem), sum(fit.diverged for fit in fits_of_problem)
    fits_made = len(fits_of_problem)
    return SearchResult(top.best, top.restart, top.best_iia, top.best_step, fits_made, steps, diverged)


def _check_finite(fits: Sequence[_Fit], results: list[SearchResult]) -> None:
    lost = [number for number in range(len(results)) if all(fit.diverged for fit in fits if fit.problem == number)]
    if lost:
        first = min(fit.steps for fit in fits if fit.problem == lost[0])
        raise NonFiniteError(
            f"every fit of problem {', '.join(map(str, lost))} reached a loss or a map that is not finite, the first "
            f"within {first} steps; lower the learning rate, or check the network. The error's `best` holds the best "
            "alignments up to there",
            results,
        )
