"""Figures as files: SVG and PNG for a report; SVG, PNG and PDF in the width of a column for a paper.

Figures for a paper are drawn at the width of a phone or of a page and scaled to the width of the column, so that their
text is about 7.5 points high in both. They have no title and embed their fonts.
"""

from __future__ import annotations

import html
import json
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from xml.sax.saxutils import quoteattr

import polars as pl
import vl_convert

from symscope.analysis.tables import replace_file
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.figures.catalogue import draw_figures
from symscope.figures.theme import FONT, NARROW, SCHEMES, WIDTH, Drawable, SchemeName, chart_spec

PNG_SCALE = 2
"""Pixels of a PNG for each px of the chart."""


_SIZE = r'width="([\d.]+)" height="([\d.]+)"'
_MARK_ATTRIBUTES = re.compile(r'(<(?:path|text|line)) (?:(?:aria-[a-z]+|role)="[^"]*" ?)+')


def chart_svg(chart: Drawable, scheme: SchemeName = "light") -> str:
    """The chart as the text of an SVG file, in the colours of `scheme`, without its title.

    The root element has the alt text. The descriptions of single marks are removed, because they are most of the file.
    """
    spec = chart_spec(chart, scheme)
    spec.pop("title")
    svg = _MARK_ATTRIBUTES.sub(r"\1 ", vl_convert.vegalite_to_svg(json.dumps(spec)))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(spec["description"])}" ', 1)


_LEFT, _TITLE_Y, _SUBTITLE_Y, _TITLE_LINE, _LINE, _GAP = 8, 21, 41, 21, 16, 12  # px of the title above a chart
_TITLE_LETTER = 9  # px, the most that a letter of a title takes on average
_LEAST_TITLE = 40  # letters in a line of a title


def titled_svg(svg: str, title: Mapping[str, Any], scheme: SchemeName = "light") -> str:
    """An SVG of `chart_svg` below its title and subtitle; this saves the time of drawing the chart a second time."""
    [(width, height)] = re.findall(_SIZE, svg)[:1]
    lines, tone = title["subtitle"], SCHEMES[scheme]
    titles = textwrap.wrap(title["text"], max(_LEAST_TITLE, int(float(width) / _TITLE_LETTER)))
    under = _SUBTITLE_Y + _TITLE_LINE * (len(titles) - 1)
    top = under + _LINE * (len(lines) - 1) + _GAP
    wide = max(float(width), 2 * _LEFT + 6 * max(map(len, [*lines, *titles])))
    root, _, content = svg.partition(">")
    size = f'width="{wide:g}" height="{float(height) + top:g}" viewBox="0 0 {wide:g} {float(height) + top:g}"'
    root = re.sub(rf'{_SIZE} viewBox="[^"]*"', size, root, count=1)
    font = f"font-family={quoteattr(FONT)}"
    texts = []
    for number, line in enumerate(titles):
        start = f'x="{_LEFT}" y="{_TITLE_Y + _TITLE_LINE * number}" {font} font-size="16px" font-weight="600"'
        texts.append(f'<text {start} fill="{tone.ink}">{html.escape(line)}</text>')
    for number, line in enumerate(lines):
        start = f'x="{_LEFT}" y="{under + _LINE * number}"'
        texts.append(f'<text {start} {font} font-size="12px" fill="{tone.muted}">{html.escape(line)}</text>')
    ground = f'<rect width="{wide:g}" height="{float(height) + top:g}" fill="{tone.background}"/>'
    chart = f'<g transform="translate(0,{top})">{content.removesuffix("</svg>")}</g>'
    return f"{root}>{ground}{''.join(texts)}{chart}</svg>"


def save_figure(chart: Drawable, folder: Path, name: str, *, svg: str | None = None) -> tuple[Path, Path]:
    """Write `folder/name.svg` and `folder/name.png` (`PNG_SCALE` pixels for each px), with title; returns both paths.

    `svg` is the result of `chart_svg`, where it is already known. `StoreError` when the folder cannot be written.
    """
    svg = titled_svg(chart_svg(chart) if svg is None else svg, chart_spec(chart)["title"])
    png = vl_convert.svg_to_png(svg, scale=PNG_SCALE)
    return (
        replace_file(folder / f"{name}.svg", lambda path: path.write_text(svg, encoding="utf-8")),
        replace_file(folder / f"{name}.png", lambda path: path.write_bytes(png)),
    )


PPI = 300
"""Pixels of a PNG for each inch."""

_POINTS = 72.0  # points in an inch


class Column(NamedTuple):
    """Width in which a chart is drawn, and its width on paper."""

    px: int
    inches: float


