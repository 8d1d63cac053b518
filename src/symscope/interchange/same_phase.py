"""Pairs for the whole-state swap test: does a network continue as the source, or as if nothing had happened?

Base and source stop within the same phase, with different answers to give and something left to do in both (TMLR 2025,
section 4.3). A network whose state is Markov follows the source when its state is swapped; a network that recomputes
everything from its context continues as the base.
"""

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Category
from symscope.errors import InvalidArgumentError
from symscope.interchange.continuations import continue_from, is_inconsistent_with
from symscope.interchange.data import Interventions, join_interventions
from symscope.interchange.draw import PAPER_PROTOCOL, draw_interventions

MAX_ROUNDS = 50


def draw_same_phase(algorithm: Algorithm, count: int, generator: Generator) -> tuple[Interventions, Interventions]:
    """Draws `count` swaps of the whole state between stops of one phase.

    All categories of the algorithm (its phase) are equal in base and source, neither continuation is over at once, and
    each continuation is inconsistent with the other state. Both see the same number of extra demo tokens.

    Returns:
        The swaps twice, row by row: with the continuation of the source as targets, and with that of the base.

    Raises:
        InvalidArgumentError: `count` is below 1, or hardly any draw is such a pair.
    """
    everything = [variable.name for variable in algorithm.variables]
    pairs: list[tuple[Interventions, Interventions]] = []
    for _ in range(MAX_ROUNDS):
        drawn = draw_interventions(algorithm, everything, 4 * count, generator)
        extra = PAPER_PROTOCOL.draw_extra(algorithm, len(drawn), generator)
        source_values = drawn.sources[0].values
        as_source, as_base = (
            _with_targets(drawn, *continue_from(algorithm, values, extra, generator)[:2])
            for values in (source_values, drawn.base.values)
        )
        unfinished = (as_source.lengths > 1) & (as_base.lengths > 1)
        different = is_inconsistent_with(algorithm, drawn.base.values, as_source)
        different &= is_inconsistent_with(algorithm, source_values, as_base)
        fit = _one_phase(algorithm, drawn) & unfinished & different
        pairs.append((as_source.select(fit), as_base.select(fit)))
        have = sum(len(as_base) for _, as_base in pairs)
        if have >= count:
            first = torch.arange(have) < count
            as_source, as_base = (join_interventions(list(parts)).select(first) for parts in zip(*pairs, strict=True))
            return as_source, as_base
    raise InvalidArgumentError(
        f"hardly any two stops in task {algorithm.task.name!r} lie in one phase of {algorithm.name} with different "
        "answers"
    )


def _with_targets(drawn: Interventions, tokens: Tensor, determined: Tensor) -> Interventions:
    base, sources = drawn.base, drawn.sources
    return Interventions(drawn.variables, base, sources, drawn.source_of, tokens[:, :-1], tokens, determined)


def _one_phase(algorithm: Algorithm, drawn: Interventions) -> Bool[Tensor, " rows"]:
    same = torch.ones(len(drawn), dtype=torch.bool)
    for variable in algorithm.variables:
        if isinstance(variable, Category):
            same &= drawn.base.values[variable.name] == drawn.sources[0].values[variable.name]
    return same
