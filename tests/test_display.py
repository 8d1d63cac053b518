from types import SimpleNamespace

import torch
from symscope.alignment.compare import Comparison, Rival
from symscope.alignment.divergence import Divergence
from symscope.alignment.unseen import Examined

from symscope.alignment import Evidence, neurons
from symscope.alignment.score import share
from symscope.analysis import make_table
from symscope.display import Bar, card
from symscope.report import ReportInputs
from symscope.statistics import Difference


def score(hits, n=100):
    return share(torch.arange(n) < hits)


def evidence(variable="count", hits=97, algorithm="up-down"):
    seen = Examined(score(hits), score(90), {}, score(95), None, Divergence(0.41, 1.2, 1.0, 0.2, 0.1), 0.35)
    function = neurons(8, range(3))
    return Evidence(algorithm, variable, "h", function, 0, 100, 0.97, 0.0, seen, {"untrained": score(5)})


def test_everything_in_a_card_is_escaped():
    shown = card("<b>a</b>", "x & y", [Bar("<i>", 0.5, 0.4, 0.6)], ["1 < 2"], ["<script>"])
    assert "<b>a" not in shown
    assert "<i>" not in shown
    assert "<script" not in shown
    assert "&lt;b&gt;a" in shown
    assert "width:50.0%" in shown


def test_an_evidence_shows_its_controls_its_states_and_its_warnings():
    shown = evidence()._repr_html_()
    for text in ("count", "0.970", "control: untrained", "41% of the norm outside", "35% of the effect", "⚠ rewritten"):
        assert text in shown
    assert "isolation" not in shown
    assert len(shown) < 6000
    assert "⚠" not in score(9)._repr_html_()
    assert "0.090" in score(9)._repr_html_()


def test_an_evidence_in_a_list_is_text_without_tensors():
    said = []
    evidence()._repr_pretty_(SimpleNamespace(text=said.append), cycle=False)
    assert said == [str(evidence())]
    assert "tensor" not in said[0]


def test_a_comparison_and_the_inputs_of_a_report_show_themselves(synthetic):
    rivals = Rival("up-down", (evidence(),)), Rival("up-up", (evidence("<resp>", 60, "up-up"),))
    same = {(("up-down", "phase"), ("up-up", "phase")): 0.0}
    shown = Comparison(rivals, {"up-up": Difference(0.37, 0.3, 0.44, 1e-9)}, same)._repr_html_()
    for text in (
        "up-down: count",
        "up-up: &lt;resp&gt;",
        "up-up is behind by 0.370",
        "phase of up-down, phase of up-up",
    ):
        assert text in shown
    inputs = ReportInputs("A <title>", {"scores": synthetic.scores()}, notes=("Seed 1 failed.",))._repr_html_()
    assert "A &lt;title&gt;" in inputs
    assert "⚠ Seed 1 failed." in inputs
    assert "scores: 20 rows" in inputs


def test_the_rows_of_an_evidence_are_scores(synthetic):
    where = {"task": "multi-object", "network": "gru", "d": 8, "seed": 0}
    table = make_table("scores", [where | row for row in evidence().rows()])
    assert table.select("control", "iia", "n").rows() == [("none", 0.97, 100), ("untrained", 0.05, 100)]
