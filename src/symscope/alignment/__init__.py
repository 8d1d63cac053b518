"""Alignment: which subspace of a network's state is which variable; search, score and controls."""

from symscope.alignment.controls import whole_state_score, whole_state_test
from symscope.alignment.find import Evidence, find
from symscope.alignment.functions import (
    AlignmentFunction,
    Orthogonal,
    Subspace,
    neurons,
    principal_components,
    random_subspace,
    whole_state,
)
from symscope.alignment.score import Score, follows_swap, score
from symscope.alignment.search import Found, Question, SearchOptions, search

__all__ = [
    "AlignmentFunction",
    "Evidence",
    "Found",
    "Orthogonal",
    "Question",
    "Score",
    "SearchOptions",
    "Subspace",
    "find",
    "follows_swap",
    "neurons",
    "principal_components",
    "random_subspace",
    "score",
    "search",
    "whole_state",
    "whole_state_score",
    "whole_state_test",
]
