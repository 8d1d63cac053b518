"""The schemas of tables about networks: what they learned, their states, their attention, whole-state swaps."""

from __future__ import annotations

import polars as pl

from symscope.analysis.columns import (
    ALGORITHM,
    NETWORK_KEY,
    SITE,
    WHERE,
    Column,
    TableSchema,
    integer,
    interval,
    label,
    real,
    share,
    text,
)

TRIAL_ACCURACY = TableSchema(
    name="trial_accuracy",
    row="one quantity on one network",
    columns=(
        *WHERE,
        integer("quantity", "number of demo tokens"),
        Column("held_out", pl.Boolean(), "whether this quantity was absent from training"),
        share("trial_accuracy", "share of trials with every determined token predicted, 0 to 1"),
        integer("n", "trials", least=1),
    ),
    key=(*NETWORK_KEY, "quantity"),
)

STATE_SPACE = TableSchema(
    name="state_space",
    row="one position of one sequence, in the principal components of the network's natural states",
    columns=(
        *WHERE,
        SITE,
        integer("quantity", "number of demo tokens of the sequence"),
        integer("sequence", "number of the sequence, from 0; each holds its positions in order"),
        integer("step", "position in the sequence, from 0"),
        text("token", "token read at this position"),
        integer("count", "value of the variable `count` after this token; null: no such variable", nullable=True),
        label("phase", "label of the variable `phase` after this token; null: no such variable"),
        real("c1", "first principal component, in units of the state"),
        real("c2", "second principal component; null where the state has one dimension", nullable=True),
        real("c3", "third principal component; null where the state has two dimensions", nullable=True),
        share("variance", "share of the variance of the states along these components"),
    ),
    key=(*NETWORK_KEY, "site", "sequence", "step"),
)

ATTENTION = TableSchema(
    name="attention",
    row="one query and one key of one head, averaged over sequences",
    columns=(
        *WHERE,
        integer("quantity", "number of demo tokens of the sequences"),
        integer("layer", "layer, from 1", least=1),
        integer("head", "head, from 1", least=1),
        integer("query", "position of the query, counted from the trigger: below 0 demo phase, above 0 resp phase"),
        integer("key", "position of the key, counted from the trigger"),
        share("weight", "mean attention weight"),
        integer("n", "sequences that have both positions", least=1),
    ),
    key=(*NETWORK_KEY, "quantity", "layer", "head", "query", "key"),
)

TRAINING = TableSchema(
    name="training",
    row="one validation during training",
    columns=(
        *WHERE,
        integer("update", "updates of the weights before this validation"),
        integer("epoch", "epochs before this validation"),
        real("loss", "training loss, nats a token", nullable=True),
        real("learning_rate", "learning rate of the last update"),
        share("trained_accuracy", "trial accuracy on trained quantities, 0 to 1", nullable=True),
        share("held_out_accuracy", "trial accuracy on held-out quantities, 0 to 1", nullable=True),
        real("seconds", "time since training began"),
    ),
    key=(*NETWORK_KEY, "update"),
)

WHOLE_STATES = TableSchema(
    name="whole_state",
    row="one outcome of whole-state swaps within one phase, at one site",
    columns=(
        *WHERE,
        ALGORITHM,
        SITE,
        text("outcome", "`source`: the network continues as the source; `base`: it continues exactly as the base"),
        share("share", "share of swaps with this outcome, 0 to 1"),
        *interval("share", "swaps"),
        integer("n", "swaps", least=1),
    ),
    key=(*NETWORK_KEY, "algorithm", "site", "outcome"),
)

STRENGTH = TableSchema(
    name="strength",
    row="one change of the attention sum of one network",
    columns=(
        *WHERE,
        text("token", "token whose contribution is changed: `demo` or `resp`"),
        text("change", "`added` a second time, or `removed`"),
        share("exact", "share of trials whose `EOS` moves by exactly the one step that +1/-1 summation predicts"),
        *interval("exact", "trials"),
        real("moved", "mean shift of `EOS`, in response tokens, over trials with an `EOS`", nullable=True),
        share("ended", "share of trials with an `EOS`"),
        integer("n", "trials", least=1),
    ),
    key=(*NETWORK_KEY, "token", "change"),
)

REACH = TableSchema(
    name="reach",
    row="a pair of activations of a transformer",
    columns=(
        text("network", "architecture"),
        integer("layers", "layers of the network", least=1),
        integer("from_layer", "layer of the first activation; 0 is the embedding", least=0),
        integer("from_position", "position of the first activation, from 0", least=0),
        integer("layer", "layer of the second activation", least=0),
        integer("position", "position of the second activation", least=0),
        Column("reaches", pl.Boolean(), "whether the second depends on the first, by the causal structure"),
        real("change", "largest change of the second after a random change of the first, in units of its size"),
        integer(
            "updates", "largest number of updates, from a position to a later one, in the second activation", least=0
        ),
    ),
    key=("network", "layers", "from_layer", "from_position", "layer", "position"),
)
