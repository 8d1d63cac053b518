"""The laws of networks: all of our networks keep them, and each law detects a network that breaks it."""

import pytest
import torch
from torch import nn

from symscope.checks import check_network
from symscope.errors import BrokenLawError
from symscope.networks import CONSTRUCTED, NETWORKS, Network, RunState, gru, make_network
from symscope.seeds import generator
from symscope.tasks import make_task

TASK = make_task("multi-object", quantities=range(1, 7), held_out=[2])


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in NETWORKS), ("lstm", {"each": True}), ("transformer-rope", {"layers": 1, "heads": 2})],
)
def test_our_networks_keep_the_laws(name, options):
    check_network(make_network(name, 12, 7, generator(0), **options))


@pytest.mark.parametrize("name", CONSTRUCTED)
def test_constructed_networks_keep_the_laws(name):
    options = {"generator": generator(0)} if name == "power" else {}
    check_network(CONSTRUCTED[name](**TASK.roles, **options).network)


class Wrapped(Network):
    """A GRU, spoiled in one way."""

    def __init__(self, **spoil):
        super().__init__()
        self.inner = gru(8, 7, generator(0))
        self.sites, self.default_site = self.inner.sites, "h"
        self.architecture, self.vocabulary = "wrapped", 7
        self.spoil = spoil

    def _do(self, name, *arguments):
        result = getattr(self.inner, name)(*arguments)
        return self.spoil[name](self, result, *arguments) if name in self.spoil else result

    def features(self, tokens, lengths=None):
        return self._do("features", tokens, lengths)

    def readout(self, features, dropout=None):
        return self._do("readout", features, dropout)

    def states(self, tokens, site):
        return self._do("states", tokens, site)

    def run_until(self, tokens, positions, site):
        cut = self._do("run_until", tokens, positions, site)
        return RunState(site, cut.states, {"natural": cut.states})

    def resume(self, cut, fed, wanted):
        return self._do("resume", cut, fed, wanted)

    def precompute(self, cut, fed, lengths):
        return self._do("precompute", cut, fed, lengths)


def hooked(net, result, cut, fed, wanted):
    """The well-known trap: the rewritten state changes the first output, and the recurrence goes on as it was."""
    unchanged = net.inner.resume(RunState("h", cut.context["natural"]), fed, wanted)
    return torch.where((wanted.nonzero()[:, 1] == 0)[:, None], result, unchanged)


def straight_through(net, result, cut, *_):
    return result + (cut.states - cut.states.detach()).sum()


def ignores(net, result, cut, fed, wanted):
    return net.inner.resume(RunState("h", cut.context["natural"]), fed, wanted)


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        ({"resume": lambda net, result, *_: result.roll(1, 0)}, "gives the features of the whole run"),
        ({"resume": ignores}, "resumed from another state goes on from it"),
        (
            {"resume": lambda net, result, *_: result + 1e-4 * torch.rand(1)},
            "cut and resumed",
        ),
        ({"resume": lambda net, result, *_: result.detach()}, "gradients reach a rewritten state"),
        (
            {"resume": lambda net, result, cut, *_: result + (cut.states - cut.states.detach()).sum()},
            "finite differences",
        ),
        (
            {"resume": lambda net, result, cut, *_: result + 0.1 * (len(cut) < 2)},
            "rows beside it",
        ),
        ({"run_until": lambda net, cut, *_: cut.rewrite(2 * cut.states)}, "states of a cut are those of the whole run"),
        ({"states": lambda net, states, *_: states[..., :3]}, "as wide as the site says"),
        (
            {"features": lambda net, seen, *_: seen + seen.sum(1, keepdim=True)},
            "do not depend on later tokens",
        ),
        ({"features": lambda net, features, *_: features + features.mean(0)}, "do not depend on other rows"),
        ({"features": lambda net, features, *_: features / 0}, "features are finite"),
        ({"readout": lambda net, logits, *_: nn.functional.dropout(logits)}, "only when it is given a generator"),
        ({"precompute": lambda net, cut, *_: cut.rewrite(0 * cut.states)}, "fed beforehand"),
    ],
)
def test_a_broken_network_is_caught(spoil, law):
    with pytest.raises(BrokenLawError, match=f"network 'wrapped' breaks a law: .*({law})"):
        check_network(Wrapped(**spoil))


def test_a_hook_on_the_output_alone_is_caught():
    """Two well-known libraries rewrite a recurrent state so that later steps never see it."""
    with pytest.raises(BrokenLawError, match=r"goes on from it|rows beside it|gradients"):
        check_network(Wrapped(resume=hooked))


def test_unchecked_tokens_are_caught():
    network = Wrapped()
    network.features = lambda tokens, lengths=None: network.inner.features(tokens.clamp(max=6), lengths)
    with pytest.raises(BrokenLawError, match="a token outside the vocabulary is refused; nothing was raised"):
        check_network(network)
