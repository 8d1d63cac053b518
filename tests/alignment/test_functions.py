"""The laws of alignment functions."""

import copy

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from symscope.alignment import (
    GeneralLinear,
    Oblique,
    Orthogonal,
    Reversible,
    Subspace,
    Through,
    load_functions,
    neurons,
    principal_components,
    random_subspace,
    save_functions,
    whole_state,
)
from symscope.alignment.functions import centred, spanned, standardised
from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.seeds import generator
from symscope.training.checkpoints import save_tensors

D = 10


def states(name: str, many: int = 40) -> torch.Tensor:
    return torch.randn(many, D, generator=generator(0, name))


def functions() -> list:
    frame = random_subspace(D, 3, generator(1)).write
    wide = states("natural", 200) * torch.linspace(0.1, 3, D)
    flat = wide @ torch.linalg.qr(states("basis", 6).T).Q @ torch.linalg.qr(states("basis", 6).T).Q.T
    return [
        Orthogonal(frame),
        neurons(D, [0, 4]),
        whole_state(D),
        random_subspace(D, 5, generator(2)),
        Orthogonal(random_subspace(D, D, generator(3)).write),
        Oblique(frame, frame.T + 0.3 * states("read", 3)),
        Oblique(torch.eye(D) + 0.2 * states("write", D), torch.eye(D) + 0.2 * states("read", D)),
        GeneralLinear.random(D, 4, generator(4)),
        GeneralLinear.random(D, D, generator(5), bias=True),
        GeneralLinear.random(D, 4, generator(6), bias=True, order="code"),
        Reversible.random(D, 3, generator(7)),
        Reversible.random(D, D, generator(8), hidden=5, blocks=2),
        Through(Orthogonal(frame), standardised(wide)),
        Through(Oblique(frame), centred(wide)),
        Through(Orthogonal(random_subspace(6, 3, generator(9)).write), spanned(flat)),
        Through(Reversible.random(D, 3, generator(10)), standardised(wide)),
    ]


NAMES = [f"{index}-{type(f).__name__}-{f.name}-{f.k}" for index, f in enumerate(functions())]
each_function = pytest.mark.parametrize("function", functions(), ids=NAMES)
CLOSE = {"atol": 3e-5, "rtol": 3e-5}


