"""Files of networks: what is loaded is what was saved, and wrong files are refused."""

import sys

import numpy as np
import pytest
import torch
from tests.training.networks import TOKENS, small_gru, users_network

from symscope.errors import CheckpointError, InvalidArgumentError
from symscope.networks import NETWORKS, make_network
from symscope.seeds import generator
from symscope.training import load_network, read_facts, save_network
from symscope.training.checkpoints import load_tensors, save_tensors


def equal(first, second) -> bool:
    first, second = first.state_dict(), second.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_weights_are_loaded_into_a_network_of_the_same_architecture(tmp_path) -> None:
    path = tmp_path / "new folder" / "network.safetensors"
    network, target = small_gru(), small_gru(seed=1)
    save_network(path, network, {"d": 8})
    assert load_network(path, target) is target
    assert equal(network, target)
    facts = read_facts(path)
    assert (facts["d"], facts["kind"], facts["architecture"]) == (8, "network", network.architecture)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_network_of_make_network_is_rebuilt_from_its_file(tmp_path, name, dtype) -> None:
    options = {"layers": 3, "heads": 2} if "transformer" in name else {}
    network = make_network(name, 8, TOKENS, generator(3), **options).to(dtype)
    save_network(tmp_path / "network", network)
    rebuilt = load_network(tmp_path / "network")
    assert rebuilt.architecture == network.architecture
    assert equal(network, rebuilt)
    assert {weight.dtype for weight in rebuilt.parameters()} == {dtype}


def test_a_network_of_the_user_is_not_rebuilt_and_no_code_is_imported(tmp_path) -> None:
    network, target = users_network(), users_network(seed=1)
    save_network(tmp_path / "network", network)
    with pytest.raises(CheckpointError, match=r"does not describe how to make its network .*pass it as `network`"):
        load_network(tmp_path / "network")
    assert equal(network, load_network(tmp_path / "network", target))
    tensors, facts = load_tensors(tmp_path / "network")
    for kind in ("antigravity:build", "unknown", None, 3):
        config = {"kind": kind, "d": 8, "vocabulary": TOKENS, "options": {}}
        save_tensors(tmp_path / "changed", tensors, facts | {"config": config})
        with pytest.raises(CheckpointError, match="a network that cannot be made"):
            load_network(tmp_path / "changed")
    assert "antigravity" not in sys.modules
    for config in ({"d": 8}, "gru", [1]):
        save_tensors(tmp_path / "changed", tensors, facts | {"config": config})
        with pytest.raises(CheckpointError, match="a network that cannot be made"):
            load_network(tmp_path / "changed")


def test_tied_weights_are_stored_once_and_loaded_tied(tmp_path) -> None:
    path = tmp_path / "network"
    network, target, untied = (users_network(tied=tied, seed=s) for s, tied in enumerate((True, True, False)))
    save_network(path, network)
    assert path.stat().st_size < tmp_path.joinpath(_saved(tmp_path / "untied", untied)).stat().st_size
    assert equal(network, load_network(path, target))
    assert target.output.linear.weight is target.cell.embedding.weight
    tensors, _ = load_tensors(path)
    assert tensors["output.linear.weight"] is tensors["cell.embedding.weight"]
    assert equal(network, load_network(path, untied))  # equal weights in a network that does not tie them
    _saved(path, users_network(seed=5))
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError, match="are tied in the network, but differ in the file"):
        load_network(path, target)
    assert all(torch.equal(before[name], tensor) for name, tensor in target.state_dict().items())


def _saved(path, network):
    save_network(path, network)
    return path


def test_views_of_the_same_memory_are_stored_as_they_are(tmp_path) -> None:
    matrix = torch.arange(12.0).view(3, 4)
    views = {"matrix": matrix, "again": matrix[:], "row": matrix[1], "turned": matrix.T, "empty": matrix[:0]}
    views["integers"], views["flat"] = torch.arange(3), matrix.flatten()
    save_tensors(tmp_path / "views", views, {})
    tensors, _ = load_tensors(tmp_path / "views")
    assert tensors.keys() == views.keys()
    assert all(torch.equal(tensors[name], views[name]) for name in views)
    assert tensors["matrix"] is tensors["again"]


def test_same_shapes_are_not_the_same_network(tmp_path) -> None:
    rope, nope, heads = (
        make_network(kind, 8, 5, generator(0), heads=heads)
        for kind, heads in (("transformer-rope", 1), ("transformer-nope", 1), ("transformer-rope", 2))
    )
    save_network(tmp_path / "network", rope)
    for target in (nope, heads):
        with pytest.raises(CheckpointError, match="another architecture"):
            load_network(tmp_path / "network", target)


def test_damaged_and_wrong_files_are_refused(tmp_path) -> None:
    path, network = tmp_path / "network", small_gru()
    save_network(path, network)
    with pytest.raises(CheckpointError, match="another architecture"):
        load_network(path, small_gru(d=9))
    content = path.read_bytes()
    for damaged in (content[:-10], content[:20], b"", b"text"):
        path.write_bytes(damaged)
        for read in (load_network, read_facts, load_tensors):
            with pytest.raises(CheckpointError, match="damaged"):
                read(path)
    with pytest.raises(CheckpointError, match="there is no checkpoint"):
        load_network(tmp_path / "absent", network)
    save_tensors(path, network.state_dict(), {"kind": "results"})
    with pytest.raises(CheckpointError, match="does not contain a network: its kind is 'results'"):
        load_network(path, network)


def test_text_paths_and_numbers_of_numpy(tmp_path) -> None:
    path = str(tmp_path / "network")
    save_network(path, small_gru(), {"seed": np.int64(3), "share": np.float32(0.5), "loss": torch.tensor(2)})
    assert load_network(path, small_gru(seed=1)).vocabulary == TOKENS
    facts = read_facts(path)
    assert (facts["seed"], facts["share"], facts["loss"]) == (3, 0.5, 2)


def test_facts_of_save_network_cannot_be_overwritten(tmp_path) -> None:
    for name in ("kind", "architecture", "config"):
        with pytest.raises(InvalidArgumentError, match=f"cannot have the names .*, got '{name}'"):
            save_network(tmp_path / "network", small_gru(), {name: "mine"})
    with pytest.raises(TypeError, match="facts must be JSON values"):
        save_network(tmp_path / "network", small_gru(), {"when": {1, 2}})
    assert list(tmp_path.iterdir()) == []
