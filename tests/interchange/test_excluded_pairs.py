"""Pairs whose base or source a network completes incorrectly are left out, and data and results say how many."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import symscope as sc
from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.interchange import Excluded
from symscope.networks import Network
from symscope.training.checkpoints import load_tensors, save_tensors

THRESHOLD = 1.0
"""The network answers whether x exceeds this; the task is whether x exceeds 0, so it fails from 0 to 1."""


@pytest.fixture
def network() -> Network:
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2))
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(2))
        module[1].weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))
        module[1].bias.copy_(torch.tensor([0.0, -THRESHOLD]))
    return sc.wrap(module, {"hidden": "0"}, example=torch.randn(2, 2))


def row(base: float, source: float, number: int, variable: str = "positive") -> dict[str, Any]:
    """A row; the second entries of its vectors are the number of the row."""
    return {
        "base": [base, float(number)], "source": [source, -float(number) - 1], "variable": variable,
        "label": int(source > 0), "base_label": int(base > 0), "source_label": int(source > 0),
        "split": ("train", "train", "validation", "test")[number % 4],
    }  # fmt: skip


def table() -> list[dict[str, Any]]:
    """60 rows; of rows 3, 13, 23, ... the network completes the base incorrectly, of 7, 17, ... the source."""
    made = []
    for number in range(60):
        base, source = [(2.0, -2.0), (-2.0, 2.0), (-1.0, 3.0)][number % 3]
        base, source = (0.5 if number % 10 == 3 else base), (0.5 if number % 10 == 7 else source)
        made.append(row(base, source, number))
    return made


def numbers(data: sc.CounterfactualData, variable: str = "positive") -> set[int]:
    parts = (data.train, data.validation, data.test)
    return {int(number) for part in parts for number in part[variable].base.inputs[:, 1]}


def test_exactly_the_rows_that_the_network_completes_incorrectly_are_left_out(network: Network) -> None:
    everything = sc.CounterfactualData.from_table(table())
    assert everything.excluded == {}
    assert "left out" not in repr(everything)
    data = sc.CounterfactualData.from_table(table(), network=network)
    assert numbers(everything) - numbers(data) == {number for number in range(60) if number % 10 in (3, 7)}
    assert data.excluded == {"positive": Excluded(12, 60)}
    assert "12 of 60 pairs left out: the network completes their base or source incorrectly" in repr(data)


def test_pairs_are_counted_for_each_variable(network: Network) -> None:
    other = [row(2.0, -2.0, number, "other") for number in range(8)]
    data = sc.CounterfactualData.from_table([*table(), *other], network=network)
    assert data.excluded == {"positive": Excluded(12, 60), "other": Excluded(0, 8)}
    assert "12 of 68 pairs left out" in repr(data)
    assert "left out" not in repr(data["other"])


def test_results_say_how_many_pairs_were_left_out(network: Network, tmp_path: Path) -> None:
    data = sc.CounterfactualData.from_table(table(), network=network)
    results = sc.align(network, data, k=1, controls=[sc.RandomSubspace()], progress=False)
    result, path = results["positive"], tmp_path / "results.safetensors"
    assert result.excluded == Excluded(12, 60)
    for text in (repr(result), repr(results), results._repr_html_()):
        assert "12 of 60 pairs left out: the network completes their base or source incorrectly" in text
    first = results.table().row(0, named=True)
    assert (first["excluded_pairs"], first["all_pairs"]) == (12, 60)
    results.save(path)
    assert sc.load(path)["positive"].excluded == result.excluded
    assert repr(sc.load(path)) == repr(results)
    assert sc.evaluate(sc.fit(network, data, k=1, controls=[])).all[0].excluded == result.excluded


def test_files_without_the_count_are_loaded(network: Network, tmp_path: Path) -> None:
    data = sc.CounterfactualData.from_table(table())
    results, path = sc.align(network, data, k=1, controls=[], progress=False), tmp_path / "results.safetensors"
    assert results["positive"].excluded is None
    assert "excluded_pairs" not in results.table().columns
    results.save(path)
    tensors, header = load_tensors(path)
    older = [{name: value for name, value in entry.items() if name != "excluded"} for entry in header["results"]]
    assert older != header["results"]
    save_tensors(path, tensors, {**header, "results": older})
    assert repr(sc.load(path)) == repr(results)


def test_a_variable_without_any_pair_left_is_an_error(network: Network) -> None:
    hopeless = [row(0.5, -2.0, number, "hopeless") for number in range(8)]
    with pytest.raises(InvalidArgumentError, match=r"every pair of 'hopeless' incorrectly, so no pair is left"):
        sc.CounterfactualData.from_table([*table(), *hopeless], network=network)


def test_a_split_that_becomes_empty_names_the_pairs_that_were_left_out(network: Network) -> None:
    few = [row(0.5 if number % 4 == 2 else 2.0, -2.0, number) for number in range(8)]
    with pytest.raises(ConfigurationError, match=r"split validation is empty.*\(2 of 8 pairs left out"):
        sc.CounterfactualData.from_table(few, network=network)


def test_the_answers_of_base_and_source_are_needed(network: Network) -> None:
    rows = table()
    del rows[4]["source_label"]
    with pytest.raises(ConfigurationError, match="rows without one of them: 4"):
        sc.CounterfactualData.from_table(rows, network=network)
