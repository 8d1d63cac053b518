"""Made-up tables of comparisons between networks; no number here was measured."""

from __future__ import annotations

import itertools

from symscope.analysis import make_table
from symscope.statistics import wilson

TASK = "multi-object"
KINDS = (("gru", 16), ("transformer-nope", 16))


def score(level: float, seed: int, n: int = 1000) -> dict[str, float]:
    """A share with its interval, a little different from seed to seed."""
    share = min(1.0, max(0.0, level + 0.004 * (seed - 2)))
    return {"iia": share, **dict(zip(("low", "high"), wilson(round(share * n), n), strict=True)), "n": n}


def _searched(share: float) -> dict[str, object]:
    steps = {"best_step": 100, "total_steps": 200, "closed_form": True}
    return {"rank": 4, "validation_iia": share, "shuffled_labels_iia": 0.05, "random_frame_iia": 0.04, **steps}


def _pairs(seeds):
    """Each pair of networks in both orders: columns of the network and of its partner, and whether both are GRUs."""
    networks = [(*kind, seed) for kind in KINDS for seed in seeds]
    for (network, d, seed), (partner, partner_d, partner_seed) in itertools.permutations(networks, 2):
        columns = {"task": TASK, "network": network, "d": d, "seed": seed, "partner_network": partner}
        yield columns | {"partner_d": partner_d, "partner_seed": partner_seed}, network == partner == "gru"


def comparison(seeds=(0, 1, 2), good=True):
    """Values transfer between GRUs, and not between a GRU and a transformer; else the reverse."""
    rows = []
    for columns, grus in _pairs(seeds):
        for variable, loss in (("count", 0.1), ("count+phase", 0.0)):
            for direction in ("within", "across"):
                is_high = columns["network"] == "gru" if direction == "within" else grus
                figures = score((0.97 if is_high == good else 0.3) - loss, columns["seed"])
                names = {"direction": direction, "algorithm": "up-down", "variable": variable, "site": "h"}
                searched = {"function": "oblique-natural-span", "k": 4, **_searched(figures["iia"])}
                rows.append(columns | names | searched | figures | {"accuracy": 1.0, "partner_accuracy": 1.0})
    return make_table("comparison", rows)


def similarity(seeds=(0, 1, 2), good=True):
    """CKA is above RSA, and both are high; else low. Stitching has a direction."""
    rows = []
    for columns, _ in _pairs(seeds):
        first = (columns["network"], columns["seed"]) < (columns["partner_network"], columns["partner_seed"])
        level = (0.8 if good else 0.2) + 0.004 * (columns["seed"] + columns["partner_seed"])
        null = {"null_mean": 0.1, "null_high": 0.15, "p": 0.005, "n_rows": 500, "n_sequences": 50}
        measures = {"cka": level + 0.1, "rsa": level, "state_stitching": 0.9}
        rows += [
            columns | {"measure": measure, "value": measures[measure], "untrained": 0.4, **null}
            for measure in (measures if first else ("state_stitching",))
        ]
    return make_table("similarity", rows)


def stitching(seeds=(0, 1, 2), good=True):
    """A map of rank 2 is enough between GRUs; else it is not."""
    rows = []
    for columns, grus in _pairs(seeds):
        baselines = {"from_regression": 0.4, "constant": 0.1, "untrained": 0.2, "reference": 1.0}
        trained = {"algorithm": "up-down", "rank": 2, "validation": 0.9, "best_step": 50, "total_steps": 200}
        rows.append(columns | baselines | trained | score(0.97 if grus and good else 0.5, columns["seed"]))
    return make_table("stitching", rows)


def dimensions(seeds=(0, 1, 2), good=True):
    """Four dimensions suffice in a GRU; else they do not."""
    rows = []
    for (network, d), seed in itertools.product(KINDS, seeds):
        for k in (1, 2, 4, 8):
            level = (0.97 if good else 0.6) * min(1, k / 4) if network == "gru" else 0.1
            figures = score(level, seed)
            where = {"task": TASK, "network": network, "d": d, "seed": seed, "algorithm": "up-down"}
            search = {"variable": "count+phase", "site": "h", "function": "oblique-natural-span", "k": k}
            rows.append(where | search | _searched(figures["iia"]) | figures | {"smallest": k == 4})
    return make_table("dimensions", rows)
