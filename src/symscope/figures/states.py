"""States of the network as points: in the coordinates of an alignment, or in their principal components."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.panels import MANY, panel_names, with_panels, zoomable
from symscope.figures.theme import BROWN, CYAN, GREY, INDIGO, LIME, OLIVE, ROSE, VIOLET, WIDTH, inline_data, themed

_ALIGNED = ("task", "network", "d", "algorithm", "variable", "function", "k")
_KIND = ("task", "network", "d")
_TRACES = 5  # trajectories drawn as lines: enough to see their course, few enough to see the points
_HEADS = 3  # arrow heads of a trajectory
_SHORTEST = 0.04  # shortest step with an arrow head, as a share of the plot
_MOST_ROWS = 12  # networks and alignments: each is a thousand points, drawn twice
_PHASE_COLOURS = (LIME, VIOLET, BROWN, INDIGO, ROSE, OLIVE, CYAN)
_PHASE_SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "stroke")
_POINTS = "Point: the state after one token. Line: trajectory of one sequence; arrows and its width show its direction."


def aligned_states(states: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Scatter plots of each network from the table of aligned states: coloured by count, and by phase.

    Each network and alignment has a row of plots. Of more than twelve rows the first twelve are drawn, and the subtitle
    says so. `search` is a sentence on the search, for the caption; `width` is in px.
    """
    frame, constant = with_panels(states, (*_ALIGNED, "seed"))
    panels = panel_names(frame)
    first = panels[:_MOST_ROWS]
    left_out = f" The first {_MOST_ROWS} of {len(panels)}; the table has all." if len(panels) > len(first) else ""
    sequences = states.get_column("quantity").n_unique()
    variables = states.get_column("variable").unique(maintain_order=True)
    return themed(
        _rows(frame.filter(pl.col("panel").is_in(first)), width, zoom=True),
        title=f"States in the subspace of {' and '.join(variables)}",
        subtitle=f"{constant}. {_POINTS} {sequences} quantities. Axes: leading components of the aligned coordinates."
        f"{left_out}{search}",
        description=f"Scatter plots of network states in aligned coordinates, coloured by {_colourings(states)}, for "
        + ", ".join(panel or constant for panel in first)
        + ".",
        width=width,
    )


