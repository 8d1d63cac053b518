"""Verdicts follow from intervals: each claim on made-up tables in which it holds, fails, and is left open."""

import math

import numpy as np
import polars as pl
import pytest
from tests.analysis import comparisons, further

from symscope.analysis import TABLES, make_table
from symscope.analysis.claim import AT_ALL
from symscope.analysis.claims import CLAIMS, FAILS, HOLDS, OPEN, claims, verdict
from symscope.analysis.effects import solved_networks

SEEDS = range(5)
SHARED = tuple(claim for claim in CLAIMS if claim.name not in further.TABLES)
"""Claims that are decided by the tables here; the others have tables of their own."""
NETWORKS = [("multi-object", "gru", 16), ("multi-object", "gru", 32), ("same-object", "gru", 16)]
NETWORKS += [("same-object", "gru", 32), ("multi-object", "transformer-nope", 16)]


def where(task, network, d, seed):
    return {"task": task, "network": network, "d": d, "seed": seed}


def networks(seeds):
    return [where(*kind, seed) for kind in NETWORKS for seed in seeds]


def shares(value, seed):
    """A share with its trials, a little different from seed to seed."""
    value = min(1.0, max(0.0, value + 0.004 * (seed - 2)))
    return {"iia": value, "low": max(0.0, value - 0.03), "high": min(1.0, value + 0.03), "n": 1000}


def behaviour(seeds, *, solved=True):
    trials = [(1, False), (2, True), (3, False), (21, True)]
    return make_table("trial_accuracy", (
        {**at, "quantity": q, "held_out": out, "trial_accuracy": 1.0 if solved and q < 21 else 0.5, "n": 15}
        for at in networks(seeds) for q, out in trials
    ))  # fmt: skip


def scores(seeds, good):
    """Up-Down is aligned well, best off Same-Object and in large states, and LAF better than OAF; else the reverse."""
    rows = []
    for at in networks(seeds):
        if at["network"] != "gru":
            continue
        large, same = at["d"] == 32, at["task"] == "same-object"
        high = 0.55 + 0.1 * large - 0.35 * same if good else 0.3 - 0.1 * large + 0.3 * same
        questions = [("up-down", "count", high), ("up-down", "phase", high)]
        questions += [("up-up", v, 0.1 if good else 0.95) for v in ("demo_count", "resp_count", "phase")]
        for algorithm, variable, level in questions:
            for function, more in (("orthogonal", 0.0), ("linear", 0.2 if good else -0.05)):
                share = shares(level + more, at["seed"])
                rows.append({**at, "algorithm": algorithm, "variable": variable, "site": "h", "function": function,
                             "k": 8, "control": "none", "validation_iia": share["iia"], **share})  # fmt: skip
    return make_table("scores", rows)


def gradience(seeds, good):
    rows = []
    for at in networks(seeds):
        if at["network"] != "gru":
            continue
        fall = (0.02 if at["d"] == 16 else 0.01) if good else (0.0 if at["d"] == 16 else 0.001)
        for base in range(1, 21, 3):
            for source in range(1, 21, 3):
                level = 0.98 - fall * abs(base - source) - (0.01 if good else 0.0) * (base + source) / 2
                share = {name: value for name, value in shares(level, at["seed"]).items() if name in ("iia", "n")}
                rows += [{**at, "algorithm": "up-down", "variable": "count", "site": "h", "function": function, "k": 8,
                          "base_value": base, "source_value": source, **share}
                         for function in ("orthogonal", "linear")]  # fmt: skip
    return make_table("gradience", rows)


def whole_state(seeds, good):
    rows = []
    for at in networks(seeds):
        recurrent = at["network"] == "gru"
        for site in ["h"] if recurrent else ["embedding", "layer1", "layer2"]:
            follows = 0.98 if recurrent == good else 0.1
            for outcome, share in (("source", follows), ("base", 1 - follows)):
                figures = {name if name != "iia" else "share": x for name, x in shares(share, at["seed"]).items()}
                rows.append({**at, "algorithm": "up-down", "site": site, "outcome": outcome, **figures})
    return make_table("whole_state", rows)


