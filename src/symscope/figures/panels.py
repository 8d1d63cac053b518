"""Panels: a figure of one network is one panel; of several networks, sizes or subspaces, one panel for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES

_WORDS: dict[str, Callable[[Any], str]] = {
    "d": lambda value: f"d\u00a0=\u00a0{value}",
    "k": lambda value: f"k\u00a0=\u00a0{value}",
    "seed": lambda value: f"seed {value}",
    "site": lambda value: f"at {value}",
    "variable": lambda value: variable_label(str(value)),
}


def variable_label(variable: str) -> str:
    """How a reader is told of a variable: by its name, or `Whole state`."""
    return "Whole state" if variable == ALL_VARIABLES else variable


def fact(column: str, value: object) -> str:
    """A value with the words that it needs to be understood alone: `d = 48`, `seed 1`, `gru`."""
    return _WORDS.get(column, str)(value)


def with_panels(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """The frame with a column `panel` that tells apart what varies among `columns`, and a text of what does not.

    A frame in which nothing varies gets an empty panel text; a site that does not vary goes without saying.
    """
    varying = [column for column in columns if frame.get_column(column).n_unique() > 1]
    same = [column for column in columns if column not in varying and column != "site" and len(frame)]
    constant = [fact(column, frame.get_column(column)[0]) for column in same]
    rows = frame.select(varying).iter_rows() if varying else [()] * frame.height
    texts = [", ".join(fact(column, value) for column, value in zip(varying, row, strict=True)) for row in rows]
    panel = pl.Series("panel", texts, dtype=pl.String)
    return frame.with_columns(panel), ", ".join(constant)


MANY = 6
"""Kinds of network (task, network, d) up to which each has a panel of its own; beyond, a task has one."""


def are_many(frame: pl.DataFrame) -> bool:
    """Are there more kinds of network than a figure has panels for?"""
    return frame.select("task", "network", "d").n_unique() > MANY


def with_task_panels(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The frame with `panel`, the task, and `kind_of`, the network as it is told apart from others of the same task.

    Where only tasks differ, or only networks, `panel` is empty and `kind_of` names what differs. Also gives the text
    of what is the same in all rows. A size that goes with its network in every task is left out of `kind_of`.
    """
    sizes = frame.group_by("task", "network").agg(pl.col("d").n_unique()).get_column("d").max()
    several_sizes = isinstance(sizes, int) and sizes > 1
    named, _ = with_panels(frame, ("network", "d") if several_sizes else ("network",))
    told = named.get_column("panel")
    tasks = frame.get_column("task")
    _, constant = with_panels(frame, ("task", "network", "d"))
    if tasks.n_unique() == 1:
        panel, kind = pl.Series([""] * frame.height, dtype=pl.String), told
    elif told.n_unique() == 1:
        panel, kind = pl.Series([""] * frame.height, dtype=pl.String), tasks
    else:
        panel, kind = tasks, told
    return frame.with_columns(panel.alias("panel"), kind.alias("kind_of")), constant


def panel_names(frame: pl.DataFrame) -> list[str]:
    """The panels of a frame from `with_panels`, in order of appearance."""
    return frame.get_column("panel").unique(maintain_order=True).to_list()


def panel_width(width: int, panels: int, *, least: int, margin: int = 64, gap: int = 24) -> tuple[int, int]:
    """Columns of panels that fit into `width` px with each at least `least` px wide, and the width of one in px.

    A few columns less where that leaves no gap in the last row.
    """
    fit = max(1, min(panels, (width - margin + gap) // (least + gap)))
    columns = next((c for c in range(fit, fit // 2, -1) if panels % c == 0), fit)
    return columns, (width - margin - gap * (columns - 1)) // columns


def in_panels(chart: ChartType, panels: Sequence[str], columns: int) -> ChartType:
    """The layered chart once for each panel, `columns` side by side; as it is when there is only one."""
    if len(panels) <= 1:
        return chart
    header = alt.Header(title=None, labelAnchor="start", labelPadding=6)
    facet = alt.Facet("panel:N", sort=list(panels), header=header)
    drawn = chart.facet(facet=facet, columns=columns, spacing=24)
    # With a gap in the last row, one axis below each column would stand below nothing.
    return drawn.resolve_axis(x="independent") if len(panels) % columns else drawn


def seeds_text(frame: pl.DataFrame) -> str:
    """`seed 0` or `seeds 0, 1, 2`."""
    seeds = sorted(frame.get_column("seed").unique().to_list())
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def zoomable(chart: ChartType, name: str) -> ChartType:
    """The chart with axes that a reader moves and zooms; not with the plain wheel or a finger, which move the page.

    `name` is unlike that of any other in the figure.
    """
    mouse = "pointerdown[event.pointerType === 'mouse']"
    zoom = alt.selection_interval(
        bind="scales",
        name=name,
        zoom="wheel![event.ctrlKey || event.shiftKey]",
        translate=f"[{mouse}, window:pointerup] > window:pointermove!",
    )
    return chart.add_params(zoom)


def block_title(text: str) -> alt.TitleParams:
    """The heading of one of several charts of a figure, smaller than the figure's own."""
    return alt.TitleParams(text=text, fontSize=12, frame="group", offset=8)
