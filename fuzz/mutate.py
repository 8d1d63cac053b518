"""Mutations of bytes, of text, and of JSON values; each draws from a `random.Random`, so a case can be repeated."""

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import Any

CANARY = "fuzz_canary:Evil"
"""An import path whose module records that it was imported."""
# ruff: noqa: E501
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 255, 2**31, -(2**31), 2**63, 10**20, 10**9, 0.0, -0.5, 0.5, 1e308, 1e-308),
    *(float("nan"), float("inf"), "", "a", "count", "up-down", "d/2", "../../x", "/etc/passwd", "\x00", "é\u202e", "0"),
    *("*", "[x]", "s3://", "-1", "nan", "1e999", CANARY, [], {}, [0], [[]], {"a": 1}, [1, 2], "gru", "multi-object"),
)
CHUNKS = (b"", b"\x00", b"\xff\xff\xff\xff", b"\x00" * 8, b"\x7f" * 8, b"99999999999999999999", b"-1", b"nan", b"[", b"{",
          b'"', b"\n", b",", b"'", b"&a ", b"*a", b"!!python/object:os.system ", b"\xf0\x9f\x98\x80", b"\\u0000",
          b"1e999", b": ", b"- ", b"[" * 200, CANARY.encode())  # fmt: skip


def mutated_bytes(data: bytes, draws: Random, others: Sequence[bytes] = ()) -> bytes:
    """A copy with one to eight random changes."""
    changed = bytearray(data)
    for _ in range(draws.choice((1, 1, 1, 2, 2, 4, 8))):
        start = draws.randrange(len(changed) + 1)
        end = min(len(changed), start + draws.choice((1, 1, 2, 4, 8, 64, 1000)))
        change = draws.randrange(7)
        if change == 0 and start < len(changed):
            changed[start] ^= 1 << draws.randrange(8)
        elif change == 1:
            changed[start:end] = draws.choice(CHUNKS)
        elif change == 2:
            del changed[start:end]
        elif change == 3:
            changed[start:start] = changed[start:end] * draws.choice((1, 2, 10))
        elif change == 4:
            changed[start:start] = draws.randbytes(draws.choice((1, 2, 8)))
        elif change == 5 and draws.random() < 0.2:
            del changed[start:]
        elif others:
            other = draws.choice(others)
            begin = draws.randrange(len(other) + 1)
            changed[start:end] = other[begin : begin + draws.choice((1, 8, 64, 1000))]
    return bytes(changed)


def mutated_text(text: str, draws: Random) -> str:
    """A copy in which numbers, words or lines are changed."""
    for _ in range(draws.choice((1, 1, 2, 3))):
        words = list(re.finditer(r"[\w.-]+", text))
        lines = text.split("\n")
        change = draws.randrange(4)
        if change == 0 and words:
            word = draws.choice(words)
            text = text[: word.start()] + str(draws.choice(VALUES)) + text[word.end() :]
        elif change == 1 and words:
            first, second = draws.choice(words), draws.choice(words)
            text = text[: first.start()] + second.group() + text[first.end() :]
        elif change == 2:
            del lines[draws.randrange(len(lines))]
            text = "\n".join(lines)
        else:
            lines.insert(draws.randrange(len(lines) + 1), draws.choice(lines))
            text = "\n".join(lines)
    return text


def mutated_json(value: Any, draws: Random) -> Any:
    """A copy in which one to three parts are replaced, removed, exchanged or repeated."""
    changed = [copy.deepcopy(value)]
    for _ in range(draws.choice((1, 1, 1, 2, 3))):
        places = list(_places(changed))
        parent, key = draws.choice(places)
        change = draws.randrange(5)
        if change <= 1 or parent is changed:
            parent[key] = copy.deepcopy(draws.choice(VALUES))
        elif change == 2:
            del parent[key]
        elif change == 3:
            other, place = draws.choice(places)
            parent[key] = copy.deepcopy(other[place])
        elif isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[key]))
        else:
            parent[str(draws.choice(VALUES))] = parent.pop(key)
    return changed[0]


def _places(parent: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a value, with what holds it."""
    for key in list(parent) if isinstance(parent, dict) else range(len(parent)):
        yield parent, key
        if isinstance(parent[key], (dict, list)):
            yield from _places(parent[key])


Mutation = Callable[[bytes, Random], bytes]
