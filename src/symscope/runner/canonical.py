"""Canonical JSON: the same value is always the same text, so that keys can be made of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def json_faults(value: object, where: str) -> list[str]:
    """What of a value is not JSON, each with its place, such as `arguments.rates[2]: nan is not a finite number`.

    Tuples count as lists. Keys must be strings, since JSON would silently turn others into strings.
    """
    if value is None or isinstance(value, str | bool | int):
        return []
    if isinstance(value, float):
        return [] if math.isfinite(value) else [f"{where}: {value} is not a finite number"]
    if isinstance(value, list | tuple):
        return [fault for index, item in enumerate(value) for fault in json_faults(item, f"{where}[{index}]")]
    if isinstance(value, Mapping):
        bad_keys = [f"{where}: the key {key!r} is not a string" for key in value if not isinstance(key, str)]
        return bad_keys + [fault for key, item in value.items() for fault in json_faults(item, f"{where}.{key}")]
    return [f"{where}: {value!r} ({type(value).__name__}) is not a JSON value"]


def canonical_json(value: object) -> str:
    """One line of JSON with sorted keys and no spaces; raises TypeError or ValueError where it is not JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_plain_mapping)


def _plain_mapping(value: object) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{value!r} ({type(value).__name__}) is not a JSON value")
