"""Fits as one batch: what a step asks of a device, the precision of maps, masks, and fits that are removed."""

import pytest
import torch
from tests.alignment.examples import ALGORITHM, TASK, cached, problem
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from symscope.alignment import (
    FUNCTIONS,
    BoundaryMask,
    FixedMask,
    LinearAlignment,
    Oblique,
    Orthogonal,
    Reversible,
    TrainingPool,
)
from symscope.alignment._batched_fits import KEPT, BatchedFits, full_precision, train_step
from symscope.alignment._search import initialise
from symscope.alignment.natural import NaturalStates
from symscope.errors import InvalidArgumentError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import make_network
from symscope.seeds import generator

WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::item", "aten::is_nonzero"}
"""What makes the host wait for the device: a number that it needs, or a size that depends on numbers."""
KINDS = ("gru", "lstm", "transformer-rope", "transformer-nope")


class OnDevice(TorchDispatchMode):
    """Follows what is computed from given tensors, as if these lay on a device, and records what waits for it."""

    def __init__(self, *given: torch.Tensor) -> None:
        super().__init__()
        self.followed = list(given)
        self.known = {id(tensor.untyped_storage()) for tensor in given}
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        made = func(*args, **(kwargs or {}))
        if any(id(x.untyped_storage()) in self.known for x in leaves):
            name = func.name().split(".")[0]
            masked = name in ("aten::index", "aten::index_put_") and any(x.dtype == torch.bool for x in leaves)
            if masked or name in WAITS:
                self.waits.append(name)
            for x in tree_leaves(made):
                if isinstance(x, torch.Tensor):
                    self.followed.append(x)  # kept alive, so that no other storage gets its address
                    self.known.add(id(x.untyped_storage()))
        return made


def fits_of(function, mask, states, count=3):
    """A batch of fits with random starts."""
    started = [initialise(function, mask.k, NaturalStates(states), generator(n)) for n in range(count)]
    tensors = [[*map_tensors, *mask.initialise()] for _, map_tensors in started]
    return BatchedFits(started[0][0], mask, list(range(count)), tensors, 1e-3)


def step_of(kind, function, mask):
    """One step of a search, and the tensors that lie on the device."""
    network = make_network(kind, 8, len(TASK.vocabulary), generator(0)).requires_grad_(False)
    variables = [name for name, _ in mask.sizes]
    train = {
        name: cache_states(network, draw_interventions(ALGORITHM, [name], 60, generator(0)), network.default_site)
        for name in variables
    }
    pool = TrainingPool(network, train, {}, None)
    fits = fits_of(function, mask, train[variables[0]].natural_states())
    index = torch.randint(60 * len(variables), (3, 20), generator=generator(1))
    rows = pool._rows
    on_device = [rows.base_states, rows.source_states, rows.base.states, rows.fed, rows.targets]
    on_device += [tensor for name, tensor in rows.base.context.items() if name != "positions"]  # kept on the CPU
    on_device += [*network.parameters(), *fits._tensors]
    return lambda: train_step([fits], pool.losses([fits], None, index, index // 60, 0.5)), on_device


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_in_a_step_waits_for_the_device(kind: str, function: str) -> None:
    step, on_device = step_of(kind, FUNCTIONS[function](), FixedMask((("count", 2), ("phase", 1))))
    step()  # Adam makes its state at the first step
    with OnDevice(*on_device) as device:
        step()
    assert device.waits == []
    assert len(device.followed) > 100  # the step was followed


def test_what_waits_is_noticed() -> None:
    given = torch.ones(3)
    with OnDevice(given) as device:
        assert float((given * 2).sum()) == 6
        assert len(torch.ones(3).nonzero()) == 3  # not on the device
        assert len(given[given > 0]) == 3
    assert device.waits == ["aten::_local_scalar_dense", "aten::index"]


def test_a_map_keeps_its_precision_whatever_the_user_has_chosen() -> None:
    precisions = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "bmm" in func.name():  # only alignment functions and masks compute batches of matrices
                precisions.append(torch.get_float32_matmul_precision())
            return func(*args, **(kwargs or {}))

    step, _ = step_of("gru", Oblique(), FixedMask((("count", 2),)))
    torch.set_float32_matmul_precision("medium")
    try:
        with Watched():
            step()
        assert len(precisions) >= 6
        assert set(precisions) == {"highest"}
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(ValueError, match="inside"), full_precision():
            raise ValueError("inside")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(
    ("function", "mask"),
    [
        (Orthogonal(), FixedMask((("count", 2), ("phase", 1)))),
        (Oblique(coordinates="standardised"), FixedMask((("count", 3),))),
        (LinearAlignment(bias=True), FixedMask((("count", 2), ("phase", 2)))),
        (Reversible(), FixedMask((("count", 2),))),
        (Oblique(), BoundaryMask(variable="count", k=4)),
    ],
    ids=["orthogonal", "standardised", "linear", "reversible", "boundary"],
)
def test_the_fits_that_remain_do_not_notice_that_some_are_removed(function, mask) -> None:
    """Bit for bit: swaps, and tensors after further steps of the optimiser."""
    states = torch.randn(100, 8, generator=generator(0))
    base, sources = torch.randn(4, 20, 8, generator=generator(1)), torch.randn(1, 4, 20, 8, generator=generator(2))
    swap = torch.randint(2 if isinstance(mask, FixedMask) and len(mask.swaps) > 1 else 1, (4, 20),
                         generator=generator(3))  # fmt: skip
    target = torch.randn(4, 20, 8, generator=generator(4))

    def steps(fits, count):
        for _ in range(count):
            rows = torch.tensor(fits.members)
            swapped = fits.swap(base[rows], sources[:, rows], swap[rows], 0.5)
            train_step([fits], (swapped - target[rows]).square().mean((1, 2)))

    everyone, reduced = (fits_of(function, mask, states, 4) for _ in range(2))
    for fits in (everyone, reduced):
        steps(fits, 3)
    reduced.keep({1, 3})
    assert reduced.members == [1, 3]
    for fits in (everyone, reduced):
        steps(fits, 3)
    for kept, whole in zip(reduced._tensors, everyone._tensors, strict=True):
        assert torch.equal(kept, whole[[1, 3]])
    for number in (1, 3):
        pair = (fits.alignments(number, mask) for fits in (everyone, reduced))
        for one_of_all, remaining in zip(*(alignments.values() for alignments in pair), strict=True):
            assert torch.equal(one_of_all.swap(base[0], sources[0, 0]), remaining.swap(base[0], sources[0, 0]))


def test_fixed_masks() -> None:
    mask = FixedMask((("count", 2), ("phase", 3)))
    assert mask.dimensions(()) == {"count": slice(0, 2), "phase": slice(2, 5)}
    assert (mask.k, mask.sources, mask.swaps) == (5, 1, ((("count", 0),), (("phase", 0),)))
    swap = torch.tensor([[0, 1, 1]])
    weights = mask.weights([tensor[None] for tensor in mask.initialise()], swap, 0, 0.0)
    assert weights[0].tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 1, 1, 1]]
    # Both variables at once, each from a source of its own; or the phase alone, from the second source.
    several = FixedMask((("count", 1), ("phase", 1)), ((("count", 0), ("phase", 1)), (("phase", 1),)))
    tensors = [tensor[None] for tensor in several.initialise()]
    assert several.sources == 2
    for source, expected in ((0, [[1, 0], [0, 0]]), (1, [[0, 1], [0, 1]])):
        assert several.weights(tensors, torch.tensor([[0, 1]]), source, 0.0)[0].tolist() == expected
    whole = FixedMask((("count", 3),))
    assert whole.weights([tensor[None] for tensor in whole.initialise()], swap * 0, 0, 0.0) is None
    for wrong in ((), (("count", 0),)):
        with pytest.raises(InvalidArgumentError, match="at least 1 dimension"):
            FixedMask(wrong)


