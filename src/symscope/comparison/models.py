"""The models of a comparison, and their states at the stops of interventions.

Models may differ in kind, width and site, and in the ids of their tokens. A model that can only be recorded takes part
as a source of values and as a target of the counterfactual-latent loss.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from symscope.errors import InvalidArgumentError
from symscope.interchange import CachedInterventions, Interventions, StoppedInputs, cache_states, matches_counterfactual
from symscope.networks import Network, RunState, require_network

RECORDED = "recorded"


@final
@dataclass(frozen=True)
class RecordedStates:
    """A model whose states are known but that cannot be resumed, such as recorded neurons.

    Attributes:
        record: from inputs (rows x time) and the position of each row to its state (rows x state) there.
    """

    record: Callable[[Shaped[Tensor, "rows time"], Int[Tensor, " rows"]], Float[Tensor, "rows state"]]


@final
@dataclass(frozen=True)
class ComparedModel:
    """A model of a comparison.

    Attributes:
        network: the network, or the recorded states of a model that cannot be resumed.
        name: in results; default: the kind and position of the network.
        site: where its states are read and rewritten; default: its `default_site`.
        tokens: the names of the network's tokens, in the order of its ids; or, for each token of the data, its id in
            this network. Default: the same ids as the data.
        untrained: the same network with initial weights, for the control.
    """

    network: Network | RecordedStates
    name: str | None = None
    site: str | None = None
    tokens: Sequence[str] | Sequence[int] | None = None
    untrained: Network | None = None


@final
@dataclass(frozen=True)
class Model:
    """A checked model: the attributes of `ComparedModel` with their defaults.

    Attributes:
        network: the network; `None` for recorded states.
        states: the recorded states; `None` for a network.
        name: in results.
        site: where its states are read and rewritten.
        ids: its id of each token of the data; `None`: the same.
        untrained: the same network with initial weights.
    """

    network: Network | None
    states: RecordedStates | None
    name: str
    site: str
    ids: Int[Tensor, " vocabulary"] | None
    untrained: Network | None

    def cache(self, interventions: Interventions) -> CachedInterventions:
        """States at the stops, with inputs in this model's token ids; targets keep the ids of the data."""
        if self.states is not None:
            return self._record(self.states, interventions)
        assert self.network is not None
        cached = cache_states(self.network, self.translate(interventions), self.site)
        return replace(cached, fed=interventions.fed.to(cached.fed), targets=interventions.targets.to(cached.targets))

    def accuracy(self, uncut: Interventions | None) -> float | None:
        """Share of sequences without an intervention that the network completes correctly; `None`: unknown."""
        if uncut is None or self.network is None:
            return None
        cached = cache_states(self.network, self.translate(uncut), self.site)
        return float(matches_counterfactual(self.network, cached, cached.base_states).double().mean())

    def states_at(
        self, inputs: Int[Tensor, "rows time"], position: Int[Tensor, " rows"]
    ) -> Float[Tensor, "rows state"]:
        """The state of each row at its position, for inputs in the ids of the data; on the CPU."""
        if self.states is not None:
            return self.states.record(inputs, position)
        assert self.network is not None
        device = self.network.device
        tokens = inputs if self.ids is None or inputs.is_floating_point() else self.ids[inputs]
        with torch.no_grad():
            blocks = [
                self.network.states_at(rows.to(device), at.to(device), self.site).float().cpu()
                for rows, at in zip(tokens.split(4096), position.split(4096), strict=True)
            ]
        return torch.cat(blocks)

    def translate(self, interventions: Interventions) -> Interventions:
        """The interventions in this model's token ids."""
        ids = self.ids
        if ids is None or interventions.base.inputs.is_floating_point():
            return interventions

        def translated(run: StoppedInputs) -> StoppedInputs:
            return replace(run, inputs=ids[run.inputs])

        return replace(
            interventions,
            base=translated(interventions.base),
            sources=tuple(translated(run) for run in interventions.sources),
            fed=ids[interventions.fed],
            targets=ids[interventions.targets],
        )

    def _record(self, recorded: RecordedStates, interventions: Interventions) -> CachedInterventions:
        runs = (interventions.base, *interventions.sources)
        states = [recorded.record(run.inputs, run.position).detach().float() for run in runs]
        for run, each in zip(runs, states, strict=True):
            if each.ndim != 2 or len(each) != len(run) or not each.isfinite().all():
                raise InvalidArgumentError(
                    f"the recorded states of {self.name!r} must be finite, one row for each of {len(run)} inputs; got "
                    f"the shape {tuple(each.shape)}"
                )
        known = [name for name in runs[0].values if all(name in run.values for run in runs)]
        after = interventions.counterfactual_values if known else {}
        return CachedInterventions(
            interventions.variables,
            interventions.source_of,
            RunState(RECORDED, states[0]),
            states[0],
            torch.stack(states[1:]),
            interventions.fed,
            interventions.targets,
            interventions.target_mask,
            interventions.lengths,
            {name: torch.cat([run.values[name] for run in runs]) for name in known},
            {name: values for name, values in after.items() if name in known},
        )


