"""Pairs for the whole-state swap test: does a network go on as the source, or as if nothing had happened?

Base and source are cut within the same phase, with other values and something left to do in both (TMLR 2025,
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
from symscope.interventions.draw import MORE_DEMO, Interventions, continue_from, draw_interventions, join_draws, select

MOST_ROUNDS = 50


class SamePhase(NamedTuple):
    """The same swaps twice, row by row, with what must follow in either case."""

    as_source: Interventions
    as_base: Interventions


def draw_same_phase(algorithm: Algorithm, count: int, generator: Generator) -> SamePhase:
    """Draws `count` swaps of the whole state between cuts of one phase.

    All categories of the algorithm (its phase) are equal in base and source, some other variable differs, and
    neither continuation is over at once.

    Raises:
        InvalidArgumentError: `count` is below 1, or hardly any draw is such a pair.
    """
    everything = [variable.name for variable in algorithm.variables]
    pairs: list[SamePhase] = []
    for _ in range(MOST_ROUNDS):
        as_source = draw_interventions(algorithm, everything, 4 * count, generator)
        remaining = torch.randint(MORE_DEMO + 1, (4 * count,), generator=generator)
        then = continue_from(algorithm, as_source.base_values, remaining, generator)
        as_base = replace(as_source, continuation=then.tokens, lengths=then.lengths, determined=then.determined)
        fit = _one_phase(algorithm, as_source) & (as_source.lengths > 1) & (as_base.lengths > 1)
        pairs.append(SamePhase(select(as_source, fit), select(as_base, fit)))
        if sum(len(pair.as_base) for pair in pairs) >= count:
            first = torch.arange(sum(len(pair.as_base) for pair in pairs)) < count
            return SamePhase(*(select(join_draws(list(parts)), first) for parts in zip(*pairs, strict=True)))
    raise InvalidArgumentError(
        f"hardly any two cuts of task {algorithm.task.name!r} lie in one phase of {algorithm.name}"
    )


def _one_phase(algorithm: Algorithm, drawn: Interventions) -> Bool[Tensor, " batch"]:
    same = torch.ones(len(drawn), dtype=torch.bool)
    differs = ~same
    for variable in algorithm.variables:
        equal = drawn.base_values[variable.name] == drawn.source_values[variable.name]
        if isinstance(variable, Category):
            same &= equal
        else:
            differs |= ~equal
    return same & differs
