"""Several models as one: the joint space of their states, and the network that resumes each from its part of it.

Model alignment search (Grant et al. 2025) takes the coordinates of a variable from a state of one model and writes them
into a state of another. It is a distributed alignment search in the direct sum of the models' state spaces: a state of
model i is a vector whose part i is that state and whose other parts are zero. So everything that searches, scores and
measures alignments in one network does so across networks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import accumulate
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import pad

from symscope.alignment.functions import Alignment, AlignmentFunction, Factors, LinearFunction, check_size
from symscope.alignment.functions.base import Tensors
from symscope.alignment.functions.preprocessed import coordinates_of
from symscope.networks import Network, Resumable, RunState
from symscope.networks.packing import to_device

SITE = "joint"


@final
@dataclass(frozen=True)
class ModelSpace:
    """Coordinates of the states of one model, centred on the mean of its natural states.

    Attributes:
        encode: from centred states to coordinates.
        decode: back, with encode @ decode the identity.
        mean: of the natural states.
    """

    encode: Float[Tensor, "coordinates state"]
    decode: Float[Tensor, "state coordinates"]
    mean: Float[Tensor, " state"]

    @classmethod
    def of(cls, function: LinearFunction, natural: Float[Tensor, "samples state"]) -> "ModelSpace":
        """The coordinates that a function works in; `"state"` means the centred state."""
        name = "centred" if function.coordinates == "state" else function.coordinates
        return cls(*coordinates_of(name, natural, function.whitening))

    @property
    def width(self) -> int:
        """Number of coordinates."""
        return len(self.encode)

    def coordinates(self, states: Float[Tensor, "rows state"]) -> Float[Tensor, "rows coordinates"]:
        """The coordinates of states."""
        return (states - self.mean) @ self.encode.T

    def remainder(self, states: Float[Tensor, "rows state"]) -> Float[Tensor, "rows state"]:
        """What the coordinates leave of states: the mean, and what lies outside the natural span."""
        return states - self.coordinates(states) @ self.decode.T


@final
@dataclass(frozen=True)
class JointSpace:
    """The direct sum of the spaces of several models.

    Attributes:
        spaces: of each model.
    """

    spaces: tuple[ModelSpace, ...]

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of coordinates of each model."""
        return tuple(space.width for space in self.spaces)

    @property
    def dtype(self) -> torch.dtype:
        """The floating-point type of joint states: the most precise one of the models."""
        return reduce(torch.promote_types, [space.mean.dtype for space in self.spaces])

    def part(self, model: int) -> slice:
        """The part of a joint state that belongs to a model."""
        ends = list(accumulate(self.widths))
        return slice(ends[model] - self.widths[model], ends[model])

    def embed(
        self, model: int, coordinates: Float[Tensor, "rows coordinates"], fill: float = 0.0
    ) -> Float[Tensor, "rows joint"]:
        """Coordinates of one model as joint states; `fill` stands in the parts of the other models."""
        part = self.part(model)
        return pad(coordinates.to(self.dtype), (part.start, sum(self.widths) - part.stop), value=fill)


@final
@dataclass(frozen=True, kw_only=True)
class JointFunction(LinearFunction):
    """A linear alignment function for each model, with the same k coordinates: U and C are stacked over models.

    For a base of model i and a source of model j the swap is h_i + U_i (C_j h_j - C_i h_i), with C_i U_i = I. The parts
    of other models in a rewritten state have no meaning, and nothing reads them.

    Attributes:
        function: the function of each model.
        widths: of the parts of the models.
    """

    name = "joint"
    function: LinearFunction
    widths: tuple[int, ...]

    @property
    def label(self) -> str:
        return self.function.label

    def initialise(self, d: int, k: int, start: Factors | None, generator: Generator) -> tuple[Tensor, ...]:
        tensors: list[Tensor] = []
        for model, width in enumerate(self.widths):
            check_size(width, k)
            begin = sum(self.widths[:model])
            rows = slice(begin, begin + width)
            part = None if start is None else (start[0][rows], start[1][:, rows])
            tensors += self.function.initialise(width, k, part, generator)
        return tuple(tensors)

    def factors(
        self, tensors: Tensors, k: int
    ) -> tuple[Float[Tensor, "functions d k"], Float[Tensor, "functions k d"]]:
        each = len(tensors) // len(self.widths)
        parts = [self.function.factors(tensors[at : at + each], k) for at in range(0, len(tensors), each)]
        return torch.cat([write for write, _ in parts], 1), torch.cat([read for _, read in parts], 2)

    def select(self, tensors: Sequence[Tensor], k: int, dimensions: slice) -> Alignment:
        return AlignmentFunction.select(self, tensors, k, dimensions)

    def width(self, tensors: Sequence[Tensor]) -> int:
        return sum(self.widths)


@final
class JointNetwork(Resumable):
    """Several networks, each with its stopped runs, as one: a run is resumed in the network that it belongs to.

    Features are logits of the shared vocabulary. The tensors `model` and `run` of a run state say which run of which
    network each of its runs is.

    Args:
        networks: the networks; `None` for a model that cannot be resumed, no run of which has a target.
        runs: stopped runs of each network.
        space: the joint space of the networks' states.
        tokens: for each network, its id of each token of the shared vocabulary; `None`: the same ids.
    """

    def __init__(
        self,
        networks: Sequence[Network | None],
        runs: Sequence[RunState | None],
        space: JointSpace,
        tokens: Sequence[Int[Tensor, " vocabulary"] | None],
    ) -> None:
        super().__init__()
        self._networks, self._tokens, self._space = list(networks), list(tokens), space
        self.networks = nn.ModuleList([network for network in networks if network is not None])
        self._runs: list[RunState | None] = [
            None if run is None else run.rewrite(each.remainder(run.states.to(each.mean)).to(run.states))
            for run, each in zip(runs, space.spaces, strict=True)
        ]
        self.logits = max(network.outputs or network.vocabulary for network in networks if network is not None)

    def states(self, state: RunState, model: int) -> Float[Tensor, "batch state"]:
        """The states of one model from joint states, all of whose runs are of this model."""
        run, space = self._runs[model], self._space.spaces[model]
        assert run is not None, "a model without runs has no base states"
        rest = run.states.index_select(0, to_device(state.context["run"], run.states.device))
        return rest + (state.states[:, self._space.part(model)].to(space.decode) @ space.decode.T).to(rest)

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        device, model = state.states.device, state.context["model"]
        of_target = model[target_mask.nonzero()[:, 0]]
        parts: list[Tensor] = []
        for number, network in enumerate(self._networks):
            mine = ((model == number) & target_mask.any(1)).nonzero()[:, 0]
            runs = self._runs[number]
            if network is None or runs is None or not len(mine):
                continue
            rows = to_device(mine, device)
            some = state.select(mine, state.states.index_select(0, rows))
            stopped = runs.select(some.context["run"], self.states(some, number))
            read, tokens = fed.index_select(0, rows), self._tokens[number]
            read = read if tokens is None else to_device(tokens, device)[read]
            logits = network.readout(network.resume(stopped, read, target_mask[mine]))
            parts.append(logits if tokens is None else logits.index_select(1, to_device(tokens, device)))
        if not parts:
            return state.states[:0, :1].expand(0, self.logits)
        order = torch.argsort(of_target, stable=True).argsort()
        return torch.cat([part.to(state.states.dtype) for part in parts]).index_select(0, to_device(order, device))

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        return features
