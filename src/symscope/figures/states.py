"""States of the network as points: in the coordinates of an alignment, or in their principal components."""

from __future__ import annotations

from typing import Any

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import MANY, are_many, in_panels, panel_names, with_panels, zoomable
from symscope.figures.theme import BROWN, CYAN, GREY, INDIGO, LIME, OLIVE, ROSE, VIOLET, WIDTH, themed

Axes = tuple[alt.X, alt.Y]
_ALIGNED = ("task", "network", "d", "algorithm", "protocol", "variable", "function", "k")
_KIND = ("task", "network", "d")
_TRACES = 5  # trajectories drawn as lines: enough to see their course, few enough to see the points
_HEADS = 3  # arrow heads of a trajectory
_SHORTEST = 0.04  # shortest step with an arrow head, as a share of the plot
_MOST_ROWS = 6  # panels with a row and ranges of their own, which a reader can zoom
_POINT = {"filled": True, "size": 26, "opacity": 1}
_PHASE_COLOURS = (LIME, VIOLET, BROWN, INDIGO, ROSE, OLIVE, CYAN)
_PHASE_SHAPES = ("circle", "triangle-up", "square", "diamond", "cross", "triangle-down", "stroke")
_POINTS = "Point: the state after one token. Line: trajectory of one sequence; arrows and its width show its direction."


