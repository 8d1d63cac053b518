"""Alignment: which subspace of the state of a network is which variable; search, test metrics and controls."""

from symscope.alignment._align import align
from symscope.alignment._compare import Comparison, compare
from symscope.alignment._evaluate import evaluate
from symscope.alignment._files import read_alignments, read_results, save_alignments
from symscope.alignment._fit import LATENT_WEIGHTS, fit, frontier, uncut_accuracy
from symscope.alignment._fitted import MAIN, FittedAlignments
from symscope.alignment._locate import locate, locate_cost
from symscope.alignment._locations import LocateCost, Location, Locations
from symscope.alignment._pool import TrainingPool
from symscope.alignment._problem import AlignmentProblem, SearchOptions, SearchResult
from symscope.alignment._search import search
from symscope.alignment.controls import (
    CONTROLS,
    DEFAULT_CONTROLS,
    ComputedControl,
    Control,
    PrincipalComponents,
    RandomSubspace,
    SearchedControl,
    ShuffledLabels,
    SingleNeurons,
    Untrained,
    WholeState,
    baselines,
)
from symscope.alignment.functions import (
    FUNCTIONS,
    Alignment,
    AlignmentFunction,
    LinearAlignment,
    Oblique,
    Orthogonal,
    Reversible,
    alignment_function,
    function_with_options,
    neurons,
    principal_components,
    random_subspace,
    subspace,
    whole_state,
)
from symscope.alignment.masks import BoundaryMask, FixedMask, Mask
from symscope.alignment.result import AlignmentResult
from symscope.alignment.results import Results
from symscope.alignment.score import Score, follows_swap, whole_state_score, whole_state_test
from symscope.alignment.test_set import TestMetrics, TestSet

__all__ = [
    "CONTROLS",
    "DEFAULT_CONTROLS",
    "FUNCTIONS",
    "LATENT_WEIGHTS",
    "MAIN",
    "Alignment",
    "AlignmentFunction",
    "AlignmentProblem",
    "AlignmentResult",
    "BoundaryMask",
    "Comparison",
    "ComputedControl",
    "Control",
    "FittedAlignments",
    "FixedMask",
    "LinearAlignment",
    "LocateCost",
    "Location",
    "Locations",
    "Mask",
    "Oblique",
    "Orthogonal",
    "PrincipalComponents",
    "RandomSubspace",
    "Results",
    "Reversible",
    "Score",
    "SearchOptions",
    "SearchResult",
    "SearchedControl",
    "ShuffledLabels",
    "SingleNeurons",
    "TestMetrics",
    "TestSet",
    "TrainingPool",
    "Untrained",
    "WholeState",
    "align",
    "alignment_function",
    "baselines",
    "compare",
    "evaluate",
    "fit",
    "follows_swap",
    "frontier",
    "function_with_options",
    "locate",
    "locate_cost",
    "neurons",
    "principal_components",
    "random_subspace",
    "read_alignments",
    "read_results",
    "save_alignments",
    "search",
    "subspace",
    "uncut_accuracy",
    "whole_state",
    "whole_state_score",
    "whole_state_test",
]
