"""The schemas of tables about single test interventions, and about the sizes of their errors."""

from __future__ import annotations

from symscope.analysis.columns import ALIGNED, ALIGNMENT_KEY, TableSchema, integer, label, text

LENGTH_ERRORS = TableSchema(
    name="length_errors",
    row="the test interventions with one error of the answer's length",
    columns=(
        *ALIGNED,
        integer("error", "tokens of the answer beyond the predicted ones; null: wrong in another way", nullable=True),
        integer("count", "test interventions with this error", least=0),
        integer("n", "all test interventions", least=1),
    ),
    key=(*ALIGNMENT_KEY, "error"),
)

_RECORD = (
    *ALIGNED,
    integer("row", "number of the test intervention, from 0", least=0),
    label("base_value", "value of the variable in the base at the stop; null: unknown"),
    label("source_value", "value of the variable in the source at the stop; null: unknown"),
    integer("error", "tokens of the answer beyond the predicted ones; null: wrong in another way", nullable=True),
    text("base", "tokens that the base had read at the stop, a JSON list"),
    text("source", "tokens that the source had read at the stop, a JSON list"),
    text("predicted", "continuation of the counterfactual, a JSON list"),
    text("determined", "for each token of `predicted` 1 where the network must predict it, 0 where it is given it"),
    text("produced", "continuation of the network up to its first mistake, a JSON list; `…`: not followed further"),
    text("unswapped", "the same without the intervention, up to its first difference from `predicted`"),
    integer("base_position", "last position that the base had read, from 0; -1 for vectors"),
    integer("source_position", "last position that the source had read, from 0; -1 for vectors"),
    text("base_values", "values of all variables in the base, in words"),
    text("source_values", "values of all variables in the source, in words"),
    integer("failing", "failing test interventions of this alignment", least=0),
    integer("n", "all test interventions", least=1),
)

FAILURES = TableSchema(
    name="failures",
    row="one failing test intervention, at most the first 64 of an alignment",
    columns=_RECORD,
    key=(*ALIGNMENT_KEY, "row"),
)

EXAMPLES = TableSchema(
    name="examples",
    row="one successful test intervention that serves as example of an alignment",
    columns=_RECORD,
    key=ALIGNMENT_KEY,
)
