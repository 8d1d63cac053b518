"""A collection: several studies with one command, each in a folder of its own, and a page of their claims."""

import pytest
from typer.testing import CliRunner

from symscope.cli import app
from symscope.errors import ConfigurationError
from symscope.studies import plan_study, query
from symscope.studies.collection import read_collection, studies_of
from symscope.studies.presets import COLLECTIONS, preset_text
from symscope.studies.settings import Setting, read_setting

TEXT = "name: both\ntitle: Which claims hold?\nstudies: [quick, zoo]\n"
TINY = {
    "tasks": "[{name: single-object, quantities: [1, 3], held_out: [2]}]",
    "networks": "[{kind: gru, sizes: [8]}]",
    "training": "{epochs: 2, validate_every: 2, validate_each: 2}",
    "trial_accuracy": "{each: 2}",
    "alignments": "[]",
    "whole_state_swaps": "0",
    "observe": "{}",
}


def tiny(*studies: str) -> list[str]:
    """Options that make studies tiny: they train two networks, and search nothing."""
    settings = [f"{study}{key}={value}" for study in studies for key, value in TINY.items()]
    return ["--seed", "0", *(part for setting in settings for part in ("--set", setting))]


SMALL = tiny("quick.", "zoo.")


def symscope(*arguments: object):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collection")
    (folder / "both.yaml").write_text(TEXT)
    result = symscope("study", "run", folder / "both.yaml", "--out", folder / "out", "--workers", "0", *SMALL)
    assert result.exit_code == 0, result.output
    return folder


def test_every_study_has_its_folder_and_the_page_has_the_claims(folder) -> None:
    out = folder / "out"
    for part in ("quick", "zoo"):
        assert (out / part / "report.html").is_file()
        assert (out / part / "store.json").is_file()
    assert "Which claims hold?" in (out / "report.html").read_text()
    assert (out / "claims.md").read_text().startswith("# Which claims hold?")
    assert (out / "tables" / "claims.parquet").is_file()


def test_a_study_that_ran_alone_is_not_run_again(folder) -> None:
    command = ("study", "run", "quick", "--out", folder / "out" / "quick", "--workers", "0")
    result = symscope(*command, *tiny(""))
    assert result.exit_code == 0, result.output
    assert "Nothing to do" in result.output
    again = symscope("study", "run", folder / "both.yaml", "--out", folder / "out", "--workers", "0", *SMALL)
    assert again.output.count("Nothing to do") == 2


def test_plan_query_and_report_take_the_collection(folder) -> None:
    out = folder / "out"
    planned = symscope("study", "plan", folder / "both.yaml", "--out", out, *SMALL)
    assert planned.exit_code == 0, planned.output
    assert "All 2 studies: 0 jobs to do." in planned.output
    fresh = symscope("study", "plan", folder / "both.yaml", "--out", folder / "nowhere", *SMALL)
    assert "jobs is unknown" in fresh.output
    assert set(query(out).get_column("study")) == {"quick", "zoo"}
    assert set(query(out, "training").get_column("study")) == {"quick", "zoo"}
    page = folder / "page"
    written = symscope("report", out / "quick", out / "zoo", "--claims", "--out", page)
    assert written.exit_code == 0, written.output
    text = (page / "claims.md").read_text()
    assert (out / "claims.md").read_text().splitlines()[2:] == text.splitlines()[2:]
    assert symscope("report", out).exit_code == 0


def test_faults_of_a_collection_are_reported() -> None:
    with pytest.raises(ConfigurationError, match="unknown preset 'quik': did you mean 'quick'"):
        read_collection(TEXT.replace("quick", "quik"), "both.yaml")
    with pytest.raises(ConfigurationError, match="studies: each once"):
        read_collection(TEXT.replace("zoo", "quick"), "both.yaml")
    with pytest.raises(ConfigurationError, match="title"):
        read_collection(TEXT.replace("title", "titel"), "both.yaml")
    with pytest.raises(ConfigurationError, match="start with the name of a study"):
        studies_of(read_collection(TEXT, "both.yaml"), [read_setting("training.epochs=3")])


def test_settings_reach_their_study_and_seeds_all() -> None:
    settings = [Setting(("seeds",), [7], "--seed"), read_setting("zoo.training.epochs=3")]
    quick, zoo = studies_of(read_collection(TEXT, "both.yaml"), settings)
    assert quick.seeds == zoo.seeds == (7,)
    assert zoo.training.epochs == 3 != quick.training.epochs


@pytest.mark.parametrize("name", COLLECTIONS)
def test_the_presets_of_several_studies_are_valid(name: str) -> None:
    collection = read_collection(preset_text(name), name)
    assert collection.name == name
    assert [study.name for study in studies_of(collection)] == list(collection.studies)


def test_the_collection_of_the_paper_has_a_job_for_every_measure_of_its_claims() -> None:
    studies = studies_of(read_collection(preset_text("paper"), "paper"))
    kinds = {job.name.partition("/")[0] for study in studies for job in plan_study(study)}
    assert kinds >= {"align", "swap", "develop", "states", "strength", "phase", "reach", "calibrate", "compare"}
    assert any(grid.stitching and grid.minimal_dimensions for study in studies for grid in study.comparisons)
