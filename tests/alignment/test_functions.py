"""Alignment functions: what a swap exchanges, and the same swap by a second route."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

import symscope as sc
from symscope.alignment import (
    FUNCTIONS,
    LinearAlignment,
    Oblique,
    Orthogonal,
    Reversible,
    alignment_function,
    neurons,
    principal_components,
    random_subspace,
    save_alignments,
    subspace,
    whole_state,
)
from symscope.alignment._search import initialise
from symscope.alignment.functions import AlignmentFunction, check_coordinates, coordinates_of
from symscope.alignment.natural import NaturalStates
from symscope.errors import CheckpointError, InvalidArgumentError, UnknownNameError
from symscope.seeds import generator
from symscope.training.checkpoints import save_tensors

D = 10


def states(name: str, count: int = 40, d: int = D) -> torch.Tensor:
    return torch.randn(count, d, generator=generator(0, name))


def natural(rank: int = D) -> NaturalStates:
    """States that vary in `rank` dimensions."""
    basis = torch.linalg.qr(states("basis", rank).T).Q
    return NaturalStates((states("natural", 200) * torch.linspace(0.1, 3, D)) @ basis @ basis.T + 1)


MAPS = {
    "orthogonal": (Orthogonal(), 3, natural()),
    "orthogonal of all dimensions": (Orthogonal(), D, natural()),
    "oblique": (Oblique(), 3, natural()),
    "oblique of all dimensions": (Oblique(), D, natural()),
    "linear": (LinearAlignment(), 4, natural()),
    "linear of all dimensions, with a bias": (LinearAlignment(bias=True), D, natural()),
    "linear in the order of the code": (LinearAlignment(order="code", bias=True), 4, natural()),
    "reversible": (Reversible(), 3, natural()),
    "reversible of all dimensions": (Reversible(hidden=5, blocks=2), D, natural()),
    "orthogonal, standardised": (Orthogonal(coordinates="standardised"), 3, natural()),
    "oblique, centred": (Oblique(coordinates="centred"), 3, natural()),
    "orthogonal, natural span": (Orthogonal(coordinates="natural-span"), 3, natural(6)),
    "reversible, standardised": (Reversible(coordinates="standardised"), 3, natural()),
    "reversible, natural span": (Reversible(coordinates="natural-span"), 3, natural(6)),
}


def make(name: str):
    """A map with random numbers: its function, its tensors and k."""
    function, k, states_of_network = MAPS[name]
    function, tensors = initialise(function, k, states_of_network, generator(0, name))
    with torch.no_grad():
        for tensor in tensors:
            if tensor.requires_grad:
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator(0, name, "noise")))
    return function, tensors, k


def alignments():
    made = {}
    for name in MAPS:
        function, tensors, k = make(name)
        made[name] = function.select(tensors, k, slice(0, k))
    return made | {
        "neurons": neurons(D, [0, 4]),
        "whole state": whole_state(D),
        "random subspace": random_subspace(D, 5, generator(2)),
    }


each_alignment = pytest.mark.parametrize("alignment", alignments().values(), ids=alignments())
each_map = pytest.mark.parametrize("name", MAPS)
CLOSE = {"atol": 5e-5, "rtol": 5e-5}


@each_alignment
def test_a_swap_exchanges_the_aligned_coordinates_and_nothing_else(alignment) -> None:
    base, source = states("base"), states("source")
    swapped = alignment.swap(base, source)
    torch.testing.assert_close(alignment.swap(base, base), base, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(alignment.swap(swapped, source), swapped, **CLOSE)
    torch.testing.assert_close(alignment.read(swapped), alignment.read(source), **CLOSE)
    torch.testing.assert_close(alignment.swap(swapped, base), base, **CLOSE)
    if alignment.k == D:
        torch.testing.assert_close(swapped, source, **CLOSE)
    assert not any(tensor.requires_grad for tensor in alignment.tensors)


@each_map
def test_parts_of_a_map_divide_its_swap(name) -> None:
    """P_v P_w = 0: the swap of a variable leaves another unchanged, and both together are the whole swap."""
    function, tensors, k = make(name)
    whole, first, rest = (function.select(tensors, k, part) for part in (slice(0, k), slice(0, 1), slice(1, k)))
    assert (first.k, rest.k, first.d) == (1, k - 1, D)
    base, source = states("base"), states("source")
    torch.testing.assert_close(rest.read(first.swap(base, source)), rest.read(base), **CLOSE)
    both = rest.swap(first.swap(base, source), source)
    torch.testing.assert_close(both, whole.swap(base, source), **CLOSE)


@each_map
@torch.no_grad()
def test_weights_exchange_a_share_of_each_dimension(name) -> None:
    function, tensors, k = make(name)
    stacked = [tensor[None] for tensor in tensors]
    base, source = states("base")[None], states("source")[None]
    weights = torch.rand(1, 40, k, generator=generator(0, "weights"))
    swapped = function.swap_batched(stacked, k, base, source, weights)
    mixed = torch.lerp(*(function.read_batched(stacked, k, side) for side in (base, source)), weights)
    torch.testing.assert_close(function.read_batched(stacked, k, swapped), mixed, **CLOSE)


@each_map
def test_gradients_agree_with_finite_differences(name) -> None:
    function, tensors, k = make(name)
    double = [tensor.detach().double().requires_grad_(tensor.requires_grad) for tensor in tensors]
    base, source = states("base", 3).double(), states("source", 3).double()

    def swap(*tensors):
        return function.swap_batched([tensor[None] for tensor in tensors], k, base[None], source[None], None)

    if name != "orthogonal of all dimensions":  # where the swap is constant
        assert torch.autograd.gradcheck(swap, double)
    fixed = function.select(double, k, slice(0, k))
    torch.testing.assert_close(swap(*double)[0].detach(), fixed.swap(base, source))


@each_alignment
def test_a_saved_and_loaded_alignment_is_the_same_bit_for_bit(alignment, tmp_path) -> None:
    base, source = states("base"), states("source")
    path = str(tmp_path / "alignments.safetensors")  # a text path, not a Path
    save_alignments(path, {"count": alignment, "again": alignment}, {"seed": 3})
    loaded = sc.load(path)
    assert list(loaded) == ["count", "again"]
    for same in loaded.values():
        assert (same.function, same.name, same.d, same.k) == (
            alignment.function,
            alignment.name,
            alignment.d,
            alignment.k,
        )
        assert torch.equal(same.swap(base, source), alignment.swap(base, source))
        assert torch.equal(same.read(base), alignment.read(base))


def test_files_that_hold_no_alignments_are_refused(tmp_path) -> None:
    save_tensors(tmp_path / "weights.safetensors", {"weight": torch.ones(2)}, {})
    with pytest.raises(CheckpointError, match="neither a network, nor results, nor alignments"):
        sc.load(tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        sc.load(tmp_path / "absent.safetensors")
    save_tensors(tmp_path / "damaged.safetensors", {}, {"kind": "alignments", "names": ["count"]})
    with pytest.raises(CheckpointError, match="does not hold alignments that can be read"):
        sc.load(tmp_path / "damaged.safetensors")


@dataclass(frozen=True, kw_only=True)
class Squash(AlignmentFunction):
    """A user's non-linear function: each coordinate by itself, z = h^3 + scale h, of the first k coordinates."""

    name = "squash"
    power: int = 3

    def initialise(self, d, k, start, generator):
        return (nn.Parameter(torch.rand(d, generator=generator) + 0.5),)

    def swap_batched(self, tensors, k, base, source, weights):
        del tensors  # a map of each coordinate by itself cancels from a swap of whole coordinates
        first = torch.arange(base.shape[-1]) < k
        return torch.where(first, source, base)

    def read_batched(self, tensors, k, states):
        return (states**self.power + tensors[0][:, None] * states)[..., :k]

    def width(self, tensors):
        return len(tensors[0])


