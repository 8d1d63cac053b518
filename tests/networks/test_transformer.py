"""The transformer against a plain second version: one sequence at a time, explicit softmax, loops over positions."""

import math

import pytest
import torch
from tests.networks.examples import ROUNDING, largest_difference, network, resume, tokens
from torch import nn
from torch.nn.functional import gelu, layer_norm

from symscope.networks.attention import Layer

KINDS = [
    ("transformer-rope", {"layers": 1}),
    ("transformer-rope", {"layers": 2, "heads": 3}),
    ("transformer-nope", {"layers": 4, "heads": 2}),
]


def norm(module, x):
    return layer_norm(x, x.shape[-1:], module.weight, module.bias)


def rotated(vector, position):
    """RoPE by complex numbers: pair i is a number rotated by position / 10000^(2i/width)."""
    half = len(vector) // 2
    pairs = torch.complex(vector[:half].double(), vector[half:].double())
    pairs = pairs * torch.tensor([complex(math.cos(a), math.sin(a)) for a in angles(position, half)])
    return torch.cat([pairs.real, pairs.imag]).to(vector.dtype)


def angles(position, half):
    return [position / 10_000 ** (i / half) for i in range(half)]


def naive(some, seen, *rewrites):
    """Residual streams [site][position] and attention [layer][head][query][key] of one sequence.

    `rewrites` are (site index, position, state): each state replaces a residual stream.
    """
    streams = [[some.embedding[token] for token in seen.tolist()]]
    _overwrite(streams, rewrites)
    maps = []
    for layer in some.layers:
        before, after, d = streams[-1], [], some.embedding.shape[1]
        projected = [layer.project_weight @ norm(layer.attention_norm, x) + layer.project_bias for x in before]
        maps.append([])
        mixed = [[] for _ in before]
        for head in range(layer.heads):
            part = slice(head * layer.width, (head + 1) * layer.width)
            queries, keys, values = ([p[i * d : (i + 1) * d][part] for p in projected] for i in range(3))
            if some.rope:
                queries, keys = ([rotated(v, position) for position, v in enumerate(x)] for x in (queries, keys))
            maps[-1].append(torch.zeros(len(before), len(before)))
            for position, query in enumerate(queries):
                scores = torch.stack([query @ key for key in keys[: position + 1]]) / math.sqrt(layer.width)
                weights = torch.exp(scores) / torch.exp(scores).sum()
                maps[-1][-1][position, : position + 1] = weights
                mixed[position].append(sum(w * value for w, value in zip(weights, values[: position + 1], strict=True)))
        for position, x in enumerate(before):
            y = x + layer.attended_weight @ torch.cat(mixed[position]) + layer.attended_bias
            hidden = gelu(layer.hidden_weight @ norm(layer.forward_norm, y) + layer.hidden_bias)
            after.append(y + layer.output_weight @ hidden + layer.output_bias)
        streams.append(after)
        _overwrite(streams, rewrites)
    return streams, maps


def _overwrite(streams, rewrites):
    for index, position, state in rewrites:
        if index == len(streams) - 1:
            streams[-1][position] = state


@pytest.fixture(params=KINDS, ids=lambda kind: "-".join(map(str, (kind[0], *kind[1].values()))))
def some(request):
    name, options = request.param
    made = network(name, d=12, **options)
    with torch.no_grad():  # norms start as the identity, which would hide what they do
        for module in made.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(1))
                module.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(2))
    return made


@torch.no_grad()
def test_agrees_with_the_plain_version_at_every_site(some):
    seen = tokens(3, 8)
    for row in range(3):
        streams, _ = naive(some, seen[row])
        for site, stream in zip(some.sites, streams, strict=True):
            assert largest_difference(some.states(seen, site)[row], torch.stack(stream)) < ROUNDING
        assert largest_difference(some.features(seen)[row], norm(some.final_norm, torch.stack(streams[-1]))) < ROUNDING


@torch.no_grad()
def test_attention_agrees_with_the_plain_version(some):
    seen = tokens(3, 8)
    attention = some.attention(seen)
    assert attention.shape == (3, len(some.layers), some.layers[0].heads, 8, 8)
    for row in range(3):
        maps = torch.stack([torch.stack(heads) for heads in naive(some, seen[row])[1]])
        assert largest_difference(attention[row], maps) < ROUNDING


@torch.no_grad()
def test_a_rewritten_state_agrees_with_the_plain_version_at_every_layer_and_position(some):
    seen, continuation = tokens(6, 6), tokens(6, 5, seed=1)
    positions = torch.arange(6)
    for index, site in enumerate(some.sites):
        state = some.run_until(seen, positions, site)
        new = torch.randn(state.states.shape, generator=torch.Generator().manual_seed(index))
        resumed = resume(some, state.rewrite(new), continuation, torch.full((6,), 5))
        for row in range(6):
            line = torch.cat([seen[row, : row + 1], continuation[row, :-1]])
            streams, _ = naive(some, line, (index, row, new[row]))
            assert largest_difference(resumed[row], norm(some.final_norm, torch.stack(streams[-1][row:]))) < ROUNDING


@torch.no_grad()
def test_position_is_encoded_by_rope_only():
    same = torch.full((1, 6), 3)
    still = network("transformer-nope").features(same)[0]
    assert largest_difference(still, still[:1].expand_as(still)) < ROUNDING
    turning = network("transformer-rope").states(torch.tensor([[1, 2, 3], [2, 1, 3]]), "layer1")[:, -1]
    assert largest_difference(turning[0], turning[1]) > 1e-3


@torch.no_grad()
def test_positions_before_the_stop_are_not_run_again(monkeypatch):
    some = network("transformer-rope", layers=3)
    seen, continuation = tokens(4, 9), tokens(4, 5, seed=1)
    state = some.run_until(seen, torch.tensor([8, 2, 3, 0]), "layer2")
    ran, project = [], Layer.project

    def recorded(layer, residual, rotation):
        ran.append((layers.index(layer), len(residual)))
        return project(layer, residual, rotation)

    layers = list(some.layers)
    monkeypatch.setattr(Layer, "project", recorded)
    resume(some, state, continuation, torch.full((4,), 5))
    assert ran == [(0, 16), (1, 16), (2, 16), (2, 4)]  # the continuations of 4 rows, without the last of 5 tokens
    precomputed = some.precompute(state, continuation[:, :-1], torch.full((4,), 4))
    ran.clear()
    resume(some, precomputed, continuation, torch.full((4,), 5))
    assert ran == [(2, 4)]  # after precompute only the states


@torch.no_grad()
def test_any_set_of_targets_gives_their_features(some):
    seen, continuation = tokens(6, 6), tokens(6, 5, seed=1)
    everything = torch.ones(6, 5, dtype=torch.bool)
    for site in some.sites:
        state = some.run_until(seen, torch.arange(6), site)
        state = state.rewrite(state.states + 0.5)
        features = some.resume(state, continuation[:, :-1], everything).view(6, 5, -1)
        for mask in (everything.triu(1), ~everything.tril(2), everything.tril(-1), torch.arange(5) > 3):
            target_mask = mask.expand(6, 5)
            resumed = some.resume(state, continuation[:, :-1], target_mask)
            assert largest_difference(resumed, features[target_mask]) < ROUNDING
