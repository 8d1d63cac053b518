"""The report: one self-contained HTML page from tables and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import vl_convert
from altair.typing import ChartType
from markupsafe import Markup

from symscope.analysis.files import replace_file
from symscope.analysis.tables import make_table
from symscope.figures import draw_figures, save_figure
from symscope.figures.theme import NARROW
from symscope.report.answers import null_control_labels, overview, questions
from symscope.report.calibration import MEANING, calibration_sentences
from symscope.report.charts import drawing_data, page_figures, scheme_variables
from symscope.report.claims import page_claims
from symscope.report.downloads import table_downloads
from symscope.report.inputs import Fact, ReportInputs
from symscope.report.learning import learning_of
from symscope.report.swaps import meaning, whole_state_sentences
from symscope.report.tables import evidence_table, score_table
from symscope.verdict import VERDICTS

PAGE_FILE = "report.html"
FIGURES_FOLDER = "figures"

MOST_OPEN = 2
"""Questions whose answers stand open on the page; of more, an overview stands first, and each opens at a click."""

MOST_FACTS = 12
"""Values of a group on what was run that stand open."""


@dataclass(frozen=True)
class ReportFiles:
    """What `write_report` wrote: the page, and the figures as SVG and PNG."""

    page: Path
    figures: tuple[Path, ...]


def write_report(inputs: ReportInputs, folder: Path) -> ReportFiles:
    """Draw every figure that the tables allow into `folder/figures` and write `folder/report.html`.

    The page links to the tables that `save_inputs` writes to the same folder, and is whole without them. `StoreError`
    when the folder cannot be written.
    """
    charts = draw_figures(inputs.tables)
    files = [path for name, chart in charts.items() for path in save_figure(chart, folder / FIGURES_FOLDER, name)]
    html = render_page(inputs, charts)
    page = replace_file(folder / PAGE_FILE, lambda path: path.write_text(html, encoding="utf-8"))
    return ReportFiles(page, tuple(files))


def render_page(inputs: ReportInputs, charts: Mapping[str, ChartType]) -> str:
    """The page as HTML text, with `charts` (those of `draw_figures` for the same tables) in their order."""
    narrow = draw_figures(inputs.tables, width=NARROW)
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("symscope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scores = inputs.tables.get("scores", make_table("scores", []))
    asked = questions(scores, inputs.tables.get("trial_accuracy")) if len(scores) else []
    learned = learning_of(inputs.tables.get("trial_accuracy"), inputs.tables.get("training"))
    claims = inputs.tables.get("claims")
    return templates.get_template("report.html").render(
        title=inputs.title,
        questions=asked,
        overview=overview(asked) if len(asked) > MOST_OPEN else None,
        learned=learned,
        # The answer itself where nothing was looked for in the networks; else beside how they behave.
        learned_first=not asked and "calibration" not in inputs.tables,
        learned_beside=bool(asked) and len(learned.table.rows) > 1,
        claims=None if claims is None else page_claims(claims),
        said=_said(inputs.tables),
        notes=inputs.notes,
        null_controls=null_control_labels(),
        verdicts=[(meaning.short, meaning.rule) for meaning in VERDICTS.values()],
        figures=page_figures(charts),
        evidence=evidence_table(scores),
        scores=score_table(scores),
        command=inputs.command,
        facts={group: {name: _shown(value) for name, value in facts.items()} for group, facts in inputs.facts.items()},
        most_facts=MOST_FACTS,
        downloads=table_downloads(inputs.tables),
        drawing=drawing_data(charts, narrow),
        vega=_vega_bundle(),
        light=Markup(scheme_variables("light")),
        dark=Markup(scheme_variables("dark")),
    )


def _said(tables: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    """What stands above a figure: what it means, and sentences that say what it shows."""
    told = {}
    if "whole_state" in tables:
        swaps = tables["whole_state"]
        told["whole_state"] = {"meaning": meaning(swaps), "found": whole_state_sentences(swaps)}
    if "calibration" in tables:
        told["calibration"] = {"meaning": MEANING, "found": calibration_sentences(tables["calibration"])}
    return told


def _vega_bundle() -> Markup:
    """Vega, Vega-Lite and vega-embed as one script, which must not close the element that holds it."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))


def _shown(value: Fact) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, "g") if isinstance(value, float) else str(value)
