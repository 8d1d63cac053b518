"""Folders and repositories: what is saved comes back, belongs to its network, and never runs code."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.fake_hub import fake_hub

import symscope as sc
from symscope.errors import CheckpointError, HubError, ImportPathError, InvalidArgumentError, UnknownNameError
from symscope.training.checkpoints import load_tensors, save_tensors

ROOT = Path(__file__).parents[1]
TASK = sc.make_task("multi-object")
OPTIONS = sc.SearchOptions(steps=20, validate_every=20, more_restarts=0)
FUNCTION = sc.Oblique(coordinates="natural-span")


def gru(seed: int = 0) -> sc.Network:
    return sc.make_network("gru", 6, len(TASK.vocabulary), sc.generator(seed))


@pytest.fixture(scope="module")
def network() -> sc.Network:
    return gru()


@pytest.fixture(scope="module")
def results(network) -> sc.Results:
    algorithm = sc.make_algorithm("up-down", TASK)
    return sc.align(network, algorithm, ["count", "phase"], 2, function=FUNCTION, options=OPTIONS, progress=False,
                    n_train=200, n_validation=60, n_test=60, controls=[sc.ShuffledLabels()])  # fmt: skip


def test_a_network_comes_back(network, tmp_path) -> None:
    folder = sc.save_pretrained(network, tmp_path / "gru")
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    back = sc.from_pretrained(folder)
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), back.parameters(), strict=True))
    config = json.loads((folder / "config.json").read_text())
    assert (config["library_name"], config["kind"], config["architecture"]) == (
        "symscope",
        "network",
        network.architecture,
    )


def test_results_come_back_and_know_their_network(results, network, tmp_path) -> None:
    folder = sc.save_pretrained(results, tmp_path / "results")
    for back in (sc.from_pretrained(folder), sc.from_pretrained(folder, network=network)):
        assert repr(back) == repr(results)
        assert [result.network for result in back.all] == [result.network for result in results.all]
        swap = torch.randn(2, 3, 6, generator=sc.generator(0))
        first, second = back.all[0].alignment, results.all[0].alignment
        assert torch.equal(first.swap(*swap), second.swap(*swap))
    with pytest.raises(CheckpointError, match="a network of the same architecture with other weights"):
        sc.from_pretrained(folder, network=gru(1))
    other = sc.make_network("lstm", 6, len(TASK.vocabulary), sc.generator(0))
    with pytest.raises(CheckpointError, match="a network of another architecture"):
        sc.from_pretrained(folder, network=other)
    with pytest.raises(CheckpointError, match="with other weights"):
        sc.load(folder / "model.safetensors", network=gru(1))


def test_alignments_come_back_and_know_network_and_site(results, network, tmp_path) -> None:
    alignments = {name: results[name].alignment for name in results}
    folder = sc.save_pretrained(alignments, tmp_path / "maps", network=network)
    back = sc.from_pretrained(folder, network=network)
    assert all(torch.equal(a, b) for n in back for a, b in zip(back[n].tensors, alignments[n].tensors, strict=True))
    with pytest.raises(CheckpointError, match="with other weights"):
        sc.from_pretrained(folder, network=gru(1))
    with pytest.raises(UnknownNameError, match="site"):
        sc.save_pretrained(alignments, tmp_path / "wrong", network=network, site="nowhere")
    unknown = sc.save_pretrained(alignments, tmp_path / "unknown")
    assert set(sc.from_pretrained(unknown)) == {"count", "phase"}
    with pytest.raises(CheckpointError, match="does not say which network"):
        sc.from_pretrained(unknown, network=network)


def test_the_card_has_the_figures(results, network, tmp_path) -> None:
    card = (sc.save_pretrained(results, tmp_path / "of-results") / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: symscope\n")
    count = results["count"]
    assert f"| count | h | oblique-natural-span | 2 | {count.iia:.3f} |" in card
    assert f"**count: {count.verdict.word}.**" in card
    assert f"hash of the weights `{count.network.weights}`" in card
    assert "`h`" in (sc.save_pretrained(network, tmp_path / "of-network") / "README.md").read_text()
    alignments = {"evil | <script>\n# x": count.alignment}
    card = (sc.save_pretrained(alignments, tmp_path / "of-maps") / "README.md").read_text()
    assert "| evil / (script) # x |" in card


def test_what_cannot_be_saved_or_read_is_explained(network, tmp_path) -> None:
    with pytest.raises(InvalidArgumentError, match="a network, results, or a dictionary of alignments"):
        sc.save_pretrained({}, tmp_path / "x")
    with pytest.raises(InvalidArgumentError, match="neither a folder nor a repository"):
        sc.from_pretrained(tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"holds no config\.json"):
        sc.from_pretrained(tmp_path)
    folder = sc.save_pretrained(network, tmp_path / "gru")
    for text, message in (
        ("[]", "was not written by symscope"),
        ("{", "is damaged"),
        ('{"library_name": "symscope", "kind": "results"}', "holds 'network'"),
        (" " * 1_000_001, "more than 1,000,000 bytes"),
        ("[" * 100_000, "is damaged"),
    ):
        (folder / "config.json").write_text(text)
        with pytest.raises(CheckpointError, match=message):
            sc.from_pretrained(folder)


def test_nothing_that_a_file_names_is_imported(results, tmp_path) -> None:
    """A file that names a module and a class as alignment function is refused, and the module is not imported."""
    folder = sc.save_pretrained(results, tmp_path / "results")
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    model = folder / "model.safetensors"
    tensors, facts = load_tensors(model)
    facts["alignments"][0]["function"]["kind"] = "evil:Evil"
    save_tensors(model, tensors, facts)
    with pytest.raises(CheckpointError, match="class 'evil:Evil', which symscope does not have"):
        sc.from_pretrained(folder)
    assert "evil" not in sys.modules


@pytest.fixture
def hub(monkeypatch, tmp_path):
    constants = pytest.importorskip("huggingface_hub.constants")
    with fake_hub() as (address, repositories):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("HF_TOKEN", "hf_secret")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield repositories


@pytest.mark.filterwarnings("default")  # of huggingface_hub
def test_a_repository_is_written_and_read(hub, results, network) -> None:
    url = sc.push_to_hub(results, "lab/count-in-gru", message="first")
    assert "lab/count-in-gru/commit/" in url
    assert sorted(hub["lab/count-in-gru"]) == ["README.md", "config.json", "model.safetensors"]
    assert b"# count-in-gru" in hub["lab/count-in-gru"]["README.md"]
    assert repr(sc.from_pretrained("lab/count-in-gru", network=network)) == repr(results)
    hub["lab/count-in-gru"]["pytorch_model.bin"] = b"pickle"
    assert repr(sc.from_pretrained("lab/count-in-gru")) == repr(results)
    with pytest.raises(HubError, match="lab/nothing could not be read from the hub"):
        sc.from_pretrained("lab/nothing")
    with pytest.raises(HubError, match="could not be read"):
        sc.from_pretrained("lab/count-in-gru", revision="v9")
    with pytest.raises(InvalidArgumentError, match="neither a folder nor a repository"):
        sc.push_to_hub(results, "../../etc")


@pytest.mark.filterwarnings("default")
def test_a_hub_that_does_not_answer(monkeypatch, network, tmp_path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(HubError, match="could not be written"):
        sc.push_to_hub(network, "lab/gru")
    with pytest.raises(HubError, match="could not be read"):
        sc.from_pretrained("lab/gru")


def test_without_huggingface_hub_folders_still_work(monkeypatch, network, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert sc.from_pretrained(sc.save_pretrained(network, tmp_path / "gru")).architecture == network.architecture
    for call in (lambda: sc.from_pretrained("lab/gru"), lambda: sc.push_to_hub(network, "lab/gru")):
        with pytest.raises(ImportPathError, match=r"pip install 'symscope\[hf\]'"):
            call()


@pytest.mark.slow
def test_the_address_of_the_hub_is_that_of_the_environment(network, tmp_path) -> None:
    pytest.importorskip("huggingface_hub")
    folder = sc.save_pretrained(network, tmp_path / "gru")
    with fake_hub() as (address, repositories):
        repositories["lab/gru"] = {path.name: path.read_bytes() for path in folder.iterdir()}
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_ENDPOINT": address, "NO_PROXY": "127.0.0.1"}
        environment |= {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret"}
        code = "import symscope as sc; net = sc.from_pretrained('lab/gru'); print(sc.push_to_hub(net, 'lab/copy'))"
        subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        assert repositories["lab/copy"]["model.safetensors"] == repositories["lab/gru"]["model.safetensors"]