@each_function
@torch.no_grad()
def test_swap_exchanges_the_coordinates_and_nothing_else(function) -> None:
    base, source = states("base"), states("source")
    swapped = function.swap(base, source)
    torch.testing.assert_close(function.swap(base, base), base, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(function.swap(swapped, source), swapped, **CLOSE)
    torch.testing.assert_close(function.coordinates(swapped), function.coordinates(source), **CLOSE)
    torch.testing.assert_close(function.swap(swapped, base), base, **CLOSE)  # f^-1 f is the identity
    if function.k == D:
        torch.testing.assert_close(swapped, source, **CLOSE)


@each_function
@torch.no_grad()
def test_parts_of_one_map_share_out_its_swap(function) -> None:
    """P_v P_w = 0: swapping one variable leaves the other as it was, and both together are the whole swap."""
    if function.k < 2:
        pytest.skip("one dimension has no parts")
    base, source = states("base"), states("source")
    one, other = function.part(slice(0, 1)), function.part(slice(1, function.k))
    assert (one.k, other.k) == (1, function.k - 1)
    torch.testing.assert_close(other.coordinates(one.swap(base, source)), other.coordinates(base), **CLOSE)
    torch.testing.assert_close(other.swap(one.swap(base, source), source), function.swap(base, source), **CLOSE)
    whole = function.part(slice(0, function.k))
    torch.testing.assert_close(whole.swap(base, source), function.swap(base, source), **CLOSE)
    assert not any(parameter.requires_grad for part in (one, other, whole) for parameter in part.parameters())


@each_function
@torch.no_grad()
def test_a_mask_exchanges_a_share_of_each_dimension(function) -> None:
    base, source = states("base"), states("source")
    mask = torch.rand(len(base), function.k, generator=generator(0, "mask"))
    stacked = [tensor[None] for tensor in function.tensors()]
    (swapped,) = function.exchange(stacked, base[None], source[None], mask[None])
    mixed = torch.lerp(function.coordinates(base), function.coordinates(source), mask)
    torch.testing.assert_close(function.coordinates(swapped), mixed, **CLOSE)


@each_function
def test_gradients_against_finite_differences(function) -> None:
    double = copy.deepcopy(function).double()
    base, source = states("base", 3).double(), states("source", 3).double()

    def swap(*tensors):
        return double.exchange([tensor[None] for tensor in tensors], base[None], source[None], None)

    given = [tensor.detach().requires_grad_(tensor.requires_grad) for tensor in double.tensors()]
    if any(tensor.requires_grad for tensor in given) and not (
        function.name == "orthogonal" and function.k == function.d
    ):
        assert torch.autograd.gradcheck(swap, given)
    torch.testing.assert_close(swap(*given)[0], double.swap(base, source))


@each_function
@torch.no_grad()
def test_saved_and_loaded_swaps_the_same_bit_for_bit(function, tmp_path) -> None:
    base, source = states("base"), states("source")
    part = function.part(slice(0, 1))
    save_functions(tmp_path / "all.safetensors", {"whole": function, "count": part}, {"seed": 3})
    loaded, facts = load_functions(tmp_path / "all.safetensors")
    assert facts == {"seed": 3}
    for name, own in (("whole", function), ("count", part)):
        assert (type(loaded[name]), loaded[name].name, loaded[name].k) == (type(own), own.name, own.k)
        assert torch.equal(loaded[name].swap(base, source), own.swap(base, source))
        assert torch.equal(loaded[name].coordinates(base), own.coordinates(base))


def test_what_is_no_file_of_alignment_functions_is_refused(tmp_path) -> None:
    save_tensors(tmp_path / "other.safetensors", {"weight": torch.ones(2)}, {})
    with pytest.raises(CheckpointError, match="does not hold alignment functions"):
        load_functions(tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load_functions(tmp_path / "absent.safetensors")


def test_thin_frame_equals_torchs_full_parametrisation() -> None:
    full = nn.utils.parametrizations.orthogonal(nn.Linear(D, D, bias=False))
    nn.init.orthogonal_(full.weight, generator=generator(4))
    rotation = full.weight.detach()
    base, source = states("base"), states("source")
    for k in (1, 4, D):
        mask = (torch.arange(D) < k).float()
        # The paper's swap, literally: rotate, exchange the first k coordinates, rotate back.
        literal = ((1 - mask) * (base @ rotation.T) + mask * (source @ rotation.T)) @ rotation
        thin = Orthogonal(random_subspace(D, k, generator(0)).write)
        thin = thin.with_tensors([rotation[:k].T])
        torch.testing.assert_close(thin.swap(base, source), literal, atol=1e-5, rtol=1e-5)


def minimised(swap, parameters) -> float:
    """How far a swap can be brought to what a given rotation swaps."""
    base, source = states("base", 200), states("source", 200)
    wanted = random_subspace(D, 3, generator(11)).swap(base, source)
    adam = torch.optim.Adam(parameters, lr=0.02)
    for _ in range(600):
        adam.zero_grad()
        loss = (swap(base, source) - wanted).square().mean()
        loss.backward()
        adam.step()
    return float(loss.detach())


def test_thin_frame_reaches_what_torchs_full_parametrisation_reaches() -> None:
    full = nn.utils.parametrizations.orthogonal(nn.Linear(D, D, bias=False))
    nn.init.orthogonal_(full.weight, generator=generator(4))
    mask = (torch.arange(D) < 3).float()

    def literal(base, source):
        return (torch.lerp(base @ full.weight.T, source @ full.weight.T, mask)) @ full.weight

    thin = Orthogonal(random_subspace(D, 3, generator(12)).write)
    assert minimised(literal, full.parameters()) < 1e-6
    assert minimised(thin.swap, thin.parameters()) < 1e-6


def test_oblique_reaches_what_the_papers_linear_map_reaches_and_orthogonal_does_not() -> None:
    base, source = states("base", 200), states("source", 200)
    laf = GeneralLinear.random(D, 3, generator(13))
    with torch.no_grad():
        wanted = laf.swap(base, source)
        write, read = (factor[0] for factor in laf.factors([tensor[None] for tensor in laf.tensors()]))
    torch.testing.assert_close(Oblique(write, read).swap(base, source), wanted, **CLOSE)
    with torch.no_grad():
        projector = write @ read
    assert (projector - projector.T).abs().max() > 0.1  # no orthogonal projector, that is


def test_the_papers_linear_map_literally() -> None:
    """f(h) = X h + b, the first k coordinates exchanged, and back by solving; in both orders of the factors."""
    base, source = states("base").double(), states("source").double()
    mask = (torch.arange(D) < 4).double()
    for order in ("paper", "code"):
        laf = GeneralLinear.random(D, 4, generator(14), bias=True, order=order).double()
        with torch.no_grad():
            laf.bias.normal_(generator=generator(15))
            positive = laf.matrix @ laf.matrix.T + 0.1 * torch.eye(D).double()
            diagonal = torch.diag(torch.tanh(laf.scales) + 0.1 * torch.sign(torch.tanh(laf.scales)))
            x = positive @ diagonal if order == "paper" else diagonal @ positive
            aligned = torch.lerp(base @ x.T + laf.bias, source @ x.T + laf.bias, mask)
            literal = torch.linalg.solve(x, (aligned - laf.bias).T).T
            torch.testing.assert_close(laf.swap(base, source), literal)
            torch.testing.assert_close(laf.coordinates(base), (base @ x.T + laf.bias)[:, :4])


def test_in_the_order_of_the_authors_code_the_scales_cancel() -> None:
    base, source = states("base"), states("source")
    for order, cancels in (("code", True), ("paper", False)):
        laf = GeneralLinear.random(D, 4, generator(16), order=order)
        other = laf.with_tensors([laf.matrix, laf.scales + 1])
        with torch.no_grad():
            moved = float((laf.swap(base, source) - other.swap(base, source)).abs().max())
        assert (moved < 1e-3) == cancels


def test_within_the_span_of_natural_states_no_swap_leaves_it() -> None:
    basis = torch.linalg.qr(states("basis", 4).T).Q
    natural = states("natural", 300) @ basis @ basis.T + 2
    for inner in (Orthogonal(random_subspace(4, 2, generator(0)).write), Reversible.random(4, 2, generator(1))):
        function = Through(inner, spanned(natural))
        with torch.no_grad():
            moved = function.swap(natural[:40], natural[40:80]) - natural.mean(0)
        assert float(moved.norm()) > 1
        assert float((moved - moved @ basis @ basis.T).norm() / moved.norm()) < 1e-5
    with pytest.raises(InvalidArgumentError, match="does not fit 4 coordinates"):
        Through(Orthogonal(torch.eye(5)[:, :2]), spanned(natural))


@pytest.mark.slow
@pytest.mark.parametrize("index", [0, 5, 7, 10], ids=["orthogonal", "oblique", "linear", "reversible"])
def test_float32_maps_stay_exact_over_twenty_thousand_steps(index) -> None:
    """Coordinates come back as they were put in: to 1e-5 for an orthogonal frame, to 1e-3 for the others."""
    function, target = functions()[index], states("target", 40)
    base, source = states("base"), states("source")
    adam = torch.optim.Adam(function.parameters(), lr=1e-3)
    for step in range(20_000):
        adam.zero_grad()
        (function.swap(base, source) - target).square().mean().backward()
        adam.step()
        if step % 100 == 0:
            with torch.no_grad():
                error = (function.coordinates(function.swap(base, source)) - function.coordinates(source)).abs().max()
                size = function.coordinates(source).abs().max()
            assert error < (1e-5 if index == 0 else 1e-3) * size
    if index == 0:
        with torch.no_grad():
            part = function.part(slice(0, 3))
        assert (part.read @ part.write - torch.eye(3)).abs().max() < 1e-5


def test_oblique_projector_reads_and_writes_along_other_directions() -> None:
    write, read = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0, 0.0]])
    swapped = Subspace(write, read).swap(torch.zeros(1, 2), torch.tensor([[3.0, 7.0]]))
    assert swapped.tolist() == [[3.0, 3.0]]


