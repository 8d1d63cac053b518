"""Draws interventions: a base and a source sequence cut somewhere, and what the algorithm says must follow.

The algorithm runs on both, takes over variables of the source into the base, and goes on from there, the
environment drawing the free tokens: that is the counterfactual continuation (science: DAS, TMLR 2025 section 3.4).
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Generator, Tensor
from torch.nn.functional import pad

from symscope.algorithms import Algorithm, Values
from symscope.errors import InvalidArgumentError
from symscope.tasks import TokenBatch

LONGEST_CONTINUATION = 2000
MORE_DEMO = 3
"""In the demo phase, at most this many demo tokens follow the swap before the trigger."""


@dataclass(frozen=True)
class Interventions:
    """A set of interventions on the same variables, with the counterfactual continuation of each."""

    variables: tuple[str, ...]
    base: Int[Tensor, "batch base_time"]
    base_positions: Int[Tensor, " batch"]
    source: Int[Tensor, "batch source_time"]
    source_positions: Int[Tensor, " batch"]
    base_values: Values
    """The algorithm's state at the cut, before the swap there; a variable's type says whether values are integers."""
    source_values: Values
    continuation: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    determined: Bool[Tensor, "batch time"]
    """Which tokens of the continuation the algorithm determines; these are scored."""
    redrawn: float
    """Share of the draws that had no counterfactual (the algorithm could never end) and were drawn again."""

    def __len__(self) -> int:
        return len(self.base)


@dataclass(frozen=True)
class Continuation:
    """What follows a state of the algorithm, until `EOS`."""

    tokens: Int[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    determined: Bool[Tensor, "batch time"]
    ends: Bool[Tensor, " batch"]
    """False where the algorithm can never end; the other entries of such a row mean nothing."""


def draw_interventions(
    algorithm: Algorithm,
    variables: Iterable[str],
    count: int,
    generator: Generator,
    *,
    at: str | None = None,
    not_at: Collection[str] = (),
    more_demo: int | Literal["own"] = MORE_DEMO,
) -> Interventions:
    """Draws `count` interventions that give `variables` of the base their values in the source.

    Base and source are drawn like the task's sequences, quantities uniform over all of the task's; the cuts are
    uniform over the positions that are neither `BOS` nor `EOS`.

    Args:
        algorithm: the algorithm, for its task.
        variables: the variables that are swapped together; all of them for a swap of the whole state.
        count: how many.
        generator: the source of randomness.
        at: a named_position of the task (`"trigger"`, `"last-demo"`) to cut all sequences at, in place of anywhere.
        not_at: names of further tokens that are never cut at (the authors' code leaves out the trigger, `("T",)`).
        more_demo: a base that is in the demo phase after the swap sees 0 to this many more demo tokens, uniformly;
            `"own"`: as many as its own sequence still has (the authors' code).

    Raises:
        UnknownNameError: a variable, token or named_position that does not exist.
        InvalidArgumentError: `count` is below 1, no variables, nowhere to cut, or no draw has a
            counterfactual.
    """
    variables = algorithm.check_variables(variables)
    if not variables:
        raise InvalidArgumentError("an intervention swaps at least one variable, got none")
    if count < 1:
        raise InvalidArgumentError(f"draw at least one intervention, asked for {count}")
    if more_demo != "own" and more_demo < 0:
        raise InvalidArgumentError(f"at least 0 more demo tokens follow, or 'own', got {more_demo}")
    vocabulary = algorithm.task.vocabulary
    uncut = torch.tensor([vocabulary.pad, vocabulary.bos, vocabulary.eos, *vocabulary.encode(not_at)])

    def cuts(sequences: TokenBatch) -> Int[Tensor, " batch"]:
        if at is None:
            return _anywhere(sequences, uncut, generator)
        return algorithm.task.named_position(at, sequences)

    parts: list[Interventions] = []
    have, drawn = 0, 0
    while have < count:
        part = _draw_once(algorithm, variables, count - have, generator, cuts, more_demo)
        drawn += count - have
        parts.append(part)
        have += len(part)
        if have == 0 and drawn >= 20 * count:
            raise InvalidArgumentError(f"none of {drawn} draws has a counterfactual: {algorithm.name} never ends")
    return join_draws(parts, redrawn=1 - count / drawn)


def continue_from(
    algorithm: Algorithm, values: Values, remaining: Int[Tensor, " batch"], generator: Generator
) -> Continuation:
    """Lets the algorithm go on from `values` until `EOS`, the environment drawing what it leaves free.

    Args:
        algorithm: the algorithm, for its task.
        values: its variables, one entry a row.
        remaining: how many more demo tokens the environment shows, should the algorithm ask for any.
        generator: the source of randomness.

    Raises:
        InvalidArgumentError: the algorithm says that it can end, but has not after 2,000 tokens.
    """
    eos, padding = algorithm.task.vocabulary.eos, algorithm.task.vocabulary.pad
    batch = len(remaining)
    ends, tokens, determined = torch.ones(batch, dtype=torch.bool), [], []
    rows = torch.arange(batch)  # those that go on; only they are computed
    while True:
        able = algorithm.can_end(values)
        ends[rows[~able]] = False
        rows, values, remaining = rows[able], _select(values, able), remaining[able]
        if len(rows) == 0:
            break
        if len(tokens) == LONGEST_CONTINUATION:
            raise InvalidArgumentError(f"{algorithm.name} has not ended after {LONGEST_CONTINUATION} tokens")
        allowed = algorithm.next_token_mask(values)
        alone = allowed.sum(1) == 1
        drawn, fewer = algorithm.task.sample_free_tokens(allowed, remaining, generator)
        token = torch.where(alone, allowed.int().argmax(1), drawn)
        tokens.append(torch.full((batch,), padding).index_copy_(0, rows, token))
        determined.append(torch.zeros(batch, dtype=torch.bool).index_copy_(0, rows, alone))
        values, remaining = algorithm.step(values, token), torch.where(alone, remaining, fewer)
        on = token != eos
        rows, values, remaining = rows[on], _select(values, on), remaining[on]
    if not tokens:
        empty = torch.zeros(batch, 0, dtype=torch.long)
        return Continuation(empty, empty.sum(1), empty.bool(), ends)
    stacked = torch.stack(tokens, 1)
    return Continuation(stacked, (stacked != padding).sum(1), torch.stack(determined, 1), ends)


def _draw_once(
    algorithm: Algorithm,
    variables: tuple[str, ...],
    count: int,
    generator: Generator,
    cuts: Callable[[TokenBatch], Int[Tensor, " batch"]],
    more_demo: int | Literal["own"],
) -> Interventions:
    """Up to `count` interventions: those of `count` draws that have a counterfactual."""
    task = algorithm.task
    base, source = (task.draw(task.draw_quantities(count, generator), generator) for _ in range(2))
    base_at, source_at = cuts(base), cuts(source)
    if more_demo == "own":
        remaining = task.remaining_demo_tokens(base, base_at)
    else:
        remaining = torch.randint(more_demo + 1, (count,), generator=generator)
    base_values, source_values = (
        values_at(algorithm, sequences.tokens, at) for sequences, at in ((base, base_at), (source, source_at))
    )
    swapped = {**base_values, **{name: source_values[name] for name in variables}}
    then = continue_from(algorithm, swapped, remaining, generator)
    everything = Interventions(
        variables, base.tokens, base_at, source.tokens, source_at, base_values, source_values,
        then.tokens, then.lengths, then.determined, redrawn=0.0,
    )  # fmt: skip
    return select(everything, then.ends)


def _at(columns: Shaped[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> Shaped[Tensor, " batch"]:
    """One column of each row."""
    return columns.gather(1, positions[:, None])[:, 0]


def values_at(algorithm: Algorithm, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> Values:
    """The algorithm's variables after the token at one position of each sequence."""
    return {name: _at(column, positions) for name, column in algorithm.run(tokens).items()}


def _anywhere(sequences: TokenBatch, uncut: Int[Tensor, " tokens"], generator: Generator) -> Int[Tensor, " batch"]:
    """A position of each sequence, uniform over those of other tokens."""
    may = ~torch.isin(sequences.tokens, uncut)
    if not may.any(1).all():
        raise InvalidArgumentError("a sequence has no position to cut at: every token is BOS, EOS or excluded")
    return torch.multinomial(may.float(), 1, generator=generator)[:, 0]


def _select(values: Values, keep: Bool[Tensor, " batch"]) -> Values:
    return {name: column[keep] for name, column in values.items()}


def select(interventions: Interventions, keep: Bool[Tensor, " batch"]) -> Interventions:
    """Those of a set of interventions where `keep` is true."""
    return _each_tensor([interventions], lambda tensors: tensors[0][keep], interventions.redrawn)


def join_draws(parts: list[Interventions], redrawn: float = 0.0) -> Interventions:
    """Several sets of interventions on the same variables as one."""

    def cat(tensors: list[Tensor]) -> Tensor:
        if tensors[0].ndim == 1:
            return torch.cat(tensors)
        time = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([pad(tensor, (0, time - tensor.shape[1])) for tensor in tensors])

    return _each_tensor(parts, cat, redrawn)


def _each_tensor(
    parts: list[Interventions], combine: Callable[[list[Tensor]], Tensor], redrawn: float
) -> Interventions:
    """One set of interventions from several, tensor by tensor."""
    made: dict[str, Any] = {"variables": parts[0].variables, "redrawn": redrawn}
    for name in (entry.name for entry in fields(Interventions) if entry.name not in made):
        values = [getattr(part, name) for part in parts]
        if isinstance(values[0], Tensor):
            made[name] = combine(values)
        else:
            made[name] = {key: combine([value[key] for value in values]) for key in values[0]}
    return Interventions(**made)
