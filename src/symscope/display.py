"""HTML of results in a notebook: small tables with escaped content.

Text has the colour of the notebook, so that it is readable on light and on dark. A page that strips styles still shows
a table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_SMALL = "font-size:90%;opacity:.75"


@dataclass(frozen=True)
class Bar:
    """A share from 0 to 1 with its name and interval; the main share is highlighted."""

    name: str
    share: float
    low: float
    high: float
    main: bool = False


def card(
    title: str, subtitle: str, bars: Sequence[Bar] = (), facts: Iterable[str] = (), warnings: Iterable[str] = ()
) -> str:
    """A heading with a subtitle, bars with intervals, facts, and warnings, as HTML."""
    parts = [f"<strong>{escape(title)}</strong> <span style='{_SMALL}'>{escape(subtitle)}</span>"]
    if bars:
        parts.append("<table style='margin:.4em 0'>" + "".join(map(_row, bars)) + "</table>")
    parts += [f"<div style='{_SMALL}'>{escape(fact)}</div>" for fact in facts]
    parts += [f"<div>⚠ {escape(warning)}</div>" for warning in warnings]
    return f"<div style='max-width:44em;line-height:1.45'>{''.join(parts)}</div>"


def _row(bar: Bar) -> str:
    name, number = escape(bar.name), f"{bar.share:.3f}"
    if bar.main:
        name, number = f"<strong>{name}</strong>", f"<strong>{number}</strong>"
    shade = "#0072B2" if bar.main else "#8A9099"
    bar_html = (
        "<div style='width:12em;height:.7em;background:rgba(128,128,128,.18)'>"
        f"<div style='width:{100 * bar.share:.1f}%;height:100%;background:{shade}'></div></div>"
    )
    cells = (name, bar_html, number, f"<span style='{_SMALL}'>{bar.low:.3f} to {bar.high:.3f}</span>")
    return "<tr>" + "".join(f"<td style='text-align:left'>{cell}</td>" for cell in cells) + "</tr>"
