"""A variable of an algorithm, and its type: a whole number, a real number, or a category."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final


@dataclass(frozen=True)
class Variable(ABC):
    """A variable that can be overwritten. Its type says what its values mean; printed, it says so too."""

    name: str

    @abstractmethod
    def __str__(self) -> str: ...


@final
@dataclass(frozen=True)
class Integer(Variable):
    """A whole number from `low` to `high`, or without bound above; stored as an integer."""

    low: int = 0
    high: int | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.low}.." + ("" if self.high is None else str(self.high))


@final
@dataclass(frozen=True)
class Real(Variable):
    """A number of at least 0 that need not be whole; stored as float64."""

    def __str__(self) -> str:
        return f"{self.name}: a real number"


@final
@dataclass(frozen=True)
class Category(Variable):
    """One of several labels; stored as the label's index."""

    labels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {' | '.join(self.labels)}"
