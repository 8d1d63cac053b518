"""The laws of alignment functions."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import nn

from symscope.alignment import Orthogonal, Subspace, neurons, principal_components, random_subspace, whole_state
from symscope.alignment.functions import swap_side_by_side
from symscope.errors import InvalidArgumentError
from symscope.seeds import generator

D = 10


def states(name: str, many: int = 40) -> torch.Tensor:
    return torch.randn(many, D, generator=generator(0, name))


def functions() -> list:
    found = Orthogonal(random_subspace(D, 3, generator(1)).write)
    return [
        found,
        neurons(D, [0, 4]),
        whole_state(D),
        random_subspace(D, 5, generator(2)),
        Orthogonal(random_subspace(D, D, generator(3)).write),
    ]


@pytest.mark.parametrize("function", functions(), ids=lambda f: f"{f.name}-{f.k}")
def test_swap_is_a_projection_of_the_difference(function) -> None:
    base, source = states("base"), states("source")
    swapped = function.swap(base, source)
    torch.testing.assert_close(function.swap(base, base), base)
    torch.testing.assert_close(function.swap(swapped, source), swapped, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(function.coordinates(swapped), function.coordinates(source), atol=1e-5, rtol=1e-5)
    if function.k == D:
        torch.testing.assert_close(swapped, source, atol=1e-5, rtol=1e-5)


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
        with torch.no_grad():
            thin.raw.copy_(rotation[:k].T)
        torch.testing.assert_close(thin.swap(base, source), literal, atol=1e-5, rtol=1e-5)


def test_frame_stays_orthonormal_whatever_adam_does_to_it() -> None:
    function = Orthogonal(random_subspace(D, 4, generator(5)).write)
    adam = torch.optim.Adam(function.parameters(), lr=0.05)
    for _ in range(300):
        adam.zero_grad()
        (function.swap(states("base"), states("source")) ** 4).sum().backward()
        adam.step()
        frame = function.frame()
        assert (frame.T @ frame - torch.eye(4)).abs().max() < 1e-5


def test_gradient_of_the_swap() -> None:
    function = Orthogonal(random_subspace(5, 2, generator(6)).write).double()
    base, source = (torch.randn(3, 5, generator=generator(0, name)).double() for name in "bs")

    def swap(raw: torch.Tensor) -> torch.Tensor:
        frame = torch.linalg.qr(raw).Q
        return base + (source - base) @ frame @ frame.T

    assert torch.autograd.gradcheck(swap, function.raw)
    torch.testing.assert_close(swap(function.raw), function.swap(base, source))


def test_side_by_side_equals_each_alone() -> None:
    several = functions()
    base = torch.stack([states(f"base{i}") for i in range(len(several))])
    source = torch.stack([states(f"source{i}") for i in range(len(several))])
    together = swap_side_by_side(several, base, source)
    for function, b, s, swapped in zip(several, base, source, together, strict=True):
        torch.testing.assert_close(function.swap(b, s), swapped)


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
