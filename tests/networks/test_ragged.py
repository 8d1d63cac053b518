"""Packed batches: every token keeps its place, groups stay within bounds, and attention equals the padded one."""

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given
from tests.networks.examples import ROUNDING, furthest, network, tokens
from torch.nn.functional import scaled_dot_product_attention

from symscope.networks.ragged import MOST_PADDING, Projected, Ragged
from symscope.seeds import generator

CPU = torch.device("cpu")
lengths_of_rows = st.lists(st.integers(1, 60), min_size=1, max_size=12)


@given(lengths_of_rows, st.integers(0, 3))
def test_every_token_has_one_place_and_padding_is_bounded(lengths, spare):
    time = max(lengths) + spare
    ragged = Ragged.of(torch.tensor(lengths), time, CPU)
    numbered = torch.arange(len(lengths) * time).view(len(lengths), time)
    expected = [numbered[row, :length] for row, length in enumerate(lengths)]
    packed = ragged.pack(numbered)
    assert torch.equal(packed.sort().values, torch.cat(expected))
    assert torch.equal(ragged.positions, packed % time)
    back = ragged.spread(1.0 + packed, len(lengths), time)
    there = torch.arange(time) < torch.tensor(lengths)[:, None]
    assert torch.equal(back, torch.where(there, 1.0 + numbered, 0.0))
    assert torch.equal(ragged.slots[ragged.slot], torch.arange(len(packed)))
    assert len(ragged.slots) == sum(rows * width for rows, width in ragged.groups)
    left = sorted(lengths, reverse=True)
    for rows, width in ragged.groups:
        group, left = left[:rows], left[rows:]
        assert group[0] == width
        assert rows * width**2 <= (1 + MOST_PADDING) * sum(length**2 for length in group)
    assert not left


@pytest.mark.parametrize("lengths", [[5], [4, 4, 4], [40, 39, 38, 20, 19, 3, 1, 1], [1, 300, 290, 2]])
def test_attention_and_its_gradients_equal_those_of_padded_rows(lengths):
    time, heads, width = max(lengths), 2, 6
    there = torch.arange(time) < torch.tensor(lengths)[:, None]
    shape = (3, len(lengths), time, heads, width)
    padded = torch.randn(shape, dtype=torch.double, generator=generator(0)).requires_grad_()
    ragged = Ragged.of(torch.tensor(lengths), time, CPU)
    packed = [part.flatten(0, 1)[ragged.place] for part in padded]
    ours = ragged.spread(ragged.attend(Projected(*packed)), len(lengths), time)
    mixed = scaled_dot_product_attention(*padded.transpose(2, 3).unbind(), is_causal=True)
    theirs = mixed.transpose(1, 2).flatten(2) * there[..., None]
    assert furthest(ours, theirs) < 1e-14
    weights = torch.randn(theirs.shape, dtype=torch.double, generator=generator(1))
    (one,), (other,) = (torch.autograd.grad((x * weights).sum(), padded) for x in (ours, theirs))
    assert furthest(one, other) < 1e-13
    assert torch.equal(one[:, ~there], torch.zeros_like(one[:, ~there]))


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
