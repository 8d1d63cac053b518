"""Draws interventions from an algorithm: base and source sequences, where each stops, and what must follow.

The algorithm runs on both, takes the value of a variable from the source into the base, and continues; the task draws
the free tokens. That is the counterfactual continuation (DAS, TMLR 2025 section 3.4).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Values
from symscope.errors import InvalidArgumentError
from symscope.interchange.continuations import Continuation, continue_from, is_inconsistent_with, values_at
from symscope.interchange.data import Interventions, StoppedInputs, join_interventions
from symscope.tasks import TokenBatch

QUANTITY = "quantity"
"""Value of `InterventionProtocol.extra_demo_tokens`: demo tokens are shown up to a newly drawn quantity."""
DRAWN_AT_ONCE = 500
"""At least so many bases and sources are drawn at once and paired, for cause and isolation."""
MAX_ROUNDS = 20


@dataclass(frozen=True)
class InterventionProtocol:
    """Where base and source stop, and how many demo tokens follow an intervention.

    Attributes:
        position: a named position of the task (`"trigger"`, `"last-demo"`) at which every sequence stops; `None`: any
            position that is neither `BOS` nor `EOS`, uniformly.
        excluded_tokens: names of tokens after which no sequence stops. The paper's code excludes the trigger, `("T",)`.
        extra_demo_tokens: a base that is in the demo phase after the swap sees 0 to this many more demo tokens,
            uniformly (TMLR 2025). `"quantity"`: a quantity of the task is drawn uniformly, and demo tokens follow until
            that many are counted, max(0, quantity - count) more (the paper's code); so no count exceeds the task's own
            quantities.
    """

    position: str | None = None
    excluded_tokens: tuple[str, ...] = ()
    extra_demo_tokens: int | Literal["quantity"] = 3

    def __post_init__(self) -> None:
        if isinstance(self.excluded_tokens, str):
            raise InvalidArgumentError(f"excluded_tokens is a tuple of names, ({self.excluded_tokens!r},)")
        object.__setattr__(self, "excluded_tokens", tuple(self.excluded_tokens))
        extra = self.extra_demo_tokens
        if extra != QUANTITY and (isinstance(extra, bool) or not isinstance(extra, int) or extra < 0):
            raise InvalidArgumentError(f"extra_demo_tokens is {QUANTITY!r} or an integer of at least 0, got {extra!r}")

    @classmethod
    def of_the_papers_code(cls) -> "InterventionProtocol":
        """The protocol of the authors' code: no stop at the trigger, demo tokens up to a newly drawn quantity."""
        return cls(excluded_tokens=("T",), extra_demo_tokens=QUANTITY)

    @property
    def name(self) -> str:
        """The name in tables: that in `PROTOCOLS`, or the values of the fields."""
        names = [name for name, protocol in PROTOCOLS.items() if protocol == self]
        position = f"at {self.position}" if self.position else "any position"
        without = f" without {' '.join(self.excluded_tokens)}" if self.excluded_tokens else ""
        return names[0] if names else f"{position}{without}, extra demo tokens {self.extra_demo_tokens}"

    def positions(self, algorithm: Algorithm, sequences: TokenBatch, generator: Generator) -> Int[Tensor, " rows"]:
        """Where each sequence stops."""
        if self.position is not None:
            return algorithm.task.named_position(self.position, sequences)
        vocabulary = algorithm.task.vocabulary
        never = [vocabulary.pad, vocabulary.bos, vocabulary.eos, *vocabulary.encode(self.excluded_tokens)]
        possible = ~torch.isin(sequences.tokens, torch.tensor(never))
        if not possible.any(1).all():
            raise InvalidArgumentError("a sequence has no position to stop at: every token is BOS, EOS or excluded")
        return torch.multinomial(possible.float(), 1, generator=generator)[:, 0]

    def draw_extra(self, algorithm: Algorithm, rows: int, generator: Generator) -> "Int[Tensor, ' rows']":
        """For each row the number of extra demo tokens; for `"quantity"` the quantity up to which they follow."""
        if self.extra_demo_tokens == QUANTITY:
            return algorithm.task.draw_quantities(rows, generator)
        return torch.randint(self.extra_demo_tokens + 1, (rows,), generator=generator)

    def continue_from(
        self, algorithm: Algorithm, values: Values, extra: Int[Tensor, " rows"], generator: Generator
    ) -> Continuation:
        """What must follow the state `values`, with the extra demo tokens of `draw_extra`."""
        if self.extra_demo_tokens == QUANTITY:
            extra = (extra - algorithm.demo_tokens_counted(values)).clamp(min=0)
        return continue_from(algorithm, values, extra, generator)


PAPER_PROTOCOL = InterventionProtocol()
"""The protocol of the paper's text."""
PROTOCOLS: Mapping[str, InterventionProtocol] = MappingProxyType(
    {"paper": PAPER_PROTOCOL, "paper-code": InterventionProtocol.of_the_papers_code()}
)
"""Protocols that have a name, by name."""


def draw_interventions(
    algorithm: Algorithm,
    variables: Iterable[str],
    count: int,
    generator: Generator,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
    *,
    without: Mapping[str, Sequence[int]] | None = None,
) -> Interventions:
    """Draws `count` interventions that give `variables` of the base their values in the source.

    Base and source are drawn like the task's sequences, quantities uniform over all of the task's.

    Args:
        algorithm: the algorithm, for its task.
        variables: the variables that are overwritten together; all of them for a swap of the whole state.
        count: how many.
        generator: the source of randomness.
        protocol: where sequences stop, and how many demo tokens follow.
        without: values of variables that neither a base nor a source may have; such draws are made again.

    Raises:
        UnknownNameError: a variable, token or named position that does not exist.
        InvalidArgumentError: `count` is below 1, no variables, no position to stop at, or no draw has a counterfactual
            and values that are not excluded.
    """
    variables = algorithm.check_variables(variables)
    if not variables:
        raise InvalidArgumentError("an intervention overwrites at least one variable, got none")
    if count < 1:
        raise InvalidArgumentError(f"draw at least one intervention, got a count of {count}")
    parts: list[Interventions] = []
    have, drawn = 0, 0
    while have < count:
        part = _draw_once(algorithm, variables, count - have, generator, protocol)
        drawn += count - have
        if without:
            part = part.select(~part.has_values(without))
        parts.append(part)
        have += len(part)
        if have == 0 and drawn >= 20 * count:
            excluded = f" without {dict(without)}" if without else ""
            raise InvalidArgumentError(
                f"none of {drawn} draws{excluded} has a counterfactual: {algorithm.name} never ends"
            )
    return join_interventions(parts, rejection_rate=1 - count / drawn)


def _draw_once(
    algorithm: Algorithm, variables: tuple[str, ...], count: int, generator: Generator, protocol: InterventionProtocol
) -> Interventions:
    """Up to `count` interventions: those of `count` draws that have a counterfactual."""
    task = algorithm.task
    sequences = [task.draw(task.draw_quantities(count, generator), generator) for _ in ("base", "source")]
    positions = [protocol.positions(algorithm, batch, generator) for batch in sequences]
    extra = protocol.draw_extra(algorithm, count, generator)
    base, source = (
        StoppedInputs(batch.tokens, at, values_at(algorithm, batch.tokens, at))
        for batch, at in zip(sequences, positions, strict=True)
    )
    swapped = {**base.values, **{name: source.values[name] for name in variables}}
    return swap_interventions(variables, base, source, protocol.continue_from(algorithm, swapped, extra, generator))


def swap_interventions(
    variables: tuple[str, ...], base: StoppedInputs, source: StoppedInputs, continuation: Continuation
) -> Interventions:
    """Interventions from one source, with their continuation; rows that never end are left out."""
    tokens, determined, ends = continuation
    everything = Interventions(
        variables, base, (source,), (0,) * len(variables), tokens[:, :-1], tokens, determined
    )  # fmt: skip
    return everything.select(ends)


def with_informative(algorithm: Algorithm, interventions: Interventions) -> Interventions:
    """The same interventions with `changes_base` and `informative` computed."""
    changes_base = is_inconsistent_with(algorithm, interventions.base.values, interventions)
    informative = changes_base
    for source in interventions.sources:
        informative = informative & is_inconsistent_with(algorithm, source.values, interventions)
    return replace(interventions, changes_base=changes_base, informative=informative)


def draw_cause(
    algorithm: Algorithm,
    variables: Iterable[str],
    count: int,
    generator: Generator,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
) -> Interventions | None:
    """Interventions whose base and source differ in the variables alone: they fail only if the value does not arrive.

    For the arguments and errors see `draw_interventions`. In each, the counterfactual is inconsistent with the base.

    Returns:
        The interventions (cause in the sense of RAVEL, Huang et al. 2024); `None` where no two stops are such a pair.
    """
    return _draw_pairs(algorithm, variables, count, generator, protocol, cause=True)


def draw_isolation(
    algorithm: Algorithm,
    variables: Iterable[str],
    count: int,
    generator: Generator,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
) -> Interventions | None:
    """Interventions whose base and source agree on the variables and differ in the rest, so nothing must change.

    They fail only if the swap brings something else along. In each, the counterfactual is inconsistent with the source.
    For the rest see `draw_cause`. A swap of the whole state has perfect cause and no isolation, a swap that does
    nothing the reverse.
    """
    return _draw_pairs(algorithm, variables, count, generator, protocol, cause=False)


def _draw_pairs(
    algorithm: Algorithm,
    variables: Iterable[str],
    count: int,
    generator: Generator,
    protocol: InterventionProtocol,
    *,
    cause: bool,
) -> Interventions | None:
    variables = algorithm.check_variables(variables)
    if not variables or count < 1:
        raise InvalidArgumentError(f"at least one variable and one intervention, got {list(variables)} and {count}")
    everything = [variable.name for variable in algorithm.variables]
    parts, have = [], 0
    for _ in range(MAX_ROUNDS):
        pool = draw_interventions(algorithm, everything, max(count, DRAWN_AT_ONCE), generator, protocol)
        pairs = _possible_pairs(pool, variables, cause=cause)
        rows = pairs.any(1).nonzero()[:, 0]
        if len(rows):
            partner = torch.multinomial(pairs[rows].float(), 1, generator=generator)[:, 0]
            base, source = pool.base.select(rows), pool.sources[0].select(partner)
            swapped = {**base.values, **{name: source.values[name] for name in variables}}
            extra = protocol.draw_extra(algorithm, len(rows), generator)
            continuation = protocol.continue_from(algorithm, swapped, extra, generator)
            paired = swap_interventions(variables, base, source, continuation)
            unchanged = (paired.base if cause else paired.sources[0]).values
            parts.append(paired.select(is_inconsistent_with(algorithm, unchanged, paired)))
            have += len(parts[-1])
        if have >= count:
            return join_interventions(parts).select(torch.arange(have) < count)
    return None


def _possible_pairs(pool: Interventions, variables: tuple[str, ...], *, cause: bool) -> Bool[Tensor, "bases sources"]:
    """Which base may have which source: equal in all but the variables (cause), or equal in the variables."""
    agree = rest = torch.ones(len(pool), len(pool), dtype=torch.bool)
    for name, column in pool.base.values.items():
        same = column[:, None] == pool.sources[0].values[name][None, :]
        if name in variables:
            agree = agree & same
        else:
            rest = rest & same
    return rest & ~agree if cause else agree & ~rest
