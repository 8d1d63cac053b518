"""Whole-state swaps at every site × position: where does a network carry variables at all?

A whole-state swap replaces the complete state at one site and position by that of the source. It is the upper bound of
every alignment there, needs no search, and so shows where a search is worth its time.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import accumulate, pairwise
from typing import SupportsIndex

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from symscope.alignment._locations import LocateCost, Location, Locations
from symscope.alignment.score import Score
from symscope.arguments import integer
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import (
    STOP,
    CachedInterventions,
    CounterfactualData,
    Interventions,
    Position,
    StoppedInputs,
    cache_sites,
    join_interventions,
    matches_counterfactual,
    move_stops,
)
from symscope.networks import Network, RunState, evaluation_mode, require_network
from symscope.progress import progress_bar
from symscope.seeds import generator
from symscope.tracking import STEP

MANY_SITES = 64
"""Of a network with more sites, those of the kind of its default site are the default (`resid_post.10`: all of
`resid_post`)."""
MAX_POSITIONS = 16
"""Most positions by default, from the end of the prompt."""
MIN_ALONE = 20
"""So many interventions in which the variable alone differs are enough to score on them only."""

BEST = "best"
"""In the place of a site: the best of `locate`."""

OnCell = Callable[[Location, int, int], None]
"""Called after each site × position, with the number of those that are done and of all."""


@torch.no_grad()
def locate(
    network: Network,
    data: CounterfactualData,
    *,
    sites: str | Sequence[str] | None = None,
    positions: Position | Sequence[Position] | None = None,
    interventions: SupportsIndex = 200,
    progress: bool = True,
    on_cell: OnCell | None = None,
) -> Locations:
    """Swaps the whole state at every site × position, on validation interventions.

    Where the values of the variables are known, interventions in which base and source differ in the overwritten
    variable alone are scored: there the swap gives the counterfactual wherever the state carries the variable. The cost
    is logged before the work (`locate_cost`).

    Args:
        network: the network.
        data: counterfactual data; every intervention takes its values from one source.
        sites: names, or patterns such as `"resid_post.*"`; default: all of at most `MANY_SITES`, else those of the kind
            of the default site.
        positions: below 0, counted from the end of the prompt, the last token before the first target; or `"stop"`,
            where the data itself stops. Default: the last positions that every prompt has, at most `MAX_POSITIONS`, if
            nothing is read after the stop; else `"stop"`.
        interventions: the most interventions for each variable.
        progress: show a progress bar in a terminal or notebook.
        on_cell: called after each site × position.

    Raises:
        UnknownNameError: a site that does not exist.
        InvalidArgumentError: a position that does not exist, another vocabulary, or interventions with several sources.
    """
    network = require_network(network, data.vocabulary)
    chosen = _choose(network, data, sites, positions, interventions)
    cost = chosen.cost()
    logging.getLogger(__name__).info("whole-state swaps, %s", cost)
    cells, total = [], len(chosen.sites) * len(chosen.positions)
    with progress_bar(total, visible=progress) as on_step:
        for position in chosen.positions:
            for cell in _at_position(network, chosen, position):
                cells.append(cell)
                if on_step:
                    on_step(f"whole-state swaps, {cost}", {STEP: len(cells), "lowest": cell.lowest})
                if on_cell:
                    on_cell(cell, len(cells), total)
    return Locations(data.hypothesis, tuple(cells), chosen.alone, cost)


def locate_cost(
    network: Network,
    data: CounterfactualData,
    *,
    sites: str | Sequence[str] | None = None,
    positions: Position | Sequence[Position] | None = None,
    interventions: SupportsIndex = 200,
) -> LocateCost:
    """What `locate` costs with the same arguments, without running the network."""
    return _choose(require_network(network, data.vocabulary), data, sites, positions, interventions).cost()


def site_named(network: Network, data: CounterfactualData, site: str | None) -> str:
    """A site by its name, the default site for `None`, and for `"best"` the best one where the data itself stops."""
    if site == BEST:
        return locate(network, data, positions=STOP, progress=False).best.site
    return network.default_site if site is None else site


@dataclass(frozen=True)
class _Choice:
    """The interventions of all variables as one set, and where their states are swapped."""

    drawn: Interventions
    rows: Mapping[str, slice]
    clusters: Mapping[str, Int[Tensor, " some"] | None]
    alone: Mapping[str, bool]
    sites: tuple[str, ...]
    positions: tuple[Position, ...]

    def at(self, position: Position) -> Interventions:
        return move_stops(self.drawn, position)

    def cost(self) -> LocateCost:
        moved = [self.at(position) for position in self.positions]
        read = sum(int((run.position + 1).sum()) for part in moved for run in (part.base, part.base, *part.sources))
        resumed = len(self.sites) * sum(int(part.lengths.sum()) for part in moved)
        return LocateCost(len(self.drawn), len(self.sites), len(self.positions), read, resumed)


def _choose(
    network: Network,
    data: CounterfactualData,
    sites: str | Sequence[str] | None,
    positions: Position | Sequence[Position] | None,
    interventions: SupportsIndex,
) -> _Choice:
    most = integer(interventions, "interventions", 1)
    if not data.validation:
        raise InvalidArgumentError("there are no validation interventions to locate variables with")
    parts, alone = [], {}
    for name, drawn in data.validation.items():
        part, alone[name] = _scored(drawn, most)
        parts.append(part)
    ends = list(accumulate(map(len, parts), initial=0))
    rows = {name: slice(*bounds) for name, bounds in zip(alone, pairwise(ends), strict=True)}
    clusters = {name: part.cluster for name, part in zip(alone, parts, strict=True)}
    joined = join_interventions([replace(part, cluster=None) for part in parts])
    return _Choice(joined, rows, clusters, alone, _sites(network, sites), _positions(joined, positions))


def _scored(drawn: Interventions, most: int) -> tuple[Interventions, bool]:
    """The interventions that are scored, without values, and whether the variable alone differs in them."""
    if len(set(drawn.source_of)) != 1:
        raise InvalidArgumentError(
            f"a whole-state swap takes one source; interventions on {drawn.name!r} take values from several"
        )
    source = drawn.sources[drawn.source_of[0]]
    rows = torch.ones(len(drawn), dtype=torch.bool) if drawn.changes_base is None else drawn.changes_base
    alone = rows & _differ_alone(drawn.variables, drawn.base, source)
    enough = int(alone.sum()) >= min(MIN_ALONE, most)
    rows = (alone if enough else rows).nonzero()[:, 0][:most]
    if not len(rows):
        raise InvalidArgumentError(f"no validation intervention on {drawn.name!r} changes what the base predicts")
    runs = (StoppedInputs(run.inputs[rows], run.position[rows], {}) for run in (drawn.base, source))
    base, source = runs
    part = Interventions(
        (drawn.variables[0],),
        base,
        (source,),
        (0,),
        drawn.fed[rows],
        drawn.targets[rows],
        drawn.target_mask[rows],
        cluster=None if drawn.cluster is None else drawn.cluster[rows],
    )
    return part, enough


def _differ_alone(variables: tuple[str, ...], base: StoppedInputs, source: StoppedInputs) -> Bool[Tensor, " rows"]:
    """Where each overwritten variable differs between base and source, and every other variable agrees."""
    known = base.values.keys() & source.values.keys()
    rows = torch.full((len(base),), known >= set(variables))
    for name in known:
        rows &= (base.values[name] != source.values[name]) == (name in variables)
    return rows


def _sites(network: Network, sites: str | Sequence[str] | None) -> tuple[str, ...]:
    if sites is None:
        kind = network.default_site.partition(".")[0]
        every = tuple(network.sites)
        return every if len(every) <= MANY_SITES else tuple(s for s in every if s.partition(".")[0] == kind)
    chosen: list[str] = []
    for pattern in [sites] if isinstance(sites, str) else sites:
        matching = [site for site in network.sites if fnmatchcase(site, pattern)]
        if not matching:
            raise UnknownNameError("site", pattern, network.sites)
        chosen += matching
    if not chosen:
        raise InvalidArgumentError("name at least one site")
    return tuple(dict.fromkeys(chosen))


def _positions(drawn: Interventions, positions: Position | Sequence[Position] | None) -> tuple[Position, ...]:
    if positions is None:
        read_after = int(drawn.lengths.max()) > 1
        if read_after or drawn.base.inputs.is_floating_point():
            return (STOP,)
        least = 1 + min(int(run.position.min()) for run in (drawn.base, *drawn.sources))
        return tuple(range(-min(least, MAX_POSITIONS), 0))
    several = [positions] if isinstance(positions, (str, int)) else list(positions)
    chosen = tuple(position if isinstance(position, str) else integer(position, "position") for position in several)
    if not chosen:
        raise InvalidArgumentError("name at least one position")
    return chosen


def _at_position(network: Network, chosen: _Choice, position: Position) -> Iterator[Location]:
    """The outcomes at all sites of one position."""
    moved = chosen.at(position)
    contexts = torch.randperm(len(moved), generator=generator(0, "contexts"))
    spliced = _Spliced.of(network, moved, contexts, chosen.sites)
    answers = _Answers.of(network, moved, contexts, chosen.sites[0])
    for site, cached in zip(chosen.sites, cache_sites(network, moved, chosen.sites), strict=True):
        correct = matches_counterfactual(network, cached, cached.source_states[0]).cpu()
        scores = {name: Score.of(correct[rows], chosen.clusters[name]) for name, rows in chosen.rows.items()}
        shares = [None if part is None else part.share(network, cached) for part in (spliced, answers)]
        yield Location(site, position, scores, *shares)


@dataclass(frozen=True)
class _Spliced:
    """States in the contexts of other interventions, in which the token at the position is that of the source."""

    contexts: Int[Tensor, " rows"]
    states: Iterator[Float[Tensor, "rows state"]]

    @classmethod
    def of(cls, network: Network, moved: Interventions, contexts: Tensor, sites: Sequence[str]) -> "_Spliced | None":
        """`None` for vectors, which have no tokens."""
        base, source = moved.base, moved.sources[0]
        if base.inputs.is_floating_point():
            return None
        tokens = source.inputs.gather(1, source.position[:, None])
        inputs = base.inputs[contexts].scatter(1, base.position[contexts, None], tokens).to(network.device)
        return cls(contexts, network.states_at_each(inputs, base.position[contexts].to(network.device), sites))

    def share(self, network: Network, cached: CachedInterventions) -> float:
        """Share of the variation of the sources' states at the next site that follows from the token alone."""
        with evaluation_mode(network):
            states, source = next(self.states), cached.source_states[0]
        context = cached.base_states[self.contexts.to(cached.base_states.device)]
        return _explained(states.to(source), source, context)