def development(seeds, good):
    rows = []
    for at in networks(seeds):
        if at["network"] == "gru":
            for epoch, accuracy in ((0, 0.0), (50, 0.3), (100, 1.0)):
                level = 0.1 + (0.8 * accuracy if good else 0.0)
                rows.append({**at, "epoch": epoch, "trial_accuracy": accuracy, "trials": 300, "algorithm": "up-down",
                             "variable": "count", "site": "h", "function": "orthogonal", "k": 8,
                             **shares(level, at["seed"])})  # fmt: skip
    return make_table("development", rows)


def strength(seeds, good):
    rows = []
    for at in networks(seeds):
        if at["network"] == "transformer-nope":
            for token in ("demo", "resp"):
                figures = {
                    n if n != "iia" else "exact": x for n, x in shares(0.98 if good else 0.4, at["seed"]).items()
                }
                rows.append({**at, "token": token, "change": "added", "moved": 1.0, "ended": 1.0, **figures})
    return make_table("strength", rows)


def theory(seeds, good):
    names = {
        "network": "magnitude",
        "change_of_basis": "invertible",
        "d": 2,
        "spare": 0,
        "algorithm": "up-down",
        "k": 1,
    }
    searched = (
        ("orthogonal", "state", 0.45 if good else 0.99),
        ("linear", "state", 0.99),
        ("oblique", "natural-span", 0.99),
    )
    return make_table("theory", (
        {**names, "seed": seed, "variable": variable, "function": function, "coordinates": space, **shares(level, seed)}
        for seed in seeds for variable in ("count", "phase") for function, space, level in searched
    ))  # fmt: skip


def tables(seeds=SEEDS, *, good=True, solved=True):
    made = {"scores": scores, "gradience": gradience, "whole_state": whole_state, "development": development}
    made |= {"strength": strength, "theory": theory, "comparison": comparisons.comparison}
    made |= {name: getattr(comparisons, name) for name in ("similarity", "stitching", "dimensions")}
    return {"trial_accuracy": behaviour(seeds, solved=solved)} | {
        name: make(seeds, good) for name, make in made.items()
    }


def by_name(frame):
    return {row["claim"]: row for row in frame.iter_rows(named=True)}


@pytest.fixture(scope="module")
def decided():
    return {good: by_name(claims(tables(good=good), decide=SHARED)) for good in (True, False)}


@pytest.mark.parametrize("claim", [claim.name for claim in SHARED])
def test_each_claim_holds_where_the_tables_show_it_and_fails_where_they_do_not(claim, decided):
    good, bad = decided[True][claim], decided[False][claim]
    assert (good["verdict"], bad["verdict"]) == (HOLDS, FAILS)
    assert good["low"] < good["value"] < good["high"]
    assert good["seeds"] == len(SEEDS)
    assert good["p"] <= good["p_holm"] < 0.05 < bad["p"] <= bad["p_holm"]


def test_effects_are_the_ones_that_went_into_the_tables(decided):
    effects = {name: row["value"] for name, row in decided[True].items()}
    # LAF is chosen (better on validation), 0.2 above OAF. Up-Down: the mean of 0.75, 0.85, 0.4, 0.5; Up-Up: 0.3.
    assert effects["recurrent-prefer-up-down"] == pytest.approx(0.625 - 0.3)
    assert effects["not-in-same-object"] == pytest.approx(0.35)
    assert effects["bigger-align-better"] == pytest.approx(0.1)  # from 16 to 32 is one doubling
    assert effects["bigger-less-graded"] == pytest.approx(0.1)
    assert effects["larger-differences-worse"] == pytest.approx(0.15)  # the mean of both sizes, for ten
    assert effects["larger-quantities-worse"] == pytest.approx(0.1)
    assert effects["rises-with-accuracy"] == pytest.approx(0.8)
    assert effects["recurrent-follow-swaps"] == pytest.approx(0.88)
    assert effects["linear-reaches-further"] == pytest.approx(0.2)
    assert effects["grus-share-variables"] == pytest.approx(0.97)
    assert effects["transformers-do-not-share-them"] == pytest.approx(0.67)
    assert effects["similar-states-without-transfer"] == pytest.approx(0.816)  # the lower measure is RSA
    assert effects["four-dimensions-suffice"] == pytest.approx(0.97)
    assert effects["stitching-at-rank-two"] == pytest.approx(0.97)


