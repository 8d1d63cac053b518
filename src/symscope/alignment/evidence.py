"""The answer to "is this variable here?": one IIA, and the company that it must be seen in."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from symscope.alignment.controls import NULL_CONTROLS, SHUFFLED, kind_of
from symscope.alignment.divergence import Divergence
from symscope.alignment.files import load_functions, save_functions
from symscope.alignment.functions import AlignmentFunction
from symscope.alignment.score import Score, share
from symscope.alignment.unseen import Examined
from symscope.display import card
from symscope.errors import CheckpointError
from symscope.statistics import Difference, above_all, difference, paired_difference
from symscope.verdict import MAX_DIVERGENCE


@dataclass(frozen=True)
class Evidence:
    """A variable, where it was found, how faithfully it can be rewritten there, and what speaks against it.

    Attributes:
        algorithm: name of the algorithm.
        variable: the variable.
        site: where in the network.
        function: the alignment: its `swap` rewrites states, its `coordinates` read them.
        start: which start of the search it came from, counted from 0.
        steps: steps taken by all starts together.
        validation_iia: IIA on the interventions that the search chose by.
        redrawn: share of the draws of test interventions that had no counterfactual and were drawn again.
        examined: what test interventions say, which neither the search nor the choice among starts has seen.
        controls: IIA of what must score less, or what a swap could do at best, by name.
    """

    algorithm: str
    variable: str
    site: str
    function: AlignmentFunction
    start: int
    steps: int
    validation_iia: float
    redrawn: float
    examined: Examined
    controls: Mapping[str, Score] = field(default_factory=dict)

    @property
    def k(self) -> int:
        """Dimensions given to the variable."""
        return self.function.k

    @property
    def score(self) -> Score:
        """IIA on test interventions."""
        return self.examined.score

    @property
    def selectivity(self) -> tuple[str, Difference] | None:
        """The null control that comes nearest, and how far the IIA is above it; `None` where there is no such control.

        Controls have the same test interventions, and differences are paired; those with shuffled values must be
        followed by something else, and their difference is one between samples.
        """
        null = {name: control for name, control in self.controls.items() if kind_of(name) in NULL_CONTROLS}
        if not null:
            return None
        own = self.score.correct.numpy()
        return above_all(
            {
                name: (difference if kind_of(name) == SHUFFLED else paired_difference)(own, control.correct.numpy())
                for name, control in null.items()
            }
        )

    @property
    def warnings(self) -> list[str]:
        """What a reader must be told before believing the IIA, in words."""
        seen, told = self.examined, []
        if seen.divergence.outside > MAX_DIVERGENCE:
            told.append("rewritten states lie outside the span of natural ones")
        if seen.dormant is not None and seen.dormant > MAX_DIVERGENCE:
            told.append("much of the effect runs through directions in which natural states do not vary")
        if seen.isolation is not None and seen.cause is not None and seen.isolation.high < seen.cause.low:
            told.append("the swap brings more than the variable")
        if self.selectivity is not None and self.selectivity[1].low <= 0:
            told.append(f"not above the control {self.selectivity[0]}")
        return told

    def row(self) -> dict[str, Any]:
        """The figures of the found alignment, by the columns of the table `scores`."""
        seen, null = self.examined, self.selectivity
        shown: dict[str, Any] = {
            **seen.score.figures(),
            "restart": self.start,
            "total_steps": self.steps,
            "validation_iia": self.validation_iia,
            "rejection_rate": self.redrawn,
            "dormant_share": seen.dormant,
            **asdict(seen.divergence),
        }
        shown["off_span_share"] = shown.pop("outside")
        for name, part in (("informative", seen.matters), ("cause", seen.cause), ("isolation", seen.isolation)):
            if part is not None:
                shown |= {f"{name}_{key}": value for key, value in part.figures().items()}
        if null is not None:
            nearest, above = null
            shown |= {"selectivity": above.value, "selectivity_low": above.low, "selectivity_high": above.high}
            shown |= {"selectivity_p": above.p, "nearest_control": kind_of(nearest)}
        return shown

    def rows(self) -> list[dict[str, Any]]:
        """The found alignment and each kind of control as rows of the table `scores`, but for whose network it is.

        Of several untrained networks it is the one that scores highest.
        """
        names = {"algorithm": self.algorithm, "variable": self.variable, "site": self.site}
        names |= {"function": self.function.name, "k": self.k}
        best: dict[str, Score] = {}
        for name, score in self.controls.items():
            kind = kind_of(name)
            best[kind] = max(best.get(kind, score), score, key=lambda one: one.iia)
        controls = [{**names, "control": control, **score.figures()} for control, score in best.items()]
        return [{**names, "control": "none", **self.row()}, *controls]

    def _repr_html_(self) -> str:
        seen = self.examined
        bars = [self.score.bar("found alignment", main=True)]
        bars += [control.bar(f"control: {name}") for name, control in self.controls.items()]
        parts = {
            "matters": "where neither base nor source would do as it is",
            "cause": "cause: only the variable differs",
            "isolation": "isolation: only the rest differs",
        }
        bars += [part.bar(told) for name, told in parts.items() if (part := getattr(seen, name)) is not None]
        facts = [f"Rewritten states: {seen.divergence}."]
        if seen.dormant is not None:
            facts.append(f"Dormant: {seen.dormant:.0%} of the effect is lost within the natural span.")
        below = (
            f"of {self.algorithm} at {self.site}, k = {self.k} ({self.function.name}), {self.score.n:,} interventions"
        )
        return card(self.variable, below, bars, facts, self.warnings)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # In a list, too: a notebook shows a list as text, and the tensors of the functions would drown it.
        printer.text("..." if cycle else str(self))

    def __str__(self) -> str:
        seen = self.examined
        lines = [f"{self.variable} of {self.algorithm} at {self.site}, k = {self.k}: IIA {self.score}"]
        if self.selectivity is not None:
            name, above = self.selectivity
            interval = f"{above.low:.3f} to {above.high:.3f}"
            lines.append(f"above the best null control, {name}, by {above.value:.3f} ({interval})")
        if seen.matters is not None:
            lines.append(f"where neither the base nor the source would do as it is: IIA {seen.matters}")
        if seen.by_value:
            worst = min(seen.by_value, key=lambda value: seen.by_value[value].iia)
            lines.append(f"worst value put in, {worst}: IIA {seen.by_value[worst]}")
        if seen.cause is not None:
            lines.append(f"cause, where only the variable differs: IIA {seen.cause}")
        if seen.isolation is not None:
            lines.append(f"isolation, where only the rest differs: IIA {seen.isolation}")
        lines.append(f"rewritten states: {seen.divergence}")
        if seen.dormant is not None:
            lines.append(f"dormant: {seen.dormant:.0%} of the effect is lost within the natural span")
        lines += [f"control {name}: IIA {value}" for name, value in self.controls.items()]
        lines += [f"WARNING: {warning}" for warning in self.warnings]
        return "\n  ".join(lines)


def save_evidence(path: Path, found: Sequence[Evidence], facts: Mapping[str, Any] | None = None) -> None:
    """Writes all of what was found to one safetensors file: functions as `save_functions` does, the rest in its header.

    A function is called after its variable and size, `count.24`; its tensors are `count.24.write` and so on.
    """
    functions = {f"{one.variable}.{one.k}": one.function for one in found}
    save_functions(path, functions, {**(facts or {}), "evidence": [_described(one) for one in found]})


def load_evidence(path: Path) -> list[Evidence]:
    """What `save_evidence` wrote, without loss.

    Raises:
        CheckpointError: the file is missing, damaged, or holds something else.
    """
    functions, facts = load_functions(path)
    try:
        return [_read(entry, functions) for entry in facts["evidence"]]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold evidence that can be read ({error!r})") from error


def _described(one: Evidence) -> dict[str, Any]:
    seen = one.examined
    return {
        **{name: getattr(one, name) for name in _PLAIN},
        "function": f"{one.variable}.{one.k}",
        "score": _bits(seen.score),
        **{name: None if (part := getattr(seen, name)) is None else _bits(part) for name in _PARTS},
        "by_value": [[value, _bits(part)] for value, part in seen.by_value.items()],
        "divergence": asdict(seen.divergence),
        "dormant": seen.dormant,
        "controls": [[name, _bits(control)] for name, control in one.controls.items()],
    }


_PLAIN = ("algorithm", "variable", "site", "start", "steps", "validation_iia", "redrawn")
_PARTS = ("matters", "cause", "isolation")


def _read(entry: Mapping[str, Any], functions: Mapping[str, AlignmentFunction]) -> Evidence:
    examined = Examined(
        score=_score(entry["score"]),
        **{name: None if entry[name] is None else _score(entry[name]) for name in _PARTS},
        by_value={int(value): _score(part) for value, part in entry["by_value"]},
        divergence=Divergence(**entry["divergence"]),
        dormant=entry["dormant"],
    )
    return Evidence(
        **{name: entry[name] for name in _PLAIN},
        function=functions[entry["function"]],
        examined=examined,
        controls={name: _score(part) for name, part in entry["controls"]},
    )


def _bits(score: Score) -> dict[str, Any]:
    """Which interventions were followed, eight to a byte; everything else of a score follows from it."""
    return {"n": score.n, "followed": np.packbits(score.correct.numpy()).tobytes().hex()}


def _score(entry: Mapping[str, Any]) -> Score:
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(entry["followed"]), dtype=np.uint8), count=entry["n"])
    return share(torch.from_numpy(bits.astype(bool)))
