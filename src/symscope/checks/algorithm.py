"""The laws of algorithms."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.algorithms import Algorithm, Category, Integer, Real, Values, Variable
from symscope.checks.laws import Laws
from symscope.errors import InvalidArgumentError
from symscope.interchange import Interventions, draw_interventions, is_inconsistent_with
from symscope.seeds import generator
from symscope.tasks import TokenBatch

EACH = 5
"""Number of sequences drawn for each quantity."""
SWAPS = 300
"""Number of interventions drawn on each variable."""


def check_algorithm(algorithm: Algorithm, *, seed: int = 0) -> None:
    """Runs an algorithm on sequences of its task and through interventions, and checks the laws of `Algorithm`.

    Args:
        algorithm: the algorithm, for its task.
        seed: of the draws.

    Raises:
        BrokenLawError: the algorithm breaks a law; the message names the law and where it is broken.
    """
    laws = Laws(f"algorithm {algorithm.name!r} on task {algorithm.task.name!r}")
    names = [variable.name for variable in algorithm.variables]
    laws.hold(bool(names), "an algorithm has at least one variable")
    laws.hold(len(set(names)) == len(names), "variables have different names", f"they are {names}")
    task = algorithm.task
    drawn = task.draw(torch.tensor(task.quantities).repeat(EACH), generator(seed, "check"))
    _form(laws, algorithm, drawn)
    values = _over_time(algorithm, drawn.tokens)
    _ranges(laws, algorithm, values, drawn)
    _solves(laws, algorithm, values, drawn)
    _counts(laws, algorithm, values, drawn)
    _single_rows(laws, algorithm, values, drawn)
    for name in names:
        _swaps(laws, algorithm, name, seed)


def _dtype(variable: Variable) -> torch.dtype:
    return torch.float64 if isinstance(variable, Real) else torch.long


def _over_time(algorithm: Algorithm, tokens: Int[Tensor, "batch time"]) -> Values:
    """The states that `Algorithm.run` returns, also for sequences that it refuses."""
    values, after = algorithm.start(len(tokens)), []
    for token in tokens.unbind(1):
        values = algorithm.step(values, token)
        after.append(values)
    return {name: torch.stack([step[name] for step in after], 1) for name in values}


def _form(laws: Laws, algorithm: Algorithm, drawn: TokenBatch) -> None:
    """Shapes, types and names of arguments and results; methods keep no state and change no argument."""
    batch, size = len(drawn), len(algorithm.task.vocabulary)
    values = algorithm.start(batch)
    for variable in algorithm.variables:
        laws.hold(variable.name in values, "start returns every variable", f"{variable.name!r} is missing")
        laws.shape(f"variable {variable.name!r}", values[variable.name], (batch,), _dtype(variable))
    for token in drawn.tokens.unbind(1):
        with laws.nothing_else_changes("step", values=values, tokens=token):
            after = algorithm.step(values, token)
        laws.hold(
            list(after) == list(values),
            "step returns the entries of start, in the same order",
            f"{list(after)} from {list(values)}",
        )
        for name, column in after.items():
            laws.shape(f"{name!r} after a step", column, (batch,), values[name].dtype)
        with laws.nothing_else_changes("next_token_mask", values=after):
            mask = algorithm.next_token_mask(after)
        laws.shape("next_token_mask", mask, (batch, size), torch.bool)
        laws.shape("can_end", algorithm.can_end(after), (batch,), torch.bool)
        again = algorithm.step(values, token)
        laws.hold(
            all(torch.equal(again[name], after[name]) for name in after),
            "two steps with the same arguments return the same values",
        )
        values = after


def _ranges(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    real = torch.arange(drawn.tokens.shape[1]) < drawn.lengths[:, None]  # tokens that are not padding
    for variable in algorithm.variables:
        entries = values[variable.name][real]
        low, high = entries.min().item(), entries.max().item()
        if isinstance(variable, Category):
            fits = low >= 0 and high < len(variable.labels)
        elif isinstance(variable, Integer):
            fits = low >= variable.low and (variable.high is None or high <= variable.high)
        else:
            fits = low >= 0 and bool(entries.isfinite().all())
        laws.hold(fits, f"the values of variable {variable} fit its type", f"they range from {low:g} to {high:g}")


def _solves(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    """Compares the prediction at each position with the next token, which is never padding."""
    batch, time = drawn.tokens.shape
    real = torch.arange(1, time) < drawn.lengths[:, None]
    flat = {name: column.flatten() for name, column in values.items()}
    mask = algorithm.next_token_mask(flat).view(batch, time, -1)[:, :-1]
    broken = real & ~mask.gather(2, drawn.tokens[:, 1:, None])[..., 0]
    laws.hold(
        ~broken,
        "next_token_mask contains the next token of every sequence of the task",
        _describe(algorithm, drawn, broken),
    )
    broken = real & ((mask.sum(2) == 1) != drawn.determined[:, 1:])
    laws.hold(
        ~broken,
        "next_token_mask contains a single token exactly where the task says that the token is determined",
        _describe(algorithm, drawn, broken),
    )
    broken = real & ~algorithm.can_end(flat).view(batch, time)[:, :-1]
    laws.hold(~broken, "can_end is true on every sequence of the task", _describe(algorithm, drawn, broken))


def _counts(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    """Compares `demo_tokens_counted`, which is optional, with the demo tokens of the task."""
    total = algorithm.task.remaining_demo_tokens(drawn, torch.zeros_like(drawn.lengths))
    for position in range(drawn.tokens.shape[1]):
        remaining = algorithm.task.remaining_demo_tokens(drawn, (drawn.lengths - 1).clamp(max=position))
        try:
            counted = algorithm.demo_tokens_counted({name: column[:, position] for name, column in values.items()})
        except InvalidArgumentError:
            return
        laws.shape("demo_tokens_counted", counted, (len(drawn),), torch.long)
        broken = torch.zeros_like(drawn.determined[:, 1:])
        broken[:, position : position + 1] = ((remaining > 0) & (counted != total - remaining))[:, None]
        laws.hold(
            ~broken,
            "in the demo phase, demo_tokens_counted is the number of demo tokens so far",
            _describe(algorithm, drawn, broken),
        )


def _single_rows(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    for row in range(0, len(drawn), max(len(drawn) // 8, 1)):
        length = int(drawn.lengths[row])
        alone = _over_time(algorithm, drawn.tokens[row : row + 1, :length])
        for name, column in alone.items():
            laws.hold(
                column[0] == values[name][row, :length],
                "the values of a sequence depend neither on the other sequences of the batch nor on padding",
                f"{name!r} of sequence {row} differs",
            )


def _swaps(laws: Laws, algorithm: Algorithm, name: str, seed: int) -> None:
    try:
        drawn = draw_interventions(algorithm, [name], SWAPS, generator(seed, "check", name))
    except InvalidArgumentError as error:
        laws.hold(False, f"after a swap of {name!r}, the sequence ends or can_end is false", str(error))
        return
    values = drawn.counterfactual_values
    for step, (token, determined) in enumerate(zip(drawn.targets.unbind(1), drawn.target_mask.unbind(1), strict=True)):
        active = step < drawn.lengths
        mask = algorithm.next_token_mask(values)
        laws.hold(
            mask.gather(1, token[:, None])[:, 0][active],
            "after a swap, the task samples free tokens that next_token_mask contains",
            f"a swap of {name!r}, then {_continuation(algorithm, drawn, active)}",
        )
        laws.hold(
            (mask.sum(1) == 1)[active] == determined[active],
            "after a swap, a token is determined exactly where next_token_mask contains a single token",
        )
        values = algorithm.step(values, token)
    laws.hold(
        is_inconsistent_with(algorithm, drawn.base.values, drawn).any(),
        f"some swap of {name!r} changes the continuation; otherwise it is not a variable of the algorithm",
    )


def _describe(algorithm: Algorithm, drawn: TokenBatch, broken: Bool[Tensor, "batch next"]) -> str:
    """Text of the first broken position; columns are those of the next tokens."""
    if not broken.any():
        return ""
    row, position = broken.nonzero()[0].tolist()
    names = algorithm.task.vocabulary.decode(drawn.tokens[row].tolist())
    return f"broken after {' '.join(names[: position + 1])}, where the next token is {names[position + 1]}"


def _continuation(algorithm: Algorithm, drawn: Interventions, active: Bool[Tensor, " batch"]) -> str:
    row = int(active.nonzero()[0])
    return " ".join(algorithm.task.vocabulary.decode(drawn.targets[row, : drawn.lengths[row]].tolist()))
