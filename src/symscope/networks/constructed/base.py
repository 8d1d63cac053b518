"""What a network written by hand is built from and comes with, and the output layer that most of them share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.base import Network
from symscope.networks.readouts import LinearReadout


class TokenRoles(TypedDict):
    """The tokens that a network written by hand has to know; a numeric task gives them as `**task.roles`."""

    vocabulary: int
    """Number of tokens."""
    demo: Sequence[int]
    """Ids of the demo tokens."""
    trigger: int
    response: int
    eos: int


@dataclass(frozen=True)
class Constructed:
    """A network written by hand, with the right answer: where each variable lives.

    Attributes:
        network: the network.
        algorithm: the name of the algorithm that it implements.
        site: where its variables live.
        writes: for each variable the directions U (state, k) along which it is written, ...
        reads: ... and the rows C (k, state) that read it: the swap's projector is U C, with C U = I.
    """

    network: Network
    algorithm: str
    site: str
    writes: Mapping[str, Float[Tensor, "state k"]]
    reads: Mapping[str, Float[Tensor, "k state"]]


def check_roles(roles: TokenRoles) -> None:
    """Raises `InvalidArgumentError` when the tokens do not fit a network that counts by what each token adds."""
    if roles["response"] in roles["demo"]:
        raise InvalidArgumentError(
            "the response token is a demo token; what a token adds is fixed here, so it cannot count up and down"
        )
    ids = [*roles["demo"], roles["trigger"], roles["response"], roles["eos"]]
    wrong = [token for token in ids if not 0 <= token < roles["vocabulary"]]
    if wrong or len(set(ids)) != len(ids) or not roles["demo"]:
        raise InvalidArgumentError(
            f"the roles need different ids from 0..{roles['vocabulary'] - 1}, at least one of them a demo token; "
            f"got demo {list(roles['demo'])}, trigger {roles['trigger']}, response {roles['response']}, "
            f"eos {roles['eos']}"
        )


def phase_drives(roles: TokenRoles, d: int, phase: int) -> Float[Tensor, "vocabulary state"]:
    """What each token adds to the state: the trigger moves it by one along the phase axis, all others do nothing."""
    drives = torch.zeros(roles["vocabulary"], d)
    drives[roles["trigger"], phase] = 1
    return drives


def phase_readout(
    roles: TokenRoles,
    end: Float[Tensor, " state"],
    offset: float,
    phase: int,
    *,
    margin: float = 100.0,
    scale: float = 1.0,
) -> LinearReadout:
    """In the demo phase the free tokens, in the resp phase `EOS` where `end` . state + `offset` is above 0.

    Args:
        roles: the tokens.
        end: reads from the state whether the sequence is at its end ...
        offset: ... together with this.
        phase: the axis of the phase.
        margin: what keeps the phases apart; more than `end` . state ever comes to.
        scale: of the logits.
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
    """The directions of variables that each have axes of their own."""
    every = torch.eye(d)
    return {name: every[:, at] if isinstance(at, slice) else every[:, at : at + 1] for name, at in variables.items()}
