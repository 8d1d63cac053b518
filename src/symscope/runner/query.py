"""Tables of all results of a store."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from symscope.errors import CheckpointError
from symscope.runner.manifest import Manifest
from symscope.runner.store import Store

if TYPE_CHECKING:
    import polars as pl


def list_results(store: Store) -> pl.DataFrame:
    """One row for each result: name, state, inputs, versions and duration.

    `arguments`, `facts` and `packages` are JSON. For a result with a damaged manifest only the location is known.
    Sizes are checked and contents are not read; `Store.verify` reads them.
    """
    import polars as pl  # noqa: PLC0415  (heavy, and a run does not need it)

    checks = store.check_all(store.locations())
    rows = [_row(store, location, check.state) for location, check in checks.items()]
    return pl.DataFrame(rows, schema=dict.fromkeys(_COLUMNS, pl.String) | {"seconds": pl.Float64, "bytes": pl.Int64})


def read_rows(store: Store, file: str) -> pl.DataFrame:
    """Rows of the Parquet files with one name, over all valid results, each with the `location` of its result.

    Results without this file are left out; a column that a file lacks is null in its rows.
    """
    import polars as pl  # noqa: PLC0415

    frames = []
    for location, check in store.check_all(store.locations()).items():
        if check.state == "valid" and file in store.manifest(location).files:
            content = (store.fetch(location) / file).read_bytes()
            frames.append(pl.read_parquet(io.BytesIO(content)).with_columns(location=pl.lit(location)))
    return pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()


_COLUMNS = (
    "location", "state", "name", "stage", "result_version", "seconds", "bytes", "device", "started", "finished",
    "python", "arguments", "facts", "packages",
)  # fmt: skip


def _row(store: Store, location: str, state: str) -> dict[str, Any]:
    try:
        manifest = store.manifest(location)
    except CheckpointError:
        return {"location": location, "state": "damaged"}
    return {"location": location, "state": state, **_columns_of(manifest)}


def _columns_of(manifest: Manifest) -> dict[str, Any]:
    device = manifest.facts.get("device")
    return {
        "name": manifest.name,
        "stage": manifest.stage,
        "result_version": manifest.result_version,
        "seconds": manifest.seconds,
        "bytes": sum(record.size for record in manifest.files.values()),
        "device": None if device is None else str(device),
        "started": manifest.started,
        "finished": manifest.finished,
        "python": manifest.python,
        "arguments": json.dumps(manifest.arguments),
        "facts": json.dumps(manifest.facts),
        "packages": json.dumps(manifest.packages),
    }
