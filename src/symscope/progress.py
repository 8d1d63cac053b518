"""A progress bar for trainings and searches in Python, in a terminal or a notebook."""

import importlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from html import escape
from typing import Any, Protocol, TypeVar, final

from symscope.tracking import STEP, OnStep, Values

Item = TypeVar("Item")

REFRESH = 0.2
"""Seconds between two updates of a bar in a notebook."""


@contextmanager
def progress_bar(steps: int, fields: Mapping[str, str] | None = None, *, visible: bool) -> Iterator[OnStep | None]:
    """A callback `on_step` that shows how far each training or search is; `None` where nobody would see it.

    Args:
        steps: the most steps, before which a training or search may stop.
        fields: the values to show, with their names on the screen; default: all, as validation IIAs.
        visible: whether to show a bar at all.
    """
    if not visible or not (_in_notebook() or sys.stderr.isatty()):
        yield None
        return
    with _NotebookBars() if _in_notebook() else _terminal_bars() as bars:
        tasks: dict[str, Any] = {}

        def on_step(name: str, values: Values) -> None:
            if name not in tasks or values[STEP] == 0:
                tasks[name] = bars.add_task(name, total=steps, figures="")
            bars.update(tasks[name], completed=values[STEP], figures=_figures(values, fields))

        yield on_step


def track(items: Iterable[Item], name: str = "training", *, progress: bool = True) -> Iterator[Item]:
    """The items of a loop, with the progress bar of symscope.

    Use it as `for step in track(range(1_000)):`.

    Args:
        items: what the loop runs over; its length is the length of the bar.
        name: the text in front of the bar.
        progress: show a progress bar in a terminal or notebook.
    """
    items = items if isinstance(items, Sized) else list(items)
    with progress_bar(len(items), {}, visible=progress) as on_step:
        for number, item in enumerate(items):
            if on_step:
                on_step(name, {STEP: number})
            yield item
        if on_step and len(items):
            on_step(name, {STEP: len(items)})


class _Bars(Protocol):
    """Some bars that are shown together."""

    def add_task(self, description: str, *, total: int, figures: str) -> Any: ...

    def update(self, task_id: Any, *, completed: float | int, figures: str) -> None: ...


@contextmanager
def _terminal_bars() -> Iterator[_Bars]:
    from rich.console import Console  # noqa: PLC0415  (only where a bar is shown)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps"),
               TimeElapsedColumn(), TextColumn("{task.fields[figures]}"))  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as bars:
        yield bars


@final
class _NotebookBars:
    """Bars as one HTML output of a notebook cell, replaced in place.

    The bars of rich need ipywidgets in a notebook, and are not in the saved file. These need nothing, and a saved
    notebook shows their last state.
    """

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._shown = 0.0
        self._output: Any = None

    def __enter__(self) -> "_NotebookBars":
        return self

    def __exit__(self, *_: object) -> None:
        self._show()

    def add_task(self, description: str, *, total: int, figures: str) -> int:
        now = time.monotonic()
        self._rows.append({"name": description, "total": total, "done": 0, "figures": figures, "begun": now})
        return len(self._rows) - 1

    def update(self, task_id: int, *, completed: float | int, figures: str) -> None:
        row = self._rows[task_id]
        row.update(done=completed, figures=figures, seconds=time.monotonic() - row["begun"])
        if time.monotonic() - self._shown >= REFRESH:
            self._show()

    def _show(self) -> None:
        if not self._rows:
            return
        self._shown, display = time.monotonic(), importlib.import_module("IPython.display")
        html = display.HTML(f"<table>{''.join(map(_row, self._rows))}</table>")
        if self._output is None:
            self._output = display.display(html, display_id=True)
        else:
            self._output.update(html)


def _row(row: Mapping[str, Any]) -> str:
    share, minutes = row["done"] / max(row["total"], 1), divmod(int(row.get("seconds", 0)), 60)
    bar = (
        "<div style='width:12em;height:.7em;background:rgba(128,128,128,.18)'>"
        f"<div style='width:{100 * min(share, 1):.0f}%;height:100%;background:#0072B2'></div></div>"
    )
    texts = f"{row['done']:.0f}/{row['total']} steps", f"{minutes[0]}:{minutes[1]:02d}", escape(row["figures"])
    cells = (escape(row["name"]), bar, *texts)
    return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"


def _figures(values: Values, fields: Mapping[str, str] | None) -> str:
    if fields is None:
        return "validation IIA " + " ".join(f"{value:.2f}" for name, value in values.items() if name != STEP)
    return ", ".join(f"{label} {values[name]:.3g}" for name, label in fields.items() if values[name] == values[name])


def _in_notebook() -> bool:
    """Whether a kernel of Jupyter runs this process: IPython is then loaded, and its shell has the kernel."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None