@pytest.mark.parametrize("coordinates", ["state", "natural-span"])
def test_a_users_own_function_is_saved_and_loaded_by_its_class(coordinates, tmp_path) -> None:
    function, tensors = initialise(Squash(power=5, coordinates=coordinates), 2, natural(6), generator(0))
    alignment = function.select(tensors, 2, slice(0, 2))
    path = tmp_path / "own.safetensors"
    save_alignments(path, {"count": alignment})
    loaded = sc.load(path, classes=[Squash])["count"]
    assert loaded.function == alignment.function
    base, source = states("base"), states("source")
    assert torch.equal(loaded.swap(base, source), alignment.swap(base, source))
    assert torch.equal(loaded.read(base), alignment.read(base))
    with pytest.raises(CheckpointError, match=r"own.safetensors: .*class 'Squash'.*load\(path, classes=\[Squash\]\)"):
        sc.load(path)


@pytest.mark.parametrize("coordinates", ["state", "centred", "standardised", "natural-span"])
@pytest.mark.parametrize("function", [Orthogonal, Oblique])
def test_a_start_is_a_projector_in_coordinates_of_the_state(function, coordinates) -> None:
    given, k = natural(6), 2
    draws = generator(3)
    encode, decode, _ = coordinates_of(coordinates, given.states.float(), function.whitening)
    frame = torch.linalg.qr(torch.randn(len(encode), k, generator=draws)).Q
    read = frame.T if function is Orthogonal else frame.T + 0.3 * torch.randn(k, len(encode), generator=draws)
    read = torch.linalg.solve(read @ frame, read)
    start = subspace(decode @ frame, read @ encode)
    made, tensors = initialise(function(coordinates=coordinates), k, given, generator(0), start.tensors)
    started = made.select(tensors, k, slice(0, k))
    torch.testing.assert_close(started.swap(states("base"), states("source")), start.swap(states("base"),
                               states("source")), atol=1e-4, rtol=1e-4)  # fmt: skip
    with pytest.raises(InvalidArgumentError, match=r"a start has the shape \(10, 3\), got \(10, 2\)"):
        initialise(function(coordinates=coordinates), 3, given, generator(0), start.tensors)


