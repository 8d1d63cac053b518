"""Command lines: they end with exit code 0, 1 or 2, without a traceback."""

import os
from pathlib import Path
from random import Random

from typer.testing import CliRunner

import symscope as sc
from fuzz.cases import SilentError
from fuzz.mutate import VALUES, mutated_text
from symscope.cli import app
from symscope.studies import preset

LINES = (
    "study plan quick --set training.epochs=40 --workers 2 --seed 3",
    "study plan study.yaml --out out --device cpu",
    "study show quick --set networks.0.sizes=[48]",
    "study show study.yaml", "study list", "study plan theory", "list tasks", "list variables", "list controls",
    "store ls store", "store show store job", "store verify store", "store gc store quick", "report empty",
    "figures empty --format svg --columns 1 --only iia_bars --out paper", "--version", "--help", "study run -h",
    "align --model network.safetensors --data table.csv --out out --site best --k 2 --function oblique",
    "align --model missing --data table.csv --position -1 --correct-only --multi-token-labels",
)  # fmt: skip
FORBIDDEN = {"run", "--measure", "--install-completion", "--show-completion", "--yes"}
"""Words that start long work, or change files outside the folder as the user requests."""


class Target:
    def __init__(self, folder: Path) -> None:
        preset("quick")  # torch imports packages at its first use, which must not be interrupted by the time limit
        self.runner = CliRunner()

    def draw(self, draws: Random) -> list[str]:
        words = draws.choice(LINES).split()
        everything = [word for line in LINES for word in line.split()]
        for _ in range(draws.randrange(4)):
            at, change = draws.randrange(len(words) + 1), draws.randrange(5)
            if change == 0:
                words.insert(at, draws.choice(everything))
            elif change == 1:
                words.insert(at, str(draws.choice(VALUES)))
            elif change == 2:
                del words[at : at + 1]
            elif at < len(words):
                words[at] = mutated_text(words[at], draws) if change == 3 else str(draws.choice(VALUES))
        if FORBIDDEN & set(words) and "-h" not in words:
            words = [word for word in words if word not in FORBIDDEN]
        return words

    def run(self, content: list[str], folder: Path) -> None:
        task = sc.make_task("multi-object")
        sc.save_network(
            folder / "network.safetensors", sc.make_network("gru", 4, len(task.vocabulary), sc.generator(0))
        )
        (folder / "study.yaml").write_text("name: x\ntitle: q\ntasks: [multi-object]\nnetworks: []\nseeds: [0]\n")
        (folder / "table.csv").write_text("base,source,label\n1,1,3\n")
        for name in ("empty", "store"):
            (folder / name).mkdir()
        before = Path.cwd()
        os.chdir(folder)
        try:
            ended = self.runner.invoke(app, content)
        finally:
            os.chdir(before)
        if ended.exception is not None and not isinstance(ended.exception, SystemExit):
            raise ended.exception
        if ended.exit_code not in (0, 1, 2):
            raise SilentError(f"exit code {ended.exit_code}")
        if ended.exit_code and not (ended.output.strip()):
            raise SilentError(f"exit code {ended.exit_code} without a message")
