"""A progress bar for trainings and searches in Python, in a terminal or a notebook."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from symscope.tracking import STEP, OnStep, Values


@contextmanager
def progress_bar(steps: int, fields: Mapping[str, str] | None = None, *, visible: bool) -> Iterator[OnStep | None]:
    """A callback `on_step` that shows how far each training or search is; `None` where nobody would see it.

    Args:
        steps: the most steps, before which a training or search may stop.
        fields: the values to show, with their names on the screen; default: all, as validation IIAs.
        visible: whether to show a bar at all.
    """
    if not visible or not (sys.stderr.isatty() or _in_notebook()):
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  (only where a bar is shown)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
               TimeElapsedColumn(), TextColumn("{task.fields[figures]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def on_step(name: str, values: Values) -> None:
            if name not in tasks or values[STEP] == 0:
                tasks[name] = bar.add_task(name, total=steps, figures="")
            bar.update(tasks[name], completed=values[STEP], figures=_figures(values, fields))

        yield on_step


def _figures(values: Values, fields: Mapping[str, str] | None) -> str:
    if fields is None:
        return "validation IIA " + " ".join(f"{value:.2f}" for name, value in values.items() if name != STEP)
    return ", ".join(f"{shown} {values[name]:.3g}" for name, shown in fields.items() if values[name] == values[name])


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
