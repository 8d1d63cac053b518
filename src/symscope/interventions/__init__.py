"""Interventions: drawn, put through the algorithm, and through the network."""

from symscope.interventions.apart import Apart, draw_apart
from symscope.interventions.draw import Continuation, Interventions, continue_from, draw_interventions
from symscope.interventions.labels import Labels, arbitrary_labels, relabel
from symscope.interventions.matters import contradicts, matters
from symscope.interventions.memory import BlockMemory, block_memory, peak_bytes, rows_within
from symscope.interventions.prepare import Prepared, join, prepare
from symscope.interventions.rewrite import follows, losses_after, rewritten
from symscope.interventions.same_phase import SamePhase, draw_same_phase
from symscope.interventions.strength import Strength, strength_test
from symscope.interventions.wanted import wanted_states

__all__ = [
    "Apart",
    "BlockMemory",
    "Continuation",
    "Interventions",
    "Labels",
    "Prepared",
    "SamePhase",
    "Strength",
    "arbitrary_labels",
    "block_memory",
    "continue_from",
    "contradicts",
    "draw_apart",
    "draw_interventions",
    "draw_same_phase",
    "follows",
    "join",
    "losses_after",
    "matters",
    "peak_bytes",
    "prepare",
    "relabel",
    "rewritten",
    "rows_within",
    "strength_test",
    "wanted_states",
]
