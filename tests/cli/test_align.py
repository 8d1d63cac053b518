"""`symscope align` with a network file and a table of token ids, from the search to the report."""

import json

import pytest
import torch
from typer.testing import CliRunner

from symscope.alignment import Results
from symscope.cli import app
from symscope.loading import load
from symscope.networks import make_network
from symscope.report import load_inputs
from symscope.seeds import generator
from symscope.training import save_network

VALUES = 4


def rows(count):
    """Pairs of two words each; the answer is the first word."""
    draws = generator(0, "pairs")
    for number in range(count):
        base, source = (torch.randint(VALUES, (2,), generator=draws).tolist() for _ in range(2))
        if number % 2:
            source[1] = base[1]
        if base == source:
            continue
        yield {
            "variable": "first",
            "base": [base[0], VALUES + base[1]],
            "source": [source[0], VALUES + source[1]],
            "label": source[0],
            "base_label": base[0],
            "source_label": source[0],
            "base_values": {"first": base[0], "second": base[1]},
            "source_values": {"first": source[0], "second": source[1]},
        }


@pytest.fixture
def files(tmp_path):
    network = make_network("gru", 8, 2 * VALUES, generator(0, "network"))
    save_network(tmp_path / "words.safetensors", network)
    table = tmp_path / "pairs.jsonl"
    table.write_text("\n".join(json.dumps(row) for row in rows(200)))
    return tmp_path


def run(files, *options):
    model = ["--model", str(files / "words.safetensors"), "--data", str(files / "pairs.jsonl")]
    return CliRunner().invoke(app, ["align", *model, "--out", str(files / "out"), *options])


def test_the_report_of_a_table_of_pairs(files):
    ended = run(files, "--k", "2", "--function", "orthogonal", "--site", "best")
    assert ended.exit_code == 0, ended.output
    inputs = load_inputs(files / "out")
    scores, locations = inputs.tables["scores"], inputs.tables["locations"]
    assert set(scores["task"]) == {"pairs"}
    assert set(scores["network"]) == {"words"}
    assert {"none", "shuffled_labels", "random_subspace"} <= set(scores["control"])
    assert locations.height == 2  # one site, the two positions of every prompt
    assert "whole-state swaps 2/2" in ended.output
    results = load(files / "out" / "results.safetensors")
    assert isinstance(results, Results)
    assert results["first"].iia == pytest.approx(scores.filter(control="none")["iia"].item())
    page = (files / "out" / "report.html").read_text()
    assert "Does words compute with first?" in page
    assert "Whole-state swaps by site and position" in page
    assert (files / "out" / "figures" / "locations.svg").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--site", "g"], "unknown site 'g'"),
        (["--variable", "frist"], "did you mean 'first'"),
        (["--function", "oblik"], "did you mean 'oblique'"),
        (["--site", "best", "--position", "-1"], "the best site comes with its position"),
        (["--site", "h", "--position", "-3"], "position -3 does not exist"),
        (["--model", "nowhere"], "there is no folder nowhere"),
        (["--data", "nowhere.parquet"], "there is no file nowhere.parquet"),
    ],
)
def test_what_cannot_be_searched_is_explained(files, options, message):
    ended = run(files, *options)
    assert ended.exit_code == 2, ended.output
    assert message in ended.output.replace("\n", " ")


def test_wrong_pairs_are_left_out_and_counted(files):
    """Answers are those of the network, except of the base in 12 rows."""
    network, table = load(files / "words.safetensors"), []
    for number, row in enumerate(rows(200)):
        both = network(torch.tensor([row["base"], row["source"]]))[:, -1].argmax(-1).tolist()
        base_label = (both[0] + 1) % VALUES if number < 12 else both[0]
        table.append(row | {"base_label": base_label, "source_label": both[1], "label": (both[0] + 1) % VALUES})
    (files / "pairs.jsonl").write_text("\n".join(map(json.dumps, table)))
    ended = run(files, "--correct-only", "--k", "1", "--site", "h", "--function", "orthogonal")
    assert ended.exit_code == 0, ended.output
    text = f"12 of {len(table)} pairs left out: the network completes their base or source incorrectly"
    assert text in ended.stderr
    assert text in ended.stdout
    inputs = load_inputs(files / "out")
    assert f"first: {text}." in inputs.notes
    assert inputs.tables["scores"].filter(control="none")["excluded_pairs"].item() == 12
    assert text in (files / "out" / "report.html").read_text()