def state_space(state_space_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Scatter plots of each kind of network from the table of natural states: coloured by count, and by phase.

    Of each task, architecture and size the lowest seed is drawn, and at most `MANY` of these. `width` is in px.
    """
    kinds = state_space_table.select(_KIND).unique(maintain_order=True)
    table = state_space_table.join(kinds.head(MANY), on=_KIND, maintain_order="left")
    table = table.filter(pl.col("seed") == pl.col("seed").min().over(_KIND))
    frame, constant = with_panels(table, (*_KIND, "site", "seed"))
    variances = frame.group_by("panel", maintain_order=True).agg(pl.col("variance").first()).rows()
    shares = "; ".join(f"{p or constant}: three components hold {v:.0%} of the variance" for p, v in variances)
    left_out = len(kinds) - MANY
    return themed(
        _rows(frame, width, zoom=False),
        title="States in their principal components",
        subtitle=f"{constant + '. ' if constant else ''}{_POINTS} Axes: leading principal components of these states. "
        f"{shares}." + (f" {left_out} more kinds of network are in the table." if left_out > 0 else ""),
        description=f"Scatter plots of network states in principal components, coloured by {_colourings(table)}. "
        f"{shares}.",
        width=width,
    )


def _rows(frame: pl.DataFrame, width: int, *, zoom: bool) -> ChartType:
    """One row of plots for each panel, all of the same size."""
    side = min(300, (width - 140) // 2) if width > 480 else width - 90
    rows = []
    for number, ((panel,), part) in enumerate(frame.group_by("panel", maintain_order=True)):
        plots = _plots(part, side, str(panel), number, zoom=zoom)
        row = alt.hconcat(*plots, spacing=24) if width > 480 else alt.vconcat(*plots, spacing=16)
        rows.append(row.resolve_scale(color="independent", shape="independent", size="independent"))
    drawn = alt.vconcat(*rows, spacing=24)
    return drawn.resolve_scale(color="independent", shape="independent", size="independent")


def _colourings(states: pl.DataFrame) -> str:
    known = [name for name in ("count", "phase") if states.get_column(name).null_count() < len(states)]
    return " and by ".join(known or ["quantity"])


def _plots(part: pl.DataFrame, side: int, panel: str, row: int, *, zoom: bool) -> list[ChartType]:
    """The same states by count and by phase; by quantity where the algorithm has neither."""
    base, axes = alt.Chart(inline_data(_with_traces(part))), _axes(part)
    heading = f", {panel}" if panel else ""
    points = base.mark_point(filled=True, size=26, opacity=1).encode(x=axes[0], y=axes[1], tooltip=_tooltip())
    coloured = []
    for name in ("count", "quantity"):
        if name == "count" and part.get_column("count").null_count() == len(part):
            continue
        if name == "quantity" and (coloured or part.get_column("phase").null_count() < len(part)):
            continue
        legend = alt.Legend(
            title=f"By {name}{heading}", gradientLength=min(160, side - 40), gradientThickness=10, **_title(side)
        )
        coloured.append(points.encode(color=alt.Color(f"{name}:Q", legend=legend)))
    if part.get_column("phase").null_count() < len(part):
        coloured.append(_by_phase(points, part, f"By phase{heading}", side))
    plots = []
    for number, plot in enumerate(coloured):
        # Altair gives equal charts equal view names, and Vega-Lite then draws the data of one of them in all.
        lines = _trajectories(base, axes).properties(name=f"states_{row}_{number}")
        layers = alt.layer(lines, plot, _arrows(part, axes)).properties(width=side, height=side)
        plots.append(zoomable(layers, f"zoom_{row}_{number}") if zoom else layers)
    return plots


def _title(side: int) -> dict[str, Any]:
    """Legend options that make its title the heading of the plot."""
    return {"orient": "top", "titleFontWeight": 600, "titleLimit": side}


def _by_phase(points: alt.Chart, part: pl.DataFrame, title: str, side: int) -> alt.Chart:
    """The points coloured by the labels of the phase, which are in the order in which sequences reach them."""
    names = part.sort("step", maintain_order=True).get_column("phase").drop_nulls().unique(maintain_order=True)
    labels = names.to_list()
    # The title is padded to the height of the colour ramp, so that both plots of a row line up.
    legend = alt.Legend(title=title, symbolSize=60, symbolOpacity=1, titlePadding=15, **_title(side))
    colours = [_PHASE_COLOURS[i % len(_PHASE_COLOURS)] for i in range(len(labels))]
    shapes = [_PHASE_SHAPES[i % len(_PHASE_SHAPES)] for i in range(len(labels))]
    return points.encode(
        color=alt.Color("phase:N", legend=legend, scale=alt.Scale(domain=labels, range=colours)),
        shape=alt.Shape("phase:N", legend=legend, scale=alt.Scale(domain=labels, range=shapes)),
    )


def _trajectories(base: alt.Chart, axes: tuple[alt.X, alt.Y]) -> alt.Chart:
    """A line through the states of each traced sequence that widens along it."""
    width = alt.Size("part:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.2, 4.5]))
    lines = base.transform_filter("datum.traced").mark_trail(opacity=0.5)
    return lines.encode(x=axes[0], y=axes[1], size=width, detail="sequence:N", order="step:Q")


def _arrows(part: pl.DataFrame, axes: tuple[alt.X, alt.Y]) -> alt.Chart:
    """A head in the direction of travel on the longest steps of each traced sequence."""
    traced = _with_traces(part).filter("traced")
    spans = [_span(part, name) for name in ("c1", "c2")] if not _is_one_dimensional(part) else None
    wide, high = spans or (_span(part, "c1"), float(traced.get_column("step").max() or 1) or 1.0)  # pyright: ignore[reportArgumentType]
    here = traced.sort("sequence", "step").with_columns(
        x1=pl.col("c1").shift(-1).over("sequence"), y1=pl.col("c2").shift(-1).over("sequence")
    )
    steps = here.drop_nulls("x1").with_columns(
        right=(pl.col("x1") - pl.col("c1")) / wide, up=(pl.col("y1") - pl.col("c2")) / high
    )
    steps = steps.with_columns(length=(pl.col("right") ** 2 + pl.col("up") ** 2).sqrt())
    longest = steps.filter(pl.col("length").rank("ordinal", descending=True).over("sequence") <= _HEADS)
    heads = longest.filter(pl.col("length") > _SHORTEST).select(
        "panel",
        c1=((pl.col("c1") + pl.col("x1")) / 2).round(4),
        c2=((pl.col("c2") + pl.col("y1")) / 2).round(4),
        angle=pl.arctan2("right", "up").degrees().round(1),
    )
    mark = alt.Chart(inline_data(heads)).mark_point(shape="triangle", size=46, filled=True, opacity=0.9, color=GREY)
    return mark.encode(x=axes[0], y=axes[1], angle=alt.Angle("angle:Q", scale=None))


def _span(part: pl.DataFrame, column: str) -> float:
    """Length of the axis of a component."""
    low, high = part.get_column(column).min(), part.get_column(column).max()
    return float(str(high)) - float(str(low)) or 1.0


def _with_traces(part: pl.DataFrame) -> pl.DataFrame:
    """The columns of a plot, with `traced` for the sequences that have a line and `part`, the position as a share."""
    sequences = part.group_by("sequence").agg(pl.col("quantity").first()).sort("quantity", "sequence")
    lines = min(_TRACES, len(sequences))
    picked = {round(i * (len(sequences) - 1) / max(1, lines - 1)) for i in range(lines)}
    traced = [sequences.get_column("sequence")[i] for i in sorted(picked)]
    second = pl.col("step").cast(pl.Float64) if _is_one_dimensional(part) else pl.col("c2").round(4)
    return part.select(
        "panel",
        "quantity",
        "sequence",
        "step",
        "token",
        "count",
        "phase",
        pl.col("c1").round(4),
        second.alias("c2"),
        part=(pl.col("step") / pl.col("step").max().over("sequence").clip(1)).round(3),
        traced=pl.col("sequence").is_in(traced),
    )


def _is_one_dimensional(part: pl.DataFrame) -> bool:
    return part.get_column("c2").null_count() == len(part)


def _axes(part: pl.DataFrame) -> tuple[alt.X, alt.Y]:
    """Both components; where there is one, it and the position."""
    quiet = alt.Axis(grid=True, tickCount=5)
    # Both plots have the ranges that the angles of the arrows were computed for.
    first = _range(part, "c1")
    steps = _is_one_dimensional(part)
    second = "position in the sequence" if steps else "component 2 (state units)"
    return (
        alt.X("c1:Q", title="component 1 (state units)", axis=quiet, scale=first),
        alt.Y("c2:Q", title=second, axis=quiet, scale=alt.Scale(zero=False) if steps else _range(part, "c2")),
    )


def _range(part: pl.DataFrame, column: str) -> alt.Scale:
    """The scale of a component, a little wider than its values."""
    span, low = _span(part, column), float(str(part.get_column(column).min()))
    return alt.Scale(domain=[round(low - 0.06 * span, 3), round(low + 1.06 * span, 3)], nice=False, zero=False)


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("count:Q"),
        alt.Tooltip("phase:N"),
        alt.Tooltip("quantity:Q"),
        alt.Tooltip("token:N"),
        alt.Tooltip("step:Q", title="position"),
    ]
