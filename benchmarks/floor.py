"""The arithmetic floor of a search step: the necessary matrix products, at the rate of this machine.

They are counted from the drawn interventions: a recurrent step for each token that is fed after the stop, the output
layer for each target. Weights are frozen, so each product has one product in the backward pass (the gradient by its
input). The floor does not count work that is independent of the alignment: the runs of base and source, products of the
input side, and in a transformer all of the continuation that the rewritten state does not reach. It does not count
element-wise functions and memory traffic either, so no implementation reaches it.
"""

from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.cases import BATCH, Case
from benchmarks.rows import Setting, in_turns, threads
from symscope.networks import RecurrentNetwork

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Product:
    """A matrix product in a step of one fit: its amount, and the size at which its rate is measured."""

    what: str
    gflop: float
    size: Size


def products(case: Case, k: int) -> list[Product]:
    """The necessary products of one step of one fit, for an average batch of the interventions."""
    network, interventions = case.network, case.interventions
    hidden, d = network.output.hidden_weight.shape  # pyright: ignore[reportAttributeAccessIssue]
    steps = BATCH * float((interventions.lengths - 1).float().mean())
    targets = BATCH * float(interventions.target_mask.sum(1).float().mean())
    tokens = round(targets)
    if isinstance(network, RecurrentNetwork):
        each = [
            ("recurrence", steps * 3 * d * d, (BATCH, d, 3 * d)),
            ("recurrence, back", steps * 3 * d * d, (BATCH, 3 * d, d)),
        ]
    else:  # one layer above the site: queries, keys and values at the stop; the rest at each target
        attended = BATCH * float((interventions.base.position + 1).float().mean()) + targets
        into, mixing = 3 * d * d * BATCH, 2 * d * attended
        each = [
            ("projection and attention, both ways", 2 * (into + mixing), (BATCH, d, 3 * d)),
            ("attention output, both ways", 2 * targets * d * d, (tokens, d, d)),
            ("feed-forward", targets * 8 * d * d, (tokens, d, 4 * d)),
            ("feed-forward, back", targets * 8 * d * d, (tokens, 4 * d, d)),
        ]
    readout = targets * hidden * (d + network.vocabulary)
    each += [
        ("output layer", readout, (tokens, d, hidden)),
        ("output layer, back", readout, (tokens, hidden, d)),
        ("swap, both ways", 5 * BATCH * d * k, (BATCH, d, k)),
    ]
    return [Product(what, 2 * multiplications / 1e9, size) for what, multiplications, size in each]


@cache
def rate(size: Size, count: int, device: str) -> float:
    """GFLOP/s of a float32 product of that size with `count` threads: the best of many runs, as for a floor."""
    rows, inner, columns = size
    left, right = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
    out = torch.empty(rows, columns, device=device)
    gflop = 2 * rows * inner * columns / 1e9
    repeats = max(1, round(0.1 / gflop))

    def multiply() -> None:
        for _ in range(repeats):
            torch.mm(left, right, out=out)

    setting = Setting(device, (count,))
    with threads(count):
        took = in_turns({"": multiply}, 25, setting, warm_up=5)[""]
    return repeats * gflop / min(took)


def floor(case: Case, k: int, count: int, device: str) -> tuple[float, str]:
    """Milliseconds of one step of one fit, and the sum in words."""
    parts = [(product, rate(product.size, count, device)) for product in products(case, k)]
    terms = [
        f"{product.what} {product.gflop:.4f} GFLOP / {speed:.0f} GFLOP/s ({' x '.join(map(str, product.size))})"
        for product, speed in parts
    ]
    total = sum(product.gflop for product, _ in parts)
    return sum(product.gflop / speed * 1e3 for product, speed in parts), f"{total:.3f} GFLOP: " + " + ".join(terms)
