"""Tables of pairs: CSV, JSONL and Parquet."""

import json
from pathlib import Path
from random import Random

import polars as pl

from fuzz.mutate import mutated_bytes, mutated_json, mutated_text
from symscope.interchange import CounterfactualData

ROWS = [
    {"base": [1, 2, 3], "source": [2, 2, 3], "label": [3], "variable": "count", "base_label": [1], "source_label": [2],
     "base_values": {"count": 1}, "source_values": {"count": 2}, "cluster": "a", "split": split, "position": -1}
    for split in ("train", "validation", "test")
]  # fmt: skip
VECTORS = [{"base": [0.5, 1.0, row], "source": [1.0, 1.0, row], "label": row % 3} for row in range(8)]


class Target:
    def __init__(self, folder: Path) -> None:
        self.rows = [ROWS, VECTORS, [{"base": 1, "source": 2, "label": 3}] * 4]
        self.files: list[tuple[str, bytes]] = []
        for number, rows in enumerate(self.rows):
            frame = pl.DataFrame(rows, strict=False)
            frame.write_parquet(folder / f"{number}.parquet")
            self.files.append((".parquet", (folder / f"{number}.parquet").read_bytes()))
            self.files.append((".jsonl", "\n".join(map(json.dumps, rows)).encode()))
        self.files.append((".csv", b"base,source,label\n1,2,3\n2,1,0\n3,4,1\n4,3,2\n"))

    def draw(self, draws: Random) -> tuple[str, bytes]:
        kind = draws.randrange(3)
        if kind == 0:
            rows = mutated_json(draws.choice(self.rows), draws)
            lines = rows if isinstance(rows, list) else [rows]
            return ".jsonl", "\n".join(map(json.dumps, lines)).encode()
        ending, data = draws.choice(self.files)
        if kind == 1 and ending != ".parquet":
            return ending, mutated_text(data.decode(), draws).encode("utf-8", "replace")
        return ending, mutated_bytes(data, draws)

    def run(self, content: tuple[str, bytes], folder: Path) -> None:
        ending, data = content
        path = folder / f"table{ending}"
        path.write_bytes(data)
        CounterfactualData.from_table(path, vocabulary=8)
