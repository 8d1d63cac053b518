"""Derived files of a finished study (tables, figures, report): literal paths, and repair of damaged files."""

import json
import shutil

import polars as pl
import pytest
from typer.testing import CliRunner

from symscope.analysis.tables import read_parquet
from symscope.cli import app
from symscope.cli.results import outputs_are_current, rewrite_report, write_outputs
from symscope.errors import CheckpointError
from symscope.report import ReportInputs, load_inputs

SPECIAL_NAMES = ["run[1]", "a*b", "{x}", "what?", "run[!2]"]
"""Folder names that are patterns for `run1` and similar names."""


def small_tables(synthetic):
    """Two tables with one figure each, so that a report is written quickly."""
    return {name: table for name, table in synthetic.tables().items() if name in ("reach", "strength")}


def symscope(*arguments: object) -> tuple[int, str]:
    """Exit code and all output."""
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.output


@pytest.fixture(scope="module")
def original(synthetic, tmp_path_factory):
    """Folder with the outputs of a study named `Original`; tests work on copies."""
    folder = tmp_path_factory.mktemp("original") / "study"
    write_outputs(ReportInputs("Original", small_tables(synthetic)), folder, "name: original\n")
    return folder


@pytest.fixture
def study(original, tmp_path):
    return shutil.copytree(original, tmp_path / "study")


@pytest.mark.parametrize("name", SPECIAL_NAMES)
def test_paths_are_literal(name, tmp_path):
    for number, folder in enumerate((name, "run1", "axb", "x")):
        (tmp_path / folder).mkdir()
        pl.DataFrame({"folder": [number]}).write_parquet(tmp_path / folder / "table.parquet")
    assert read_parquet(tmp_path / name / "table.parquet")["folder"].to_list() == [0]


def test_a_report_is_about_the_folder_that_the_user_names(original, synthetic, tmp_path):
    shutil.copytree(original, tmp_path / "run1")
    folder = tmp_path / "run[1]"
    tables = {name: table.head(3) for name, table in small_tables(synthetic).items()}
    write_outputs(ReportInputs("Named with brackets", tables), folder, "name: brackets\n")
    code, output = symscope("report", folder)
    assert code == 0, output
    assert f"Report: {folder / 'report.html'}" in output
    assert "Named with brackets" in (folder / "report.html").read_text("utf-8")
    assert load_inputs(folder).tables["reach"].height == 3


def test_complete_outputs_are_current_for_their_declaration_only(study):
    assert outputs_are_current(study, "name: original\n")
    assert not outputs_are_current(study, "name: changed\n")


@pytest.mark.parametrize(
    "name",
    ["tables/reach.parquet", "tables/reach.csv", "facts.json", "report.html", "study.yaml", "outputs.json", "figure"],
)
@pytest.mark.parametrize("damage", ["changed", "truncated", "missing"])
def test_damaged_outputs_are_detected(study, name, damage):
    path = next((study / "figures").iterdir()) if name == "figure" else study / name
    if damage == "changed":
        path.write_bytes(path.read_bytes().replace(b"1", b"2").replace(b"a", b"b"))
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1] if name != "outputs.json" else b"")
    else:
        path.unlink()
    assert not outputs_are_current(study, "name: original\n")


def test_a_report_is_not_written_from_tables_that_have_changed(study, synthetic):
    reach = small_tables(synthetic)["reach"]
    reach.head(2).write_parquet(study / "tables" / "reach.parquet")
    with pytest.raises(CheckpointError, match=r"reach.parquet has changed .* run the study again"):
        rewrite_report(load_inputs(study), study)


def test_a_rewritten_report_keeps_the_outputs_current(study):
    (study / "report.html").unlink()
    rewrite_report(load_inputs(study), study)
    assert outputs_are_current(study, "name: original\n")


def test_files_of_an_earlier_declaration_are_removed(study, synthetic):
    tables = small_tables(synthetic)
    dropped = "strength"
    (study / "notes.txt").write_text("written by the user")
    kept = {name: table for name, table in tables.items() if name != dropped}
    write_outputs(ReportInputs("Fewer tables", kept), study, "name: fewer\n")
    assert not (study / "tables" / f"{dropped}.parquet").exists()
    assert (study / "notes.txt").exists()
    recorded = json.loads((study / "outputs.json").read_text("utf-8"))["sha256"]
    assert f"tables/{dropped}.csv" not in recorded
    assert set(load_inputs(study).tables) == set(kept)


def test_several_studies_have_one_page_in_a_folder_of_its_own(original, synthetic, tmp_path):
    other = tmp_path / "other"
    write_outputs(ReportInputs("Other", small_tables(synthetic)), other, "name: other\n")
    code, output = symscope("report", original, other, "--out", tmp_path / "both")
    assert code == 0, output
    networks = load_inputs(tmp_path / "both").tables["reach"]["network"].unique().to_list()
    assert networks
    assert all(name.endswith((" (study)", " (other)")) for name in networks)
    assert f"--out {tmp_path / 'both'}" in (tmp_path / "both" / "report.html").read_text("utf-8")
    code, output = symscope("report", original, other)
    assert (code, "--out PAGE" in output) == (2, True)
    code, output = symscope("report", original, other, "--out", other)
    assert (code, "holds a study" in output) == (2, True)
    code, output = symscope("report", original, original, "--out", tmp_path / "twice")
    assert (code, "given twice" in output) == (2, True)
