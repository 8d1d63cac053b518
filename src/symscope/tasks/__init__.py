"""Tasks: families of token sequences, in which some tokens are determined by the tokens before them."""

from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

from symscope.errors import UnknownNameError
from symscope.tasks.arithmetic import ArithmeticTask
from symscope.tasks.base import MAX_CONTINUATION, Task, TokenBatch
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
    """Makes a task by name.

    Args:
        name: a key of `TASKS`.
        options: arguments of the task, such as `quantities`, `held_out` or `void_probability`.

    Raises:
        UnknownNameError: there is no task of this name, or it has no such option; the message names similar ones.
        InvalidArgumentError: the value of an option is not valid.
    """
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    known = signature(TASKS[name]).parameters
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of task {name!r}", option, known)
    return TASKS[name](**options)


__all__ = [
    "MAX_CONTINUATION",
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
