"""From a declared study to the jobs that it takes: train a network, then look for variables in it."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from symscope.runner import Job, Plan
from symscope.seeds import generator
from symscope.studies.declaration import NetworkChoice, Study, TaskChoice
from symscope.studies.named import fingerprint, is_import_path

RESULT_VERSION = "1"
"""Raise this when the code gives other results for the same arguments; stored results are then done again."""

_STAGES = "symscope.studies"
TRAIN, ALIGN, SWAP = f"{_STAGES}.train:train_stage", f"{_STAGES}.align:align_stage", f"{_STAGES}.swap:swap_stage"


def plan_study(study: Study) -> Plan:
    """The jobs of a study, with the keys of their results: for each network train, then align and swap."""
    sites = {(network.label, d): _sites(study, network, d) for network in study.networks for d in network.sizes}
    declared = study.model_dump(mode="json")
    jobs: list[Job] = []
    for task in study.tasks:
        for network in study.networks:
            for d in network.sizes:
                asked = [
                    choice.model_dump(mode="json")
                    for grid in study.alignments
                    for choice in grid.choices(task, sites[network.label, d])
                ]
                for seed in study.seeds:
                    jobs += _network_jobs(study, declared, task, network, (d, seed), asked)
    return Plan(jobs, result_version=RESULT_VERSION)


def _sites(study: Study, network: NetworkChoice, d: int) -> tuple[str, ...]:
    """The sites of a network; it has to be made to know them, so that is left out where none are declared."""
    if all(grid.sites is None for grid in study.alignments):
        return ()
    return tuple(network.make(d, 4, generator(0)).sites)


def declared_text(study: Study) -> str:
    """A study as YAML, with every default written out: the same for two declarations that mean the same."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _network_jobs(
    study: Study,
    declared: Mapping[str, Any],
    task: TaskChoice,
    network: NetworkChoice,
    size_and_seed: tuple[int, int],
    asked: Sequence[Mapping[str, Any]],
) -> list[Job]:
    d, seed = size_and_seed
    name = f"{task.label}-{network.label}-d{d}-seed{seed}"
    built = {"kind": network.kind, "options": network.options, "label": network.label, "d": d}
    common = {"task": task.model_dump(mode="json"), "network": built, "seed": seed, "device": study.device}
    code = _own_code(task.name, network.kind)
    training = {**common, **code, "training": declared["training"], "behaviour": declared["behaviour"]}
    jobs, needs = [Job(f"train/{name}", TRAIN, training)], (f"train/{name}",)
    algorithms = [choice["algorithm"] for choice in asked]
    if asked:
        search = {"alignments": asked, "search": declared["search"], "interventions": declared["interventions"]}
        code = _own_code(task.name, network.kind, *algorithms)
        jobs.append(Job(f"align/{name}", ALIGN, {**common, **code, **search}, needs))
    if study.whole_state_swaps:
        swaps: dict[str, Any] = {"swaps": study.whole_state_swaps}
        if is_import_path(task.name):
            swaps["algorithm"] = algorithms[0]
        code = _own_code(task.name, network.kind, swaps.get("algorithm", ""))
        jobs.append(Job(f"swap/{name}", SWAP, {**common, **code, **swaps}, needs))
    return jobs


def _own_code(*names: str) -> dict[str, dict[str, str]]:
    """What of the user's own code a result depends on, so that a change of it makes the result another one."""
    own = {name: fingerprint(name) for name in names if is_import_path(name)}
    return {"own_code": own} if own else {}
