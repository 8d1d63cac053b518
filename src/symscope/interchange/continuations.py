"""An algorithm continued from a state: what must follow, and whether given tokens are possible.

A continuation is scored token by token, each given those before it. So whether a state can produce a continuation is a
question to the algorithm alone, given the tokens that the environment draws.
"""

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Values
from symscope.errors import InvalidArgumentError
from symscope.interchange.data import Interventions
from symscope.tasks import MAX_CONTINUATION

Continuation = tuple[Int[Tensor, "rows time"], Bool[Tensor, "rows time"], Bool[Tensor, " rows"]]
"""Tokens up to `EOS`, which of them the algorithm determines, and whether the row ends at all (if not, its tokens mean
nothing)."""


def continue_from(
    algorithm: Algorithm, values: Values, extra_demo_tokens: Int[Tensor, " rows"], generator: Generator
) -> Continuation:
    """Runs the algorithm on from a state until `EOS`; the task draws the tokens that the algorithm leaves free.

    Args:
        algorithm: the algorithm, for its task.
        values: its state, one entry for each row.
        extra_demo_tokens: how many more demo tokens the task shows, where the algorithm allows any.
        generator: the source of randomness.

    Raises:
        InvalidArgumentError: the algorithm says that it can end, but has not after 2,000 tokens.
    """
    eos, padding = algorithm.task.vocabulary.eos, algorithm.task.vocabulary.pad
    batch, remaining = len(extra_demo_tokens), extra_demo_tokens
    ends, tokens, determined = torch.ones(batch, dtype=torch.bool), [], []
    rows = torch.arange(batch)  # the rows that continue; only these are computed
    while True:
        able = algorithm.can_end(values)
        ends[rows[~able]] = False
        rows, values, remaining = rows[able], _select(values, able), remaining[able]
        if len(rows) == 0:
            break
        if len(tokens) == MAX_CONTINUATION:
            raise InvalidArgumentError(
                f"{algorithm.name} has not ended after {MAX_CONTINUATION:,} tokens, the longest continuation that "
                "symscope runs; give the task smaller quantities, or let can_end be false for such states"
            )
        allowed = algorithm.next_token_mask(values)
        alone = allowed.sum(1) == 1
        drawn, fewer = algorithm.task.sample_free_tokens(allowed, remaining, generator)
        token = torch.where(alone, allowed.int().argmax(1), drawn)
        tokens.append(torch.full((batch,), padding).index_copy_(0, rows, token))
        determined.append(torch.zeros(batch, dtype=torch.bool).index_copy_(0, rows, alone))
        values, remaining = algorithm.step(values, token), torch.where(alone, remaining, fewer)
        running = token != eos
        rows, values, remaining = rows[running], _select(values, running), remaining[running]
    if not tokens:
        return torch.full((batch, 1), padding), torch.zeros(batch, 1, dtype=torch.bool), ends
    return torch.stack(tokens, 1), torch.stack(determined, 1), ends


def is_inconsistent_with(algorithm: Algorithm, values: Values, interventions: Interventions) -> Bool[Tensor, " rows"]:
    """Where the targets are impossible from the state `values`: the first token that it excludes is one that counts.

    Where that token is a free one (a demo token in the response phase, say), the environment shows what this state
    cannot expect. No algorithm says what a network does then, so this is no inconsistency.
    """
    possible = torch.ones(len(interventions), dtype=torch.bool)
    inconsistent = torch.zeros(len(interventions), dtype=torch.bool)
    for token, counts in zip(interventions.targets.unbind(1), interventions.target_mask.unbind(1), strict=True):
        excluded = possible & ~algorithm.next_token_mask(values).gather(1, token[:, None])[:, 0]
        inconsistent |= excluded & counts
        possible &= ~excluded
        values = algorithm.step(values, token)
    return inconsistent


def values_at(algorithm: Algorithm, tokens: Int[Tensor, "rows time"], position: Int[Tensor, " rows"]) -> Values:
    """The state of the algorithm after the token at one position of each row."""
    return {name: _at(column, position) for name, column in algorithm.run(tokens).items()}


def _at(columns: Shaped[Tensor, "rows time"], position: Int[Tensor, " rows"]) -> Shaped[Tensor, " rows"]:
    return columns.gather(1, position[:, None])[:, 0]


def _select(values: Values, keep: Bool[Tensor, " rows"]) -> Values:
    return {name: column[keep] for name, column in values.items()}
