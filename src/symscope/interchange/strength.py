"""The strength-value test: does a one-layer NoPE transformer count by summing +1 for a demo token, -1 for a response?

Without position encoding, what a token gives to the attention sum of a one-layer transformer depends on the token
alone. If the sum over the context is the count (Ctx-Distr), then one demo token's contribution more makes `EOS` come
exactly one response later, one response's more makes it come one earlier, and either taken out does the opposite
(TMLR 2025, strength values).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks import Transformer
from symscope.tasks import NumericTask

CHANGES = {"added": 2.0, "removed": 0.0}
"""How often a changed contribution counts."""
MARGIN = 4
"""Responses that are fed beyond the last that can be due."""


@dataclass(frozen=True)
class Strength:
    """What one change of the attention sum did."""

    token: str
    """Whose contribution: `demo` or `resp`."""
    change: str
    """`added` once more, or `removed`."""
    expected: int
    """How far `EOS` moves if each demo token counts +1 and each response -1."""
    moved: Int[Tensor, " trials"]
    """How far `EOS` moved, in responses; where it ended."""
    ended: Bool[Tensor, " trials"]
    """Whether `EOS` came, after responses alone, with and without the change."""

    @property
    def exact(self) -> Bool[Tensor, " trials"]:
        """Where `EOS` moved by exactly what was expected."""
        return self.ended & (self.moved == self.expected)


@torch.no_grad()
def strength_test(network: Transformer, task: NumericTask, trials: int, generator: Generator) -> list[Strength]:
    """Adds or takes out the contribution of one demo token, or of the first response, in every attention sum.

    Each trial has a quantity of the task, drawn uniformly, and one of its demo tokens. Quantities leave room to move:
    neither the smallest nor the largest of the task is drawn.

    Args:
        network: a transformer of one layer, without position encoding.
        task: one that answers n demo tokens with n responses.
        trials: how many, of each change.
        generator: draws them.

    Raises:
        InvalidArgumentError: the network has more layers or positions, or the task answers otherwise.
    """
    if len(network.layers) != 1 or network.rope:
        raise InvalidArgumentError(
            "in the strength-value test a contribution depends on the token alone: that takes a transformer of one "
            f"layer without position encoding, got {network.architecture}"
        )
    quantities = torch.tensor(task.quantities)
    if not torch.equal(task.rule.of(quantities), quantities) or len(quantities) <= len(("smallest", "largest")):
        raise InvalidArgumentError(
            f"the test needs a task of three quantities or more, answered as they are: {task.name}"
        )
    drawn = task.draw_quantities(trials, generator, task.quantities[1:-1])
    tokens, trigger = _with_more_responses(task, drawn, generator)
    ones = torch.ones(tokens.shape)
    position = torch.arange(tokens.shape[1])
    demos = torch.isin(tokens, task.demo) & (position < trigger[:, None])
    which = torch.multinomial(demos.float(), 1, generator=generator)[:, 0]
    before, came = _end(network, task, tokens, trigger, ones)
    strengths = []
    for token, at, sign in (("demo", which, 1), ("resp", trigger + 1, -1)):
        for change, count in CHANGES.items():
            counts = ones.scatter(1, at[:, None], count)
            after, still = _end(network, task, tokens, trigger, counts)
            expected = sign if change == "added" else -sign
            strengths.append(Strength(token, change, expected, after - before, came & still))
    return strengths


def _with_more_responses(task: NumericTask, quantities: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Sequences up to the trigger, followed by more responses than can be due; and the position of the trigger."""
    sequences = task.draw(quantities, generator)
    trigger = task.named_position("trigger", sequences)
    time = int((trigger + quantities).max()) + MARGIN
    tokens = torch.full((len(quantities), time), task.response)
    width = min(time, sequences.tokens.shape[1])
    kept = torch.arange(width) <= trigger[:, None]
    tokens[:, :width] = torch.where(kept, sequences.tokens[:, :width], task.response)
    return tokens, trigger


def _end(
    network: Transformer, task: NumericTask, tokens: Tensor, trigger: Tensor, counts: Float[Tensor, "trials time"]
) -> tuple[Int[Tensor, " trials"], Bool[Tensor, " trials"]]:
    """After how many responses `EOS` is the network's first choice, and whether all before that were responses."""
    device = network.device
    features = network.features_counting(tokens.to(device), counts.to(device))
    choice = network.readout(features).argmax(-1).cpu()
    position = torch.arange(tokens.shape[1])
    stops = (choice != task.response) & (position >= trigger[:, None])
    first = stops.int().argmax(1)
    ended = stops.any(1) & (choice.gather(1, first[:, None])[:, 0] == task.vocabulary.eos)
    return first - trigger, ended