def test_an_orthogonal_projector_of_the_state_is_reached_in_the_natural_span() -> None:
    """Coordinates of the span must keep angles, or a start that is orthogonal in the state becomes another map."""
    given = natural(6)
    frame = given.axes.directions.float() @ torch.linalg.qr(torch.randn(6, 2, generator=generator(3))).Q
    function = Orthogonal(coordinates="natural-span")
    made, tensors = initialise(function, 2, given, generator(0), (frame, frame.T))
    write, read = made.select(tensors, 2, slice(0, 2)).tensors
    torch.testing.assert_close(write @ read, frame @ frame.T, atol=1e-5, rtol=1e-4)


def test_the_thin_frame_equals_torchs_full_parametrisation() -> None:
    full = nn.utils.parametrizations.orthogonal(nn.Linear(D, D, bias=False))
    nn.init.orthogonal_(full.weight, generator=generator(4))
    rotation = full.weight.detach()
    base, source = states("base"), states("source")
    for k in (1, 4, D):
        mask = (torch.arange(D) < k).float()
        # The paper's swap, literally: rotate, exchange the first k coordinates, rotate back.
        literal = ((1 - mask) * (base @ rotation.T) + mask * (source @ rotation.T)) @ rotation
        thin = Orthogonal().select([rotation[:k].T], k, slice(0, k))
        torch.testing.assert_close(thin.swap(base, source), literal, atol=1e-5, rtol=1e-5)


def smallest_difference(swap, parameters) -> float:
    """How far a swap can be trained towards that of a given subspace."""
    base, source = states("base", 200), states("source", 200)
    target = random_subspace(D, 3, generator(11)).swap(base, source)
    adam = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(600):
        adam.zero_grad()
        loss = (swap(base, source) - target).square().mean()
        loss.backward()
        adam.step()
    return float(loss.detach())


def test_the_thin_frame_reaches_what_torchs_full_parametrisation_reaches() -> None:
    full = nn.utils.parametrizations.orthogonal(nn.Linear(D, D, bias=False))
    nn.init.orthogonal_(full.weight, generator=generator(4))
    mask = (torch.arange(D) < 3).float()

    def literal(base, source):
        return torch.lerp(base @ full.weight.T, source @ full.weight.T, mask) @ full.weight

    (frame,) = Orthogonal().initialise(D, 3, None, generator(12))

    def thin(base, source):
        return Orthogonal().swap_batched([frame[None]], 3, base[None], source[None], None)[0]

    assert smallest_difference(literal, full.parameters()) < 1e-6
    assert smallest_difference(thin, [frame]) < 1e-6


def test_oblique_reaches_what_the_papers_linear_map_reaches_and_orthogonal_does_not() -> None:
    base, source = states("base", 200), states("source", 200)
    tensors = LinearAlignment().initialise(D, 3, None, generator(13))
    linear = LinearAlignment().select(tensors, 3, slice(0, 3))
    write, read = linear.tensors
    oblique = Oblique().select([write, read], 3, slice(0, 3))
    torch.testing.assert_close(oblique.swap(base, source), linear.swap(base, source), **CLOSE)
    projector = write @ read
    assert (projector - projector.T).abs().max() > 0.1  # not an orthogonal projector


