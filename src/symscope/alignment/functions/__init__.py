"""Alignment functions: which subspace of a state is a variable. They know no task."""

from symscope.alignment.functions.base import AlignmentFunction, LinearFunction
from symscope.alignment.functions.fixed import (
    Subspace,
    neurons,
    principal_components,
    principal_directions,
    random_subspace,
    whole_state,
)
from symscope.alignment.functions.general import GeneralLinear
from symscope.alignment.functions.oblique import Oblique
from symscope.alignment.functions.orthogonal import Orthogonal
from symscope.alignment.functions.reversible import Reversible
from symscope.alignment.functions.through import VIEWS, Through, View, centred, spanned, standardised

KINDS: dict[str, type[AlignmentFunction]] = {
    kind.__name__: kind for kind in (Subspace, Orthogonal, GeneralLinear, Oblique, Reversible, Through)
}
"""Every kind of alignment function, by the name that files know it by."""

__all__ = [
    "KINDS",
    "VIEWS",
    "AlignmentFunction",
    "GeneralLinear",
    "LinearFunction",
    "Oblique",
    "Orthogonal",
    "Reversible",
    "Subspace",
    "Through",
    "View",
    "centred",
    "neurons",
    "principal_components",
    "principal_directions",
    "random_subspace",
    "spanned",
    "standardised",
    "whole_state",
]
