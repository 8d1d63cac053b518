"""A claim: a statement, the effect that it is about, and the threshold that decides it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from symscope.analysis.effects import LEAST_SEEDS, Effect, Tables

SOURCE = "Grant, Goodman, McClelland, TMLR 2025"
MAS_SOURCE = "Grant et al. 2025, model alignment search"
BEYOND = "symscope, beyond the paper"

AT_ALL, CLEARLY, FAR, MOSTLY = 0.01, 0.1, 0.25, 0.9
"""Thresholds of any difference, of a clear one, of a large one, and of a share close to 1."""


@dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        name: short name.
        statement: the claim in words.
        section: section of the paper.
        measured: the effect in words.
        threshold: value that the effect must exceed.
        needs: tables that the effect is computed from.
        effect: computes the effect from the tables; None where they have no suitable networks.
        source: the paper.
    """

    name: str
    statement: str
    section: str
    measured: str
    threshold: float
    needs: tuple[str, ...]
    effect: Callable[[Tables], Effect | None]
    source: str = SOURCE

    @property
    def is_beyond(self) -> bool:
        """Whether the paper does not make the claim, since it could not see it."""
        return self.source == BEYOND

    @property
    def rule(self) -> str:
        """The rule of the verdict, in words."""
        return (
            f"Holds if the whole 95% interval lies above {self.threshold:g} and p is at most 0.05 after Holm's "
            f"correction; does not hold if the interval ends at or below {self.threshold:g}; otherwise not decided. "
            f"Needs {LEAST_SEEDS} networks of a kind that solved their task."
        )
