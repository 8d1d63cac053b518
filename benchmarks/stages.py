"""Where the seconds of an answer go, stage by stage, and what the controls cost."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any

from benchmarks.cases import BATCH, counterfactual_data
from benchmarks.rows import Row
from symscope.algorithms import Algorithm
from symscope.alignment import DEFAULT_CONTROLS, Oblique, SearchOptions, TestSet, evaluate, fit
from symscope.alignment._closed_form import ClosedForms, start_in_closed_form
from symscope.alignment._diagnostics import NaturalReference
from symscope.interchange import Interventions, cache_states, counterfactuals
from symscope.networks import Network

STEPS = 60
FUNCTION = Oblique(coordinates="natural-span")
NAMES = ["count", "phase"]


def stages(
    network: Network, draw: Callable[[str, int], Mapping[str, Interventions]], k: int, seeds: range
) -> Iterator[Row]:
    """Seconds of each stage of a search of 60 steps in the natural span, each called and timed by itself."""
    taken: dict[str, list[float]] = {}
    for seed in seeds:
        for name, seconds in _stages(network, draw, k, seed).items():
            taken.setdefault(name, []).append(seconds)
    for name, seconds in taken.items():
        yield Row.of(f"stage: {name}", seconds, "s")


def _stages(
    network: Network, draw: Callable[[str, int], Mapping[str, Interventions]], k: int, seed: int
) -> dict[str, float]:
    taken: dict[str, float] = {}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        began = perf_counter()
        result = call()
        taken[name] = perf_counter() - began
        return result

    sets = timed("drawing 4,000 interventions", lambda: draw("count", seed))
    site = network.default_site
    train, validation = timed(
        "states of 3,000 interventions",
        lambda: [cache_states(network, sets[split], site) for split in ("train", "validation")],
    )
    timed(
        "start in closed form",
        lambda: start_in_closed_form(
            [ClosedForms(network, train, validation, NAMES, k)], "oblique", [k], network, [validation]
        ),
    )
    clock: list[float] = []
    data = counterfactual_data({"count": sets}, seed)
    options = SearchOptions(steps=STEPS, validate_every=STEPS, batch=BATCH, latent_weight=0.0, target_iia=1.0)
    note = lambda name, values: clock.append(perf_counter())  # noqa: E731
    fitted = fit(network, data, k, function=FUNCTION, controls=(), options=options, on_step=note)
    alignments = fitted.alignments["count", k]
    taken[f"{STEPS} steps and a validation"] = clock[-1] - clock[0]
    reference = timed("naturalness", lambda: NaturalReference(network, train, validation, sets["validation"], NAMES))
    began = perf_counter()
    reference.measure(alignments)
    taken["naturalness"] += perf_counter() - began
    timed("test", lambda: TestSet(network, data, "count", site).score("alignment", alignments))
    return taken


def cost_of_controls(network: Network, algorithm: Algorithm, sizes: Sequence[int], seeds: range) -> Row:
    """Seconds of the default controls of `align`, fitted and tested, in units of the default search without them."""
    shares = []
    for seed in seeds:
        data = counterfactuals(algorithm, "count", n_train=2_000, seed=seed)
        taken = []
        for controls in ((), DEFAULT_CONTROLS):
            began = perf_counter()
            evaluate(fit(network, data, sizes, function=FUNCTION, controls=controls))
            taken.append(perf_counter() - began)
        shares.append(taken[1] / taken[0] - 1)
    return Row.of("default controls, in units of the default search without them", shares, "x", "target: at most 1")
