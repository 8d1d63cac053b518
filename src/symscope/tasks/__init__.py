"""Tasks: token sequences, and which of their tokens are determined by what came before."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from symscope.errors import UnknownNameError
from symscope.tasks.arithmetic import ArithmeticTask
from symscope.tasks.base import Task, TokenBatch
from symscope.tasks.numeric import (
    VOID_PROBABILITY,
    VOIDS,
    NumericTask,
    modulo,
    multi_object,
    rounding,
    same_object,
    single_object,
    square,
)
from symscope.tasks.rules import ResponseRule
from symscope.tasks.vocabulary import Vocabulary

_NUMERIC: dict[str, Callable[..., NumericTask]] = {
    "multi-object": multi_object,
    "single-object": single_object,
    "same-object": same_object,
    "modulo": modulo,
    "rounding": rounding,
    "square": square,
}
TASKS: dict[str, Callable[..., Task]] = {
    **_NUMERIC,
    **{name + VOIDS: partial(make, void_probability=VOID_PROBABILITY) for name, make in _NUMERIC.items()},
    ArithmeticTask.name: ArithmeticTask,
}


def make_task(name: str, **options: Any) -> Task:
    """The task of that name; `UnknownNameError` names the nearest ones when there is no such task or option."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    known = signature(TASKS[name]).parameters
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of task {name!r}", option, known)
    return TASKS[name](**options)


__all__ = [
    "TASKS",
    "ArithmeticTask",
    "NumericTask",
    "ResponseRule",
    "Task",
    "TokenBatch",
    "Vocabulary",
    "make_task",
    "modulo",
    "multi_object",
    "rounding",
    "same_object",
    "single_object",
    "square",
]
