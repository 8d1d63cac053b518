"""An algorithm has typed, mutable variables over time and says which tokens may come next.

It runs on whole batches. Its state is a dictionary from a variable's name to one integer a row, taken in and
given back, never kept; so an intervention on a variable is an entry that is replaced.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.tasks import Task

Values = Mapping[str, Tensor]
"""The variables of a batch: name to `Int[Tensor, "batch"]`."""


@dataclass(frozen=True)
class Variable:
    """A variable and its type: a number when it has no labels, else a category stored as its label's index."""

    name: str
    labels: tuple[str, ...] | None = None


class Algorithm(ABC):
    """Variables, and the rules that update them token by token.

    Attributes:
        name: the algorithm's name in tables and studies.
        variables: its variables, each of which can be overwritten.
    """

    name: str
    variables: tuple[Variable, ...]

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def start(self, batch: int) -> Values:
        """The variables before any token."""

    @abstractmethod
    def step(self, values: Values, tokens: Int[Tensor, " batch"]) -> Values:
        """The variables after one more token; `BOS`, `EOS` and `PAD` change nothing."""

    @abstractmethod
    def allowed(self, values: Values) -> Bool[Tensor, "batch vocabulary"]:
        """The tokens that may come next; one alone means that it is determined."""

    def can_end(self, values: Values) -> Bool[Tensor, " batch"]:
        """False where no continuation could ever reach `EOS` (possible only after an intervention)."""
        first = next(iter(values.values()))
        return torch.ones_like(first, dtype=torch.bool)

    def run(self, tokens: Int[Tensor, "batch time"]) -> dict[str, Int[Tensor, "batch time"]]:
        """The variables after each token of each sequence."""
        if tokens.numel() == 0:
            raise InvalidArgumentError(f"nothing to run on: tokens have the shape {tuple(tokens.shape)}")
        values, after = self.start(len(tokens)), []
        for column in tokens.unbind(1):
            values = self.step(values, column)
            after.append(values)
        return {name: torch.stack([step[name] for step in after], 1) for name in values}

    def check_variables(self, names: Iterable[str]) -> tuple[str, ...]:
        """The names as a tuple; `UnknownNameError` for the first that is no variable of this algorithm."""
        names = tuple(names)
        known = [variable.name for variable in self.variables]
        for name in names:
            if name not in known:
                raise UnknownNameError(f"variable of {self.name}", name, known)
        return names