def aligned_states(states: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Scatter plots of each network from the table of aligned states: coloured by count, and by phase.

    Each network and alignment has a row of plots. Of many kinds of network the lowest seed of each is drawn. `search`
    is a sentence on the search, for the caption; `width` is in px.
    """
    left_out = ""
    if are_many(states):
        states = states.filter(pl.col("seed") == pl.col("seed").min().over(_KIND))
        left_out = " Of each kind of network the lowest seed; the table has all."
    frame, constant = with_panels(states, (*_ALIGNED, "seed"))
    panels = panel_names(frame)
    sequences = states.get_column("quantity").n_unique()
    variables = states.get_column("variable").unique(maintain_order=True)
    return themed(
        _drawn(frame, width, zoom=True),
        title=f"States in the subspace of {' and '.join(variables)}",
        subtitle=f"{constant}. {_POINTS} {sequences} quantities. Axes: leading components of the aligned coordinates."
        f"{left_out}{search}",
        description=f"Scatter plots of network states in aligned coordinates, coloured by {_colourings(states)}, for "
        + ", ".join(panel or constant for panel in panels[:MANY])
        + (f" and {len(panels) - MANY} more" if len(panels) > MANY else "")
        + ".",
        width=width,
    )


def state_space(state_space_table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Scatter plots of each kind of network from the table of natural states: coloured by count, and by phase.

    Of each task, architecture and size the lowest seed is drawn. `width` is in px.
    """
    table = state_space_table.filter(pl.col("seed") == pl.col("seed").min().over(_KIND))
    frame, constant = with_panels(table, (*_KIND, "site", "seed"))
    variances = frame.group_by("panel", maintain_order=True).agg(pl.col("variance").first()).rows()
    shares = "; ".join(f"{p or constant}: three components hold {v:.0%} of the variance" for p, v in variances[:MANY])
    return themed(
        _drawn(frame, width, zoom=False),
        title="States in their principal components",
        subtitle=f"{constant + '. ' if constant else ''}{_POINTS} Axes: leading principal components of these states. "
        f"{shares}.",
        description=f"Scatter plots of network states in principal components, coloured by {_colourings(table)}. "
        f"{shares}.",
        width=width,
    )


def _drawn(frame: pl.DataFrame, width: int, *, zoom: bool) -> ChartType:
    """All plots, of the same size: a row for each panel, or, of many panels, a block for each colouring."""
    side = min(300, (width - 140) // 2) if width > 480 else width - 90
    names = panel_names(frame)
    if len(names) > _MOST_ROWS:
        blocks = _coloured(frame, "", side)
        axes = (_axis("c1", "component 1 (state units)"), _axis("c2", _second(frame)))
        data = pl.concat([_with_traces(part) for _, part in frame.group_by("panel", maintain_order=True)])
        heads = [_heads(part) for _, part in frame.group_by("panel", maintain_order=True)]
        base = chart_of(pl.concat([data, *heads], how="diagonal"))
        return alt.vconcat(*(_block(base, axes, colours, names, side) for colours in blocks), spacing=28).resolve_scale(
            color="independent", shape="independent", size="independent"
        )
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


def _block(base: alt.Chart, axes: Axes, colours: dict[str, Any], names: list[str], side: int) -> ChartType:
    """Every panel in one colouring."""
    layers = alt.layer(
        _trajectories(base, axes),
        base.transform_filter("isValid(datum.step)").mark_point(**_POINT).encode(x=axes[0], y=axes[1], **colours),
        _arrows(base.transform_filter("isValid(datum.angle)"), axes),
    ).properties(width=side, height=side)
    return in_panels(layers, names, 2).resolve_scale(x="independent", y="independent")


def _coloured(part: pl.DataFrame, heading: str, side: int) -> list[dict[str, Any]]:
    """Encodings of colour, shape and tooltip: by count and by phase; by quantity where the algorithm has neither."""
    coloured: list[dict[str, Any]] = []
    for name in ("count", "quantity"):
        if name == "count" and part.get_column("count").null_count() == len(part):
            continue
        if name == "quantity" and (coloured or part.get_column("phase").null_count() < len(part)):
            continue
        legend = alt.Legend(
            title=f"By {name}{heading}", gradientLength=min(160, side - 40), gradientThickness=10, **_title(side)
        )
        coloured.append({"color": alt.Color(f"{name}:Q", legend=legend), "tooltip": _tooltip()})
    if part.get_column("phase").null_count() < len(part):
        coloured.append({**_by_phase(part, f"By phase{heading}", side), "tooltip": _tooltip()})
    return coloured


def _plots(part: pl.DataFrame, side: int, panel: str, row: int, *, zoom: bool) -> list[ChartType]:
    """The same states in each colouring."""
    base, axes = chart_of(pl.concat([_with_traces(part), _heads(part)], how="diagonal")), _axes(part)
    plots = []
    for number, colours in enumerate(_coloured(part, f", {panel}" if panel else "", side)):
        plot = base.transform_filter("isValid(datum.step)").mark_point(**_POINT).encode(x=axes[0], y=axes[1], **colours)
        # Altair gives equal charts equal view names, and Vega-Lite then draws the data of one of them in all.
        lines = _trajectories(base, axes).properties(name=f"states_{row}_{number}")
        arrows = _arrows(base.transform_filter("isValid(datum.angle)"), axes)
        layers = alt.layer(lines, plot, arrows).properties(width=side, height=side)
        plots.append(zoomable(layers, f"zoom_{row}_{number}") if zoom else layers)
    return plots


def _title(side: int) -> dict[str, Any]:
    """Legend options that make its title the heading of the plot."""
    return {"orient": "top", "titleFontWeight": 600, "titleLimit": side}


def _by_phase(part: pl.DataFrame, title: str, side: int) -> dict[str, Any]:
    """Colour and shape by the labels of the phase, which are in the order in which sequences reach them."""
    names = part.sort("step", maintain_order=True).get_column("phase").drop_nulls().unique(maintain_order=True)
    labels = names.to_list()
    # The title is padded to the height of the colour ramp, so that both plots of a row line up.
    legend = alt.Legend(title=title, symbolSize=60, symbolOpacity=1, titlePadding=15, **_title(side))
    colours = [_PHASE_COLOURS[i % len(_PHASE_COLOURS)] for i in range(len(labels))]
    shapes = [_PHASE_SHAPES[i % len(_PHASE_SHAPES)] for i in range(len(labels))]
    return {
        "color": alt.Color("phase:N", legend=legend, scale=alt.Scale(domain=labels, range=colours)),
        "shape": alt.Shape("phase:N", legend=legend, scale=alt.Scale(domain=labels, range=shapes)),
    }


def _trajectories(base: alt.Chart, axes: Axes) -> alt.Chart:
    """A line through the states of each traced sequence that widens along it."""
    width = alt.Size("part:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.2, 4.5]))
    lines = base.transform_filter("datum.traced").mark_trail(opacity=0.5)
    return lines.encode(x=axes[0], y=axes[1], size=width, detail="sequence:N", order="step:Q")


def _arrows(heads: alt.Chart, axes: Axes) -> alt.Chart:
    """Arrow heads; the data is that of `_heads`."""
    mark = heads.mark_point(shape="triangle", size=46, filled=True, opacity=0.9, color=GREY)
    return mark.encode(x=axes[0], y=axes[1], angle=alt.Angle("angle:Q", scale=None))


def _heads(part: pl.DataFrame) -> pl.DataFrame:
    """A place in the middle of the longest steps of each traced sequence, and the angle of the step on the page."""
    traced = _with_traces(part).filter("traced")
    wide, high = _span(part, "c1"), _span(part, "step" if _is_one_dimensional(part) else "c2")
    here = traced.sort("sequence", "step").with_columns(
        x1=pl.col("c1").shift(-1).over("sequence"), y1=pl.col("c2").shift(-1).over("sequence")
    )
    steps = here.drop_nulls("x1").with_columns(
        right=(pl.col("x1") - pl.col("c1")) / wide, up=(pl.col("y1") - pl.col("c2")) / high
    )
    steps = steps.with_columns(length=(pl.col("right") ** 2 + pl.col("up") ** 2).sqrt())
    longest = steps.filter(pl.col("length").rank("ordinal", descending=True).over("sequence") <= _HEADS)
    return longest.filter(pl.col("length") > _SHORTEST).select(
        "panel",
        c1=((pl.col("c1") + pl.col("x1")) / 2).round(4),
        c2=((pl.col("c2") + pl.col("y1")) / 2).round(4),
        angle=pl.arctan2("right", "up").degrees().round(1),
    )


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


def _second(part: pl.DataFrame) -> str:
    """The title of the vertical axis."""
    return "position in the sequence" if _is_one_dimensional(part) else "component 2 (state units)"


def _axis(column: str, title: str) -> Any:
    """An axis of a component whose range differs between panels."""
    axis = alt.Axis(grid=True, tickCount=5)
    return (alt.X if column == "c1" else alt.Y)(f"{column}:Q", title=title, axis=axis, scale=alt.Scale(zero=False))


def _axes(part: pl.DataFrame) -> Axes:
    """Both components; where there is one, it and the position."""
    quiet = alt.Axis(grid=True, tickCount=5)
    # Both plots have the ranges that the angles of the arrows were computed for.
    first = _range(part, "c1")
    steps = _is_one_dimensional(part)
    return (
        alt.X("c1:Q", title="component 1 (state units)", axis=quiet, scale=first),
        alt.Y("c2:Q", title=_second(part), axis=quiet, scale=alt.Scale(zero=False) if steps else _range(part, "c2")),
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
