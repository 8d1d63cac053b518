"""Counterfactual data from tables of pairs."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from numpy.random import default_rng

import symscope as sc
from symscope.errors import ConfigurationError, InvalidArgumentError
from symscope.statistics import clustered_wilson, wilson

CITIES = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Peru": "Lima", "Cuba": "Havana"}
TONGUES = {
    "France": "French",
    "Italy": "Italian",
    "Spain": "Spanish",
    "Japan": "Japanese",
    "Peru": "Spanish",
    "Cuba": "Spanish",
}
ANSWERS = {("city", c): a for c, a in CITIES.items()} | {("tongue", c): a for c, a in TONGUES.items()}


class Words:
    """A tokenizer whose tokens are words with the space before them; unknown words are letters."""

    def __init__(self) -> None:
        known = ["city", "of", "tongue", "is", *CITIES, *CITIES.values(), *TONGUES.values()]
        self.ids = {word: number for number, word in enumerate(dict.fromkeys(known))}

    def __call__(self, text: str, return_offsets_mapping: bool = False) -> dict[str, Any]:
        ids, offsets, start = [], [], 0
        for piece in text.split(" "):
            if piece in self.ids:
                ids.append(self.ids[piece])
                offsets.append((start, start + len(piece)))
            else:
                ids += [50 + ord(letter) for letter in piece]
                offsets += [(start + at, start + at + 1) for at in range(len(piece))]
            start += len(piece) + 1
        return {"input_ids": ids} | ({"offset_mapping": offsets} if return_offsets_mapping else {})

    def decode(self, ids: list[int]) -> str:
        return " ".join(word for word, number in self.ids.items() if number in ids)


def rows() -> list[dict[str, Any]]:
    """Every pair of two questions, on the country and on the relation."""
    made = []
    for (relation, country), own in ANSWERS.items():
        for (other_relation, other_country), other in ANSWERS.items():
            if (relation, country) == (other_relation, other_country):
                continue
            values = {"relation": relation, "country": country}, {"relation": other_relation, "country": other_country}
            for variable in values[0]:
                after = values[0] | {variable: values[1][variable]}
                made.append(
                    {
                        "base": f"{relation} of {country} is", "source": f"{other_relation} of {other_country} is",
                        "label": f" {ANSWERS[after['relation'], after['country']]}", "base_label": f" {own}",
                        "source_label": f" {other}", "base_values": values[0], "source_values": values[1],
                        "variable": variable, "cluster": country,
                    }
                )  # fmt: skip
    return made


def tokens(text: str) -> list[int]:
    return Words()(text)["input_ids"]


def test_frames_dictionaries_and_files_give_the_same_data(tmp_path: Path) -> None:
    folder = tmp_path / "run[1]"
    folder.mkdir()
    frame = pl.DataFrame([{**row, "cluster": str(row["cluster"])} for row in rows()])
    frame.write_parquet(folder / "pairs.parquet")
    (folder / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows())), "utf-8")
    expected = sc.CounterfactualData.from_table(rows(), tokenizer=Words())
    for table in (frame, folder / "pairs.parquet", folder / "pairs.jsonl"):
        data = sc.CounterfactualData.from_table(table, tokenizer=Words())
        for name, drawn in data.train.items():
            assert torch.equal(drawn.base.inputs, expected.train[name].base.inputs)
            assert torch.equal(drawn.targets, expected.train[name].targets)
    with pytest.raises(InvalidArgumentError, match="there is no file"):
        sc.CounterfactualData.from_table(tmp_path / "none.parquet")


def test_text_becomes_tokens_and_the_answer_is_what_the_label_adds() -> None:
    data = sc.CounterfactualData.from_table(rows(), tokenizer=Words())
    drawn = data.test["country"]
    for base, source, target, at in zip(
        drawn.base.inputs.tolist(),
        drawn.sources[0].inputs.tolist(),
        drawn.targets.tolist(),
        drawn.base.position,
        strict=True,
    ):
        relation, country = Words().decode(base[:1]), Words().decode(source[2:3])
        assert target == tokens(ANSWERS[relation, country])
        assert int(at) == 3
    assert drawn.fed.shape[1] == 0
    assert data.vocabulary is None


def test_a_stop_within_the_prompt_feeds_the_rest_and_scores_the_answer_only() -> None:
    for position in ("France", 2, -2):
        row = {"base": "city of France is", "source": "city of Italy is", "label": " Rome", "position": position}
        row["source_position"] = "Italy" if position == "France" else position
        table = [row | {"split": split} for split in ("train", "validation", "test")]
        drawn = sc.CounterfactualData.from_table(table, tokenizer=Words()).train["variable"]
        assert drawn.base.position.tolist() == drawn.sources[0].position.tolist() == [2]
        assert drawn.fed.tolist() == [tokens("is")]
        assert drawn.targets.tolist() == [tokens("is Rome")]
        assert drawn.target_mask.tolist() == [[False, True]]


def test_clusters_stay_in_one_split() -> None:
    data = sc.CounterfactualData.from_table(rows(), tokenizer=Words())
    countries = [
        {row[2] for row in getattr(data, split)["country"].base.inputs.tolist()}
        for split in ("train", "validation", "test")
    ]
    assert sum(map(len, countries)) == len(set.union(*countries)) == len(CITIES)


def test_cause_isolation_and_informative_interventions() -> None:
    data = sc.CounterfactualData.from_table(rows(), tokenizer=Words())
    cause, isolation = data.cause["country"], data.isolation["country"]
    assert torch.equal(cause.base.values["relation"], cause.sources[0].values["relation"])
    assert torch.equal(isolation.base.values["country"], isolation.sources[0].values["country"])
    drawn = data.test["country"]
    assert drawn.informative is not None
    both = (drawn.base.values["relation"] != drawn.sources[0].values["relation"]) & drawn.changes_base
    assert torch.equal(drawn.informative & ~both, torch.zeros_like(both))
    assert data.value_names["relation"] == ("city", "tongue")


def test_shuffled_labels_are_the_answers_to_permuted_values() -> None:
    data = sc.CounterfactualData.from_table(rows(), tokenizer=Words())
    assert data.shuffle is not None
    shuffled = data.shuffle(data["relation"])
    drawn = shuffled.train["relation"]
    for base, source, target in zip(
        drawn.base.inputs.tolist(), drawn.sources[0].inputs.tolist(), drawn.targets.tolist(), strict=True
    ):
        other = {"city": "tongue", "tongue": "city"}[Words().decode(source[:1])]
        assert target == tokens(ANSWERS[other, Words().decode(base[2:3])])


def test_values_that_do_not_determine_the_answer_have_no_shuffled_labels() -> None:
    table = rows()
    table[0] = table[0] | {"label": " Lima" if table[0]["label"] != " Lima" else " Rome"}
    assert sc.CounterfactualData.from_table(table, tokenizer=Words()).shuffle is None


def test_all_faults_are_named_with_their_rows() -> None:
    good = {"base": [1, 2], "source": [3, 4], "label": 5}
    table = [
        good,
        {"base": [1], "source": [2]},
        good | {"source": [1, 2]},
        good | {"label": [1, 2]},
        good | {"base": "text"},
        good | {"position": 7},
        good | {"base": [1, 99]},
        good | {"split": "tests"},
        good | {"base_values": {"x": 1}},
    ]
    with pytest.raises(ConfigurationError) as caught:
        sc.CounterfactualData.from_table(table, vocabulary=10)
    for row, text in enumerate(
        ["no label", "nothing is swapped", "is split into 2 tokens", "needs a tokenizer", "position 7 does not exist",
         "token 99, which is outside", "none of train", "base_values name ['x']"], start=1,
    ):  # fmt: skip
        assert any(fault.startswith(f"row {row}:") and text in fault for fault in caught.value.faults), text
    with pytest.raises(ConfigurationError, match="split validation is empty"):
        sc.CounterfactualData.from_table([good | {"split": "train"}, good | {"split": "test"}])
    with pytest.raises(ConfigurationError, match="no pair has a label that differs"):
        sc.CounterfactualData.from_table([good | {"base_label": 5}] * 9)


def test_labels_of_several_tokens_are_scored_whole_on_request() -> None:
    row = {"base": "city of France is", "source": "city of Italy is", "label": " ab"}
    table = [row | {"split": split} for split in ("train", "validation", "test")]
    with pytest.raises(ConfigurationError, match="is split into 2 tokens"):
        sc.CounterfactualData.from_table(table, tokenizer=Words())
    drawn = sc.CounterfactualData.from_table(table, tokenizer=Words(), multi_token_labels=True).train["variable"]
    assert drawn.targets.tolist() == [tokens("ab")]
    assert drawn.target_mask.all()


def test_a_row_with_two_variables_has_a_source_for_each() -> None:
    row = {"base": [1, 2], "source": [[3, 2], [1, 4]], "label": 5, "variable": "x+y"}
    row |= {"base_values": {"x": 1, "y": 2}, "source_values": [{"x": 3, "y": 2}, {"x": 1, "y": 4}]}
    data = sc.CounterfactualData.from_table([row | {"split": split} for split in ("train", "validation", "test")])
    drawn = data.train["x+y"]
    assert drawn.variables == ("x", "y")
    assert drawn.source_of == (0, 1)
    assert {name: int(value) for name, value in drawn.counterfactual_values.items()} == {"x": 3, "y": 4}


def test_intervals_over_clusters() -> None:
    """Clusters of one trial change nothing; trials that agree within clusters count once for each cluster."""
    draws = default_rng(0)
    correct = draws.random(4000) < 0.8
    independent, single = wilson(int(correct.sum()), len(correct)), clustered_wilson(correct, np.arange(4000))
    assert single == pytest.approx(independent, abs=1e-3)
    repeated = np.repeat(draws.random(40) < 0.8, 100)
    wide = clustered_wilson(repeated, np.repeat(np.arange(40), 100))
    expected = wilson(int(repeated[::100].sum()), 40)
    assert wide == pytest.approx(expected, abs=0.01)
    perfect = clustered_wilson(np.ones(100, bool), np.repeat(np.arange(10), 10))
    assert perfect == pytest.approx(wilson(10, 10), abs=1e-6)
    assert not math.isnan(clustered_wilson(np.zeros(5, bool), np.zeros(5, int)).high)
