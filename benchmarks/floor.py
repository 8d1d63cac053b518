"""The arithmetic floor of a search step: the matrix products that nobody can leave out, at the rate of this machine.

Counted from the interventions as drawn: a recurrent step for each token that is fed after the cut, the output layer
for each token that is scored. Weights are frozen, so a product goes back once for each time that it goes forward
(the gradient of its input; none of its weights). What does not depend on the alignment is not counted: base and
source runs, products of the input side, and for a transformer whatever of the continuation the rewritten state does not
reach. Neither are element-wise functions nor any move of memory, so the floor is strict: no program reaches it.
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
    """A matrix product of a step of one fit: how much of it, and at which size its rate is measured."""

    what: str
    gflop: float
    size: Size


def products(case: Case, k: int) -> list[Product]:
    """The necessary products of one step of one fit, its batch being an average one of the interventions."""
    network, drawn = case.network, case.drawn
    hidden, d = network.output.hidden_weight.shape  # pyright: ignore[reportAttributeAccessIssue]
    steps = BATCH * float((drawn.lengths - 1).float().mean())
    scored = BATCH * float(drawn.determined.sum(1).float().mean())
    tokens = round(scored)
    if isinstance(network, RecurrentNetwork):
        each = [
            ("recurrence", steps * 3 * d * d, (BATCH, d, 3 * d)),
            ("recurrence, back", steps * 3 * d * d, (BATCH, 3 * d, d)),
        ]
    else:  # one layer above the site: the cut's own queries, keys and values; the rest where a token is scored
        attended = BATCH * float((drawn.base_positions + 1).float().mean()) + scored
        into, mixing = 3 * d * d * BATCH, 2 * d * attended
        each = [
            ("projection and attention, both ways", 2 * (into + mixing), (BATCH, d, 3 * d)),
            ("attention's output, both ways", 2 * scored * d * d, (tokens, d, d)),
            ("feed-forward", scored * 8 * d * d, (tokens, d, 4 * d)),
            ("feed-forward, back", scored * 8 * d * d, (tokens, 4 * d, d)),
        ]
    readout = scored * hidden * (d + network.vocabulary)
    each += [
        ("output layer", readout, (tokens, d, hidden)),
        ("output layer, back", readout, (tokens, hidden, d)),
        ("swap, both ways", 5 * BATCH * d * k, (BATCH, d, k)),
    ]
    return [Product(what, 2 * multiplications / 1e9, size) for what, multiplications, size in each]


@cache
def rate(size: Size, count: int, device: str) -> float:
    """GFLOP/s of a float32 product of that size with so many threads: the best of many, as this is for a floor."""
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