@pytest.mark.parametrize("order", ["paper", "code"])
def test_the_papers_linear_map_cannot_write_every_projector(order) -> None:
    function = LinearAlignment(order=order)
    for seed in range(20):
        tensors = [3 * tensor.detach().double() for tensor in function.initialise(D, 3, None, generator(seed))]
        write, read = function.select(tensors, 3, slice(0, 3)).tensors
        assert torch.linalg.eigvals((write @ read)[:3, :3]).real.min() > 1 - 1e-9
    frame = torch.linalg.qr(states("frame", 3).T.double()).Q
    assert torch.linalg.eigvalsh((frame @ frame.T)[:3, :3]).max() < 1


@pytest.mark.parametrize("order", ["paper", "code"])
def test_the_papers_linear_map_literally(order) -> None:
    """f(h) = X h + b, the first k coordinates exchanged, and back by solving; in both orders of the factors."""
    base, source = states("base").double(), states("source").double()
    mask = (torch.arange(D) < 4).double()
    function = LinearAlignment(bias=True, order=order)
    matrix, scales, _ = (tensor.detach().double() for tensor in function.initialise(D, 4, None, generator(14)))
    bias = states("bias", 1)[0].double()
    positive = matrix @ matrix.T + 0.1 * torch.eye(D).double()
    diagonal = torch.diag(torch.tanh(scales) + 0.1 * torch.sign(torch.tanh(scales)))
    x = positive @ diagonal if order == "paper" else diagonal @ positive
    aligned = torch.lerp(base @ x.T + bias, source @ x.T + bias, mask)
    literal = torch.linalg.solve(x, (aligned - bias).T).T
    stacked = [tensor[None] for tensor in (matrix, scales, bias)]
    swapped = function.swap_batched(stacked, 4, base[None], source[None], None)[0]
    torch.testing.assert_close(swapped, literal)
    read = function.read_batched(stacked, 4, base[None])[0]
    torch.testing.assert_close(read, (base @ x.T + bias)[:, :4])


def test_in_the_order_of_the_authors_code_the_scales_cancel() -> None:
    base, source = states("base"), states("source")
    for order, cancels in (("code", True), ("paper", False)):
        function = LinearAlignment(order=order)
        matrix, scales = function.initialise(D, 4, None, generator(16))
        swaps = [
            function.select([matrix, scales + add], 4, slice(0, 4)).swap(base, source) for add in (0, 1)
        ]  # fmt: skip
        assert (float((swaps[0] - swaps[1]).abs().max()) < 1e-3) == cancels


@pytest.mark.parametrize("function", [Orthogonal, Oblique, LinearAlignment, Reversible])
def test_no_swap_in_coordinates_of_the_natural_span_leaves_it(function) -> None:
    basis = torch.linalg.qr(states("basis", 4).T).Q
    within = states("natural", 300) @ basis @ basis.T + 2
    inside = NaturalStates(within)
    made, tensors = initialise(function(coordinates="natural-span"), 2, inside, generator(0))
    alignment = made.select(tensors, 2, slice(0, 2))
    moved = alignment.swap(within[:40], within[40:80]) - within.mean(0)
    assert float(moved.norm()) > 1
    assert float((moved - moved @ basis @ basis.T).norm() / moved.norm()) < 1e-5
    # A state off the span keeps the part that lies off it.
    away = torch.linalg.qr(torch.cat([basis, states("away", 1).T], 1)).Q[:, 4]
    swapped = alignment.swap(within[:1] + 5 * away, within[1:2])
    torch.testing.assert_close((swapped - within[:1]) @ away, torch.tensor([5.0]), atol=1e-4, rtol=0)
    with pytest.raises(InvalidArgumentError, match="1 to d = 4 dimensions of the state, got k = 5"):
        initialise(function(coordinates="natural-span"), 5, inside, generator(0))


def test_coordinates_encode_and_decode() -> None:
    given = natural(6)
    for name in ("centred", "standardised", "natural-span"):
        encode, decode, mean = coordinates_of(name, given.states)
        coordinates = (given.states - mean) @ encode.T
        torch.testing.assert_close(coordinates @ decode.T + mean, given.states, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(coordinates.mean(0), torch.zeros(encode.shape[0]).double(), atol=1e-5, rtol=0)
    centred = given.states - given.states.mean(0)
    torch.testing.assert_close(centred / centred.std(0), centred @ coordinates_of("standardised", given.states)[0].T)
    constant = given.states.index_fill(1, torch.tensor([3]), 2.0)
    assert coordinates_of("standardised", constant)[0][3, 3] == 1  # a unit that does not vary is not divided by zero
    with pytest.raises(UnknownNameError, match="unknown coordinates 'whitened'"):
        check_coordinates("whitened")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["orthogonal", "oblique", "linear", "reversible"])
