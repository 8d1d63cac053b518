"""Controls: what an IIA must be compared with. New ones are subclasses of `SearchedControl` or `ComputedControl`."""

from collections.abc import Mapping

from symscope.alignment.controls.base import ComputedControl, Control, SearchedControl, Subject, control_kind
from symscope.alignment.controls.baselines import LDA, LEACE, Baseline, DiffMeans, LeastSquares, LinearProbe, baselines
from symscope.alignment.controls.computed import (
    PrincipalComponents,
    RandomSubspace,
    SingleNeurons,
    WholeState,
)
from symscope.alignment.controls.searched import ShuffledLabels, Untrained

DEFAULT_CONTROLS: tuple[Control, ...] = (
    ShuffledLabels(),
    RandomSubspace(),
    PrincipalComponents(),
    SingleNeurons(),
    WholeState(),
)
"""The controls of every search, to which untrained networks can be added: `(*DEFAULT_CONTROLS, Untrained(fresh))`."""

CONTROLS: Mapping[str, type[Control]] = {
    kind.name: kind
    for kind in (
        ShuffledLabels,
        Untrained,
        RandomSubspace,
        PrincipalComponents,
        SingleNeurons,
        WholeState,
        LeastSquares,
        DiffMeans,
        LinearProbe,
        LDA,
        LEACE,
    )
}
"""Every control by name."""

__all__ = [
    "CONTROLS",
    "DEFAULT_CONTROLS",
    "LDA",
    "LEACE",
    "Baseline",
    "ComputedControl",
    "Control",
    "DiffMeans",
    "LeastSquares",
    "LinearProbe",
    "PrincipalComponents",
    "RandomSubspace",
    "SearchedControl",
    "ShuffledLabels",
    "SingleNeurons",
    "Subject",
    "Untrained",
    "WholeState",
    "baselines",
    "control_kind",
]
