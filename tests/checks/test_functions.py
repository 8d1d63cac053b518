"""The laws of alignment functions: ours keep them in every form, and broken ones are caught."""

import pytest
import torch

from symscope.alignment import FUNCTIONS, Orthogonal, neurons, principal_components, random_subspace, whole_state
from symscope.alignment.functions import VIEWS, LinearFunction
from symscope.alignment.starts import Starts
from symscope.checks import check_alignment_function
from symscope.errors import BrokenLawError
from symscope.seeds import generator

NATURAL = torch.randn(200, 6, generator=generator(0)) @ torch.diag(torch.tensor([3.0, 2.0, 1.0, 1.0, 0.5, 0.0]))


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("view", [None, *VIEWS])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_ours_keep_the_laws(name, view, k):
    options = {} if view is None else {"view": view}
    for at in ("principal-components", "random"):
        check_alignment_function(Starts(NATURAL).make(name, options, k, at, generator(1)))


@pytest.mark.parametrize("options", [{"order": "code"}, {"bias": True}])
def test_forms_of_the_papers_map_keep_the_laws(options):
    check_alignment_function(Starts(NATURAL).make("linear", options, 2, "random", generator(1)))


def test_given_subspaces_keep_the_laws():
    for given in (
        neurons(6, [1, 4]),
        whole_state(6),
        random_subspace(6, 3, generator(0)),
        principal_components(NATURAL, 2),
    ):
        check_alignment_function(given)


class Spoiled(LinearFunction):
    """A frame, spoiled in one way."""

    name = "spoiled"

    def __init__(self, raw, spoil):
        super().__init__(*raw.shape)
        self.raw, self.spoil = torch.nn.Parameter(raw), spoil

    def tensors(self):
        return (self.raw,)

    def settings(self):
        return {"spoil": self.spoil}

    @classmethod
    def from_tensors(cls, settings, tensors):
        return cls(tensors[0].detach().clone(), settings["spoil"])

    def factors(self, tensors):
        frames = torch.linalg.qr(tensors[0]).Q
        write, read = frames, frames.mT
        if self.spoil == "no projector":
            write = 1.1 * write
        if self.spoil == "mixes":
            write = write.mean(0, keepdim=True).expand_as(write)
        if self.spoil == "fixed":
            write, read = write.detach(), read.detach()
        return write, read

    def swap(self, base, source):
        if self.spoil == "moves":
            return super().swap(base, source) + 0.1
        if self.spoil == "in place":
            base += 1
        if self.spoil == "rows":
            return super().swap(base, source + 0.1 * (source - source.mean(0)))
        return super().swap(base, source)

    def coordinates(self, states):
        return states[:, : self.k] if self.spoil == "coordinates" else super().coordinates(states)


@pytest.mark.parametrize(
    ("spoil", "law"),
    [
        ("no projector", "swapping twice is swapping once"),
        ("moves", "swapped with itself stays as it is"),
        ("in place", "changes no argument in place; base"),
        ("rows", "swapped with itself|swapping twice|rows beside it|back"),
        ("coordinates", "coordinates are those of the source"),
        ("mixes", "side by side do what each does alone"),
        ("fixed", "a search can learn"),
    ],
)
def test_a_broken_function_is_caught(spoil, law):
    frame = random_subspace(6, 2, generator(0)).write
    check_alignment_function(Orthogonal(frame))
    with pytest.raises(BrokenLawError, match=f"alignment function 'spoiled' breaks a law: .*({law})"):
        check_alignment_function(Spoiled(frame, spoil))
