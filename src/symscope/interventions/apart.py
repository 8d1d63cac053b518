"""Cause and isolation apart: does a swap bring the variable, and does it bring nothing else?

An ordinary intervention fails for either reason. Two kinds tell them apart. Where base and source differ in the
variable alone, whatever else the swap brings along is the same in both: such swaps fail only if the variable does not
come (*cause*). Where they agree on the variable and differ in the rest, a swap of the variable has nothing to bring:
the base must go on as it was, and what makes it fail is something else that came along (*isolation*). A swap of the
whole state has perfect cause and no isolation, a swap that does nothing the other way round.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Bool
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Values
from symscope.errors import InvalidArgumentError
from symscope.interventions.draw import (
    MORE_DEMO,
    Interventions,
    continue_from,
    draw_interventions,
    join_draws,
    select,
)
from symscope.interventions.matters import contradicts

POOL = 500
"""At least so many bases and sources are drawn at once, and paired among each other."""
MOST_ROUNDS = 20


class Apart(NamedTuple):
    """Interventions of either kind; `None` where no two cuts are such a pair (as where there is one variable only)."""

    cause: Interventions | None
    isolation: Interventions | None


def draw_apart(algorithm: Algorithm, variables: Iterable[str], count: int, generator: Generator) -> Apart:
    """Draws `count` interventions of each kind on `variables`, cuts and quantities as `draw_interventions` draws them.

    In both the answer tells: what must follow contradicts the base (cause), or the source (isolation), as it is.

    Raises:
        UnknownNameError: a variable that does not exist.
        InvalidArgumentError: `count` is below 1, or no variables.
    """
    variables = algorithm.check_variables(variables)
    if not variables or count < 1:
        raise InvalidArgumentError(f"at least one variable and one intervention, got {list(variables)} and {count}")
    return Apart(
        _draw(algorithm, variables, count, generator, cause=True),
        _draw(algorithm, variables, count, generator, cause=False),
    )


def _draw(
    algorithm: Algorithm, variables: tuple[str, ...], count: int, generator: Generator, *, cause: bool
) -> Interventions | None:
    everything = [variable.name for variable in algorithm.variables]
    parts, have = [], 0
    for _ in range(MOST_ROUNDS):
        pool = draw_interventions(algorithm, everything, max(count, POOL), generator)
        fits = _fits(pool, variables, cause=cause)
        base = fits.any(1).nonzero()[:, 0]
        if len(base):
            source = torch.multinomial(fits[base].float(), 1, generator=generator)[:, 0]
            paired = _paired(algorithm, pool, base, source, variables, generator)
            unchanged = paired.base_values if cause else paired.source_values
            parts.append(select(paired, contradicts(algorithm, unchanged, paired)))
            have += len(parts[-1])
        if have >= count:
            return select(join_draws(parts), torch.arange(have) < count)
    return None


def _fits(pool: Interventions, variables: tuple[str, ...], *, cause: bool) -> Bool[Tensor, "bases sources"]:
    """Which base may be paired with which source: equal in all but the variables (cause), or in these (isolation)."""
    equal = {name: column[:, None] == pool.source_values[name][None, :] for name, column in pool.base_values.items()}
    nothing = torch.ones(len(pool), len(pool), dtype=torch.bool)
    agree, rest = nothing, nothing
    for name, same in equal.items():
        if name in variables:
            agree = agree & same
        else:
            rest = rest & same
    return rest & ~agree if cause else agree & ~rest


def _paired(
    algorithm: Algorithm,
    pool: Interventions,
    base: Tensor,
    source: Tensor,
    variables: tuple[str, ...],
    generator: Generator,
) -> Interventions:
    """Bases and sources of the pool, put together anew, those left out whose swap has no counterfactual."""

    def rows(values: Values, index: Tensor) -> Values:
        return {name: column[index] for name, column in values.items()}

    base_values, source_values = rows(pool.base_values, base), rows(pool.source_values, source)
    swapped = {**base_values, **{name: source_values[name] for name in variables}}
    remaining = torch.randint(MORE_DEMO + 1, (len(base),), generator=generator)
    then = continue_from(algorithm, swapped, remaining, generator)
    paired = replace(
        pool,
        variables=variables,
        base=pool.base[base],
        base_positions=pool.base_positions[base],
        source=pool.source[source],
        source_positions=pool.source_positions[source],
        base_values=base_values,
        source_values=source_values,
        continuation=then.tokens,
        lengths=then.lengths,
        determined=then.determined,
    )
    return select(paired, then.ends)
