"""The page of claims: what agrees, what does not, what the paper could not see, and why a claim is not decided."""

import polars as pl
import pytest
from tests.analysis.further import TABLES

from symscope.analysis.claims import CLAIMS
from symscope.report import ReportInputs, claims_inputs, claims_markdown, write_report

TITLE = "Which claims of the paper hold?"


@pytest.fixture(scope="module")
def inputs():
    return claims_inputs(ReportInputs("Two maps", TABLES["span-aligns-better"](good=True)), TITLE)


def section(text: str, heading: str) -> str:
    return text.partition(f"## {heading}\n")[2].partition("\n## ")[0]


def test_markdown_has_every_claim_in_its_section(inputs) -> None:
    text = claims_markdown(inputs.tables, inputs.title)
    assert text.startswith(f"# {TITLE}\n\nOf {len(CLAIMS)} claims: ")
    seen = section(text, "What the paper could not see")
    assert "### An oblique map within the span of natural states aligns better" in seen
    assert "**Holds**, effect 0.150 (" in seen
    assert "(figures/claim-span-aligns-better.svg)" in seen
    failed = section(text, "What does not")
    assert "### Recurrent networks align with Up-Down very well" not in failed
    undecided = section(text, "Not decided")
    assert "Reason: no table `strength`" in undecided
    assert "claim-nope-sums.svg" not in undecided
    assert text.count("\n### ") == len(CLAIMS)
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))


def test_markdown_names_the_class_of_each_high_iia(inputs) -> None:
    text = section(claims_markdown(inputs.tables, inputs.title), "Alignments with a high IIA")
    assert "2 alignments: 2 not measured." in text
    assert (
        "| multi-object | gru | 16 | up-down | paper | count | oblique-natural-span | 8 | 0.950 | not measured |"
        in text
    )


def test_alignments_that_differ_in_their_k_alone_are_one_row(inputs) -> None:
    rows = inputs.tables["high_iias"].head(1)
    sizes = [rows.with_columns(k=pl.lit(k), iia=pl.lit(iia)) for k, iia in ((2, 0.91), (4, 0.97), (8, 0.94))]
    natural = rows.with_columns(k=pl.lit(16), iia=pl.lit(0.99), naturalness=pl.lit("natural"))
    tables = {**inputs.tables, "high_iias": pl.concat([*sizes, natural], how="vertical_relaxed")}
    lines = section(claims_markdown(tables, inputs.title), "Alignments with a high IIA").splitlines()
    assert "4 alignments: 3 not measured, 1 natural." in lines
    assert [line.split(" | ")[-3:] for line in lines if line.startswith("| multi-object")] == [
        ["2, 4, 8", "0.910 to 0.970", "not measured |"],
        ["16", "0.990", "natural |"],
    ]


def test_the_page_has_a_figure_for_each_measured_claim_and_the_reasons(inputs, tmp_path) -> None:
    files = write_report(inputs, tmp_path, undecided_claims=True)
    html = files.page.read_text()
    measured = inputs.tables["claims"].drop_nulls("value").get_column("claim").to_list()
    drawn = {path.stem for path in files.figures}
    assert {f"claim-{name}" for name in measured} == drawn
    assert html.index('id="claims"') < html.index(f'id="claim-{measured[0]}"')
    assert html.count('id="claims"') == 1
    assert "Not decided: no table `strength`" in html
    row = inputs.tables["claims"].row(by_predicate=pl.col("claim") == measured[0], named=True)
    assert f"Networks: {row['networks']}." in html
    assert 'id="high-iias"' in html
    assert f'<a href="#claim-{measured[0]}">Figure</a>' in html
    assert "No network was trained" not in html


def test_decided_claims_come_first(inputs) -> None:
    verdicts = inputs.tables["claims"].get_column("verdict").to_list()
    assert verdicts[0] != verdicts[-1] == "not decided by this run"
    assert verdicts == sorted(verdicts, key=lambda verdict: verdict == verdicts[-1])
