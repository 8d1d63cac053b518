"""The states of a network at the stops of interventions, computed once.

Nothing here depends on an alignment, so a search starts every step from these states.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError, NonFiniteError
from symscope.interchange.data import Interventions, StoppedInputs
from symscope.networks import Network, RunState, evaluation_mode, join_run_states

ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class CachedInterventions:
    """Interventions on one network: its states at the stops, and what must be predicted after a swap.

    Attributes:
        variables, source_of: as `Interventions` has them.
        base: the stopped runs of the base, their states in the precision of the network.
        base_states: the same states in at least single precision, in which alignments are computed.
        source_states: the states of each source, likewise.
        fed, targets: on the device of the network.
        target_mask: which targets count; on the CPU, where the order of work is planned.
        lengths: columns of `targets` up to the last that counts; on the CPU.
        values: the value of each variable at each natural state, in the order of `natural_states`; empty if unknown.
        counterfactual_values: the value of each variable after the intervention.
    """

    variables: tuple[str, ...]
    source_of: tuple[int, ...]
    base: RunState
    base_states: Float[Tensor, "rows state"]
    source_states: Float[Tensor, "sources rows state"]
    fed: Int[Tensor, "rows steps"]
    targets: Int[Tensor, "rows steps+1"]
    target_mask: Bool[Tensor, "rows steps+1"]
    lengths: Int[Tensor, " rows"]
    values: Mapping[str, Shaped[Tensor, " samples"]]
    counterfactual_values: Mapping[str, Shaped[Tensor, " rows"]]

    def __len__(self) -> int:
        return len(self.base_states)

    def natural_states(self) -> Float[Tensor, "samples state"]:
        """The states that the network itself reaches, where base and sources stop."""
        return torch.cat([self.base_states, *self.source_states])


def cache_states(network: Network, interventions: Interventions, site: str) -> CachedInterventions:
    """Runs the network up to the stops of all interventions; for the errors see `cache_sites`."""
    (cached,) = cache_sites(network, interventions, [site])
    return cached


def cache_sites(network: Network, interventions: Interventions, sites: Sequence[str]) -> Iterator[CachedInterventions]:
    """Runs the network up to the stops of all interventions, for each of several sites in turn.

    What the sites share is computed once, where the network can (`Network.run_until_each`).

    Raises:
        UnknownNameError: the network has no such site.
        InvalidArgumentError: no target counts, so there is nothing to score.
        NonFiniteError: a state is NaN or infinite.
    """
    if not interventions.target_mask.any():
        raise InvalidArgumentError("the interventions have nothing to score: no target counts")
    for site in sites:
        network.check_site(site)
    fed = interventions.fed.to(network.device)
    if fed.numel():
        network.check_tokens(fed)
    blocks = list(
        zip(fed.split(ROWS_AT_ONCE), (interventions.lengths - 1).clamp(min=0).split(ROWS_AT_ONCE), strict=True)
    )
    bases = [network.run_until_each(*part, sites) for part in _parts(network, interventions.base)]
    sources = [
        [network.states_at_each(*part, sites) for part in _parts(network, source)] for source in interventions.sources
    ]
    for site in sites:
        with torch.no_grad(), evaluation_mode(network):
            base = join_run_states(
                [network.precompute(next(runs), *block) for runs, block in zip(bases, blocks, strict=True)]
            )
            states = [torch.cat([next(part) for part in parts]) for parts in sources]
        yield _cached(interventions, base, states, site)


def _parts(network: Network, runs: StoppedInputs) -> Iterator[tuple[Tensor, Tensor]]:
    """Inputs and positions on the device of the network, in blocks of rows."""
    for inputs, at in zip(runs.inputs.split(ROWS_AT_ONCE), runs.position.split(ROWS_AT_ONCE), strict=True):
        yield inputs.to(network.device), at.to(network.device)


def _cached(
    interventions: Interventions, base: RunState, sources: list[Float[Tensor, "rows state"]], site: str
) -> CachedInterventions:
    """The interventions at one site, from the stopped runs of the base and the states of each source."""
    device = base.states.device
    runs = (interventions.base, *interventions.sources)
    known = [name for name in interventions.base.values if all(name in run.values for run in runs)]
    after = interventions.counterfactual_values if known else {}
    base_states, source_states = (
        _single(base.states),
        _single(torch.stack(sources) if sources else base.states[None][:0]),
    )
    if not (base_states.isfinite().all() and source_states.isfinite().all()):
        raise NonFiniteError(f"the network's states at site {site!r} are not all finite; was its training stable?")
    return CachedInterventions(
        interventions.variables,
        interventions.source_of,
        base,
        base_states,
        source_states,
        interventions.fed.to(device),
        interventions.targets.to(device),
        interventions.target_mask,
        interventions.lengths,
        {name: torch.cat([run.values[name] for run in runs]) for name in known},
        {name: values for name, values in after.items() if name in known},
    )


def _single(states: Tensor) -> Tensor:
    """Half precision as single precision; anything else unchanged."""
    return states.float() if states.dtype in (torch.float16, torch.bfloat16) else states


def join_cached(parts: Sequence[CachedInterventions]) -> CachedInterventions:
    """Several sets on one network as one, rows in order; a set with fewer sources repeats its last one.

    The joined set has no variables of its own: which are overwritten differs from row to row.
    """
    sources = max(len(part.source_states) for part in parts)

    def repeated(states: Tensor) -> Tensor:
        return torch.cat([states, states[-1:].expand(sources - len(states), -1, -1)])

    def cat(tensors: list[Tensor]) -> Tensor:
        time = max(tensor.shape[1] for tensor in tensors)
        return torch.cat([pad(tensor, (0, time - tensor.shape[1])) for tensor in tensors])

    return CachedInterventions(
        (),
        (),
        join_run_states([part.base for part in parts]),
        torch.cat([part.base_states for part in parts]),
        torch.cat([repeated(part.source_states) for part in parts], 1),
        cat([part.fed for part in parts]),
        cat([part.targets for part in parts]),
        cat([part.target_mask for part in parts]),
        torch.cat([part.lengths for part in parts]),
        {},
        {},
    )
