"""Any recurrence, from three functions: where it starts, one step, and what it predicts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.overrides import TorchFunctionMode

from symscope.arguments import integer
from symscope.errors import InvalidArgumentError
from symscope.networks import RunState, evaluation_mode
from symscope.networks.packing import to_device
from symscope.wrapped._checked import CheckedNetwork

State = Mapping[str, Tensor]
"""The state of a batch by name, each tensor with the batch first."""


@final
class Stepwise(CheckedNetwork):
    """A recurrence as a network. Sites: `state`, everything side by side, and each tensor of the state by its name.

    Functions are methods of torch modules, or modules, and use only the weights of their module, so that copies of the
    network have its weights; a plain function uses no weights. All of them are called once to check this.

    Args:
        initial: from the number of rows to the state before the first token, a dictionary of floating-point tensors
            with the batch first.
        step: from the state and the token ids (batch) to the next state, of the same shapes and types. It changes no
            tensor of its argument in place: a module that overwrites a cache gets copies.
        readout: from the state to logits (batch, vocabulary).
        vocabulary: number of token ids.

    Raises:
        InvalidArgumentError: a state is no dictionary of floating-point tensors with the batch first; a step changes
            its shapes or types, changes its argument in place, or cannot read the last token of the vocabulary; the
            readout returns no logits; or a function uses weights that are not in its module.
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
        owners = [_owner(function) for function in self._functions.values()]
        self.modules_used = nn.ModuleList({id(owner): owner for owner in owners if owner is not None}.values())
        self.vocabulary, self.default_site = integer(vocabulary, "vocabulary", 1), "state"
        with torch.no_grad(), evaluation_mode(self):
            self._shapes = self._check_initial()
            self.outputs = self._check_logits(self._check_steps())
        widths = {name: torch.Size(shape).numel() for name, shape in self._shapes.items()}
        self.sites = {"state": sum(widths.values()), **widths}
        names = ", ".join(f"{name} {width}" for name, width in widths.items())
        self.architecture = f"stepwise, state: {names}"

    def _check_initial(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor of a state, without the batch."""
        two, three = (_shapes(self._try("initial", rows), rows, f"initial({rows})") for rows in (2, 3))
        if two != three:
            raise InvalidArgumentError(f"initial(2) and initial(3) differ in more than the rows: {two} and {three}")
        return two

    def _check_steps(self) -> State:
        """A state after some steps; the last step reads the last token of the vocabulary."""
        state = self._split(self._flat(self._call("initial", 2)).to(self.device))
        for token in (0, 0, self.vocabulary - 1):
            tokens = torch.full((2,), token, device=self.device)
            try:
                after = self._try("step", state, tokens)
            except (IndexError, RuntimeError) as error:
                if token == 0:
                    raise
                raise InvalidArgumentError(
                    f"the step cannot read token {token}, the last of vocabulary={self.vocabulary} ({error}); pass the "
                    f"number of rows of the embedding"
                ) from error
            shapes = _shapes(after, 2, "a step")
            if shapes != self._shapes:
                raise InvalidArgumentError(
                    f"a step changes the shapes of the state from {self._shapes} to {shapes}; return what it was given"
                )
            for name, part in after.items():
                if part.dtype != self.dtype:
                    raise InvalidArgumentError(
                        f"a step returns {name!r} as {part.dtype}, and the weights are {self.dtype}: return "
                        f"{name!r} with .to(state[{name!r}].dtype)"
                    )
            state = after
        return state

    def _check_logits(self, state: State) -> int:
        """The number of logits."""
        logits = self._try("readout", state)
        if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 2:
            shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
            raise InvalidArgumentError(f"the readout of two rows returns {shape}; expected logits (2, vocabulary)")
        return logits.shape[-1]

    def _try(self, name: str, *arguments: Any) -> Any:
        """The result of a function; raises where it changes its state in place, or uses weights of another module."""
        parts = dict(arguments[0]) if isinstance(arguments[0], Mapping) else {}
        before = {part: tensor.clone() for part, tensor in parts.items()}
        with _UsedWeights() as used:
            result = self._call(name, *arguments)
        owner = _owner(self._functions[name])
        known = set() if owner is None else {_memory(weight) for weight in owner.parameters()}
        for weight in used.weights:
            if _memory(weight) not in known:
                where = "is a plain function" if owner is None else f"belongs to {type(owner).__name__} without it"
                raise InvalidArgumentError(
                    f"{name} uses a weight of the shape {tuple(weight.shape)} and {where}: network.to(...) and copies "
                    f"of the network would miss this weight. Make {name} a method of an nn.Module that holds it"
                )
        for part, tensor in parts.items():
            if not torch.allclose(tensor, before[part], rtol=0, atol=0, equal_nan=True):
                raise InvalidArgumentError(
                    f"{name} changes {part!r} of its argument in place, but runs from this state may continue several "
                    f"times; give a module that overwrites its cache a copy: state[{part!r}].clone()"
                )
        return result

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
        return self._run(self._flat(self._call("initial", len(tokens))).to(self.device), tokens)

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


@final
class _UsedWeights(TorchFunctionMode):
    """Collects the parameters, and other leaves that require gradients, whose entries are read in its block."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = kwargs or {}
        if not getattr(func, "__name__", "").startswith(("__get__", "new_", "size", "dim")):  # reads no entries
            for tensor in _tensors((*args, *keywords.values())):
                if isinstance(tensor, nn.Parameter) or (tensor.requires_grad and tensor.is_leaf):
                    self.weights.append(tensor)
        return func(*args, **keywords)


def _memory(tensor: Tensor) -> int:
    """The memory of a tensor, which its views share."""
    return tensor.untyped_storage().data_ptr()


def _tensors(arguments: Iterable[Any]) -> Iterator[Tensor]:
    for argument in arguments:
        if isinstance(argument, Tensor):
            yield argument
        elif isinstance(argument, list | tuple):
            yield from _tensors(argument)


def _shapes(state: Any, rows: int, source: str) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor of a state, without the batch; raises `InvalidArgumentError` where it is no state."""
    if not isinstance(state, Mapping) or not state:
        got = "an empty one" if isinstance(state, Mapping) else type(state).__name__
        raise InvalidArgumentError(f"a state is a dictionary of tensors (batch, width, ...), {source} returns {got}")
    for name, part in state.items():
        if not isinstance(name, str) or name == "state":
            raise InvalidArgumentError(
                f"{source} returns a tensor with the name {name!r}; a name is a text, and 'state' is the whole state"
            )
        if not isinstance(part, Tensor) or not part.is_floating_point():
            got = part.dtype if isinstance(part, Tensor) else type(part).__name__
            raise InvalidArgumentError(
                f"a state is a dictionary of floating-point tensors, {source} returns {name!r} as {got}"
            )
        if part.ndim < 2 or len(part) != rows or part.numel() == 0:
            raise InvalidArgumentError(
                f"{source} returns {name!r} with the shape {tuple(part.shape)}; expected the batch first: "
                f"({rows}, width, ...)"
            )
    return {name: tuple(part.shape[1:]) for name, part in state.items()}


def _owner(function: Any) -> nn.Module | None:
    """The module that a function is, or is a method of."""
    owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None
