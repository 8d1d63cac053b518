"""Stores of results: any change of a file is found, and reading never fails otherwise."""

import shutil
from pathlib import Path
from random import Random

from fuzz.cases import SilentError
from fuzz.mutate import mutated_bytes, mutated_json
from symscope.runner import Job, Plan, existing_store, local, open_store, run
from symscope.runner.query import list_results, read_rows

Change = tuple[str, bytes | None]


def stage(arguments, needs, folder, report):
    """A stage that writes a file."""
    (folder / "number.txt").write_text(str(arguments["number"]))
    return {"number": arguments["number"]}


class Target:
    def __init__(self, folder: Path) -> None:
        self.original = folder / "store"
        plan = Plan([Job(f"job{n}", "fuzz.targets.stores:stage", {"number": n}) for n in range(2)], result_version="1")
        run(plan, open_store(self.original, study="fuzz"), local(0))
        files = sorted(path for path in self.original.rglob("*") if path.is_file() and path.suffix != ".lock")
        self.files = {str(path.relative_to(self.original)): path.read_bytes() for path in files}

    def draw(self, draws: Random) -> Change:
        name = draws.choice(list(self.files))
        data = self.files[name]
        if name.endswith(".json") and draws.random() < 0.6:
            import json

            return name, json.dumps(mutated_json(json.loads(data), draws)).encode()
        return name, None if draws.random() < 0.05 else mutated_bytes(data, draws)

    def run(self, content: Change, folder: Path) -> None:
        name, data = content
        store_folder = folder / "store"
        shutil.copytree(self.original, store_folder)
        path = store_folder / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)
        store = existing_store(store_folder)
        list_results(store)
        read_rows(store, "number.txt.parquet")
        list(store.leftovers())
        faults = store.verify()
        if path.name == "number.txt" and data != self.files[name] and not faults:
            raise SilentError(f"a change of {name} is not found")
        for location in store.locations():
            check = store.check(location, deep=True)
            if check.state == "valid":
                store.manifest(location)
