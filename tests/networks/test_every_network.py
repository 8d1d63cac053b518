"""What every kind of network promises, whatever it is made of."""

import pytest
import torch
from tests.networks.examples import ROUNDING, VOCABULARY, furthest, network, resume, tokens
from torch.nn.utils import parameters_to_vector

from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import NETWORKS, MLPReadout, join_run_states, make_network
from symscope.seeds import generator

KINDS = {
    "gru": ("gru", {}),
    "lstm": ("lstm", {}),
    "lstm-each": ("lstm", {"each": True}),
    "transformer-rope": ("transformer-rope", {"heads": 2}),
    "transformer-nope": ("transformer-nope", {"layers": 3}),
    "transformer-rope-1": ("transformer-rope", {"layers": 1}),
    "transformer-nope-4": ("transformer-nope", {"layers": 4, "heads": 3}),
}


ROWS_AND_TIMES = [(torch.arange(5), 6), (torch.arange(5, 8), 4)]


@pytest.fixture(params=KINDS)
def some(request):
    name, options = KINDS[request.param]
    return network(name, **options)


def cases(some):
    return [(site, position) for site in some.sites for position in range(9)]


@torch.no_grad()
def test_cut_and_resumed_equals_whole_at_every_site_and_position(some):
    seen = tokens(5, 9)
    whole = some.features(seen)
    worst = 0.0
    for site, position in cases(some):
        cut = some.run_until(seen, torch.full((5,), position), site)
        resumed = resume(some, cut, seen[:, position + 1 :], torch.full((5,), 8 - position)) if position < 8 else None
        worst = max(worst, furthest(cut.states, some.states(seen, site)[:, position]))
        if resumed is not None:
            worst = max(worst, furthest(resumed, whole[:, position:-1]))
    assert worst < ROUNDING


@torch.no_grad()
def test_rows_cut_at_different_positions_equal_those_cut_alone(some):
    seen, at, lengths = tokens(9, 12), torch.arange(9), torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5])
    continuation = tokens(9, 9, seed=1)
    for site in some.sites:
        moved = 0.5 * torch.randn(9, some.sites[site], generator=generator(0, "moved"))
        cut = some.run_until(seen, at, site)
        together = resume(some, cut.rewrite(cut.states + moved), continuation, lengths)
        for row, length in enumerate(lengths.tolist()):
            only = torch.tensor([row])
            own = some.run_until(seen[only, : row + 1], at[only], site)
            alone = resume(some, own.rewrite(own.states + moved[only]), continuation[only, :length], lengths[only])
            assert furthest(together[only, :length], alone) < ROUNDING


@torch.no_grad()
def test_padding_changes_nothing(some):
    seen, lengths = tokens(6, 10), torch.tensor([10, 1, 4, 7, 2, 10])
    features = some.features(seen, lengths)
    other = torch.where(torch.arange(10) < lengths[:, None], seen, tokens(6, 10, seed=2))
    wider = torch.cat([other, tokens(6, 3, seed=3)], 1)
    for row, length in enumerate(lengths.tolist()):
        assert furthest(some.features(seen[[row], :length])[0], features[row, :length]) < ROUNDING
    real = torch.arange(10) < lengths[:, None]
    assert furthest(some.features(wider, lengths)[:, :10][real], features[real]) < ROUNDING
    for site in some.sites:
        plain, padded = some.run_until(seen, lengths - 1, site), some.run_until(wider, lengths - 1, site)
        assert furthest(plain.states, padded.states) < ROUNDING
        resumed = [resume(some, cut, seen, lengths) for cut in (plain, padded)]
        assert furthest(resumed[0][real], resumed[1][real]) < ROUNDING


@torch.no_grad()
def test_cuts_are_taken_apart_and_joined_by_rows(some):
    seen, at, lengths = tokens(8, 11), torch.tensor([10, 3, 0, 5, 7, 2, 9, 1]), torch.full((8,), 6)
    continuation = tokens(8, 6, seed=1)
    for site in some.sites:
        whole = resume(some, some.run_until(seen, at, site), continuation, lengths)
        parts = [some.run_until(seen[rows], at[rows], site) for rows in torch.arange(8).split(3)]
        joined = join_run_states(parts)
        assert len(joined) == 8
        assert furthest(resume(some, joined, continuation, lengths), whole) < ROUNDING
        order = torch.tensor([6, 1, 1, 4])
        some_rows = resume(some, joined[order], continuation[order], lengths[order])
        assert furthest(some_rows, whole[order]) < ROUNDING


