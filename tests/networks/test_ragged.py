"""Packed batches: every token keeps its place, groups stay within bounds, and attention equals the padded one."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from tests.networks.examples import ROUNDING, furthest, network, tokens

from symscope.networks.packing import repeat
from symscope.networks.ragged import MAX_PADDING, MIN_PAIRS, Cached, Earlier, Projected, Ragged
from symscope.seeds import generator

CPU = torch.device("cpu")
lengths_of_rows = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(lengths_of_rows, st.integers(0, 3))
def test_every_token_has_one_place_and_padding_is_bounded(lengths, spare):
    time = max(lengths) + spare
    ragged = Ragged(torch.tensor(lengths), CPU)
    numbered = torch.arange(len(lengths) * time).view(len(lengths), time)
    there = torch.arange(time) < torch.tensor(lengths)[:, None]
    packed = ragged.pack(numbered)
    assert torch.equal(packed, numbered[there])
    assert torch.equal(ragged.positions, packed % time)
    assert torch.equal(ragged.spread(1.0 + packed, len(lengths), time), torch.where(there, 1.0 + numbered, 0.0))
    left = sorted(lengths, reverse=True)
    for rows, queries, keys in ragged.groups:
        group, left = left[:rows], left[rows:]
        assert group[0] == queries == keys
        assert rows * keys**2 <= max(MIN_PAIRS, (1 + MAX_PADDING) * sum(length**2 for length in group))
    assert not left


@given(lengths_of_rows, st.integers(0, 10_000))
def test_what_goes_on_from_a_cache_is_padded_as_little(lengths, seed):
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
    """One row at a time: each query sees the keys up to its own, which come after those before."""
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
    ours = ragged.attend(Projected(*now), Cached(*cache) if cached else None)
    theirs, masses = [], []
    for row, parts in enumerate(now.split(lengths, 1)):
        past = cache[:, rows[row], : before[row]]
        mixed, mass = causal(parts[0], *torch.cat([past, parts[1:]], 1), before[row])
        theirs.append(mixed.flatten(1))
        masses.append(mass)
    theirs = torch.cat(theirs)
    assert furthest(ours, theirs) < 1e-13
    weights = torch.randn(theirs.shape, dtype=torch.double, generator=draws)
    (one,), (other,) = (torch.autograd.grad((x * weights).sum(), now, retain_graph=True) for x in (ours, theirs))
    assert furthest(one, other) < 1e-12
    if cached:
        mixed, mass = ragged.attend_with_mass(Projected(*now), Cached(*cache))
        assert furthest(mixed.flatten(1), theirs) < 1e-13
        assert furthest(mass, torch.cat(masses).log()) < 1e-13


def test_rows_are_repeated_and_their_gradients_summed():
    values = torch.randn(4, 2, 3, dtype=torch.double, generator=generator(0)).requires_grad_()
    each = torch.tensor([2, 0, 1, 3])
    assert torch.equal(repeat(values, each), values.repeat_interleave(each, 0))
    assert torch.autograd.gradcheck(lambda given: repeat(given, each), (values,))


@pytest.mark.parametrize("name", ["transformer-rope", "transformer-nope"])
def test_a_packed_batch_trains_as_a_padded_one(name):
    some, lengths = network(name, d=16, heads=2), torch.tensor([23, 5, 22, 9, 40, 1])
    seen, there = tokens(6, 40), torch.arange(40) < lengths[:, None]
    weights = torch.randn(6, 40, 16, generator=generator(0))[there]
    gradients = []
    for features in (some.features(seen, lengths), some.features(seen)):  # without lengths padding is run as well
        loss = (features[there] * weights).sum()
        gradients.append(torch.autograd.grad(loss, list(some.parameters()), allow_unused=True))
    for (parameter, _), one, other in zip(some.named_parameters(), *gradients, strict=True):
        if one is None or other is None:  # the output layer is not read
            assert parameter.startswith("output.")
            continue
        assert furthest(one, other) < ROUNDING * float(other.abs().max().clamp(min=1))
