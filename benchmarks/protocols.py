"""Why IIA is lower by the authors' code than by the text of the paper: `python -m benchmarks.protocols FOLDER`.

FOLDER is that of a study with Up-Down's count by both protocols. Each alignment is tested on new interventions of both,
and on one set of interventions that goes on with more and more demo tokens, so that only the continuation differs.
"""

import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import polars as pl
import torch
from torch import Tensor

from benchmarks.stored import Stored, stored_alignments
from symscope.algorithms.numeric import PHASE
from symscope.alignment.functions import whole_state
from symscope.interchange import InterventionProtocol, Interventions, draw_interventions
from symscope.interchange.continuations import continue_from
from symscope.interchange.draw import PROTOCOLS, swap_interventions
from symscope.seeds import generator

TESTS = 3_000
"""Interventions of each protocol."""
SEED = 1_000
"""Seed of the new interventions."""
EXTRA = (0, 1, 2, 3, 4, 6, 8, 10)
"""Numbers of demo tokens that follow an intervention."""
COUNTS = ((1, 2), (3, 5), (6, 10), (11, 15), (16, 20))
"""Ranges of the count after an intervention."""
LARGEST = 20
"""The largest quantity of the tasks."""
DEMO = PHASE.labels.index("demo")


class Row(NamedTuple):
    """IIA of the interventions of one test that have one value."""

    test: str
    value: str
    iia: float


def measure(stored: Stored) -> Iterator[Row]:
    """Shares of the interventions that the network follows, by one alignment."""
    algorithm, best = stored.algorithm, stored.results.best("count").alignments
    for name, protocol in PROTOCOLS.items():
        drawn = draw_interventions(algorithm, ("count",), TESTS, generator(SEED, name), protocol)
        follows = stored.follows(drawn, best)
        yield Row("protocol", f"tested by {name}", _share(follows))
        base, source = (stopped.values["phase"] for stopped in (drawn.base, drawn.sources[0]))
        for (at, phase), (of, source_phase) in product(enumerate(PHASE.labels), repeat=2):
            pair = (base == at) & (source == of)
            yield Row(f"phases by {name}", f"base {phase}, source {source_phase}", _share(follows[pair]))
    at_any_token_but_t = InterventionProtocol(excluded_tokens=("T",), extra_demo_tokens=0)
    drawn = draw_interventions(algorithm, ("count",), TESTS, generator(SEED, "same"), at_any_token_but_t)
    in_demo = drawn.base.values["phase"] == DEMO
    drawn = drawn.select(in_demo & (drawn.counterfactual_values["count"] > 0))  # no natural demo state has a count of 0
    count = drawn.counterfactual_values["count"]
    for low, high in COUNTS:
        rows = drawn.select((count >= low) & (count <= high))
        yield Row("count", f"count {low} to {high}", _share(stored.follows(rows, best)))
    everything = {"count": whole_state(stored.network.sites[stored.network.default_site])}
    for at, phase in enumerate(PHASE.labels):
        rows = drawn.select((count + EXTRA[-1] <= LARGEST) & (drawn.sources[0].values["phase"] == at))
        for extra in EXTRA:
            longer, value = continued(stored, rows, extra), f"{extra} demo tokens"
            yield Row(f"source {phase}", value, _share(stored.follows(longer, best)))
            if at == DEMO:
                yield Row("whole state", value, _share(stored.follows(longer, everything)))


def _share(follows: Tensor) -> float:
    return follows.double().mean().item()


def continued(stored: Stored, interventions: Interventions, extra: int) -> Interventions:
    """The same interventions with a number of demo tokens after them."""
    continuation = continue_from(
        stored.algorithm,
        interventions.counterfactual_values,
        torch.full((len(interventions),), extra),
        generator(SEED, "tokens"),
    )
    return swap_interventions(interventions.variables, interventions.base, interventions.sources[0], continuation)


def table(rows: pl.DataFrame, *keys: str) -> None:
    """Prints the median over all rows of equal keys (the lowest in brackets)."""
    columns = rows.get_column("value").unique(maintain_order=True).to_list()
    print(f"\n| {' | '.join([*keys, *columns])} |\n" + "|---" * (len(keys) + len(columns)) + "|")
    for names, part in rows.group_by(keys, maintain_order=True):
        cells = part.group_by("value", maintain_order=True).agg(pl.col("iia").median(), low=pl.col("iia").min())
        texts = (f"{iia:.3f}" + ("" if iia == low else f" ({low:.3f})") for _, iia, low in cells.iter_rows())
        print(f"| {' | '.join([*map(str, names), *texts])} |")


def main() -> None:
    rows = []
    for stored in stored_alignments(Path(sys.argv[1]), ("up-down",)):
        arguments = stored.arguments
        where = {"task": stored.task, "network": arguments["network"]["label"], "seed": arguments["seed"]}
        where |= dict(zip(("map", "found with"), stored.results.table()["function", "protocol"].row(0), strict=True))
        rows += [{**where, **row._asdict()} for row in measure(stored)]
    frame = pl.DataFrame(rows).sort("task", "network", "map", "found with", "seed", maintain_order=True)
    tests, keys = pl.col("test"), ("task", "network", "map", "found with")
    table(frame.filter(tests == "protocol"), *keys)
    table(frame.filter(tests == "count"), *keys)
    table(frame.filter(tests.str.starts_with("source")), *keys, "test")
    table(frame.filter(tests == "whole state"), "task", "network")
    table(frame.filter(tests.str.starts_with("phases")), *keys, "test", "seed")


if __name__ == "__main__":
    main()
