"""Alignment functions: which subspace of a state is a variable. They know no task."""

from symscope.alignment.functions.base import AlignmentFunction, swap_side_by_side
from symscope.alignment.functions.fixed import (
    Subspace,
    neurons,
    principal_components,
    random_subspace,
    whole_state,
)
from symscope.alignment.functions.orthogonal import Orthogonal

__all__ = [
    "AlignmentFunction",
    "Orthogonal",
    "Subspace",
    "neurons",
    "principal_components",
    "random_subspace",
    "swap_side_by_side",
    "whole_state",
]
