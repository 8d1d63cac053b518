"""Numeric equivalence: `BOS`, n demo tokens, trigger `T`, a response that depends on n, `EOS` (TMLR 2025, section 3.1).

The tasks of this family differ in their demo types, their response token and the length of the response. In the
variable-length variants, void tokens come between the demo tokens.
"""

import math
from collections.abc import Collection
from typing import Any, SupportsIndex, final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.tasks.base import MAX_CONTINUATION, Task, TokenBatch
from symscope.tasks.rules import EQUAL, SQUARE, ResponseRule, nearest_multiple, remainder
from symscope.tasks.vocabulary import Vocabulary

TRIGGER, VOID = "T", "V"
QUANTITIES = range(1, 21)
HELD_OUT = (4, 9, 14, 17)
OBJECTS = ("D1", "D2", "D3")
VOIDS = "-void"
"""End of the names of the variable-length variants."""
VOID_PROBABILITY = 0.2
"""Probability of a void in the variable-length variants of the paper."""


@final
class NumericTask(Task):
    """A task of the family of numeric equivalence, such as those that `multi_object` and `square` make.

    Args:
        name: the task's name.
        demo: names of the demo types; each demo token is drawn uniformly from them.
        response: name of the response token, which may be a demo type.
        rule: number of response tokens for n demo tokens.
        void_probability: before each demo token and before the trigger, a void token `V` comes with this probability,
            repeatedly; voids are not counted. Default: the vocabulary has no void token.
        quantities: the quantities of the task.
        held_out: the quantities that training excludes.

    Raises:
        InvalidArgumentError: as for `Task`, or no demo type, a demo type or response with the name of the trigger or
            the void, a probability outside 0 < p < 1, or sequences that are longer than symscope can generate.
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
        quantities: Collection[SupportsIndex] = QUANTITIES,
        held_out: Collection[SupportsIndex] = HELD_OUT,
    ) -> None:
        super().__init__(quantities, held_out)
        if not demo:
            raise InvalidArgumentError(f"task {name!r} needs at least one demo type")
        reserved = sorted({TRIGGER, VOID} & {*demo, response})
        if reserved:
            raise InvalidArgumentError(f"{reserved[0]!r} is the name of the trigger or the void; rename the token")
        if void_probability is not None and not 0 < void_probability < 1:
            raise InvalidArgumentError(
                f"the probability of a void must lie between 0 and 1, got {void_probability:g}: for no voids, use the "
                f"plain task {name.removesuffix(VOIDS)!r} without void_probability; with 1, nothing else ever comes"
            )
        self.name, self.rule, self.void_probability = name, rule, void_probability or 0.0
        self._check_lengths()
        voids = () if void_probability is None else (VOID,)
        self.vocabulary = Vocabulary(dict.fromkeys((*demo, TRIGGER, response, *voids)))
        self.demo = torch.tensor(self.vocabulary.encode(demo))
        self.trigger = self.vocabulary.id(TRIGGER)
        self.response = self.vocabulary.id(response)
        self.void = None if void_probability is None else self.vocabulary.id(VOID)

    @property
    def roles(self) -> dict[str, Any]:
        """The token ids by role, as the constructed networks take them: `magnitude_network(**task.roles)`."""
        return {
            "vocabulary": len(self.vocabulary),
            "demo": self.demo.tolist(),
            "trigger": self.trigger,
            "response": self.response,
            "eos": self.vocabulary.eos,
        }

    @property
    def longest_response(self) -> int:
        return int(self.rule.of(torch.tensor(self.quantities)).max())

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        self.check_quantities(quantities)
        trigger, voids = self._draw_positions(quantities, generator)
        end = trigger + self.rule.of(quantities) + 1
        position = torch.arange(int(end.max()) + 1)[None, :]
        tokens = torch.full((len(quantities), position.shape[1]), self.vocabulary.pad)
        demo_phase = tokens[:, : voids.shape[1]]  # a view of the columns up to the latest trigger
        demo_phase[:] = self._draw_demo_tokens(demo_phase.shape, generator)
        if self.void is not None:
            demo_phase[voids] = self.void
        tokens[:, 0] = self.vocabulary.bos
        after = position > trigger[:, None]
        tokens[position == trigger[:, None]] = self.trigger
        tokens.masked_fill_(after, self.response)
        tokens.masked_fill_(position > end[:, None], self.vocabulary.pad)
        tokens[position == end[:, None]] = self.vocabulary.eos
        return TokenBatch(tokens, end + 1, after & (position <= end[:, None]), quantities)

    def sample_free_tokens(
        self, next_token_mask: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """Draws demo tokens while some remain, then the trigger, with voids before each of them."""
        demo = self._draw_demo_tokens(remaining.shape, generator)
        tokens, after = torch.where(remaining > 0, demo, self.trigger), (remaining - 1).clamp(min=0)
        if self.void is None:
            return tokens, after
        voids = torch.rand(remaining.shape, generator=generator) < self.void_probability
        return torch.where(voids, self.void, tokens), torch.where(voids, remaining, after)

    def named_position(self, name: str, sequences: TokenBatch) -> Int[Tensor, " batch"]:
        """The position of the trigger (`"trigger"`) or of the last demo token before it (`"last-demo"`)."""
        if name not in self.named_positions:
            return super().named_position(name, sequences)
        trigger = self._trigger_positions(sequences)
        if name == "trigger":
            return trigger
        position = torch.arange(sequences.tokens.shape[1])
        demo = torch.isin(sequences.tokens, self.demo) & (position < trigger[:, None])
        return (demo * position).amax(1)

    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        trigger = self._trigger_positions(sequences)
        position = torch.arange(sequences.tokens.shape[1])[None, :]
        later = (position > positions[:, None]) & (position < trigger[:, None])
        return (later & torch.isin(sequences.tokens, self.demo)).sum(1)

    def _trigger_positions(self, sequences: TokenBatch) -> Int[Tensor, " batch"]:
        """The position of the trigger; `InvalidArgumentError` if a sequence has none."""
        triggers = sequences.tokens == self.trigger
        without = (~triggers.any(1)).nonzero()
        if len(without):
            row = int(without[0])
            names = self.vocabulary.decode(sequences.tokens[row].tolist())
            raise InvalidArgumentError(f"sequence {row} has no trigger {TRIGGER!r}: {' '.join(names)}")
        return triggers.int().argmax(1)

    def _check_lengths(self) -> None:
        def tokens_after_bos(quantities: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
            return quantities + self.rule.of(quantities) + 2  # and the trigger and EOS

        every = torch.arange(1, MAX_CONTINUATION)
        fits = tokens_after_bos(every) <= MAX_CONTINUATION
        largest = int(every[fits].max()) if fits.any() else 0
        self.check_length(int(tokens_after_bos(torch.tensor(self.quantities)).max()), largest)

    def _draw_positions(
        self, quantities: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Bool[Tensor, "batch time"]]:
        """Draws where the trigger and the voids of each sequence come.

        Returns:
            The position of each trigger, and where voids come, up to the latest trigger. The second tensor is also
            true at positions after a sequence's own trigger, where it has no meaning.
        """
        emission = torch.arange(int(quantities.max()) + 1)[None, :]  # number n is the trigger
        if self.void is None:
            trigger = quantities + 1
            return trigger, torch.zeros(len(trigger), int(trigger.max()) + 1, dtype=torch.bool)
        # The number of voids before each emission has probabilities p^k (1 - p), by inversion; 1 - rand is never 0.
        uniform = 1 - torch.rand(len(quantities), emission.shape[1], generator=generator, dtype=torch.float64)
        at = 1 + emission + (uniform.log() / math.log(self.void_probability)).long().cumsum(1)
        trigger = at.gather(1, quantities[:, None])
        voids = torch.ones(len(quantities), int(trigger.max()) + 1, dtype=torch.bool)
        return trigger[:, 0], voids.scatter_(1, torch.minimum(at, trigger), value=False)

    def _draw_demo_tokens(self, shape: torch.Size, generator: Generator) -> Int[Tensor, "*shape"]:
        return self.demo[torch.randint(len(self.demo), shape, generator=generator)]


def multi_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Multi-Object: three demo types and a separate response token; n responses."""
    return _member("multi-object", OBJECTS, "R", EQUAL, void_probability, quantities, held_out)


