"""Where a network carries variables: the outcome of whole-state swaps at many sites and positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from symscope.alignment.score import Score
from symscope.interchange import Position

if TYPE_CHECKING:
    import polars as pl

TRIVIAL_SHARE = 0.99
"""A site × position is trivial when so much of its state follows from one token, or of the answer from its state."""

SCORE_TOLERANCE = 0.02
"""Scores that differ by at most this count as equal when the best site × position is chosen."""


@dataclass(frozen=True)
class Location:
    """Whole-state swaps at one site and one position.

    Attributes:
        site: where in the network.
        position: where in the prompt.
        scores: for each variable, how often the network follows the counterfactual after the swap.
        input_share: share of the variation of the state that follows from the token at the position alone; `None`: not
            defined (vectors).
        output_share: share of the variation of the answer that follows from the state alone; `None` where tokens are
            read after the stop.
    """

    site: str
    position: Position
    scores: Mapping[str, Score]
    input_share: float | None
    output_share: float | None

    @property
    def lowest(self) -> float:
        """The lowest score of a variable."""
        return min(score.iia for score in self.scores.values())

    @property
    def trivial(self) -> str:
        """Why a high score says nothing: `"input"`, `"output"`, or an empty text where it does.

        `input`: the state depends on the token at the position alone, so the swap exchanges that token. `output`: the
        answer depends on the state alone, so the swap exchanges the answer.
        """
        if self.input_share is not None and self.input_share >= TRIVIAL_SHARE:
            return "input"
        return "output" if self.output_share is not None and self.output_share >= TRIVIAL_SHARE else ""

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {score}" for name, score in self.scores.items())
        trivial = f", trivial ({self.trivial})" if self.trivial else ""
        return f"{self.site} at {self.position}: {scores}{trivial}"


@dataclass(frozen=True)
class LocateCost:
    """What whole-state swaps at many sites and positions cost.

    Attributes:
        interventions: number of interventions, of all variables together.
        sites: number of sites.
        positions: number of positions.
        prompt_tokens: tokens that are read up to the stops, by a network that computes once what its sites share; else
            so many for each site.
        resumed_tokens: tokens that are run, or run on, from the rewritten states.
    """

    interventions: int
    sites: int
    positions: int
    prompt_tokens: int
    resumed_tokens: int

    def __str__(self) -> str:
        return (
            f"{self.sites:,} sites × {self.positions:,} positions × {self.interventions:,} interventions: "
            f"{self.prompt_tokens:,} tokens of prompts, {self.resumed_tokens:,} tokens from rewritten states"
        )


@dataclass(frozen=True, repr=False)
class Locations:
    """Whole-state swaps at every site × position.

    Attributes:
        hypothesis: name of the algorithm, or of the table that the data comes from.
        cells: the outcomes, position by position, and within a position in the order of the sites.
        alone: whether base and source of the scored interventions differ in the overwritten variable alone. The swap
            then gives the counterfactual wherever the state carries the variable, whatever else it carries.
        cost: the cost of the swaps.
    """

    hypothesis: str
    cells: tuple[Location, ...]
    alone: Mapping[str, bool]
    cost: LocateCost

    @property
    def best(self) -> Location:
        """The site × position at which all variables can be rewritten, and which is least trivial.

        Among those that are not trivial and whose lowest score over variables is within `SCORE_TOLERANCE` of the
        highest, the one with the smallest share (of the larger of its two shares). Where all are trivial, of all.
        """
        candidates = [cell for cell in self.cells if not cell.trivial] or list(self.cells)
        highest = max(cell.lowest for cell in candidates)
        equal = [cell for cell in candidates if cell.lowest >= highest - SCORE_TOLERANCE]
        return min(equal, key=lambda cell: max(cell.input_share or 0.0, cell.output_share or 0.0))

    def table(self) -> pl.DataFrame:
        """One row for each variable, site and position; columns as in the table `locations` of a study."""
        import polars as pl  # noqa: PLC0415  (takes a second)

        return pl.DataFrame(self.rows(), infer_schema_length=None)

    def rows(self) -> list[dict[str, Any]]:
        """The rows of `table`."""
        best = self.best
        return [
            {
                "algorithm": self.hypothesis,
                "variable": name,
                "site": cell.site,
                "position": str(cell.position),
                "iia": score.iia,
                "low": score.low,
                "high": score.high,
                "n": score.n,
                "alone": self.alone[name],
                "input_share": cell.input_share,
                "output_share": cell.output_share,
                "trivial": cell.trivial or None,
                "best": cell is best,
            }
            for cell in self.cells
            for name, score in cell.scores.items()
        ]

    def __repr__(self) -> str:
        names = " and ".join(self.alone)
        trivial = sum(bool(cell.trivial) for cell in self.cells)
        alone = (
            "differ in the variable alone" if all(self.alone.values()) else "are any of the validation interventions"
        )
        lines = [f"Whole-state swaps of {self.hypothesis} ({names}), {self.cost}."]
        lines.append(f"Base and source {alone}. {trivial:,} of {len(self.cells):,} sites × positions are trivial.")
        best = self.best
        lines.append(f"Best, where the lowest score of a variable is {best.lowest:.3f}: {best!r}")
        for name in self.alone:
            top = max((cell for cell in self.cells if not cell.trivial), key=lambda c: c.scores[name].iia, default=best)
            lines.append(f"Highest for {name} alone: {top.site} at {top.position}, {top.scores[name].iia:.3f}")
        return "\n".join(lines)
