"""Figures as a paper takes them: a column wide, without title, in vector formats with their fonts inside.

They are drawn from the same declarations as those of a report, at the width of a phone or of a page, and scaled to the
width of the column; so their text is about 7.5 points high in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import polars as pl
import vl_convert
from altair.typing import ChartType

from symscope.analysis.files import replace_file
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.figures.catalogue import draw_figures
from symscope.figures.save import chart_svg
from symscope.figures.theme import NARROW, WIDTH, chart_spec

PPI = 300
"""Pixels an inch of a PNG."""

_POINTS = 72.0  # to an inch, in print
_SIZE = r'width="([\d.]+)" height="([\d.]+)"'


class Column(NamedTuple):
    """A width in which a chart is drawn, and that which it has on paper."""

    px: int
    inches: float


COLUMNS: Mapping[int, Column] = MappingProxyType({1: Column(NARROW, 3.25), 2: Column(WIDTH, 6.75)})
"""Widths by the number of columns of text that a figure spans."""


@dataclass(frozen=True)
class _Drawing:
    """A chart as SVG in px, and its size on paper."""

    svg: str
    width: float
    height: float

    @classmethod
    def of(cls, chart: ChartType, column: Column) -> "_Drawing":
        """One that is narrower than its column keeps the scale of the others, one that is wider is made to fit."""
        svg = chart_svg(chart, "paper", titled=False)
        [(width, height)] = re.findall(_SIZE, svg)[:1]
        inches = column.inches / max(column.px, float(width))
        return cls(svg, float(width) * inches, float(height) * inches)

    def sized(self, per_inch: float, unit: str = "") -> str:
        """The SVG with its size on paper, in a unit of which `per_inch` go to an inch."""
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
"""Formats that a figure can be saved in."""


def save_paper_figure(
    chart: ChartType, folder: Path, name: str, *, columns: int = 2, formats: Iterable[str] = FORMATS
) -> tuple[Path, ...]:
    """Write a chart to `folder/name.svg`, `.png` (300 pixels an inch) and `.pdf` (fonts embedded); returns the paths.

    Args:
        chart: a chart of `symscope.figures`, drawn `COLUMNS[columns].px` wide; one that is wider is scaled down.
        folder: where to; made if it is not there.
        name: of the files, without ending.
        columns: columns of text that the figure spans.
        formats: some of `FORMATS`.

    Raises:
        InvalidArgumentError: there is no such format or number of columns.
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
    """Write every figure that the tables allow, or those named in `only`, and `captions.md`; returns the paths.

    Raises:
        InvalidArgumentError: there is no such format or number of columns, or no table that has a figure.
        UnknownNameError: these tables have no figure of that name.
        StoreError: the folder cannot be written.
    """
    formats = _known(formats, columns)
    charts = draw_figures(tables, width=COLUMNS[columns].px)
    if not charts:
        raise InvalidArgumentError("these results have no figure: every table that one is drawn from is empty")
    for name in only:
        if name not in charts:
            raise UnknownNameError("figure of these results", name, charts)
    wanted = {name: chart for name, chart in charts.items() if not only or name in only}
    paths = [
        path
        for name, chart in wanted.items()
        for path in save_paper_figure(chart, folder, name, columns=columns, formats=formats)
    ]
    text = "\n".join(_caption(name, chart) for name, chart in wanted.items())
    return (*paths, replace_file(folder / "captions.md", lambda path: path.write_text(text, encoding="utf-8")))


def _known(formats: Iterable[str], columns: int) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(formats))
    unknown = [ending for ending in formats if ending not in _WRITERS]
    if unknown or not formats:
        raise InvalidArgumentError(f"unknown formats {unknown}; give some of {', '.join(FORMATS)}")
    if columns not in COLUMNS:
        raise InvalidArgumentError(f"a figure spans {' or '.join(map(str, COLUMNS))} columns of text, got {columns}")
    return formats


def _caption(name: str, chart: ChartType) -> str:
    """Title and subtitle, which are not in the figure, and what it shows for those who cannot see it."""
    spec = chart_spec(chart)
    title = spec["title"]
    return f"## {name}\n\n{title['text']}. {' '.join(title['subtitle'])}\n\nAlt text: {spec['description']}\n"
