"""The section `comparisons` of a declaration: which networks are compared, and by which variables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from pydantic import Field

from symscope.studies.choices import FunctionChoice, TaskChoice
from symscope.studies.options import MAX_SIZE, Pair, Section, Size, Values

ALL = "all"


@dataclass(frozen=True)
class Member:
    """A network that may take part in a comparison.

    Attributes:
        network: its label.
        d: its size.
        seed: its seed.
    """

    network: str
    d: int
    seed: int


class ComparisonGrid(Section):
    """Pairs of networks of one task, and the variables whose values are taken from one and written into the other."""

    algorithm: str = Field(description="an algorithm of symscope, or the import path of a class, package.module:Class")
    variables: Values[str] = Field(
        min_length=1, description="variables, each with frames of its own; `count+phase` are overwritten together"
    )
    k: Values[Size] = Field(default=(4,), min_length=1, description="dimensions of a frame in every network")
    functions: Values[FunctionChoice] = Field(
        default=(FunctionChoice(name="oblique", options={"coordinates": "natural-span"}),),
        min_length=1,
        description="linear alignment functions",
    )
    pairs: Literal["all"] | Values[Pair[str]] = Field(
        default=ALL, description="pairs of names of networks, such as [gru, lstm]; [gru, gru] pairs seeds and sizes"
    )
    seeds: Literal["all", "equal"] = Field(
        default=ALL, description="which seeds networks of different kind or size are paired by; of one kind all are"
    )
    tasks: Values[str] | None = Field(
        default=None,
        min_length=1,
        description="tasks that the algorithm solves, of which a run may leave some out; default: all of the study",
    )
    minimal_dimensions: Values[Size] = Field(
        default=(), description="also swap all variables of the algorithm together, in so many dimensions"
    )
    stitching: Values[Size] = Field(
        default=(), description="also train maps of these ranks from states of one network to states of the other"
    )

    def includes(self, task: TaskChoice) -> bool:
        """Whether networks of a task are compared."""
        return self.tasks is None or task.name in self.tasks or task.label in self.tasks

    def chosen(self, members: Sequence[Member]) -> list[tuple[int, int]]:
        """The pairs that are compared, as indices of the members, each pair once and in their order."""
        pairs = combinations(range(len(members)), 2)
        return [(i, j) for i, j in pairs if self._is_chosen(members[i], members[j])]

    def pair_faults(self, members: Sequence[Member]) -> Iterator[tuple[tuple[str, ...], str]]:
        """Pairs of networks that do not exist, and more dimensions than they have: key and text of each fault."""
        labels = sorted({member.network for member in members})
        unknown = sorted({name for pair in self.pairs if self.pairs != ALL for name in pair} - set(labels))
        for name in unknown:
            yield ("pairs",), f"{name!r} is not a network of this study: {', '.join(labels)}"
        chosen = self.chosen(members)
        if members and not chosen and not unknown:
            yield (), "no two networks to compare: declare another seed, size or kind of network"
        smallest = min((members[number].d for pair in chosen for number in pair), default=MAX_SIZE)
        for key in ("k", "minimal_dimensions", "stitching"):
            if (largest := max(getattr(self, key), default=1)) > smallest:
                yield (key,), f"the smallest network has d = {smallest} dimensions, got {largest}"

    def _is_chosen(self, first: Member, second: Member) -> bool:
        same_kind = (first.network, first.d) == (second.network, second.d)
        if self.seeds == "equal" and not same_kind and first.seed != second.seed:
            return False
        names = {(first.network, second.network), (second.network, first.network)}
        return self.pairs == ALL or not names.isdisjoint(self.pairs)
