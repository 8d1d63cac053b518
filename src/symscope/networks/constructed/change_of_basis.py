"""Change of basis: the state space of a constructed network, multiplied by a matrix, with the same behaviour."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed, LinearCell
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import RecurrentNetwork

MAX_CONDITION = 1e6


def change_basis(constructed: Constructed, matrix: Float[Tensor, "state state"]) -> Constructed:
    """The same network after the change of basis `matrix` of its state space: different weights, same behaviour.

    Raises:
        InvalidArgumentError: the network's cell is not linear, or the matrix is singular or has another size.
    """
    network = constructed.network
    if (
        not isinstance(network, RecurrentNetwork)
        or not isinstance(network.cell, LinearCell)
        or not isinstance(network.output, LinearReadout)
    ):
        raise InvalidArgumentError("a change of basis needs a network with a linear cell and a linear output layer")
    cell, output = network.cell, network.output
    if matrix.shape != (cell.width, cell.width):
        raise InvalidArgumentError(f"the state has {cell.width} dimensions, the matrix {tuple(matrix.shape)}")
    condition = float(torch.linalg.cond(matrix.double()))
    if not condition <= MAX_CONDITION:
        raise InvalidArgumentError(f"the matrix is singular or nearly so (condition number {condition:.3g})")
    matrix = matrix.double()
    inverse = torch.linalg.inv(matrix)

    def product(*factors: Tensor) -> Tensor:
        return torch.linalg.multi_dot([factor.detach().double() for factor in factors]).to(network.dtype)

    weights = torch.stack([product(matrix, weight, inverse) for weight in cell.weight])
    transformed = RecurrentNetwork(
        LinearCell(weights, cell.kinds, product(cell.token_bias, matrix.T)),
        LinearReadout(product(output.weight, inverse), output.bias.detach()),
    )
    return replace(
        constructed,
        network=transformed,
        writes={name: product(matrix, frame) for name, frame in constructed.writes.items()},
        reads={name: product(rows, inverse) for name, rows in constructed.reads.items()},
    )


def random_orthogonal(d: int, generator: Generator) -> Float[Tensor, "d d"]:
    """A uniform draw from the orthogonal matrices (QR of a normal matrix, with positive diagonal of R)."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator))
    return q * torch.sign(torch.diagonal(r))


def random_invertible(d: int, condition: float, generator: Generator) -> Float[Tensor, "d d"]:
    """A random matrix with the given condition number and determinant 1 or -1.

    It is the product of a random rotation, singular values that decrease evenly on a logarithmic scale from
    sqrt(condition) to its inverse, and a second random rotation.

    Raises:
        InvalidArgumentError: d is below 1, or no matrix of this size has this condition number.
    """
    if d < 1 or not 1 <= condition <= MAX_CONDITION or (d == 1 and condition != 1):
        raise InvalidArgumentError(
            f"a condition number is between 1 and {MAX_CONDITION:g} (1 where d = 1), got {condition} for d = {d}"
        )
    half = math.log(condition) / 2
    singular = torch.linspace(half, -half, d).exp()
    return random_orthogonal(d, generator) @ torch.diag(singular) @ random_orthogonal(d, generator)
