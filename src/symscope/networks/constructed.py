"""Networks written by hand: known implementations of known algorithms, the calibration weights of every search.

`disguise` multiplies a network's state space by an invertible matrix and changes the weights so that behaviour
stays the same; the subspaces of the variables are then hidden, but known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from symscope.errors import InvalidArgumentError
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import Cell, RecurrentNetwork


@final
class LinearCell(Cell):
    """h' = W h + b(token); site `h`."""

    def __init__(self, weight: Float[Tensor, "state state"], drives: Float[Tensor, "vocabulary state"]) -> None:
        super().__init__()
        d = len(weight)
        self.width, self.sites, self.output = d, {"h": slice(0, d)}, slice(0, d)
        self.weight, self.token_drives = nn.Parameter(weight), nn.Parameter(drives)

    def drives(self) -> Float[Tensor, "vocabulary drive"]:
        """See `Cell.drives`."""
        return self.token_drives

    def step(
        self, states: Float[Tensor, "batch state"], drives: Float[Tensor, "batch drive"]
    ) -> Float[Tensor, "batch state"]:
        """See `Cell.step`."""
        return states @ self.weight.T + drives


@dataclass(frozen=True)
class Constructed:
    """A network written by hand, with the right answer: where each variable lives.

    Attributes:
        network: the network.
        algorithm: the name of the algorithm that it implements.
        writes: for each variable the directions U (state, k) along which it is written, ...
        reads: ... and the rows C (k, state) that read it: the swap's projector is U C, with C U = I.
    """

    network: RecurrentNetwork
    algorithm: str
    writes: Mapping[str, Float[Tensor, "state k"]]
    reads: Mapping[str, Float[Tensor, "k state"]]


def magnitude_network(
    *, vocabulary: int, demo: Sequence[int], trigger: int, response: int, eos: int, d: int = 2, sharpness: float = 8.0
) -> Constructed:
    """Up-Down held as a magnitude: the count along one axis, the phase along another, the others spare.

    Demo tokens add one to the first axis, response tokens take one off, the trigger adds one to the second. In the
    resp phase the logit of `EOS` passes that of the response token when the count falls below one half.

    Args:
        vocabulary: number of tokens; a numeric task gives this and the next four as `**task.roles`.
        demo: ids of the demo tokens.
        trigger: id of the trigger.
        response: id of the response token, which must be no demo token (a linear cell cannot tell them apart).
        eos: id of `EOS`.
        d: size of the state, at least 2.
        sharpness: scale of the logits.

    Raises:
        InvalidArgumentError: d is below 2, or the response token is a demo token.
    """
    if d < 2:
        raise InvalidArgumentError(f"the magnitude network needs d of at least 2 (count and phase), got {d}")
    if response in demo:
        raise InvalidArgumentError("the response token is a demo token; a linear cell cannot count it up and down")
    count, phase = 0, 1
    drives = torch.zeros(vocabulary, d)
    drives[list(demo), count] = 1
    drives[response, count] = -1
    drives[trigger, phase] = 1
    weight, bias = torch.zeros(vocabulary, d), torch.full((vocabulary,), -1000.0)
    free = [*demo, trigger]
    weight[free, phase], bias[free] = -100, 50  # far above the rest in the demo phase, far below in the resp phase
    bias[response] = 0
    weight[eos, count], weight[eos, phase], bias[eos] = -1, 100, -99.5
    network = RecurrentNetwork(LinearCell(torch.eye(d), drives), LinearReadout(weight * sharpness, bias * sharpness))
    axes = torch.eye(d)
    return Constructed(
        network,
        "up-down",
        writes={"count": axes[:, [count]], "phase": axes[:, [phase]]},
        reads={"count": axes[[count]], "phase": axes[[phase]]},
    )


def disguise(constructed: Constructed, matrix: Float[Tensor, "state state"]) -> Constructed:
    """The same network after the change of basis `matrix` of its state space: other weights, same behaviour.

    Raises:
        InvalidArgumentError: the network's cell is not linear, or the matrix is singular or of another size.
    """
    cell, output = constructed.network.cell, constructed.network.output
    if not isinstance(cell, LinearCell) or not isinstance(output, LinearReadout):
        raise InvalidArgumentError("only networks of a linear cell and a linear output layer can be disguised")
    if matrix.shape != (cell.width, cell.width):
        raise InvalidArgumentError(f"the state has {cell.width} dimensions, the matrix {tuple(matrix.shape)}")
    condition = float(torch.linalg.cond(matrix))
    if condition > 1e6:
        raise InvalidArgumentError(f"the matrix is singular or nearly so (condition number {condition:.3g})")
    inverse = torch.linalg.inv(matrix)
    network = RecurrentNetwork(
        LinearCell(matrix @ cell.weight.detach() @ inverse, cell.token_drives.detach() @ matrix.T),
        LinearReadout(output.weight.detach() @ inverse, output.bias.detach()),
    )
    return replace(
        constructed,
        network=network,
        writes={name: matrix @ frame for name, frame in constructed.writes.items()},
        reads={name: rows @ inverse for name, rows in constructed.reads.items()},
    )


def random_orthogonal(d: int, generator: Generator) -> Float[Tensor, "d d"]:
    """Uniform over the orthogonal matrices (QR of a normal matrix, signs made definite)."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator))
    return q * torch.sign(torch.diagonal(r))
