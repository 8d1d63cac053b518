"""Charts on a page: data for the browser, which draws them for the screen, and images for print."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from symscope.figures.theme import SCHEMES, Drawable, chart_spec, theme_config


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page: name, heading, caption, alt text, and its image as a `data:` URI."""

    name: str
    title: str
    caption: str
    description: str
    image: str


def page_figures(wide: Mapping[str, Drawable], images: Mapping[str, str]) -> list[PageFigure]:
    """The figures of the page, in order; `images` are the results of `chart_svg`."""
    return [_page_figure(name, chart, images[name]) for name, chart in wide.items()]


def _page_figure(name: str, chart: Drawable, svg: str) -> PageFigure:
    spec = chart_spec(chart)
    title = spec["title"]
    encoded = base64.b64encode(svg.encode()).decode()
    return PageFigure(
        name=name,
        title=title["text"],
        caption=" ".join(title["subtitle"]),
        description=spec["description"],
        image=f"data:image/svg+xml;base64,{encoded}",
    )


def drawing_data(wide: Mapping[str, Drawable], narrow: Mapping[str, Drawable]) -> dict[str, Any]:
    """Data for the script of the page: both layouts of each figure, all data sets, and both colour schemes."""
    datasets: dict[str, Any] = {}
    layouts = {
        name: {"wide": _layout(wide[name], datasets), "narrow": _layout(narrow[name], datasets)} for name in wide
    }
    return {
        "figures": layouts,
        "datasets": datasets,
        "config": {name: theme_config(name) for name in ("light", "dark")},
    }


def _layout(chart: Drawable, datasets: dict[str, Any]) -> dict[str, Any]:
    """The specification without title, colours and data; adds its data to `datasets` by name."""
    spec = chart_spec(chart)
    for part in ("title", "config"):
        spec.pop(part)
    data = spec.pop("datasets", {})
    datasets.update(data)
    spec["datasets"] = list(data)
    return spec


def scheme_variables(scheme: str) -> str:
    """The colours of a scheme as CSS custom properties, so that page and charts agree."""
    tone = SCHEMES[scheme]
    pairs = {"bg": tone.background, "ink": tone.ink, "muted": tone.muted, "line": tone.grid, "band": tone.band}
    return " ".join(f"--{name}: {value};" for name, value in pairs.items())
