"""How many dimensions of a network's state carry its behaviour?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, SupportsIndex

from symscope.algorithms import Algorithm
from symscope.alignment import SearchOptions
from symscope.alignment.functions import LinearFunction, Oblique
from symscope.arguments import integer
from symscope.comparison._compare_models import joint_sets, searched, summaries
from symscope.comparison.models import ComparedModel, check_models
from symscope.comparison.result import SearchSummary, Transfer
from symscope.errors import InvalidArgumentError
from symscope.interchange import PAPER_PROTOCOL, CounterfactualData, InterventionProtocol, counterfactuals
from symscope.networks import Network
from symscope.verdict import IIA_TOLERANCE

if TYPE_CHECKING:
    import polars as pl

SIZES = (1, 2, 3, 4, 6, 8, 12, 16)
"""The k that are searched when none is given."""


@dataclass(frozen=True, repr=False)
class DimensionCurve:
    """Swap accuracy of the behaviourally relevant state, by the number of dimensions that are swapped.

    Attributes:
        variables: what is swapped together, joined by `+`.
        transfers: the test IIA of each k, ascending.
        searches: the search of each k.
    """

    variables: str
    transfers: tuple[Transfer, ...]
    searches: tuple[SearchSummary, ...]

    @property
    def smallest(self) -> int:
        """The smallest k whose validation IIA is within 0.01 of the best one: so many dimensions carry the behaviour.

        Compare its IIA with the whole state: if the best IIA is low, no k of these carries the behaviour.
        """
        best = max(search.validation_iia for search in self.searches)
        return next(search.k for search in self.searches if search.validation_iia >= best - IIA_TOLERANCE)

    def __getitem__(self, k: int) -> Transfer:
        """The transfer of one k."""
        for each in self.transfers:
            if each.k == k:
                return each
        raise InvalidArgumentError(f"k = {k} was not searched; searched are {[each.k for each in self.transfers]}")

    def table(self) -> pl.DataFrame:
        """One row for each k: IIA with its interval, its rank, divergence and controls."""
        import polars as pl  # noqa: PLC0415  (the import of symscope must be fast)

        return pl.DataFrame([{"variables": self.variables, **each.row()} for each in self.transfers])

    def __repr__(self) -> str:
        lines = [f"{self.variables}, swapped together: {self.smallest} dimensions carry the behaviour"]
        lines += [f"  k = {each.k}: IIA {each.score}" for each in self.transfers]
        return "\n".join(lines)


def minimal_dimensions(
    network: Network | ComparedModel,
    data: Algorithm | CounterfactualData,
    k: Sequence[SupportsIndex] = SIZES,
    *,
    function: LinearFunction | None = None,
    seed: SupportsIndex = 0,
    protocol: InterventionProtocol = PAPER_PROTOCOL,
    options: SearchOptions | None = None,
    progress: bool = True,
) -> DimensionCurve:
    """Swaps all variables together, in k dimensions of the state: how many are needed?

    After a swap of all variables the network must continue as the source does, so the swapped dimensions carry all that
    behaviour depends on (Grant et al. 2025). Sizes above the width of the coordinates, such as the natural span, are
    left out.

    Args:
        network: the trained network.
        data: the algorithm, all of whose variables are swapped; or counterfactual data with one set of variables.
        k: the numbers of dimensions.
        function: a linear alignment function; default: `Oblique(coordinates="natural-span")`.
        seed: fixes all draws and starts.
        protocol: where sequences stop, and how many demo tokens follow an intervention.
        options: how to search.
        progress: show a progress bar in a terminal or notebook.

    Raises:
        InvalidArgumentError: data on several sets of variables, or no k fits the states.
    """
    if isinstance(data, Algorithm):
        every = "+".join(variable.name for variable in data.variables)
        data = counterfactuals(data, every, seed=seed, protocol=protocol)
    if len(data.variables) != 1:
        raise InvalidArgumentError(
            f"name one set of variables, swapped together: data.select('a+b'); the data has {', '.join(data.variables)}"
        )
    function = function or Oblique(coordinates="natural-span")
    (variables,), models = data.variables, check_models([network], data.vocabulary, None)
    sizes = sorted({integer(size, "k", 1) for size in k})
    sets = joint_sets(models, data, function, max(sizes, default=1))
    width = sets.space.widths[0]
    sizes = [size for size in sizes if size <= width]
    if not sizes:
        raise InvalidArgumentError(f"no k from 1 to {width}, the dimensions in which the states vary; got {list(k)}")
    groups = [((variables,), size) for size in sizes]
    fits, transfers = searched(sets, function, groups, options or SearchOptions(), progress=progress)
    return DimensionCurve(variables, transfers, tuple(s for group in groups for s in summaries(group, fits[group][0])))
