"""The errors of symscope. A message names the wrong value and the remedy.

All errors inherit from `SymscopeError`, so that a caller can catch them together. Where a standard exception has the
same meaning (`ValueError`, `OSError`, ...), the class inherits from it as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

MAX_KNOWN = 40
"""Known names that an error lists; it counts the rest. A language model has hundreds of sites."""


class SymscopeError(Exception):
    """Base class of all errors of symscope."""


class InvalidArgumentError(SymscopeError, ValueError):
    """An argument is not valid."""


class UnknownNameError(SymscopeError, LookupError):
    """There is no task, algorithm, variable, preset, ... of this name.

    Attributes:
        kind: what the name should be, such as `"task"`.
        name: the unknown name.
        known: the known names, sorted.
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        similar = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(repr(n) for n in similar)}? " if similar else ""
        more = f" and {len(names) - MAX_KNOWN} more" if len(names) > MAX_KNOWN else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}known: {', '.join(names[:MAX_KNOWN]) or 'none'}{more}")
        self.kind, self.name, self.known = kind, name, names


class ImportPathError(InvalidArgumentError, ImportError):
    """The module of an import path, or a module that it imports, does not exist in this environment."""


class ConfigurationError(SymscopeError, ValueError):
    """The declaration of a study has faults.

    Attributes:
        where: the file, or another name of the declaration.
        faults: all faults, one sentence each.
    """

    def __init__(self, where: str, faults: list[str]) -> None:
        lines = "\n".join(f"  - {fault}" for fault in faults)
        super().__init__(f"{where}: {len(faults)} fault{'s' if len(faults) > 1 else ''}\n{lines}")
        self.where, self.faults = where, faults


class BrokenLawError(SymscopeError, AssertionError):
    """A task, algorithm, network or alignment function breaks a law of its family; the message names the law."""


class CheckpointError(SymscopeError):
    """A checkpoint or stored result is damaged, or does not belong to the network, study or training that reads it."""


class StoreError(SymscopeError, OSError):
    """A folder of results cannot be used: it is not writable, or it holds the results of a different study."""


class ClusterError(SymscopeError, ConnectionError):
    """A cluster cannot be reached, or does not have the requested resources."""


class HubError(SymscopeError, ConnectionError):
    """The Hugging Face hub cannot be reached, or refuses a request."""


class NonFiniteError(SymscopeError, ArithmeticError):
    """A loss or a state became NaN or infinite; the message names the step.

    Attributes:
        best: the best results before that step.
    """

    def __init__(self, message: str, best: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.best = best
