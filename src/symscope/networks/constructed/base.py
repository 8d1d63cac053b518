"""Parts of constructed networks: arguments and result, the linear cell, and the output layer of most of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import one_hot

from symscope.errors import InvalidArgumentError
from symscope.networks.base import Network
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import Cell


class TokenRoles(TypedDict):
    """The token ids that a constructed network needs; `task.roles` of a numeric task."""

    vocabulary: int
    """Number of tokens."""
    demo: Sequence[int]
    """Ids of the demo tokens."""
    trigger: int
    response: int
    eos: int


@dataclass(frozen=True)
class Constructed:
    """A constructed network and the right answer: where each variable lives.

    Attributes:
        network: the network.
        algorithm: the name of the algorithm that it implements.
        site: the site of its variables.
        writes: for each variable the directions U (state, k) along which it is written.
        reads: for each variable the rows C (k, state) that read it: the swap's projector is U C, with C U = I.
    """

    network: Network
    algorithm: str
    site: str
    writes: Mapping[str, Float[Tensor, "state k"]]
    reads: Mapping[str, Float[Tensor, "k state"]]


@final
class LinearCell(Cell):
    """h' = W h + b, where b depends on the token and W on the kind of the token; site `h`.

    Args:
        weight: one W for each kind of token.
        kinds: the kind of each token.
        inputs: b of each token.
    """

    kinds: Tensor

    def __init__(
        self,
        weight: Float[Tensor, "kinds state state"],
        kinds: Int[Tensor, " vocabulary"],
        inputs: Float[Tensor, "vocabulary state"],
    ) -> None:
        super().__init__()
        d = weight.shape[1]
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.weight, self.token_bias = nn.Parameter(weight), nn.Parameter(inputs)
        self.register_buffer("kinds", kinds)

    def token_inputs(self) -> Float[Tensor, "vocabulary input"]:
        """The bias b of each token, and its kind as a one-hot row."""
        kinds = one_hot(self.kinds, len(self.weight)).to(self.token_bias.dtype)
        return torch.cat([self.token_bias, kinds], 1)

    def step(
        self, states: Float[Tensor, "batch state"], inputs: Float[Tensor, "batch input"]
    ) -> Float[Tensor, "batch state"]:
        bias, kinds = inputs.split([self.width, len(self.weight)], 1)
        products = states @ self.weight.mT
        return bias + (products * kinds.T[:, :, None]).sum(0)


def check_roles(roles: TokenRoles) -> None:
    """Raises `InvalidArgumentError` when the tokens do not fit a network in which each token has a fixed input."""
    if roles["response"] in roles["demo"]:
        raise InvalidArgumentError(
            "the response token is a demo token; each token has a fixed input here, so it cannot count up and down"
        )
    ids = [*roles["demo"], roles["trigger"], roles["response"], roles["eos"]]
    wrong = [token for token in ids if not 0 <= token < roles["vocabulary"]]
    if wrong or len(set(ids)) != len(ids) or not roles["demo"]:
        raise InvalidArgumentError(
            f"the roles need different ids from 0..{roles['vocabulary'] - 1}, at least one of them a demo token; "
            f"got demo {list(roles['demo'])}, trigger {roles['trigger']}, response {roles['response']}, "
            f"eos {roles['eos']}"
        )


def phase_inputs(roles: TokenRoles, d: int, phase: int) -> Float[Tensor, "vocabulary state"]:
    """The input of each token: 1 along the phase axis for the trigger, 0 for all other tokens."""
    inputs = torch.zeros(roles["vocabulary"], d)
    inputs[roles["trigger"], phase] = 1
    return inputs


def phase_readout(
    roles: TokenRoles,
    end: Float[Tensor, " state"],
    offset: float,
    phase: int,
    *,
    margin: float = 100.0,
    scale: float = 1.0,
) -> LinearReadout:
    """Free tokens in the demo phase; in the resp phase `EOS` where `end` . state + `offset` is above 0.

    Args:
        roles: the tokens.
        end: direction in which the state shows the end of the sequence.
        offset: added to the product of `end` and the state.
        phase: the axis of the phase.
        margin: separates the phases; larger than any value of `end` . state.
        scale: scale of the logits.
    """
    weight = torch.zeros(roles["vocabulary"], len(end))
    bias = torch.full((roles["vocabulary"],), -10 * margin)
    free = [*roles["demo"], roles["trigger"]]
    weight[free, phase], bias[free] = -2 * margin, margin
    bias[roles["response"]] = 0
    weight[roles["eos"]], bias[roles["eos"]] = end, offset - margin
    weight[roles["eos"], phase] += margin
    return LinearReadout(weight * scale, bias * scale)


def axes(d: int, **variables: int | slice) -> dict[str, Float[Tensor, "state k"]]:
    """The directions of variables, each of which has its axes of the state to itself."""
    eye = torch.eye(d)
    return {name: eye[:, at] if isinstance(at, slice) else eye[:, at : at + 1] for name, at in variables.items()}
