"""Interchange interventions: counterfactual data, the states of a network at its stops, and rewritten states."""

from symscope.interchange._algorithm_data import counterfactuals
from symscope.interchange._intervene import (
    Swap,
    counterfactual_losses,
    intervene,
    matches_counterfactual,
    predictions,
)
from symscope.interchange._stops import STOP, Position, move_stops, stop_at
from symscope.interchange.cache import CachedInterventions, cache_sites, cache_states, join_cached
from symscope.interchange.continuations import continue_from, is_inconsistent_with, values_at
from symscope.interchange.data import CounterfactualData, Excluded, Interventions, StoppedInputs, join_interventions
from symscope.interchange.draw import (
    PAPER_PROTOCOL,
    PROTOCOLS,
    InterventionProtocol,
    draw_cause,
    draw_interventions,
    draw_isolation,
    with_informative,
)
from symscope.interchange.memory import BlockMemory, block_memory, peak_bytes, rows_within
from symscope.interchange.permutation import permute_values, shuffled_labels
from symscope.interchange.same_phase import draw_same_phase
from symscope.interchange.strength import Strength, strength_test

__all__ = [
    "PAPER_PROTOCOL",
    "PROTOCOLS",
    "STOP",
    "BlockMemory",
    "CachedInterventions",
    "CounterfactualData",
    "Excluded",
    "InterventionProtocol",
    "Interventions",
    "Position",
    "StoppedInputs",
    "Strength",
    "Swap",
    "block_memory",
    "cache_sites",
    "cache_states",
    "continue_from",
    "counterfactual_losses",
    "counterfactuals",
    "draw_cause",
    "draw_interventions",
    "draw_isolation",
    "draw_same_phase",
    "intervene",
    "is_inconsistent_with",
    "join_cached",
    "join_interventions",
    "matches_counterfactual",
    "move_stops",
    "peak_bytes",
    "permute_values",
    "predictions",
    "rows_within",
    "shuffled_labels",
    "stop_at",
    "strength_test",
    "values_at",
    "with_informative",
]
