"""Whole-state swaps at every site × position of a small network whose computation is known."""

from dataclasses import replace
from typing import ClassVar

import pytest
import torch
from tests.interchange.examples import PERCEPTRON, data_of, signs_from_two_sources

from symscope.algorithms import make_algorithm
from symscope.alignment import LocateCost, Location, Locations, Oblique, Score, SearchOptions, align, fit, locate
from symscope.alignment import locate_cost as cost_of
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import CounterfactualData, Interventions, StoppedInputs, counterfactuals, move_stops
from symscope.networks import Network, RunState, make_network
from symscope.seeds import generator
from symscope.tasks import make_task

N = 5  # values of each of two variables; tokens: N first words, N second words, and a question mark
QUICK = SearchOptions(steps=100, validate_every=25, restarts=1)


class Sums(Network):
    """Reads `a b ?` and answers a + b (mod N): the last position copies a in layer 1, adds b in layer 2."""

    sites: ClassVar = {"embedding": 3 * N, "layer1": 3 * N, "layer2": 3 * N}
    default_site, architecture, vocabulary = "layer1", "sums", 2 * N + 1

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.eye(2 * N + 1, 3 * N))

    def run_layers(self, first, a, b, stream):
        """The stream of the last position after the layers from `first` on; words are read from the embeddings."""
        if first == 0:  # copies the first word
            stream = torch.cat([a[:, :N], stream[:, N:]], 1)
        if first <= 1:  # adds the second word
            sums = (stream[:, :N, None] * b[:, None, N : 2 * N]).flatten(1)
            index = (torch.arange(N)[:, None] + torch.arange(N)).flatten() % N
            stream = torch.cat([stream[:, : 2 * N], torch.zeros(len(stream), N).index_add(1, index, sums)], 1)
        return stream

    def features(self, tokens, lengths=None):
        raise NotImplementedError

    def readout(self, features, dropout=None):
        return torch.cat([10 * features[..., 2 * N :], torch.zeros(*features.shape[:-1], N + 1)], -1)

    def states(self, tokens, site):
        embedded = self.table[tokens]
        layers = {"embedding": [], "layer1": [0], "layer2": [0, 1]}[site]
        if layers:
            a, b, last = embedded.unbind(1)
            first = torch.cat([a[:, :N], last[:, N:]], 1)
            last = first if len(layers) == 1 else self.run_layers(1, a, b, first)
            embedded = torch.stack([a, b, last], 1)
        return embedded

    def run_until(self, tokens, positions, site):
        padded = torch.cat([tokens, torch.full((len(tokens), 3), 2 * N)], 1)[:, :3]
        states = self.states(padded, site)[torch.arange(len(tokens)), positions]
        return RunState(site, states, {"tokens": padded, "positions": positions})

    def resume(self, state, fed, target_mask):
        tokens, positions = state.context["tokens"], state.context["positions"]
        embedded = self.states(tokens, "embedding").clone()
        layer = list(self.sites).index(state.site)
        streams = self.states(tokens, state.site).clone()
        rows = torch.arange(len(tokens))
        if layer == 0:
            embedded[rows, positions] = state.states
            streams = embedded
        streams[rows, positions] = state.states
        if layer == 1:  # the second word of layer 2 is read from the stream after layer 1
            embedded[rows, positions] = torch.where((positions < 2)[:, None], state.states, embedded[rows, positions])
        last = self.run_layers(layer, embedded[:, 0], embedded[:, 1], streams[:, 2])
        return last[target_mask.nonzero()[:, 0]]


def sums(count, draws, name, alone=True):
    """Interventions on one of the words; with `alone`, half of them leave the other word as it is."""
    base = torch.randint(N, (count, 2), generator=draws)
    step = torch.randint(1, N, (count, 2), generator=draws)
    if alone:
        step[::2, "ba".index(name)] = 0
    source = (base + step) % N
    runs = [
        StoppedInputs(
            torch.cat([part[:, :1], part[:, 1:] + N, torch.full((count, 1), 2 * N)], 1),
            torch.full((count,), 2),
            {"a": part[:, 0], "b": part[:, 1]},
        )
        for part in (base, source)
    ]
    answer = (source[:, 0] + base[:, 1] if name == "a" else base[:, 0] + source[:, 1]) % N
    mask = torch.ones(count, 1, dtype=torch.bool)
    return Interventions((name,), runs[0], (runs[1],), (0,), answer[:, None][:, :0], answer[:, None], mask)


def two_words(alone=True):
    data = [data_of(lambda count, draws, n=n: sums(count, draws, n, alone), n, "sums") for n in "ab"]
    splits = {split: getattr(data[0], split) | getattr(data[1], split) for split in ("train", "validation", "test")}
    return replace(data[0], **splits, vocabulary=2 * N + 1)


def scores_of(located):
    return {(cell.site, cell.position): [cell.scores[name].iia for name in cell.scores] for cell in located.cells}


def test_the_words_are_where_the_network_has_them():
    located = locate(Sums(), two_words())
    scores = scores_of(located)
    assert list(scores) == [(site, position) for position in (-3, -2, -1) for site in Sums.sites]
    assert scores["embedding", -3] == [1, 0]  # the first word alone
    assert scores["embedding", -2] == scores["layer1", -2] == [0, 1]  # the second word alone
    assert scores["layer1", -1] == [1, 0]  # the first word is copied
    assert scores["layer2", -1] == [1, 1]  # the answer
    assert scores["embedding", -1] == [0, 0]
    assert all(located.alone.values())


