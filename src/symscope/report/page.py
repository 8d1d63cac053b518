"""The report: one self-contained HTML page from tables and facts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from symscope.report.inputs import ReportInputs


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote: the page, and the figures as SVG and PNG."""

    page: Path
    figures: tuple[Path, ...]


def write_report(inputs: ReportInputs, folder: Path) -> ReportFiles:
    """Draw every figure that the tables allow into `folder/figures` and write `folder/report.html`."""
    raise NotImplementedError
