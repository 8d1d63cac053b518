"""The number of types between tokens and a result does not grow."""

import pytest
from benchmarks.structure import MIDDLE, constructed_types, types_of_one_align_call

import symscope as sc


@pytest.mark.slow
def test_one_align_call_constructs_few_types():
    by_package = types_of_one_align_call()
    # Of these, closed forms are 7, coordinates of the natural span and latents 3, and naturalness 4.
    assert sum(len(by_package[package]) for package in MIDDLE) <= 37, by_package


def test_constructed_types_are_noted_inside_the_block_alone():
    with constructed_types(("interchange",)) as seen:
        sc.InterventionProtocol()
    sc.InterventionProtocol(position="trigger")
    assert seen == {"symscope.interchange.draw.InterventionProtocol"}
