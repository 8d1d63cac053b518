"""Fitted alignments of variables in one network, with those of their controls."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from symscope.alignment._diagnostics import Naturalness
from symscope.alignment._problem import SearchResult
from symscope.alignment.functions import Alignment
from symscope.interchange import (
    CounterfactualData,
)
from symscope.networks import Network

Key = tuple[str, int]
"""Name of a set of overwritten variables, and k."""
MAIN = "alignment"


@dataclass(frozen=True, repr=False)
class FittedAlignments:
    """Alignments of variables in one network, and those of their controls.

    Attributes:
        name: `"alignment"`, or the name of a control.
        network: the network.
        data: the interventions that they are fitted to, and those to test on.
        site: where in the network.
        function: label of the alignment function.
        alignments: for each set of overwritten variables and k, the alignment of each of its variables.
        searches: what the search says of each; empty for a control that needs no search.
        unfitted: of a control, why an alignment could not be fitted.
        naturalness: of each main alignment, on validation interventions; `None` where it cannot be measured.
        is_null: whether an alignment must beat it.
        trial_accuracy: share of sequences without an intervention that the network completes correctly; `None`:
            unknown.
        controls: the controls of the main alignments.
    """

    name: str
    network: Network
    data: CounterfactualData
    site: str
    function: str
    alignments: Mapping[Key, Mapping[str, Alignment]]
    searches: Mapping[Key, SearchResult]
    unfitted: Mapping[Key, str] = field(default_factory=dict)
    naturalness: Mapping[Key, Naturalness | None] = field(default_factory=dict)
    is_null: bool = False
    trial_accuracy: float | None = None
    controls: tuple["FittedAlignments", ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(f"{name} (k = {k})" for name, k in self.alignments)
        controls = ", ".join(control.name for control in self.controls)
        return f"FittedAlignments({self.function} at {self.site}: {names}; controls: {controls or 'none'})"


def merged(first: FittedAlignments, again: FittedAlignments) -> FittedAlignments:
    """Alignments and controls, in which those that were searched again replace the first ones."""
    parts = {name: {**getattr(first, name), **getattr(again, name)} for name in ("alignments", "searches")}
    unfitted = {key: reason for key, reason in first.unfitted.items() if key not in again.alignments}
    controls = tuple(map(merged, first.controls, again.controls))
    return replace(first, **parts, unfitted={**unfitted, **again.unfitted}, controls=controls)


def set_name(subject: str, variables: str) -> str:
    return f"{subject}: {variables}"