def test_a_comparison_with_a_network_that_did_not_solve_its_task_does_not_count():
    given = tables()
    failed = (pl.col("network") == "gru") & (pl.col("seed") > 2)
    given["trial_accuracy"] = given["trial_accuracy"].with_columns(
        trial_accuracy=pl.when(failed).then(0.5).otherwise("trial_accuracy")
    )
    rows = by_name(claims(given))
    assert rows["grus-share-variables"]["seeds"] == 3
    assert rows["similar-states-without-transfer"]["seeds"] == 3


@pytest.mark.parametrize(
    "given", [tables(range(2)), tables(solved=False), {}], ids=["two seeds", "unsolved", "nothing"]
)
def test_without_enough_networks_that_solved_their_task_nothing_is_decided(given):
    rows = by_name(claims(given, decide=SHARED))
    for name, row in rows.items():
        if not name.startswith("linear-basis-change") or not given or len(given["theory"]["seed"].unique()) < 3:
            assert (row["verdict"], row["p_holm"]) == (OPEN, None), name
    if not given:
        assert all(row["value"] is None and "no table `" in row["reason"] for row in rows.values())


def test_a_missing_table_opens_its_claims_alone_and_is_named():
    rows = by_name(claims({name: frame for name, frame in tables().items() if name != "gradience"}, decide=SHARED))
    assert {name for name, row in rows.items() if row["verdict"] == OPEN} == {
        "bigger-less-graded", "larger-quantities-worse", "larger-differences-worse",
    }  # fmt: skip
    assert "no table `gradience`" in rows["bigger-less-graded"]["reason"]


def test_networks_that_failed_are_left_out():
    given = tables()
    failed = (pl.col("network") == "gru") & (pl.col("seed") == 4) & (pl.col("quantity") == 2)
    given["trial_accuracy"] = given["trial_accuracy"].with_columns(
        trial_accuracy=pl.when(failed).then(0.9).otherwise("trial_accuracy")
    )
    assert len(solved_networks(given["trial_accuracy"])) == len(NETWORKS) * 5 - 4
    row = by_name(claims(given))["recurrent-prefer-up-down"]
    assert row["seeds"] == 4
    assert "gru d = 16 on multi-object, same-object (4 seeds)" in row["networks"]


def test_kinds_above_the_threshold_are_counted():
    given = tables()
    against = (pl.col("task") == "same-object") & (pl.col("algorithm") == "up-down") & (pl.col("control") == "none")
    given["scores"] = given["scores"].with_columns(iia=pl.when(against).then(0.0).otherwise("iia"))
    rows = by_name(claims(given))
    prefer = rows["recurrent-prefer-up-down"]
    tasks = [
        task for part in prefer["networks"].split("; ") for task in part.split(" on ")[1].split(" (")[0].split(", ")
    ]
    assert prefer["kinds"] == len(tasks)
    assert prefer["kinds_above"] == sum(task != "same-object" for task in tasks) > 0
    for difference in ("not-in-same-object", "recurrent-follow-swaps", "bigger-align-better"):
        assert rows[difference]["kinds"] > 1
        assert rows[difference]["kinds_above"] is None


def test_verdict_at_its_edges():
    assert verdict(0.02, 0.5, AT_ALL, 3) == HOLDS
    assert verdict(0.02, 0.5, AT_ALL, 2) == OPEN
    assert verdict(AT_ALL, 0.5, AT_ALL, 3) == OPEN
    assert verdict(-0.5, AT_ALL, AT_ALL, 3) == FAILS


def test_a_fall_is_that_of_numpys_weighted_least_squares():
    given = tables(range(3))
    row = by_name(claims(given))["larger-differences-worse"]
    falls = []
    for _, cells in given["gradience"].filter(pl.col("function") == "linear").group_by("task", "d", "seed"):
        base, source, iia = (cells[name].to_numpy() for name in ("base_value", "source_value", "iia"))
        design = np.column_stack([np.ones(len(iia)), (base + source) / 2, abs(base - source)])
        falls.append(-10 * np.linalg.lstsq(design, iia, rcond=None)[0][2])
    assert math.isclose(row["value"], float(np.mean(falls)), abs_tol=1e-9)


def test_the_table_is_one_of_the_tables():
    frame = claims({})
    assert frame.columns == list(TABLES["claims"].dtypes)
    assert frame["claim"].n_unique() == len(CLAIMS)
