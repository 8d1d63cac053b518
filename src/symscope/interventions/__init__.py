"""Interventions: drawn, put through the algorithm, and through the network."""

from symscope.interventions.draw import Continuation, Interventions, continue_from, draw_interventions
from symscope.interventions.prepare import Prepared, join, prepare
from symscope.interventions.rewrite import follows, logits_after

__all__ = [
    "Continuation",
    "Interventions",
    "Prepared",
    "continue_from",
    "draw_interventions",
    "follows",
    "join",
    "logits_after",
    "prepare",
]
