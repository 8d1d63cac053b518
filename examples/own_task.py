"""A task of the user, with its algorithm: the response is as long as the larger of two groups is large.

    BOS A B B A B T R R R EOS

Run it with `python examples/own_task.py`; `docs/how-to/own-task.md` explains it step by step.
"""

from collections.abc import Collection
from typing import final

import torch
from jaxtyping import Bool, Int
from torch import Generator, Tensor

from symscope.algorithms import Algorithm, Category, Integer, Values
from symscope.interchange import draw_interventions
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.tasks import Task, TokenBatch, Vocabulary
from symscope.training import TrainingOptions, train

DEMO, RESP = 0, 1


@final
class LargerGroup(Task):
    """Members of two groups in random order, a trigger, and as many responses as the larger group has members."""

    name = "larger-group"

    def __init__(self, quantities: Collection[int] = range(1, 9), held_out: Collection[int] = (4,)) -> None:
        super().__init__(quantities, held_out)
        self.vocabulary = Vocabulary(["A", "B", "T", "R"])
        self.a, self.b, self.trigger, self.response = self.vocabulary.encode(["A", "B", "T", "R"])

    def draw(self, quantities: Int[Tensor, " batch"], generator: Generator) -> TokenBatch:
        self.check_quantities(quantities)
        larger, batch = quantities[:, None], len(quantities)
        smaller = (torch.rand(batch, 1, generator=generator) * (larger + 1)).long()  # from 0 to the size of the larger
        members = larger + smaller
        # In a random order of the members, the first `larger` of them are one group, and the next `smaller` the second.
        position = torch.arange(2 * int(larger.max()))[None, :]
        keys = torch.rand(batch, position.shape[1], generator=generator).masked_fill(position >= members, 2.0)
        rank = keys.argsort(1).argsort(1)
        a_is_larger = torch.rand(batch, 1, generator=generator) < 0.5
        groups = torch.where((rank < larger) == a_is_larger, self.a, self.b)

        trigger, end = members + 1, members + larger + 2
        position = torch.arange(int(end.max()) + 1)[None, :]
        tokens = groups.gather(1, (position - 1).clamp(0, groups.shape[1] - 1).expand(batch, -1))
        tokens[:, 0] = self.vocabulary.bos
        tokens[position == trigger] = self.trigger
        tokens[(position > trigger) & (position < end)] = self.response
        tokens[position == end] = self.vocabulary.eos
        tokens[position > end] = self.vocabulary.pad
        determined = (position > trigger) & (position <= end)
        return TokenBatch(tokens, end[:, 0] + 1, determined, quantities)

    def sample_free_tokens(
        self, next_token_mask: Bool[Tensor, "batch vocabulary"], remaining: Int[Tensor, " batch"], generator: Generator
    ) -> tuple[Int[Tensor, " batch"], Int[Tensor, " batch"]]:
        member = torch.where(torch.rand(remaining.shape, generator=generator) < 0.5, self.a, self.b)
        return torch.where(remaining > 0, member, self.trigger), (remaining - 1).clamp(min=0)

    def remaining_demo_tokens(self, sequences: TokenBatch, positions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        trigger = (sequences.tokens == self.trigger).int().argmax(1)
        return (trigger - 1 - positions).clamp(min=0)


@final
class CountBoth(Algorithm):
    """Counts the members of each group; a response subtracts 1 from both counts, and `EOS` follows if both are 0."""

    name = "count-both"
    variables = (Integer("a"), Integer("b"), Category("phase", ("demo", "resp")))

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        assert isinstance(task, LargerGroup)  # since `solves` is true
        token = torch.arange(len(task.vocabulary))
        self.a, self.b, self.trigger, self.response = task.a, task.b, task.trigger, task.response
        self.free = (token == task.a) | (token == task.b) | (token == task.trigger)
        self.answer, self.end = token == task.response, token == task.vocabulary.eos

    @classmethod
    def solves(cls, task: Task) -> bool:
        return isinstance(task, LargerGroup)

    def start(self, batch: int) -> Values:
        zero = torch.zeros(batch, dtype=torch.long)
        return {"a": zero, "b": zero, "phase": torch.full((batch,), DEMO)}

    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        resp = values["phase"] == RESP
        responses = ((tokens == self.response) & resp).long()
        return {
            "a": (values["a"] + ((tokens == self.a) & ~resp) - responses).clamp(min=0),
            "b": (values["b"] + ((tokens == self.b) & ~resp) - responses).clamp(min=0),
            "phase": torch.where(tokens == self.trigger, RESP, values["phase"]),
        }

    def next_token_mask(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        both_zero = (values["a"] == 0) & (values["b"] == 0)
        determined = torch.where(both_zero[:, None], self.end, self.answer)
        return torch.where((values["phase"] == RESP)[:, None], determined, self.free)

    def demo_tokens_counted(self, values: Values) -> Int[Tensor, " batch"]:
        return values["a"] + values["b"]


def main(epochs: int = 60) -> None:
    task = LargerGroup()
    algorithm = CountBoth(task)
    names = task.vocabulary.decode

    sequences = task.draw(torch.tensor([3]), generator(0, "example"))
    print("sequence:       ", *names(sequences.tokens[0].tolist()))
    for name, values in algorithm.run(sequences.tokens).items():
        print(f"  {name:<13} ", *values[0].tolist())

    drawn = draw_interventions(algorithm, ["a"], 1000, generator(0, "interventions"))
    base, source = drawn.base, drawn.sources[0]
    print("base:           ", *names(base.inputs[0, : base.position[0] + 1].tolist()))
    print("source:         ", *names(source.inputs[0, : source.position[0] + 1].tolist()))
    print("counterfactual: ", *names(drawn.targets[0, : drawn.lengths[0]].tolist()))

    network = make_network("gru", 24, len(task.vocabulary), generator(0, "network"))
    trained = train(network, task, 0, TrainingOptions(learning_rate=3e-3, batch=64, epochs=epochs, validate_every=5))
    last = trained.history[-1]
    print(f"trial accuracy of a GRU after {last.update} updates: {last.trained_accuracy:.0%}")


if __name__ == "__main__":
    main()
