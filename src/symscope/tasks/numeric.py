"""Numeric equivalence: `BOS`, n demo tokens, trigger `T`, a response that depends on n, `EOS` (TMLR 2025, section 3.1).

The members differ in which tokens show the quantity, which token answers it and how often; voids before the demo
tokens (the variable-length variants) are an option of each.
"""

import math
from collections.abc import Collection
from typing import Any, final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.tasks.base import Task, TokenBatch
from symscope.tasks.rules import EQUAL, SQUARE, ResponseRule, nearest_multiple, remainder
from symscope.tasks.vocabulary import Vocabulary

TRIGGER, VOID = "T", "V"
QUANTITIES = range(1, 21)
HELD_OUT = (4, 9, 14, 17)
OBJECTS = ("D1", "D2", "D3")
VOIDS = "-void"
"""Ends the names of the variable-length variants."""
VOID_PROBABILITY = 0.2
"""Of these variants in the paper."""


@final
class NumericTask(Task):
    """The family of numeric equivalence; build its members with `multi_object` and its neighbours.

    Args:
        name: the member's name.
        demo: names of the demo types; at each step one is drawn uniformly.
        response: name of the response token; it may be a demo type as well.
        rule: how many response tokens answer n demo tokens.
        void_probability: before every emission of the demo phase, the trigger included, a void token `V` comes with
            this probability, again and again; it is not counted. By default there are no voids and no such token.
        quantities: the quantities that the task is about.
        held_out: those that training never shows.

    Raises:
        InvalidArgumentError: no quantities, one below 1, hold-outs that leave nothing to train on, no demo type, a
            demo type or response called as the trigger or the void, or a probability outside 0 < p < 1.
    """

    named_positions = ("trigger", "last-demo")

    def __init__(
        self,
        name: str,
        demo: Collection[str],
        response: str,
        *,
        rule: ResponseRule = EQUAL,
        void_probability: float | None = None,
        quantities: Collection[int] = QUANTITIES,
        held_out: Collection[int] = HELD_OUT,
    ) -> None:
        super().__init__(quantities, held_out)
        if not demo:
            raise InvalidArgumentError(f"task {name!r} needs at least one demo type")
        taken = sorted({TRIGGER, VOID} & {*demo, response})
        if taken:
            raise InvalidArgumentError(f"{taken[0]!r} is the trigger's or the void's name; call the token otherwise")
        if void_probability is not None and not 0 < void_probability < 1:
            raise InvalidArgumentError(
                f"a void's probability lies between 0 and 1, got {void_probability:g}: at 0 there are none, which is "
                f"the plain task {name.removesuffix(VOIDS)!r} without void_probability; at 1 nothing else ever comes"
            )
        self.name, self.rule, self.void_probability = name, rule, void_probability or 0.0
        voids = () if void_probability is None else (VOID,)
        self.vocabulary = Vocabulary(dict.fromkeys((*demo, TRIGGER, response, *voids)))
        self.demo = torch.tensor(self.vocabulary.encode(demo))
        self.trigger = self.vocabulary.id(TRIGGER)
        self.response = self.vocabulary.id(response)
        self.void = None if void_probability is None else self.vocabulary.id(VOID)

    @property
    def roles(self) -> dict[str, Any]:
        """The token ids by role, for networks that are written by hand: `magnitude_network(**task.roles)`."""
        return {
            "vocabulary": len(self.vocabulary),
            "demo": self.demo.tolist(),
            "trigger": self.trigger,
            "response": self.response,
            "eos": self.vocabulary.eos,
        }

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        """See `Task.draw`."""
        self.check_quantities(quantities)
        trigger, voids = self._demo_phase(quantities, generator)
        end = trigger + self.rule.of(quantities) + 1
        place = torch.arange(int(end.max()) + 1)[None, :]
        tokens = torch.full((len(quantities), place.shape[1]), self.vocabulary.pad)
        shown = tokens[:, : voids.shape[1]]  # a view: BOS and the demo phases, up to the latest trigger
        shown[:] = self._demo_tokens(shown.shape, generator)
        if self.void is not None:
            shown[voids] = self.void
        tokens[:, 0] = self.vocabulary.bos
        after = place > trigger[:, None]
        tokens[place == trigger[:, None]] = self.trigger
        tokens.masked_fill_(after, self.response)
        tokens.masked_fill_(place > end[:, None], self.vocabulary.pad)
        tokens[place == end[:, None]] = self.vocabulary.eos
        return TokenBatch(tokens, end + 1, after & (place <= end[:, None]), quantities)

    def sample_free_tokens(
        self, allowed: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """See `Task.sample_free_tokens`: demo tokens while any remain, then the trigger, voids before each."""
        shown = self._demo_tokens(remaining.shape, generator)
        tokens, after = torch.where(remaining > 0, shown, self.trigger), (remaining - 1).clamp(min=0)
        if self.void is None:
            return tokens, after
        voids = torch.rand(remaining.shape, generator=generator) < self.void_probability
        return torch.where(voids, self.void, tokens), torch.where(voids, remaining, after)

    def named_position(self, name: str, sequences: TokenBatch) -> Int[Tensor, " batch"]:
        """See `Task.named_position`: the trigger, and the last demo token before it."""
        if name not in self.named_positions:
            return super().named_position(name, sequences)
        trigger = (sequences.tokens == self.trigger).int().argmax(1)
        if name == "trigger":
            return trigger
        place = torch.arange(sequences.tokens.shape[1])
        shown = torch.isin(sequences.tokens, self.demo) & (place < trigger[:, None])
        return (shown * place).amax(1)

    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """See `Task.remaining_demo_tokens`.

        Raises:
            InvalidArgumentError: a sequence has no trigger.
        """
        triggers = sequences.tokens == self.trigger
        without = (~triggers.any(1)).nonzero()
        if len(without):
            shown = self.vocabulary.decode(sequences.tokens[int(without[0])].tolist())
            raise InvalidArgumentError(f"sequence {int(without[0])} has no trigger {TRIGGER!r}: {' '.join(shown)}")
        trigger = triggers.int().argmax(1)
        place = torch.arange(sequences.tokens.shape[1])[None, :]
        later = (place > positions[:, None]) & (place < trigger[:, None])
        return (later & torch.isin(sequences.tokens, self.demo)).sum(1)

    def _demo_phase(
        self, quantities: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Bool[Tensor, "batch time"]]:
        """Where each trigger comes, and where voids do (true also where it does not matter), up to the last trigger."""
        emission = torch.arange(int(quantities.max()) + 1)[None, :]  # the one numbered n is the trigger
        if self.void is None:
            trigger = quantities + 1
            return trigger, torch.zeros(len(trigger), int(trigger.max()) + 1, dtype=torch.bool)
        # How many voids come before each: p^k (1 - p), by inversion; 1 - rand is never 0.
        uniform = 1 - torch.rand(len(quantities), emission.shape[1], generator=generator, dtype=torch.float64)
        at = 1 + emission + (uniform.log() / math.log(self.void_probability)).long().cumsum(1)
        trigger = at.gather(1, quantities[:, None])
        voids = torch.ones(len(quantities), int(trigger.max()) + 1, dtype=torch.bool)
        return trigger[:, 0], voids.scatter_(1, torch.minimum(at, trigger), value=False)

    def _demo_tokens(self, shape: torch.Size, generator: Generator) -> Int[Tensor, "*shape"]:
        return self.demo[torch.randint(len(self.demo), shape, generator=generator)]


def multi_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Multi-Object: three demo types, drawn uniformly at each step, and a response token of its own."""
    return _member("multi-object", OBJECTS, "R", EQUAL, void_probability, quantities, held_out)


def single_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Single-Object: one demo type, and a response token of its own."""
    return _member("single-object", ("D",), "R", EQUAL, void_probability, quantities, held_out)


def same_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Same-Object: one token `C` both shows the quantity and answers it."""
    return _member("same-object", ("C",), "C", EQUAL, void_probability, quantities, held_out)


def modulo(
    *,
    modulus: int = 4,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with n mod 4 responses; there are none where that is 0."""
    return _member("modulo", OBJECTS, "R", remainder(modulus), void_probability, quantities, held_out)


def rounding(
    *,
    multiple: int = 3,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with as many responses as the multiple of 3 nearest to n; there are none for n = 1."""
    return _member("rounding", OBJECTS, "R", nearest_multiple(multiple), void_probability, quantities, held_out)


def square(
    *,
    void_probability: float | None = None,
    quantities: Collection[int] = QUANTITIES,
    held_out: Collection[int] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with n squared responses."""
    return _member("square", OBJECTS, "R", SQUARE, void_probability, quantities, held_out)


def _member(
    name: str,
    demo: Collection[str],
    response: str,
    rule: ResponseRule,
    void_probability: float | None,
    quantities: Collection[int],
    held_out: Collection[int],
) -> NumericTask:
    return NumericTask(
        name if void_probability is None else name + VOIDS,
        demo,
        response,
        rule=rule,
        void_probability=void_probability,
        quantities=quantities,
        held_out=held_out,
    )
