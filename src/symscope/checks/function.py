"""The laws of alignment functions."""

import torch
from torch import Tensor

from symscope.alignment import Alignment, AlignmentFunction
from symscope.checks.laws import Laws
from symscope.errors import BrokenLawError, InvalidArgumentError
from symscope.seeds import generator

ROUNDING = 1e-5
"""Largest difference, as a share of the largest entry: a function may have constants in single precision."""
ROWS = 7


def check_alignment_function(function: AlignmentFunction, *, d: int = 6, k: int = 3, seed: int = 0) -> None:
    """Initialises a map of an alignment function, swaps random states, and checks the laws of `AlignmentFunction`.

    Args:
        function: the function, in coordinates of the state itself.
        d: width of the states.
        k: dimensions given to variables, at least 2.
        seed: draws the map and the states.

    Raises:
        InvalidArgumentError: the function has other coordinates than the state, which need natural states.
        BrokenLawError: the function breaks a law; the message names it.
    """
    if function.coordinates != "state":
        raise InvalidArgumentError(f"check the function of the state itself, not of {function.coordinates} coordinates")
    laws = Laws(f"alignment function {function.name!r}")
    laws.hold(bool(function.name), "an alignment function has a name")
    first, second = (_started(laws, function, d, k, generator(seed, "check", name)) for name in ("first", "second"))
    draws = generator(seed, "check")
    base, source = (torch.randn(ROWS, d, generator=draws, dtype=torch.double) for _ in ("base", "source"))
    try:
        whole = function.select(first, k, slice(0, k))
    except InvalidArgumentError as error:
        raise BrokenLawError(f"{laws.subject} breaks a law: select gives the fixed map; {error}") from error
    with torch.no_grad():
        swapped = _swaps(laws, whole, base, source)
        _parts(laws, function, first, k, base, source, swapped)
        _batched(laws, function, (first, second), k, base, source)
    _gradient(laws, function, first, k, base, source)


def _started(laws: Laws, function: AlignmentFunction, d: int, k: int, draws: torch.Generator) -> list[Tensor]:
    with laws.nothing_else_changes("initialise"):
        tensors = function.initialise(d, k, None, draws)
    laws.hold(any(tensor.requires_grad for tensor in tensors), "a map has tensors to train")
    laws.hold(function.width(tensors) == d, "width is that of the states", f"{function.width(tensors)} for {d}")
    return [tensor.detach().double().requires_grad_(tensor.requires_grad) for tensor in tensors]


def _close(first: Tensor, second: Tensor) -> bool:
    scale = max(float(first.abs().max()), float(second.abs().max()), 1.0)
    return first.shape == second.shape and float((first - second).abs().max()) <= ROUNDING * scale


def _swaps(laws: Laws, alignment: Alignment, base: Tensor, source: Tensor) -> Tensor:
    with laws.nothing_else_changes("swap", base=base, source=source):
        swapped = alignment.swap(base, source)
    laws.shape("a swap", swapped, tuple(base.shape), base.dtype)
    laws.hold(_close(alignment.swap(base, base), base), "a state swapped with itself stays unchanged")
    laws.hold(_close(alignment.swap(swapped, source), swapped), "a second swap with the same source changes nothing")
    laws.hold(_close(alignment.swap(swapped, base), base), "a swap back gives the base")
    read = alignment.read(source)
    laws.shape("aligned coordinates", read, (len(base), alignment.k), base.dtype)
    laws.hold(_close(alignment.read(swapped), read), "after a swap the aligned coordinates are those of the source")
    laws.hold(_close(alignment.swap(base[2:3], source[2:3]), swapped[2:3]), "a row does not depend on other rows")
    return swapped


def _parts(
    laws: Laws,
    function: AlignmentFunction,
    tensors: list[Tensor],
    k: int,
    base: Tensor,
    source: Tensor,
    swapped: Tensor,
) -> None:
    first, rest = (function.select(tensors, k, part) for part in (slice(0, 1), slice(1, k)))
    laws.hold(first.k == 1 and rest.k == k - 1, "a part has the selected dimensions")
    laws.hold(first.name == function.label, "a part has the label of the function", first.name)
    both = rest.swap(first.swap(base, source), source)
    laws.hold(_close(both, swapped), "swaps of all parts one after another are the swap of the whole")
    laws.hold(_close(rest.read(first.swap(base, source)), rest.read(base)), "the swap of a part leaves the other parts")


def _batched(
    laws: Laws,
    function: AlignmentFunction,
    maps: tuple[list[Tensor], list[Tensor]],
    k: int,
    base: Tensor,
    source: Tensor,
) -> None:
    stacked = [torch.stack(pair) for pair in zip(*maps, strict=True)]
    bases, sources = torch.stack([base, source]), torch.stack([source, base])
    together = function.swap_batched(stacked, k, bases, sources, None)
    alone = torch.stack(
        [
            function.select(tensors, k, slice(0, k)).swap(b, s)
            for tensors, b, s in zip(maps, bases, sources, strict=True)
        ]
    )
    laws.hold(_close(together, alone), "maps in one batch give what each gives alone")
    for amount, law, expected in (
        (1.0, "full weights are no weights", alone),
        (0.0, "zero weights swap nothing", bases),
    ):
        weights = torch.full((2, 1, k), amount, dtype=base.dtype)
        laws.hold(_close(function.swap_batched(stacked, k, bases, sources, weights), expected), law)
    read = function.read_batched(stacked, k, bases)
    alone = torch.stack([function.select(t, k, slice(0, k)).read(b) for t, b in zip(maps, bases, strict=True)])
    laws.hold(_close(read, alone), "aligned coordinates in one batch are those of each map alone")


def _gradient(
    laws: Laws, function: AlignmentFunction, tensors: list[Tensor], k: int, base: Tensor, source: Tensor
) -> None:
    trainable = [tensor for tensor in tensors if tensor.requires_grad]
    swapped = function.swap_batched([tensor[None] for tensor in tensors], k, base[None], source[None], None)
    total = swapped.square().sum()
    gradients = torch.autograd.grad(total, trainable, allow_unused=True) if total.requires_grad else []
    laws.hold(
        all(gradient is None or bool(gradient.isfinite().all()) for gradient in gradients)
        and any(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients),
        "a search can learn: gradients of its tensors are finite, and not all of them are zero",
    )
