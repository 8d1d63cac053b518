"""A progress bar for searches in Python, in a terminal or a notebook."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

OnSearch = Callable[[str, int, list[float]], None]


@contextmanager
def progress_bar(steps: int, *, visible: bool) -> Iterator[OnSearch | None]:
    """A callback for `fit` that shows how far each search is; `None` where nobody would see it.

    Args:
        steps: the most steps of a search, which may stop earlier.
        visible: whether to show a bar at all.
    """
    if not visible or not (sys.stderr.isatty() or _in_notebook()):
        yield None
        return
    from rich.console import Console  # noqa: PLC0415  (only where a bar is shown)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
               TimeElapsedColumn(), TextColumn("validation IIA {task.fields[iia]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bar:
        tasks = {}

        def on_validation(name: str, step: int, best: list[float]) -> None:
            if name not in tasks or step == 0:
                tasks[name] = bar.add_task(f"search: {name}", total=steps, iia="")
            iia = " ".join(f"{value:.2f}" for value in best)
            bar.update(tasks[name], completed=step, iia=iia)

        yield on_validation


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules
