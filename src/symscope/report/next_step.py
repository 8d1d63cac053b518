"""The next step of a reader: one command that continues from a report."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath

from symscope.report.answers import Question
from symscope.report.inputs import ReportInputs

MIN_SEEDS = 5
"""Networks of one kind from which on more of them add little; the paper trains five or six."""

MORE_SEEDS = 3
"""Further seeds that the command asks for."""


@dataclass(frozen=True)
class NextStep:
    """A command that a reader can run, and the reason for it."""

    reason: str
    command: str


def next_step(inputs: ReportInputs, questions: Sequence[Question], folder: Path) -> NextStep | None:
    """The command that answers the most important open point of a report; `None` where no variable was searched.

    Variables that can only be steered: the declaration, to search within the span of natural states. Few seeds: more
    of them. Otherwise: the figures for a paper.
    """
    if not questions:
        return None
    words = shlex.split(inputs.command)
    if words[:3] == ["symscope", "study", "run"] and len(words) > 3:
        study = words[3]
        answers = [answer for question in questions for answer in question.answers]
        steered = [answer for answer in answers if answer.verdict == "off-manifold"]
        if steered and not any("natural-span" in answer.alignment for answer in answers):
            return NextStep(
                "search within the span of natural states: print the declaration and give the alignment functions the "
                "option coordinates: natural-span.",
                f"symscope study show {shlex.quote(study)}",
            )
        seeds = _declared_seeds(inputs)
        if 0 < len(seeds) < MIN_SEEDS:
            return _more_seeds(words, study, seeds)
    return NextStep("write the figures for a paper.", f"symscope figures {shlex.quote(str(folder))}")


def _declared_seeds(inputs: ReportInputs) -> list[int]:
    text = str(inputs.facts.get("Study", {}).get("seeds", ""))
    parts = [part.strip() for part in text.split(",")]
    return [int(part) for part in parts if part.lstrip("-").isdigit()]


def _more_seeds(words: Sequence[str], study: str, seeds: Sequence[int]) -> NextStep:
    new = [max(seeds) + 1 + i for i in range(MORE_SEEDS)]
    out = next((b for a, b in pairwise(words) if a == "--out"), f"out/{PurePosixPath(study).stem}")
    command = ["symscope", "study", "run", study]
    command += [word for seed in new for word in ("--seed", str(seed))]
    command += ["--out", f"{out.rstrip('/')}-seeds-{new[0]}-{new[-1]}"]
    networks = f"{len(seeds)} network{'s' * (len(seeds) > 1)}"
    return NextStep(f"{networks} say little about others: run more seeds.", shlex.join(command))
