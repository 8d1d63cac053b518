"""The interface of networks: run states, modes, types and devices, and arguments that are no networks."""

import pytest
import torch
from tests.networks.examples import VOCABULARY, network, tokens
from torch import nn

from symscope.checks import check_network
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import Cell, RecurrentNetwork, RunState, evaluation_mode, require_network


class BufferCell(Cell):
    """A tanh cell whose weights are buffers."""

    def __init__(self, sites=None):
        super().__init__()
        self.width, self.sites, self.output = 4, {"h": slice(0, 4)} if sites is None else sites, slice(0, 4)
        draws = torch.Generator().manual_seed(0)
        self.register_buffer("kinds", torch.zeros(VOCABULARY, dtype=torch.long))
        self.register_buffer("table", torch.randn(VOCABULARY, 4, generator=draws))
        self.register_buffer("weight", torch.randn(4, 4, generator=draws))

    def token_inputs(self):
        return self.table

    def step(self, states, inputs):
        return torch.tanh(states @ self.weight + inputs)


class BufferReadout(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(4, VOCABULARY, generator=torch.Generator().manual_seed(1)))

    def forward(self, features, dropout=None):
        return features @ self.weight


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_without_parameters_works(dtype):
    some = RecurrentNetwork(BufferCell(), BufferReadout()).to(dtype)
    assert not list(some.parameters())
    assert (some.dtype, some.device) == (dtype, torch.device("cpu"))
    check_network(some)


def test_type_and_device_are_those_of_the_weights():
    assert network("gru").double().dtype == torch.float64
    assert network("gru").to("meta").device == torch.device("meta")


@pytest.mark.parametrize(
    ("part", "dimensions"),
    [(slice(1, 3), [1, 2]), (slice(None, 2), [0, 1]), (slice(-2, None), [2, 3]), (slice(1, -1), [1, 2])],
)
def test_sites_are_contiguous_slices(part, dimensions):
    some = RecurrentNetwork(BufferCell({"h": slice(0, 4), "part": part}), BufferReadout())
    assert some.sites == {"h": 4, "part": 2}
    seen = tokens(3, 5)
    assert torch.equal(some.states(seen, "part"), some.states(seen, "h")[..., dimensions])
    check_network(some)


@pytest.mark.parametrize(
    "part", [slice(0, 4, 2), slice(None, None, -1), slice(2, 2), slice(3, 1), slice(0, 5), slice(-6, None)]
)
def test_other_slices_are_refused(part):
    with pytest.raises(InvalidArgumentError, match=r"site 'part' is slice\(.*contiguous, non-empty part of the 4-"):
        RecurrentNetwork(BufferCell({"h": slice(0, 4), "part": part}), BufferReadout())


def test_a_cell_without_sites_is_refused():
    with pytest.raises(InvalidArgumentError, match="BufferCell has no sites"):
        RecurrentNetwork(BufferCell({}), BufferReadout())


def test_the_context_has_one_row_for_each_selected_run():
    state = RunState("h", torch.arange(4.0)[:, None], {"c": torch.arange(4.0)[:, None] + 10})
    selected = state[torch.tensor([3, 1, 1])]
    assert selected.states.flatten().tolist() == [3, 1, 1]
    assert selected.context["c"].flatten().tolist() == [13, 11, 11]
    again = selected[torch.tensor([2, 0])]
    assert (again.states.flatten().tolist(), again.context["c"].flatten().tolist()) == ([1, 3], [11, 13])
    assert dict(state.context).keys() == {"c"}


def test_rewritten_states_are_converted_to_the_type_of_the_network():
    state = network("gru").to(torch.bfloat16).run_until(tokens(3, 4), torch.tensor([1, 2, 3]), "h")
    rewritten = state.rewrite(torch.zeros(3, 12, requires_grad=True))
    assert rewritten.states.dtype == torch.bfloat16
    assert rewritten.states.requires_grad
    assert state.select(torch.tensor([1]), torch.zeros(1, 12)).states.dtype == torch.bfloat16


def test_evaluation_mode_restores_the_mode_of_every_submodule():
    first, second = (nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout())) for _ in range(2))
    first.train()
    first[1].eval()
    before = [module.training for module in [*first.modules(), *second.modules()]]
    with evaluation_mode(first, second):
        assert not any(module.training for module in [*first.modules(), *second.modules()])
    assert [module.training for module in [*first.modules(), *second.modules()]] == before
    with pytest.raises(ValueError, match="inside"), evaluation_mode(first):
        raise ValueError("inside")
    assert [module.training for module in [*first.modules(), *second.modules()]] == before


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # raised in torch while it imports its compiler
def test_wrapped_networks_are_unwrapped():
    some = network("gru")
    assert require_network(some) is some
    assert require_network(nn.DataParallel(some)) is some
    assert require_network(torch.compile(some)) is some
    check_network(torch.compile(some))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            nn.GRU(4, 4),
            r"torch.nn.GRU alone has no tokens .*sc.wrap_recurrent\(embedding, rnn, readout\)",
        ),
        (nn.LSTMCell(4, 4), "torch.nn.LSTMCell is one step: pass sc.Stepwise"),
        (nn.DataParallel(nn.GRU(4, 4)), "torch.nn.GRU alone"),
        (nn.Linear(4, 4), "Linear is a torch module, but not a symscope Network: pass sc.wrap"),
        (RecurrentNetwork, "got the class RecurrentNetwork; pass an instance"),
        ({"weight": 1}, "expected a symscope Network, got dict"),
        (None, "expected a symscope Network, got NoneType"),
    ],
)
def test_something_else_than_a_network_is_refused(value, message):
    with pytest.raises(InvalidArgumentError, match=message):
        require_network(value)


def test_a_network_with_another_number_of_tokens_than_its_task_is_refused():
    assert require_network(network("gru"), vocabulary=VOCABULARY).vocabulary == VOCABULARY
    with pytest.raises(InvalidArgumentError, match="has 7 tokens and its task has 6: the sizes must be equal"):
        require_network(network("gru"), vocabulary=6)


@pytest.mark.parametrize("name", ["gru", "transformer-rope"])
def test_errors_name_the_value_and_the_possible_ones(name):
    some = network(name)
    site = some.default_site
    for wrong in (VOCABULARY, -1):
        seen = tokens(2, 4).index_fill(1, torch.tensor([2]), wrong)
        with pytest.raises(InvalidArgumentError, match=rf"token {wrong} is outside the vocabulary: ids are 0\.\.6"):
            some.features(seen)
    with pytest.raises(InvalidArgumentError, match=r"nothing to run on: tokens have the shape \(0, 4\)"):
        some.features(tokens(0, 4))
    with pytest.raises(
        InvalidArgumentError, match=r"each sequence needs one position to stop at.*at least one of each"
    ):
        some.run_until(tokens(0, 4), torch.zeros(0, dtype=torch.long), site)
    for wrong in (0, 5):
        with pytest.raises(InvalidArgumentError, match=rf"lengths lie in 1\.\.4, the width of the tokens; got {wrong}"):
            some.features(tokens(2, 4), torch.tensor([4, wrong]))
    with pytest.raises(UnknownNameError, match="unknown site 'layer9'"):
        some.states(tokens(2, 4), "layer9")
    for wrong in (-1, 4):
        with pytest.raises(InvalidArgumentError, match=rf"position {wrong} does not exist.*0\.\.3"):
            some.run_until(tokens(2, 4), torch.tensor([1, wrong]), site)
