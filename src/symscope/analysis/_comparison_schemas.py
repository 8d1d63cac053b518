"""Schemas of the tables of comparisons between networks."""

from __future__ import annotations

import polars as pl

from symscope.analysis.columns import (
    ALGORITHM,
    ALIGNED,
    ALIGNMENT_KEY,
    FUNCTION,
    NATURALNESS,
    NETWORK_KEY,
    SITE,
    TESTED,
    VARIABLE,
    WHERE,
    Column,
    TableSchema,
    integer,
    real,
    share,
    text,
)

_DIVERGENCES = ("mahalanobis", "nearest", "earth_mover", "earth_mover_natural")

_PARTNER = (
    text("partner_network", "architecture of its partner on the same task"),
    integer("partner_d", "state size of the partner", least=1),
    integer("partner_seed", "seed of the partner's training"),
)
PARTNER_KEY = tuple(column.name for column in _PARTNER)

DIRECTIONS = ("within", "across")
"""Values of `comparison.direction`: source values from the network itself, or from its partner."""

_TRANSFERRED = (
    integer("rank", "dimensions of the frames, at most k", least=1),
    *TESTED,
    share(
        "informative_iia", "IIA on interventions that differ from the continuations of base and source", nullable=True
    ),
    *(column for column in NATURALNESS if column.name in _DIVERGENCES),
    share("shuffled_labels_iia", "IIA of the control: shuffled labels", nullable=True),
    share("untrained_iia", "IIA of the control: an untrained network as the source", nullable=True),
    share("random_frame_iia", "IIA of the control: random frames", nullable=True),
    share("validation_iia", "IIA on the validation interventions, mean over the directions of the search"),
    integer("best_step", "step of the frames that were kept; 0 is the start", least=0),
    integer("total_steps", "steps of all restarts of the search together", least=0),
    Column("closed_form", pl.Boolean(), "whether the search started in closed form"),
)
"""Columns of a transfer of values between models, or within one."""

COMPARISON = TableSchema(
    name="comparison",
    row="values of a variable that are written into a network, from its partner or from the network itself",
    columns=(
        *WHERE,
        *_PARTNER,
        text("direction", "`across`: values are taken from the partner; `within`: from the network itself"),
        ALGORITHM,
        VARIABLE,
        SITE,
        FUNCTION,
        integer("k", "dimensions of the frame of each network", least=1),
        *_TRANSFERRED,
        share("accuracy", "share of test sequences that the network completes without an intervention", nullable=True),
        share("partner_accuracy", "the same for the partner", nullable=True),
    ),
    key=(*NETWORK_KEY, *PARTNER_KEY, "direction", "algorithm", "variable", "site", "function", "k"),
)

SIMILARITY = TableSchema(
    name="similarity",
    row="one measure of the similarity of the states of two networks",
    columns=(
        *WHERE,
        *_PARTNER,
        text("measure", "`cka`, `rsa`, ...; stitching maps states of the partner to states of the network"),
        real("value", "value of the measure"),
        real("null_mean", "mean of the measure over permutations of the sequences"),
        real("null_high", "95% quantile over permutations"),
        share("p", "p-value of the permutation test, uncorrected"),
        real("untrained", "value with an untrained network in place of the partner", nullable=True),
        real("floor", "what is reached without reading the states; null: 0", nullable=True),
        real("reference", "what the network's own states reach; null: 1", nullable=True),
        integer("n_rows", "compared states", least=1),
        integer("n_sequences", "their sequences", least=1),
    ),
    key=(*NETWORK_KEY, *PARTNER_KEY, "measure"),
)

STITCHING = TableSchema(
    name="stitching",
    row="a linear map, trained on behaviour, from states of a network's partner to states of the network",
    columns=(
        *WHERE,
        *_PARTNER,
        ALGORITHM,
        integer("rank", "rank of the map", least=1),
        share("iia", "share of test sequences that the network completes correctly from mapped states, 0 to 1"),
        share("low", "lower end of its 95% interval, over sequences"),
        share("high", "upper end of that interval"),
        integer("n", "test sequences", least=1),
        share("from_regression", "the same share for the map before training, a regression of states"),
        share("constant", "the same share for a constant state, trained with the same budget"),
        share("untrained", "the same share for states of an untrained partner, with the same budget", nullable=True),
        share("reference", "the same share for the network's own states"),
        share("validation", "the same share on validation sequences"),
        integer("best_step", "step of the map that was kept; 0 is the regression", least=0),
        integer("total_steps", "steps of the training of the map", least=0),
    ),
    key=(*NETWORK_KEY, *PARTNER_KEY, "algorithm", "rank"),
)

DIMENSIONS = TableSchema(
    name="dimensions",
    row="all variables of an algorithm, swapped together in k dimensions of one network",
    columns=(
        *ALIGNED,
        *_TRANSFERRED,
        Column("smallest", pl.Boolean(), "whether this is the smallest k within 0.01 of the best validation IIA"),
    ),
    key=ALIGNMENT_KEY,
)
