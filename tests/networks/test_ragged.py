"""Packed batches: each token has one index, groups stay within bounds, attention equals that of padded batches."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from tests.networks.examples import ROUNDING, largest_difference, network, tokens

from symscope.networks.packing import repeat
from symscope.networks.ragged import MAX_PADDING, MIN_PAIRS, Cached, Earlier, Projected, Ragged
from symscope.seeds import generator

CPU = torch.device("cpu")
lengths_of_rows = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(lengths_of_rows, st.integers(0, 3))
def test_every_token_has_one_index_and_padding_is_bounded(lengths, spare):
    time = max(lengths) + spare
    ragged = Ragged(torch.tensor(lengths), CPU)
    numbered = torch.arange(len(lengths) * time).view(len(lengths), time)
    is_token = torch.arange(time) < torch.tensor(lengths)[:, None]
    packed = ragged.pack(numbered)
    assert torch.equal(packed, numbered[is_token])
    assert torch.equal(ragged.positions, packed % time)
    assert torch.equal(ragged.spread(1.0 + packed, len(lengths), time), torch.where(is_token, 1.0 + numbered, 0.0))
    left = sorted(lengths, reverse=True)
    for rows, queries, keys in ragged.groups:
        group, left = left[:rows], left[rows:]
        assert group[0] == queries == keys
        assert rows * keys**2 <= max(MIN_PAIRS, (1 + MAX_PADDING) * sum(length**2 for length in group))
    assert not left


@given(lengths_of_rows, st.integers(0, 10_000))
def test_padding_is_bounded_with_a_cache(lengths, seed):
    before = torch.randint(40, (len(lengths),), generator=generator(seed))
    ragged = Ragged(torch.tensor(lengths), CPU, Earlier(torch.arange(len(lengths)), before))
    assert torch.equal(ragged.positions, torch.cat([b + torch.arange(n) for n, b in zip(lengths, before, strict=True)]))
    left = sorted(zip(lengths, before.tolist(), strict=True), reverse=True)
    for rows, queries, keys in ragged.groups:
        group, left = left[:rows], left[rows:]
        assert all(n <= queries and n + b <= keys for n, b in group)
        assert rows * queries * keys <= max(MIN_PAIRS, (1 + MAX_PADDING) * sum(n * (n + b) for n, b in group))
    assert not left


def causal(queries, keys, values, before):
    """One row at a time: each query sees the cached keys, and the new keys up to its own."""
    seen = torch.arange(len(keys)) <= before + torch.arange(len(queries))[:, None]
    scores = torch.einsum("qhw,khw->hqk", queries, keys) / queries.shape[2] ** 0.5
    scores = scores.masked_fill(~seen, -torch.inf)
    return torch.einsum("hqk,khw->qhw", scores.softmax(-1), values), scores.exp().sum(-1).T


@pytest.mark.parametrize("lengths", [[5], [4, 4, 4], [40, 39, 38, 20, 19, 3, 1, 1], [1, 300, 290, 2]])
@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("sizes", [(2**12, 2**22), (0, 100)])
def test_attention_and_its_gradients_equal_those_of_rows_alone(lengths, cached, sizes, monkeypatch):
    for name, size in zip(("MIN_PAIRS", "MAX_PAIRS"), sizes, strict=True):
        monkeypatch.setattr(f"symscope.networks.ragged.{name}", size)
    heads, width, draws = 2, 6, generator(0)
    before = torch.randint(20, (len(lengths),), generator=draws) if cached else torch.zeros(len(lengths)).long()
    rows = torch.randperm(30, generator=draws)[: len(lengths)]
    cache = torch.randn(2, 30, 21, heads, width, dtype=torch.double, generator=draws)
    now = torch.randn(3, sum(lengths), heads, width, dtype=torch.double, generator=draws).requires_grad_()
    ragged = Ragged(torch.tensor(lengths), CPU, Earlier(rows, before) if cached else None)
    attended = ragged.attend(Projected(*now), Cached(*cache) if cached else None)
    expected, masses = [], []
    for row, parts in enumerate(now.split(lengths, 1)):
        past = cache[:, rows[row], : before[row]]
        mixed, mass = causal(parts[0], *torch.cat([past, parts[1:]], 1), before[row])
        expected.append(mixed.flatten(1))
        masses.append(mass)
    expected = torch.cat(expected)
    assert largest_difference(attended, expected) < 1e-13
    weights = torch.randn(expected.shape, dtype=torch.double, generator=draws)
    (gradient,), (expected_gradient,) = (
        torch.autograd.grad((x * weights).sum(), now, retain_graph=True) for x in (attended, expected)
    )
    assert largest_difference(gradient, expected_gradient) < 1e-12
    if cached:
        mixed, mass = ragged.attend_with_mass(Projected(*now), Cached(*cache))
        assert largest_difference(mixed.flatten(1), expected) < 1e-13
        assert largest_difference(mass, torch.cat(masses).log()) < 1e-13


def test_rows_are_repeated_and_their_gradients_summed():
    values = torch.randn(4, 2, 3, dtype=torch.double, generator=generator(0)).requires_grad_()
    counts = torch.tensor([2, 0, 1, 3])
    assert torch.equal(repeat(values, counts), values.repeat_interleave(counts, 0))
    assert torch.autograd.gradcheck(lambda given: repeat(given, counts), (values,))


@pytest.mark.parametrize("name", ["transformer-rope", "transformer-nope"])
def test_a_packed_batch_trains_as_a_padded_one(name):
    some, lengths = network(name, d=16, heads=2), torch.tensor([23, 5, 22, 9, 40, 1])
    seen, is_token = tokens(6, 40), torch.arange(40) < lengths[:, None]
    weights = torch.randn(6, 40, 16, generator=generator(0))[is_token]
    gradients = []
    for features in (some.features(seen, lengths), some.features(seen)):  # without lengths the padding runs as well
        loss = (features[is_token] * weights).sum()
        gradients.append(torch.autograd.grad(loss, list(some.parameters()), allow_unused=True))
    for (parameter, _), packed, padded in zip(some.named_parameters(), *gradients, strict=True):
        if packed is None or padded is None:  # the output layer has no part in the loss
            assert parameter.startswith("output.")
            continue
        assert largest_difference(packed, padded) < ROUNDING * float(padded.abs().max().clamp(min=1))
