"""Algorithms: typed variables over time, and which tokens may come next."""

from collections.abc import Callable
from typing import Any

from symscope.algorithms.base import Algorithm, Values, Variable
from symscope.algorithms.up_down import UpDown
from symscope.errors import UnknownNameError
from symscope.tasks import Task

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {UpDown.name: UpDown}


def make_algorithm(name: str, task: Task, **options: Any) -> Algorithm:
    """The algorithm of that name for a task; `UnknownNameError` names the nearest ones when there is none."""
    if name not in ALGORITHMS:
        raise UnknownNameError("algorithm", name, ALGORITHMS)
    return ALGORITHMS[name](task, **options)


__all__ = ["ALGORITHMS", "Algorithm", "UpDown", "Values", "Variable", "make_algorithm"]