def check_models(
    models: Sequence[Network | ComparedModel],
    vocabulary: int | None,
    token_names: Sequence[str] | None,
) -> list[Model]:
    """The models with their defaults.

    Args:
        models: the models.
        vocabulary: number of tokens of the data; `None`: unknown, or vectors.
        token_names: the names of these tokens; `None`: unknown.

    Raises:
        InvalidArgumentError: no model can be resumed, two have one name, or tokens cannot be matched.
        UnknownNameError: a network has no such site.
    """
    given = [each if isinstance(each, ComparedModel) else ComparedModel(each) for each in models]
    checked = [_check(number, each, vocabulary, token_names) for number, each in enumerate(given)]
    names = [model.name for model in checked]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidArgumentError(f"each model needs a different name; got twice: {', '.join(twice)}")
    if all(model.network is None for model in checked):
        raise InvalidArgumentError("nothing to compare: no model can be resumed, so name at least one network")
    outputs = {model.network.outputs or 0 for model in checked if model.network is not None}
    if len(outputs) > 1:
        raise InvalidArgumentError(f"the models predict different things: they have {sorted(outputs)} outputs")
    return checked


def _check(number: int, given: ComparedModel, vocabulary: int | None, token_names: Sequence[str] | None) -> Model:
    if isinstance(given.network, RecordedStates):
        name = given.name or f"{RECORDED} {number}"
        if given.tokens is not None or given.untrained is not None:
            raise InvalidArgumentError(f"{name!r} is recorded: it has no tokens and no untrained network")
        return Model(None, given.network, name, RECORDED, None, None)
    network = require_network(given.network)
    kind = (network.config or {}).get("kind", type(network).__name__)
    name = given.name or f"{kind} {number}"
    site = network.default_site if given.site is None else given.site
    network.check_site(site)
    ids = _ids(name, network, given.tokens, vocabulary, token_names)
    untrained = None if given.untrained is None else require_network(given.untrained, network.vocabulary)
    if untrained is not None:
        untrained.check_site(site)
        if untrained is network:
            raise InvalidArgumentError(f"the untrained network of {name!r} is the trained network itself")
    return Model(network, None, name, site, ids, untrained)


def _ids(
    name: str,
    network: Network,
    tokens: Sequence[str] | Sequence[int] | None,
    vocabulary: int | None,
    token_names: Sequence[str] | None,
) -> Int[Tensor, " vocabulary"] | None:
    if tokens is None:
        if vocabulary is not None and network.vocabulary != vocabulary:
            raise InvalidArgumentError(
                f"{name!r} has {network.vocabulary} tokens and the data has {vocabulary}; where they mean the same, "
                "name them: ComparedModel(network, tokens=[...])"
            )
        return None
    chosen = list(tokens)
    if all(isinstance(token, str) for token in chosen):
        if token_names is None:
            raise InvalidArgumentError(
                f"the data names no tokens, so those of {name!r} cannot be matched by name: give for each token of the "
                "data its id in this network"
            )
        missing = [token for token in token_names if token not in chosen]
        if missing or len(chosen) != network.vocabulary or len(set(chosen)) != len(chosen):
            raise InvalidArgumentError(
                f"the tokens of {name!r} cannot be matched: it has {network.vocabulary} tokens and {len(chosen)} names "
                f"are given ({len(set(chosen))} different ones); missing of the data: {', '.join(missing) or 'none'}"
            )
        return torch.tensor([chosen.index(token) for token in token_names])
    ids = torch.tensor(chosen)
    wrong = ids.is_floating_point() or len(ids) != (vocabulary or len(ids)) or len(ids.unique()) != len(ids)
    if wrong or int(ids.min()) < 0 or int(ids.max()) >= network.vocabulary:
        raise InvalidArgumentError(
            f"the tokens of {name!r} must be {vocabulary or 'as many'} different ids from 0 to "
            f"{network.vocabulary - 1}, one for each token of the data; got {chosen}"
        )
    return ids
