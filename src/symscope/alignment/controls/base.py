"""Controls: scores that an IIA must be compared with before it means anything."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Generator

from symscope.alignment._training_set import TrainingSet
from symscope.alignment.functions import Alignment
from symscope.interchange import CounterfactualData
from symscope.networks import Network

Subject = tuple[Network, CounterfactualData]
"""A network, and the interventions on it."""


class Control(ABC):
    """A control of an alignment search; a user's control is a subclass of one of the two kinds below.

    Attributes:
        name: the name in tables.
        is_null: whether an alignment must beat it; otherwise it is a ceiling or a reference.
    """

    name: str
    is_null: bool


class SearchedControl(Control):
    """A control that is searched like the alignment itself, with the same function, sizes and options.

    Where it is searched on the same network, it is fitted in the same batch and stops with the main search. Other
    networks share the steps that the best alignment took.
    """

    is_null = True

    @abstractmethod
    def subjects(self, network: Network, data: CounterfactualData) -> Mapping[str, Subject]:
        """What is searched, by the name of each score: a network and interventions.

        Args:
            network: the network of the main search.
            data: the interventions of the main search.
        """


class ComputedControl(Control):
    """A control whose alignment needs no search."""

    @abstractmethod
    def alignment(self, interventions: TrainingSet, k: int, generator: Generator) -> Alignment | None:
        """An alignment of k dimensions, or `None` where there is none, so that the control is left out.

        Of several variables that take their values from different sources, each gets an equal block of the dimensions.

        Args:
            interventions: the network, and the interventions on one set of variables to fit to and to choose by.
            k: dimensions given to all overwritten variables together.
            generator: the source of randomness, equal for all variables of one k.
        """


def control_kind(name: str) -> str:
    """The control that a score belongs to: scores `untrained 1` and `untrained 2` belong to `untrained`."""
    return name.split(" ", maxsplit=1)[0]
