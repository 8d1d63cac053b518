import polars as pl
import pytest
from polars.testing import assert_frame_equal

from symscope.analysis import TABLES, make_table, read_table, read_tables, validate, write_table
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError, UnknownNameError


def test_scores_and_behaviour_have_the_columns_that_readers_rely_on():
    scores = [
        "task",
        "network",
        "d",
        "seed",
        "algorithm",
        "variable",
        "site",
        "function",
        "k",
        "protocol",
        "control",
        "iia",
        "low",
        "high",
        "n",
    ]
    behaviour = ["task", "network", "d", "seed", "quantity", "held_out", "trial_accuracy", "n"]
    assert list(TABLES["scores"].dtypes)[: len(scores)] == scores
    assert list(TABLES["trial_accuracy"].dtypes)[: len(behaviour)] == behaviour


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_written_and_read_without_loss(name, synthetic, tmp_path):
    frame = synthetic.tables()[name]
    parquet, csv = write_table(name, frame, tmp_path / "new")
    assert_frame_equal(read_table(name, tmp_path / "new"), frame)
    assert pl.read_csv(csv).height == frame.height
    assert sorted(p.name for p in parquet.parent.iterdir()) == [f"{name}.csv", f"{name}.parquet"]


def test_an_empty_table_keeps_its_columns(tmp_path):
    write_table("training", make_table("training", []), tmp_path)
    assert list(read_tables(tmp_path)["training"].columns) == list(TABLES["training"].dtypes)


def test_narrow_types_are_widened_and_missing_nullable_columns_are_null(synthetic):
    narrow = synthetic.scores().drop("restart").with_columns(pl.col("n").cast(pl.Int32), pl.col("iia").cast(pl.Float32))
    frame = validate("scores", narrow)
    assert frame.schema == pl.Schema(TABLES["scores"].dtypes)
    assert frame["restart"].null_count() == frame.height


def test_all_faults_of_the_columns_are_named_together(synthetic):
    wrong = synthetic.scores().drop("k", "iia").with_columns(pl.lit("x").alias("n"), pl.lit(1).alias("extra"))
    with pytest.raises(InvalidArgumentError) as error:
        validate("scores", wrong)
    assert "missing columns: k, iia" in str(error.value)
    assert "unknown columns: extra" in str(error.value)
    assert "'n' is String, expected Int64" in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (pl.lit(1.2).alias("iia"), "'iia' holds 1.2, expected 0 to 1"),
        (pl.lit(float("nan")).alias("low"), "'low' holds NaN"),
        (pl.lit(None, dtype=pl.String).alias("task"), "'task' has"),
        (pl.lit(0).alias("n"), "'n' holds 0"),
        (pl.lit(0).alias("seed"), "repeat the key"),
    ],
)
def test_values_that_cannot_be_are_refused(change, message, synthetic):
    with pytest.raises(InvalidArgumentError, match=message):
        validate("scores", synthetic.scores().with_columns(change))


def test_rows_with_unknown_names_or_types_are_refused():
    with pytest.raises(InvalidArgumentError, match="unknown columns \\['sead'\\]"):
        make_table("trial_accuracy", [{"sead": 1}])
    with pytest.raises(InvalidArgumentError, match="does not fit the column types"):
        make_table("trial_accuracy", [{"seed": "one"}])


def test_an_unknown_table_names_the_near_ones():
    with pytest.raises(UnknownNameError, match="scores"):
        make_table("score", [])


def test_a_missing_or_damaged_file_says_what_to_do(tmp_path):
    with pytest.raises(StoreError, match="run the study again"):
        read_table("scores", tmp_path)
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(CheckpointError, match=r"scores\.parquet is damaged"):
        read_table("scores", tmp_path)


def test_a_folder_that_cannot_be_made_is_a_store_error(synthetic, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        write_table("scores", synthetic.scores(), tmp_path / "file")
