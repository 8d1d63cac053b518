"""Settings of the command line that replace values of a declaration: `training.epochs=40`, `networks.0.sizes=[48]`."""

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from symscope.studies.source import Fault, Location, read_source

MAX_DEPTH = 20
"""More parts than any key of a declaration has."""


@dataclass(frozen=True)
class Setting:
    """A value that replaces a part of a declaration.

    Attributes:
        location: keys and indices down to the value.
        value: the value; its type is checked together with the declaration.
        option: the option of the command line that gave it, for error messages.
        fault: why the value cannot be read; empty if it can.
    """

    location: Location
    value: object
    option: str = "--set"
    fault: str = ""


def read_setting(text: str) -> Setting:
    """A setting from a text `key.key.index=value`, whose value is YAML."""
    path, equals, value_text = text.partition("=")
    if not equals or not all(part.strip() for part in path.split(".")):
        return Setting((text,), None, fault="--set takes KEY=VALUE, such as training.epochs=40 or seeds=[0]")
    location = tuple(int(part) if part.isdecimal() and part.isascii() else part for part in path.split("."))
    if len(location) > MAX_DEPTH:
        return Setting(location[:1], None, fault=f"a key has at most {MAX_DEPTH} parts, got {len(location)}")
    value, _, faults = read_source(value_text)
    return Setting(location, value, fault="; ".join(f"{fault.text} (got {value_text!r})" for fault in faults))


def with_settings(declared: object, settings: Sequence[Setting]) -> tuple[object, list[Fault]]:
    """A copy of a declaration in which settings replace values; and the faults of settings that have no place in it.

    A section that the declaration leaves out is added. A list takes an index that it has, or the next one.
    """
    changed: Any = {} if declared is None else deepcopy(declared)
    faults: list[Fault] = []
    for setting in settings:
        faults += [Fault(setting.location, setting.fault)] if setting.fault else _replace(changed, setting)
    return changed, faults


def _replace(declared: Any, setting: Setting) -> Iterator[Fault]:
    """Replaces one value in place."""
    parent, (*sections, last) = declared, setting.location
    for depth, part in enumerate(setting.location):
        if fault := _misfit(parent, part):
            yield Fault(setting.location[: depth + 1], fault)
            return
        if depth < len(sections):
            inner: Any = _part(parent, part)
            if inner is None:
                inner = {}
                _put(parent, part, inner)
            parent = inner
    _put(parent, last, setting.value)


def _part(parent: Any, part: str | int) -> Any:
    """A part of a section or list, None if it is not there."""
    if isinstance(parent, dict):
        return parent.get(part)
    return next((value for index, value in enumerate(parent) if index == part), None)


def _put(parent: Any, part: str | int, value: object) -> None:
    if isinstance(parent, list):
        index: Any = part
        parent[index : index + 1] = [value]  # the index after the last appends
    else:
        parent[part] = value


def _misfit(parent: object, part: str | int) -> str:
    """Why a value has no such part; empty if it can have it."""
    if isinstance(parent, list):
        if isinstance(part, int) and part <= len(parent):
            return ""
        entries = f"{len(parent)} {'entry' if len(parent) == 1 else 'entries'}"
        return f"this list has {entries}, so an index from 0 to {len(parent)} must follow, got {part!r}"
    if isinstance(parent, Mapping):
        return ""
    return f"{parent!r} is a single value without parts: set the whole value"
