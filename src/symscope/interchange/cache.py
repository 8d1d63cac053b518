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


@torch.no_grad()
def cache_states(network: Network, interventions: Interventions, site: str) -> CachedInterventions:
    """Runs the network up to the stops of all interventions.

    Raises:
        UnknownNameError: the network has no such site.
        InvalidArgumentError: no target counts, so there is nothing to score.
        NonFiniteError: a state is NaN or infinite.
    """
    if not interventions.target_mask.any():
        raise InvalidArgumentError("the interventions have nothing to score: no target counts")
    network.check_site(site)
    device = network.device
    fed, lengths = interventions.fed.to(device), interventions.lengths
    if fed.numel():
        network.check_tokens(fed)

    def parts(runs: StoppedInputs) -> Iterator[tuple[Tensor, Tensor]]:
        for inputs, at in zip(runs.inputs.split(ROWS_AT_ONCE), runs.position.split(ROWS_AT_ONCE), strict=True):
            yield inputs.to(device), at.to(device)

    with evaluation_mode(network):
        stopped = (network.run_until(inputs, at, site) for inputs, at in parts(interventions.base))
        read = zip(stopped, fed.split(ROWS_AT_ONCE), (lengths - 1).clamp(min=0).split(ROWS_AT_ONCE), strict=True)
        base = join_run_states([network.precompute(*part) for part in read])
        sources = [
            torch.cat([network.states_at(inputs, at, site) for inputs, at in parts(source)])
            for source in interventions.sources
        ]
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
        fed,
        interventions.targets.to(device),
        interventions.target_mask,
        lengths,
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
