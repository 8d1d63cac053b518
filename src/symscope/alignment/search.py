"""Distributed alignment search (DAS): fits alignment functions to interventions on a frozen network.

The states at the cuts are given (`Prepared`), so a step runs continuations only. All fits on a network, of every
variable, subspace size and start, train as one program: their rows are just more batch, and each fit has its own
draws, its own early stop and its own best checkpoint (TMLR 2025, section 3.4).
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.alignment.functions import (
    AlignmentFunction,
    Orthogonal,
    Subspace,
    principal_components,
    random_subspace,
    swap_side_by_side,
)
from symscope.alignment.score import follows_swap
from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interventions import Prepared, join, losses_after
from symscope.networks import Network
from symscope.networks.packing import to_device
from symscope.seeds import generator


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
        starts: starts for each question, the first at the leading principal components of the natural states, the
            others random; the best on validation is kept. Local minima are real, most of all at small k.
    """

    learning_rate: float = 1e-3
    batch: int = 128
    steps: int = 20_000
    validate_every: int = 100
    wanted: float = 0.995
    patience: int = 10
    starts: int = 3

    def __post_init__(self) -> None:
        for name in ("learning_rate", "batch", "steps", "validate_every", "patience", "starts"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidArgumentError(f"{name} must be above 0 and finite, got {getattr(self, name)}")


@dataclass(frozen=True)
class Question:
    """Where is a variable? Interventions on it to fit and to choose by, and the size of subspace allowed."""

    train: Prepared
    validation: Prepared
    k: int
    seed: int
    """Determines the starts and the draws of this question's fits, whatever is searched beside it."""


@dataclass(frozen=True)
class Found:
    """The best alignment that a search found for a question."""

    function: Subspace
    start: int
    """Which start it came from, counted from 0."""
    validation_iia: float
    step: int
    """The step at which it was best."""
    steps: int
    """Steps taken by all starts together."""


@dataclass
class _Fit:
    """One start of one question."""

    question: int
    start: int
    function: Orthogonal
    draws: torch.Generator
    best: Subspace
    best_iia: float = -1.0
    best_step: int = 0
    worse: int = 0
    steps: int = 0
    running: bool = True
    upcoming: Iterator[Tensor] = field(default_factory=lambda: iter(()))


def search(
    network: Network,
    questions: Sequence[Question],
    options: SearchOptions | None = None,
    on_validation: Callable[[int, list[float]], None] | None = None,
) -> list[Found]:
    """Searches an orthogonal alignment for every question, all together.

    Args:
        network: the network; its weights are not changed.
        questions: what to search; all prepared on this network, at one site.
        options: how to search.
        on_validation: called with the step and the best validation IIA of each question so far.

    Returns:
        The best alignment of each question, in order.

    Raises:
        InvalidArgumentError: no questions, or a k that does not fit the state.
        NonFiniteError: a loss is not finite; the message says at which step and for which question.
    """
    options = options or SearchOptions()
    if not questions:
        raise InvalidArgumentError("nothing to search: no questions")
    pool, offsets = _pool([question.train for question in questions])
    fits = [_start(n, question, start) for n, question in enumerate(questions) for start in range(options.starts)]
    adam = torch.optim.Adam([fit.function.raw for fit in fits], lr=options.learning_rate)
    with _frozen(network):
        for step in range(options.steps + 1):
            if step % options.validate_every == 0 or step == options.steps:
                best = _validate(network, questions, fits, step, options)
                if on_validation:
                    on_validation(step, best)
            running = [fit for fit in fits if fit.running]
            if not running or step == options.steps:
                break
            index = torch.cat(
                [_draw(fit, questions[fit.question].train, options) + offsets[fit.question] for fit in running]
            )
            losses = _losses(network, [fit.function for fit in running], pool, index)
            if not losses.isfinite().all():
                raise _not_finite(losses, running, step, [_best(fits, number) for number in range(len(questions))])
            adam.zero_grad()
            losses.sum().backward()
            adam.step()
            for fit in running:
                fit.steps += 1
    return [_best(fits, number) for number in range(len(questions))]


@contextmanager
def _frozen(network: Network) -> Iterator[None]:
    """No gradients for the weights: only the alignment learns."""
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)


