"""Where words go, and how errors are told."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from symscope.errors import SymscopeError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

out, err = Console(highlight=False), Console(stderr=True, highlight=False)


def whole_lines(console: Console) -> Console:
    """In a pipe every row keeps its line: there is no terminal whose width would matter."""
    return console if console.is_terminal else Console(highlight=False, width=240)


def say(text: str) -> None:
    """A result, to standard output."""
    out.print(text, markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """What a person may want to know meanwhile, to standard error."""
    err.print(text, markup=False, soft_wrap=True)


@contextmanager
def errors_told() -> Iterator[None]:
    """Errors of the family become one message and an exit code; an interruption says how to go on."""
    try:
        yield
    except SymscopeError as error:
        tell(f"error: {error}")
        raise typer.Exit(WRONG) from error
    except KeyboardInterrupt:
        tell("\nInterrupted. What is finished is kept; the same command goes on from there.")
        raise typer.Exit(INTERRUPTED) from None


def shown_duration(seconds: float) -> str:
    """Such as `4 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size, digits in (("days", 86_400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def shown_bytes(count: int) -> str:
    """Such as `512 B`, `3.4 MB`."""
    size, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    for bigger in units:
        if size < 1000:
            break
        size, unit = size / 1000, bigger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
