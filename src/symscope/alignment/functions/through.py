"""An alignment function of other coordinates of the state: centred, scaled, or within a subspace.

States are taken to other coordinates, x = A (h - mean), the swap is made there, and what it moved is taken back,
h' = h + B (x' - x) with A B = I. What A does not see stays as it was.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, final

import torch
from jaxtyping import Float
from torch import Tensor

from symscope.alignment.functions.axes import VARIES, principal_axes
from symscope.alignment.functions.base import AlignmentFunction, LinearFunction, Mask
from symscope.alignment.functions.fixed import Subspace
from symscope.errors import InvalidArgumentError


class View(NamedTuple):
    """Other coordinates of a state."""

    into: Float[Tensor, "coordinates state"]
    back: Float[Tensor, "state coordinates"]
    mean: Float[Tensor, " state"]


def centred(natural: Float[Tensor, "samples state"]) -> View:
    """The state less the mean of natural states."""
    own = torch.eye(natural.shape[1], dtype=natural.dtype, device=natural.device)
    return View(own, own, natural.mean(0))


def standardised(natural: Float[Tensor, "samples state"]) -> View:
    """Each neuron in units of its standard deviation over natural states (one that hardly varies stays as it is)."""
    spread = natural.std(0)
    spread = torch.where(spread >= VARIES * spread.max(), spread, torch.ones_like(spread))
    return View(torch.diag(1 / spread), torch.diag(spread), natural.mean(0))


def spanned(natural: Float[Tensor, "samples state"]) -> View:
    """Coordinates of the span of natural states: no swap then leaves it."""
    axes = principal_axes(natural).in_use()
    within = axes.directions.to(natural)
    return View(within.T.contiguous(), within, axes.mean.to(natural))


VIEWS: dict[str, Callable[[Float[Tensor, "samples state"]], View]] = {
    "centred": centred,
    "standardised": standardised,
    "spanned": spanned,
}
"""What a search can look through, by name: from natural states to the view."""


@final
class Through(AlignmentFunction):
    """A function of other coordinates of the state.

    Args:
        inner: the function, as wide as there are coordinates.
        view: the coordinates.

    Raises:
        InvalidArgumentError: the function and the view do not fit together.
    """

    into: Tensor
    back: Tensor
    mean: Tensor

    def __init__(self, inner: AlignmentFunction, view: View) -> None:
        super().__init__(view.into.shape[1], inner.k)
        if inner.d != len(view.into):
            raise InvalidArgumentError(f"a function of {inner.d} dimensions does not fit {len(view.into)} coordinates")
        self.inner, self.name = inner, inner.name
        for name, tensor in view._asdict().items():
            self.register_buffer(name, tensor.detach().clone())

    def tensors(self) -> tuple[Tensor, ...]:
        """See `Stackable.tensors`: those of the function, and of the view."""
        return (*self.inner.tensors(), self.into, self.back, self.mean)

    def settings(self) -> Mapping[str, Any]:
        """See `Stackable.settings`."""
        return {"inner": type(self.inner).__name__, **self.inner.settings()}

    @classmethod
    def from_tensors(cls, settings: Mapping[str, Any], tensors: Sequence[Tensor]) -> "Through":
        """See `AlignmentFunction.from_tensors`."""
        from symscope.alignment.functions import KINDS  # noqa: PLC0415  (this kind is one of them)

        rest = {name: value for name, value in settings.items() if name != "inner"}
        return cls(KINDS[settings["inner"]].from_tensors(rest, tensors[:-3]), View(*tensors[-3:]))

    def exchange(
        self,
        tensors: Sequence[Float[Tensor, "functions ..."]],
        base: Float[Tensor, "functions batch state"],
        source: Float[Tensor, "functions batch state"],
        mask: Mask | None,
    ) -> Float[Tensor, "functions batch state"]:
        """See `AlignmentFunction.exchange`."""
        *inner, into, back, mean = tensors
        own, other = ((states - mean[:, None]) @ into.mT for states in (base, source))
        return base + (self.inner.exchange(inner, own, other, mask) - own) @ back.mT

    def part(self, dimensions: slice) -> AlignmentFunction:
        """See `AlignmentFunction.part`; of a linear function, a `Subspace` of the state itself."""
        part = self.inner.part(dimensions)
        if isinstance(self.inner, LinearFunction):
            assert isinstance(part, Subspace)
            return Subspace(self.back @ part.write, part.read @ self.into, name=self.name)
        through = Through(part, View(self.into, self.back, self.mean))
        through.name = self.name
        return through

    def coordinates(self, states: Float[Tensor, "batch state"]) -> Float[Tensor, "batch k"]:
        """See `AlignmentFunction.coordinates`."""
        return self.inner.coordinates((states - self.mean) @ self.into.T)
