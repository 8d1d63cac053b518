"""Inputs that once ended in a traceback, each of which must be refused by an error of symscope."""

import json
import struct
from collections.abc import Iterator
from typing import Any

ROW: dict[str, Any] = {"base": [1, 2, 3], "source": [2, 2, 3], "label": [3]}
TABLES: tuple[dict[str, Any], ...] = (
    {**ROW, "base_values": 3},
    {**ROW, "base_values": {"count": [1]}, "source_values": {"count": [2]}},
    {**ROW, "base_values": {"count": 10**20}, "source_values": {"count": 1}},
    {**ROW, "split": {"a": 1}},
    {**ROW, "split": ["train"]},
    {**ROW, "position": {}},
    {**ROW, "position": [1]},
    {**ROW, "label": {"a": 1}},
    {**ROW, "label": []},
    {**ROW, "base": [10**20, 1, 1]},
    {**ROW, "base": [0.5, 10**400, 1]},
    {**ROW, "variable": "a+b", "source": [[1, 2], [2, 2]], "source_label": [[1]]},
)
FACTS: tuple[Any, ...] = (
    *([], 3, "results", True, {"kind": "results"}, {"kind": "results", "alignments": 3, "results": [{}]}),
    *({"kind": "alignments", "alignments": [None], "names": ["a"]}, {"kind": "network", "config": 3}, {"kind": []}),
    {"kind": "alignments", "names": ["a"], "alignments": [
        {"function": {"kind": "Reversible", "options": {}}, "name": "a", "d": 4, "function_k": 2, "dimensions": [0, 2],
         "tensors": ["t"]}]},
)  # fmt: skip


def fixed_cases() -> Iterator[tuple[str, Any]]:
    """A target and an input for each."""
    for row in TABLES:
        yield "tables", (".jsonl", "\n".join([json.dumps(row)] * 4).encode())
    for text in ("[" * 100_000, "[1]", '"a"', "NaN", "{}"):
        yield "tables", (".jsonl", text.encode())
    for facts in FACTS:
        kind = facts.get("kind") if isinstance(facts, dict) else None
        header = {"t": {"dtype": "F32", "shape": [4, 1], "data_offsets": [0, 16]}}
        text = json.dumps({"__metadata__": {"facts": json.dumps(facts)}, **header}).encode()
        config = json.dumps({"library_name": "symscope", "kind": kind}).encode()
        yield "files", (struct.pack("<Q", len(text)) + text + bytes(16), config)
    for setting in (
        "seeds",
        "=",
        "a=[",
        ".=1",
        "networks.9.sizes=[1]",
        f"{'a.' * 5000}a=1",
        "name.0=x",
        "networks=&a [*a]",
    ):
        yield "declarations", ("name: x\ntitle: q\ntasks: [multi-object]\nnetworks: []\nseeds: [0]\n", [setting])
    yield "stores", ("store.json", b'{"format": Infinity, "study": "fuzz"}')
