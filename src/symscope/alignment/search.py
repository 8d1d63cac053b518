"""Distributed alignment search (DAS): fits alignments to interventions on a frozen network (TMLR 2025, section 3.4).

The states at the cuts are given (`Prepared`), so a step runs continuations only. All fits on a network, of every
variable, function, size and start, train as one program: their rows are just more batch, and each fit has its own
draws, its own early stop and its own best checkpoint.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from symscope.alignment.batches import Pool, losses
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.program import Alignment, Program
from symscope.alignment.questions import Found, Question, SearchOptions
from symscope.alignment.starts import RANDOM, Starts
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions import Prepared, follows, rewritten
from symscope.networks import Network
from symscope.seeds import generator


@dataclass
class _Fit:
    """One start of one question."""

    question: int
    start: int
    draws: Generator
    best: Alignment
    best_iia: float = -1.0
    best_step: int = 0
    worse: int = 0
    steps: int = 0
    running: bool = True
    diverged: bool = False


def search(
    network: Network,
    questions: Sequence[Question],
    options: SearchOptions | None = None,
    on_validation: Callable[[int, list[float]], None] | None = None,
) -> list[Found]:
    """Fits alignments, all questions and starts as one program.

    Args:
        network: the network; its weights are not changed.
        questions: what to look for; their interventions must be prepared on this network, at one site.
        options: how to search.
        on_validation: called with the step and the best validation IIA of each question so far.

    Returns:
        The best alignment of each question, in order.

    Raises:
        UnknownNameError: an alignment function or option that does not exist.
        InvalidArgumentError: no questions, a k that does not fit the state, or a memory limit below what one row takes.
        NonFiniteError: every start of a question became non-finite; the others have gone on to their end, and the
            error's `best` holds the best alignment of each question up to there.
    """
    options = options or SearchOptions()
    if not questions:
        raise InvalidArgumentError("nothing to search: no questions")
    with _frozen(network):
        pool = Pool.of(network, questions, options)
        alignments, fits = _start(questions, options)
        program, running, step = Program(alignments, options.learning_rate), fits, 0
        while True:
            best = _validate(network, questions, fits, [program.tensors(n) for n in range(len(running))], step, options)
            if on_validation:
                on_validation(step, best)
            still = [number for number, fit in enumerate(running) if fit.running]
            if not still or step == options.steps:
                break
            program.keep(still)
            running = [running[number] for number in still]
            step = _train(network, program, running, pool, step, options)
    found = [_best(fits, number, options) for number in range(len(questions))]
    _check_finite(fits, found)
    return found


@contextmanager
def _frozen(network: Network) -> Iterator[None]:
    """No gradients for the weights: only the alignments learn."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _start(questions: Sequence[Question], options: SearchOptions) -> tuple[list[Alignment], list[_Fit]]:
    starts: dict[tuple[int, ...], Starts] = {}  # what questions on the same states share
    alignments, fits = [], []
    for number, question in enumerate(questions):
        on = tuple(id(question.train[variable]) for variable in question.mask.variables)
        if on not in starts:
            starts[on] = Starts(question.natural_states())
        for start in range(options.starts if question.starts is None else question.starts):
            first = options.first if question.given is None else question.given
            draws = generator(question.seed, "frame", start)
            at = first if start == 0 else RANDOM
            function = starts[on].make(question.function, question.options, question.mask.k, at, draws)
            device = next(iter(function.tensors())).device
            alignments.append(Alignment(function, copy.deepcopy(question.mask).to(device)))
            fits.append(_Fit(number, start, generator(question.seed, "draws", start), alignments[-1]))
    return alignments, fits


def _train(
    network: Network, program: Program, running: Sequence[_Fit], pool: Pool, step: int, options: SearchOptions
) -> int:
    """The steps up to the next validation; nothing in them waits for the device. Gives the step that it came to."""
    steps = min(options.validate_every, options.steps - step)
    drawn = [pool.draw(fit.question, options.validate_every, options.batch, fit.draws) for fit in running]
    index, variable = (torch.stack(parts, 1) for parts in zip(*drawn, strict=True))
    seen = []
    for now in range(steps):
        progress = (step + now) / options.steps
        loss = losses(network, program, pool, index[now], variable[now], progress, options.latent_weight)
        program.step(loss)
        seen.append(loss.detach())
    finite = torch.stack(seen).isfinite().all(0).tolist()
    for fit, fine in zip(running, finite, strict=True):
        fit.steps += steps
        fit.diverged = not fine
    return step + steps


