"""The laws of tasks."""

from itertools import pairwise

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.checks.laws import Laws
from symscope.seeds import generator
from symscope.tasks import Task, TokenBatch

EACH = 30
"""TokenBatch drawn of each quantity."""


def check_task(task: Task, *, seed: int = 0) -> None:
    """Draws sequences of every quantity and holds them to the laws of `Task`.

    Raises:
        BrokenLawError: which law is broken, and by which sequence.
    """
    laws = Laws(f"task {task.name!r}")
    quantities = torch.tensor(task.quantities).repeat(EACH)
    with laws.nothing_else_changes("draw", quantities=quantities):
        drawn = task.draw(quantities, generator(seed, "check"))
    same = task.draw(quantities, generator(seed, "check"))
    laws.hold(
        drawn.tokens.shape == same.tokens.shape and torch.equal(drawn.tokens, same.tokens),
        "a seed fixes what is drawn",
    )
    _layout(laws, task, quantities, drawn)
    _determined(laws, task, drawn)
    _remaining(laws, task, drawn)
    _environment(laws, task, drawn, seed)


def _layout(laws: Laws, task: Task, quantities: Int[Tensor, " batch"], drawn: TokenBatch) -> None:
    vocabulary, (batch, time) = task.vocabulary, drawn.tokens.shape
    laws.hold(batch == len(quantities), "draw gives one sequence for each quantity", f"{batch} for {len(quantities)}")
    laws.shape("tokens", drawn.tokens, (batch, time), torch.long)
    laws.shape("lengths", drawn.lengths, (batch,), torch.long)
    laws.shape("determined", drawn.determined, (batch, time), torch.bool)
    laws.hold(torch.equal(drawn.quantities, quantities), "a sequence is about the quantity that was asked for")
    laws.hold(
        (drawn.tokens >= 0) & (drawn.tokens < len(vocabulary)),
        f"tokens are ids of the vocabulary, 0..{len(vocabulary) - 1}",
    )
    place, last = torch.arange(time)[None, :], drawn.lengths[:, None] - 1
    for token, name, where in (
        (vocabulary.bos, "BOS", place == 0),
        (vocabulary.eos, "EOS", place == last),
        (vocabulary.pad, "PAD", place > last),
    ):
        here = {"BOS": "first", "EOS": "last", "PAD": "after the last"}[name]
        laws.hold(
            (drawn.tokens == token) == where,
            f"{name} stands {here} and nowhere else",
            _shown(task, drawn, ((drawn.tokens == token) != where).any(1)),
        )
    laws.hold(
        ~(drawn.determined & ((place > last) | (place == 0))),
        "BOS and padding are not determined",
        _shown(task, drawn, (drawn.determined & ((place > last) | (place == 0))).any(1)),
    )
    scored = drawn.determined.any(1)
    laws.hold(scored, "every sequence has a token that is determined, or nothing of it could be scored",
              _shown(task, drawn, ~scored))  # fmt: skip


def _determined(laws: Laws, task: Task, drawn: TokenBatch) -> None:
    """Among sequences that begin alike, what is determined is the same token in all."""
    beginning = torch.zeros(len(drawn), dtype=torch.long)
    for place in range(1, drawn.tokens.shape[1]):
        _, beginning = torch.unique(beginning * len(task.vocabulary) + drawn.tokens[:, place - 1], return_inverse=True)
        groups = int(beginning.max()) + 1
        determined, token = drawn.determined[:, place], drawn.tokens[:, place]
        least = torch.full((groups,), len(task.vocabulary)).scatter_reduce(0, beginning, token, "amin")
        most = torch.zeros(groups, dtype=torch.long).scatter_reduce(0, beginning, token, "amax")
        broken = determined & (least != most)[beginning]
        laws.hold(
            ~broken,
            "a determined token follows from those before it: all sequences that begin alike have it",
            f"position {place} is determined and has another token in a sequence that begins alike: "
            + _shown(task, drawn, broken),
        )
        also = torch.zeros(groups, dtype=torch.long).scatter_reduce(0, beginning, determined.long(), "amax").bool()
        broken = also[beginning] & ~determined
        laws.hold(
            ~broken,
            "whether a token is determined follows from those before it",
            f"position {place} is free, and determined in a sequence that begins alike: " + _shown(task, drawn, broken),
        )


def _remaining(laws: Laws, task: Task, drawn: TokenBatch) -> None:
    later = [
        task.remaining_demo_tokens(drawn, torch.minimum(torch.tensor(place), drawn.lengths - 1)) for place in (1, 2, 3)
    ]
    later.append(task.remaining_demo_tokens(drawn, drawn.lengths - 1))
    for counts in later:
        laws.shape("remaining", counts, (len(drawn),), torch.long)
        laws.hold(counts >= 0, "remaining counts demo tokens: at least 0")
    for earlier, after in pairwise(later):
        laws.hold(after <= earlier, "remaining does not grow along a sequence", _shown(task, drawn, after > earlier))
    laws.hold(later[-1] == 0, "nothing remains at the end of a sequence", _shown(task, drawn, later[-1] != 0))


def _environment(laws: Laws, task: Task, drawn: TokenBatch, seed: int) -> None:
    free = torch.zeros(len(task.vocabulary), dtype=torch.bool)
    place = torch.arange(drawn.tokens.shape[1])[None, :]
    after_bos = (place > 0) & (place < drawn.lengths[:, None])
    free[drawn.tokens[after_bos & ~drawn.determined]] = True
    if not free.any():
        return
    allowed, remaining = free.repeat(200, 1), torch.arange(4).repeat(50)
    with laws.nothing_else_changes("environment", allowed=allowed, remaining=remaining):
        token, left = task.sample_free_tokens(allowed, remaining, generator(seed, "environment"))
    same, _ = task.sample_free_tokens(allowed, remaining, generator(seed, "environment"))
    laws.shape("a draw of the environment", token, (200,), torch.long)
    laws.shape("what remains after a draw", left, (200,), torch.long)
    laws.hold(torch.equal(token, same), "a seed fixes what the environment draws")
    laws.hold(
        allowed.gather(1, token.clamp(0, len(free) - 1)[:, None])[:, 0],
        "the environment draws one of the tokens that may come",
        f"allowed were {', '.join(task.vocabulary.decode(free.nonzero()[:, 0].tolist()))}",
    )
    laws.hold((left >= 0) & (left <= remaining), "a draw leaves no more demo tokens than remained, and at least 0")


def _shown(task: Task, drawn: TokenBatch, wrong: Bool[Tensor, " batch"]) -> str:
    """The first sequence that is wrong, in words."""
    if not wrong.any():
        return ""
    row = int(wrong.nonzero()[0])
    names = task.vocabulary.decode(drawn.tokens[row, : max(int(drawn.lengths[row]), 1)].tolist())
    marked = [f"[{name}]" if known else name for name, known in zip(names, drawn.determined[row], strict=False)]
    return f"sequence {row}, of quantity {int(drawn.quantities[row])} (determined in brackets): {' '.join(marked)}"
