"""Errors of the answer's length: by how many tokens answers are longer or shorter than predicted."""

from __future__ import annotations

import altair as alt
import polars as pl
from altair.typing import ChartType

from symscope.analysis.summary import ALIGNMENT
from symscope.figures.chart import chart_of
from symscope.figures.lines import in_order
from symscope.figures.panels import in_panels, panel_names, panel_width, seeds_text, with_panels
from symscope.figures.theme import WIDTH, number_axis, themed

_OTHER = "other"
_PANEL = ("variable", "task", "network", "d", "algorithm", "protocol", "site", "function", "k")
_MOST = 9
"""Largest error with a bar of its own; larger ones share the bar at the end."""


def length_errors(errors: pl.DataFrame, *, search: str = "", width: int = WIDTH) -> ChartType:
    """Bars from the table of length errors, pooled over seeds, one panel for each alignment.

    Correct answers, whose error is 0, are not drawn, because they are most of all; the caption says how many they are.
    `search` is a sentence on the search, for the caption; `width` is in px.
    """
    frame, constant = with_panels(_pooled(errors), _PANEL)
    panels = panel_names(frame)
    columns, inner = panel_width(width, len(panels), least=230)
    wrong = frame.filter(pl.col("label") != "0")
    drawn = wrong if wrong.height else frame
    correct = int(errors.filter(pl.col("error") == 0).get_column("count").sum()) / _tested(errors)
    off_by_one = int(errors.filter(pl.col("error").abs() == 1).get_column("count").sum())
    failing = int(errors.filter(pl.col("error").is_null() | (pl.col("error") != 0)).get_column("count").sum())
    share = f"{off_by_one / failing:.0%} of the wrong answers differ by one token" if failing else "no answer is wrong"
    return themed(
        in_panels(_bars(drawn, inner), panels, columns),
        title="Size of the errors",
        subtitle=f"{constant}, {seeds_text(errors)} pooled. Bar: share of all test interventions whose answer is so "
        f"many tokens longer (+) or shorter (\u2212) than predicted; other: wrong in another way. {correct:.1%} of the "
        f"answers are correct and not drawn; {share}.{search}",
        description=f"Bar chart of errors of the length of answers. {correct:.3f} of the answers are correct; {share}.",
        width=width,
    )


def _tested(errors: pl.DataFrame) -> int:
    """Number of all test interventions."""
    return int(errors.unique([*ALIGNMENT, "seed"]).get_column("n").sum())


def _pooled(errors: pl.DataFrame) -> pl.DataFrame:
    """Share of each error over seeds, with its label and its place on the axis."""
    total = errors.unique([*ALIGNMENT, "seed"]).group_by(ALIGNMENT).agg(total=pl.col("n").sum())
    clipped = errors.with_columns(pl.col("error").clip(-_MOST, _MOST))
    counts = clipped.group_by([*ALIGNMENT, "error"], maintain_order=True).agg(pl.col("count").sum())
    label = pl.col("error").map_elements(_label, return_dtype=pl.String).fill_null(_OTHER)
    pooled = counts.join(total, on=ALIGNMENT, maintain_order="left")
    return pooled.with_columns(label=label, share=pl.col("count") / pl.col("total"))


def _label(error: int) -> str:
    sign = "+" if error > 0 else "\u2212" if error < 0 else ""
    return f"{sign}{abs(error)}{' or more' if abs(error) == _MOST else ''}"


def _bars(frame: pl.DataFrame, inner: int) -> ChartType:
    known = [error for error in frame.get_column("error").to_list() if error is not None]
    order = [_label(e) for e in range(min(known, default=0), max(known, default=0) + 1) if e or "0" in frame["label"]]
    order += [_OTHER] if frame.get_column("error").null_count() else []
    (colour,) = in_order(["errors"]).values()
    rows = frame.select("panel", "label", "share", "count", n="total")
    return (
        chart_of(rows)
        .mark_bar(color=colour)
        .encode(
            x=alt.X(
                "label:N",
                sort=order,
                scale=alt.Scale(domain=order),
                title="tokens beyond the prediction",
                axis=alt.Axis(labelAngle=0),
            ),
            y=alt.Y("share:Q", title="share of interventions", axis=number_axis("%")),
            tooltip=[
                alt.Tooltip("panel:N"),
                alt.Tooltip("label:N", title="error"),
                alt.Tooltip("count:Q", title="interventions", format=","),
                alt.Tooltip("n:Q", title="of", format=","),
            ],
        )
        .properties(width=inner, height=170)
    )