def _validate(
    network: Network,
    questions: Sequence[Question],
    fits: Sequence[_Fit],
    tensors: Sequence[Sequence[Tensor]],
    step: int,
    options: SearchOptions,
) -> list[float]:
    """Scores the running fits, whose tensors are given in order, keeps their best, and stops those that are done."""
    running = [fit for fit in fits if fit.running]
    now = [fit.best.with_tensors(own) for fit, own in zip(running, tensors, strict=True)]
    scores = _validation_iias(network, questions, running, now)
    progress = step / options.steps
    for fit, alignment, iia in zip(running, now, scores, strict=True):
        if iia is None:
            fit.diverged, fit.running = True, False
            continue
        own, other = _rank(iia, alignment, options), _rank(fit.best_iia, fit.best, options)
        if own > other or (own == other and options.latent_weight):
            fit.best, fit.best_iia, fit.best_step, fit.worse = alignment, iia, step, 0
        else:
            fit.worse += 1
    best = [_top(fits, number, options).best_iia for number in range(len(questions))]
    for fit in running:
        question = questions[fit.question]
        if question.mask.settled(progress):
            answered = best[fit.question] >= options.wanted and not options.latent_weight
            fit.running &= fit.worse < options.patience and not answered
        if question.steps is not None:
            fit.running &= step < question.steps
    asking = {fit.question for fit in running if fit.running}
    for fit in running:
        until = questions[fit.question].until
        fit.running &= until is None or until in asking
    return best


def _validation_iias(
    network: Network, questions: Sequence[Question], running: Sequence[_Fit], now: Sequence[Alignment]
) -> list[float | None]:
    """The lowest IIA over each fit's variables; `None` where it is no alignment any more. One pass for each set."""
    iias: list[list[float]] = [[] for _ in running]
    asked: dict[int, list[tuple[int, AlignmentFunction]]] = {}
    sets: dict[int, Prepared] = {}
    for number, (fit, alignment) in enumerate(zip(running, now, strict=True)):
        try:
            functions = {} if fit.diverged else alignment.functions()
        except InvalidArgumentError:  # its map has become singular
            continue
        for variable, function in functions.items():
            one = questions[fit.question].validation[variable]
            sets[id(one)] = one
            asked.setdefault(id(one), []).append((number, function))
    for key, members in asked.items():
        rows = sets[key]
        swap, index = partial(_side_by_side, [own for _, own in members]), torch.arange(len(rows)).repeat(len(members))
        right = follows(network, rows, rewritten(rows, swap, index), index)
        for (number, _), share in zip(members, right.view(len(members), -1).double().mean(1).tolist(), strict=True):
            iias[number].append(share)
    return [min(own) if own else None for own in iias]


def _side_by_side(functions: Sequence[AlignmentFunction], base: Tensor, source: Tensor) -> Tensor:
    """The swaps of several functions, each on its own part of the rows."""
    parts = zip(functions, base.chunk(len(functions)), source.chunk(len(functions)), strict=True)
    return torch.cat([function.swap(*own) for function, *own in parts])


def _rank(iia: float, alignment: Alignment, options: SearchOptions) -> tuple[float, int, float]:
    """What makes an alignment better: a higher IIA up to the wanted one, then fewer dimensions, then the IIA again."""
    taken = sum(part.stop - part.start for part in alignment.mask.parts().values())
    return min(iia, options.wanted), -taken, iia


def _top(fits: Sequence[_Fit], question: int, options: SearchOptions) -> _Fit:
    own = (fit for fit in fits if fit.question == question)
    return max(own, key=lambda fit: _rank(fit.best_iia, fit.best, options))


def _best(fits: Sequence[_Fit], question: int, options: SearchOptions) -> Found:
    own, top = [fit for fit in fits if fit.question == question], _top(fits, question, options)
    steps, diverged = sum(fit.steps for fit in own), sum(fit.diverged for fit in own)
    return Found(top.best.functions(), top.start, top.best_iia, top.best_step, steps, diverged)


def _check_finite(fits: Sequence[_Fit], found: list[Found]) -> None:
    lost = [number for number in range(len(found)) if all(fit.diverged for fit in fits if fit.question == number)]
    if lost:
        first = min(fit.steps for fit in fits if fit.question == lost[0])
        raise NonFiniteError(
            f"every start of question {', '.join(map(str, lost))} came to a loss or a map that is not finite, the "
            f"first within {first} steps; lower the learning rate, or check the network. The best alignments up to "
            "there are in the error's `best`",
            found,
        )
