"""The check of networks: each law catches a network that breaks it; tests/networks checks every member."""

import pytest
import torch
from torch import nn

from symscope.checks import check_network
from symscope.errors import BrokenLawError, InvalidArgumentError
from symscope.networks import Network, RunState, gru, lstm, make_network
from symscope.seeds import generator


class Wrapped(Network):
    """A correct network inside; each entry of `spoil` changes the result of one method."""

    def __init__(self, inner=None, **spoil):
        super().__init__()
        self.inner = gru(8, 7, generator(0)) if inner is None else inner
        self.sites, self.default_site = self.inner.sites, self.inner.default_site
        self.architecture, self.vocabulary = "wrapped", 7
        self.spoil = spoil
        self.register_buffer("calls", torch.tensor(0))

    def _call(self, name, *arguments):
        result = getattr(self.inner, name)(*arguments)
        return self.spoil[name](self, result, *arguments) if name in self.spoil else result

    def features(self, tokens, lengths=None):
        return self._call("features", tokens, lengths)

    def readout(self, features, dropout=None):
        return self._call("readout", features, dropout)

    def states(self, tokens, site):
        return self._call("states", tokens, site)

    def run_until(self, tokens, positions, site):
        return self._call("run_until", tokens, positions, site)

    def states_at(self, tokens, positions, site):
        return self._call("states_at", tokens, positions, site)

    def run_until_each(self, tokens, positions, sites):
        runs = super().run_until_each(tokens, positions, sites)
        return self.spoil["run_until_each"](runs) if "run_until_each" in self.spoil else runs

    def states_at_each(self, tokens, positions, sites):
        states = super().states_at_each(tokens, positions, sites)
        return self.spoil["states_at_each"](states) if "states_at_each" in self.spoil else states

    def resume(self, state, fed, target_mask):
        return self._call("resume", state, fed, target_mask)

    def precompute(self, state, fed, lengths):
        return self._call("precompute", state, fed, lengths)


def storing(name, tensor):
    """A spoil of `run_until`: the run state also stores `tensor(state)`."""

    def change(net, state, *_):
        return RunState(state.site, state.states, {**state.stored, name: tensor(state)})

    return change


def spread(values, target_mask):
    """One value for each run, added to the features of its targets."""
    return values[target_mask.nonzero()[:, 0], None]


NATURAL = {"run_until": storing("natural", lambda state: state.states.clone())}


def ignores_rewriting(net, features, state, fed, target_mask):
    return net.inner.resume(RunState("h", state.context["natural"]), fed, target_mask)


def overwrites_its_memory(net, features, state, *_):
    """A step that overwrites a cache after its backward pass saved it: in double precision it saved a copy."""
    memory = 1 * state.states
    converted = memory.float()
    used = (converted * converted).sum()
    memory.zero_()
    return features + 0 * used.to(features.dtype)


def hooks_the_output(net, features, state, fed, target_mask):
    """A hook on the output of a fused layer: the prediction at the stop changes, and the recurrence continues."""
    unchanged = ignores_rewriting(net, features, state, fed, target_mask)
    return torch.where((target_mask.nonzero()[:, 1] == 0)[:, None], features, unchanged)


def remembers(net, features, state, *_):
    again, net.last = getattr(net, "last", None) is state, state
    return features + 0.1 * again


def shifts_other_targets(net, features, state, fed, target_mask):
    is_prefix = torch.arange(target_mask.shape[1]) < target_mask.sum(1, keepdim=True)
    return features + 0.1 * float(not torch.equal(is_prefix, target_mask))


def counts_calls(net, features, *_):
    net.calls += 1
    return features


def in_place(name, index):
    def change(net, result, *arguments):
        arguments[index].add_(1)
        return result

    return {name: change}


