"""Numeric equivalence: `BOS`, n demo tokens, trigger `T`, as many response tokens, `EOS` (TMLR 2025, section 3.1).

The members differ in which tokens show the quantity and which answer it; leaving voids among the demo tokens is
an option of each.
"""

from collections.abc import Collection
from typing import Any, final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.tasks.base import Sequences, Task
from symscope.tasks.vocabulary import Vocabulary

TRIGGER = "T"
QUANTITIES = range(1, 21)
HELD_OUT = (4, 9, 14, 17)


@final
class NumericTask(Task):
    """The family of numeric equivalence; build its members with `multi_object` and its neighbours.

    Args:
        name: the member's name.
        demo: names of the demo types; at each step one is drawn uniformly.
        response: name of the response token; it may be a demo type as well.
        quantities: the quantities that the task is about.
        held_out: those that training never shows.

    Raises:
        InvalidArgumentError: no quantities, none below 1 allowed, or hold-outs that leave nothing to train on.
    """

    def __init__(
        self,
        name: str,
        demo: Collection[str],
        response: str,
        *,
        quantities: Collection[int] = QUANTITIES,
        held_out: Collection[int] = HELD_OUT,
    ) -> None:
        super().__init__(quantities, held_out)
        if not demo:
            raise InvalidArgumentError(f"task {name!r} needs at least one demo type")
        self.name = name
        self.vocabulary = Vocabulary(dict.fromkeys((*demo, TRIGGER, response)))
        self.demo = torch.tensor(self.vocabulary.encode(demo))
        self.trigger = self.vocabulary.id(TRIGGER)
        self.response = self.vocabulary.id(response)

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

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> Sequences:
        """See `Task.draw`."""
        if len(quantities) == 0:
            raise InvalidArgumentError("a batch holds at least one sequence, got no quantities")
        if int(quantities.min()) < 1:
            raise InvalidArgumentError(f"quantities start at 1, got {int(quantities.min())}")
        n = quantities[:, None]
        lengths = 2 * quantities + 3
        place = torch.arange(int(lengths.max()))[None, :]
        tokens = torch.full((len(quantities), place.shape[1]), self.vocabulary.pad)
        tokens[:, 0] = self.vocabulary.bos
        shown = (place >= 1) & (place <= n)
        tokens = torch.where(shown, self._demo_tokens(tokens.shape, generator), tokens)
        tokens[place == n + 1] = self.trigger
        tokens[(place > n + 1) & (place < 2 * n + 2)] = self.response
        tokens[place == 2 * n + 2] = self.vocabulary.eos
        determined = (place > n + 1) & (place <= 2 * n + 2)
        return Sequences(tokens, lengths, determined, quantities)

    def environment(
        self, allowed: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        """See `Task.environment`: demo tokens while any remain, then the trigger."""
        shown = self._demo_tokens(remaining.shape, generator)
        tokens = torch.where(remaining > 0, shown, self.trigger)
        return tokens, (remaining - 1).clamp(min=0)

    def remaining(self, sequences: Sequences, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """See `Task.remaining`."""
        trigger = (sequences.tokens == self.trigger).int().argmax(1)
        place = torch.arange(sequences.tokens.shape[1])[None, :]
        later = (place > positions[:, None]) & (place < trigger[:, None])
        return (later & torch.isin(sequences.tokens, self.demo)).sum(1)

    def _demo_tokens(self, shape: torch.Size, generator: Generator) -> Int[Tensor, "*shape"]:
        return self.demo[torch.randint(len(self.demo), shape, generator=generator)]


def multi_object(*, quantities: Collection[int] = QUANTITIES, held_out: Collection[int] = HELD_OUT) -> NumericTask:
    """Multi-Object: three demo types, drawn uniformly at each step, and a response token of its own."""
    return NumericTask("multi-object", ("D1", "D2", "D3"), "R", quantities=quantities, held_out=held_out)
