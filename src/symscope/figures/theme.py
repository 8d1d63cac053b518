"""The style of every figure: fonts, sizes, and colours for light and dark pages and for print.

Marks have fixed colours that contrast with both backgrounds (about 3:1 or more). All ink (text, axes, rules) comes from
the configuration, so a chart changes from light to dark by exchanging the configuration alone.

A colour has one meaning on a page. Colours of alignments and controls are used for nothing else; all other categories
use `CATEGORIES`, and those with a fixed meaning (kinds of quantity, phases) also have a shape.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import altair as alt
from altair.typing import ChartType

SchemeName = Literal["light", "dark", "paper"]

WIDTH = 720
"""Width of a figure in px, equal to the text column of a page."""

NARROW = 340
"""Width of a figure on a phone in px."""

# Fonts of equal widths, because a chart may be laid out with one of them and displayed with another.
FONT = 'Arial, "Liberation Sans", Helvetica, sans-serif'

# Alignments and controls. The first four hues are from the palette of Okabe and Ito, which colour-blind readers can
# distinguish.
BLUE, VERMILLION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GREY, OCHRE, STEEL, SAGE, MAUVE = "#8A9099", "#B97F00", "#3D95CC", "#4C9F87", "#7D6BCB"
# All other categories.
CYAN, BROWN, VIOLET, OLIVE, INDIGO, ROSE = "#1A94A8", "#A06A42", "#A564C9", "#7F8A1E", "#6A74D6", "#CF4F6B"
LIME = "#4F9A35"

CATEGORIES = (CYAN, BROWN, VIOLET, OLIVE, INDIGO, ROSE, LIME)
"""Colours of series that only a legend names: variables, alignment functions, networks, seeds."""

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Ticks of every axis of shares."""


@dataclass(frozen=True)
class Scheme:
    """Colours of everything except data marks."""

    background: str
    ink: str
    muted: str
    grid: str
    band: str
    ramp: tuple[str, ...]


# Both ramps are viridis without the end that is close to the background.
_ON_WHITE = ("#440154", "#3b528b", "#21918c", "#3dbc74", "#a0da39")
SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "light": Scheme("#ffffff", "#1b1f24", "#59636e", "#e4e7eb", "#eef1f4", _ON_WHITE),
        "dark": Scheme(
            "#15191e",
            "#e8eaed",
            "#a3acb6",
            "#2b3138",
            "#20262c",
            ("#5b4fa2", "#3f7fb0", "#27a58c", "#7ad151", "#fde725"),
        ),
        "paper": Scheme("#ffffff", "#000000", "#333333", "#dddddd", "#eeeeee", _ON_WHITE),
    }
)


def theme_config(scheme: SchemeName = "light") -> dict[str, Any]:
    """The Vega-Lite configuration on a light or dark background, or in print."""
    tone = SCHEMES[scheme]
    axis = {
        "labelColor": tone.muted,
        "titleColor": tone.ink,
        "gridColor": tone.grid,
        "domainColor": tone.muted,
        "tickColor": tone.muted,
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": 500,
        "titlePadding": 8,
        "labelPadding": 4,
        "tickSize": 4,
    }
    label = {"labelColor": tone.ink, "titleColor": tone.ink, "labelFontSize": 12, "titleFontSize": 12}
    return {
        "background": tone.background,
        "font": FONT,
        "padding": 1 if scheme == "paper" else 8,
        "axis": axis,
        "axisX": {"grid": False},
        "axisY": {"domain": False, "ticks": False},
        "header": {**label, "labelFontWeight": 600, "titleFontWeight": 500},
        "legend": {
            **label,
            "titleFontWeight": 500,
            "orient": "top",
            "labelLimit": 260,
            "titleLimit": 260,
            "offset": 12,
        },
        "title": {
            "color": tone.ink,
            "subtitleColor": tone.muted,
            "fontSize": 16,
            "fontWeight": 600,
            "subtitleFontSize": 12,
            "subtitleLineHeight": 16,
            "subtitlePadding": 6,
            "anchor": "start",
            "frame": "bounds",
            "offset": 16,
        },
        "view": {"stroke": None},
        "range": {"category": list(CATEGORIES), "ramp": list(tone.ramp), "heatmap": list(tone.ramp)},
        "text": {"color": tone.ink, "fontSize": 11},
        "rule": {"color": tone.ink},
        # The dot of a seed must contrast with its bar and with the background.
        "circle": {"color": tone.background, "stroke": tone.ink, "strokeWidth": 1.2, "size": 26, "opacity": 1},
        # Marks without a data colour: bands, empty cells, and connecting lines.
        "rect": {"color": tone.band},
        "line": {"color": tone.muted, "strokeWidth": 1.6},
        "trail": {"color": tone.muted},
    }


def themed(chart: ChartType, *, title: str, subtitle: str, description: str, width: int) -> ChartType:
    """The chart with title, subtitle wrapped to `width` px, alt text, and the light configuration."""
    lines = textwrap.wrap(subtitle, max(30, width // 6))
    return chart.properties(title=alt.TitleParams(text=title, subtitle=lines), description=description).configure(
        **theme_config()
    )


Drawable: TypeAlias = ChartType | Mapping[str, Any]
"""A chart, or its specification from `chart_spec`, which saves the time of making it again."""


def chart_spec(chart: Drawable, scheme: SchemeName = "light") -> dict[str, Any]:
    """The chart as a Vega-Lite specification with its data, in the colours of `scheme`."""
    # Validation takes most of the time of a report; the tests validate every figure.
    spec = dict(chart) if isinstance(chart, Mapping) else chart.to_dict(validate=False)
    return {**spec, "config": theme_config(scheme)}


def top_legend(width: int, *, title: str | None = None, per_row: int = 170, **options: Any) -> alt.Legend:
    """A legend above the chart, in rows of entries that are `per_row` px wide."""
    return alt.Legend(title=title, orient="top", columns=max(1, width // per_row), **options)


NEAR_ONE = 0.8
"""Shares that are all above this have an axis that starts here, so that their differences can be seen."""


def number_axis(numbers: Literal["f", "%"] = "f") -> alt.Axis:
    """About five labels, with as many decimals as their step needs; a fixed number of decimals would round some."""
    return alt.Axis(tickCount=5, format=f"~{numbers}")


def count_axis() -> alt.Axis:
    """About five labels, all of them whole numbers."""
    return alt.Axis(tickCount=5, tickMinStep=1, format=",d")


def share_axis(field: str, title: str | None, *, format: str = ".2~f", least: float = 0.0) -> alt.Y:  # noqa: A002 - Vega-Lite's name
    """A vertical axis of shares up to 1, extended so that a mark at 1 is not cut; `least` is the smallest share."""
    low, ticks = (NEAR_ONE, (0.8, 0.85, 0.9, 0.95, 1.0)) if least > NEAR_ONE else (0.0, SHARES)
    scale = alt.Scale(domain=[low, 1 + 0.03 * (1 - low)], nice=False, zero=False)
    return alt.Y(field, title=title, scale=scale, axis=alt.Axis(values=ticks, format=format))
