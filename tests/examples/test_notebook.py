"""The notebook has the outputs of one complete run, contains no paths of a machine, and runs."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/from_network_to_figure.ipynb"


@pytest.fixture(scope="module")
def cells():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_its_outputs_come_from_one_run_and_contain_no_paths(cells):
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(output["output_type"] in ("execute_result", "display_data") for output in outputs)
    kinds = {kind for output in outputs for kind in output["data"]}
    assert {"text/html", "image/png"} <= kinds
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 400_000
    for folder in ("/home/", "/root", "/tmp", "/work", "site-packages"):
        assert f'"{folder}' not in text
        assert f" {folder}" not in text


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(cells, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for cell in cells:
        exec("".join(cell["source"]), names)
    for result in names["results"].all:
        assert result.score.low > result.controls["untrained"].high
    assert sorted(path.name for path in Path("figures").iterdir()) == ["count.pdf", "count.png", "count.svg"]
