"""An alignment function says which subspace of a network's state is a variable.

It maps states to aligned coordinates, in which the variable's are exchanged between base and source, and back
(TMLR 2025, section 3.4). For a linear function the whole swap is one projector of rank k,
h' = h_base + U C (h_source - h_base), so the function is kept as its thin factors U and C.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from symscope.errors import InvalidArgumentError

Factors = tuple[Float[Tensor, "functions state k"], Float[Tensor, "functions k state"]]


def check_size(d: int, k: int) -> None:
    """Raises `InvalidArgumentError` when k dimensions cannot be given to a variable of a state of width d."""
    if not 1 <= k <= d:
        raise InvalidArgumentError(f"a variable takes 1 to d = {d} dimensions of the state, got k = {k}")


class AlignmentFunction(nn.Module, ABC):
    """Which subspace of a state of width `d` is a variable.

    Attributes:
        name: the function's name in tables and studies.
        d: width of the state.
        k: number of dimensions given to the variable.
    """

    name: str

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        check_size(d, k)
        self.d, self.k = d, k

    @abstractmethod
    def tensors(self) -> tuple[Tensor, ...]:
        """What the function is made of, trainable or fixed."""

    @staticmethod
    @abstractmethod
    def factors(*tensors: Float[Tensor, "functions ..."]) -> Factors:
        """Projector factors U and C of several functions of one kind, d and k, from their stacked `tensors`."""

    def swap(
        self, base: Float[Tensor, "batch state"], source: Float[Tensor, "batch state"]
    ) -> Float[Tensor, "batch state"]:
        """The base states with the variable's part of the source states."""
        return swap_side_by_side([self], base[None], source[None])[0]

    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """The variable's aligned coordinates of each state."""
        _, read = _factors([self])
        return states @ read[0].T


def _factors(functions: Sequence[AlignmentFunction]) -> Factors:
    """The factors of functions of one kind, d and k."""
    stacked = [torch.stack(tensors) for tensors in zip(*(function.tensors() for function in functions), strict=True)]
    return type(functions[0]).factors(*stacked)


def swap_side_by_side(
    functions: Sequence[AlignmentFunction],
    base: Float[Tensor, "functions batch state"],
    source: Float[Tensor, "functions batch state"],
) -> Float[Tensor, "functions batch state"]:
    """Each function's swap on its own batch, all in one program: factors are padded with zeros to the largest k."""
    most = max(function.k for function in functions)
    groups: dict[tuple[type[AlignmentFunction], int], list[int]] = {}
    for index, function in enumerate(functions):
        groups.setdefault((type(function), function.k), []).append(index)
    writes, reads = [], []
    for (_, k), members in groups.items():
        write, read = _factors([functions[index] for index in members])
        writes.append(pad(write, (0, most - k)))
        reads.append(pad(read, (0, 0, 0, most - k)))
    order = torch.tensor([index for members in groups.values() for index in members]).argsort().to(base.device)
    write, read = torch.cat(writes)[order], torch.cat(reads)[order]
    return base + (source - base) @ read.mT @ write.mT
