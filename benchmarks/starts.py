"""What the start of a search changes: how soon it is there, how good it gets, and whether its states look natural.

Orthogonal and oblique alignments from the leading principal components and from random frames, one start each, over
seeds, both variables of Up-Down, state sizes and k. `outside` is the share of the norm of the rewritten states that
lies outside the span of natural ones.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import inf
from statistics import median

from benchmarks.answer import draw
from benchmarks.cases import BATCH, trained_network
from benchmarks.ours import question
from benchmarks.rows import Row, Setting, threads
from symscope.alignment import Found, Question, SearchOptions, score, search
from symscope.alignment.divergence import NaturalStates, divergence
from symscope.interventions import Prepared, prepare
from symscope.networks import Network
from symscope.seeds import generator

SIZES, VARIABLES, KS, SEEDS = (20, 128), ("count", "phase"), (1, 16), range(3)
FUNCTIONS, STARTS = ("orthogonal", "oblique"), ("principal-components", "random")
REACHED, STEPS = 0.95, 300


def rows(setting: Setting) -> Iterator[Row]:
    """Test IIA over seeds; beside it the steps to a validation IIA of 0.95 and how much lies outside (medians)."""
    with threads(min(setting.threads)):  # nothing is timed
        for d in SIZES:
            network = trained_network("gru", d, setting)
            sets = {variable: _prepared(network, variable) for variable in VARIABLES}
            for name in FUNCTIONS:
                for start in STARTS:
                    yield from _rows(network, sets, name, start)


def _prepared(network: Network, variable: str) -> dict[str, Prepared]:
    return {name: prepare(network, drawn, network.default_site) for name, drawn in draw(variable, 0).items()}


def _rows(network: Network, sets: dict[str, dict[str, Prepared]], name: str, start: str) -> Iterator[Row]:
    asked = [(variable, k, seed) for variable in VARIABLES for k in KS for seed in SEEDS]
    questions = [_question(sets[variable], variable, k, seed, name) for variable, k, seed in asked]
    options = SearchOptions(learning_rate=3e-3, batch=BATCH, steps=STEPS, validate_every=25, starts=1, first=start)
    reached = dict.fromkeys(asked, inf)

    def note(step: int, best: list[float]) -> None:
        for one, iia in zip(asked, best, strict=True):
            reached[one] = min(reached[one], step if iia >= REACHED else inf)

    found = dict(zip(asked, search(network, questions, options, note), strict=True))
    d = network.sites[network.default_site]
    for variable in VARIABLES:
        natural = NaturalStates.of(sets[variable]["train"].natural_states())
        for k in KS:
            fits = [(variable, k, seed) for seed in SEEDS]
            tested = [_tested(network, found[fit], sets[variable]["test"], natural) for fit in fits]
            iias, outside = zip(*tested, strict=True)
            there = median(reached[fit] for fit in fits)
            when = (
                f"{REACHED} on validation after {there:.0f} steps" if there < inf else f"never {REACHED} on validation"
            )
            what = f"GRU, d = {d}, {variable}, k = {k}, {name} from {start}"
            yield Row.of(what, iias, "test IIA", f"{when}; outside {median(outside):.2f}")


def _question(sets: dict[str, Prepared], variable: str, k: int, seed: int, name: str) -> Question:
    return replace(question(sets["train"], sets["validation"], variable, k, seed), function=name)


def _tested(network: Network, found: Found, test: Prepared, natural: NaturalStates) -> tuple[float, float]:
    rewritten = found.function.swap(test.base.states, test.source)
    apart = divergence(natural, rewritten, generator(0, "divergence"))
    return score(network, found.function, test).iia, apart.outside
