"""Calibration: IIA on networks whose answer is known, on untrained networks, and against divergence."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.figures.chart import chart_of
from symscope.figures.panels import block_title
from symscope.figures.theme import SHARES, WIDTH, share_axis, themed, top_legend

PARTS = {
    "known": "Is the variable held by the network?",
    "null": "Untrained GRUs (k = d/2)",
    "curve": "Rising weight of the latent loss",
}
_HEIGHT = 220


def calibration(table: pl.DataFrame, *, width: int = WIDTH) -> ChartType:
    """One panel for each part in the table `calibration`; `width` is in px."""
    frame = table.with_columns(
        answer=pl.when("held").then(pl.lit("held")).otherwise(pl.lit("not held")),
        question=pl.concat_str(
            "variable", pl.lit(" of "), "algorithm", pl.lit(" in "), "network", pl.lit(", "), "change_of_basis"
        ),
    )
    inner = width - 90
    draw = {"known": _known, "null": _null, "curve": _curve}
    present = [part for part in PARTS if frame.filter(pl.col("part") == part).height]
    panels = [
        draw[part](frame.filter(pl.col("part") == part), inner).properties(title=block_title(PARTS[part]))
        for part in present
    ]
    functions = ", ".join(frame.get_column("function").unique(maintain_order=True))
    return themed(
        alt.vconcat(*panels, spacing=28).resolve_scale(color="shared"),
        title="IIA on networks with a known answer",
        subtitle=f"Point: one search ({functions}) for one variable; line: its 95% interval over interventions.",
        description=_spoken(frame),
        width=width,
    )


def _color(width: int) -> alt.Color:
    return alt.Color("function:N", legend=top_legend(width))


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("question:N", title="question"),
        alt.Tooltip("function:N"),
        alt.Tooltip("iia:Q", title="IIA", format=".3f"),
        alt.Tooltip("off_span_share:Q", title="off span", format=".0%"),
        alt.Tooltip("dormant_share:Q", title="dormant", format=".0%"),
    ]


def _known(frame: pl.DataFrame, width: int) -> ChartType:
    columns = ["answer", "band", "question", "function", "iia", "low", "high", "off_span_share", "dormant_share"]
    placed = frame.with_columns(band=pl.concat_str("function", pl.lit(" "), "question"))
    base = chart_of(placed.select(columns))
    x = alt.X(
        "iia:Q",
        title="IIA (share of interventions)",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=SHARES, format=".2~f"),
    )
    y = alt.Y("answer:N", title=None, sort=["held", "not held"])
    offset = alt.YOffset("band:N")
    points = base.mark_circle(size=28, opacity=0.9).encode(
        x=x, y=y, yOffset=offset, color=_color(width), tooltip=_tooltip()
    )
    lines = base.mark_rule(opacity=0.5).encode(x="low:Q", x2="high:Q", y=y, yOffset=offset)
    return alt.layer(lines, points).properties(width=width, height=2 * _HEIGHT)


def _null(frame: pl.DataFrame, width: int) -> ChartType:
    columns = ["question", "function", "variable", "d", "iia", "low", "high", "off_span_share", "dormant_share"]
    neurons = frame.unique(["d", "variable"], maintain_order=True).with_columns(
        function=pl.lit("neurons"), iia=pl.col("neurons_iia"), low=pl.col("neurons_iia"), high=pl.col("neurons_iia")
    )
    base = chart_of(pl.concat([frame, neurons]).select(columns))
    axis = alt.Axis(values=sorted(frame.get_column("d").unique()), format="d")
    x = alt.X("d:Q", title="state size d", scale=alt.Scale(type="log", base=2), axis=axis)
    encoded = base.encode(
        x=x,
        y=share_axis("iia:Q", "IIA"),
        color=_color(width),
        strokeDash=alt.StrokeDash("variable:N"),
        tooltip=_tooltip(),
    )
    return alt.layer(encoded.mark_line(), encoded.mark_point(filled=True)).properties(width=width, height=_HEIGHT)


def _curve(frame: pl.DataFrame, width: int) -> ChartType:
    columns = [
        "question",
        "function",
        "k",
        "coordinates",
        "latent_weight",
        "iia",
        "low",
        "high",
        "off_span_share",
        "dormant_share",
    ]
    base = chart_of(frame.sort("latent_weight").select(columns))
    x = alt.X(
        "off_span_share:Q",
        title="off-span share",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=SHARES, format=".0%"),
    )
    encoded = base.encode(x=x, y=share_axis("iia:Q", "IIA"), color=_color(width))
    search = [
        alt.Tooltip("k:Q"),
        alt.Tooltip("latent_weight:Q", title="weight of the latent loss"),
        alt.Tooltip("coordinates:N"),
    ]
    points = encoded.mark_point(filled=True, size=60).encode(
        shape=alt.Shape("coordinates:N", legend=top_legend(width, title="coordinates")),
        tooltip=[*search, *_tooltip()],
    )
    pulls = encoded.mark_text(dx=7, dy=-7, align="left", fontSize=10).encode(text=alt.Text("latent_weight:Q"))
    return alt.layer(points, pulls).properties(width=width, height=_HEIGHT)


def _spoken(frame: pl.DataFrame) -> str:
    known = frame.filter(pl.col("part") == "known")
    parts = [
        _range(str(answer), rows.get_column("iia")) for (answer,), rows in known.group_by("answer", maintain_order=True)
    ]
    return f"Points of interchange intervention accuracy on networks with a known answer. {'; '.join(parts)}."


def _range(answer: str, iia: pl.Series) -> str:
    return f"{answer}: {len(iia)} questions, IIA from {iia.min():.2f} to {iia.max():.2f}"
