"""States of the network in the coordinates of the found subspace, coloured by count and by phase."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.panels import panel_names, with_panels, zoomable
from symscope.figures.theme import BLUE, VERMILLION, WIDTH, finished, inline_data

_WHERE = ("task", "network", "d", "algorithm", "variable", "function", "k")
_TRACES = 5  # trajectories that are drawn as lines: enough to see the way, few enough to see the points
_MOST_ROWS = 12  # networks and alignments: each is a thousand points, drawn twice
PHASES = {"demo": (BLUE, "circle"), "resp": (VERMILLION, "triangle-up")}


def aligned_states(states: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """Two scatter plots for each network from the table of aligned states: coloured by count, and by phase.

    The states of one alignment or several; each network and alignment has a row of its own, the first twelve of more,
    which the subtitle then says. Thin lines join the positions of some sequences. `width` is in px.
    """
    frame, constant = with_panels(states, (*_WHERE, "seed"))
    panels = panel_names(frame)
    drawn = panels[:_MOST_ROWS]
    left_out = f" The first {_MOST_ROWS} of {len(panels)}; the table has all." if len(panels) > len(drawn) else ""
    side = min(300, (width - 140) // 2) if width > 480 else width - 90
    rows = []
    for (panel,), part in frame.filter(pl.col("panel").is_in(drawn)).group_by("panel", maintain_order=True):
        base = alt.Chart(inline_data(shown(part)))
        plots = pair(base, axes(part), side, str(panel))
        plots = [zoomable(plot, f"zoom_{len(rows)}_{number}") for number, plot in enumerate(plots)]
        row = alt.hconcat(*plots, spacing=24) if width > 480 else alt.vconcat(*plots, spacing=16)
        rows.append(row.resolve_scale(color="independent", shape="independent"))
    sequences = states.get_column("quantity").n_unique()
    return finished(
        alt.vconcat(*rows, spacing=24).resolve_scale(color="independent", shape="independent"),
        title=f"States in the subspace of {' and '.join(states.get_column('variable').unique(maintain_order=True))}",
        subtitle=f"{constant}. Point: the state after one token, {sequences} quantities; line: the way of one "
        f"sequence. Axes: leading components of the aligned coordinates.{left_out}",
        description="Scatter plots of network states in aligned coordinates, coloured by count and by phase, for "
        + ", ".join(panel or constant for panel in drawn)
        + ".",
        width=width,
    )


def shown(part: pl.DataFrame) -> pl.DataFrame:
    """What a plot needs, with `traced` for the sequences that get a line: from the least to the largest quantity."""
    sequences = part.group_by("sequence").agg(pl.col("quantity").first()).sort("quantity", "sequence")
    wanted = min(_TRACES, len(sequences))
    picked = {round(i * (len(sequences) - 1) / max(1, wanted - 1)) for i in range(wanted)}
    traced = [sequences.get_column("sequence")[i] for i in sorted(picked)]
    one_dimension = part.get_column("c2").null_count() == len(part)
    return part.select(
        "panel",
        "quantity",
        "sequence",
        "step",
        "token",
        "count",
        "phase",
        pl.col("c1").round(4),
        (pl.col("step").cast(pl.Float64) if one_dimension else pl.col("c2").round(4)).alias("c2"),
        traced=pl.col("sequence").is_in(traced),
    )


def axes(part: pl.DataFrame) -> tuple[alt.X, alt.Y]:
    """Both components, or one and the position."""
    quiet = alt.Axis(grid=True, tickCount=5)
    second = (
        "position in the sequence" if part.get_column("c2").null_count() == len(part) else "component 2 (state units)"
    )
    return (
        alt.X("c1:Q", title="component 1 (state units)", axis=quiet, scale=alt.Scale(zero=False)),
        alt.Y("c2:Q", title=second, axis=quiet, scale=alt.Scale(zero=False)),
    )


def pair(base: alt.Chart, axes: tuple[alt.X, alt.Y], side: int, panel: str) -> list[ChartType]:
    """The same states by count and by phase, with the ways of some sequences."""
    x, y = axes
    lines = base.transform_filter("datum.traced").mark_line(strokeWidth=0.8, opacity=0.7)
    lines = lines.encode(x=x, y=y, detail="sequence:N", order="step:Q")
    points = base.mark_point(filled=True, size=26, opacity=1).encode(
        x=x,
        y=y,
        tooltip=[
            alt.Tooltip("count:Q"),
            alt.Tooltip("phase:N"),
            alt.Tooltip("quantity:Q"),
            alt.Tooltip("token:N"),
            alt.Tooltip("step:Q", title="position"),
        ],
    )
    # The legends are the headings of the plots; the second is padded to the height of the first, so plots line up.
    where = f", {panel}" if panel else ""
    heading = {"orient": "top", "titleFontWeight": 600, "titleLimit": side}
    ramp = alt.Legend(title=f"By count{where}", gradientLength=min(160, side - 40), gradientThickness=10, **heading)
    marks = alt.Legend(title=f"By phase{where}", symbolSize=60, symbolOpacity=1, titlePadding=15, **heading)
    names = list(PHASES)
    colours = alt.Scale(domain=names, range=[PHASES[name][0] for name in names])
    shapes = alt.Scale(domain=names, range=[PHASES[name][1] for name in names])
    by_count = points.encode(color=alt.Color("count:Q", legend=ramp))
    by_phase = points.encode(
        color=alt.Color("phase:N", legend=marks, scale=colours), shape=alt.Shape("phase:N", legend=marks, scale=shapes)
    )
    return [alt.layer(lines, plot).properties(width=side, height=side) for plot in (by_count, by_phase)]