def test_boundary_masks() -> None:
    mask = BoundaryMask(variable="count", k=10, temperatures=(2.0, 0.01), size_penalty=0.5)
    (boundary,) = mask.initialise()
    swap = torch.zeros(1, 4).long()
    first, last = (mask.weights([boundary.detach()[None]], swap, 0, progress)[0, 0] for progress in (0.0, 1.0))
    assert first.tolist() == sorted(first.tolist(), reverse=True)
    torch.testing.assert_close(last, (torch.arange(10) < 8).float(), atol=1e-4, rtol=0)
    assert mask.dimensions([boundary]) == {"count": slice(0, 8)}
    assert [mask.dimensions([torch.tensor(share)])["count"].stop for share in (-1.0, 0.31, 2.0)] == [1, 3, 10]
    torch.testing.assert_close(mask.penalty([boundary.detach()[None]]), torch.tensor([0.4]))
    assert BoundaryMask(size_penalty=0.0).penalty([boundary.detach()[None]]) is None
    assert (mask.settled(0.5), mask.settled(1.0), FixedMask((("count", 1),)).settled(0.0)) == (False, True, True)
    for wrong in ({"temperatures": (0.1, 1.0)}, {"size_penalty": -1.0}, {"k": 0}):
        with pytest.raises(InvalidArgumentError, match="temperatures above 0 that fall"):
            BoundaryMask(**wrong)


def test_batches_are_drawn_evenly_from_the_sets_of_a_problem() -> None:
    network = make_network("gru", 4, len(TASK.vocabulary), generator(0))
    train = {name: cached(network, name, count, "train") for name, count in (("count", 30), ("phase", 90))}
    pool = TrainingPool(network, train, {}, None)
    both = problem("phase", "count", k=1)
    rows, swap = pool.draw(both, 100, 50, generator(0))
    assert rows.shape == swap.shape == (100, 50)
    assert torch.equal(swap == 1, rows < 30)  # the pool has the counts first; swap 1 of the problem is the count
    assert torch.bincount(rows.flatten(), minlength=120).min() > 15
    alone, _ = pool.draw(problem("phase", k=1), 100, 50, generator(0))
    assert (alone.min(), alone.max()) == (30, 119)


def test_an_alignment_is_the_moving_average_over_the_steps():
    mask, draws = FixedMask((("count", 2),)), generator(0)
    fits = fits_of(Oblique(), mask, torch.randn(50, 6, generator=draws))
    plain = [[tensor[at].detach().clone() for tensor in fits._tensors] for at in range(3)]
    for step in range(5):
        if step == 2:
            fits.keep([0, 2])
            plain = [plain[0], plain[2]]
        base, source = torch.randn(2, len(fits.members), 7, 6, generator=draws)
        swapped = fits.swap(base, source[None], torch.zeros(len(base), 7, dtype=torch.long), 0.0)
        train_step([fits], swapped.square().sum((1, 2)))
        for at, averages in enumerate(plain):
            for number, tensor in enumerate(fits._tensors):
                averages[number] = KEPT * averages[number] + (1 - KEPT) * tensor[at].detach()
    for (write, read, *_), number in zip(plain, (0, 2), strict=True):
        fitted = fits.alignments(number, mask)["count"].tensors
        torch.testing.assert_close(fitted[0] @ fitted[1], write @ torch.linalg.inv(read @ write) @ read)
