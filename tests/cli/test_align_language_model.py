"""`symscope align` with the folder of a Hugging Face model: a tiny one, made from a configuration."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from symscope.cli import app
from symscope.loading import load
from symscope.report import load_inputs

transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

CITIES = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Peru": "Lima", "Cuba": "Havana"}
WORDS = ["[UNK]", "<eos>", "city", "of", "is", *CITIES, *CITIES.values()]


def rows():
    """Pairs of two questions on the city of a country."""
    for base, city in CITIES.items():
        for source, label in CITIES.items():
            if base != source:
                yield {
                    "variable": "country", "base": f"city of {base} is", "source": f"city of {source} is",
                    "label": f" {label}", "base_label": f" {city}", "source_label": f" {label}",
                    "base_values": {"country": base}, "source_values": {"country": source},
                }  # fmt: skip


def write(path, table):
    path.write_text("\n".join(map(json.dumps, table)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write(folder / "pairs.jsonl", rows())
    words = tokenizers.models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]")
    tokenizer = tokenizers.Tokenizer(words)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    special = {"unk_token": "[UNK]", "eos_token": "<eos>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder / "tiny")
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16, "bos_token_id": 1, "eos_token_id": 1}
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(WORDS), **sizes))
    model.save_pretrained(folder / "tiny")
    return folder


def run(files, out, *options):
    paths = ["--model", str(files / "tiny"), "--data", str(files / "pairs.jsonl"), "--out", str(out)]
    return CliRunner().invoke(app, ["align", *paths, *options])


def error_of(ended):
    """The error that ended a command, in one line without a traceback; the exit code is 2."""
    assert ended.exit_code == 2, ended.output
    assert isinstance(ended.exception, SystemExit)
    assert "Traceback" not in ended.output
    (error,) = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
    return error


@pytest.mark.slow
def test_a_site_of_a_model_is_searched_and_reported(files, tmp_path):
    ended = run(files, tmp_path / "out", "--site", "resid_post.1", "--k", "2")
    assert ended.exit_code == 0, ended.output
    assert "in tiny (GPT2LMHeadModel, 2 layers, width 16, 2 heads)" in ended.stderr
    assert ended.stdout.startswith("country: IIA ")
    result = load(tmp_path / "out" / "results.safetensors")["country"]
    assert (result.site, result.k, result.hypothesis) == ("resid_post.1", 2, "pairs")
    scores = load_inputs(tmp_path / "out").tables["scores"]
    assert set(scores["network"]) == {"tiny"}
    assert {"none", "shuffled_labels", "random_subspace", "whole_state"} <= set(scores["control"])
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Does tiny compute with country?" in page
    assert "The network tiny, with state size 16, tested on the table pairs (seed 0)." in page
    assert "GPT2LMHeadModel, 2 layers" in page
    assert "pairs, tiny, d\u00a0=\u00a016, seed 0, country" in page  # each name once


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--site", "resid_post.7"], "unknown site 'resid_post.7': did you mean 'resid_post.1'"),
        (["--model", "{}/nowhere"], "there is no folder"),
        (["--data", "{}/nowhere.parquet"], "there is no file"),
        (["--correct-only"], "every pair of 'country' incorrectly"),
    ],
)
def test_arguments_that_do_not_fit_are_explained(files, tmp_path, options, message):
    assert message in error_of(run(files, tmp_path / "out", *(option.format(files) for option in options)))
    assert not (tmp_path / "out").exists()


def test_folders_that_hold_no_complete_model_are_explained(files, tmp_path):
    def copy(name, *left_out):
        shutil.copytree(files / "tiny", tmp_path / name, ignore=shutil.ignore_patterns(*left_out))
        return tmp_path / name

    def error(folder):
        return error_of(run(files, tmp_path / "out", "--model", str(folder)))

    assert "has no safetensors and 0 GGUF files" in error(copy("no-weights", "*.safetensors"))
    assert "has no tokenizer" in error(copy("no-tokenizer", "tokenizer*"))
    damaged, incomplete = copy("damaged"), copy("incomplete")
    (damaged / "model.safetensors").write_bytes(b"no weights")
    assert "cannot read a causal language model" in error(damaged)
    weights = load_file(incomplete / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, incomplete / "model.safetensors", metadata={"format": "pt"})
    assert "not complete: transformer.h.1.mlp.c_fc.weight is missing" in error(incomplete)


def test_labels_of_several_tokens_need_an_option(files, tmp_path):
    table = [{**row, "label": row["label"].replace("Havana", "Havana city")} for row in rows()]
    write(tmp_path / "pairs.jsonl", table)
    options = ["--data", str(tmp_path / "pairs.jsonl"), "--site", "resid_post.1", "--k", "2"]
    ended = run(files, tmp_path / "out", *options)
    assert error_of(ended) == "error: pairs: 5 faults"
    assert "row 4: label ' Havana city' is split into 2 tokens ('Havana', 'city')" in ended.stderr
    assert "--multi-token-labels" in ended.stderr
    ended = run(files, tmp_path / "out", *options, "--multi-token-labels", "--function", "orthogonal")
    assert ended.exit_code == 0, ended.output
