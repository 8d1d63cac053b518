"""Disguises: the state space of a network written by hand, multiplied by a matrix, its behaviour the same."""

import math
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from symscope.errors import InvalidArgumentError
from symscope.networks.constructed.base import Constructed
from symscope.networks.constructed.cell import LinearCell
from symscope.networks.readouts import LinearReadout
from symscope.networks.recurrent import RecurrentNetwork

LARGEST_CONDITION = 1e6


def change_basis(constructed: Constructed, matrix: Float[Tensor, "state state"]) -> Constructed:
    """The same network after the change of basis `matrix` of its state space: other weights, same behaviour.

    Raises:
        InvalidArgumentError: the network's cell is not linear, or the matrix is singular or of another size.
    """
    network = constructed.network
    if (
        not isinstance(network, RecurrentNetwork)
        or not isinstance(network.cell, LinearCell)
        or not isinstance(network.output, LinearReadout)
    ):
        raise InvalidArgumentError("only networks of a linear cell and a linear output layer can be disguised")
    cell, output = network.cell, network.output
    if matrix.shape != (cell.width, cell.width):
        raise InvalidArgumentError(f"the state has {cell.width} dimensions, the matrix {tuple(matrix.shape)}")
    condition = float(torch.linalg.cond(matrix.double()))
    if not condition <= LARGEST_CONDITION:
        raise InvalidArgumentError(f"the matrix is singular or nearly so (condition number {condition:.3g})")
    there = matrix.double()
    back = torch.linalg.inv(there)

    def product(*factors: Tensor) -> Tensor:
        return torch.linalg.multi_dot([factor.detach().double() for factor in factors]).float()

    weights = torch.stack([product(there, weight, back) for weight in cell.weight])
    hidden = RecurrentNetwork(
        LinearCell(weights, cell.kinds, product(cell.token_bias, there.T)),
        LinearReadout(product(output.weight, back), output.bias.detach()),
    )
    return replace(
        constructed,
        network=hidden,
        writes={name: product(there, frame) for name, frame in constructed.writes.items()},
        reads={name: product(rows, back) for name, rows in constructed.reads.items()},
    )


def random_orthogonal(d: int, generator: Generator) -> Float[Tensor, "d d"]:
    """Uniform over the orthogonal matrices (QR of a normal matrix, signs made definite)."""
    q, r = torch.linalg.qr(torch.randn(d, d, generator=generator))
    return q * torch.sign(torch.diagonal(r))


def random_invertible(d: int, condition: float, generator: Generator) -> Float[Tensor, "d d"]:
    """A random matrix with the given condition number and determinant 1 or -1.

    Two random rotations around singular values that fall evenly, on a logarithmic scale, from sqrt(condition) to its
    inverse.

    Raises:
        InvalidArgumentError: d is below 1, or the condition number is not one that a matrix of this size can have.
    """
    if d < 1 or not 1 <= condition <= LARGEST_CONDITION or (d == 1 and condition != 1):
        raise InvalidArgumentError(
            f"a condition number is between 1 and {LARGEST_CONDITION:g} (1 where d = 1), got {condition} for d = {d}"
        )
    half = math.log(condition) / 2
    singular = torch.linspace(half, -half, d).exp()
    return random_orthogonal(d, generator) @ torch.diag(singular) @ random_orthogonal(d, generator)
