"""The lines of the values in the text of a declaration, for messages about faults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

Location = tuple[str | int, ...]
"""Keys and indices from the whole declaration down to a value: `("tasks", 0, "name")`."""

MAX_VALUES = 100_000
"""More values than any study declares. Aliases of aliases exceed it, which would fill the memory."""


@dataclass(frozen=True)
class Fault:
    """A fault of a declaration, and its location."""

    location: Location
    text: str


@dataclass(frozen=True)
class Source:
    """Where the values of a declaration come from.

    Attributes:
        lines: the lines (from 1) of all values of a text; empty for a declaration that was made in Python.
        options: options of the command line that replace values, such as `--set`.
    """

    lines: Mapping[Location, int] = field(default_factory=dict)
    options: Mapping[Location, str] = field(default_factory=dict)

    def messages(self, faults: list[Fault]) -> list[str]:
        """The faults as text, in the order of their lines: `line 4, tasks[0].name: ...`, `--set, seeds: ...`."""
        ordered = sorted(dict.fromkeys(faults), key=lambda fault: self._line(fault.location) or 0)
        return [f"{self._origin(fault.location)}{_location_text(fault.location)}: {fault.text}" for fault in ordered]

    def _origin(self, location: Location) -> str:
        """The option or the line that gave a value."""
        for changed, option in self.options.items():
            depth = len(changed)
            if location[:depth] == changed or (changed[: len(location)] == location and location not in self.lines):
                return f"{option}, "
        line = self._line(location)
        return f"line {line}, " if line else ""

    def _line(self, location: Location) -> int | None:
        """The line of a value, or of the nearest enclosing value that is in the text."""
        for depth in range(len(location), -1, -1):
            if location[:depth] in self.lines:
                return self.lines[location[:depth]]
        return None


def read_source(text: str) -> tuple[object, Source, list[Fault]]:
    """The values of a YAML text, their lines, and faults of its syntax; with a fault, the values are None."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return None, Source({(): line}), [Fault((), f"not valid YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return None, Source(), [Fault((), f"not valid YAML: {error}")]
    if root is None:
        return None, Source(), []
    lines: dict[Location, int] = {}
    faults = []
    for location, line, fault in _walk(root, (), ()):
        lines.setdefault(location, line)
        if fault:
            faults.append(Fault(location, fault))
            lines[location] = line
        if len(lines) > MAX_VALUES:
            faults.append(Fault((), f"more than {MAX_VALUES:,} values, most of them aliases of aliases"))
            break
    source = Source(lines)
    if faults:
        return None, source, faults
    try:
        return yaml.safe_load(text), source, []
    except (yaml.YAMLError, ValueError) as error:  # a key that is a list, or an impossible date
        problem = getattr(error, "problem", None) or str(error)
        return None, source, [Fault((), f"not valid YAML: {problem}")]


def _walk(node: yaml.Node, location: Location, outer: tuple[yaml.Node, ...]) -> Iterator[tuple[Location, int, str]]:
    """Location, line and fault of a node and of all nodes in it; the fault is empty where there is none."""
    line = node.start_mark.line + 1
    if any(node is above for above in outer):
        yield location, line, "this contains itself (a cycle of aliases)"
        return
    yield location, line, ""
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _walk(entry, (*location, index), (*outer, node))
    elif isinstance(node, yaml.MappingNode):
        first_lines: dict[str, int] = {}
        for key, value in node.value:
            name, key_line = str(key.value), key.start_mark.line + 1
            if name in first_lines and name != "<<":
                yield (*location, name), key_line, f"{name!r} is given twice, first on line {first_lines[name]}"
            first_lines.setdefault(name, key_line)
            yield (*location, name), key_line, ""
            yield from _walk(value, (*location, name), (*outer, node))


def _location_text(location: Location) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).lstrip(".") or "the declaration"
