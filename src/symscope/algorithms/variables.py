"""Types of variables: integers, real numbers, categories."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final


@dataclass(frozen=True)
class Variable(ABC):
    """A variable of an algorithm. As text, it is its name and its type.

    Attributes:
        name: the variable's name.
    """

    name: str

    @abstractmethod
    def __str__(self) -> str: ...


@final
@dataclass(frozen=True)
class Integer(Variable):
    """An integer variable, stored as int64.

    Attributes:
        low: the smallest value.
        high: the largest value; None: there is no upper bound.
    """

    low: int = 0
    high: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.low}.." + ("" if self.high is None else str(self.high))


@final
@dataclass(frozen=True)
class Real(Variable):
    """A real variable with values of at least 0, stored as float64."""

    def __str__(self) -> str:
        return f"{self.name}: a real number"


@final
@dataclass(frozen=True)
class Category(Variable):
    """A categorical variable, stored as the index of its label.

    Attributes:
        labels: the names of its values.
    """

    labels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {' | '.join(self.labels)}"
