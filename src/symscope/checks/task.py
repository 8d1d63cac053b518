"""The laws of tasks."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.checks.laws import Laws
from symscope.seeds import generator
from symscope.tasks import MAX_CONTINUATION, Task, TokenBatch

EACH = 30
"""Number of sequences drawn for each quantity."""


def check_task(task: Task, *, seed: int = 0) -> None:
    """Draws sequences of every quantity of a task and checks the laws of `Task` on them.

    Args:
        task: the task.
        seed: of the draws.

    Raises:
        BrokenLawError: the task breaks a law; the message names the law and a sequence that breaks it.
    """
    laws = Laws(f"task {task.name!r}")
    quantities = torch.tensor(task.quantities).repeat(EACH)
    with laws.nothing_else_changes("draw", quantities=quantities):
        drawn = task.draw(quantities, generator(seed, "check"))
    same = task.draw(quantities, generator(seed, "check"))
    laws.hold(
        drawn.tokens.shape == same.tokens.shape and torch.equal(drawn.tokens, same.tokens),
        "two draws with the same seed are equal",
    )
    _layout(laws, task, quantities, drawn)
    _determined(laws, task, drawn)
    _remaining(laws, task, drawn)
    _free_tokens(laws, task, drawn, seed)


def _layout(laws: Laws, task: Task, quantities: Int[Tensor, " batch"], drawn: TokenBatch) -> None:
    vocabulary, (batch, time) = task.vocabulary, drawn.tokens.shape
    laws.hold(batch == len(quantities), "draw returns one sequence for each quantity", f"{batch} for {len(quantities)}")
    laws.shape("tokens", drawn.tokens, (batch, time), torch.long)
    laws.shape("lengths", drawn.lengths, (batch,), torch.long)
    laws.shape("determined", drawn.determined, (batch, time), torch.bool)
    laws.hold(torch.equal(drawn.quantities, quantities), "a sequence has the requested quantity")
    laws.hold(
        (drawn.tokens >= 0) & (drawn.tokens < len(vocabulary)),
        f"tokens are ids of the vocabulary, 0..{len(vocabulary) - 1}",
    )
    position, last = torch.arange(time)[None, :], drawn.lengths[:, None] - 1
    for token, law, expected in (
        (vocabulary.bos, "BOS is the first token and occurs nowhere else", position == 0),
        (vocabulary.eos, "EOS is the last token and occurs nowhere else", position == last),
        (vocabulary.pad, "PAD follows the last token and occurs nowhere else", position > last),
    ):
        broken = ((drawn.tokens == token) != expected).any(1)
        laws.hold(~broken, law, _describe(task, drawn, broken))
    broken = (drawn.determined & ((position > last) | (position == 0))).any(1)
    laws.hold(~broken, "BOS and padding are not determined", _describe(task, drawn, broken))
    broken = ~drawn.determined.any(1)
    laws.hold(~broken, "every sequence has a determined token, by which it is scored", _describe(task, drawn, broken))
    longest = int(drawn.lengths.max()) - 1
    laws.hold(
        longest <= MAX_CONTINUATION,
        f"a sequence has at most {MAX_CONTINUATION:,} tokens after BOS, the limit of symscope after an intervention",
        f"there is a sequence with {longest:,}; choose smaller quantities",
    )


def _determined(laws: Laws, task: Task, drawn: TokenBatch) -> None:
    """Compares the sequences with equal beginnings: a determined token is the same in all of them."""
    beginning = torch.zeros(len(drawn), dtype=torch.long)
    for position in range(1, drawn.tokens.shape[1]):
        before = drawn.tokens[:, position - 1]
        _, beginning = torch.unique(beginning * len(task.vocabulary) + before, return_inverse=True)
        groups = int(beginning.max()) + 1
        determined, token = drawn.determined[:, position], drawn.tokens[:, position]
        low = torch.full((groups,), len(task.vocabulary)).scatter_reduce(0, beginning, token, "amin")
        high = torch.zeros(groups, dtype=torch.long).scatter_reduce(0, beginning, token, "amax")
        broken = determined & (low != high)[beginning]
        laws.hold(
            ~broken,
            "a determined token is the same in all sequences with the same beginning",
            f"the token at position {position} is determined, but differs in a sequence with the same beginning: "
            + _describe(task, drawn, broken),
        )
        somewhere = torch.zeros(groups, dtype=torch.long).scatter_reduce(0, beginning, determined.long(), "amax").bool()
        broken = somewhere[beginning] & ~determined
        laws.hold(
            ~broken,
            "whether a token is determined is the same in all sequences with the same beginning",
            f"the token at position {position} is free, but determined in a sequence with the same beginning: "
            + _describe(task, drawn, broken),
        )


def _remaining(laws: Laws, task: Task, drawn: TokenBatch) -> None:
    last = drawn.lengths - 1
    counts = [task.remaining_demo_tokens(drawn, last.clamp(max=position)) for position in (1, 2, 3)]
    counts.append(task.remaining_demo_tokens(drawn, last))
    for count in counts:
        laws.shape("remaining_demo_tokens", count, (len(drawn),), torch.long)
        laws.hold(count >= 0, "remaining_demo_tokens is at least 0", _describe(task, drawn, count < 0))
    for earlier, later in pairwise(counts):
        broken = later > earlier
        laws.hold(~broken, "remaining_demo_tokens does not grow along a sequence", _describe(task, drawn, broken))
    broken = counts[-1] != 0
    laws.hold(~broken, "remaining_demo_tokens is 0 at the end of a sequence", _describe(task, drawn, broken))


def _free_tokens(laws: Laws, task: Task, drawn: TokenBatch, seed: int) -> None:
    free = torch.zeros(len(task.vocabulary), dtype=torch.bool)
    position = torch.arange(drawn.tokens.shape[1])[None, :]
    after_bos = (position > 0) & (position < drawn.lengths[:, None])
    free[drawn.tokens[after_bos & ~drawn.determined]] = True
    if not free.any():
        return
    mask, remaining = free.repeat(200, 1), torch.arange(4).repeat(50)
    with laws.nothing_else_changes("sample_free_tokens", next_token_mask=mask, remaining=remaining):
        tokens, after = task.sample_free_tokens(mask, remaining, generator(seed, "environment"))
    same, _ = task.sample_free_tokens(mask, remaining, generator(seed, "environment"))
    laws.shape("the sample of free tokens", tokens, (200,), torch.long)
    laws.shape("the number of demo tokens that remain after them", after, (200,), torch.long)
    laws.hold(torch.equal(tokens, same), "two samples of free tokens with the same seed are equal")
    laws.hold(
        mask.gather(1, tokens.clamp(0, len(free) - 1)[:, None])[:, 0],
        "a sample of free tokens contains only tokens that may come next",
        f"these are {', '.join(task.vocabulary.decode(free.nonzero()[:, 0].tolist()))}",
    )
    laws.hold(
        (after >= 0) & (after <= remaining),
        "after a free token, as many demo tokens remain as before or fewer, and at least 0",
    )


def _describe(task: Task, drawn: TokenBatch, broken: Bool[Tensor, " batch"]) -> str:
    """Text of the first sequence that breaks a law."""
    if not broken.any():
        return ""
    row = int(broken.nonzero()[0])
    names = task.vocabulary.decode(drawn.tokens[row, : max(int(drawn.lengths[row]), 1)].tolist())
    marked = [f"[{name}]" if known else name for name, known in zip(names, drawn.determined[row], strict=False)]
    return (
        f"sequence {row} of quantity {int(drawn.quantities[row])} (determined tokens in brackets): {' '.join(marked)}"
    )
