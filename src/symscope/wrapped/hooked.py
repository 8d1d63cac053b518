"""Any feed-forward module or transformer of torch, by hooks.

Nothing of the module is known but its sites, so a resumed run computes the whole sequence again, with a hook that
rewrites the state. A causal language model of `transformers` is faster with `wrap_causal_lm`.
"""

from collections.abc import Mapping
from typing import Any, cast, final

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Generator, Tensor, nn

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import RunState, evaluation_mode
from symscope.wrapped._checked import CheckedNetwork, check_logits
from symscope.wrapped._hooks import Change, Place, hooked

SEQUENCE, ITEM = 3, 2
"""Axes of the logits of a sequence model (batch x time x vocabulary), and of a classifier (batch x classes)."""


def wrap(module: nn.Module, sites: Mapping[str, str], *, head: str | None = None, example: Tensor) -> "Hooked":
    """A torch module as a network, its states read and rewritten by hooks; its logits are compared with the module's.

    Two kinds of modules work. A *sequence model* takes token ids (batch, time), returns logits (batch, time,
    vocabulary), and is causal; the state of a site is that of one token. A *classifier* takes vectors (batch, width)
    and returns logits (batch, classes); nothing is fed after the stop, and the target is the class.

    Args:
        module: the module; a compiled one is unwrapped. It may return logits, a tuple that begins with them, or an
            object with `.logits`. Its weights are shared and not changed.
        sites: for each site, the dotted path of a submodule whose output is the state (a tensor, or the first entry of
            a tuple), such as `{"layer1": "blocks.0"}`.
        head: dotted path of the submodule that makes the logits, so that they are computed only where a target is;
            default: the whole module makes them.
        example: a batch of at least two inputs, from which shapes and kind are read.

    Raises:
        UnknownNameError: there is no submodule of that path.
        InvalidArgumentError: no sites, a submodule that does not run or returns no states, or logits of another shape.
        BrokenLawError: the logits differ, or, at the first use of a site, a rewritten output has no effect.
    """
    network = Hooked(getattr(module, "_orig_mod", module), sites, head, example)
    check_logits(network, lambda inputs: network.plain(inputs).reshape(*network(inputs).shape), example)
    return network