def test_principal_components_against_scikit_learn() -> None:
    natural = states("natural", 200) * torch.linspace(0.1, 3, D)
    mine = principal_components(natural, 3)
    theirs = PCA(3).fit(natural.double().numpy()).components_
    projectors = [frame.T @ frame for frame in (mine.read.double().numpy(), theirs)]
    np.testing.assert_allclose(*projectors, atol=1e-5)


def test_errors() -> None:
    for k in (0, D + 1):
        with pytest.raises(InvalidArgumentError, match=f"1 to d = {D} dimensions.*k = {k}"):
            random_subspace(D, k, generator(0))
    with pytest.raises(InvalidArgumentError, match="off the identity"):
        Subspace(torch.ones(D, 2))
    with pytest.raises(InvalidArgumentError, match="read must be"):
        Subspace(torch.eye(D)[:, :2], torch.eye(D)[:3])
    for wrong in ([1, 1], [D]):
        with pytest.raises(InvalidArgumentError, match="different neurons"):
            neurons(D, wrong)
    with pytest.raises(InvalidArgumentError, match="singular"):
        Oblique(torch.eye(D)[:, :2], torch.eye(D)[2:4])
    with pytest.raises(InvalidArgumentError, match="read must be"):
        Oblique(torch.eye(D)[:, :2], torch.eye(D)[:3])
    with pytest.raises(InvalidArgumentError, match="'paper' or 'code'"):
        GeneralLinear.random(D, 2, generator(0), order="other")
    with pytest.raises(InvalidArgumentError, match="two halves"):
        Reversible.random(1, 1, generator(0))
    with pytest.raises(InvalidArgumentError, match="at least one block"):
        Reversible.random(D, 2, generator(0), blocks=0)
