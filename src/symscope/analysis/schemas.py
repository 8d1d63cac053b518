"""The schema of every result table: meaning of a row, meaning of each column, and the columns that identify a row."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from symscope.analysis._comparison_schemas import COMPARISON, DIMENSIONS, SIMILARITY, STITCHING
from symscope.analysis._network_schemas import (
    ATTENTION,
    REACH,
    STATE_SPACE,
    STRENGTH,
    TRAINING,
    TRIAL_ACCURACY,
    WHOLE_STATES,
)
from symscope.analysis._record_schemas import EXAMPLES, FAILURES, LENGTH_ERRORS
from symscope.analysis.columns import (
    ALGORITHM,
    ALIGNED,
    ALIGNMENT_KEY,
    EVIDENCE,
    FUNCTION,
    IIA,
    NATURALNESS,
    NETWORK_KEY,
    PROTOCOL,
    SITE,
    TESTED,
    VARIABLE,
    WHERE,
    Column,
    K,
    TableSchema,
    integer,
    interval,
    label,
    real,
    share,
    text,
)

CONTROLS: Mapping[str, str] = MappingProxyType(
    {
        "none": "alignment",
        "untrained": "untrained network",
        "shuffled_labels": "shuffled labels",
        "random_subspace": "random subspace",
        "principal_components": "principal components",
        "neurons": "single neurons",
        "whole_state": "all dimensions",
    }
)
"""Values of the column `scores.control` and their labels, in the order of every table, figure and page.

