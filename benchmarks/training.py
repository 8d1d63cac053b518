"""Training: updates per second, compared with plain code on padded batches and with the arithmetic floor.

The plain code is the simplest implementation: a loop over the steps of a padded batch through `Cell.step`, or a
transformer on the padded batch, with the same loss, optimiser and draws. The floor is the time of the necessary matrix
products, at the rate that this machine reaches for their sizes: one product forwards, two backwards (for the input and
for the weights), no padding, the input side of a recurrent cell from a table. Target: at most 2.5 times the floor for
the GRU at d = 128.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from benchmarks.rows import Row, Setting, in_turns, ratios, threads
from symscope.networks import Network, RecurrentNetwork, make_network
from symscope.seeds import generator
from symscope.tasks import Task, make_task
from symscope.training import TrainingOptions, train

ROUNDS = 5
KINDS = ("gru", "lstm", "transformer-rope")
SIZES = (20, 128)
OPTIONS = TrainingOptions(learning_rate=1e-4, epochs=1, validate_every=1, validate_each=1)
UPDATES = 8


def rows(setting: Setting) -> Iterator[Row]:
    """Multi-Object, batches of 128."""
    task = make_task("multi-object")
    for count in setting.threads:
        for kind in KINDS:
            for d in SIZES:
                with threads(count):
                    yield from _rows(setting, task, kind, d, f"{kind}, d = {d}, threads: {count}")


def _rows(setting: Setting, task: Task, kind: str, d: int, named: str) -> Iterator[Row]:
    def fresh() -> Network:
        return make_network(kind, d, len(task.vocabulary), generator(0, "network")).to(setting.device)

    fast, plain = fresh(), fresh()
    calls = {"symscope": lambda: train(fast, task, 0, OPTIONS), "plain code": plain_updates(plain, task)}
    products = necessary(kind, d, task)
    calls |= {product.what: product.run(setting.device) for product in products}
    took = in_turns(calls, ROUNDS, setting)
    floor = [UPDATES * sum(parts) for parts in zip(*(_seconds(p, took[p.what]) for p in products), strict=True)]
    sums = [f"{p.what}: {p.flops / 1e9:.3g} GFLOP at {p.rate(took[p.what]) / 1e9:.3g} GFLOP/s" for p in products]
    for name in ("symscope", "plain code"):
        yield Row.of(f"{named}: {name}", [UPDATES / s for s in took[name]], "updates/s")
    yield Row.of(f"{named}: against plain code", ratios(took["symscope"], took["plain code"]), "times faster")
    yield Row.of(f"{named}: arithmetic floor", [UPDATES / s for s in floor], "updates/s", "; ".join(sums))
    target = "target: 2.5" if (kind, d) == ("gru", 128) else ""
    yield Row.of(f"{named}: against the floor", ratios(floor, took["symscope"]), "times slower", target)


def plain_updates(network: Network, task: Task) -> Callable[[], None]:
    """The same number of updates by the plain code."""
    adam = torch.optim.Adam(network.parameters(), lr=OPTIONS.learning_rate)
    draws, dropout = generator(0, "draws"), generator(0, "dropout", device=next(network.parameters()).device)

    def update() -> None:
        quantities = task.draw_quantities(OPTIONS.batch, draws, task.trained)
        batch = task.draw(quantities, draws).to(next(network.parameters()).device)
        tokens = batch.tokens[:, :-1]
        logits = network.readout(_features(network, tokens), dropout)
        real = torch.arange(tokens.shape[1], device=tokens.device) < batch.lengths[:, None] - 1
        adam.zero_grad()
        cross_entropy(logits[real], batch.tokens[:, 1:][real]).backward()
        adam.step()

    return lambda: [update() for _ in range(UPDATES)] and None


def _features(network: Network, tokens: Tensor) -> Tensor:
    if not isinstance(network, RecurrentNetwork):
        return network.features(tokens)
    cell, after = network.cell, []
    token_inputs = cell.token_inputs()
    states = token_inputs.new_zeros(len(tokens), cell.width)
    for column in tokens.unbind(1):
        states = cell.step(states, token_inputs[column])
        after.append(states[:, cell.output])
    return torch.stack(after, 1)


@dataclass(frozen=True)
class Product:
    """Matrix products of one size in an update: `times` products of (m, k) by (k, n), forwards and twice backwards."""

    what: str
    m: int
    k: int
    n: int
    times: float = 1.0

    @property
    def flops(self) -> float:
        """Operations of one update: two for a multiplication and an addition, three products."""
        return 6.0 * self.times * self.m * self.k * self.n

    def run(self, device: str) -> Callable[[], None]:
        """A call of a hundred products, to measure the rate."""
        left, right = torch.randn(self.m, self.k, device=device), torch.randn(self.k, self.n, device=device)
        into = torch.empty(self.m, self.n, device=device)

        def products() -> None:
            for _ in range(100):
                torch.mm(left, right, out=into)

        return products

    def rate(self, seconds: list[float]) -> float:
        """The best measured rate."""
        return 200.0 * self.m * self.k * self.n / min(seconds)


def _seconds(product: Product, measured: list[float]) -> list[float]:
    return [product.flops * s / (200.0 * product.m * product.k * product.n) for s in measured]


def necessary(kind: str, d: int, task: Task) -> list[Product]:
    """The matrix products of one update on an average batch, by size."""
    lengths = torch.tensor(task.trained).mul(2).add(1).double()  # BOS, n demo tokens, T, n responses; EOS is not fed
    tokens = round(OPTIONS.batch * float(lengths.mean()))
    steps = int(lengths.max())
    size = d // 2 if kind == "lstm" else d  # h, which the output layer reads
    output = [
        Product("output layer", tokens, size, 4 * d),
        Product("logits", tokens, 4 * d, len(task.vocabulary)),
    ]
    if kind in {"gru", "lstm"}:
        gates = 3 if kind == "gru" else 4
        return [Product("recurrence", round(tokens / steps), size, gates * size, times=steps), *output]
    pairs = OPTIONS.batch * float((lengths * (lengths + 1) / 2).mean())  # a query and a key that it sees
    width = round(float(lengths.mean()))
    layers = [
        Product("queries, keys, values", tokens, d, 3 * d, times=2),
        Product("attended", tokens, d, d, times=2),
        Product("feed-forward", tokens, d, 4 * d, times=4),
        Product("attention", width, d, width, times=2 * 2 * pairs / width**2),
    ]
    return [*layers, *output]
