"""Every network keeps the laws of `check_network`, in every precision; and what the trainable kinds share."""

import pytest
import torch
from tests.networks.examples import VOCABULARY, largest_difference, network, tokens
from torch.nn.utils import parameters_to_vector

from symscope.checks import check_network
from symscope.errors import InvalidArgumentError
from symscope.networks import CONSTRUCTED, NETWORKS, MLPReadout, change_basis, random_invertible, random_orthogonal
from symscope.seeds import generator
from symscope.tasks import make_task

KINDS = {
    "gru": ("gru", {}),
    "lstm": ("lstm", {}),
    "lstm-each": ("lstm", {"each": True}),
    "transformer-rope-1": ("transformer-rope", {"layers": 1}),
    "transformer-rope-2": ("transformer-rope", {"heads": 2}),
    "transformer-nope-3": ("transformer-nope", {"layers": 3}),
    "transformer-nope-4": ("transformer-nope", {"layers": 4, "heads": 3}),
}
LINEAR = [name for name in CONSTRUCTED if name != "averaging"]


def constructed(name, **options):
    options |= {"generator": generator(0)} if name == "power" else {}
    return CONSTRUCTED[name](**make_task("multi-object").roles, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_trainable_networks_keep_the_laws(kind):
    name, options = KINDS[kind]
    check_network(network(name, **options))


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_constructed_networks_keep_the_laws(name):
    check_network(constructed(name).network)


@pytest.mark.parametrize("name", LINEAR)
def test_constructed_networks_keep_the_laws_after_a_change_of_basis(name):
    plain = constructed(name, d=20)
    for matrix in (random_orthogonal(20, generator(1)), random_invertible(20, 10.0, generator(1))):
        check_network(change_basis(plain, matrix).network)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer-rope"])
def test_networks_of_every_precision_keep_the_laws(name, dtype):
    some = network(name).to(dtype)
    check_network(some)
    assert some.dtype == dtype


@torch.no_grad()
@pytest.mark.parametrize(("name", "options"), KINDS.values(), ids=KINDS)
def test_double_precision_agrees_with_single(name, options):
    single, double = network(name, **options), network(name, **options).double()
    assert largest_difference(single(tokens(5, 9)), double(tokens(5, 9))) < 1e-5
    if hasattr(single, "attention"):
        counts = torch.ones(5, 9).index_fill(1, torch.tensor([3]), 2.0)
        features = double.features_counting(tokens(5, 9), counts.double())
        assert largest_difference(single.features_counting(tokens(5, 9), counts), features) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_the_generator_alone_determines_the_weights(name):
    first, again, different = (parameters_to_vector(network(name, seed=seed).parameters()) for seed in (0, 0, 1))
    torch.manual_seed(3)
    assert torch.equal(first, again)
    assert torch.equal(first, parameters_to_vector(network(name, seed=0).parameters()))
    assert not torch.equal(first, different)


@pytest.mark.parametrize(("name", "options"), KINDS.values(), ids=KINDS)
def test_dropout_keeps_the_mean_of_the_logits(name, options):
    some = network(name, **options)
    features = some.features(tokens(3, 5))
    plain = some.readout(features)
    assert not torch.equal(some.readout(features, generator(0, "dropout")), plain)
    mean = torch.stack([some.readout(features, generator(i, "dropout")) for i in range(400)]).mean(0)
    assert largest_difference(mean, plain) < 0.15


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_an_impossible_share_of_dropped_units_is_refused(share):
    with pytest.raises(InvalidArgumentError, match="at least 0 and below 1"):
        MLPReadout(4, VOCABULARY, generator(0), dropout=share)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.9, 0.999])
def test_units_are_dropped_at_the_given_share(share):
    readout = MLPReadout(50, VOCABULARY, generator(0), dropout=share)
    with torch.no_grad():  # all hidden units become 10, and the output is their mean over 10
        readout.hidden_weight.zero_()
        readout.hidden_bias.fill_(10)
        readout.output_bias.zero_()
        readout.output_weight.fill_(1 / 2000)
    outputs = readout(torch.zeros(3001, 50), generator(0, "dropout")).detach()
    assert float(outputs.mean()) == pytest.approx(1, abs=0.05)
    kept = max(1 - share, 1 / 256)
    assert float(outputs.var(0).mean()) == pytest.approx((1 / kept - 1) / 200, rel=0.1, abs=1e-9)