def _start(number: int, question: Question, start: int) -> _Fit:
    natural, d = question.train.natural_states(), question.train.source.shape[1]
    if start == 0:
        first = principal_components(natural, question.k)
    else:
        first = random_subspace(d, question.k, generator(question.seed, "frame", start)).to(natural.device)
    function = Orthogonal(first.write)
    best = Subspace(function.frame(), name=function.name)
    return _Fit(number, start, function, generator(question.seed, "draws", start), best)


def _pool(sets: Sequence[Prepared]) -> tuple[Prepared, list[int]]:
    """All sets as one, each once though several questions share it, and where each question's rows begin."""
    unique = {id(one): one for one in sets}
    begins = dict(zip(unique, accumulate((len(one) for one in unique.values()), initial=0), strict=False))
    return join(list(unique.values())), [begins[id(one)] for one in sets]


def _draw(fit: _Fit, among: Prepared, options: SearchOptions) -> Int[Tensor, " batch"]:
    """The fit's next batch; drawn many at a time, since a draw of few numbers costs as much as one of many."""
    batch = next(fit.upcoming, None)
    if batch is None:
        drawn = torch.randint(len(among), (options.validate_every, options.batch), generator=fit.draws)
        fit.upcoming = iter(drawn)
        batch = next(fit.upcoming)
    return batch


def _losses(
    network: Network, functions: Sequence[AlignmentFunction], pool: Prepared, index: Int[Tensor, " rows"]
) -> Float[Tensor, " functions"]:
    """Mean cross-entropy of each function's scored tokens, its rows being its share of the index, in order."""
    many, d = len(functions), pool.source.shape[1]
    there = to_device(index, pool.source.device)
    base, source = (states.index_select(0, there).view(many, -1, d) for states in (pool.base.states, pool.source))
    swapped = swap_side_by_side(functions, base, source).view(-1, d)
    losses = losses_after(network, pool, swapped, index)
    scored = pool.scored[index].view(many, -1).sum(1)
    return losses.view(many, -1).sum(1) / to_device(scored, losses.device)


def _not_finite(
    losses: Float[Tensor, " fits"], running: Sequence[_Fit], step: int, best: list[Found]
) -> NonFiniteError:
    first = running[int((~losses.isfinite()).nonzero()[0])]
    return NonFiniteError(
        f"the search loss of question {first.question} (start {first.start}) is not finite at step {step}; lower the "
        f"learning rate, or check the network. The best alignments up to there are in the error's `best`",
        best,
    )


def _validate(
    network: Network, questions: Sequence[Question], fits: Sequence[_Fit], step: int, options: SearchOptions
) -> list[float]:
    """Scores the running fits on validation, keeps their best, and stops those that are done."""
    for fit in fits:
        if not fit.running:
            continue
        as_is = Subspace(fit.function.frame(), name=fit.function.name)
        iia = float(follows_swap(network, as_is, questions[fit.question].validation).float().mean())
        if iia > fit.best_iia:
            fit.best, fit.best_iia, fit.best_step, fit.worse = as_is, iia, step, 0
        else:
            fit.worse += 1
    best = [_best(fits, number).validation_iia for number in range(len(questions))]
    for fit in fits:
        fit.running &= fit.worse < options.patience and best[fit.question] < options.wanted
    return best


def _best(fits: Sequence[_Fit], question: int) -> Found:
    own = [fit for fit in fits if fit.question == question]
    top = max(own, key=lambda fit: fit.best_iia)
    return Found(top.best, top.start, top.best_iia, top.best_step, sum(fit.steps for fit in own))