@torch.no_grad()
def test_what_is_fed_beforehand_changes_nothing(some):
    seen, at, lengths = tokens(8, 11), torch.tensor([10, 3, 0, 5, 7, 2, 9, 1]), torch.tensor([4, 6, 1, 2, 3, 4, 4, 1])
    continuation = tokens(8, 6, seed=1)
    for site in some.sites:
        plain = some.run_until(seen, at, site)
        plain = plain.rewrite(plain.states + 0.5)
        fed = join_run_states(
            [
                some.precompute(plain[rows], continuation[rows, : time - 1], lengths[rows] - 1)
                for rows, time in ROWS_AND_TIMES
            ]
        )
        order = torch.tensor([6, 1, 1, 4])
        for time in (1, 4):
            expected = resume(some, plain[order], continuation[order, :time], lengths[order].clamp(max=time))
            ours = resume(some, fed[order], continuation[order, :time], lengths[order].clamp(max=time))
            assert furthest(ours, expected) < ROUNDING


def test_gradients_reach_the_rewritten_state(some):
    seen, at = tokens(4, 6), torch.tensor([5, 2, 0, 3])
    for parameter in some.parameters():
        parameter.requires_grad_(False)
    double = some.double()
    for site in double.sites:
        cut = double.run_until(seen, at, site)

        def loss(states, cut=cut):
            return resume(double, cut.rewrite(states), tokens(4, 5, seed=1), torch.tensor([5, 2, 3, 2]))

        states = cut.states.detach().requires_grad_()
        assert torch.autograd.gradcheck(loss, (states,), fast_mode=True)
        (gradient,) = torch.autograd.grad(loss(states).square().sum(), states)
        assert gradient.abs().sum(1).min() > 0


@torch.no_grad()
def test_arguments_are_not_changed(some):
    seen, at, lengths = tokens(4, 6), torch.tensor([5, 2, 0, 3]), torch.tensor([5, 1, 3, 2])
    continuation = tokens(4, 5, seed=1)
    for site in some.sites:
        cut = some.run_until(seen, at, site)
        given = {"states": cut.states, **cut.context}
        before = {name: tensor.clone() for name, tensor in given.items()}
        first = resume(some, cut, continuation, lengths)
        assert all(torch.equal(before[name], tensor) for name, tensor in given.items())
        assert torch.equal(first, resume(some, cut, continuation, lengths))
    assert torch.equal(seen, tokens(4, 6))
    assert torch.equal(continuation, tokens(4, 5, seed=1))


def test_units_are_dropped_only_when_a_generator_is_given(some):
    features = some.features(tokens(3, 5))
    plain = some.readout(features)
    assert torch.equal(plain, some.readout(features))
    assert torch.equal(some(tokens(3, 5)), plain)
    dropped = some.readout(features, generator(0, "dropout"))
    assert not torch.equal(dropped, plain)
    assert torch.equal(dropped, some.readout(features, generator(0, "dropout")))
    mean = torch.stack([some.readout(features, generator(i, "dropout")) for i in range(400)]).mean(0)
    assert furthest(mean, plain) < 0.15


@pytest.mark.parametrize("name", NETWORKS)
def test_the_generator_alone_determines_the_weights(name):
    one, same, other = (parameters_to_vector(network(name, seed=seed).parameters()) for seed in (0, 0, 1))
    torch.manual_seed(3)
    assert torch.equal(one, same)
    assert torch.equal(one, parameters_to_vector(network(name, seed=0).parameters()))
    assert not torch.equal(one, other)


