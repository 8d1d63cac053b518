"""Any recurrence, from three functions: where it starts, one step, and what it predicts."""

from collections.abc import Callable, Mapping
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from symscope.errors import InvalidArgumentError
from symscope.networks import RunState
from symscope.networks.packing import to_device
from symscope.wrapped._checked import CheckedNetwork

State = Mapping[str, Tensor]
"""The state of a batch by name, each tensor with the batch first."""


@final
class Stepwise(CheckedNetwork):
    """A recurrence as a network. Sites: `state`, everything side by side, and each tensor of the state by its name.

    Functions are methods of torch modules, or modules, so that copies of the network have their weights; a plain
    function must not use weights.

    Args:
        initial: from the number of rows to the state before the first token, a dictionary of tensors with the batch
            first.
        step: from the state and the token ids (batch) to the next state, of the same shapes.
        readout: from the state to logits (batch, vocabulary).
        vocabulary: number of token ids.

    Raises:
        InvalidArgumentError: a state is no dictionary of tensors with the batch first, or a step changes its shapes.
    """

    def __init__(
        self,
        initial: Callable[[int], State],
        step: Callable[[State, Tensor], State],
        readout: Callable[[State], Tensor],
        *,
        vocabulary: int,
    ) -> None:
        super().__init__()
        self._functions = {"initial": initial, "step": step, "readout": readout}
        self.modules_used = nn.ModuleList(_owners(self._functions.values()))
        self.vocabulary, self.default_site = vocabulary, "state"
        first = self._call("initial", 2)
        self._shapes = _shapes(first)
        with torch.no_grad():
            after = self._call("step", first, torch.zeros(2, dtype=torch.long, device=self.device))
            self.outputs = self._call("readout", after).shape[-1]
        if _shapes(after) != self._shapes:
            raise InvalidArgumentError(
                f"a step changes the shapes of the state from {self._shapes} to {_shapes(after)}"
            )
        widths = {name: torch.Size(shape).numel() for name, shape in self._shapes.items()}
        self.sites = {"state": sum(widths.values()), **widths}
        names = ", ".join(f"{name} {width}" for name, width in widths.items())
        self.architecture = f"stepwise, state: {names}"

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time outputs"]:
        """The logits after each token: of the state, only what they depend on is a feature."""
        self.check_tokens(tokens, lengths)
        return self._logits(self._from_start(tokens))

    def readout(
        self, features: Float[Tensor, "*batch outputs"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        del dropout  # the recurrence is not trained here
        return features

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        self.check_site(site)
        self.check_tokens(tokens)
        return self._from_start(tokens)[..., self._slice(site)]

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """The run state stores the whole state."""
        self.check_site(site)
        self.check_positions(tokens, positions)
        self.check_tokens(tokens)
        after = self._from_start(tokens[:, : int(positions.max()) + 1])
        whole = after[torch.arange(len(tokens), device=after.device), positions.to(after.device)]
        return RunState(site, whole[:, self._slice(site)], {} if site == "state" else {"whole": whole})

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets outputs"]:
        start = state.states
        if state.site != "state":
            part, whole = self._slice(state.site), state.context["whole"]
            start = torch.cat([whole[:, : part.start], start, whole[:, part.stop :]], 1)
        last = int((target_mask * torch.arange(target_mask.shape[1])).max())
        after = torch.cat([start[:, None], self._run(start, fed[:, :last])], 1)
        targets = target_mask[:, : last + 1].flatten().nonzero()[:, 0]
        return self._logits(after.flatten(0, 1)[to_device(targets, after.device)])

    def _logits(self, states: Float[Tensor, "*batch state"]) -> Float[Tensor, "*batch outputs"]:
        logits = self._call("readout", self._split(states.reshape(-1, states.shape[-1])))
        return logits.reshape(*states.shape[:-1], -1)

    def _from_start(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time state"]:
        return self._run(self._flat(self._call("initial", len(tokens))), tokens)

    def _run(
        self, start: Float[Tensor, "batch state"], tokens: Int[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time state"]:
        after, state = [start[:, None, :][:, :0]], self._split(start)
        for column in tokens.unbind(1):
            state = self._call("step", state, column)
            after.append(self._flat(state)[:, None])
        return torch.cat(after, 1)

    def _call(self, name: str, *arguments: Any) -> Any:
        return self._functions[name](*arguments)

    def _flat(self, state: State) -> Float[Tensor, "batch state"]:
        return torch.cat([state[name].flatten(1) for name in self._shapes], 1).to(self.dtype)

    def _split(self, flat: Float[Tensor, "batch state"]) -> dict[str, Tensor]:
        sizes = [torch.Size(shape).numel() for shape in self._shapes.values()]
        parts = flat.split(sizes, 1)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}

    def _slice(self, site: str) -> slice:
        if site == "state":
            return slice(0, self.sites["state"])
        before = list(self._shapes)[: list(self._shapes).index(site)]
        start = sum(self.sites[name] for name in before)
        return slice(start, start + self.sites[site])


def _shapes(state: Any) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a state of two rows, without the batch."""
    valid = isinstance(state, Mapping) and all(isinstance(part, Tensor) and part.ndim > 1 for part in state.values())
    if not valid or not state or any(len(part) != 2 for part in state.values()) or "state" in state:
        raise InvalidArgumentError(
            "a state is a dictionary of tensors (batch, width, ...) of which none is named 'state', got "
            + (str({name: getattr(part, "shape", part) for name, part in state.items()}) if isinstance(state, Mapping)
               else type(state).__name__)
        )  # fmt: skip
    return {name: tuple(part.shape[1:]) for name, part in state.items()}


def _owners(functions: Any) -> list[nn.Module]:
    """The modules that the functions are, or are methods of; each once."""
    owners = [f if isinstance(f, nn.Module) else getattr(f, "__self__", None) for f in functions]
    return list({id(owner): owner for owner in owners if isinstance(owner, nn.Module)}.values())
