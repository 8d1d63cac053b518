"""The report: one self-contained HTML page from tables and facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import vl_convert
from markupsafe import Markup

from symscope.analysis.tables import make_table, replace_file
from symscope.figures import chart_svg, draw_figures, save_figure
from symscope.figures.panels import MANY, fact
from symscope.figures.theme import NARROW, WIDTH, chart_spec
from symscope.files import EXPLORER_FILE
from symscope.report.answers import Question, kind_text, null_control_labels, overview, questions
from symscope.report.charts import (
    Panels,
    drawing_data,
    kinds_of_panels,
    of_kind,
    page_figures,
    scheme_variables,
)
from symscope.report.checks import COLUMNS
from symscope.report.claims import page_claims
from symscope.report.inputs import Fact, ReportInputs
from symscope.report.learning import learning_of
from symscope.report.next_step import next_step
from symscope.report.sentences import explanations
from symscope.report.strips import Intervention, example_of, pack, page_failures
from symscope.report.tables import diagnostics_table, high_iia_table, score_table, table_downloads
from symscope.verdict import VERDICTS, percent

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


@dataclass(frozen=True)
class DrawnFigures:
    """The figures of a page.

    Attributes:
        wide, narrow: their specifications for a page and for a phone.
        still: the specifications of their images: those of `wide`, or with the panels of one kind of network alone.
        images: the images as SVG.
        panels: the kind of network of each panel, for a page of many networks.
    """

    wide: Mapping[str, dict[str, Any]]
    narrow: Mapping[str, dict[str, Any]]
    still: Mapping[str, dict[str, Any]]
    images: Mapping[str, str]
    panels: Panels

    @classmethod
    def of(cls, inputs: ReportInputs) -> DrawnFigures:
        """Every figure that the tables allow, built once for each width."""
        wide, narrow = (_specs(inputs, width) for width in (WIDTH, NARROW))
        kinds = _kinds(inputs)
        panels = kinds_of_panels(wide, kinds) if len(kinds) > MANY else {}
        first = kinds[0][0] if kinds else ""
        still = {name: of_kind(spec, panels[name], first) if name in panels else spec for name, spec in wide.items()}
        return cls(wide, narrow, still, {name: chart_svg(spec) for name, spec in still.items()}, panels)


def write_report(inputs: ReportInputs, folder: Path, *, undecided_claims: bool = False) -> ReportFiles:
    """Draw every figure that the tables allow into `folder/figures` and write `folder/report.html`.

    The page links to the tables that `save_inputs` writes to the same folder, and is complete without them. The images
    of a page of many networks show the first kind of network; the page shows the one that a reader selects.

    Args:
        inputs: the contents.
        folder: where the report is written.
        undecided_claims: list also those claims of the paper that the run does not decide.

    Raises:
        StoreError: the folder cannot be written.
    """
    drawn = DrawnFigures.of(inputs)
    files = [
        path
        for name, spec in drawn.still.items()
        for path in save_figure(spec, folder / FIGURES_FOLDER, name, svg=drawn.images[name])
    ]
    html = render_page(inputs, drawn, folder, undecided_claims=undecided_claims)
    page = replace_file(folder / PAGE_FILE, lambda path: path.write_text(html, encoding="utf-8"))
    return ReportFiles(page, tuple(files))


def _specs(inputs: ReportInputs, width: int) -> dict[str, dict[str, Any]]:
    """The specification of every figure, made once for its files, its image and its layout on the page."""
    return {name: chart_spec(chart) for name, chart in draw_figures(inputs.tables, width=width).items()}


def _kinds(inputs: ReportInputs) -> list[tuple[str, frozenset[str]]]:
    """Each kind of network in words, and the words that distinguish it from others in the name of a panel."""
    table = inputs.tables.get("scores", inputs.tables.get("trial_accuracy"))
    if table is None:
        return []
    columns = ("task", "network", "d")
    kinds = table.select(columns).unique(maintain_order=True)
    varying = [name for name in columns if kinds.get_column(name).n_unique() > 1]
    return [
        (kind_text(*row), frozenset(fact(name, row[columns.index(name)]) for name in varying))
        for row in kinds.iter_rows()
    ]


@dataclass(frozen=True)
class Example:
    """The worked intervention of a question, and how many interventions fail."""

    intervention: Intervention
    failing: str


def _example(inputs: ReportInputs, question: Question) -> Example | None:
    """That of the first variable that has one."""
    for answer in question.answers:
        example = example_of(inputs.tables.get("examples"), answer.key)
        if example is not None:
            return Example(example, f"{percent(1 - answer.measures[0].iia)} of all test interventions on it fail.")
    return None


def render_page(inputs: ReportInputs, drawn: DrawnFigures, folder: Path, *, undecided_claims: bool = False) -> str:
    """The page as HTML text; `folder` is where it will be, for the commands and links on it."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("symscope.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    scores = inputs.tables.get("scores", make_table("scores", []))
    trials = inputs.tables.get("trial_accuracy")
    page_questions = questions(scores, trials) if len(scores) else []
    learned = learning_of(trials, inputs.tables.get("training"))
    claims, claims_first = inputs.tables.get("claims"), "claim_values" in inputs.tables and not page_questions
    failures = inputs.tables.get("failures")
    return templates.get_template("report.html").render(
        title=inputs.title,
        questions=page_questions,
        examples=[_example(inputs, question) for question in page_questions],
        check_meanings=COLUMNS,
        overview=overview(page_questions, selects=bool(drawn.panels)) if len(page_questions) > MOST_OPEN else None,
        next=next_step(inputs, page_questions, folder),
        explorer=EXPLORER_FILE if (folder / EXPLORER_FILE).is_file() else None,
        failures=None if failures is None or scores.is_empty() else page_failures(failures, scores),
        most_open=MOST_OPEN,
        learned=learned,
        # The first answer where no variable was searched; otherwise part of the section on trial accuracy.
        learned_first=not page_questions and not claims_first and "calibration" not in inputs.tables,
        learned_in_section=bool(page_questions) and len(learned.table.rows) > 1,
        claims=None
        if claims is None
        else page_claims(claims, undecided=undecided_claims or claims_first, figures=claims_first),
        claims_first=claims_first,
        high_iias=None if (high := inputs.tables.get("high_iias")) is None else high_iia_table(high),
        explanations=explanations(inputs.tables),
        notes=inputs.notes,
        null_controls=null_control_labels(),
        verdicts=[(meaning.short, meaning.rule) for meaning in VERDICTS.values()],
        figures=page_figures(drawn.still, drawn.images),
        diagnostics=diagnostics_table(scores),
        scores=score_table(scores),
        command=inputs.command,
        facts=_texts(inputs.facts),
        most_facts=MOST_FACTS,
        downloads=table_downloads(inputs.tables),
        drawing=pack(drawing_data(drawn.wide, drawn.narrow, drawn.panels)),
        vega=_vega_bundle(),
        light=Markup(scheme_variables("light")),
        dark=Markup(scheme_variables("dark")),
    )


@cache
def _vega_bundle() -> Markup:
    """Vega, Vega-Lite and vega-embed as one script, without a tag that closes its element."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").replace("</script", "<\\/script"))


def _texts(facts: Mapping[str, Mapping[str, Fact]]) -> dict[str, dict[str, str]]:
    return {group: {name: _text(value) for name, value in values.items()} for group, values in facts.items()}


def _text(value: Fact) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return format(value, "g") if isinstance(value, float) else str(value)
