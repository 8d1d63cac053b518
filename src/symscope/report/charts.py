"""Charts on a page: data for the browser, which draws them for the screen, and images for print."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from symscope.figures.theme import SCHEMES, Drawable, chart_spec, theme_config


@dataclass(frozen=True)
class PageFigure:
    """One figure of the page: name, heading, caption, alt text, image as a `data:` URI, and whether that is tall."""

    name: str
    title: str
    caption: str
    description: str
    image: str
    is_tall: bool


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
        is_tall=float(size[2]) > _TALL * float(size[1]) if (size := _SIZE.search(svg)) else False,
    )


_SIZE = re.compile(r'width="([\d.]+)" height="([\d.]+)"')
_TALL = 0.95  # height of a figure, as a share of its width, from which on it is printed beside another


Panels = Mapping[str, Mapping[str, str]]
"""For each figure the kind of network of each panel or series (see `row_key`) that belongs to one."""


def row_key(row: Mapping[str, Any]) -> str:
    """The panel and the series of a row of a figure, by which a reader distinguishes networks."""
    return f"{row.get('panel') or ''}|{row.get('series') or ''}"


def drawing_data(wide: Mapping[str, Drawable], narrow: Mapping[str, Drawable], panels: Panels) -> dict[str, Any]:
    """Data for the script of the page: both layouts of each figure, all data sets by column, and both colour schemes.

    `panels`, of a page of many networks, lets the page show the figures of one kind of network.
    """
    datasets: dict[str, Any] = {}
    layouts = {
        name: {"wide": _layout(wide[name], datasets), "narrow": _layout(narrow[name], datasets)} for name in wide
    }
    return {
        "figures": layouts,
        "datasets": {name: columns_of(rows) for name, rows in datasets.items()},
        "config": {name: theme_config(name) for name in ("light", "dark")},
        "panels": panels,
    }


def columns_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows by column, which is several times smaller than row by row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {"length": len(rows), "columns": {name: [row.get(name) for row in rows] for name in names}}


def _layout(chart: Drawable, datasets: dict[str, Any]) -> dict[str, Any]:
    """The specification without title, colours and data; adds its data to `datasets` by name."""
    spec = chart_spec(chart)
    for part in ("title", "config"):
        spec.pop(part)
    data = spec.pop("datasets", {})
    datasets.update(data)
    spec["datasets"] = list(data)
    return spec


def kinds_of_panels(charts: Mapping[str, Drawable], kinds: Iterable[tuple[str, frozenset[str]]]) -> dict[str, Any]:
    """For each figure the kind of network of each panel and series whose names hold all its distinguishing words.

    Args:
        charts: the figures.
        kinds: each kind of network in words, and the words that distinguish it from others in the name of a panel.
    """
    kinds = list(kinds)
    found: dict[str, dict[str, str]] = {}
    for name, chart in charts.items():
        datasets = chart_spec(chart).get("datasets", {})
        keys = {row_key(row) for rows in datasets.values() for row in rows}
        of_kinds = {
            key: kind
            for key in sorted(keys)
            for kind, words in kinds
            if words <= frozenset(key.replace("|", ", ").split(", "))
        }
        if of_kinds:
            found[name] = of_kinds
    return found


def of_kind(chart: Drawable, panels: Mapping[str, str], kind: str) -> dict[str, Any]:
    """The specification of a figure with the rows of one kind of network, and those of none, alone."""
    spec = chart_spec(chart)
    datasets = {
        name: [row for row in rows if panels.get(row_key(row), kind) == kind]
        for name, rows in spec.get("datasets", {}).items()
    }
    return _without_empty({**spec, "datasets": datasets}, datasets)


def _without_empty(node: dict[str, Any], datasets: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The specification without those of several charts that have lost all their rows."""
    node = dict(node)
    for layout in ("vconcat", "hconcat"):
        if layout in node:
            kept = [
                child for child in node[layout] if not (names := _data_names(child)) or any(map(datasets.get, names))
            ]
            node[layout] = [_without_empty(child, datasets) for child in kept]
    return node


def _data_names(node: object) -> list[str]:
    if isinstance(node, list):
        return [name for child in node for name in _data_names(child)]
    if not isinstance(node, dict):
        return []
    data = node.get("data")
    here = [data["name"]] if isinstance(data, dict) and isinstance(data.get("name"), str) else []
    return here + [name for child in node.values() for name in _data_names(child)]


def scheme_variables(scheme: str) -> str:
    """The colours of a scheme as CSS custom properties, so that page and charts agree."""
    tone = SCHEMES[scheme]
    pairs = {"bg": tone.background, "ink": tone.ink, "muted": tone.muted, "line": tone.grid, "band": tone.band}
    return " ".join(f"--{name}: {value};" for name, value in pairs.items())
