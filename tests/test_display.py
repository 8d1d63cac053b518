"""Results in a notebook: cards of HTML, everything escaped, and text without tensors."""

from types import SimpleNamespace

import torch

from symscope.alignment import AlignmentResult, Comparison, Results, Score, TestMetrics, neurons
from symscope.alignment._compare import Candidate
from symscope.alignment._diagnostics import Naturalness
from symscope.alignment.natural import Divergence
from symscope.alignment.rows import score_rows
from symscope.analysis import make_table
from symscope.display import Bar, card
from symscope.report import ReportInputs
from symscope.statistics import Difference


def score(hits, n=100):
    return Score.of(torch.arange(n) < hits)


def made_up_result(variable="count", hits=97, algorithm="up-down", k=3):
    metrics = TestMetrics(score(hits), score(90), {}, score(95), None, Divergence(1.2, 1.0, 0.2, 0.1))
    controls = ("untrained",)
    return AlignmentResult(
        algorithm, variable, "h", {variable: neurons(8, range(k))}, k, 0, 1, 100, 0.97, 0.0, metrics,
        {"untrained": score(5)}, {}, controls, controls, 0.8, Naturalness(0.41, 0.35, 0.12, 0.01, 7.5, 2.0),
    )  # fmt: skip


def test_everything_in_a_card_is_escaped():
    html = card("<b>a</b>", "x & y", [Bar("<i>", 0.5, 0.4, 0.6)], ["1 < 2"], ["<script>"])
    for tag in ("<b>a", "<i>", "<script"):
        assert tag not in html
    assert "&lt;b&gt;a" in html
    assert "width:50.0%" in html


def test_the_card_of_a_result_has_its_controls_its_states_and_its_warnings():
    html = made_up_result()._repr_html_()
    for text in (
        "count", "0.970", "control: untrained", "41% of the norm off the natural span", "12% farther out than natural",
        "7.5 times the natural distance", "35% of the effect dormant",
        "off-manifold: ", "⚠ without an intervention the network completes 80.0% of its sequences",
    ):  # fmt: skip
        assert text in html
    assert "isolation" not in html
    assert len(html) < 6000


def test_results_in_a_list_are_text_without_tensors():
    results = Results([made_up_result(), made_up_result("<phase>")])
    for value in (*results.all, results):
        printed = []
        value._repr_pretty_(SimpleNamespace(text=printed.append), cycle=False)
        assert printed == [str(value)]
        assert "tensor" not in printed[0]
    assert results._repr_html_().count("control: untrained") == 2
    assert "&lt;phase&gt;" in results._repr_html_()


def test_cards_of_a_comparison_and_of_the_inputs_of_a_report(synthetic):
    candidates = (
        Candidate("up-down", (made_up_result(),)),
        Candidate("up-up", (made_up_result("<resp>", 60, "up-up"),)),
    )
    shares = {(("up-down", "phase"), ("up-up", "phase")): 0.0}
    html = Comparison(candidates, {"up-up": Difference(0.37, 0.3, 0.44, 1e-9)}, shares)._repr_html_()
    for text in (
        "up-down: count",
        "up-up: &lt;resp&gt;",
        "up-up is behind by 0.370",
        "phase of up-down, phase of up-up",
    ):
        assert text in html
    inputs = ReportInputs("A <title>", {"scores": synthetic.scores()}, notes=("Seed 1 failed.",))._repr_html_()
    assert "A &lt;title&gt;" in inputs
    assert "⚠ Seed 1 failed." in inputs
    assert "scores: " in inputs


def test_the_rows_of_a_result_are_rows_of_the_table_scores():
    network = {"task": "multi-object", "network": "gru", "d": 8, "seed": 0}
    table = make_table("scores", [network | row for row in score_rows(made_up_result())])
    assert table.select("control", "iia", "n").rows() == [("none", 0.97, 100), ("untrained", 0.05, 100)]
