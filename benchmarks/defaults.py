"""Candidates of the defaults of a search, measured: `python -m benchmarks.defaults`.

A base setting and variations of it, one at a time: alignment function, k, restarts, learning rate, interventions,
weight of the counterfactual-latent loss, steps and patience. All are measured on GRUs of d = 48; those that decide most
also on other sizes, on LSTMs and transformers, and on the two counts of Up-Up. A seed is a network, its interventions
and the draws of its search. Rows are appended to `out/bench/defaults.jsonl` as they are measured, and a run that was
interrupted continues there; the table is printed at the end. No control is searched, and seconds are those of the
processor, so that other work on the machine counts little.
"""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from time import process_time
from typing import Any

import torch

from benchmarks.rows import CACHE
from symscope.algorithms import make_algorithm
from symscope.alignment import AlignmentResult, SearchOptions, alignment_function, evaluate, fit
from symscope.interchange import CounterfactualData, counterfactuals
from symscope.networks import Network, make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import TrainingOptions, load_network, save_network, train
from symscope.verdict import is_in_span, naturalness

ROWS = CACHE / "defaults.jsonl"
TASK = make_task("multi-object")
SEEDS = range(3)
UP_DOWN, UP_UP = ("up-down", ("count", "phase")), ("up-up", ("demo_count", "resp_count"))
EPOCHS = {"gru": 150, "lstm": 150, "transformer-rope": 100}
COLUMNS = (
    "network | variables | setting | test IIA, mean (lowest) | steps to best | far out | within-class distance | "
    "off span | natural, in the span | CPU s"
)


@dataclass(frozen=True)
class Setting:
    """What is searched, and how; the defaults are the base setting."""

    kind: str = "gru"
    d: int = 48
    algorithm: str = "up-down"
    variables: tuple[str, ...] = ("count", "phase")
    function: str = "oblique"
    coordinates: str = "natural-span"
    k: int = 8
    n_train: int = 2_000
    search: dict[str, Any] = field(default_factory=dict)

    @property
    def network(self) -> str:
        """The network in the table."""
        return f"{self.kind}, d = {self.d}"

    def differences(self, base: "Setting") -> str:
        """How it differs from the base setting, apart from network and variables."""
        changed = {
            name: value for name, value in asdict(self).items() if name not in ("kind", "d", "algorithm", "variables")
        }
        changed = {name: value for name, value in changed.items() if value != getattr(base, name) and name != "search"}
        return ", ".join(f"{name} {value}" for name, value in {**changed, **self.search}.items()) or "base"


BASE = Setting()
UNRESTRICTED = {"function": "orthogonal", "coordinates": "state", "search": {"latent_weight": 0.0}}
VARIATIONS: tuple[dict[str, Any], ...] = (
    {},
    {"function": "orthogonal"},
    UNRESTRICTED,
    {"k": 2},
    {"k": 4},
    {"k": 16},
    {"search": {"restarts": 3}},
    {"search": {"learning_rate": 3e-3}},
    {"search": {"learning_rate": 3e-2}},
    {"n_train": 1_000},
    {"n_train": 10_000},
    {"search": {"latent_weight": 0.0}},
    {"search": {"latent_weight": 0.1}},
    {"search": {"steps": 600, "patience": 12}},
    {"search": {"patience": 3}},
)
FEW: tuple[dict[str, Any], ...] = (
    {},
    {"function": "orthogonal"},
    UNRESTRICTED,
    {"search": {"learning_rate": 3e-3}},
    {"search": {"learning_rate": 3e-2}},
    {"search": {"latent_weight": 0.0}},
    {"k": 2},
    {"k": 16},
)


def settings() -> Iterator[Setting]:
    """All settings, the most important first."""
    yield from (replace(BASE, **variation) for variation in VARIATIONS)
    for kind, d in (("gru", 20), ("lstm", 48), ("gru", 128), ("transformer-rope", 48)):
        yield from (replace(BASE, kind=kind, d=d, **variation) for variation in FEW)
    algorithm, variables = UP_UP
    yield from (replace(BASE, algorithm=algorithm, variables=variables, **variation) for variation in FEW)