GLOBAL_RANDOMNESS = {"features": lambda net, result, *_: result + 0 * torch.rand(1)}
READS_PADDING = {
    "features": lambda net, result, tokens, lengths: result + (0 if lengths is None else 0.1 * float(tokens.sum()))
}
JOINS_BADLY = {
    "run_until": lambda net, state, tokens, *_: RunState("h", state.states, {"ones": torch.ones(tokens.shape)}),
    "resume": lambda net, result, state, fed, mask: result + spread(1 - state.context["ones"][:, -1], mask),
}
NEEDS_ALL_THAT_WAS_PRECOMPUTED = {
    "precompute": lambda net, _, state, fed, lengths: RunState(state.site, state.states, {"fed": fed.clone()}),
    "resume": lambda net, result, state, fed, _: (
        result + 0.1 * ("fed" in state.stored and fed.shape != state.context["fed"].shape)
    ),
}

SHARES_TOO_MUCH = {
    "run_until": storing("site", lambda state: torch.zeros(len(state))),
    "run_until_each": lambda runs: [RunState(r.site, r.states, {"site": torch.ones(len(r))}) for r in runs],
    "resume": lambda net, result, state, fed, mask: result + 0.1 * spread(state.context["site"], mask),
}


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        ({"features": lambda net, result, *_: result[:, 1:]}, "features are given after every token"),
        ({"features": lambda net, result, *_: result / 0}, "features and states are finite"),
        ({"features": lambda net, result, *_: result.double()}, "have the type of the weights; features are"),
        ({"features": lambda net, x, *_: x + x.sum(1, keepdim=True)}, "do not depend on later tokens"),
        ({"features": lambda net, x, *_: x + x.mean(0)}, "do not depend on other rows"),
        (READS_PADDING, "do not depend on padding"),
        (GLOBAL_RANDOMNESS, "features draws from its generator argument and from no other"),
        (in_place("features", 0), "features changes no argument in place; tokens was changed"),
        ({"readout": lambda net, x, *_: x[..., 1:]}, "readout has the shape"),
        ({"readout": lambda net, x, *_: x * (torch.rand(x.shape) > 0.5)}, "only when it is given a generator"),
        ({"readout": lambda net, x, *_: x + x.mean()}, "readout reads each position separately"),
        (
            {"readout": lambda net, x, _, dropout: x if dropout is None else x + torch.rand(1)},
            "readout draws from its generator argument",
        ),
        (
            {"readout": lambda net, x, _, dropout: x if dropout is None else x + id(dropout) % 1000},
            "the generator determines which units readout drops",
        ),
        ({"states": lambda net, states, *_: states[..., :3]}, "with the width of the site; site 'h' is 8 wide"),
        ({"run_until": lambda net, state, *_: state.rewrite(2 * state.states)}, "the states of the whole run"),
        (in_place("run_until", 1), "run_until changes no argument in place; positions was changed"),
        ({"states_at": lambda net, states, *_: 2 * states}, "states_at gives the states of run_until"),
        (in_place("states_at", 1), "states_at changes no argument in place; positions was changed"),
        ({"run_until_each": lambda runs: list(runs)[1:]}, "give one entry for each site"),
        (
            {"run_until_each": lambda runs: [run.rewrite(2 * run.states) for run in runs]},
            "run_until_each gives the run states of run_until",
        ),
        (SHARES_TOO_MUCH, "run_until_each gives runs that resume like those of run_until"),
        (
            {"states_at_each": lambda states: [2 * state for state in states]},
            "states_at_each gives the states of run_until",
        ),
        ({"resume": lambda net, result, *_: result.roll(1, 0)}, "gives the features of the whole run"),
        ({"resume": lambda net, result, *_: result + 1e-4}, "gives the features of the whole run"),
        ({**NATURAL, "resume": ignores_rewriting}, "a rewritten state changes the features of its run"),
        ({**NATURAL, "resume": hooks_the_output}, "at some site a rewritten state .* later steps do not see it"),
        ({"resume": remembers}, "resume keeps no memory"),
        ({"resume": lambda net, result, state, *_: result + 0.1 * (len(state) < 2)}, "depends neither on other rows"),
        ({"resume": shifts_other_targets}, "gives the features of the targets, and no others"),
        ({"resume": lambda net, result, *_: result.detach()}, "gradients reach a rewritten state"),
        (
            {"resume": lambda net, result, state, *_: result + (state.states - state.states.detach()).sum()},
            "finite differences",
        ),
        (
            {"resume": overwrites_its_memory},
            "can be computed in the type of the weights; site 'h': .* inplace operation",
        ),
        ({"resume": counts_calls}, "changes none of its weights; calls changed"),
        (in_place("resume", 1), "resume changes no argument in place; fed was changed"),
        (in_place("precompute", 2), "precompute changes no argument in place; lengths was changed"),
        ({"precompute": lambda net, state, *_: state.rewrite(0 * state.states)}, "with and without precompute"),
        (NEEDS_ALL_THAT_WAS_PRECOMPUTED, "a precomputed run state can be fed fewer tokens"),
        (JOINS_BADLY, "joined run states give the features of their parts"),
    ],
)
def test_a_broken_network_is_caught(spoil, law):
    check_network(Wrapped())
    with pytest.raises(BrokenLawError, match=f"network 'wrapped' breaks a law: .*({law})"):
        check_network(Wrapped(**spoil))


