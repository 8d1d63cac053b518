"""Reads and checks a declaration. All faults are reported together, with their lines, before any work starts."""

import difflib
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ValidationError

from symscope.errors import ConfigurationError
from symscope.studies.consistency import consistency_faults
from symscope.studies.declaration import Study
from symscope.studies.options import Section
from symscope.studies.settings import Setting, with_settings
from symscope.studies.source import Fault, Location, Source, read_source


def read_study(text: str, where: str, settings: Sequence[Setting] = ()) -> Study:
    """A study from YAML text, checked.

    Args:
        text: the declaration.
        where: its name in error messages.
        settings: replace values of the text.

    Raises:
        ConfigurationError: with all faults together, each with its line.
    """
    declared, source, faults = read_source(text)
    if settings and not faults:
        declared, misplaced = with_settings(declared, settings)
        source = replace(source, options={setting.location: setting.option for setting in settings})
        return check_study(declared, where, source, misplaced)
    if faults:
        raise ConfigurationError(where, source.messages(faults))
    return check_study(declared, where, source)


def check_study(declared: object, where: str, source: Source | None = None, known: Sequence[Fault] = ()) -> Study:
    """A study from plain values, checked: types, bounds, known names, and whether the sections fit together.

    Args:
        declared: the values.
        where: the name of the declaration in error messages.
        source: where the values come from, if they come from a text.
        known: faults that are known already.

    Raises:
        ConfigurationError: with all faults together.
    """
    if declared is None and not known:
        message = "the declaration is empty; `symscope study show quick` prints an example"
        raise ConfigurationError(where, [message])
    faults = list(known)
    study = None
    try:
        study = Study.model_validate(declared)
    except ValidationError as error:
        faults += _type_faults(error, declared)
    if isinstance(declared, Mapping):
        faults += consistency_faults(declared)
    if study is not None and not faults:
        return study
    raise ConfigurationError(where, (source or Source()).messages(faults))


def _type_faults(error: ValidationError, declared: object) -> Iterator[Fault]:
    """The faults that pydantic has found.

    A list that is too short because its entries are wrong is left out, and the faults of one value of a field with
    several types are merged.
    """
    entries = error.errors()
    inner = {entry["loc"][:depth] for entry in entries for depth in range(len(entry["loc"]))}
    unions: dict[Location, list[str]] = {}
    for entry in entries:
        location = _declared_part(entry["loc"], declared)
        if entry["type"] == "too_short" and location in inner:
            continue
        if entry["type"] == "missing" or location == entry["loc"]:
            yield _fault(entry["loc"], entry)
        else:
            unions.setdefault(location, []).append(_fault(location, entry).text)
    for location, messages in unions.items():
        expected = " or ".join(message.rpartition(" (got ")[0].removeprefix("input should be ") for message in messages)
        yield Fault(location, f"input should be {expected} (got {messages[0].rpartition(' (got ')[2]}")


def _declared_part(location: Location, declared: object) -> Location:
    """The part of a location that names a declared value; in a field of several types pydantic adds a type."""
    value: Any = declared
    for depth, part in enumerate(location):
        entries: Any = dict(enumerate(value)) if isinstance(value, list | tuple) else value
        if not isinstance(entries, Mapping) or part not in entries:
            return location[:depth]
        value = entries[part]
    return location


def _fault(location: Location, entry: Mapping[str, Any]) -> Fault:
    value = entry["input"]
    if entry["type"] == "extra_forbidden":
        return Fault(location, unknown_key(Study, location))
    if entry["type"] == "model_type":
        message = _expected_section(entry["ctx"]["class_name"])
    else:
        message = entry["msg"].removeprefix("Value error, ")
    given = "" if isinstance(value, dict | list) or entry["type"] == "missing" else f" (got {value!r})"
    if entry["type"] == "float_type" and isinstance(value, str) and re.fullmatch(r"[-+]?\d+[eE][-+]?\d+", value):
        message += "; YAML reads numbers with an exponent as text unless they have a point, as in 1.0e-3"
    return Fault(location, f"{message[:1].lower()}{message[1:]}{given}")


def _expected_section(name: str) -> str:
    """The message about a value in the place of a section."""
    model = next(model for model in Section.__subclasses__() if model.__name__ == name)
    required = [key for key, field in model.model_fields.items() if field.is_required()]
    needed = f"; it needs {' and '.join(map(repr, required))}" if required else ""
    return f"input should be a section with the keys {', '.join(model.model_fields)}{needed}"


def unknown_key(model: type[BaseModel], location: Location) -> str:
    """The message about a key that a model does not have, with the nearest key."""
    *path, key = location
    for part in path:
        if isinstance(part, str) and part in model.model_fields:
            model = _model_in(model.model_fields[part].annotation) or model
    known = list(model.model_fields)
    near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    return f"unknown key: {f'did you mean {near[0]!r}? ' if near else ''}known: {', '.join(known)}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field that holds a model, or several."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in typing.get_args(annotation) if (model := _model_in(part))), None)
