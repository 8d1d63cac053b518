"""Files of networks, results and alignments, and folders that are shared."""

import json
from pathlib import Path
from random import Random

import torch

import symscope as sc
from fuzz.cases import SilentError
from fuzz.mutate import mutated_json
from fuzz.safetensors import mutated_file
from symscope.errors import SymscopeError

OPTIONS = sc.SearchOptions(steps=4, validate_every=4, more_restarts=0)


class Target:
    def __init__(self, folder: Path) -> None:
        task = sc.make_task("multi-object")
        self.network = sc.make_network("gru", 6, len(task.vocabulary), sc.generator(0))
        algorithm = sc.make_algorithm("up-down", task)
        functions = [sc.Oblique(coordinates="natural-span"), sc.Reversible()]
        results = sc.align(self.network, algorithm, ["count"], 2, function=functions, options=OPTIONS, progress=False,
                           n_train=40, n_validation=20, n_test=20, controls=[sc.RandomSubspace()])  # fmt: skip
        alignments = {str(number): result.alignment for number, result in enumerate(results.all)}
        transformer = sc.make_network("transformer-rope", 8, len(task.vocabulary), sc.generator(0))
        self.files: list[tuple[bytes, bytes]] = []
        for number, content in enumerate((self.network, transformer, results, alignments)):
            saved = sc.save_pretrained(content, folder / str(number), network=self.network)
            self.files.append(((saved / "model.safetensors").read_bytes(), (saved / "config.json").read_bytes()))

    def draw(self, draws: Random) -> tuple[bytes, bytes]:
        model, config = draws.choice(self.files)
        if draws.random() < 0.1:
            return model, json.dumps(mutated_json(json.loads(config), draws)).encode()
        return mutated_file(model, draws), config

    def run(self, content: tuple[bytes, bytes], folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(content[0])
        (folder / "config.json").write_bytes(content[1])
        loaded = sc.from_pretrained(folder)
        if isinstance(loaded, sc.Results):
            repr(loaded)
            loaded.table()
            alignments = {name: each for result in loaded.all for name, each in result.alignments.items()}
        elif isinstance(loaded, dict):
            alignments = loaded
        else:
            with torch.no_grad():
                loaded(torch.zeros(1, 3, dtype=torch.int64))
            return
        for alignment in alignments.values():
            states = torch.randn(2, 3, alignment.d, generator=sc.generator(0), dtype=alignment.tensors[0].dtype)
            swapped = alignment.swap(*states)
            if swapped.shape != states[0].shape or alignment.read(states[0]).shape != (3, alignment.k):
                raise SilentError("an alignment with wrong shapes was loaded")
        try:
            sc.load(folder / "model.safetensors", network=self.network)
        except SymscopeError:
            return
