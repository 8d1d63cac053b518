"""Alignment: which subspace of a network's state is which variable; search, score and controls."""

from symscope.alignment.compare import Comparison, compare
from symscope.alignment.controls import whole_state_score, whole_state_test
from symscope.alignment.evidence import Evidence, load_evidence, save_evidence
from symscope.alignment.files import load_functions, save_functions
from symscope.alignment.find import find
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
    "Comparison",
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
    "compare",
    "find",
    "follows_swap",
    "load_evidence",
    "load_functions",
    "neurons",
    "principal_components",
    "random_subspace",
    "save_evidence",
    "save_functions",
    "score",
    "search",
    "whole_state",
    "whole_state_score",
    "whole_state_test",
]
