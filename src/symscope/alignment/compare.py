"""Competing algorithms: the same question with the same budget for several of them, side by side.

Two algorithms may give a variable that does the same to every sequence (the phase of Up-Down and that of Up-Up); no
network can hold one and not the other, whatever it is called. So beside the evidence stands, for each two variables,
the share of interventions that tells them apart: 0 means that they are causally the same on these interventions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import torch
from torch import Generator

from symscope.algorithms import Algorithm
from symscope.alignment.evidence import Evidence
from symscope.alignment.find import find
from symscope.display import card
from symscope.errors import InvalidArgumentError
from symscope.interventions import Interventions, contradicts, draw_interventions
from symscope.interventions.draw import values_at
from symscope.networks import Network
from symscope.seeds import generator
from symscope.statistics import Difference, difference

PAIRS_DRAWN = 1000
Place = tuple[str, str]
"""An algorithm and one of its variables, by name."""


@dataclass(frozen=True)
class Rival:
    """One of several algorithms, with the evidence for each of its variables."""

    algorithm: str
    evidence: tuple[Evidence, ...]

    @property
    def weakest(self) -> Evidence:
        """An algorithm fits as well as that of its variables which is followed least."""
        return min(self.evidence, key=lambda one: one.score.iia)


@dataclass(frozen=True)
class Comparison:
    """Several algorithms on one network.

    Attributes:
        rivals: the algorithms, that with the best weakest variable first.
        ahead: how far the first is ahead of each other one, weakest against weakest.
        told_apart: for each two variables of different algorithms the share of interventions that tells them apart.
    """

    rivals: tuple[Rival, ...]
    ahead: Mapping[str, Difference]
    told_apart: Mapping[tuple[Place, Place], float]

    @property
    def same(self) -> list[tuple[Place, Place]]:
        """Variables that are causally the same on these interventions."""
        return [pair for pair, share in self.told_apart.items() if share == 0]

    def _repr_html_(self) -> str:
        bars = [
            rival.weakest.score.bar(f"{rival.algorithm}: {rival.weakest.variable}", main=rival is self.rivals[0])
            for rival in self.rivals
        ]
        facts = [
            f"{rival} is behind by {behind.value:.3f} ({behind.low:.3f} to {behind.high:.3f})."
            for rival, behind in self.ahead.items()
        ]
        facts += [f"Causally the same here: {v} of {one}, {w} of {other}." for (one, v), (other, w) in self.same]
        return card("Competing algorithms", "each by that of its variables which is followed least", bars, facts)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text("..." if cycle else str(self))

    def __str__(self) -> str:
        lines = []
        for rival in self.rivals:
            one = rival.weakest
            line = f"{rival.algorithm}: its weakest variable {one.variable}, k = {one.k}: IIA {one.score}"
            if rival.algorithm in self.ahead:
                behind = self.ahead[rival.algorithm]
                line += f"; behind by {behind.value:.3f} ({behind.low:.3f} to {behind.high:.3f})"
            lines.append(line)
        for (one, other), share in self.told_apart.items():
            pair = f"{one[1]} of {one[0]} and {other[1]} of {other[0]}"
            told = "causally the same on these interventions" if share == 0 else f"told apart by {share:.0%}"
            lines.append(f"  {pair}: {told}")
        return "\n".join(lines)


def compare(
    network: Network, algorithms: Sequence[Algorithm], k: int | Sequence[int], *, seed: int = 0, **options: Any
) -> Comparison:
    """Looks for all variables of several algorithms in one network, with the same budget for each.

    Of several k, each variable's is the one that is best on validation interventions.

    Args:
        network: the network.
        algorithms: the algorithms, all for the network's task; at least two.
        k: dimensions given to a variable.
        seed: of the draws and starts.
        options: as `find` takes them.

    Raises:
        InvalidArgumentError: fewer than two algorithms, one twice, or of different tasks.
    """
    names = [algorithm.name for algorithm in algorithms]
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InvalidArgumentError(f"compare at least two different algorithms, each once; got {names}")
    if len({algorithm.task.name for algorithm in algorithms}) > 1:
        raise InvalidArgumentError(f"algorithms of one task are compared; got {[a.task.name for a in algorithms]}")
    rivals = []
    for algorithm in algorithms:
        variables = [variable.name for variable in algorithm.variables]
        found = find(network, algorithm, variables, k, seed=seed, **options)
        best = (
            max((one for one in found if one.variable == variable), key=lambda one: one.validation_iia)
            for variable in variables
        )
        rivals.append(Rival(algorithm.name, tuple(best)))
    rivals.sort(key=lambda rival: rival.weakest.score.iia, reverse=True)
    first, *rest = rivals
    ahead = {
        rival.algorithm: difference(first.weakest.score.correct.numpy(), rival.weakest.score.correct.numpy())
        for rival in rest
    }
    told = {
        ((one.name, v.name), (other.name, w.name)): told_apart(one, v.name, other, w.name, seed=seed)
        for one, other in combinations(algorithms, 2)
        for v in one.variables
        for w in other.variables
    }
    return Comparison(tuple(rivals), ahead, told)


def told_apart(one: Algorithm, variable: str, other: Algorithm, of_other: str, *, seed: int = 0) -> float:
    """The share of interventions on a variable of one algorithm that the other's variable does not lead to.

    Both ways round, the larger: each algorithm's interventions, with the same bases, sources and cuts for the other.
    """

    def share(mine: Algorithm, v: str, theirs: Algorithm, w: str) -> float:
        draws: Generator = generator(seed, "told apart", mine.name, v)
        drawn = draw_interventions(mine, [v], PAIRS_DRAWN, draws)
        return float(contradicts(theirs, _swapped(theirs, drawn, w), drawn).double().mean())

    return max(share(one, variable, other, of_other), share(other, of_other, one, variable))


def _swapped(algorithm: Algorithm, drawn: Interventions, variable: str) -> dict[str, torch.Tensor]:
    """The algorithm's own state at the cuts, after the swap of its variable."""
    base = values_at(algorithm, drawn.base, drawn.base_positions)
    source = values_at(algorithm, drawn.source, drawn.source_positions)
    return {**base, variable: source[variable]}
