"""A step of the search: what it asks of a device, and in what precision it keeps its maps."""

import pytest
import torch
from symscope.alignment.batches import Pool, losses
from symscope.alignment.program import Alignment, Program, full_precision
from symscope.alignment.starts import Starts
from symscope.interventions import draw_interventions, prepare
from torch.utils._python_dispatch import TorchDispatchMode

from symscope.algorithms import UpDown
from symscope.alignment import FUNCTIONS, Blocks, Learned, Question, SearchOptions
from symscope.alignment.masks import Mask
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.tasks import multi_object

TASK = multi_object()
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::item", "aten::is_nonzero"}
"""What makes the host wait for the device: it asks for a number, or for a size that depends on numbers."""
KINDS = ("gru", "lstm", "transformer-rope", "transformer-nope")


class OnDevice(TorchDispatchMode):
    """Follows what is computed from given tensors, as if these lay on a device, and notes what waits for it."""

    def __init__(self, *there: torch.Tensor) -> None:
        super().__init__()
        self.there = list(there)
        self.known = {id(tensor.untyped_storage()) for tensor in there}
        self.waits: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        leaves = [x for x in torch.utils._pytree.tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        made = func(*args, **(kwargs or {}))
        if any(id(x.untyped_storage()) in self.known for x in leaves):
            name = func.name().split(".")[0]
            masked = name in ("aten::index", "aten::index_put_") and any(x.dtype == torch.bool for x in leaves)
            if masked or name in WAITS:
                self.waits.append(name)
            for x in torch.utils._pytree.tree_leaves(made):
                if isinstance(x, torch.Tensor):
                    self.there.append(x)  # kept alive, so that no storage takes its place
                    self.known.add(id(x.untyped_storage()))
        return made


def step_of(kind: str, function: str, mask: Mask):
    network = make_network(kind, 8, len(TASK.vocabulary), generator(0)).requires_grad_(False)
    drawn = draw_interventions(UpDown(TASK), list(mask.variables), 60, generator(0))
    rows = prepare(network, drawn, network.default_site)
    sets = dict.fromkeys(mask.variables, rows)
    pool = Pool.of(network, [Question(sets, sets, mask, 0, function)], SearchOptions())
    starts = Starts(rows.natural_states())
    made = [Alignment(starts.make(function, {}, mask.k, "random", generator(n)), mask) for n in range(3)]
    program = Program(made, 1e-3)
    index = torch.randint(60, (3, 20), generator=generator(1))
    variable = index % len(mask.variables)
    there = [rows.base.states, rows.source, rows.continuation, *rows.base.context.values(), *network.parameters()]
    there += [tensor for stack in program._stacks for tensor in stack.tensors]
    return lambda: program.step(losses(network, program, pool, index, variable, 0.5)), there


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_in_a_step_waits_for_the_device(kind: str, function: str) -> None:
    step, there = step_of(kind, function, Blocks({"count": 2, "phase": 1}))
    step()  # Adam makes its state at the first step
    with OnDevice(*there) as device:
        step()
    assert device.waits == []
    assert len(device.there) > 100  # it has followed the step, that is


def test_what_waits_is_noticed() -> None:
    given = torch.ones(3)
    with OnDevice(given) as device:
        assert float((given * 2).sum()) == 6
        assert len(torch.ones(3).nonzero()) == 3  # not on the device
        assert len(given[given > 0]) == 3
    assert device.waits == ["aten::_local_scalar_dense", "aten::index"]


def test_a_map_keeps_its_precision_whatever_the_user_chose() -> None:
    seen = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if "bmm" in func.name():  # only functions and masks are evaluated side by side
                seen.append(torch.get_float32_matmul_precision())
            return func(*args, **(kwargs or {}))

    step, _ = step_of("gru", "oblique", Blocks({"count": 2}))
    torch.set_float32_matmul_precision("medium")
    try:
        with Watched():
            step()
        assert len(seen) >= 6
        assert set(seen) == {"highest"}
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(ValueError, match="on the way"), full_precision():
            raise ValueError("on the way")
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_masks() -> None:
    assert Blocks({"count": 2, "phase": 3}).parts() == {"count": slice(0, 2), "phase": slice(2, 5)}
    learned = Learned("count", 10, temperatures=(2.0, 0.01))
    (start,), (end,) = (
        learned.weights([learned.boundary.detach()[None]], torch.zeros(1, 4).long(), p) for p in (0.0, 1.0)
    )
    assert start[0].tolist() == sorted(start[0].tolist(), reverse=True)
    torch.testing.assert_close(end[0], (torch.arange(10) < 8).float(), atol=1e-4, rtol=0)
    assert learned.parts() == {"count": slice(0, 8)}
    assert (learned.settled(0.5), learned.settled(1.0)) == (False, True)
    for wrong in ({}, {"count": 0}):
        with pytest.raises(InvalidArgumentError, match="takes at least 1 dimension"):
            Blocks(wrong)
    with pytest.raises(InvalidArgumentError, match="temperatures that fall"):
        Learned("count", 4, temperatures=(0.1, 1.0))


def test_questions_that_cannot_be_asked() -> None:
    network = make_network("gru", 4, len(TASK.vocabulary), generator(0))
    rows = prepare(network, draw_interventions(UpDown(TASK), ["count"], 20, generator(0)), "h")
    one = {"count": rows}
    with pytest.raises(InvalidArgumentError, match="must be of the same variables"):
        Question(one, one, Blocks({"phase": 1}), 0)
    with pytest.raises(UnknownNameError, match="unknown alignment function 'orthogonl': did you mean 'orthogonal'"):
        Question(one, one, Blocks({"count": 1}), 0, "orthogonl")
    with pytest.raises(UnknownNameError, match="unknown option of alignment function 'linear' 'ordr'"):
        Question(one, one, Blocks({"count": 1}), 0, "linear", {"ordr": "code"})
    with pytest.raises(UnknownNameError, match="unknown view 'whitened'"):
        Question(one, one, Blocks({"count": 1}), 0, "linear", {"view": "whitened"})
    with pytest.raises(InvalidArgumentError, match="1 to d = 4 dimensions of the state, got k = 5"):
        Starts(rows.natural_states()).make("orthogonal", {}, 5, "random", generator(0))
