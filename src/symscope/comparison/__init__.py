"""Comparison of two networks: how similar their states are, and whether a map makes their states exchangeable."""

from symscope.comparison._stitch import Stitch, StitchingData, StitchOptions, stitch, stitching_data
from symscope.comparison.cca import PWCCA, SVCCA
from symscope.comparison.cka import LinearCKA
from symscope.comparison.linear_maps import ProbeTransfer, StateStitching
from symscope.comparison.measure import Scorer, Similarity, SimilarityMeasure
from symscope.comparison.pairing import SequenceRows, one_row_per_sequence
from symscope.comparison.rsa import RSA, ClassMeanRSA
from symscope.comparison.similarity import compare_states, similarity_measures

__all__ = [
    "PWCCA",
    "RSA",
    "SVCCA",
    "ClassMeanRSA",
    "LinearCKA",
    "ProbeTransfer",
    "Scorer",
    "SequenceRows",
    "Similarity",
    "SimilarityMeasure",
    "StateStitching",
    "Stitch",
    "StitchOptions",
    "StitchingData",
    "compare_states",
    "one_row_per_sequence",
    "similarity_measures",
    "stitch",
    "stitching_data",
]
