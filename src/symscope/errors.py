"""One family of errors: each says what was wrong, with the value, and what to do about it.

Everything that symscope raises on purpose is a `SymscopeError`, so a caller can catch the family; where a
standard exception says the same (`ValueError`, `FileNotFoundError`), the class inherits from it as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class SymscopeError(Exception):
    """Base of the family."""


class InvalidArgumentError(SymscopeError, ValueError):
    """An argument is outside what the function can work with."""


class UnknownNameError(SymscopeError, LookupError):
    """A name (task, algorithm, variable, preset, ...) is not among the known ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(n) for n in near)}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known: {', '.join(names) or 'none'}")
        self.kind, self.name, self.known = kind, name, names


class ImportPathError(InvalidArgumentError, ImportError):
    """The module of an import path, or a module that it imports, does not exist in this environment."""


class ConfigurationError(SymscopeError, ValueError):
    """A study's declaration is wrong; all of its faults are in `faults`, reported together."""

    def __init__(self, where: str, faults: list[str]) -> None:
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{where}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n{lines}")
        self.where, self.faults = where, faults


class BrokenLawError(SymscopeError, AssertionError):
    """A task, algorithm, network or alignment function breaks a law of its family; the message says which."""


class CheckpointError(SymscopeError):
    """A checkpoint or stored result is damaged, or belongs to something else."""


class StoreError(SymscopeError, OSError):
    """A folder of results cannot be used: not writable, or it holds another study."""


class ClusterError(SymscopeError, ConnectionError):
    """A cluster cannot be reached, or has not what is asked of it."""


class NonFiniteError(SymscopeError, ArithmeticError):
    """A loss or a state became NaN or infinite; the message says at which step, `best` is what was good until then."""

    def __init__(self, message: str, best: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.best = best