def test_float32_maps_stay_exact_over_twenty_thousand_steps(name) -> None:
    """The coordinates of the source arrive: to 1e-5 for an orthogonal frame, to 1e-3 for the rest."""
    function, tensors, k = make(name)
    base, source, target = states("base"), states("source"), states("target")
    adam = torch.optim.Adam([tensor for tensor in tensors if tensor.requires_grad], lr=1e-3)
    for step in range(20_000):
        adam.zero_grad()
        swapped = function.swap_batched([tensor[None] for tensor in tensors], k, base[None], source[None], None)[0]
        (swapped - target).square().mean().backward()
        adam.step()
        if step % 100 == 0:
            fixed = function.select(tensors, k, slice(0, k))
            read = fixed.read(source)
            error = (fixed.read(fixed.swap(base, source)) - read).abs().max()
            assert error < (1e-5 if name == "orthogonal" else 1e-3) * read.abs().max()


def test_an_oblique_projector_reads_and_writes_along_different_directions() -> None:
    write, read = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, 0.0]])
    swapped = subspace(write, read).swap(torch.zeros(1, 2), torch.tensor([[3.0, 7.0]]))
    assert swapped.tolist() == [[3.0, 3.0]]


def test_principal_components_agree_with_scikit_learn() -> None:
    given = states("natural", 200) * torch.linspace(0.1, 3, D)
    ours = principal_components(given, 3).tensors[1].double().numpy()
    reference = PCA(3).fit(given.double().numpy()).components_
    np.testing.assert_allclose(ours.T @ ours, reference.T @ reference, atol=1e-5)


def test_names_and_labels() -> None:
    assert set(FUNCTIONS) == {"orthogonal", "oblique", "linear", "reversible"}
    assert alignment_function("linear", order="code", bias=True) == LinearAlignment(order="code", bias=True)
    for function, label in (
        (Oblique(), "oblique"),
        (Oblique(coordinates="natural-span"), "oblique-natural-span"),
        (LinearAlignment(order="code", bias=True), "linear-biasTrue-ordercode"),
    ):
        assert function.label == label
        tensors = function.initialise(D, 2, None, generator(0))
        assert function.select(tensors, 2, slice(0, 1)).name == label
    assert repr(neurons(D, [1, 2])) == "Alignment(identity, d = 10, k = 2)"
    with pytest.raises(UnknownNameError, match="unknown alignment function 'orthogonl': did you mean 'orthogonal'"):
        alignment_function("orthogonl")
    with pytest.raises(UnknownNameError, match="unknown option of alignment function 'linear' 'ordr'"):
        alignment_function("linear", ordr="code")
    with pytest.raises(UnknownNameError, match="unknown coordinates 'whitened'"):
        alignment_function("linear", coordinates="whitened")


def test_the_same_map_in_another_precision() -> None:
    base, source = states("base").double(), states("source").double()
    for alignment in alignments().values():
        double = alignment.to(torch.double)
        assert double.swap(base, source).dtype == torch.double
        torch.testing.assert_close(double.swap(base, source).float(), alignment.swap(base.float(), source.float()),
                                   **CLOSE)  # fmt: skip


def test_maps_that_are_not_possible_are_refused() -> None:
    for k in (0, D + 1):
        with pytest.raises(InvalidArgumentError, match=f"1 to d = {D} dimensions.*k = {k}"):
            random_subspace(D, k, generator(0))
    with pytest.raises(InvalidArgumentError, match="differs from the identity"):
        subspace(torch.ones(D, 2))
    with pytest.raises(InvalidArgumentError, match="read must be"):
        subspace(torch.eye(D)[:, :2], torch.eye(D)[:3])
    for wrong in ([1, 1], [D]):
        with pytest.raises(InvalidArgumentError, match="different neurons"):
            neurons(D, wrong)
    with pytest.raises(InvalidArgumentError, match="differs from the identity"):  # the map has become singular
        Oblique().select([torch.eye(D)[:, :2], torch.eye(D)[2:4]], 2, slice(0, 2))
    with pytest.raises(InvalidArgumentError, match="two halves"):
        Reversible().initialise(1, 1, None, generator(0))
    with pytest.raises(InvalidArgumentError, match="at least one block"):
        Reversible(blocks=0)
    with pytest.raises(InvalidArgumentError, match="cannot be searched"):
        initialise(neurons(D, [1]).function, 1, natural(), generator(0))