def test_tokens_outside_the_vocabulary_are_refused(some):
    for wrong in (VOCABULARY, -1):
        seen = tokens(2, 4)
        seen[1, 2] = wrong
        with pytest.raises(InvalidArgumentError, match=rf"token {wrong} is outside the vocabulary: ids are 0\.\.6"):
            some.features(seen)
        with pytest.raises(InvalidArgumentError, match=f"token {wrong} "):
            some.states(seen, next(iter(some.sites)))
        with pytest.raises(InvalidArgumentError, match=f"token {wrong} "):
            some.run_until(seen, torch.tensor([3, 3]), next(iter(some.sites)))


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_an_empty_batch_is_refused(some, shape):
    site = next(iter(some.sites))
    empty = torch.zeros(shape, dtype=torch.long)
    with pytest.raises(InvalidArgumentError, match="nothing to run on"):
        some.features(empty)
    with pytest.raises(InvalidArgumentError, match="nothing to run on"):
        some.states(empty, site)
    with pytest.raises(InvalidArgumentError, match="at least one of each"):
        some.run_until(empty, torch.zeros(shape[0], dtype=torch.long), site)


@pytest.mark.parametrize("wrong", [0, 5])
def test_impossible_lengths_are_refused(some, wrong):
    with pytest.raises(InvalidArgumentError, match=rf"lengths lie in 1\.\.4, the width of the tokens; got {wrong}"):
        some.features(tokens(2, 4), torch.tensor([4, wrong]))


def test_sites_and_positions_that_do_not_exist_are_refused(some):
    seen = tokens(2, 4)
    with pytest.raises(UnknownNameError, match="unknown site 'layer9'"):
        some.states(seen, "layer9")
    with pytest.raises(UnknownNameError, match="unknown site 'layer9'"):
        some.run_until(seen, torch.tensor([1, 1]), "layer9")
    for wrong in (-1, 4):
        with pytest.raises(InvalidArgumentError, match=rf"position {wrong} does not exist.*0\.\.3"):
            some.run_until(seen, torch.tensor([1, wrong]), next(iter(some.sites)))


def test_an_unknown_network_or_option_is_refused():
    with pytest.raises(UnknownNameError, match="did you mean 'gru'"):
        make_network("grru", 8, 7, generator(0))
    with pytest.raises(UnknownNameError, match="unknown option of network 'lstm' 'eech': did you mean 'each'"):
        make_network("lstm", 8, 7, generator(0), eech=True)
    with pytest.raises(InvalidArgumentError, match="the vocabulary size is at least 1, got 0"):
        make_network("gru", 8, 0, generator(0))


@pytest.mark.parametrize(
    ("name", "d", "options", "message"),
    [
        ("gru", 0, {}, "at least 1, got 0"),
        ("lstm", 0, {}, "at least 1, got 0"),
        ("lstm", 7, {}, "d is even; got 7"),
        ("transformer-rope", 0, {}, "at least 1, got 0"),
        ("transformer-nope", 8, {"heads": 3}, "3 heads do not divide d = 8; .* 1, 2, 4, 8"),
        ("transformer-nope", 8, {"heads": 0}, "heads is at least 1, got 0"),
        ("transformer-rope", 6, {"heads": 2}, "pairs of dimensions"),
        ("transformer-rope", 8, {"layers": 0}, "layers is at least 1, got 0"),
        ("transformer-rope", 8, {"layers": 5}, "layers is at most 4, got 5"),
    ],
)
def test_impossible_sizes_are_refused(name, d, options, message):
    with pytest.raises(InvalidArgumentError, match=message):
        make_network(name, d, 7, generator(0), **options)


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_of_dropped_units_is_refused(share):
    with pytest.raises(InvalidArgumentError, match="at least 0 and below 1"):
        MLPReadout(4, VOCABULARY, generator(0), dropout=share)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 0.999])
def test_units_are_dropped_at_the_share_asked_for(share):
    readout = MLPReadout(50, VOCABULARY, generator(0), dropout=share)
    with torch.no_grad():  # all hidden units become 10, and the output is their mean over 10
        readout.hidden_weight.zero_()
        readout.hidden_bias.fill_(10)
        readout.output_bias.zero_()
        readout.output_weight.fill_(1 / 2000)
    found = readout(torch.zeros(3001, 50), generator(0, "dropout")).detach()
    assert float(found.mean()) == pytest.approx(1, abs=0.05)
    kept = max(1 - share, 1 / 256)
    assert float(found.var(0).mean()) == pytest.approx((1 / kept - 1) / 200, rel=0.1, abs=1e-9)
