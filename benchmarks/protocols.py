"""Why IIA is lower by the authors' code than by the text of the paper: `python -m benchmarks.protocols FOLDER`.

FOLDER is that of a study with Up-Down's count by both protocols. Each alignment is tested on new interventions of both,
and on one set of interventions that goes on with more and more demo tokens, so that only the continuation differs.
"""

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
import torch

from benchmarks.stored import Stored, stored_alignments
from symscope.algorithms.numeric import PHASE
from symscope.alignment.functions import Alignment, whole_state
from symscope.alignment.score import swap_of
from symscope.interchange import (
    InterventionProtocol,
    Interventions,
    cache_states,
    draw_interventions,
    intervene,
    matches_counterfactual,
)
from symscope.interchange.continuations import continue_from
from symscope.interchange.draw import PROTOCOLS, swap_interventions
from symscope.seeds import generator

TESTS = 3_000
"""Interventions of each protocol."""
SEED = 1_000
EXTRA = (0, 1, 2, 3, 4, 6, 8, 10)
"""Numbers of demo tokens that follow an intervention."""
COUNTS = ((1, 2), (3, 5), (6, 10), (11, 15), (16, 20))
"""Ranges of the count after an intervention."""
LARGEST = 20


def correct(stored: Stored, interventions: Interventions, alignments: Mapping[str, Alignment]) -> list[bool]:
    """Which interventions give what the algorithm predicts."""
    cached = cache_states(stored.network, interventions, stored.network.default_site)
    return matches_counterfactual(stored.network, cached, intervene(cached, swap_of(alignments, cached))).tolist()


@torch.no_grad()
def measure(stored: Stored) -> Iterator[dict[str, object]]:
    """Shares of correct interventions of one alignment, in rows `test`, `value` and `iia`."""
    algorithm, best = stored.algorithm, stored.results.best("count").alignments
    for name, protocol in PROTOCOLS.items():
        drawn = draw_interventions(algorithm, ("count",), TESTS, generator(SEED, name), protocol)
        yield {"test": name, "value": 0, "iia": statistics.fmean(correct(stored, drawn, best))}
    at_any_token_but_t = InterventionProtocol(excluded_tokens=("T",), extra_demo_tokens=0)
    drawn = draw_interventions(algorithm, ("count",), TESTS, generator(SEED, "same"), at_any_token_but_t)
    drawn = drawn.select(drawn.counterfactual_values["phase"] == PHASE.labels.index("demo"))
    count = drawn.counterfactual_values["count"]
    for low, high in COUNTS:
        rows = drawn.select((count >= low) & (count <= high))
        yield {"test": "count", "value": low, "iia": statistics.fmean(correct(stored, rows, best))}
    rows = drawn.select(count + EXTRA[-1] <= LARGEST)
    in_demo = rows.sources[0].values["phase"] == PHASE.labels.index("demo")
    everything = {"count": whole_state(stored.network.sites[stored.network.default_site])}
    for extra in EXTRA:
        longer = continued(stored, rows, extra)
        yield {"test": "extra", "value": extra, "iia": statistics.fmean(correct(stored, longer, best))}
        natural = correct(stored, longer.select(in_demo), everything)
        yield {"test": "whole state", "value": extra, "iia": statistics.fmean(natural)}


def continued(stored: Stored, interventions: Interventions, extra: int) -> Interventions:
    """The same interventions with a number of demo tokens after them."""
    continuation = continue_from(
        stored.algorithm,
        interventions.counterfactual_values,
        torch.full((len(interventions),), extra),
        generator(SEED, "tokens"),
    )
    return swap_interventions(interventions.variables, interventions.base, interventions.sources[0], continuation)


def table(rows: pl.DataFrame, test: Sequence[str], columns: Sequence[str]) -> None:
    """Prints the median over networks (the lowest in brackets)."""
    keys = ["task", "function", "protocol"]
    print(f"\n| task | map | found with | {' | '.join(columns)} |\n" + "|---" * (3 + len(columns)) + "|")
    for names, part in rows.filter(pl.col("test").is_in(test)).group_by(keys, maintain_order=True):
        cells = part.group_by("test", "value", maintain_order=True).agg(pl.col("iia").median(), low=pl.col("iia").min())
        print(
            f"| {' | '.join(map(str, names))} | {' | '.join(f'{m:.3f} ({low:.3f})' for *_, m, low in cells.rows())} |"
        )


def main() -> None:
    rows = []
    for stored in stored_alignments(Path(sys.argv[1]), ("up-down",)):
        request, seed = stored.arguments["request"], stored.arguments["seed"]
        where = {"task": stored.task, "function": request["function"]["name"], "seed": seed}
        protocol = stored.results.table().item(0, "protocol")
        rows += [{**where, "protocol": protocol, **row} for row in measure(stored)]
    frame = pl.DataFrame(rows).sort("task", "function", "protocol", "seed", maintain_order=True)
    table(frame, list(PROTOCOLS), [f"tested by {name}" for name in PROTOCOLS])
    table(frame, ["count"], [f"count {low} to {high}" for low, high in COUNTS])
    table(frame, ["extra"], [f"{extra} demo tokens" for extra in EXTRA])
    table(frame, ["whole state"], [f"{extra} demo tokens" for extra in EXTRA])


if __name__ == "__main__":
    main()
