"""Alignment functions: which coordinates of a state are a variable. They know no task, no algorithm and no network."""

from collections.abc import Mapping
from typing import Any

from symscope.alignment.functions.base import (
    Alignment,
    AlignmentFunction,
    Factors,
    LinearFunction,
    Subspace,
    check_size,
    subspace,
)
from symscope.alignment.functions.fixed import (
    PrincipalAxes,
    neurons,
    principal_axes,
    principal_components,
    random_subspace,
    whole_state,
)
from symscope.alignment.functions.linear import LinearAlignment
from symscope.alignment.functions.orthogonal import Oblique, Orthogonal
from symscope.alignment.functions.preprocessed import COORDINATES, Preprocessed, check_coordinates, coordinates_of
from symscope.alignment.functions.reversible import Reversible
from symscope.errors import UnknownNameError

FUNCTIONS: Mapping[str, type[AlignmentFunction]] = {
    function.name: function for function in (Orthogonal, LinearAlignment, Oblique, Reversible)
}
"""The alignment functions that can be searched, by name."""

KINDS: Mapping[str, type[AlignmentFunction]] = {
    kind.__name__: kind for kind in (Subspace, Preprocessed, *FUNCTIONS.values())
}
"""Every kind of alignment function, by the name that files give it."""


def alignment_function(name: str, **options: Any) -> AlignmentFunction:
    """The alignment function of that name, with its options.

    Raises:
        UnknownNameError: no such function, option or coordinates; it names the nearest ones.
        InvalidArgumentError: an option with a value that is not possible.
    """
    if name not in FUNCTIONS:
        raise UnknownNameError("alignment function", name, FUNCTIONS)
    return function_with_options(FUNCTIONS[name], options)


def function_with_options(kind: type[AlignmentFunction], options: Mapping[str, Any]) -> AlignmentFunction:
    """A function of a class with options; for the errors see `alignment_function`."""
    known = list(kind.__dataclass_fields__)
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of alignment function {kind.name!r}", option, known)
    check_coordinates(options.get("coordinates", kind.coordinates))
    return kind(**options)


__all__ = [
    "COORDINATES",
    "FUNCTIONS",
    "KINDS",
    "Alignment",
    "AlignmentFunction",
    "Factors",
    "LinearAlignment",
    "LinearFunction",
    "Oblique",
    "Orthogonal",
    "Preprocessed",
    "PrincipalAxes",
    "Reversible",
    "Subspace",
    "alignment_function",
    "check_coordinates",
    "check_size",
    "coordinates_of",
    "function_with_options",
    "neurons",
    "principal_axes",
    "principal_components",
    "random_subspace",
    "subspace",
    "whole_state",
]
