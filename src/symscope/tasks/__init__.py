"""Tasks: token sequences, and which of their tokens are determined by what came before."""

from collections.abc import Callable
from typing import Any

from symscope.errors import UnknownNameError
from symscope.tasks.base import Sequences, Task
from symscope.tasks.numeric import NumericTask, multi_object
from symscope.tasks.vocabulary import Vocabulary

TASKS: dict[str, Callable[..., Task]] = {"multi-object": multi_object}


def make_task(name: str, **options: Any) -> Task:
    """The task of that name; `UnknownNameError` names the nearest ones when there is none."""
    if name not in TASKS:
        raise UnknownNameError("task", name, TASKS)
    return TASKS[name](**options)


__all__ = ["TASKS", "NumericTask", "Sequences", "Task", "Vocabulary", "make_task", "multi_object"]
