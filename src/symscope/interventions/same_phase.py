"""Pairs for the whole-state swap test: does a network go on as the source, or as if nothing had happened?

Base and source are cut within the same phase, with other answers to give and something left to do in both (TMLR 2025,
section 4.3). A network whose state is Markov follows the source when its state is swapped; one that recomputes
everything from its context goes on as the base.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Category
from symscope.errors import InvalidArgumentError
from symscope.interventions.draw import (
    MORE_DEMO,
    Continuation,
    Interventions,
    continue_from,
    draw_interventions,
    join_draws,
    select,
)
from symscope.interventions.matters import contradicts

MOST_ROUNDS = 50


class SamePhase(NamedTuple):
    """The same swaps twice, row by row, with what must follow in either case."""

    as_source: Interventions
    as_base: Interventions


def draw_same_phase(algorithm: Algorithm, count: int, generator: Generator) -> SamePhase:
    """Draws `count` swaps of the whole state between cuts of one phase.

    All categories of the algorithm (its phase) are equal in base and source, neither continuation is over at once,
    and what must follow either contradicts the other. The environment shows as many more demo tokens in both.

    Raises:
        InvalidArgumentError: `count` is below 1, or hardly any draw is such a pair.
    """
    everything = [variable.name for variable in algorithm.variables]
    pairs: list[SamePhase] = []
    for _ in range(MOST_ROUNDS):
        drawn = draw_interventions(algorithm, everything, 4 * count, generator)
        remaining = torch.randint(MORE_DEMO + 1, (4 * count,), generator=generator)
        as_source, as_base = (
            _followed_by(drawn, continue_from(algorithm, values, remaining, generator))
            for values in (drawn.source_values, drawn.base_values)
        )
        going_on = (as_source.lengths > 1) & (as_base.lengths > 1)
        told_apart = contradicts(algorithm, drawn.base_values, as_source)
        told_apart &= contradicts(algorithm, drawn.source_values, as_base)
        fit = _one_phase(algorithm, drawn) & going_on & told_apart
        pairs.append(SamePhase(select(as_source, fit), select(as_base, fit)))
        have = sum(len(pair.as_base) for pair in pairs)
        if have >= count:
            first = torch.arange(have) < count
            return SamePhase(*(select(join_draws(list(parts)), first) for parts in zip(*pairs, strict=True)))
    raise InvalidArgumentError(
        f"hardly any two cuts of task {algorithm.task.name!r} lie in one phase of {algorithm.name} with other answers"
    )


def _followed_by(drawn: Interventions, then: Continuation) -> Interventions:
    return replace(drawn, continuation=then.tokens, lengths=then.lengths, determined=then.determined)


def _one_phase(algorithm: Algorithm, drawn: Interventions) -> Bool[Tensor, " batch"]:
    same = torch.ones(len(drawn), dtype=torch.bool)
    for variable in algorithm.variables:
        if isinstance(variable, Category):
            same &= drawn.base_values[variable.name] == drawn.source_values[variable.name]
    return same
