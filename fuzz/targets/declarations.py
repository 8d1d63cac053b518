"""Declarations of studies: read, planned, and written again without a change of meaning."""

from pathlib import Path
from random import Random

import yaml

from fuzz.cases import SilentError
from fuzz.mutate import mutated_bytes, mutated_json, mutated_text
from symscope.errors import SymscopeError
from symscope.studies import declared_text, plan_study, preset, preset_names, preset_text, read_study
from symscope.studies.settings import read_setting

KEYS = ("training.epochs", "networks.0.sizes", "seeds", "tasks.0.options.modulus", "alignments.0.k", "search", "device",
        "networks.1.kind", "interventions.held_out.count", "x", "", "networks", "tasks.0.quantities.0")  # fmt: skip


class Target:
    def __init__(self, folder: Path) -> None:
        preset("quick")  # torch imports packages at its first use, which must not be interrupted by the time limit
        self.texts = [preset_text(name) for name in preset_names()]
        self.short = [preset_text(name) for name in ("quick", "frontier", "theory", "calibration")]

    def draw(self, draws: Random) -> tuple[str, list[str]]:
        text = draws.choice(self.texts if draws.random() < 0.1 else self.short)
        kind = draws.randrange(4)
        if kind == 0:
            text = mutated_text(text, draws)
        elif kind == 1:
            text = yaml.safe_dump(mutated_json(yaml.safe_load(text), draws), sort_keys=False)
        elif kind == 2:
            text = mutated_bytes(text.encode(), draws).decode("utf-8", "replace")
        settings = [f"{draws.choice(KEYS)}={mutated_text('[48, 3]', draws)}" for _ in range(draws.randrange(3))]
        return text, settings

    def run(self, content: tuple[str, list[str]], folder: Path) -> None:
        text, settings = content
        study = read_study(text, "fuzz.yaml", [read_setting(setting) for setting in settings])
        size = len(study.tasks) * sum(len(network.sizes) for network in study.networks) * len(study.seeds)
        if size <= 12:
            plan_study(study)
        try:
            again = read_study(declared_text(study), "again.yaml")
        except SymscopeError as error:
            raise SilentError(f"the declaration that is written cannot be read: {error}") from error
        if again != study:
            raise SilentError("the declaration that is written means something else")
