"""IIA by the phases of base and source, for Up-Down and Increment: `python -m benchmarks.phases FOLDER`.

FOLDER is that of the study `further-tasks`, with its results. The alignments that the study found on the counting tasks
are tested on new interventions. *Ends at once*: share of interventions after which the algorithm predicts `EOS` alone.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import torch

import symscope as sc
from symscope.algorithms import make_algorithm
from symscope.algorithms.numeric import PHASE
from symscope.alignment import Results
from symscope.alignment.score import swap_of
from symscope.interchange import cache_states, intervene, matches_counterfactual
from symscope.networks import Network
from symscope.runner.store import existing_store
from symscope.studies import query
from symscope.studies.align import ALIGNMENT
from symscope.studies.subject import WEIGHTS
from symscope.tasks import make_task

ALGORITHMS = ("up-down", "increment")
VARIABLES = ("count", "phase")
TESTS = 1_000
"""Interventions for each variable in each network."""
SEED = 1_000
"""Seed of the new interventions."""


def measure(folder: Path) -> Iterator[pl.DataFrame]:
    """Tables with one row for each intervention: the variable, both phases, and whether the prediction was right."""
    store = existing_store(folder)
    found = {row["name"]: row for row in query(folder).iter_rows(named=True)}
    for name, row in sorted(found.items()):
        stage, _, rest = name.partition("/")
        arguments = json.loads(row["arguments"])
        if stage != "align" or arguments["request"]["algorithm"] not in ALGORITHMS:
            continue
        network = sc.load(store.fetch(found[f"train/{rest.partition('/')[0]}"]["location"]) / WEIGHTS)
        results = sc.load(store.fetch(row["location"]) / ALIGNMENT)
        assert isinstance(network, Network)
        assert isinstance(results, Results)
        task, algorithm = arguments["task"]["name"], arguments["request"]["algorithm"]
        yield from (tested(network, results, task, algorithm, variable) for variable in VARIABLES)


@torch.no_grad()
def tested(network: Network, results: Results, task: str, algorithm: str, variable: str) -> pl.DataFrame:
    """The rows of one alignment."""
    data = sc.counterfactuals(
        make_algorithm(algorithm, make_task(task)), variable, n_train=1, n_validation=1, n_test=TESTS, seed=SEED
    )
    interventions = data.test[variable]
    cached = cache_states(network, interventions, network.default_site)
    swapped = intervene(cached, swap_of(results.best(variable).alignments, cached))
    return pl.DataFrame(
        {
            "task": task,
            "algorithm": algorithm,
            "variable": variable,
            "base": interventions.base.values["phase"].tolist(),
            "source": interventions.sources[0].values["phase"].tolist(),
            "ends": (interventions.lengths == 1).tolist(),
            "correct": matches_counterfactual(network, cached, swapped).tolist(),
        }
    )


def main() -> None:
    rows = pl.concat(measure(Path(sys.argv[1])))
    keys = ["task", "algorithm", "variable", "base", "source"]
    means = rows.group_by(keys).agg(pl.len(), pl.col("ends", "correct").mean()).sort(keys)
    print("| task | algorithm | variable | base | source | interventions | ends at once | IIA |\n" + "|---" * 8 + "|")
    for task, algorithm, variable, base, source, n, ends, correct in means.iter_rows():
        phases = f"{PHASE.labels[base]} | {PHASE.labels[source]}"
        print(f"| {task} | {algorithm} | {variable} | {phases} | {n:,} | {ends:.2f} | {correct:.3f} |")


if __name__ == "__main__":
    main()
