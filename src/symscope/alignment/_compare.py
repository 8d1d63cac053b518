"""Competing algorithms: the same search with the same budget for several of them, side by side.

Two algorithms may have a variable that does the same to every sequence (the phase of Up-Down and that of Up-Up); no
network can hold one without the other. So the comparison states, for each two variables, their distinguishability: the
share of interventions on which they lead to different continuations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, SupportsIndex

from symscope.algorithms import Algorithm
from symscope.alignment._align import align
from symscope.alignment._text import bar
from symscope.alignment.result import AlignmentResult
from symscope.display import card
from symscope.errors import InvalidArgumentError
from symscope.interchange import Interventions, draw_interventions, is_inconsistent_with, values_at
from symscope.networks import Network
from symscope.seeds import generator
from symscope.statistics import Difference, difference

PAIRS_DRAWN = 1000
VariableOf = tuple[str, str]
"""An algorithm and one of its variables, by name."""


@dataclass(frozen=True)
class Candidate:
    """One of several algorithms, with the result for each of its variables."""

    algorithm: str
    results: tuple[AlignmentResult, ...]

    @property
    def weakest(self) -> AlignmentResult:
        """The variable with the lowest IIA: an algorithm fits as well as its weakest variable."""
        return min(self.results, key=lambda result: result.iia)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Several algorithms on one network.

    Attributes:
        candidates: the algorithms, in the order of decreasing IIA of their weakest variable.
        lead: by how much the first exceeds each of the others, weakest variable against weakest variable.
        distinguishability: for each two variables of different algorithms, the share of interventions on which they
            lead to different continuations.
    """

    candidates: tuple[Candidate, ...]
    lead: Mapping[str, Difference]
    distinguishability: Mapping[tuple[VariableOf, VariableOf], float]

    @property
    def equivalent(self) -> list[tuple[VariableOf, VariableOf]]:
        """Pairs of variables that are causally the same on these interventions."""
        return [pair for pair, share in self.distinguishability.items() if share == 0]

    def _repr_html_(self) -> str:
        bars = [
            bar(f"{c.algorithm}: {c.weakest.variable}", c.weakest.score, main=c is self.candidates[0])
            for c in self.candidates
        ]
        facts = [
            f"{name} is behind by {behind.value:.3f} ({behind.low:.3f} to {behind.high:.3f})."
            for name, behind in self.lead.items()
        ]
        facts += [f"Causally the same here: {v} of {a}, {w} of {b}." for (a, v), (b, w) in self.equivalent]
        return card("Competing algorithms", "each by its weakest variable", bars, facts)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else repr(self))

    def __repr__(self) -> str:
        lines = []
        for candidate in self.candidates:
            weakest = candidate.weakest
            line = f"{candidate.algorithm}: weakest variable {weakest.variable}, k = {weakest.k}: IIA {weakest.score}"
            if candidate.algorithm in self.lead:
                behind = self.lead[candidate.algorithm]
                line += f"; behind by {behind.value:.3f} ({behind.low:.3f} to {behind.high:.3f})"
            lines.append(line)
        for (first, second), share in self.distinguishability.items():
            pair = f"{first[1]} of {first[0]} and {second[1]} of {second[0]}"
            lines.append(
                f"  {pair}: "
                + (
                    "causally the same on these interventions"
                    if share == 0
                    else f"differ on {share:.0%} of interventions"
                )
            )
        return "\n".join(lines)


def compare(
    network: Network,
    algorithms: Sequence[Algorithm],
    k: SupportsIndex | Sequence[SupportsIndex],
    *,
    seed: int = 0,
    **options: Any,
) -> Comparison:
    """Searches all variables of several algorithms in one network, with the same budget for each.

    Of several k, each variable's is chosen on validation interventions.

    Args:
        network: the network.
        algorithms: the algorithms, all for the network's task; at least two.
        k: dimensions given to a variable.
        seed: of the draws and starts.
        options: further arguments of `align`.

    Raises:
        InvalidArgumentError: fewer than two algorithms, one twice, or of different tasks.
    """
    names = [algorithm.name for algorithm in algorithms]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InvalidArgumentError(f"compare at least two different algorithms, each once; got {names}")
    if len({algorithm.task.name for algorithm in algorithms}) > 1:
        raise InvalidArgumentError(f"compare algorithms of one task; got {[a.task.name for a in algorithms]}")
    candidates = []
    for algorithm in algorithms:
        variables = [variable.name for variable in algorithm.variables]
        results = align(network, algorithm, variables, k, seed=seed, **options)
        candidates.append(Candidate(algorithm.name, tuple(results[variable] for variable in variables)))
    candidates.sort(key=lambda candidate: candidate.weakest.iia, reverse=True)
    first, *rest = candidates
    lead = {
        candidate.algorithm: difference(first.weakest.score.correct.numpy(), candidate.weakest.score.correct.numpy())
        for candidate in rest
    }
    pairs = {
        ((a.name, v.name), (b.name, w.name)): distinguishability(a, v.name, b, w.name, seed=seed)
        for a, b in combinations(algorithms, 2)
        for v in a.variables
        for w in b.variables
    }
    return Comparison(tuple(candidates), lead, pairs)


def distinguishability(
    first: Algorithm, variable: str, second: Algorithm, variable_of_second: str, *, seed: int = 0
) -> float:
    """The share of interventions on a variable that another algorithm's variable contradicts; the larger of both ways.

    Each algorithm's interventions are compared with the same bases and sources for the other.
    """

    def share(a: Algorithm, v: str, b: Algorithm, w: str) -> float:
        drawn = draw_interventions(a, [v], PAIRS_DRAWN, generator(seed, "told apart", a.name, v))
        return float(is_inconsistent_with(b, _swapped(b, drawn, w), drawn).double().mean())

    return max(share(first, variable, second, variable_of_second), share(second, variable_of_second, first, variable))


def _swapped(algorithm: Algorithm, drawn: Interventions, variable: str) -> dict[str, Any]:
    """The state of an algorithm at the stops of the bases, after the swap of its variable."""
    base = values_at(algorithm, drawn.base.inputs, drawn.base.position)
    source = values_at(algorithm, drawn.sources[0].inputs, drawn.sources[0].position)
    return {**base, variable: source[variable]}
