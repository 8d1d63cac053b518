"""Figures as files: SVG and PNG beside each other, each written whole or not at all."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import vl_convert
from altair.typing import ChartType

from symscope.analysis.files import replace_file
from symscope.figures.theme import SchemeName, chart_spec

PNG_SCALE = 2
"""Pixels of a PNG for each px of the chart."""


_OF_EACH_MARK = re.compile(r'(<(?:path|text|line)) (?:(?:aria-[a-z]+|role)="[^"]*" ?)+')


def chart_svg(chart: ChartType, scheme: SchemeName = "light", *, titled: bool = True) -> str:
    """The chart as the text of an SVG file, in the house style of `scheme`, with or without its title.

    The alt text stands at the root; what Vega says of every single mark is left out, being most of the file.
    """
    spec = chart_spec(chart, scheme)
    if not titled:
        spec.pop("title")
    svg = _OF_EACH_MARK.sub(r"\1 ", vl_convert.vegalite_to_svg(json.dumps(spec)))
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(spec["description"])}" ', 1)


def save_figure(chart: ChartType, folder: Path, name: str) -> tuple[Path, Path]:
    """Write `folder/name.svg` and `folder/name.png` (two pixels a px); returns both paths.

    `StoreError` when the folder cannot be written.
    """
    svg = chart_svg(chart)
    png = vl_convert.svg_to_png(svg, scale=PNG_SCALE)
    return (
        replace_file(folder / f"{name}.svg", lambda path: path.write_text(svg, encoding="utf-8")),
        replace_file(folder / f"{name}.png", lambda path: path.write_bytes(png)),
    )
