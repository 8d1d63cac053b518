"""Where in a declaration's text each value stands, so that a fault can be told with its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import yaml

Place = tuple[str | int, ...]
"""Keys and indices from the whole down to a value: `("tasks", 0, "name")`."""

MOST_VALUES = 100_000
"""More than any study declares; aliases of aliases reach it quickly, and would fill the memory."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a declaration, and where."""

    place: Place
    text: str


@dataclass(frozen=True)
class Source:
    """The lines (from 1) of all values of a text; empty for a declaration that was made in Python."""

    lines: Mapping[Place, int] = field(default_factory=dict)

    def told(self, faults: list[Fault]) -> list[str]:
        """The faults as text, in the order of their lines: `line 4, tasks[0].name: ...`."""
        placed = sorted(
            ((self._line(fault.place), fault) for fault in dict.fromkeys(faults)), key=lambda pair: pair[0] or 0
        )
        return [f"{f'line {line}, ' if line else ''}{_shown(fault.place)}: {fault.text}" for line, fault in placed]

    def _line(self, place: Place) -> int | None:
        """The line of a value, or of the nearest thing around it that is written out."""
        for depth in range(len(place), -1, -1):
            if place[:depth] in self.lines:
                return self.lines[place[:depth]]
        return None


def read_source(text: str) -> tuple[object, Source, list[Fault]]:
    """The values of a YAML text, their lines, and what is wrong with it as a text; with a fault, values are None."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        return None, Source({(): line}), [Fault((), f"no valid YAML: {error.problem or error.context}")]
    except yaml.YAMLError as error:
        return None, Source(), [Fault((), f"no valid YAML: {error}")]
    if root is None:
        return None, Source(), []
    lines: dict[Place, int] = {}
    faults = []
    for place, line, fault in _walk(root, (), ()):
        lines.setdefault(place, line)
        if fault:
            faults.append(Fault(place, fault))
            lines[place] = line
        if len(lines) > MOST_VALUES:
            faults.append(Fault((), f"more than {MOST_VALUES:,} values, most of them aliases of aliases"))
            break
    source = Source(lines)
    if faults:
        return None, source, faults
    try:
        return yaml.safe_load(text), source, []
    except (yaml.YAMLError, ValueError) as error:  # a key that is a list, or a date that is none
        told = getattr(error, "problem", None) or str(error)
        return None, source, [Fault((), f"no valid YAML: {told}")]


def _walk(node: yaml.Node, place: Place, around: tuple[yaml.Node, ...]) -> Iterator[tuple[Place, int, str]]:
    """Place, line and fault of a node and of all below it."""
    line = node.start_mark.line + 1
    if any(node is outer for outer in around):
        yield place, line, "this contains itself (a cycle of aliases)"
        return
    yield place, line, ""
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            yield from _walk(entry, (*place, index), (*around, node))
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name, at = str(key.value), key.start_mark.line + 1
            if name in first and name != "<<":
                yield (*place, name), at, f"{name!r} is there twice, first on line {first[name]}"
            first.setdefault(name, at)
            yield (*place, name), at, ""
            yield from _walk(value, (*place, name), (*around, node))


def _shown(place: Place) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return "".join(parts).lstrip(".") or "the whole"
