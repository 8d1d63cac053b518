"""The laws of algorithms."""

import torch
from jaxtyping import Int
from torch import Tensor

from symscope.algorithms import Algorithm, Category, Integer, Real, Values, Variable
from symscope.checks.laws import Laws
from symscope.errors import InvalidArgumentError
from symscope.interchange import Interventions, draw_interventions, is_inconsistent_with
from symscope.seeds import generator
from symscope.tasks import TokenBatch

EACH = 5
"""TokenBatch drawn of each quantity."""
SWAPS = 300
"""Interventions drawn on each variable."""


def check_algorithm(algorithm: Algorithm, *, seed: int = 0) -> None:
    """Runs an algorithm on sequences of its task, and through interventions, and holds it to the laws of `Algorithm`.

    Raises:
        BrokenLawError: which law is broken, and where.
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
    _rows_alone(laws, algorithm, values, drawn)
    for name in names:
        _swaps(laws, algorithm, name, seed)


def _dtype(variable: Variable) -> torch.dtype:
    return torch.float64 if isinstance(variable, Real) else torch.long


def _over_time(algorithm: Algorithm, tokens: Int[Tensor, "batch time"]) -> Values:
    """As `Algorithm.run`, which refuses sequences that the algorithm does not solve."""
    values, after = algorithm.start(len(tokens)), []
    for token in tokens.unbind(1):
        values = algorithm.step(values, token)
        after.append(values)
    return {name: torch.stack([step[name] for step in after], 1) for name in values}


def _form(laws: Laws, algorithm: Algorithm, drawn: TokenBatch) -> None:
    """Shapes, types and names of what goes in and out; nothing is kept or changed on the way."""
    batch, size = len(drawn), len(algorithm.task.vocabulary)
    values = algorithm.start(batch)
    for variable in algorithm.variables:
        laws.hold(variable.name in values, "start gives every variable", f"{variable.name!r} is missing")
        laws.shape(f"variable {variable.name!r}", values[variable.name], (batch,), _dtype(variable))
    for token in drawn.tokens.unbind(1):
        with laws.nothing_else_changes("step", values=values, tokens=token):
            after = algorithm.step(values, token)
        laws.hold(list(after) == list(values), "step gives the entries that start gives, in order",
                  f"{list(after)} from {list(values)}")  # fmt: skip
        for name, column in after.items():
            laws.shape(f"{name!r} after a step", column, (batch,), values[name].dtype)
        with laws.nothing_else_changes("allowed", values=after):
            allowed = algorithm.next_token_mask(after)
        laws.shape("allowed", allowed, (batch, size), torch.bool)
        able = algorithm.can_end(after)
        laws.shape("can_end", able, (batch,), torch.bool)
        again = algorithm.step(values, token)
        laws.hold(
            all(torch.equal(again[name], after[name]) for name in after),
            "step depends on its arguments alone: asked twice, it says the same",
        )
        values = after


def _ranges(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    there = torch.arange(drawn.tokens.shape[1]) < drawn.lengths[:, None]
    for variable in algorithm.variables:
        seen = values[variable.name][there]
        low, high = seen.min().item(), seen.max().item()
        if isinstance(variable, Category):
            fits = low >= 0 and high < len(variable.labels)
        elif isinstance(variable, Integer):
            fits = low >= variable.low and (variable.high is None or high <= variable.high)
        else:
            fits = low >= 0 and bool(seen.isfinite().all())
        laws.hold(fits, f"variable {variable} stays within its type", f"it takes values from {low:g} to {high:g}")


def _solves(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    batch, time = drawn.tokens.shape
    there = torch.arange(1, time) < drawn.lengths[:, None]  # of the tokens that come next, those that do come
    flat = {name: column.flatten() for name, column in values.items()}
    allowed = algorithm.next_token_mask(flat).view(batch, time, -1)[:, :-1]
    comes = allowed.gather(2, drawn.tokens[:, 1:, None])[..., 0]
    laws.hold(
        comes[there],
        "the next token of every sequence of the task is allowed",
        _first(algorithm, drawn, ~comes & there),
    )
    alone, determined = allowed.sum(2) == 1, drawn.determined[:, 1:]
    wrong = (alone != determined) & there
    laws.hold(
        ~wrong,
        "one token alone is allowed exactly where the task says that it is determined",
        _first(algorithm, drawn, wrong),
    )
    able = algorithm.can_end(flat).view(batch, time)[:, :-1]
    laws.hold(able[there], "can_end is true on every sequence of the task", _first(algorithm, drawn, ~able & there))


def _rows_alone(laws: Laws, algorithm: Algorithm, values: Values, drawn: TokenBatch) -> None:
    for row in range(0, len(drawn), max(len(drawn) // 8, 1)):
        length = int(drawn.lengths[row])
        alone = _over_time(algorithm, drawn.tokens[row : row + 1, :length])
        for name, column in alone.items():
            laws.hold(
                column[0] == values[name][row, :length],
                "a batch is its rows one by one: what stands beside a sequence, or follows as padding, changes nothing",
                f"{name!r} of sequence {row} differs",
            )


def _swaps(laws: Laws, algorithm: Algorithm, name: str, seed: int) -> None:
    try:
        drawn = draw_interventions(algorithm, [name], SWAPS, generator(seed, "check", name))
    except InvalidArgumentError as error:
        laws.hold(False, f"after a swap of {name!r} it ends, or can_end says that it cannot", str(error))
        return
    values = drawn.counterfactual_values
    for place, (token, scored) in enumerate(zip(drawn.targets.unbind(1), drawn.target_mask.unbind(1), strict=True)):
        on = place < drawn.lengths
        allowed = algorithm.next_token_mask(values)
        laws.hold(
            allowed.gather(1, token[:, None])[:, 0][on],
            "after a swap the environment draws tokens that the algorithm allows",
            f"a swap of {name!r}, then {_continuation(algorithm, drawn, on)}",
        )
        laws.hold((allowed.sum(1) == 1)[on] == scored[on], "what is determined after a swap is what is alone allowed")
        values = algorithm.step(values, token)
    laws.hold(
        is_inconsistent_with(algorithm, drawn.base.values, drawn).any(),
        f"a swap of {name!r} changes what must follow at least sometimes: a variable that changes nothing is none",
    )


def _first(algorithm: Algorithm, drawn: TokenBatch, wrong: Tensor) -> str:
    """The first wrong place, in words; columns are those of the tokens that come next."""
    if not wrong.any():
        return ""
    row, place = wrong.nonzero()[0].tolist()
    names = algorithm.task.vocabulary.decode(drawn.tokens[row].tolist())
    return f"not so after {' '.join(names[: place + 1])}, where {names[place + 1]} comes"


def _continuation(algorithm: Algorithm, drawn: Interventions, on: Tensor) -> str:
    row = int(on.nonzero()[0])
    return " ".join(algorithm.task.vocabulary.decode(drawn.targets[row, : drawn.lengths[row]].tolist()))
