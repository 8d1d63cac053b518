"""Alignment: which subspace of a network's state is which variable; search, score and controls."""

from symscope.alignment.controls import whole_state_score, whole_state_test
from symscope.alignment.files import load_functions, save_functions
from symscope.alignment.find import Evidence, find
from symscope.alignment.functions import (
    AlignmentFunction,
    GeneralLinear,
    Oblique,
    Orthogonal,
    Reversible,
    Subspace,
    Through,
    neurons,
    principal_components,
    random_subspace,
    whole_state,
)
from symscope.alignment.masks import Blocks, Learned, Mask
from symscope.alignment.score import Score, follows_swap, score
from symscope.alignment.search import Found, Question, SearchOptions, search
from symscope.alignment.starts import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "AlignmentFunction",
    "Blocks",
    "Evidence",
    "Found",
    "GeneralLinear",
    "Learned",
    "Mask",
    "Oblique",
    "Orthogonal",
    "Question",
    "Reversible",
    "Score",
    "SearchOptions",
    "Subspace",
    "Through",
    "find",
    "follows_swap",
    "load_functions",
    "neurons",
    "principal_components",
    "random_subspace",
    "save_functions",
    "score",
    "search",
    "whole_state",
    "whole_state_score",
    "whole_state_test",
]