def without_rows(state):
    """What `state.stored` gives: the stored tensors in the order in which they were stored."""
    return RunState(state.site, state.states, state.stored)


@pytest.mark.parametrize(
    ("inner", "spoil"),
    [
        ("lstm", {"resume": lambda net, _, state, *rest: net.inner.resume(without_rows(state), *rest)}),
        (
            "transformer-rope",
            {"precompute": lambda net, _, state, *rest: net.inner.precompute(without_rows(state), *rest)},
        ),
    ],
)
def test_a_network_that_reads_stored_tensors_without_selecting_rows_is_caught(inner, spoil):
    inner = make_network(inner, 8, 7, generator(0))
    check_network(Wrapped(inner))
    law = "selected rows of a run state, permuted or repeated, .*; resume and precompute read .* state.context"
    with pytest.raises(BrokenLawError, match=law):
        check_network(Wrapped(inner, **spoil))


@pytest.mark.parametrize(
    ("attributes", "law"),
    [
        ({"architecture": ""}, "a description of its architecture"),
        ({"sites": {}}, "a network has sites"),
        ({"sites": {"h": 0}}, "a network has sites, each at least 1 wide"),
        ({"default_site": "layer3"}, "the default site is one of the sites; 'layer3' is not among"),
    ],
)
def test_broken_attributes_are_caught(attributes, law):
    network = Wrapped()
    for name, value in attributes.items():
        setattr(network, name, value)
    with pytest.raises(BrokenLawError, match=law):
        check_network(network)


def lenient(name, correct):
    """A network whose method corrects its arguments where it should refuse them."""
    network = Wrapped()
    original = getattr(network, name)
    setattr(network, name, lambda *arguments: original(*correct(*arguments)))
    return network


def no_empty(tokens, *rest):
    return (tokens if tokens.numel() else torch.zeros(1, 1, dtype=torch.long), *rest)


def with_position(tokens, positions, site):
    (tokens,) = no_empty(tokens)
    return tokens, positions if len(positions) == len(tokens) else torch.zeros(len(tokens), dtype=torch.long), site