`none` is the alignment itself.
"""

NULL_CONTROLS = ("untrained", "shuffled_labels", "random_subspace", "principal_components")
"""Controls that an alignment must beat: their IIA is reached without finding the variable in the trained network."""

WHOLE_STATE = "whole_state"
"""The `function` of a whole-state swap; its `variable` is `ALL_VARIABLES`."""

ALL_VARIABLES = "all"


BASELINES: Mapping[str, str] = MappingProxyType(
    {
        "least_squares": "least squares (no search)",
        "diff_means": "difference of means",
        "linear_probe": "linear probe",
        "lda": "LDA",
        "leace": "LEACE",
    }
)
"""Further values of `scores.control`: alignments that are computed, neither controls to beat nor ceilings."""

SCORE_LABELS: Mapping[str, str] = MappingProxyType({**CONTROLS, **BASELINES})
"""The label of every value of `scores.control`."""

WHOLE_STATE_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "source": "continues as the source",
        "base": "continues as the base",
    }
)
"""Values of `whole_state.outcome` and their labels."""

_CONTROL_COLUMNS = tuple((name, label) for name, label in CONTROLS.items() if name != "none")

SCORES = TableSchema(
    name="scores",
    row="one score of one alignment on the test interventions",
    columns=(
        *ALIGNED,
        text("control", "`none` for the alignment, or the name of a control with the same function and k"),
        *TESTED,
        integer("restart", "number of the restart that the search kept, from 0", nullable=True),
        integer("restarts", "restarts of the search", nullable=True, least=1),
        share("validation_iia", "IIA on the validation interventions", nullable=True),
        integer("total_steps", "steps of all restarts of the search together", nullable=True),
        share(
            "rejection_rate",
            "share of drawn test interventions that were rejected because they have no counterfactual",
            nullable=True,
        ),
        integer(
            "excluded_pairs",
            "pairs left out because the network completes their base or source incorrectly",
            nullable=True,
            least=0,
        ),
        integer("all_pairs", "pairs of a table or graph, including those left out", nullable=True, least=1),
        *EVIDENCE,
    ),
    key=(*ALIGNMENT_KEY, "control"),
)

GRADIENCE = TableSchema(
    name="gradience",
    row="the interventions with one pair of base value and source value",
    columns=(
        *ALIGNED,
        integer("base_value", "count of the base where it is stopped"),
        integer("source_value", "count of the source where it is stopped"),
        IIA,
        integer("n", "test interventions", least=1),
    ),
    key=(*ALIGNMENT_KEY, "base_value", "source_value"),
)

ALIGNED_STATES = TableSchema(
    name="aligned_states",
    row="one position of one sequence, in aligned coordinates",
    columns=(
        *WHERE,
        ALGORITHM,
        text("variable", "variable of the subspace"),
        FUNCTION,
        K,
        PROTOCOL,
        integer("quantity", "number of demo tokens of the sequence"),
        integer("sequence", "number of the sequence, from 0; each holds its positions in order"),
        integer("step", "position in the sequence, from 0"),
        text("token", "token read at this position"),
        integer("count", "value of the variable `count` after this token; null: no such variable", nullable=True),
        label("phase", "label of the variable `phase` after this token; null: no such variable"),
        real("c1", "first component of the aligned coordinates, in units of the state"),
        real("c2", "second component; null when k is 1", nullable=True),
    ),
    key=(*NETWORK_KEY, "algorithm", "variable", "function", "k", "protocol", "sequence", "step"),
)

LOCATIONS = TableSchema(
    name="locations",
    row="whole-state swaps for one variable at one site and position",
    columns=(
        *WHERE,
        ALGORITHM,
        VARIABLE,
        SITE,
        text("position", "position of the prompt, counted from its end (-1), or a name"),
        share("iia", "share of interventions after which the network follows the counterfactual, 0 to 1"),
        *interval("iia", "interventions"),
        integer("n", "validation interventions", least=1),
        Column("alone", pl.Boolean(), "whether base and source of these interventions differ in the variable alone"),
        share("input_share", "share of the state's variation that follows from its token alone", nullable=True),
        share("output_share", "share of the answer's variation that follows from the state alone", nullable=True),
        label("trivial", "`input`: the state depends on its token alone; `output`: the answer on the state alone"),
        Column("best", pl.Boolean(), "whether this is the best site and position"),
    ),
    key=(*NETWORK_KEY, "algorithm", "variable", "site", "position"),
)

CALIBRATION = TableSchema(
    name="calibration",
    row="one question to a network with a known answer",
    columns=(
        text(
            "part",
            "`known`: constructed networks; `null`: untrained networks; `curve`: rising weight of the latent loss",
        ),
        text("network", "kind of network"),
        text("change_of_basis", "change of basis of the state space"),
        integer("d", "state size", least=1),
        integer("seed", "seed of the change of basis, draws and restarts"),
        ALGORITHM,
        VARIABLE,
        FUNCTION,
        K,
        real("latent_weight", "weight of the counterfactual-latent loss in the search"),
        text("coordinates", "coordinates of the search: `state`, or `natural-span`, within the span of natural states"),
        Column("held", pl.Boolean(), "whether the network holds the variable, the correct answer"),
        *TESTED,
        *EVIDENCE,
        *(share(f"{name}_iia", f"IIA of the control: {label}", nullable=True) for name, label in _CONTROL_COLUMNS),
    ),
    key=(
        "part",
        "network",
        "change_of_basis",
        "d",
        "seed",
        "algorithm",
        "variable",
        "function",
        "k",
        "latent_weight",
        "coordinates",
    ),
)

CLAIM_VERDICTS = ("holds", "does not hold", "not decided by this run")

CLAIMS = TableSchema(
    name="claims",
    row="one qualitative claim of the paper",
    columns=(
        text("claim", "short name"),
        text("statement", "the claim in words"),
        text("source", "paper and section"),
        text("measure", "the effect in words"),
        real("value", "size of the effect", nullable=True),
        real("low", "lower end of its 95% interval, by bootstrap over seeds and then trials", nullable=True),
        real("high", "upper end of that interval", nullable=True),
        integer("seeds", "networks in the smallest kind", nullable=True, least=1),
        integer("kinds", "kinds of network that the effect is measured in", nullable=True, least=1),
        integer(
            "kinds_above",
            "kinds whose own mean is above the threshold; none for a difference or a slope between kinds",
            nullable=True,
        ),
        share("p", "p-value of an effect above the threshold, uncorrected", nullable=True),
        share("p_holm", "p corrected for the number of claims that are measured in enough networks", nullable=True),
        text("rule", "rule of the verdict"),
        text("verdict", "`holds`, `does not hold` or `not decided by this run`"),
        real("threshold", "value that the effect must exceed", nullable=True),
        label("reason", "why the claim is not decided"),
        Column("beyond", pl.Boolean(), "whether the paper does not make the claim", nullable=True),
        label("networks", "the kinds of network that the effect is measured in, with the numbers of their seeds"),
    ),
    key=("claim",),
)

CLAIM_VALUES = TableSchema(
    name="claim_values",
    row="one network in which a claim is measured",
    columns=(
        text("claim", "short name"),
        text("kind", "kind of network in words"),
        integer("seed", "seed of the network's training"),
        real("weight", "weight of the kind in the effect: above 0 for the first side of a difference"),
        real("value", "what is measured in this network"),
        real("error", "standard error of the value, over trials"),
    ),
    key=("claim", "kind", "seed"),
)

HIGH_IIAS = TableSchema(
    name="high_iias",
    row="one alignment of a variable with a high IIA, over seeds",
    columns=(
        *(column for column in ALIGNED if column.name != "seed"),
        integer("seeds", "networks", least=1),
        share("iia", "mean IIA over seeds"),
        *interval("iia", "seeds and interventions"),
        text("naturalness", "of the least natural seed: `natural`, `in the span`, `off-manifold`, or `not measured`"),
        share("off_span_share", "largest share of rewritten states' norm outside the natural span", nullable=True),
        share("dormant_share", "largest share of the effect that is lost within that span", nullable=True),
        share("far_out_share", "largest share of rewritten states far out in that span", nullable=True),
        real("within_class_distance", "largest distance to natural states with the same values", nullable=True),
    ),
    key=tuple(name for name in ALIGNMENT_KEY if name != "seed"),
)

PHASES = TableSchema(
    name="phases",
    row="one site of one transformer, and one token at which sequences are stopped",
    columns=(
        *WHERE,
        ALGORITHM,
        SITE,
        text("token", "token at the stop; `all`: any token"),
        share("accuracy", "share of states from which a linear probe reads the phase", nullable=True),
        share("most_common", "share of the more common phase, which a constant answer has", nullable=True),
        integer("states", "states that the probe is tested on", nullable=True, least=1),
        share("iia", "IIA of swaps of whole states with a source that differs in its phase alone", nullable=True),
        share("low", "lower end of its 95% interval, over swaps", nullable=True),
        share("high", "upper end of that interval", nullable=True),
        integer("n", "swaps", nullable=True, least=1),
    ),
    key=(*NETWORK_KEY, "algorithm", "site", "token"),
)

DEVELOPMENT = TableSchema(
    name="development",
    row="one search for one variable in one checkpoint of one network",
    columns=(
        *WHERE,
        integer("epoch", "epochs of training so far; 0 is the untrained network", least=0),
        share("trial_accuracy", "share of correct trials of this checkpoint, over all quantities of the task, 0 to 1"),
        integer("trials", "trials", least=1),
        ALGORITHM,
        VARIABLE,
        SITE,
        FUNCTION,
        K,
        PROTOCOL,
        *TESTED,
        integer("restarts", "restarts of the search", nullable=True, least=1),
        integer("total_steps", "steps of all restarts of the search together", nullable=True),
    ),
    key=(*ALIGNMENT_KEY, "epoch"),
)

FRONTIER = TableSchema(
    name="frontier",
    row="one search for one variable in one network, with one weight of the counterfactual-latent loss",
    columns=(
        *ALIGNED,
        real("latent_weight", "weight of the counterfactual-latent loss"),
        *TESTED,
        integer("restarts", "restarts of the search", nullable=True, least=1),
        integer("total_steps", "steps of all restarts of the search together", nullable=True),
        *NATURALNESS,
    ),
    key=(*ALIGNMENT_KEY, "latent_weight"),
)

VALUES = TableSchema(
    name="values",
    row="the test interventions with one source value of a variable",
    columns=(
        *ALIGNED,
        integer("value", "source value; of a variable with labels, the index of the label, from 0"),
        IIA,
        *interval("iia", "interventions"),
        integer("n", "test interventions with this value", least=1),
    ),
    key=(*ALIGNMENT_KEY, "value"),
)

THEORY = TableSchema(
    name="theory",
    row="one search for a variable that a constructed network holds, after a linear change of basis",
    columns=(
        text("network", "constructed network"),
        text("change_of_basis", "change of basis of the state space"),
        integer("d", "state size", least=1),
        integer("spare", "dimensions of the state beyond those that the algorithm needs", least=0),
        integer("seed", "seed of the change of basis, draws and restarts"),
        ALGORITHM,
        VARIABLE,
        FUNCTION,
        text("coordinates", "coordinates of the search: `state`, or `natural-span`, within the span of natural states"),
        K,
        *TESTED,
        *EVIDENCE,
    ),
    key=("network", "change_of_basis", "d", "seed", "algorithm", "variable", "function", "coordinates", "k"),
)

TABLES: Mapping[str, TableSchema] = MappingProxyType(
    {
        schema.name: schema
        for schema in (
            CLAIMS,
            CLAIM_VALUES,
            HIGH_IIAS,
            SCORES,
            TRIAL_ACCURACY,
            WHOLE_STATES,
            LOCATIONS,
            GRADIENCE,
            VALUES,
            LENGTH_ERRORS,
            FAILURES,
            EXAMPLES,
            ALIGNED_STATES,
            STATE_SPACE,
            ATTENTION,
            TRAINING,
            DEVELOPMENT,
            FRONTIER,
            COMPARISON,
            SIMILARITY,
            STITCHING,
            DIMENSIONS,
            STRENGTH,
            PHASES,
            THEORY,
            REACH,
            CALIBRATION,
        )
    }
)
"""Every table by name."""
