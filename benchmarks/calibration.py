"""`python -m benchmarks.calibration OUT`: networks whose answer is known, put through the whole instrument.

Writes `OUT/tables/calibration.parquet` and `.csv`, and `OUT/figures/calibration.svg` and `.png`. Jobs that are in the
table already are not done again.
"""

import multiprocessing
import sys
from pathlib import Path
from typing import Any

import polars as pl
import torch

from symscope.alignment import SearchOptions
from symscope.analysis import make_table, read_table, write_table
from symscope.figures import save_figure
from symscope.figures.calibration import calibration
from symscope.studies.calibrate import PARTS, Budget

SEARCH = {"learning_rate": 1e-2, "batch": 64, "steps": 300, "validate_every": 50, "starts": 2, "patience": 4}
COUNTS = (1500, 300, 600)
BUDGETS = {
    "known": SEARCH,
    "null": {**SEARCH, "starts": 1},
    "curve": {**SEARCH, "starts": 1, "steps": 600, "patience": 20},
}
FUNCTIONS = ("orthogonal", "oblique", "linear", "reversible")
Job = tuple[str, dict[str, Any]]


def jobs() -> list[Job]:
    """Every question of the calibration, those that say most for their time first."""
    found: list[Job] = []
    for k in (1, 2):
        for function in ("orthogonal", "oblique"):
            for weight, view in ((0.0, "none"), (0.3, "none"), (1.0, "none"), (3.0, "none"), (0.0, "spanned")):
                asked = {"d": 16, "k": k, "function": function, "latent_weight": weight, "view": view}
                found.append(("curve", asked))
    for function in FUNCTIONS:
        for hide in ("none", "orthogonal", "invertible"):
            asked = {"hide": hide, "d": 8, "k": 2, "function": function}
            found += [("known", {"network": network, **asked}) for network in ("magnitude", "two-counts", "angle")]
    found += [("null", {"d": d, "function": function}) for d in (8, 16, 32, 64) for function in FUNCTIONS]
    return found


def run(job: Job) -> list[dict[str, Any]]:
    torch.set_num_threads(1)
    part, asked = job
    return list(PARTS[part](Budget(SearchOptions(**BUDGETS[part]), COUNTS), 0, **asked))


def done(job: Job, table: pl.DataFrame) -> bool:
    part, asked = job
    asked = {"disguise" if name == "hide" else name: value for name, value in asked.items()}
    same = pl.all_horizontal(pl.col(name) == value for name, value in {"part": part, **asked}.items())
    return not table.filter(same).is_empty()


def main(folder: Path) -> None:
    tables = folder / "tables"
    there = (tables / "calibration.parquet").is_file()
    table = read_table("calibration", tables) if there else make_table("calibration", [])
    asked = [job for job in jobs() if not done(job, table)]
    print(f"{len(asked)} of {len(jobs())} jobs to do")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for number, rows in enumerate(pool.imap_unordered(run, asked), 1):
            table = pl.concat([table, make_table("calibration", rows)])
            write_table("calibration", table, tables)
            print(
                f"{number}/{len(asked)}: {rows[0]['network']}, {rows[0]['disguise']}, {rows[0]['function']}", flush=True
            )
    if not table.is_empty():
        save_figure(calibration(table), folder / "figures", "calibration")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