@pytest.mark.parametrize(
    ("network", "law"),
    [
        (lenient("features", lambda tokens, *rest: (tokens.clamp(max=6), *rest)), "vocabulary is refused by features"),
        (lenient("features", lambda tokens, *rest: (tokens.clamp(min=0), *rest)), "vocabulary is refused by features"),
        (lenient("states", lambda tokens, *rest: (tokens.clamp(max=6), *rest)), "vocabulary is refused by states"),
        (lenient("run_until", lambda tokens, *rest: (tokens.clamp(max=6), *rest)), "refused by run_until"),
        (lenient("states_at", lambda tokens, *rest: (tokens.clamp(max=6), *rest)), "refused by states_at"),
        (lenient("features", no_empty), "an empty batch is refused by features"),
        (lenient("states", no_empty), "an empty batch is refused by states"),
        (lenient("run_until", with_position), "an empty batch is refused by run_until"),
        (
            lenient("features", lambda x, lengths=None: (x, lengths if lengths is None else lengths.clamp(1))),
            "the length 0 is refused",
        ),
        (lenient("run_until", lambda tokens, at, site: (tokens, at.clamp(0), site)), "a position that does not exist"),
        (lenient("run_until", lambda tokens, at, site: (tokens, at.clamp(max=7), site)), "a position that does not"),
        (lenient("states", lambda tokens, site: (tokens, "h")), "a site that does not exist is refused by states"),
        (lenient("run_until", lambda tokens, at, site: (tokens, at, "h")), "refused by run_until"),
        (lenient("states_at", lambda tokens, at, site: (tokens, at, "h")), "refused by states_at"),
    ],
)
def test_a_network_that_accepts_impossible_arguments_is_caught(network, law):
    with pytest.raises(BrokenLawError, match=f"{law}.*; nothing was raised"):
        check_network(network)


def test_an_error_outside_the_family_is_caught():
    network = Wrapped()

    def features(tokens, lengths=None):
        if tokens.max() > 6:
            raise ValueError("no such token")
        return network.inner.features(tokens, lengths)

    network.features = features
    with pytest.raises(BrokenLawError, match="refused by features, with a SymscopeError; ValueError: no such token"):
        check_network(network)


class Original(nn.Module):
    """A language model of torch layers, with dropout between them."""

    def __init__(self, permuted=False):
        super().__init__()
        inner = lstm(4, 7, generator(0), each=True)
        self.embedding = nn.Embedding.from_pretrained(inner.cell.embedding.detach().roll(int(permuted), 0))
        self.recurrent, self.dropout = nn.LSTM(4, 4, batch_first=True), nn.Dropout(0.5)
        names = {
            "weight_ih": "input_weight",
            "weight_hh": "state_weight",
            "bias_ih": "input_bias",
            "bias_hh": "state_bias",
        }
        self.recurrent.load_state_dict({f"{k}_l0": getattr(inner.cell, v).detach() for k, v in names.items()})
        self.output = inner.output

    def forward(self, tokens):
        return self.output(self.dropout(self.recurrent(self.embedding(tokens))[0]))


def test_logits_are_compared_with_the_original_module():
    network, original = lstm(4, 7, generator(0), each=True), Original()
    check_network(network, like=original)  # in evaluation mode, without dropout
    assert original.training
    assert original.dropout.training
    law = r"gives the logits of the original module; the largest difference is 0\.\d+: .* at position \d, token \d of"
    with pytest.raises(BrokenLawError, match=law):
        check_network(network, like=Original(permuted=True))
    with pytest.raises(BrokenLawError, match=r"shapes are \(6, 8, 7\) and \(6, 8, 6\)"):
        check_network(network, like=lambda tokens: original.eval()(tokens)[..., :6])
    with pytest.raises(InvalidArgumentError, match=r"like\(tokens\) must return logits, a tensor; got str"):
        check_network(network, like=lambda tokens: "logits")


class WithDropout(nn.Module):
    """An output layer with a dropout layer of torch, which draws in train mode whatever its caller wants."""

    def __init__(self):
        super().__init__()
        self.linear, self.dropout = nn.Linear(8, 7), nn.Dropout(0.5)

    def forward(self, features, dropout=None):
        return self.linear(self.dropout(features))


def test_networks_are_checked_in_evaluation_mode_and_gradients_without_no_grad():
    network = gru(8, 7, generator(0))
    network.output = WithDropout()
    network.train()
    with torch.no_grad():
        check_network(network)
    assert all(module.training for module in network.modules())


def test_something_that_is_no_network_is_refused():
    with pytest.raises(InvalidArgumentError, match="GRU alone has no tokens and no output layer"):
        check_network(nn.GRU(4, 4))
