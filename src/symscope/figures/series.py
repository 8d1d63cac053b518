"""The series of scores, with one name and one colour on every figure and page: the alignment, controls, baselines."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import polars as pl

from symscope.analysis.schemas import ALL_VARIABLES, CONTROLS, SCORE_LABELS
from symscope.figures.theme import BLUE, GREEN, GREY, MAUVE, OCHRE, PURPLE, SAGE, STEEL, VERMILLION

WHOLE_LABEL = "whole-state swap"
_COLOURS = {
    "none": BLUE,
    "untrained": VERMILLION,
    "shuffled_labels": OCHRE,
    "random_subspace": GREY,
    "principal_components": PURPLE,
    "neurons": STEEL,
    "whole_state": SAGE,
}
SERIES_COLOURS = {label: _COLOURS[control] for control, label in CONTROLS.items()} | {WHOLE_LABEL: GREEN}
"""Colour of the alignment and of each control by label, in the order of `CONTROLS`; the whole-state swap is last."""
BASELINE_COLOUR = MAUVE
"""Colour of alignments that are computed, not searched."""


def series_label() -> pl.Expr:
    """The label of a score, from its columns `variable` and `control`."""
    whole = (pl.col("variable") == ALL_VARIABLES) & (pl.col("control") == "none")
    return pl.when(whole).then(pl.lit(WHOLE_LABEL)).otherwise(pl.col("control").replace(SCORE_LABELS)).alias("series")


def series_colours(names: Iterable[str]) -> dict[str, str]:
    """The colour of each series that occurs: the alignment, controls, baselines, and the whole-state swap last."""
    present = dict.fromkeys(names)
    known = [name for name in SERIES_COLOURS if name in present and name != WHOLE_LABEL]
    further = [name for name in present if name not in SERIES_COLOURS]
    last = [WHOLE_LABEL] if WHOLE_LABEL in present else []
    return {name: SERIES_COLOURS.get(name, BASELINE_COLOUR) for name in (*known, *further, *last)}


def series_scale(series: pl.Series) -> alt.Scale:
    """The colours of the series that occur, in the order of `series_colours`."""
    colours = series_colours(series.unique(maintain_order=True).to_list())
    return alt.Scale(domain=list(colours), range=list(colours.values()))
