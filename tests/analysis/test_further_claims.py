"""Claims on alignments, tasks and phases: each on made-up tables in which it holds, fails, or is not decided."""

import sys

import polars as pl
import pytest
from tests.analysis.further import TABLES, one, scores, two

from symscope.analysis.claims import CLAIMS, FAILS, HOLDS, OPEN, claims, decided_claims
from symscope.analysis.contributions import token_contributions
from symscope.analysis.high_iias import high_iias

FURTHER = {claim.name: claim for claim in CLAIMS if claim.name in TABLES}


def decide(name, tables):
    return claims(tables, decide=(FURTHER[name],)).row(0, named=True)


def test_the_tables_are_about_claims() -> None:
    assert FURTHER.keys() == TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_each_claim_holds_where_the_tables_show_it_and_fails_where_they_do_not(name) -> None:
    good, bad = (decide(name, TABLES[name](good)) for good in (True, False))
    assert (good["verdict"], good["reason"]) == (HOLDS, None)
    assert (bad["verdict"], bad["reason"]) == (FAILS, None)
    assert good["low"] < good["value"] < good["high"] or good["low"] == good["value"] == good["high"]
    few = decide(name, TABLES[name](good=True, seeds=range(2)))
    assert few["verdict"] == OPEN
    assert few["reason"] == "a kind of network has 2 of the 3 seeds that are needed"
    nothing = decide(name, {})
    assert nothing["verdict"] == OPEN
    assert nothing["reason"].startswith("no table `")


def test_effects_are_the_ones_that_went_into_the_tables() -> None:
    value = {name: decide(name, make(True))["value"] for name, make in TABLES.items()}
    assert value["linear-at-equal-k"] == pytest.approx(0.2)
    assert value["span-aligns-better"] == pytest.approx(0.15)
    assert value["code-is-harder"] == pytest.approx(0.15)
    assert value["up-down-over-increment"] == pytest.approx(0.8)
    assert value["voids-keep-the-variables"] == pytest.approx(0.0)
    assert value["no-layer-holds-a-count"] == pytest.approx(0.9)
    assert value["reversible-fits-what-is-not-there"] == pytest.approx(0.65)
    assert value["same-object-errors-of-one"] == pytest.approx(262 / 302, abs=1e-3)
    assert value["phase-of-a-shared-token"] == pytest.approx(0.45)
    assert value["phase-moves-with-tokens"] == pytest.approx(0.0)


def test_contributions_are_in_units_of_a_demo_token() -> None:
    moves = token_contributions(TABLES["same-object-takes-away"](good=True)["aligned_states"])
    assert moves.filter(phase="demo").get_column("movement").to_list() == pytest.approx([1.0] * 5)
    assert moves.filter(phase="resp").get_column("movement").to_list() == pytest.approx([-1.0] * 5, abs=0.03)
    assert moves.get_column("token").unique().to_list() == ["C"]
    assert moves.filter(phase="demo").get_column("n").to_list() == [6] * 5


def test_an_interval_across_the_threshold_is_not_decided() -> None:
    row = decide("recurrent-align-highly", one("multi-object", 0.9, 0.9)(good=True))
    assert (row["verdict"], row["reason"]) == (OPEN, "the interval contains the threshold 0.9")


def test_a_claim_that_does_not_survive_the_correction_is_not_decided(monkeypatch) -> None:
    monkeypatch.setattr(sys.modules["symscope.analysis.claims"], "LEVEL", 1e-9)
    row = decide("recurrent-align-highly", TABLES["recurrent-align-highly"](good=True))
    assert row["verdict"] == OPEN
    assert "after correction" in row["reason"]


def test_holm_counts_all_measured_claims() -> None:
    tables = TABLES["span-aligns-better"](good=True)
    alone = decide("span-aligns-better", tables)
    rows = {row["claim"]: row for row in claims(tables).iter_rows(named=True)}
    assert rows["span-aligns-better"]["p_holm"] > alone["p_holm"] == alone["p"]
    assert sum(row["p_holm"] is not None for row in rows.values()) > 1


def test_values_are_those_of_the_networks() -> None:
    table, values = decided_claims(TABLES["code-is-harder"](good=True), decide=(FURTHER["code-is-harder"],))
    assert values.get_column("seed").to_list() == [0, 1, 2, 3, 4]
    assert values.get_column("kind").unique().to_list() == ["gru d = 16 on multi-object"]
    mean = values.select((pl.col("value") * pl.col("weight")).mean()).item()
    assert mean == pytest.approx(table.row(0, named=True)["value"])


def test_each_high_iia_has_its_class() -> None:
    natural = {"off_span_share": 0.01, "dormant_share": 0.0, "far_out_share": 0.01, "within_class_distance": 1.0}
    far = natural | {"far_out_share": 0.6}
    tables = scores([
        ("multi-object", "gru", "oblique", 0.95, natural),
        ("multi-object", "lstm", "oblique", 0.95, far),
        ("single-object", "gru", "orthogonal", 0.95, {"off_span_share": 0.5}),
        ("single-object", "lstm", "orthogonal", 0.95, {}),
        ("same-object", "gru", "orthogonal", 0.5, natural),
    ])  # fmt: skip
    rows = high_iias(tables["scores"])
    found = {(row["task"], row["network"]): row["naturalness"] for row in rows.iter_rows(named=True)}
    assert found == {
        ("multi-object", "gru"): "natural",
        ("multi-object", "lstm"): "in the span",
        ("single-object", "gru"): "off-manifold",
        ("single-object", "lstm"): "not measured",
    }
    assert rows.get_column("seeds").unique().to_list() == [5]
    assert high_iias(two(("orthogonal", 0.2), ("linear", 0.3), 0.3)(good=True)["scores"]).is_empty()
