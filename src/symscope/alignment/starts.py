"""What a search starts from: an alignment function of a named kind, at a frame or at random."""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor

from symscope.alignment.functions import (
    VIEWS,
    AlignmentFunction,
    GeneralLinear,
    Oblique,
    Orthogonal,
    Reversible,
    Through,
    View,
    principal_directions,
    random_subspace,
)
from symscope.alignment.functions.base import check_size
from symscope.errors import InvalidArgumentError, UnknownNameError

PRINCIPAL_COMPONENTS, RANDOM = "principal-components", "random"
Frame = Float[Tensor, "state k"]


def _orthogonal(d: int, k: int, frame: Frame | None, draws: Generator) -> AlignmentFunction:
    return Orthogonal(random_subspace(d, k, draws).write if frame is None else frame)


def _oblique(d: int, k: int, frame: Frame | None, draws: Generator) -> AlignmentFunction:
    return Oblique(random_subspace(d, k, draws).write if frame is None else frame)


def _linear(
    d: int,
    k: int,
    frame: Frame | None,
    draws: Generator,
    *,
    bias: bool = False,
    order: str = "paper",
) -> AlignmentFunction:
    del frame  # it starts at random always
    return GeneralLinear.random(d, k, draws, bias=bias, order=order)


def _reversible(
    d: int, k: int, frame: Frame | None, draws: Generator, *, hidden: int | None = None, blocks: int = 3
) -> AlignmentFunction:
    del frame
    return Reversible.random(d, k, draws, hidden=hidden, blocks=blocks)


FUNCTIONS: dict[str, Callable[..., AlignmentFunction]] = {
    "orthogonal": _orthogonal,
    "linear": _linear,
    "oblique": _oblique,
    "reversible": _reversible,
}
"""The alignment functions that can be searched, by name: from d, k, a frame to start at (or `None`, for a random start)
and a generator. The paper's linear map and the reversible network start at random always."""


def check_function(name: str, options: Mapping[str, Any]) -> None:
    """Raises `UnknownNameError` when there is no such alignment function, or no such option of it."""
    if name not in FUNCTIONS:
        raise UnknownNameError("alignment function", name, FUNCTIONS)
    known = {p.name for p in signature(FUNCTIONS[name]).parameters.values() if p.kind is p.KEYWORD_ONLY} | {"view"}
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of alignment function {name!r}", option, known)
    view = options.get("view")
    if view is not None and view not in VIEWS:
        raise UnknownNameError("view", view, VIEWS)


def function_label(name: str, options: Mapping[str, Any]) -> str:
    """What a function is called in tables: its name, and its options."""
    return "-".join([name, *(f"{option}{value}" for option, value in sorted(options.items()))])


class Starts:
    """Starts on one set of natural states; what they share is worked out once.

    Args:
        natural: natural states of the network at the site.
    """

    def __init__(self, natural: Float[Tensor, "samples state"]) -> None:
        self._natural = natural
        self._views: dict[str | None, View | None] = {None: None}
        self._directions: dict[str | None, Float[Tensor, "coordinates coordinates"]] = {}

    def make(
        self, name: str, options: Mapping[str, Any], k: int, at: Frame | str, draws: Generator
    ) -> AlignmentFunction:
        """A function of k dimensions to start from.

        Args:
            name: one of `FUNCTIONS`.
            options: those of the function; `view` names what it looks through, one of `VIEWS`.
            k: its dimensions.
            at: a frame; the leading principal components of the natural states; or at random.
            draws: the source of randomness.

        Raises:
            UnknownNameError: no such function, option or view.
            InvalidArgumentError: k is above the width of the state, or of the span that is looked through; a frame of
                another shape, or one that a view gives no meaning to.
        """
        check_function(name, options)
        rest = {option: value for option, value in options.items() if option != "view"}
        key = options.get("view")
        if key is not None and key not in self._views:
            self._views[key] = VIEWS[key](self._natural)
        view = self._views[key]
        seen = self._natural if view is None else (self._natural - view.mean) @ view.into.T
        d = seen.shape[1]
        check_size(d, k)
        if isinstance(at, Tensor):
            if view is not None or at.shape != (d, k):
                raise InvalidArgumentError(
                    f"a given start is a frame of {(d, k)} in the state itself, got {tuple(at.shape)}"
                )
            frame = at.to(seen)
        elif at == PRINCIPAL_COMPONENTS:
            if key not in self._directions:
                self._directions[key] = principal_directions(seen)
            frame = self._directions[key][:, :k]
        else:
            frame = None
        made = FUNCTIONS[name](d, k, frame, draws, **rest).to(seen)
        made = made if view is None else Through(made, view)
        made.name = function_label(name, options)
        return made