def test_cells_that_exchange_a_token_or_the_answer_are_trivial():
    located = locate(Sums(), two_words())
    trivial = {(cell.site, cell.position): cell.trivial for cell in located.cells}
    words = {(site, position): "input" for site in Sums.sites for position in (-3, -2)}
    assert trivial == {**words, ("embedding", -1): "input", ("layer1", -1): "", ("layer2", -1): "output"}
    assert (located.best.site, located.best.position) == ("layer1", -1)


def test_whole_state_swaps_agree_with_the_transformer_run_anew():
    network = make_network("transformer-rope", 16, 2 * N + 1, generator(0, "network"), layers=3, heads=2)
    data = two_words()
    located = locate(network, data, interventions=40)
    drawn = {n: part.select(located_rows(part, 40)) for n, part in data.validation.items()}
    sites = list(network.sites)
    for cell in located.cells:
        for name, part in drawn.items():
            layer, position = sites.index(cell.site), 3 + cell.position
            streams = network.states(part.base.inputs, cell.site).clone()
            streams[:, position] = network.states(part.sources[0].inputs, cell.site)[:, position]
            after = [streams, *network.run_layers(streams, layer)][-1]
            guess = network.readout(network.final_norm(after))[:, -1].argmax(-1)
            assert cell.scores[name].iia == pytest.approx(float((guess == part.targets[:, 0]).double().mean()))


def located_rows(part, most):
    other = {"a": "b", "b": "a"}[part.variables[0]]
    return (part.base.values[other] == part.sources[0].values[other]).nonzero()[:, 0][:most]


def test_without_interventions_on_the_variable_alone_all_are_scored():
    located = locate(Sums(), two_words(alone=False), sites="layer2", positions=-1)
    assert not any(located.alone.values())
    assert scores_of(located) == {("layer2", -1): [0, 0]}  # the swap always gives the source's answer
    assert "are any of the validation interventions" in repr(located)


def test_the_cost_is_counted_before_the_work():
    cost = cost_of(Sums(), two_words(), interventions=30, sites=["embedding", "layer?"])
    prompts = 60 * 3 * (1 + 2 + 3)  # bases, their spliced versions and sources, up to each of three positions
    assert cost == LocateCost(60, 3, 3, prompts, 60 * 3 * (3 + 2 + 1))
    assert cost == locate(Sums(), two_words(), interventions=30).cost
    assert "3 sites × 3 positions × 60 interventions" in str(cost)


def test_an_algorithm_is_located_where_its_data_stops():
    task = make_task("multi-object", quantities=range(1, 5), held_out=[])
    network = make_network("lstm", 8, len(task.vocabulary), generator(0, "network"))
    data = counterfactuals(make_algorithm("up-down", task), ["count", "phase"], n_train=50, n_validation=100, n_test=50)
    located = locate(network, data)
    assert [(cell.site, cell.position) for cell in located.cells] == [(site, "stop") for site in network.sites]
    assert all(cell.output_share is None for cell in located.cells)
    table = located.table()
    assert table.height == 2 * len(network.sites)
    assert table.filter(table["best"])["site"].unique().to_list() == [located.best.site]


def test_the_best_cell_is_not_trivial_and_far_from_both_ends():
    def cell(site, iia, ends):
        hits = torch.arange(100) < 100 * iia
        return Location(site, -1, {"v": Score.of(hits)}, *ends)

    cells = (
        cell("e", 1.0, (1.0, 0.0)),
        cell("m", 0.97, (0.6, 0.5)),
        cell("n", 0.98, (0.2, 0.3)),
        cell("o", 1.0, (0.0, 1.0)),
    )
    located = Locations("by hand", cells, {"v": True}, LocateCost(100, 4, 1, 0, 0))
    assert located.best.site == "n"
    assert "2 of 4" in repr(located)
    assert replace(located, cells=(cells[0], cells[3])).best.site == "e"


def test_a_search_at_the_best_site():
    data, network = two_words(), Sums()
    results = align(
        network, data["a"], k=5, function=Oblique(), site="best", options=QUICK, controls=[], progress=False
    )
    assert results["a"].site == "layer1"
    assert results["a"].iia == 1.0
    fitted = fit(network, data["a"], 3, site="best", controls=[], options=QUICK)
    assert fitted.site == "layer1"
    with pytest.raises(InvalidArgumentError, match="name variables"):
        align(network, make_algorithm("up-down", make_task("multi-object")), progress=False)


def test_what_cannot_be_located_is_refused():
    data = two_words()
    with pytest.raises(UnknownNameError, match="layer1"):
        locate(Sums(), data, sites="layre1")
    with pytest.raises(UnknownNameError, match="stop"):
        locate(Sums(), data, positions="country")
    with pytest.raises(InvalidArgumentError, match="-4 does not exist"):
        locate(Sums(), data, positions=[-4])
    with pytest.raises(InvalidArgumentError, match="several"):
        locate(PERCEPTRON, data_of(signs_from_two_sources, "sum+third", "signs"))
    with pytest.raises(InvalidArgumentError, match="at least one site"):
        locate(Sums(), data, sites=[])
    assert isinstance(data, CounterfactualData)
    assert move_stops(data.validation["a"], "stop") is data.validation["a"]