def single_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Single-Object: one demo type and a separate response token; n responses."""
    return _member("single-object", ("D",), "R", EQUAL, void_probability, quantities, held_out)


def same_object(
    *,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Same-Object: one token `C` is both the demo type and the response token; n responses."""
    return _member("same-object", ("C",), "C", EQUAL, void_probability, quantities, held_out)


def modulo(
    *,
    modulus: SupportsIndex = 4,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with n mod `modulus` responses, which may be none."""
    return _member("modulo", OBJECTS, "R", remainder(modulus), void_probability, quantities, held_out)


def rounding(
    *,
    multiple: SupportsIndex = 3,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with n rounded to a multiple of `multiple` as the number of responses; none for n = 1."""
    return _member("rounding", OBJECTS, "R", nearest_multiple(multiple), void_probability, quantities, held_out)


def square(
    *,
    void_probability: float | None = None,
    quantities: Collection[SupportsIndex] = QUANTITIES,
    held_out: Collection[SupportsIndex] = HELD_OUT,
) -> NumericTask:
    """Multi-Object with n squared responses."""
    return _member("square", OBJECTS, "R", SQUARE, void_probability, quantities, held_out)


def _member(
    name: str,
    demo: Collection[str],
    response: str,
    rule: ResponseRule,
    void_probability: float | None,
    quantities: Collection[SupportsIndex],
    held_out: Collection[SupportsIndex],
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
