"""Networks and data that the tests of counterfactual data without an algorithm share."""

from dataclasses import replace

import torch
from torch import nn

from symscope.interchange import PAPER_PROTOCOL as PROTOCOL
from symscope.interchange import CounterfactualData, Interventions, StoppedInputs, continue_from, values_at
from symscope.networks import Cell, LinearReadout, Network, RecurrentNetwork, RunState, random_orthogonal
from symscope.seeds import generator

SPLITS = {"train": 600, "validation": 200, "test": 300}


def data_of(draw, name, hypothesis="by hand", **facts):
    """Counterfactual data from a function that draws interventions, `draw(count, generator)`."""
    splits = {split: {name: draw(count, generator(0, split))} for split, count in SPLITS.items()}
    facts = {"uncut": None, "vocabulary": None, "value_names": {}, **facts}
    return CounterfactualData(hypothesis, **splits, cause={}, isolation={}, seed=0, **facts)


def two_sources(algorithm, variables, count, draws):
    """Interventions that give each of two variables its value from a source of its own."""
    task, runs = algorithm.task, []
    for _ in range(3):
        sequences = task.draw(task.draw_quantities(count, draws), draws)
        position = PROTOCOL.positions(algorithm, sequences, draws)
        runs.append(StoppedInputs(sequences.tokens, position, values_at(algorithm, sequences.tokens, position)))
    base, *sources = runs
    values = dict(base.values)
    for name, source in zip(variables, sources, strict=True):
        values[name] = source.values[name]
    targets, determined, ends = continue_from(algorithm, values, PROTOCOL.draw_extra(algorithm, count, draws), draws)
    drawn = Interventions(
        tuple(variables), base, tuple(sources), (0, 1), targets[:, :-1], targets, determined
    )  # fmt: skip
    return drawn.select(ends)


class ParityCell(Cell):
    """The running parity of bits, their number so far, and a constant, in a rotated basis of four dimensions."""

    def __init__(self, seed=0):
        super().__init__()
        self.width, self.sites, self.output = 4, {"h": slice(0, 4)}, slice(0, 4)
        self.basis = nn.Parameter(random_orthogonal(4, generator(seed, "basis")))

    def token_inputs(self):
        return torch.eye(2)

    def step(self, states, drives):
        parity, count, _, rest = (states @ self.basis).unbind(1)
        bit = drives[:, 1]
        plain = torch.stack([parity + bit - 2 * parity * bit, 0.9 * count + bit, torch.ones_like(bit), rest], 1)
        return plain @ self.basis.T


def parity_network(seed=0):
    """Labels every bit with the parity of all bits so far."""
    cell = ParityCell(seed)
    output = LinearReadout(torch.stack([-cell.basis[:, 0], cell.basis[:, 0]]).detach(), torch.tensor([0.5, -0.5]))
    return RecurrentNetwork(cell, output)


def labelled_bits(count, draws, steps=5):
    """Interventions on the parity: after the swap, each further bit is labelled with the new parity."""
    bits = torch.randint(2, (2, count, 8), generator=draws)
    stops = torch.randint(8, (2, count), generator=draws)
    base, source = (
        StoppedInputs(inputs, stop, {"parity": _at(inputs.cumsum(1) % 2, stop)})
        for inputs, stop in zip(bits, stops, strict=True)
    )
    fed = torch.randint(2, (count, steps), generator=draws)
    start = source.values["parity"][:, None]
    targets = torch.cat([start, (start + fed.cumsum(1)) % 2], 1)
    mask = torch.rand(targets.shape, generator=draws) < 0.7
    mask[:, -1] = True
    return Interventions(("parity",), base, (source,), (0,), fed, targets, mask)


def classified_bits(count, draws):
    """The same without fed bits: only the label at the stop counts."""
    labelled = labelled_bits(count, draws, steps=0)
    return replace(labelled, target_mask=torch.ones(count, 1, dtype=torch.bool))


def _at(columns, position):
    return columns.gather(1, position[:, None])[:, 0]


class Perceptron(Network):
    """A classifier of vectors of three numbers: does x0 + x1 have the sign of x2? Its hidden state is rotated."""

    sites, default_site, architecture, vocabulary = {"hidden": 3}, "hidden", "perceptron", 2

    def __init__(self):
        super().__init__()
        self.register_buffer("basis", random_orthogonal(3, generator(0, "perceptron")))

    def features(self, tokens, lengths=None):
        raise NotImplementedError

    def states(self, tokens, site):
        raise NotImplementedError

    def readout(self, features, dropout=None):
        first, second, _ = (features @ self.basis).unbind(-1)
        return torch.stack([-first * second, first * second], -1)

    def run_until(self, tokens, positions, site):
        hidden = torch.stack([(tokens[:, 0] + tokens[:, 1]).sign(), tokens[:, 2].sign(), tokens[:, 0]], 1)
        return RunState(site, hidden @ self.basis.T)

    def states_at(self, tokens, positions, site):
        return self.run_until(tokens, positions, site).states

    def resume(self, state, fed, target_mask):
        return state.states


PERCEPTRON = Perceptron()


def signs_from_two_sources(count, draws):
    """The sign of x0 + x1 from the first source, the sign of x2 from the second."""
    vectors = torch.randn(3, count, 3, generator=draws)
    positive = [{"sum": inputs[:, :2].sum(1) > 0, "third": inputs[:, 2] > 0} for inputs in vectors]
    position = torch.zeros(count, dtype=torch.long)
    base, *sources = (StoppedInputs(v, position, values) for v, values in zip(vectors, positive, strict=True))
    labels = (positive[1]["sum"] == positive[2]["third"]).long()[:, None]
    fed, mask = labels[:, :0], torch.ones_like(labels, dtype=torch.bool)
    return Interventions(("sum", "third"), base, tuple(sources), (0, 1), fed, labels, mask)
