"""Random streams: fixed by seed and purpose, independent of the type of an integer."""

import inspect

import numpy as np
import pytest
import torch

from symscope.arguments import integer, positive_number
from symscope.errors import InvalidArgumentError
from symscope.seeds import generator


def draws(*arguments):
    return torch.rand(4, generator=generator(*arguments)).tolist()


def test_streams_are_as_they_always_were():
    assert generator(0).initial_seed() == 5254295370254170289
    assert generator(7, "training", "dropout").initial_seed() == 4779861550918694459
    assert generator(-3, "network", 5).initial_seed() == 388560083849880842


def test_seeds_and_purposes_give_different_streams():
    streams = [draws(0), draws(1), draws(0, "a"), draws(0, "b"), draws(0, "a", "b"), draws(0, "a", 1), draws(0, 1)]
    assert len({tuple(stream) for stream in streams}) == len(streams)
    assert draws(0, "a") == draws(0, "a")


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, torch.tensor])
def test_equal_integers_of_any_type_give_the_same_stream(kind):
    assert draws(kind(3), "purpose", kind(2)) == draws(3, "purpose", 2)
    assert draws(3, np.str_("purpose")) == draws(3, "purpose")


@pytest.mark.parametrize("seed", [True, np.True_, torch.tensor(True), 1.0, np.float64(1), "1", None, [1]])
def test_a_seed_that_is_no_integer_is_refused(seed):
    unchecked = inspect.unwrap(generator)  # in tests alone, beartype checks the annotations first
    with pytest.raises(InvalidArgumentError, match=r"seed must be an integer, got .* of type"):
        unchecked(seed)
    with pytest.raises(InvalidArgumentError, match="a number in the purpose must be an integer"):
        unchecked(0, seed) if not isinstance(seed, str) else unchecked(0, 0.5)


def test_integers_within_bounds():
    assert integer(np.int64(3), "batch", 1, 5) == 3
    assert type(integer(np.int64(3), "batch")) is int
    with pytest.raises(InvalidArgumentError, match="batch must be between 1 and 5, got 6"):
        integer(6, "batch", 1, 5)
    with pytest.raises(InvalidArgumentError, match="batch must be at least 1, got 0"):
        integer(0, "batch", 1)
    with pytest.raises(InvalidArgumentError, match="batch must be at most 5, got 9"):
        integer(9, "batch", high=5)


def test_positive_numbers():
    assert positive_number(np.float32(0.5), "rate") == 0.5
    assert positive_number(2, "rate") == 2.0
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidArgumentError, match=f"rate must be above 0 and finite, got {wrong}"):
            positive_number(wrong, "rate")
    with pytest.raises(InvalidArgumentError, match=r"share must be above 0 and at most 1, got 99"):
        positive_number(99, "share", 1.0)
    for wrong in ("0.5", True, None, 1j):
        with pytest.raises(InvalidArgumentError, match="rate must be a number, got"):
            positive_number(wrong, "rate")
