"""The laws of alignment functions."""

import copy

import torch
from torch import Tensor

from symscope.alignment.functions import AlignmentFunction
from symscope.checks.laws import Laws
from symscope.seeds import generator

ROUNDING = 1e-5
"""As a share of the largest entry: what is fixed in a function may have been rounded to single precision."""
ROWS = 7


def check_alignment_function(function: AlignmentFunction, *, seed: int = 0) -> None:
    """Swaps random states and holds what comes out to the laws of `AlignmentFunction`, in double precision.

    Raises:
        BrokenLawError: which law is broken.
    """
    laws = Laws(f"alignment function {function.name!r}")
    laws.hold(bool(function.name), "an alignment function has a name")
    laws.hold(1 <= function.k <= function.d, "it gives 1 to d dimensions to variables", f"{function.k} of {function.d}")
    double = copy.deepcopy(function).double()
    draws = generator(seed, "check")
    base, source = (torch.randn(ROWS, double.d, generator=draws, dtype=torch.double) for _ in range(2))
    with torch.no_grad():
        swapped = _swaps(laws, double, base, source)
        _parts(laws, double, base, source, swapped)
        _side_by_side(laws, double, base, source)
    _gradient(laws, double, base, source)


def _close(one: Tensor, other: Tensor) -> bool:
    scale = max(float(one.abs().max()), float(other.abs().max()), 1.0)
    return one.shape == other.shape and float((one - other).abs().max()) <= ROUNDING * scale


def _swaps(laws: Laws, function: AlignmentFunction, base: Tensor, source: Tensor) -> Tensor:
    with laws.nothing_else_changes("swap", base=base, source=source):
        swapped = function.swap(base, source)
    laws.shape("a swap", swapped, tuple(base.shape), base.dtype)
    laws.hold(_close(function.swap(base, base), base), "a state swapped with itself stays as it is")
    laws.hold(_close(function.swap(swapped, source), swapped), "swapping twice is swapping once")
    laws.hold(_close(function.swap(swapped, base), base), "swapping back gives the base again")
    coordinates = function.coordinates(source)
    laws.shape("coordinates", coordinates, (len(base), function.k), base.dtype)
    laws.hold(
        _close(function.coordinates(swapped), coordinates), "after a swap the coordinates are those of the source"
    )
    laws.hold(
        _close(function.swap(base[2:3], source[2:3]), swapped[2:3]), "a row does not depend on the rows beside it"
    )
    return swapped


def _parts(laws: Laws, function: AlignmentFunction, base: Tensor, source: Tensor, swapped: Tensor) -> None:
    everything = function.part(slice(0, function.k))
    laws.hold(everything.name == function.name, "a part has the name of the whole", everything.name)
    laws.hold(_close(everything.swap(base, source), swapped), "the part of all dimensions is the function itself")
    if function.k > 1:
        first, rest = (function.part(part) for part in (slice(0, 1), slice(1, function.k)))
        laws.hold(first.k == 1 and rest.k == function.k - 1, "a part has the dimensions that it was given")
        both = rest.swap(first.swap(base, source), source)
        laws.hold(_close(both, swapped), "swapping its parts one after another is swapping the whole")
    again = type(function).from_tensors(function.settings(), function.tensors())
    laws.hold(_close(again.swap(base, source), swapped), "its settings and tensors are all that it is made of")


def _side_by_side(laws: Laws, function: AlignmentFunction, base: Tensor, source: Tensor) -> None:
    draws = generator(
        0, "others"
    )  # trainable tensors moved a little, so that they are surely fit; fixed ones as they are
    other = function.with_tensors(
        [
            tensor + 0.01 * tensor.requires_grad * torch.randn(tensor.shape, generator=draws, dtype=tensor.dtype)
            for tensor in function.tensors()
        ]
    )
    stacked = [torch.stack(pair) for pair in zip(function.tensors(), other.tensors(), strict=True)]
    own, theirs = torch.stack([base, source]), torch.stack([source, base])
    together = function.exchange(stacked, own, theirs, None)
    alone = torch.stack([function.swap(base, source), other.swap(source, base)])
    laws.hold(_close(together, alone), "functions side by side do what each does alone")
    for amount, law, wanted in ((1.0, "a full mask is no mask", alone), (0.0, "an empty mask changes nothing", own)):
        mask = torch.full((2, 1, function.k), amount, dtype=base.dtype)
        laws.hold(_close(function.exchange(stacked, own, theirs, mask), wanted), law)


def _gradient(laws: Laws, function: AlignmentFunction, base: Tensor, source: Tensor) -> None:
    trainable = [tensor for tensor in function.tensors() if tensor.requires_grad]
    if not trainable:
        return
    total = function.swap(base, source).square().sum()
    gradients = torch.autograd.grad(total, trainable, allow_unused=True) if total.requires_grad else []
    laws.hold(
        all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
        and any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients),
        "a search can learn: gradients of its tensors are finite, and not all of them zero",
    )