@dataclass(frozen=True)
class _Answers:
    """The features at the stop that predict the answers of the sources, and those of other interventions' bases."""

    contexts: Int[Tensor, " rows"]
    context: Float[Tensor, "rows feature"]
    source: Float[Tensor, "rows feature"]

    @classmethod
    def of(cls, network: Network, moved: Interventions, contexts: Tensor, site: str) -> "_Answers | None":
        """`None` where tokens are read after the stop."""
        if int(moved.lengths.max()) > 1:
            return None
        with evaluation_mode(network):
            base, source = (
                _features(
                    network, network.run_until(run.inputs.to(network.device), run.position.to(network.device), site)
                )
                for run in (moved.base, moved.sources[0])
            )
        return cls(contexts, base[contexts.to(base.device)], source)

    def share(self, network: Network, cached: CachedInterventions) -> float:
        """Share of the variation of the answers that follows from the state alone, in the context of another base."""
        with evaluation_mode(network):
            swapped = _features(network, cached.base.select(self.contexts, cached.source_states[0]))
        return _explained(swapped, self.source, self.context)


def _features(network: Network, run: RunState) -> Float[Tensor, "rows feature"]:
    """The features at the stop itself."""
    rows = len(run)
    fed = torch.empty(rows, 0, dtype=torch.long, device=network.device)
    return network.resume(run, fed, torch.ones(rows, 1, dtype=torch.bool))


def _explained(
    guess: Float[Tensor, "rows width"], actual: Float[Tensor, "rows width"], other: Float[Tensor, "rows width"]
) -> float:
    """Share of the squared distance between `other` and `actual` that `guess` covers; 1 where nothing differs."""
    distance = (actual - other).double().square().sum()
    missing = (actual - guess).double().square().sum()
    return 1.0 if distance == 0 else float((1 - missing / distance).clamp(0, 1))
