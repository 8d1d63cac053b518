"""Made-up result tables in the shape of a real study; for tests only, no number here was measured."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
from tests.analysis import comparisons

from symscope.analysis import make_table
from symscope.statistics import wilson

HELD_OUT = (4, 9, 14, 17)
SHOWN = ("none", "untrained", "random_subspace", "principal_components")


def score_rows(where, variable, function, k, levels, *, n=10_000):
    """One row a seed and control; `levels` gives the IIA around which the seeds of a control lie."""
    rng = np.random.default_rng([len(variable), k, where["d"]])
    rows = []
    for control, level in levels.items():
        for seed in where["seeds"]:
            iia = round(float(np.clip(level + rng.normal(0, 0.012), 0, 1)), 4)
            low, high = wilson(round(iia * n), n)
            searched = control in ("none", "untrained") and function == "orthogonal"
            rows.append(
                {
                    **{key: where[key] for key in ("task", "network", "d")},
                    "seed": seed,
                    "algorithm": "up-down",
                    "variable": variable,
                    "site": "state",
                    "function": function,
                    "k": k,
                    "control": control,
                    "iia": iia,
                    "low": low,
                    "high": high,
                    "n": n,
                    "restart": seed % 2 if searched else None,
                    "validation_iia": min(1.0, iia + 0.004) if searched else None,
                    "restarts": 2 if searched else None,
                    "total_steps": 1200 + 100 * seed if searched else None,
                }
            )
    return rows


def scores(task="multi-object", network="gru", d=48, seeds=(0, 1), ks=(24,)) -> pl.DataFrame:
    where = {"task": task, "network": network, "d": d, "seeds": seeds}
    rows = []
    for k in ks:
        reach = 1 - math.exp(-k / 5)
        count = (0.962 * reach, 0.09, 0.062, 0.31 * reach)
        phase = (0.99, 0.44, 0.51, 0.6 + 0.1 * reach)
        rows += score_rows(where, "Count", "orthogonal", k, dict(zip(SHOWN, count, strict=True)))
        rows += score_rows(where, "Phase", "orthogonal", k, dict(zip(SHOWN, phase, strict=True)))
    rows += score_rows(where, "all", "whole_state", d, {"none": 0.994, "untrained": 0.11})
    return make_table("scores", rows)


def three_alignments() -> pl.DataFrame:
    """One search of the count for each word for how natural states are: natural, in the span, off-manifold."""
    alignment = (pl.col("control") == "none") & (pl.col("variable") == "Count")
    parts = []
    for function, iia, off_span, far_out, distance in (
        ("oblique", 0.93, 0.02, 0.03, 1.5),
        ("oblique-natural-span", 0.95, 0.03, 0.4, 8.0),
        ("orthogonal", 0.97, 0.42, 0.5, 9.0),
    ):
        values = {
            "iia": iia,
            "low": iia - 0.01,
            "high": iia + 0.01,
            "validation_iia": iia,
            "off_span_share": off_span,
            "far_out_share": far_out,
            "far_out_floor": 0.01,
            "within_class_distance": distance,
            "class_radius": distance / 2,
        }
        part = scores(ks=(8,)).filter(pl.col("variable") == "Count")
        columns = (pl.when(alignment).then(v).otherwise(pl.col(c)).alias(c) for c, v in values.items())
        parts.append(part.with_columns(columns).with_columns(function=pl.lit(function)))
    return pl.concat(parts)


def trial_accuracy(seeds=(0, 1), largest=20) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    rows = [
        {
            "task": "multi-object",
            "network": "gru",
            "d": 48,
            "seed": seed,
            "quantity": quantity,
            "held_out": quantity in HELD_OUT or quantity > 20,
            "trial_accuracy": round(float(np.clip(1.2 - quantity / 40 - 0.5 * (quantity > 20), 0, 1)), 3)
            if quantity > 17
            else float(np.clip(1 - rng.exponential(0.004), 0, 1)),
            "n": 15,
        }
        for seed in seeds
        for quantity in range(1, largest + 1)
    ]
    return make_table("trial_accuracy", rows)


def gradience(seeds=(0, 1), variables=("Count", "Phase")) -> pl.DataFrame:
    rng = np.random.default_rng(2)
    rows = []
    for variable in variables:
        for seed in seeds:
            for base in range(21):
                for source in range(21):
                    n = int(rng.poisson(6 + 30 * math.exp(-(base + source) / 12)))
                    if n == 0 or base + source > 36:
                        continue
                    level = np.clip(1 - 0.004 * abs(base - source) - 0.006 * max(base, source), 0, 1)
                    rows.append(
                        {
                            "task": "multi-object",
                            "network": "gru",
                            "d": 48,
                            "seed": seed,
                            "algorithm": "up-down",
                            "variable": variable,
                            "site": "state",
                            "function": "orthogonal",
                            "k": 24,
                            "base_value": base,
                            "source_value": source,
                            "iia": rng.binomial(n, level) / n,
                            "n": n,
                        }
                    )
    return make_table("gradience", rows)


def aligned_states(seeds=(0, 1), variables=("Count", "Phase")) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    rows = []
    for variable in variables:
        for seed in seeds:
            turn = 0.4 + seed
            for quantity in range(1, 21):
                tokens = ["BOS"] + ["A"] * quantity + ["T"] + ["R"] * quantity
                for step, token in enumerate(tokens):
                    count = min(step, quantity) if step <= quantity else quantity - (step - quantity - 1)
                    responding = step > quantity
                    bend = count / 20
                    u, v = 3 * bend - 1.4, 1.5 * bend * (1 - bend) + (1.6 if responding else 0)
                    u, v = np.array([u, v]) + rng.normal(0, 0.03, 2)
                    rows.append(
                        {
                            "task": "multi-object",
                            "network": "gru",
                            "d": 48,
                            "seed": seed,
                            "algorithm": "up-down",
                            "variable": variable,
                            "function": "orthogonal",
                            "k": 24,
                            "quantity": quantity,
                            "sequence": quantity - 1,
                            "step": step,
                            "token": token,
                            "count": count,
                            "phase": "resp" if responding else "demo",
                            "c1": float(u * math.cos(turn) - v * math.sin(turn)),
                            "c2": float(u * math.sin(turn) + v * math.cos(turn)),
                        }
                    )
    return make_table("aligned_states", rows)


def training(seeds=(0, 1), updates=1600, onset=700) -> pl.DataFrame:
    rows = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        for update in range(80, updates + 1, 80):
            progress = 1 / (1 + math.exp(-(update - onset - 60 * seed) / 110))
            rows.append(
                {
                    "task": "multi-object",
                    "network": "gru",
                    "d": 48,
                    "seed": seed,
                    "update": update,
                    "epoch": update // 8,
                    "loss": float(0.55 + 1.6 * math.exp(-update / 240) + rng.normal(0, 0.004)),
                    "learning_rate": 1e-3 * min(1, (100 / update) ** 0.5),
                    "trained_accuracy": float(np.clip(progress + rng.normal(0, 0.01), 0, 1)),
                    "held_out_accuracy": float(np.clip(progress**1.4 + rng.normal(0, 0.015), 0, 1)),
                    "seconds": update * 0.016,
                }
            )
    return make_table("training", rows)


ZOO_TASKS = ("multi-object", "single-object", "same-object", "modulo", "rounding", "square", "arithmetic")
ZOO_VOID_TASKS = ("multi-object-void", "single-object-void", "same-object-void")
ZOO_NETWORKS = {"gru": 48, "lstm": 64, "transformer-rope": 48, "transformer-nope": 48}


def _of(frame, task, network, d):
    return frame.with_columns(task=pl.lit(task), network=pl.lit(network), d=pl.lit(d, dtype=pl.Int64))


def whole_state(task="multi-object", network="gru", d=48, seeds=(0, 1), *, n=1000) -> pl.DataFrame:
    """A recurrent network follows the source; a transformer does so less from layer to layer."""
    recurrent = network in ("gru", "lstm")
    sites = (
        {"h": (0.993, 0.001)} if recurrent else {"layer2": (0, 0.97), "embedding": (0.02, 0.9), "layer1": (0.1, 0.6)}
    )
    rng = np.random.default_rng([len(task), len(network)])
    rows = []
    for seed in seeds:
        for site, shares in sites.items():
            for outcome, level in zip(("source", "base"), shares, strict=True):
                share = round(float(np.clip(level + rng.normal(0, 0.01), 0, 1)), 3)
                low, high = wilson(round(share * n), n)
                where = {"task": task, "network": network, "d": d, "seed": seed, "algorithm": "up-down", "site": site}
                rows.append({**where, "outcome": outcome, "share": share, "low": low, "high": high, "n": n})
    return make_table("whole_state", rows)


def locations(**columns) -> pl.DataFrame:
    """Three sites of a language model: at the word, in the middle, and at the answer."""
    cells = (("a", "-2", 1.0, "input"), ("b", "-1", 0.9, None), ("c", "-1", 1.0, "output"))
    where = {"task": "facts", "network": "lm", "d": 8, "seed": 0, "algorithm": "facts"}
    rows = []
    for variable in ("country", "relation"):
        for site, position, iia, trivial in cells:
            cell = {"variable": variable, "site": site, "position": position, "iia": iia, "trivial": trivial}
            facts = {"low": 0.0, "high": 1.0, "n": 30, "alone": True, "input_share": 0.5, "best": site == "b"}
            rows.append({**where, **cell, **facts, **columns})
    return make_table("locations", rows)


def zoo(*, learned=True) -> dict[str, pl.DataFrame]:
    """Forty networks, one seed, trained and swapped whole: three do not learn, or none does."""
    parts: dict[str, list[pl.DataFrame]] = {"trial_accuracy": [], "training": [], "whole_state": []}
    places = [(task, *network) for task in (*ZOO_TASKS, *ZOO_VOID_TASKS) for network in ZOO_NETWORKS.items()]
    for number, where in enumerate(places):
        fails = not learned or number in (3, 23, 27)
        trials = trial_accuracy(seeds=(0,), largest=30).with_columns(
            trial_accuracy=pl.when(fails)
            .then(0.4 / pl.col("quantity"))
            .when(pl.col("quantity") > 20)
            .then((1.9 - pl.col("quantity") / 20) * (number % 3) / 2)
            .otherwise(1.0)
        )
        onset = 300 + 80 * (number * 7 % 13)
        course = training(seeds=(0,), updates=4800 if fails else onset + 600, onset=onset)
        if fails:
            course = course.with_columns(pl.col("trained_accuracy", "held_out_accuracy") * 0.2)
        parts["trial_accuracy"].append(_of(trials, *where))
        parts["training"].append(_of(course, *where))
        parts["whole_state"].append(whole_state(*where, seeds=(0,)))
    return {name: pl.concat(frames) for name, frames in parts.items()}


def calibration() -> pl.DataFrame:
    """A right and a wrong question to a constructed network, an untrained one, and one under a pull."""
    question = {
        "network": "magnitude",
        "change_of_basis": "orthogonal",
        "d": 16,
        "seed": 0,
        "function": "orthogonal",
        "k": 1,
    }
    rows = [
        {"part": "known", "algorithm": "up-down", "variable": "count", "held": True, "iia": 0.99},
        {"part": "known", "algorithm": "up-up", "variable": "resp_count", "held": False, "iia": 0.3},
        {"part": "null", "algorithm": "up-down", "variable": "count", "held": False, "iia": 0.02},
        {"part": "curve", "algorithm": "up-down", "variable": "count", "held": True, "iia": 0.98},
    ]
    more = {"latent_weight": 0.0, "coordinates": "state", "n": 500, "off_span_share": 0.2}
    bounds = ({"low": row["iia"] - 0.01, "high": row["iia"] + 0.01} for row in rows)
    return make_table(
        "calibration", ({**question, **more, **row, **ends} for row, ends in zip(rows, bounds, strict=True))
    )


def _share(name, level, n=1000):
    low, high = wilson(round(level * n), n)
    return {name: level, "low": low, "high": high, "n": n}


def frontier(seeds=(0, 1)) -> pl.DataFrame:
    """With a larger weight rewritten states are nearer to natural ones, and the IIA is lower."""
    rows = []
    for seed in seeds:
        for variable, level in (("Count", 0.98), ("Phase", 0.95)):
            for weight, distance in ((0.0, 2.6), (0.1, 2.0), (0.3, 1.6), (1.0, 1.1)):
                rows.append(
                    {
                        "task": "multi-object", "network": "gru", "d": 48, "seed": seed, "algorithm": "up-down",
                        "variable": variable, "site": "h", "function": "oblique", "k": 8, "latent_weight": weight,
                        "restarts": 1, "total_steps": 300, "mahalanobis": distance + 0.1 * seed, "off_span_share": 0.02,
                        "far_out_share": 0.01 + 0.1 * (distance - 1), "far_out_floor": 0.01,
                        "within_class_distance": 4 * distance,
                    }
                    | _share("iia", round(level - 0.15 * (2.6 - distance), 3))
                )  # fmt: skip
    return make_table("frontier", rows)


def development(seeds=(0, 1), sizes=(48,)) -> pl.DataFrame:
    """IIA rises behind trial accuracy; the larger network learns sooner."""
    rows = []
    for d in sizes:
        for seed in seeds:
            where = {"task": "multi-object", "network": "gru", "d": d, "seed": seed, "algorithm": "up-down"}
            for epoch in range(0, 201, 20):
                learned = 1 / (1 + math.exp(-(epoch - 90 - 10 * seed + d / 4) / 16))
                for variable, level in (("Count", 0.05 + 0.9 * learned**1.5), ("Phase", 0.4 + 0.59 * learned)):
                    searched = {"variable": variable, "site": "h", "function": "orthogonal", "k": d // 2}
                    rows.append(
                        {
                            **where,
                            **searched,
                            "epoch": epoch,
                            "trial_accuracy": round(learned, 3),
                            "trials": 300,
                            "restarts": 1,
                            "total_steps": 200,
                        }
                        | _share("iia", round(level, 3))
                    )
    return make_table("development", rows)


def strength(seeds=(0, 1), network="transformer-nope-layers1") -> pl.DataFrame:
    rows = []
    for seed in seeds:
        where = {"task": "multi-object", "network": network, "d": 48, "seed": seed}
        for token in ("demo", "resp"):
            for change in ("added", "removed"):
                moved = 0.97 if (token == "demo") == (change == "added") else -0.97
                row = {**where, "token": token, "change": change, "moved": moved, "ended": 1.0}
                rows.append(row | _share("exact", 0.96 + 0.01 * seed))
    return make_table("strength", rows)


def theory(seeds=(0, 1, 2)) -> pl.DataFrame:
    rows = []
    for d, spare in ((3, 0), (16, 13)):
        for seed in seeds:
            for function, coordinates, level, off_span in (
                ("orthogonal", "state", 0.45 if spare == 0 else 0.99, 0.0 if spare == 0 else 0.35),
                ("linear", "state", 0.98, 0.05 * (spare > 0)),
                ("oblique", "state", 0.99, 0.8 * (spare > 0)),
                ("oblique", "natural-span", 0.99, 0.0),
            ):
                where = {"network": "magnitude", "change_of_basis": "invertible", "d": d, "spare": spare, "seed": seed}
                question = {
                    "algorithm": "up-down",
                    "variable": "count",
                    "function": function,
                    "coordinates": coordinates,
                    "k": 1,
                }
                rows.append(
                    where | question | _share("iia", round(level - 0.01 * seed, 3)) | {"off_span_share": off_span}
                )
    return make_table("theory", rows)


def reach(layers=(1, 2), time=4) -> pl.DataFrame:
    rows = []
    for most in layers:
        places = [(layer, position) for layer in range(most + 1) for position in range(time)]
        for first in places:
            for second in places:
                reaches = first[0] < second[0] and first[1] <= second[1]
                named = {"from_layer": first[0], "from_position": first[1], "layer": second[0], "position": second[1]}
                searched = {"reaches": reaches, "change": 0.3 * reaches, "updates": min(second)}
                rows.append({"network": "transformer-rope", "layers": most, **named, **searched})
    return make_table("reach", rows)


def state_space() -> pl.DataFrame:
    states = aligned_states(variables=("Count",)).drop("algorithm", "variable", "function", "k", "protocol")
    return make_table("state_space", ({**row, "site": "h", "c3": 0.1, "variance": 0.9} for row in states.to_dicts()))


def attention(quantity=3, seeds=(0, 1)) -> pl.DataFrame:
    """The first layer attends evenly, the second to the trigger."""
    rows = []
    for seed in seeds:
        where = {"task": "multi-object", "network": "transformer-rope", "d": 48, "seed": seed, "quantity": quantity}
        for layer in (1, 2):
            for query in range(-quantity - 1, quantity + 2):
                seen = range(-quantity - 1, query + 1)
                for key in seen:
                    weight = 1 / len(seen) if layer == 1 or query < 0 else float(key == 0)
                    rows.append(
                        {**where, "layer": layer, "head": 1, "query": query, "key": key, "weight": weight, "n": 9}
                    )
    return make_table("attention", rows)


def claims() -> pl.DataFrame:
    """Three claims, one for each verdict."""
    common = {"source": "a paper: a section", "measure": "what was measured, in which networks", "rule": "above 0.1"}
    rows = [
        {"claim": "recurrent-prefer-up-down", "threshold": 0.1,
         "statement": "Recurrent networks align best with Up-Down.", "value": 0.42,
         "low": 0.3, "high": 0.5, "seeds": 3, "p": 0.0001, "p_holm": 0.0002, "verdict": "holds"},
        {"claim": "not-in-same-object", "threshold": 0.1,
         "statement": "Far better than on Same-Object.", "value": 0.02, "low": -0.1,
         "high": 0.08, "seeds": 3, "p": 0.8, "p_holm": 0.8, "verdict": "does not hold"},
        {"claim": "nope-sums", "statement": "Transformers sum.", "verdict": "not decided by this run"},
    ]  # fmt: skip
    return make_table("claims", (common | row for row in rows))


def claim_values() -> pl.DataFrame:
    """The networks of the first claim, on both sides of a difference."""
    rows = [
        {"claim": "recurrent-prefer-up-down", "kind": f"{network} d = 20 on a", "seed": seed, "weight": weight,
         "value": 0.7 - 0.2 * (weight < 0) + 0.01 * seed, "error": 0.01}
        for network, weight in (("gru", 0.5), ("lstm", 0.5), ("transformer-nope", -1.0)) for seed in range(6)
    ]  # fmt: skip
    return make_table("claim_values", rows)


def high_iias() -> pl.DataFrame:
    where = {"task": "a", "network": "gru", "d": 20, "algorithm": "up-down", "variable": "Count", "site": "h"}
    rows = [
        {**where, "function": function, "k": 8, "seeds": 3, "iia": 0.96, "low": 0.95, "high": 0.97, "naturalness": word}
        for function, word in (("oblique", "in the span"), ("orthogonal", "off-manifold"))
    ]
    return make_table("high_iias", rows)


def phases(seeds=(0, 1)) -> pl.DataFrame:
    rows = [
        {"task": "multi-object", "network": "transformer-nope", "d": 48, "seed": seed, "algorithm": "up-down",
         "site": site, "token": "R", "accuracy": 1.0, "most_common": 0.5, "states": 100}
        for seed in seeds for site in ("embedding", "layer1")
    ]  # fmt: skip
    return make_table("phases", rows)


def values(seeds=(0, 1)) -> pl.DataFrame:
    """IIA by the value put in, falling with it; from the gradience, whatever the base."""
    cells = gradience(seeds)
    where = [name for name in cells.columns if name not in ("base_value", "source_value", "iia", "n")]
    rows = cells.group_by(*where, "source_value", maintain_order=True).agg(
        hits=(pl.col("iia") * pl.col("n")).sum(), n=pl.col("n").sum()
    )
    named = rows.rename({"source_value": "value"}).with_columns(iia=(pl.col("hits") / pl.col("n")).clip(0, 1))
    ends = [wilson(round(iia * n), n) for iia, n in named.select("iia", "n").iter_rows()]
    intervals = pl.DataFrame(ends, schema={"low": pl.Float64, "high": pl.Float64}, orient="row")
    return make_table("values", pl.concat([named.drop("hits"), intervals], how="horizontal").iter_rows(named=True))


def alignments(seeds=(0, 1), variables=("Count", "Phase")):
    """The identifying columns of the alignments of `scores`."""
    for variable in variables:
        for seed in seeds:
            where = {"task": "multi-object", "network": "gru", "d": 48, "seed": seed, "algorithm": "up-down"}
            yield {**where, "variable": variable, "site": "state", "function": "orthogonal", "k": 24}


def length_errors(**which) -> pl.DataFrame:
    counts = {-2: 20, -1: 90, 0: 9_700, 1: 150, 3: 10, None: 30}
    rows = [
        {**where, "error": error, "count": count, "n": 10_000}
        for where in alignments(**which)
        for error, count in counts.items()
    ]
    return make_table("length_errors", rows)


def record(where, row, base, source, error):
    """One intervention on the count: `base` and `source` demo tokens were read, and the answer is `error` too long."""
    answer = ["R"] * source + ["EOS"]
    return {
        **where,
        "row": row,
        "base_value": str(base),
        "source_value": str(source),
        "error": error,
        "base": json.dumps(["BOS", *"D" * base, "T"]),
        "source": json.dumps(["BOS", *"D" * source]),
        "predicted": json.dumps(answer),
        "determined": json.dumps([1] * len(answer)),
        "produced": json.dumps(["R"] * (source + error) + ["EOS"]),
        "unswapped": json.dumps(["R"] * base + ["EOS"]),
        "base_position": base + 1,
        "source_position": source,
        "base_values": f"Count = {base}, Phase = resp",
        "source_values": f"Count = {source}, Phase = demo",
        "failing": 300,
        "n": 10_000,
    }


def failures(rows=20, **which) -> pl.DataFrame:
    made = [
        record(where, 7 * row, 1 + row % 9, 2 + row % 7, (-1) ** row)
        for where in alignments(**which)
        for row in range(rows)
    ]
    return make_table("failures", made)


def examples(**which) -> pl.DataFrame:
    return make_table("examples", [record(where, 3, 3, 5, 0) for where in alignments(**which)])


def tables() -> dict[str, pl.DataFrame]:
    return {
        "claims": claims(),
        "claim_values": claim_values(),
        "high_iias": high_iias(),
        "scores": scores(),
        "trial_accuracy": trial_accuracy(),
        "whole_state": whole_state(),
        "locations": locations(),
        "gradience": gradience(),
        "values": values(),
        "length_errors": length_errors(),
        "failures": failures(),
        "examples": examples(),
        "aligned_states": aligned_states(),
        "state_space": state_space(),
        "attention": attention(),
        "training": training(),
        "development": development(),
        "frontier": frontier(),
        "comparison": comparisons.comparison(),
        "similarity": comparisons.similarity(),
        "stitching": comparisons.stitching(),
        "dimensions": comparisons.dimensions(),
        "strength": strength(),
        "phases": phases(),
        "theory": theory(),
        "reach": reach(),
        "calibration": calibration(),
    }
