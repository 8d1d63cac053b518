"""The notebooks: each has the outputs of one complete run, contains no paths of a machine, and runs to its result."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from tests.docs.test_documents import OLD_NAMES, OLD_WORDS

FOLDER = Path(__file__).parents[2] / "examples"
SKIPPED = "skip-in-tests"
"""Tag of cells that install packages."""

RESULTS = {
    "from_network_to_figure": """
        from pathlib import Path
        for result in results.all:
            assert result.score.low > result.controls["untrained"].high
        assert natural.iia > 0.85
        assert sorted(path.name for path in Path("figures").iterdir()) == ["count.pdf", "count.png", "count.svg"]
    """,
    "your_torch_rnn": """
        assert accuracy > 0.99
        assert located.best.position == -4
        assert result.iia > 0.9
        assert result.verdict.word.startswith("holds")
        assert result.controls["untrained"].high < 0.4
        assert loaded.iia == result.iia
        assert coordinates.shape[1] == 4
    """,
    "language_model": """
        assert len(known) == len(facts)
        assert best.position == -1
        country, relation = (answers[sites[0]][name] for name in NAMES)
        assert relation.iia > 0.8
        assert country.iia > 0.7
        for name in ("leace", "linear_probe", "shuffled_labels"):
            assert country.score.low > country.controls[name].high, name
    """,
    "your_hypothesis": """
        for result in equality.all:
            assert result.score.low > result.controls["untrained"].high
            assert result.iia > 0.8
        assert brackets["depth"].iia > 0.8
        assert brackets["depth"].score.low > brackets["depth"].controls["shuffled_labels"].high
        try:
            sc.check_algorithm(OpeningOnly(task))
        except BrokenLawError as error:
            assert "next_token_mask" in str(error)
        else:
            raise AssertionError("the wrong algorithm was accepted")
    """,
    "compare_models": """
        assert curve[1].score.iia < 0.8 < curve[4].score.iia
        assert curve.smallest <= 4
        assert min(found["GRU 0", "GRU 1"].score.iia, found["GRU 1", "GRU 0"].score.iia) > 0.9
        assert max(found["transformer", "GRU 0"].score.iia, found["transformer", "GRU 1"].score.iia) < 0.6
        assert found["GRU 0", "transformer"].controls["untrained"].iia > 0.4
        assert min(measures.filter(measures["measure"] == "cka")["value"]) > 0.6
        assert len(sc.load_explorer("explorer.html").subjects) == 1
    """,
}
"""Statements about the results of each notebook, run after its last cell."""

EXECUTED_BY_A_KERNEL = """
import json, sys, nbformat
from nbclient import NotebookClient
cells = [nbformat.v4.new_code_cell(source) for source in json.load(sys.stdin)]
NotebookClient(nbformat.v4.new_notebook(cells=cells), timeout=1800, kernel_name="python3").execute()
"""
EXECUTED_AS_A_PROGRAM = """
import json, sys
names = {"__name__": "__main__"}
for source in json.load(sys.stdin):
    exec(compile(source, "cell", "exec"), names)
"""


def read(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_has_a_test():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(RESULTS)


@pytest.mark.parametrize("name", RESULTS)
def test_its_first_code_cell_installs_and_is_left_out_of_tests(name):
    notebook = read(name)
    assert (notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]) == (4, "python3")
    first, *rest = code_cells(notebook)
    assert "%pip install" in "".join(first["source"])
    assert first["metadata"]["tags"] == [SKIPPED]
    for cell in rest:
        assert not re.search(r"^\s*[%!]", "".join(cell["source"]), re.MULTILINE), "only the first cell has magics"
        assert SKIPPED not in cell["metadata"].get("tags", [])


@pytest.mark.parametrize("name", RESULTS)
def test_its_outputs_come_from_one_run_and_contain_no_paths(name):
    cells = code_cells(read(name))
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    for output in outputs:
        assert output["output_type"] in ("execute_result", "display_data", "stream"), output
        assert output.get("name") != "stderr", output["text"]
    texts = [json.dumps(output.get("data", output.get("text", "")), ensure_ascii=False) for output in outputs]
    assert any("steps" in text and "width:" in text for text in texts), "a progress bar is saved"
    assert any("image/png" in output.get("data", {}) for output in outputs) or name == "compare_models"
    for text in texts:
        for path in ("/home/", "/root", "/tmp", "/usr/", "/srv", "/work", "site-packages", "localhost", "127.0.0.1"):
            assert path not in re.sub(r'"image/png": "[^"]*"', "", text)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 300_000


@pytest.mark.parametrize("name", RESULTS)
def test_its_text_uses_current_names_and_its_links_exist(name):
    prose = ["".join(cell["source"]) for cell in read(name)["cells"] if cell["cell_type"] == "markdown"]
    assert prose[0].startswith("# ")
    text = "\n".join(prose)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", text)
    assert links
    for target in links:
        assert "://" not in target
        assert (FOLDER / target).exists(), target
    text = re.sub(r"\]\([^)]*\)", "]", text)
    assert not OLD_WORDS.findall(text)
    assert not OLD_NAMES.findall(" ".join(re.findall(r"`([^`\n]+)`", text)))
    assert "badge" not in text.lower()
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.slow
@pytest.mark.parametrize("name", RESULTS)
def test_it_runs_from_top_to_bottom(name, tmp_path):
    """In a kernel of Jupyter where nbclient and ipykernel are installed, otherwise as a program."""
    if name == "language_model":
        pytest.importorskip("transformers")
    cells = [cell for cell in code_cells(read(name)) if SKIPPED not in cell["metadata"].get("tags", [])]
    sources = [*("".join(cell["source"]) for cell in cells), dedent(RESULTS[name])]
    kernel = all(importlib.util.find_spec(module) for module in ("nbclient", "ipykernel"))
    ended = subprocess.run(
        [sys.executable, "-c", EXECUTED_BY_A_KERNEL if kernel else EXECUTED_AS_A_PROGRAM],
        input=json.dumps(sources), capture_output=True, text=True, check=False, cwd=tmp_path, encoding="utf-8",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