COLUMNS: Mapping[int, Column] = MappingProxyType({1: Column(NARROW, 3.25), 2: Column(WIDTH, 6.75)})
"""Widths by number of text columns that a figure spans."""


@dataclass(frozen=True)
class _Drawing:
    """A chart as SVG in px, and its size on paper in inches."""

    svg: str
    width: float
    height: float

    @classmethod
    def of(cls, chart: Drawable, column: Column) -> "_Drawing":
        """A chart scaled by its column; a chart wider than the column is scaled down to fit."""
        svg = chart_svg(chart, "paper")
        [(width, height)] = re.findall(_SIZE, svg)[:1]
        inches = column.inches / max(column.px, float(width))
        return cls(svg, float(width) * inches, float(height) * inches)

    def sized(self, per_inch: float, unit: str = "") -> str:
        """The SVG with its size on paper in a unit of 1/`per_inch` inch."""
        size = f'width="{self.width * per_inch:.3f}{unit}" height="{self.height * per_inch:.3f}{unit}"'
        return re.sub(_SIZE, size, self.svg, count=1)


_WRITERS: Mapping[str, Callable[[_Drawing], bytes]] = MappingProxyType(
    {
        "svg": lambda drawing: drawing.sized(1.0, "in").encode(),
        "png": lambda drawing: vl_convert.svg_to_png(drawing.sized(_POINTS), ppi=PPI),
        "pdf": lambda drawing: vl_convert.svg_to_pdf(drawing.sized(_POINTS)),
    }
)
FORMATS = tuple(_WRITERS)
"""File formats of a figure."""


def save_paper_figure(
    chart: Drawable, folder: Path, name: str, *, columns: int = 2, formats: Iterable[str] = FORMATS
) -> tuple[Path, ...]:
    """Write a chart to `folder/name.svg`, `.png` (300 pixels an inch) and `.pdf` (fonts embedded); returns the paths.

    Args:
        chart: a chart of `symscope.figures` of width `COLUMNS[columns].px`; a wider chart is scaled down.
        folder: target folder; created if missing.
        name: name of the files without ending.
        columns: text columns that the figure spans.
        formats: some of `FORMATS`.

    Raises:
        InvalidArgumentError: unknown format or number of columns.
        StoreError: the folder cannot be written.
    """
    formats = _known(formats, columns)
    drawing = _Drawing.of(chart, COLUMNS[columns])
    contents = {ending: _WRITERS[ending](drawing) for ending in formats}
    return tuple(
        replace_file(folder / f"{name}.{ending}", partial(Path.write_bytes, data=content))
        for ending, content in contents.items()
    )


def save_paper_figures(
    tables: Mapping[str, pl.DataFrame],
    folder: Path,
    *,
    columns: int = 2,
    formats: Iterable[str] = FORMATS,
    only: Sequence[str] = (),
) -> tuple[Path, ...]:
    """Write every figure that the tables allow, or those in `only`, and `captions.md`; returns the paths.

    Raises:
        InvalidArgumentError: unknown format or number of columns, or no table has a figure.
        UnknownNameError: these tables have no figure of that name.
        StoreError: the folder cannot be written.
    """
    formats = _known(formats, columns)
    charts = draw_figures(tables, width=COLUMNS[columns].px)
    if not charts:
        raise InvalidArgumentError("these results have no figure: all tables with figures are empty")
    for name in only:
        if name not in charts:
            raise UnknownNameError("figure of these results", name, charts)
    chosen = {name: chart for name, chart in charts.items() if not only or name in only}
    paths = [
        path
        for name, chart in chosen.items()
        for path in save_paper_figure(chart, folder, name, columns=columns, formats=formats)
    ]
    text = "\n".join(_caption(name, chart) for name, chart in chosen.items())
    return (*paths, replace_file(folder / "captions.md", lambda path: path.write_text(text, encoding="utf-8")))


def _known(formats: Iterable[str], columns: int) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(formats))
    unknown = [ending for ending in formats if ending not in _WRITERS]
    if unknown or not formats:
        raise InvalidArgumentError(f"unknown formats {unknown}; give some of {', '.join(FORMATS)}")
    if columns not in COLUMNS:
        raise InvalidArgumentError(f"a figure spans {' or '.join(map(str, COLUMNS))} columns of text, got {columns}")
    return formats


def _caption(name: str, chart: Drawable) -> str:
    """Title and subtitle, which are not in the figure, and the alt text."""
    spec = chart_spec(chart)
    title = spec["title"]
    return f"## {name}\n\n{title['text']}. {' '.join(title['subtitle'])}\n\nAlt text: {spec['description']}\n"
