"""The phase of a transformer, read and swapped by token: constructed networks, whose answer is known."""

import pytest
import torch

from symscope.algorithms import make_algorithm
from symscope.analysis import make_table
from symscope.networks import CONSTRUCTED, make_network
from symscope.seeds import generator
from symscope.studies import plan_study, read_study
from symscope.studies.arguments import PhaseArguments
from symscope.studies.phases import phase_stage, probe_phase, swap_phase
from symscope.studies.subject import WEIGHTS, Subject, read_parts
from symscope.tasks import make_task
from symscope.training import save_network


@pytest.mark.parametrize(("name", "shared"), [("multi-object-void", set()), ("same-object", {"C"})])
def test_the_embedding_says_the_phase_at_tokens_of_one_phase_alone(name: str, shared: set[str]) -> None:
    task = make_task(name)
    network = make_network("transformer-nope", 16, len(task.vocabulary), generator(0))
    algorithm = make_algorithm("up-down", task)
    rows = dict(probe_phase(network, algorithm, "embedding", 6, 0))
    for token, row in rows.items():
        assert (row["accuracy"] < 1) == (token in shared | ({"all"} if shared else set())), token
        assert (row["most_common"] < 1) == (token in shared | {"all"}), token
    assert rows["all"]["states"] == sum(row["states"] for token, row in rows.items() if token != "all")


def test_a_markov_state_says_the_phase_everywhere_and_takes_that_of_the_source() -> None:
    task = make_task("multi-object-void")
    network, algorithm = CONSTRUCTED["magnitude"](**task.roles).network, make_algorithm("up-down", task)
    (site,) = network.sites
    read = dict(probe_phase(network, algorithm, site, 6, 0))
    assert all(row["accuracy"] == 1 for row in read.values())
    swapped = dict(swap_phase(network, algorithm, site, 100, 0))
    assert all(row["iia"] == 1 for row in swapped.values())
    assert swapped["all"]["n"] == 100 == sum(row["n"] for token, row in swapped.items() if token != "all")


def test_the_stage_stores_a_row_for_each_site_and_token(tmp_path) -> None:
    text = (
        "{name: x, title: What, tasks: [{name: multi-object, quantities: [1, 3], held_out: [2]}], seeds: [0], "
        "networks: [{kind: gru, sizes: [8]}, {kind: transformer-nope, sizes: [8]}], observe: {phase: 4}, "
        "interventions: {test: 40}}"
    )
    (job,) = (job for job in plan_study(read_study(text, "x")) if job.name.startswith("phase/"))
    assert job.name == "phase/multi-object-transformer-nope-d8-seed0"
    subject = Subject.of(PhaseArguments.read(job.arguments))
    save_network(tmp_path / "trained" / WEIGHTS, subject.new_network("trained"), subject.columns)
    (tmp_path / "result").mkdir()
    phase_stage(job.arguments, {"train": tmp_path / "trained"}, tmp_path / "result", lambda progress: None)
    table = read_parts("phases", [tmp_path / "result"])
    assert table is not None
    assert table.get_column("site").unique(maintain_order=True).to_list() == ["embedding", "layer1", "layer2"]
    assert table.filter(token="all").drop_nulls().height == 3
    assert make_table("phases", table.to_dicts()).equals(table)
    assert torch.is_grad_enabled()
