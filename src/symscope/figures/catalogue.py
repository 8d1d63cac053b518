"""Every figure that a set of result tables allows, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TypeAlias

import polars as pl
from altair.typing import ChartType
from altair.utils.schemapi import debug_mode

from symscope.analysis.answers import chosen_alignments, of_alignments
from symscope.analysis.schemas import ALL_VARIABLES
from symscope.analysis.summary import GROUP
from symscope.figures._attention import attention
from symscope.figures._calibration import calibration
from symscope.figures._claims import claim
from symscope.figures._comparison import comparison, dimensions
from symscope.figures._development import development
from symscope.figures._frontier import frontier
from symscope.figures._gradience import gradience, gradience_by_value, iia_by_value
from symscope.figures._iia_bars import iia_bars
from symscope.figures._iia_by_size import iia_by_function, iia_by_k, iia_by_size
from symscope.figures._length_errors import length_errors
from symscope.figures._locations import locations
from symscope.figures._reach import reach
from symscope.figures._strength import strength
from symscope.figures._theory import theory
from symscope.figures._training import training
from symscope.figures._trial_accuracy import trial_accuracy
from symscope.figures._whole_state import whole_state
from symscope.figures.panels import search_text
from symscope.figures.states import aligned_states, state_space
from symscope.figures.theme import WIDTH

_FAILURE_FIGURES: Mapping[str, tuple[str, Callable[..., ChartType]]] = {
    "length_errors": ("length_errors", length_errors),
    "gradience": ("gradience", gradience),
    "gradience_by_value": ("gradience", gradience_by_value),
    "iia_by_value": ("values", iia_by_value),
}
"""Figures of where interventions fail, each with its table."""
_DEVELOPMENT_FIGURES: Mapping[str, Callable[..., ChartType]] = {"trial_accuracy": trial_accuracy, "training": training}
_NETWORK_FIGURES: Mapping[str, Callable[..., ChartType]] = {
    "frontier": frontier,
    "whole_state": whole_state,
    "locations": locations,
    "calibration": calibration,
}
_OTHER_FIGURES: Mapping[str, Callable[..., ChartType]] = {
    "state_space": state_space,
    "attention": attention,
    "dimensions": dimensions,
    "strength": strength,
    "theory": theory,
    "reach": reach,
}


def draw_figures(tables: Mapping[str, pl.DataFrame], *, width: int = WIDTH) -> dict[str, ChartType]:
    """Charts by name, in reading order, from tables of `analysis.TABLES`.

    Of several alignments of a variable, bars, gradience and states show the chosen one (`chosen_alignments`), and
    `iia_by_k` shows every size. States have one figure for each variable, named `aligned_states-<variable>`. A table
    that is missing or empty gives no figure. `width` is in px.
    """
    present = {name: frame for name, frame in tables.items() if not frame.is_empty()}
    with debug_mode(False):  # Altair then does not validate each part; the tests validate every figure
        return {name: figure(frame, width=width) for name, figure, frame in _drawn(present) if not frame.is_empty()}


Drawn: TypeAlias = Iterator[tuple[str, Callable[..., ChartType], pl.DataFrame]]
"""Name, figure and rows of charts."""


def _drawn(present: Mapping[str, pl.DataFrame]) -> Drawn:
    """The answer, where it fails, how it develops, and the rest."""
    scores = present.get("scores")
    chosen, search = None, ""
    if scores is not None:
        chosen = chosen_alignments(scores)
        search = search_text(of_alignments(scores, chosen).filter(control="none"))
        whole = scores.filter(pl.col("variable") == ALL_VARIABLES)
        parts = scores.filter(pl.col("variable") != ALL_VARIABLES)
        yield "iia_bars", iia_bars, pl.concat([_chosen(parts, chosen), whole])
    yield from _of_chosen(present, chosen, _FAILURE_FIGURES, search)
    if "development" in present:
        yield "development", partial(development, scores=scores), present["development"]
    yield from _of_tables(present, _DEVELOPMENT_FIGURES)
    if scores is not None:
        yield from _of_sizes(scores, chosen)
    yield from _of_tables(present, _NETWORK_FIGURES)
    if "comparison" in present:
        yield "comparison", partial(comparison, similarity=present.get("similarity")), present["comparison"]
    if "aligned_states" in present:
        states = _chosen(present["aligned_states"], chosen)
        for (variable,), part in states.group_by("variable", maintain_order=True):
            figure = partial(aligned_states, search=search)
            yield f"aligned_states-{str(variable).lower().replace(' ', '-')}", figure, part
    yield from _of_tables(present, _OTHER_FIGURES)
    yield from _of_claims(present)


def _of_claims(present: Mapping[str, pl.DataFrame]) -> Drawn:
    """A figure for each claim that is measured, of the networks that it is measured in."""
    if "claims" in present and "claim_values" in present:
        values = present["claim_values"]
        for row in present["claims"].filter(pl.col("value").is_not_null()).iter_rows(named=True):
            yield f"claim-{row['claim']}", partial(claim, claim_row=row), values.filter(claim=row["claim"])


def _of_tables(present: Mapping[str, pl.DataFrame], figures: Mapping[str, Callable[..., ChartType]]) -> Drawn:
    """Figures of all rows of the table with their name."""
    for name, figure in figures.items():
        if name in present:
            yield name, figure, present[name]


def _of_chosen(
    present: Mapping[str, pl.DataFrame],
    alignments: pl.DataFrame | None,
    figures: Mapping[str, tuple[str, Callable[..., ChartType]]],
    search: str,
) -> Drawn:
    """Figures of the chosen alignments' rows of a table; `search` is a sentence on their search."""
    for name, (table, figure) in figures.items():
        if table in present:
            yield name, partial(figure, search=search), _chosen(present[table], alignments)


def _of_sizes(scores: pl.DataFrame, chosen: pl.DataFrame | None) -> Drawn:
    parts = scores.filter(pl.col("variable") != ALL_VARIABLES)
    if parts.get_column("k").n_unique() > 1:
        yield "iia_by_k", iia_by_k, scores
    if parts.get_column("function").n_unique() > 1:
        yield "iia_by_function", iia_by_function, scores
    if _of_several_sizes(parts):
        yield "iia_by_size", iia_by_size, _chosen(parts, chosen)


def _of_several_sizes(frame: pl.DataFrame) -> bool:
    """Whether some architecture has several sizes on one task."""
    sizes = frame.group_by("task", "network").agg(pl.col("d").n_unique() > 1)
    return bool(sizes.get_column("d").any())


def _chosen(frame: pl.DataFrame, alignments: pl.DataFrame | None) -> pl.DataFrame:
    """The rows of the chosen alignment of each question; all rows of a question of which the frame has no such rows."""
    if alignments is None:
        return frame
    chosen = of_alignments(frame, alignments)
    remaining = frame.join(chosen, on=GROUP, how="anti", maintain_order="left")
    return pl.concat([chosen, remaining])
