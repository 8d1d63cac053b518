"""The report: one self-contained HTML page from tables and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from symscope.analysis.tables import make_table, replace_file
from symscope.figures import chart_svg, draw_figures, save_figure
from symscope.figures.theme import NARROW, WIDTH, Drawable, chart_spec
from symscope.report.answers import null_control_labels, overview, questions
from symscope.report.charts import drawing_data, page_figures, scheme_variables
from symscope.report.claims import page_claims
from symscope.report.inputs import Fact, ReportInputs
from symscope.report.learning import learning_of
from symscope.report.sentences import explanations
from symscope.report.tables import diagnostics_table, score_table, table_downloads
from symscope.verdict import VERDICTS

PAGE_FILE = "report.html"
FIGURES_FOLDER = "figures"

MOST_OPEN = 2
"""Largest number of questions whose answers are open on the page; more have an overview, and each opens at a click."""

MOST_FACTS = 12
"""Largest number of values in an open group of facts."""


@dataclass(frozen=True)
class ReportFiles:
    """Files of a report: the page, and the figures as SVG and PNG."""

    page: Path
    figures: tuple[Path, ...]


def write_report(inputs: ReportInputs, folder: Path) -> ReportFiles:
    """Draw every figure that the tables allow into `folder/figures` and write `folder/report.html`.

    The page links to the tables that `save_inputs` writes to the same folder, and is complete without them.
    `StoreError` when the folder cannot be written.
    """
    charts = _specs(inputs, WIDTH)
    images = {name: chart_svg(chart) for name, chart in charts.items()}
    files = [
        path
        for name, chart in charts.items()
        for path in save_figure(chart, folder / FIGURES_FOLDER, name, svg=images[name])
    ]
    html = render_page(inputs, charts, images)
    page = replace_file(folder / PAGE_FILE, lambda path: path.write_text(html, encoding="utf-8"))
    return ReportFiles(page, tuple(files))


def _specs(inputs: ReportInputs, width: int) -> dict[str, dict[str, Any]]:
    """The specification of every figure, made once for its files, its image and its layout on the page."""
    return {name: chart_spec(chart) for name, chart in draw_figures(inputs.tables, width=width).items()}


def render_page(inputs: ReportInputs, charts: Mapping[str, Drawable], images: Mapping[str, str]) -> str:
    """The page as HTML text, with `charts` (those of `draw_figures` for the same tables) and their SVG `images`."""
    narrow = _specs(inputs, NARROW)
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("symscope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scores = inputs.tables.get("scores", make_table("scores", []))
    trials = inputs.tables.get("trial_accuracy")
    all_questions = questions(scores, trials) if len(scores) else []
    learned = learning_of(trials, inputs.tables.get("training"))
    claims = inputs.tables.get("claims")
    return templates.get_template("report.html").render(
        title=inputs.title,
        questions=all_questions,
        overview=overview(all_questions) if len(all_questions) > MOST_OPEN else None,
        learned=learned,
        # The first answer where no variable was searched; otherwise part of the section on trial accuracy.
        learned_first=not all_questions and "calibration" not in inputs.tables,
        learned_in_section=bool(all_questions) and len(learned.table.rows) > 1,
        claims=None if claims is None else page_claims(claims),
        explanations=explanations(inputs.tables),
        notes=inputs.notes,
        null_controls=null_control_labels(),
        verdicts=[(meaning.short, meaning.rule) for meaning in VERDICTS.values()],
        figures=page_figures(charts, images),
        diagnostics=diagnostics_table(scores),
        scores=score_table(scores),
        command=inputs.command,
        facts={group: {name: _text(value) for name, value in facts.items()} for group, facts in inputs.facts.items()},
        most_facts=MOST_FACTS,
        downloads=table_downloads(inputs.tables),
        drawing=drawing_data(charts, narrow),
        vega=_vega_bundle(),
        light=Markup(scheme_variables("light")),
        dark=Markup(scheme_variables("dark")),
    )


def _vega_bundle() -> Markup:
    """Vega, Vega-Lite and vega-embed as one script, without a tag that closes its element."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))


def _text(value: Fact) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, "g") if isinstance(value, float) else str(value)
