"""Comparison of networks: do they compute with the same variable, and how similar are their states?"""

from symscope.comparison._compare_models import compare_models
from symscope.comparison._minimal import DimensionCurve, minimal_dimensions
from symscope.comparison._stitch import Stitch, StitchingData, StitchOptions, stitch, stitching_data
from symscope.comparison.cca import PWCCA, SVCCA
from symscope.comparison.cka import LinearCKA
from symscope.comparison.linear_maps import ProbeTransfer, StateStitching
from symscope.comparison.measure import Scorer, Similarity, SimilarityMeasure
from symscope.comparison.models import ComparedModel, RecordedStates
from symscope.comparison.pairing import SequenceRows, one_row_per_sequence
from symscope.comparison.result import Frame, ModelComparison, PairSimilarity, Transfer
from symscope.comparison.rsa import RSA, ClassMeanRSA
from symscope.comparison.similarity import compare_states, similarity_measures

__all__ = [
    "PWCCA",
    "RSA",
    "SVCCA",
    "ClassMeanRSA",
    "ComparedModel",
    "DimensionCurve",
    "Frame",
    "LinearCKA",
    "ModelComparison",
    "PairSimilarity",
    "ProbeTransfer",
    "RecordedStates",
    "Scorer",
    "SequenceRows",
    "Similarity",
    "SimilarityMeasure",
    "StateStitching",
    "Stitch",
    "StitchOptions",
    "StitchingData",
    "Transfer",
    "compare_models",
    "compare_states",
    "minimal_dimensions",
    "one_row_per_sequence",
    "similarity_measures",
    "stitch",
    "stitching_data",
]
