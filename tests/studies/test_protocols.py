"""Both intervention protocols in one study: other interventions, the same keys for all that was declared before."""

import hashlib
import json

import polars as pl
import pytest

from symscope.analysis.answers import answers
from symscope.analysis.columns import PAPER_PROTOCOL as PAPER
from symscope.analysis.effects import of_one_protocol
from symscope.analysis.summary import algorithm_label
from symscope.errors import ConfigurationError
from symscope.interchange import PAPER_PROTOCOL, PROTOCOLS, InterventionProtocol
from symscope.runner import local, open_store, run
from symscope.studies import collect, plan_study, preset, query, read_study
from symscope.studies.subject import part_file

STUDY = """\
name: small
title: Does a tiny network count?
tasks:
  - {name: multi-object, quantities: [1, 3], held_out: [2]}
networks:
  - {kind: gru, sizes: [8]}
seeds: [0]
training: {learning_rate: 3.0e-3, batch: 16, epochs: 4, validate_every: 2, validate_each: 2}
alignments:
  - {algorithm: up-down, variables: [count, phase], k: [2], functions: [orthogonal], controls: [random_subspace]}
search: {learning_rate: 1.0e-2, batch: 16, steps: 20, validate_every: 10, restarts: 1}
interventions: {train: 60, validation: 30, test: 30, gradience: 40}
trial_accuracy: {each: 2}
"""
ENTRY = STUDY.splitlines(keepends=True)[9]
SECOND = ENTRY.replace("controls:", "protocol: paper-code, controls:")
BOTH = STUDY.replace(ENTRY, ENTRY + SECOND)
QUICK_LOCATIONS = "11e9c24b5f648bd6"
"""Hash of the locations of all results of the preset `quick`, from before an alignment had a protocol."""


def locations(text: str) -> dict[str, str]:
    plan = plan_study(read_study(text, "small"))
    return {job.name: plan.location(job.name) for job in plan}


def test_results_that_were_stored_before_keep_their_locations() -> None:
    plan = plan_study(preset("quick"))
    text = json.dumps({job.name: plan.location(job.name) for job in plan}, sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == QUICK_LOCATIONS
    assert locations(STUDY).items() < locations(BOTH).items()


def test_an_alignment_by_another_protocol_is_a_job_of_its_own() -> None:
    plan = plan_study(read_study(BOTH, "small"))
    further = {job.name.partition("/")[0]: job for job in plan if "paper-code" in job.name}
    assert sorted(further) == ["align", "ceiling"]
    assert further["align"].name == "align/multi-object-gru-d8-seed0/up-down-paper-code-h-orthogonal"
    interventions = further["align"].arguments["interventions"]
    assert interventions["protocol"] == further["ceiling"].arguments["protocol"]
    assert interventions["protocol"] == {"position": None, "excluded_tokens": ["T"], "extra_demo_tokens": "quantity"}
    assert "protocol" not in further["align"].arguments["request"]


def test_a_protocol_that_is_the_studys_changes_nothing() -> None:
    assert locations(STUDY.replace("controls:", "protocol: paper, controls:")) == locations(STUDY)
    everywhere = STUDY.replace("gradience: 40", "gradience: 40, protocol: paper-code")
    assert locations(everywhere.replace(ENTRY, SECOND)) == locations(everywhere) != locations(STUDY)


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ("paper-cod", "unknown protocol 'paper-cod': did you mean 'paper-code'"),
        ("{position: nowhere}", "unknown named position of task 'multi-object' 'nowhere'"),
        ("paper", "alignments: each once"),
    ],
)
def test_faults_of_a_protocol_are_reported(protocol: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read_study(BOTH.replace("paper-code", protocol), "small")


def test_every_protocol_has_a_name() -> None:
    assert PAPER_PROTOCOL.name == PAPER
    assert {protocol.name for protocol in PROTOCOLS.values()} == set(PROTOCOLS)
    assert InterventionProtocol(position="trigger").name == "at trigger, extra demo tokens 3"
    at_trigger = BOTH.replace("paper-code", "{position: trigger}")
    assert any("up-down-at-trigger-extra-demo-tokens-3-h" in name for name in locations(at_trigger))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    study = read_study(BOTH, "small")
    plan, store = plan_study(study), open_store(folder, study="small")
    outcome = run(plan, store, local(0), on_event=lambda event: None)
    assert outcome.ok, outcome.failed
    return folder, collect(study, plan, store, outcome, "symscope"), plan


def test_tables_say_by_which_protocol(folder) -> None:
    tables = folder[1].tables
    for name in ("scores", "values", "gradience", "length_errors", "aligned_states"):
        assert set(tables[name].get_column("protocol")) == {"paper", "paper-code"}, name
    rows = answers(tables["scores"])
    assert rows.height == 4  # two variables by two protocols
    labels = set(rows.select(algorithm_label()).to_series())
    assert labels == {"up-down", "up-down, protocol paper-code"}
    assert set(of_one_protocol(tables["scores"]).get_column("protocol")) == {"paper"}
    code = tables["scores"].filter(protocol="paper-code")
    assert of_one_protocol(code).height == code.height


def test_results_from_before_the_column_are_by_the_papers_protocol(folder, monkeypatch) -> None:
    path, _, plan = folder
    (job,) = (job for job in plan if job.name.endswith("seed0/up-down-h-orthogonal"))
    part = path / "results" / plan.location(job.name) / part_file("scores")
    old = pl.read_parquet(part).drop("protocol")
    monkeypatch.setattr("symscope.studies.results.read_rows", lambda *given: old)
    assert set(query(path, "scores").get_column("protocol")) == {"paper"}
