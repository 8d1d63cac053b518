"""Checking one law: one sentence for the law, one for the place where it is broken."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from symscope.errors import BrokenLawError


class Laws:
    """Checks of one member of a family, such as one task.

    Args:
        subject: the member in words, such as `task 'multi-object'`; every message begins with it.
    """

    def __init__(self, subject: str) -> None:
        self.subject = subject

    def hold(self, kept: bool | Tensor, law: str, where: str = "") -> None:
        """Raises `BrokenLawError` unless `kept` is true, in a tensor everywhere."""
        if isinstance(kept, Tensor):
            kept = bool(kept.all())
        if not kept:
            raise BrokenLawError(f"{self.subject} breaks a law: {law}" + (f"; {where}" if where else ""))

    def shape(self, what: str, tensor: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        """Raises `BrokenLawError` unless the tensor has this shape and type."""
        actual = f"{tuple(tensor.shape)}, {tensor.dtype}"
        self.hold(
            tuple(tensor.shape) == shape and tensor.dtype == dtype,
            f"{what} has the shape {shape} and is {dtype}",
            actual,
        )

    @contextmanager
    def nothing_else_changes(self, doing: str, **arguments: Tensor | Mapping[str, Tensor]) -> Iterator[None]:
        """Raises `BrokenLawError` if the block changes an argument in place or draws from torch's global generator."""
        flat = {
            (name, key): tensor
            for name, argument in arguments.items()
            for key, tensor in (argument.items() if isinstance(argument, Mapping) else [("", argument)])
        }
        before = {name: tensor.clone() for name, tensor in flat.items()}
        random_state = torch.get_rng_state()
        yield
        self.hold(
            torch.equal(random_state, torch.get_rng_state()),
            f"{doing} draws from its generator argument and from no other (torch's global one was used)",
        )
        for (name, key), tensor in flat.items():
            self.hold(
                torch.equal(tensor, before[name, key]),
                f"{doing} changes no argument in place",
                f"{name}{f'[{key!r}]' if key else ''} was changed",
            )
