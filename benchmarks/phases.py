"""IIA by the phases of base and source, for Up-Down and Increment: `python -m benchmarks.phases FOLDER`.

FOLDER is that of the study `further-tasks`, with its results. The alignments that the study found on the counting tasks
are tested on new interventions. *Ends at once*: share of interventions after which the algorithm predicts `EOS` alone.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl

import symscope as sc
from benchmarks.stored import Stored, stored_alignments
from symscope.algorithms.numeric import PHASE

ALGORITHMS = ("up-down", "increment")
VARIABLES = ("count", "phase")
TESTS = 1_000
"""Interventions for each variable in each network."""
SEED = 1_000
"""Seed of the new interventions."""


def measure(folder: Path) -> Iterator[pl.DataFrame]:
    """Tables with one row for each intervention: the variable, both phases, and whether the prediction was right."""
    for stored in stored_alignments(folder, ALGORITHMS):
        yield from (tested(stored, variable) for variable in VARIABLES)


def tested(stored: Stored, variable: str) -> pl.DataFrame:
    """The rows of one alignment."""
    data = sc.counterfactuals(stored.algorithm, variable, n_train=1, n_validation=1, n_test=TESTS, seed=SEED)
    interventions = data.test[variable]
    return pl.DataFrame(
        {
            "task": stored.task,
            "algorithm": stored.algorithm.name,
            "variable": variable,
            "base": interventions.base.values["phase"].tolist(),
            "source": interventions.sources[0].values["phase"].tolist(),
            "ends": (interventions.lengths == 1).tolist(),
            "correct": stored.follows(interventions, stored.results.best(variable).alignments).tolist(),
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
