"""Output of the command line: results to standard output, messages and errors to standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from symscope.errors import SymscopeError

FAILED, WRONG, INTERRUPTED = 1, 2, 130

# Without markup, since names and paths may contain brackets.
out, err = Console(highlight=False, markup=False), Console(stderr=True, highlight=False, markup=False)


def unwrapped(console: Console) -> Console:
    """The console on a terminal; in a pipe, a console so wide that each row of a table stays on one line."""
    return console if console.is_terminal else Console(highlight=False, markup=False, width=240)


def print_result(text: str) -> None:
    """Prints a result to standard output."""
    out.print(text, soft_wrap=True)


def log(text: str) -> None:
    """Prints a message to standard error."""
    err.print(text, soft_wrap=True)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turns each SymscopeError into a message and an exit code, and an interruption into advice how to continue."""
    try:
        yield
    except SymscopeError as error:
        log(f"error: {error}")
        raise typer.Exit(WRONG) from error
    except KeyboardInterrupt:
        log("\nInterrupted. Finished results are kept; run the same command to continue.")
        raise typer.Exit(INTERRUPTED) from None


def format_duration(seconds: float) -> str:
    """A duration such as `4 s`, `12 min`, `3.5 h`, `2.1 days`."""
    for unit, size, digits in (("days", 86_400, 1), ("h", 3600, 1), ("min", 60, 0)):
        if seconds >= size * (2 if unit == "days" else 1):
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def format_bytes(count: int) -> str:
    """A size such as `512 B`, `3.4 MB`."""
    size, units = float(count), iter(("B", "kB", "MB", "GB"))
    unit = next(units)
    for larger_unit in units:
        if size < 1000:
            break
        size, unit = size / 1000, larger_unit
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
