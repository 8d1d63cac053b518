"""The check of alignment functions: all members pass, and each law catches a function that breaks it."""

from dataclasses import dataclass

import pytest
import torch

from symscope.alignment import FUNCTIONS, LinearAlignment, Orthogonal, Reversible, alignment_function
from symscope.alignment.functions import LinearFunction
from symscope.checks import check_alignment_function
from symscope.errors import BrokenLawError, InvalidArgumentError

MEMBERS = [
    *(alignment_function(name) for name in FUNCTIONS),
    LinearAlignment(order="code"),
    LinearAlignment(bias=True),
    Reversible(hidden=5, blocks=2),
]


@pytest.mark.parametrize("function", MEMBERS, ids=lambda function: function.label)
@pytest.mark.parametrize(("d", "k"), [(6, 3), (7, 2), (5, 5)])
def test_alignment_functions_keep_the_laws(function, d, k):
    check_alignment_function(function, d=d, k=k)


def test_functions_of_other_coordinates_are_not_checked():
    with pytest.raises(InvalidArgumentError, match="the function of the state itself, not of centred"):
        check_alignment_function(Orthogonal(coordinates="centred"))


@dataclass(frozen=True, kw_only=True)
class Spoiled(LinearFunction):
    """An orthonormal frame, spoiled in one way."""

    name = "spoiled"
    spoil: str = "nothing"

    def initialise(self, d, k, frame, generator):
        if self.spoil == "global":
            torch.rand(1)
        raw = torch.randn(d, k, generator=generator)
        return (raw if self.spoil == "untrainable" else torch.nn.Parameter(raw),)

    def factors(self, tensors, k):
        frames = torch.linalg.qr(tensors[0]).Q
        write, read = frames, frames.mT
        if self.spoil == "no projector":
            write = 1.1 * write
        if self.spoil == "mixes maps":
            write = write.mean(0, keepdim=True).expand_as(write)
        if self.spoil == "fixed":
            write, read = write.detach(), read.detach()
        return write, read

    def width(self, tensors):
        return len(tensors[0]) + (self.spoil == "width")

    def swap_batched(self, tensors, k, base, source, weights):
        if self.spoil == "in place":
            base += 1
        if self.spoil == "ignores weights":
            weights = None
        if self.spoil == "halves weights" and weights is not None:
            weights = weights / 2
        moved = self.spoil == "moves" or (self.spoil == "counts rows" and base.shape[1] == 1)
        return super().swap_batched(tensors, k, base, source, weights) + 0.1 * moved

    def read_batched(self, tensors, k, states):
        reads_neurons = self.spoil in ("reads neurons", "batch reads neurons")
        return states[..., :k] if reads_neurons else super().read_batched(tensors, k, states)

    def select(self, tensors, k, dimensions):
        if self.spoil in (
            "in place",
            "moves",
            "counts rows",
            "reads neurons",
        ):  # a map that swaps as the function does in a batch
            return super(LinearFunction, self).select(tensors, k, dimensions)
        selected = super().select(tensors, k, dimensions)
        if self.spoil == "selects all" and dimensions != slice(0, k):
            return super().select(tensors, k, slice(0, dimensions.stop - dimensions.start))
        return selected


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        ("untrainable", "a map has tensors to train"),
        ("global", "initialise draws from its generator argument and from no other"),
        ("width", "width is that of the states; 7 for 6"),
        ("no projector", "select gives the fixed map; not a projector: read @ write differs from the identity"),
        ("moves", "a state swapped with itself stays unchanged"),
        ("in place", "swap changes no argument in place; base"),
        ("counts rows", "a row does not depend on other rows"),
        ("reads neurons", "after a swap the aligned coordinates are those of the source"),
        ("selects all", "swaps of all parts one after another are the swap of the whole"),
        ("mixes maps", "maps in one batch give what each gives alone"),
        ("ignores weights", "zero weights swap nothing"),
        ("halves weights", "full weights are no weights"),
        ("batch reads neurons", "aligned coordinates in one batch are those of each map alone"),
        ("fixed", "a search can learn"),
    ],
)
def test_a_broken_function_is_caught(spoil, law):
    check_alignment_function(Spoiled())
    with pytest.raises(BrokenLawError, match=f"alignment function 'spoiled' breaks a law: .*({law})"):
        check_alignment_function(Spoiled(spoil=spoil))