@cache
def trained_network(kind: str, d: int, seed: int) -> Network:
    """A network of that seed, trained once and kept in a file; its trial accuracy is in every row."""
    path = CACHE / "defaults" / f"{kind}-{d}-{seed}.safetensors"
    network = make_network(kind, d, len(TASK.vocabulary), generator(seed, "network"))
    if path.exists():
        load_network(path, network)
    else:
        options = TrainingOptions(learning_rate=3e-3, epochs=EPOCHS[kind], consecutive=6)
        train(network, TASK, seed, options)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_network(path, network, {"task": TASK.name})
    return network.requires_grad_(False)


@cache
def _data(algorithm: str, variables: tuple[str, ...], n_train: int, seed: int) -> CounterfactualData:
    sizes = {"n_train": n_train, "n_validation": 1_000, "n_test": 1_000}
    return counterfactuals(make_algorithm(algorithm, TASK), variables, seed=seed, **sizes)


def measure(setting: Setting, seed: int) -> list[dict[str, Any]]:
    """A row for each variable."""
    data = _data(setting.algorithm, setting.variables, setting.n_train, seed)
    network = trained_network(setting.kind, setting.d, seed)
    function = alignment_function(setting.function, coordinates=setting.coordinates)
    began = process_time()
    fitted = fit(network, data, setting.k, function=function, controls=[], options=SearchOptions(**setting.search))
    seconds = process_time() - began
    results = evaluate(fitted).all
    steps = {name: search.best_step for (name, _), search in fitted.searches.items()}
    return [
        {**_key(setting, seed), "variable": r.variable, "best_step": steps[r.variable], "seconds": seconds, **_facts(r)}
        for r in results
    ]


def _facts(result: AlignmentResult) -> dict[str, Any]:
    natural = result.naturalness
    return {
        "iia": result.iia,
        "validation_iia": result.validation_iia,
        "trial_accuracy": result.trial_accuracy,
        "total_steps": result.total_steps,
        "naturalness": naturalness(result.measurement),
        "off_span_share": None if natural is None else natural.off_span_share,
        "in_span": natural is not None and is_in_span(natural.off_span_share, natural.dormant_share),
        "far_out_share": None if natural is None else natural.far_out_share,
        "within_class_distance": None if natural is None else natural.within_class_distance,
    }


def _key(setting: Setting, seed: int) -> dict[str, Any]:
    return {**asdict(setting), "variables": list(setting.variables), "seed": seed}


def stored(path: Path) -> list[dict[str, Any]]:
    """The rows that are measured already."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The rows as a table in Markdown, one line for each setting: means over seeds and variables."""
    head = COLUMNS.split(" | ")
    yield from (f"| {COLUMNS} |", "|---" * len(head) + "|")
    for setting in settings():
        keys = [_key(setting, seed) for seed in SEEDS]
        same = [row for row in rows if any(key.items() <= row.items() for key in keys)]
        if same:
            cells = [setting.network, ", ".join(setting.variables), setting.differences(BASE), *_cells(same)]
            yield "| " + " | ".join(cells) + " |"


def _cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    variables = list(dict.fromkeys(row["variable"] for row in rows))
    by_variable = [[row["iia"] for row in rows if row["variable"] == name] for name in variables]
    natural = sum(row["naturalness"] == "natural" for row in rows)
    return [
        ", ".join(f"{sum(iias) / len(iias):.3f} ({min(iias):.3f})" for iias in by_variable),
        f"{_mean(row['best_step'] for row in rows):.0f}",
        f"{_mean(row['far_out_share'] for row in rows):.0%}",
        f"{_mean(row['within_class_distance'] for row in rows):.1f}",
        f"{_mean(row['off_span_share'] for row in rows):.0%}",
        f"{natural}, {sum(row['in_span'] for row in rows)} of {len(rows)}",
        f"{_mean(row['seconds'] for row in rows):.1f}",
    ]


def _mean(values: Iterable[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def main() -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    rows = stored(ROWS)
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    for setting in settings():
        for seed in SEEDS:
            key = _key(setting, seed)
            if any(key.items() <= row.items() for row in rows):
                continue
            measured = measure(setting, seed)
            with ROWS.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in measured))
            rows += measured
    for line in table(rows):
        print(line)
    accuracies = {(row["kind"], row["d"], row["seed"]): row["trial_accuracy"] for row in rows}
    print(
        "\nTrial accuracy:", ", ".join(f"{kind} {d} seed {seed} {a:.3f}" for (kind, d, seed), a in accuracies.items())
    )


if __name__ == "__main__":
    main()
