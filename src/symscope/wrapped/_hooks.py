"""Reading and rewriting what passes one place of a torch module."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from symscope.errors import InvalidArgumentError

Change = Callable[[Tensor], Tensor | None]
"""Called with the tensor at a place; returns the tensor that replaces it, or `None` to leave it unchanged."""


@dataclass(frozen=True)
class Place:
    """The input or output of a module.

    Attributes:
        module: the module.
        side: its first input, or its output: a tensor, or the first entry of a tuple.
    """

    module: nn.Module
    side: Literal["input", "output"] = "output"


@contextmanager
def hooked(changes: dict[Place, Change]) -> Iterator[None]:
    """Calls each change with the tensor at its place, whenever its module runs inside the block."""
    with ExitStack() as stack:
        for place, change in changes.items():
            if place.side == "output":
                handle = place.module.register_forward_hook(_on_output(change))
            else:
                handle = place.module.register_forward_pre_hook(_on_input(change), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _on_output(change: Change) -> Callable[..., Any]:
    def hook(module: nn.Module, _: Any, output: Any) -> Any:
        tensor = output[0] if isinstance(output, (tuple, list)) else output
        if not isinstance(tensor, Tensor):
            raise InvalidArgumentError(
                f"{type(module).__name__} returns {type(tensor).__name__}: a site is a module that returns a tensor, "
                f"or a tuple that begins with a tensor"
            )
        changed = change(tensor)
        if changed is None or tensor is output:
            return changed
        return type(output)([changed, *output[1:]]) if type(output) in (tuple, list) else None

    return hook


def _on_input(change: Change) -> Callable[..., Any]:
    def hook(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        changed = change(args[0] if args else kwargs["hidden_states"])
        if changed is None:
            return None
        return ((changed, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": changed})

    return hook
