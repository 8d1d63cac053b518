"""Test interventions: what numbers are reported on, each of them once.

A number that chose between alignments is no test of the chosen one. So these are of a type of their own, which a search
or a choice does not take (they take `Prepared`), and each number is taken from them under its name, once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import final

import torch
from jaxtyping import Bool
from torch import Tensor

from symscope.algorithms import Algorithm, Real
from symscope.alignment.divergence import Divergence, NaturalStates, divergence
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.score import Score, follows_swap, share
from symscope.errors import InvalidArgumentError
from symscope.interventions import (
    Apart,
    Interventions,
    Prepared,
    contradicts,
    draw_apart,
    draw_interventions,
    follows,
    matters,
    prepare,
)
from symscope.networks import Network
from symscope.seeds import generator


@dataclass(frozen=True)
class UnseenDraws:
    """Test interventions as they are drawn, before any network has seen them.

    Attributes:
        test: the interventions.
        matter: which of them contradict base and source as they are.
        change: which of them contradict the base as it is.
        values: the value that each puts in, for a single variable that is no real number; else `None`.
        apart: interventions that tell cause from isolation.
    """

    test: Interventions
    matter: Bool[Tensor, " batch"]
    change: Bool[Tensor, " batch"]
    values: Tensor | None
    apart: Apart

    @classmethod
    def of(cls, algorithm: Algorithm, test: Interventions, apart: Apart | None = None) -> "UnseenDraws":
        """Test interventions that are drawn already."""
        kinds = {variable.name: type(variable) for variable in algorithm.variables}
        countable = len(test.variables) == 1 and kinds[test.variables[0]] is not Real
        values = test.source_values[test.variables[0]] if countable else None
        changed = contradicts(algorithm, test.base_values, test)
        return cls(test, matters(algorithm, test), changed, values, apart or Apart(None, None))


def draw_unseen(algorithm: Algorithm, variable: str, count: int, seed: int) -> UnseenDraws:
    """Draws `count` test interventions on a variable, and half as many of either kind of `Apart`."""
    purpose = ("interventions", algorithm.name, variable)
    test = draw_interventions(algorithm, [variable], count, generator(seed, *purpose, "test"))
    apart = draw_apart(algorithm, [variable], max(count // 2, 1), generator(seed, *purpose, "apart"))
    return UnseenDraws.of(algorithm, test, apart)


@dataclass(frozen=True)
class Examined:
    """All that is said about one alignment on test interventions.

    Attributes:
        score: IIA.
        matters: IIA on the interventions that contradict base and source as they are; `None` where there are none.
        by_value: IIA by the value that is put in.
        cause: IIA where base and source differ in the variable alone ...
        isolation: ... and where they agree on it and differ in the rest; see `draw_apart`.
        divergence: of the rewritten states from natural ones.
        dormant: of the interventions that change what must follow and are followed, the share that is not followed any
            more when the swap writes only along directions in which natural states vary; `None` where none is.
    """

    score: Score
    matters: Score | None
    by_value: Mapping[int, Score]
    cause: Score | None
    isolation: Score | None
    divergence: Divergence
    dormant: float | None


@final
class Unseen:
    """Test interventions on one network.

    Args:
        network: the network.
        draws: the interventions.
        site: where its states are rewritten.
    """

    def __init__(self, network: Network, draws: UnseenDraws, site: str) -> None:
        self._network, self._draws = network, draws
        self._site = site
        self._test = prepare(network, draws.test, site)
        self._reported: set[str] = set()

    def score(self, number: str, function: AlignmentFunction) -> Score:
        """IIA of an alignment.

        Args:
            number: what number this is; a name that was given before is refused.
            function: the alignment.

        Raises:
            InvalidArgumentError: the number was taken before.
        """
        self._take(number)
        return share(follows_swap(self._network, function, self._test))

    @torch.no_grad()
    def examine(self, number: str, function: AlignmentFunction) -> Examined:
        """All there is to say about an alignment; for the arguments see `score`."""
        self._take(number)
        draws, base = self._draws, self._test.base.states
        swapped = function.swap(base, self._test.source)
        correct = follows(self._network, self._test, swapped).cpu()
        changed = (correct & draws.change).nonzero()[:, 0]
        dormant = None
        if len(changed):
            there = changed.to(base.device)
            within = base[there] + self._natural.within(swapped[there] - base[there])
            dormant = 1 - float(follows(self._network, self._test, within, changed).double().mean())
        by_value = {}
        if draws.values is not None:
            by_value = {int(v): share(correct[draws.values == v]) for v in draws.values.unique()}
        cause, isolation = (self._share(function, prepared) for prepared in self._apart)
        return Examined(
            score=share(correct),
            matters=share(correct[draws.matter]) if draws.matter.any() else None,
            by_value=by_value,
            cause=cause,
            isolation=isolation,
            divergence=divergence(self._natural, swapped, generator(0, "divergence")),
            dormant=dormant,
        )

    @cached_property
    def _natural(self) -> NaturalStates:
        return NaturalStates.of(self._test.natural_states())

    @cached_property
    def _apart(self) -> list[Prepared | None]:
        """Only an examination asks for these, and controls are not examined."""
        return [None if one is None else prepare(self._network, one, self._site) for one in self._draws.apart]

    def _share(self, function: AlignmentFunction, prepared: Prepared | None) -> Score | None:
        return None if prepared is None else share(follows_swap(self._network, function, prepared))

    def _take(self, number: str) -> None:
        if number in self._reported:
            raise InvalidArgumentError(
                f"the test interventions have given the number {number!r} already; choose on validation interventions, "
                "and draw others to test on again"
            )
        self._reported.add(number)