@final
class Hooked(CheckedNetwork):
    """A torch module with hooks at its sites; see `wrap`.

    Attributes:
        module: the module.
        takes_vectors: whether it is a classifier of vectors.
    """

    def __init__(self, module: nn.Module, sites: Mapping[str, str], head: str | None, example: Tensor) -> None:
        super().__init__()
        self.module = module
        if not sites:
            raise InvalidArgumentError("name at least one site, such as {'layer1': 'blocks.0'}")
        self._paths, self._head = dict(sites), head
        example = example.to(self.device)
        self.takes_vectors = example.is_floating_point()
        self.input_width = example.shape[-1] if self.takes_vectors else None
        with torch.no_grad(), evaluation_mode(module):
            logits, found = self._read(example, [*sites])
        axes = ITEM if self.takes_vectors else SEQUENCE
        if logits.ndim != axes or logits.shape[: axes - 1] != example.shape[: axes - 1]:
            raise InvalidArgumentError(
                f"the module returns logits of the shape {tuple(logits.shape)} for inputs {tuple(example.shape)}; "
                "expected batch x time x vocabulary for token ids, or batch x classes for vectors"
            )
        for site, states in found.items():
            if states.ndim != axes or states.shape[: axes - 1] != example.shape[: axes - 1]:
                raise InvalidArgumentError(
                    f"site {site!r} ({self._paths[site]}) has the shape {tuple(states.shape)} for inputs "
                    f"{tuple(example.shape)}; the state of a site has one vector for each token or input"
                )
        self.sites = {site: states.shape[-1] for site, states in found.items()}
        self.default_site = next(iter(sites))
        self.vocabulary = logits.shape[-1]
        self.architecture = f"{type(module).__name__} by hooks at {', '.join(self._paths.values())}"

    def plain(self, inputs: Shaped[Tensor, "batch width"]) -> Float[Tensor, "*batch outputs"]:
        """The logits of the module as its user calls it."""
        return _logits(self.module(inputs))

    def features(
        self, tokens: Shaped[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch steps feature"]:
        """The input of the head, or without a head the logits; a classifier has a single step."""
        self.check_tokens(tokens, lengths)
        return self._features(tokens, {})

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch outputs"]:
        del dropout  # a wrapped module is not trained here
        return features if self._head is None else self._submodule(self._head)(features)

    def states(self, tokens: Shaped[Tensor, "batch time"], site: str) -> Float[Tensor, "batch steps state"]:
        self.check_site(site)
        self.check_tokens(tokens)
        return self._steps(self._read(tokens, [site])[1][site])

    def run_until(self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """The run state stores the inputs and positions."""
        self.check_site(site)
        self.check_positions(tokens, positions)
        if not self.takes_vectors:
            tokens = tokens[:, : int(positions.max()) + 1]
        rows = torch.arange(len(tokens), device=tokens.device)
        states = self.states(tokens, site)[rows, positions.to(tokens.device)]
        return RunState(site, states, {"inputs": tokens, "positions": positions.cpu()})

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        context = state.context
        inputs, at = context["inputs"], context["positions"].to(state.states.device)
        rows = torch.arange(len(inputs), device=at.device)
        if not self.takes_vectors:
            inputs = _continued(inputs, at, fed)

        def rewrite(tensor: Tensor) -> Tensor:
            changed = self._steps(tensor).clone()
            changed[rows, at] = state.states
            return changed.reshape(tensor.shape)

        place = Place(self._submodule(self._paths[state.site]))
        features = self._features(inputs, {place: rewrite})
        row, step = target_mask.nonzero().to(features.device).unbind(1)
        return features[row, at[row] + step]

    def check_tokens(self, tokens: Shaped[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None) -> None:
        """Raises `InvalidArgumentError` on an empty batch, vectors of another width, or tokens that do not exist."""
        if not self.takes_vectors:
            super().check_tokens(tokens, lengths)
        elif not len(tokens) or tokens.shape[1] != self.input_width or not tokens.is_floating_point():
            raise InvalidArgumentError(
                f"the network takes at least one vector of width {self.input_width}, got {tuple(tokens.shape)} of "
                f"{tokens.dtype}"
            )

    def check_positions(self, tokens: Shaped[Tensor, "batch time"], positions: Int[Tensor, " count"]) -> None:
        """Raises `InvalidArgumentError` on an empty batch, or a position that does not exist; a vector has one, 0."""
        super().check_positions(tokens[:, :1] if self.takes_vectors else tokens, positions)

    def _features(
        self, inputs: Shaped[Tensor, "batch time"], changes: Mapping[Place, Change]
    ) -> Float[Tensor, "batch steps feature"]:
        found: list[Tensor] = []
        extra = {} if self._head is None else {Place(self._submodule(self._head), "input"): _keep(found)}
        with hooked({**changes, **extra}):
            logits = _logits(self.module(inputs.to(self.dtype) if self.takes_vectors else inputs))
        return self._steps(logits if self._head is None else found[0])

    def _read(self, inputs: Tensor, sites: list[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and the states at some sites."""
        found: dict[str, list[Tensor]] = {site: [] for site in sites}
        places = {Place(self._submodule(self._paths[site])): _keep(states) for site, states in found.items()}
        if len(places) < len(sites):
            raise InvalidArgumentError(f"two sites have the same path: {self._paths}")
        with hooked(places):
            logits = _logits(self.module(inputs.to(self.dtype) if self.takes_vectors else inputs))
        for site, states in found.items():
            if len(states) != 1:
                raise InvalidArgumentError(
                    f"{self._paths[site]} of site {site!r} runs {len(states)} times in a pass; a site runs once"
                )
        return logits, {site: states for site, (states,) in found.items()}

    def _steps(self, tensor: Float[Tensor, "batch *rest"]) -> Float[Tensor, "batch steps feature"]:
        return tensor[:, None] if self.takes_vectors else tensor

    def _submodule(self, path: str) -> nn.Module:
        modules = dict(self.module.named_modules())
        if path not in modules:
            raise UnknownNameError("submodule", path, [name for name in modules if name])
        return modules[path]


def _keep(found: list[Tensor]) -> Change:
    def change(tensor: Tensor) -> None:
        found.append(tensor)

    return change


def _logits(output: Any) -> Tensor:
    logits = output[0] if isinstance(output, (tuple, list)) else getattr(output, "logits", output)
    if not isinstance(logits, Tensor):
        raise InvalidArgumentError(
            f"the module returns {type(output).__name__}, not logits, a tuple of them, or .logits"
        )
    return cast("Tensor", logits)


def _continued(
    inputs: Int[Tensor, "batch time"], at: Int[Tensor, " batch"], fed: Int[Tensor, "batch steps"]
) -> Int[Tensor, "batch longest"]:
    """Each sequence up to its stop, followed by what it is fed; padded with zeros."""
    rows, steps = fed.shape
    longest = inputs.new_zeros(rows, inputs.shape[1] + steps)
    longest[:, : inputs.shape[1]] = inputs
    if steps:
        longest.scatter_(1, at[:, None] + 1 + torch.arange(steps, device=at.device), fed)
    return longest[:, : int(at.max()) + 1 + steps]
