"""Effect of the start of a search: steps until a high IIA, the IIA reached, and how natural the rewritten states are.

Orthogonal and oblique alignments from the leading principal components and from random frames, one restart each, over
seeds, both variables of Up-Down, state sizes and k. The note gives the off-span share: the share of the norm of the
rewritten states outside the span of natural states.
"""

from collections.abc import Iterator, Mapping
from math import inf
from statistics import median

from benchmarks.answer import draw
from benchmarks.cases import BATCH, trained_network
from benchmarks.rows import Row, Setting, threads
from symscope.alignment import (
    AlignmentProblem,
    FixedMask,
    Score,
    SearchOptions,
    SearchResult,
    TrainingPool,
    alignment_function,
    follows_swap,
    search,
)
from symscope.alignment.natural import NaturalStates
from symscope.interchange import CachedInterventions, cache_states
from symscope.networks import Network

SIZES, VARIABLES, KS, SEEDS = (20, 128), ("count", "phase"), (1, 16), range(3)
FUNCTIONS, STARTS = ("orthogonal", "oblique"), ("principal-components", "random")
TARGET_IIA, STEPS = 0.95, 300

Sets = Mapping[str, Mapping[str, CachedInterventions]]
"""Interventions by variable and split."""


def rows(setting: Setting) -> Iterator[Row]:
    """Test IIA over seeds; in the note the steps to a validation IIA of 0.95 and the off-span share (medians)."""
    with threads(min(setting.threads)):  # nothing is timed
        for d in SIZES:
            network = trained_network("gru", d, setting)
            sets = {variable: _cached(network, variable) for variable in VARIABLES}
            for name in FUNCTIONS:
                for start in STARTS:
                    yield from _rows(network, sets, name, start)


def _cached(network: Network, variable: str) -> dict[str, CachedInterventions]:
    return {name: cache_states(network, drawn, network.default_site) for name, drawn in draw(variable, 0).items()}


def _rows(network: Network, sets: Sets, name: str, start: str) -> Iterator[Row]:
    keys = [(variable, k, seed) for variable in VARIABLES for k in KS for seed in SEEDS]
    problems = [
        AlignmentProblem((variable,), FixedMask(((variable, k),)), alignment_function(name), seed)
        for variable, k, seed in keys
    ]
    options = SearchOptions(learning_rate=3e-3, batch=BATCH, steps=STEPS, validate_every=25, restarts=1, init=start)
    pool = TrainingPool(network, {variable: split["train"] for variable, split in sets.items()}, {}, None)
    validation = {variable: split["validation"] for variable, split in sets.items()}
    reached = dict.fromkeys(keys, inf)

    def note(step: int, best: list[float]) -> None:
        for key, iia in zip(keys, best, strict=True):
            reached[key] = min(reached[key], step if iia >= TARGET_IIA else inf)

    results = dict(zip(keys, search(network, problems, pool, validation, options, note), strict=True))
    d = network.sites[network.default_site]
    for variable in VARIABLES:
        natural = NaturalStates(sets[variable]["train"].natural_states())
        for k in KS:
            fits = [(variable, k, seed) for seed in SEEDS]
            tested = [_tested(network, results[fit], sets[variable]["test"], natural) for fit in fits]
            iias, off_span = zip(*tested, strict=True)
            steps = median(reached[fit] for fit in fits)
            when = f"after {steps:.0f} steps" if steps < inf else "never"
            what = f"GRU, d = {d}, {variable}, k = {k}, {name} from {start}"
            note_text = f"{TARGET_IIA} on validation {when}; off-span share {median(off_span):.2f}"
            yield Row.of(what, iias, "test IIA", note_text)


def _tested(
    network: Network, result: SearchResult, test: CachedInterventions, natural: NaturalStates
) -> tuple[float, float]:
    """Test IIA and off-span share."""
    ((_, alignment),) = result.alignments.items()
    rewritten = alignment.swap(test.base_states, test.source_states[0])
    iia = Score.of(follows_swap(network, result.alignments, test)).iia
    centred = rewritten.double() - natural.axes.mean
    outside = centred - centred @ natural.axes.directions @ natural.axes.directions.T
    return iia, float(outside.norm() / centred.norm())
