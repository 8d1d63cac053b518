"""Charts as a page needs them: drawn by the browser for the reader's screen, and as an image for paper."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from altair.typing import ChartType

from symscope.figures.save import chart_svg
from symscope.figures.theme import SCHEMES, chart_spec, theme_config


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page: name, heading, caption, alt text, and its image as a `data:` URI."""

    name: str
    title: str
    caption: str
    description: str
    image: str


def page_figures(wide: Mapping[str, ChartType]) -> list[PageFigure]:
    """The figures of the page, in order, each with its image."""
    return [_page_figure(name, chart) for name, chart in wide.items()]


def _page_figure(name: str, chart: ChartType) -> PageFigure:
    spec = chart_spec(chart)
    title = spec["title"]
    encoded = base64.b64encode(chart_svg(chart, titled=False).encode()).decode()
    return PageFigure(
        name=name,
        title=title["text"],
        caption=" ".join(title["subtitle"]),
        description=spec["description"],
        image=f"data:image/svg+xml;base64,{encoded}",
    )


def drawing_data(wide: Mapping[str, ChartType], narrow: Mapping[str, ChartType]) -> dict[str, Any]:
    """What the page's script draws from: both layouts of each figure, their data once, and both colour schemes."""
    datasets: dict[str, Any] = {}
    layouts = {
        name: {"wide": _layout(wide[name], datasets), "narrow": _layout(narrow[name], datasets)} for name in wide
    }
    return {
        "figures": layouts,
        "datasets": datasets,
        "config": {name: theme_config(name) for name in ("light", "dark")},
    }


def _layout(chart: ChartType, datasets: dict[str, Any]) -> dict[str, Any]:
    """The specification without title, colours and data; its data goes to `datasets`, under the names it refers to."""
    spec = chart_spec(chart)
    for part in ("title", "config"):
        spec.pop(part)
    data = spec.pop("datasets", {})
    datasets.update(data)
    spec["datasets"] = list(data)
    return spec


def scheme_variables(scheme: str) -> str:
    """The colours of a scheme as CSS custom properties, so that page and charts are of one piece."""
    tone = SCHEMES[scheme]
    pairs = {"bg": tone.background, "ink": tone.ink, "muted": tone.muted, "line": tone.grid, "band": tone.band}
    return " ".join(f"--{name}: {value};" for name, value in pairs.items())
