"""Fuzzing of everything that symscope reads: mutated inputs must work, or be refused by an error of symscope.

`python -m fuzz TARGET --cases 10000` runs many cases; the tests run a few, and all that ever found a fault.
"""
