"""Panels: a figure of one network has one panel; of several networks, sizes or subspaces, one panel for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.schemas import ALL_VARIABLES

_FORMATS: dict[str, Callable[[Any], str]] = {
    "d": lambda value: f"d\u00a0=\u00a0{value}",
    "k": lambda value: f"k\u00a0=\u00a0{value}",
    "seed": lambda value: f"seed {value}",
    "site": lambda value: f"at {value}",
    "variable": lambda value: variable_label(str(value)),
    "protocol": lambda value: f"protocol {value}",
}
_UNNAMED = ("site", "protocol")
"""Columns that are named only where their values vary."""


def variable_label(variable: str) -> str:
    """The label of a variable: its name, or `Whole state`."""
    return "Whole state" if variable == ALL_VARIABLES else variable


def fact(column: str, value: object) -> str:
    """A value with the words that make it understandable alone: `d = 48`, `seed 1`, `gru`."""
    return _FORMATS.get(column, str)(value)


def with_panels(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[pl.DataFrame, str]:
    """The frame with a column `panel` made of the values that vary among `columns`, and a text of those that do not.

    The column is empty where nothing varies. A site or protocol that does not vary is left out of the
    text.
    """
    varying = [column for column in columns if frame.get_column(column).n_unique() > 1]
    same = [column for column in columns if column not in varying and column not in _UNNAMED and len(frame)]
    constant = dict.fromkeys(fact(column, frame.get_column(column)[0]) for column in same)  # a table names two columns
    if not varying:
        return frame.with_columns(panel=pl.lit("")), ", ".join(constant)
    values = frame.select(varying).unique(maintain_order=True)
    texts = [", ".join(fact(name, value) for name, value in row.items()) for row in values.iter_rows(named=True)]
    names = values.with_columns(panel=pl.Series(texts, dtype=pl.String))
    known = frame.drop("panel", strict=False).join(
        names, on=varying, how="left", nulls_equal=True, maintain_order="left"
    )
    return known, ", ".join(constant)


MANY = 6
"""Largest number of kinds of network (task, network, d) with one panel each; of more, each task has one panel."""


def are_many(frame: pl.DataFrame) -> bool:
    """Whether there are more kinds of network than panels in a figure."""
    return frame.select("task", "network", "d").n_unique() > MANY


def with_task_panels(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """The frame with `panel`, the task, and `kind_of`, the label of the network among networks of the same task.

    Where only tasks differ, or only networks, `panel` is empty and `kind_of` names what differs. Also returns the text
    of the values that all rows share. `kind_of` leaves out a size that follows from the network in every task.
    """
    sizes = frame.group_by("task", "network").agg(pl.col("d").n_unique()).get_column("d").max()
    several_sizes = isinstance(sizes, int) and sizes > 1
    named, _ = with_panels(frame, ("network", "d") if several_sizes else ("network",))
    networks = named.get_column("panel")
    tasks = frame.get_column("task")
    _, constant = with_panels(frame, ("task", "network", "d"))
    empty = pl.Series([""] * frame.height, dtype=pl.String)
    if tasks.n_unique() == 1:
        panel, kind = empty, networks
    elif networks.n_unique() == 1:
        panel, kind = empty, tasks
    else:
        panel, kind = tasks, networks
    return frame.with_columns(panel.alias("panel"), kind.alias("kind_of")), constant


def panel_names(frame: pl.DataFrame) -> list[str]:
    """The panels of a frame from `with_panels`, in order of appearance."""
    return frame.get_column("panel").unique(maintain_order=True).to_list()


def panel_width(width: int, panels: int, *, least: int, margin: int = 64, gap: int = 24) -> tuple[int, int]:
    """Columns of panels that fit into `width` px with each at least `least` px wide, and the width of a panel in px.

    Takes a smaller number of columns where that leaves no gap in the last row.
    """
    fit = max(1, min(panels, (width - margin + gap) // (least + gap)))
    columns = next((c for c in range(fit, fit // 2, -1) if panels % c == 0), fit)
    return columns, (width - margin - gap * (columns - 1)) // columns


def in_panels(chart: ChartType, panels: Sequence[str], columns: int) -> ChartType:
    """The layered chart repeated for each panel, `columns` in a row; the chart itself where there is one panel."""
    if len(panels) <= 1:
        return chart
    header = alt.Header(title=None, labelAnchor="start", labelPadding=6)
    facet = alt.Facet("panel:N", sort=list(panels), header=header)
    facets = chart.facet(facet=facet, columns=columns, spacing=24)
    # With a gap in the last row, a shared axis would be below an empty place.
    return facets.resolve_axis(x="independent") if len(panels) % columns else facets


def seeds_text(frame: pl.DataFrame) -> str:
    """`seed 0` or `seeds 0, 1, 2`."""
    seeds = sorted(frame.get_column("seed").unique().to_list())
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def search_text(frame: pl.DataFrame) -> str:
    """Length of the searches of a table with `total_steps` and `restarts`, as a sentence; empty where unknown."""
    steps = frame.get_column("total_steps").drop_nulls()
    restarts = frame.get_column("restarts").drop_nulls()
    parts = []
    if len(restarts):
        low, high = restarts.min(), restarts.max()
        parts.append(f"{low if low == high else f'{low} to {high}'} restart{'s' if high != 1 else ''}")
    if len(steps):
        low, high = f"{steps.min():,}", f"{steps.max():,}"
        parts.append(f"{low if low == high else f'{low} to {high}'} steps in all")
    return f" Each search: {', '.join(parts)}." if parts else ""


def zoomable(chart: ChartType, name: str) -> ChartType:
    """The chart with axes that a reader moves and zooms; the plain wheel and touch still move the page.

    `name` must differ from the names of all other views of the figure.
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
    """The heading of one of several charts of a figure, smaller than the heading of the figure."""
    return alt.TitleParams(text=text, fontSize=12, frame="group", offset=8)
