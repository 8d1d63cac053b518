"""Algorithms: typed variables that change token by token, and determine which tokens may come next."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from symscope.algorithms.base import Algorithm, Values
from symscope.algorithms.causal_graph import CausalGraph
from symscope.algorithms.ctx_distr import CtxDistr
from symscope.algorithms.increment import Increment
from symscope.algorithms.running_total import RunningTotal
from symscope.algorithms.up_down import UpDown, UpDownModulo, UpDownRounding, UpDownSquare
from symscope.algorithms.up_up import UpUp
from symscope.algorithms.variables import Category, Integer, Real, Variable
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks import TASKS, Task, make_task

ALGORITHMS: dict[str, type[Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        UpDown, UpUp, CtxDistr, Increment, UpDownModulo, UpDownRounding, UpDownSquare, RunningTotal,
    )
}  # fmt: skip


class SupportedVariable(NamedTuple):
    """A variable of an algorithm that solves a task, and so can be searched for in a network of the task."""

    task: str
    algorithm: str
    variable: Variable


def make_algorithm(name: str, task: Task, **options: Any) -> Algorithm:
    """Makes an algorithm by name.

    Args:
        name: a key of `ALGORITHMS`.
        task: the task that it solves.
        options: further arguments of the algorithm.

    Raises:
        UnknownNameError: there is no such algorithm; the message names similar ones.
        InvalidArgumentError: it does not solve the task; the message names the algorithms that solve the task, and the
            tasks that this algorithm solves.
    """
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    if not ALGORITHMS[name].solves(task):
        suitable = [f"{choice} ({', '.join(variables)})" for choice, variables in _variables(task).items()]
        solves = sorted({entry.task for entry in supported_variables() if entry.algorithm == name})
        raise InvalidArgumentError(
            f"algorithm {name!r} does not solve task {task.name!r}: those that do, with their variables: "
            f"{'; '.join(suitable) or 'none'}. {name!r} solves: {', '.join(solves) or 'none'}"
        )
    return ALGORITHMS[name](task, **options)


def algorithms_for(task: Task) -> tuple[str, ...]:
    """Names of the algorithms that solve a task."""
    return tuple(name for name, algorithm in ALGORITHMS.items() if algorithm.solves(task))


def supported_variables(tasks: Iterable[str] = TASKS) -> list[SupportedVariable]:
    """Every variable of every algorithm that solves one of the tasks, in the order of the tasks.

    Args:
        tasks: names of tasks; default: all tasks.
    """
    return [
        SupportedVariable(name, algorithm, variable)
        for name in tasks
        for task in [make_task(name)]
        for algorithm in algorithms_for(task)
        for variable in ALGORITHMS[algorithm](task).variables
    ]


def _variables(task: Task) -> dict[str, list[str]]:
    return {name: [variable.name for variable in ALGORITHMS[name](task).variables] for name in algorithms_for(task)}


__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Category",
    "CausalGraph",
    "CtxDistr",
    "Increment",
    "Integer",
    "Real",
    "RunningTotal",
    "SupportedVariable",
    "UpDown",
    "UpDownModulo",
    "UpDownRounding",
    "UpDownSquare",
    "UpUp",
    "Values",
    "Variable",
    "algorithms_for",
    "make_algorithm",
    "supported_variables",
]
