"""From a declared study to the jobs that it takes: train a network, then look for variables in it."""

import yaml

from symscope.runner import Job, Plan
from symscope.studies.declaration import NetworkChoice, Study, TaskChoice
from symscope.studies.named import fingerprint, is_import_path

RESULT_VERSION = "1"
"""Raise this when the code gives other results for the same arguments; stored results are then done again."""

_STAGES = "symscope.studies"
TRAIN, ALIGN, SWAP = f"{_STAGES}.train:train_stage", f"{_STAGES}.align:align_stage", f"{_STAGES}.swap:swap_stage"


def plan_study(study: Study) -> Plan:
    """The jobs of a study, with the keys of their results: for each network train, then align and swap."""
    jobs: list[Job] = []
    for task in study.tasks:
        for network in study.networks:
            for d in network.sizes:
                for seed in study.seeds:
                    jobs += _network_jobs(study, task, network, d, seed)
    return Plan(jobs, result_version=RESULT_VERSION)


def declared_text(study: Study) -> str:
    """A study as YAML, with every default written out: the same for two declarations that mean the same."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _network_jobs(study: Study, task: TaskChoice, network: NetworkChoice, d: int, seed: int) -> list[Job]:
    declared = study.model_dump(mode="json")
    name = f"{task.label}-{network.label}-d{d}-seed{seed}"
    built = {"kind": network.kind, "options": network.options, "label": network.label, "d": d}
    common = {"task": task.model_dump(mode="json"), "network": built, "seed": seed, "device": study.device}
    common |= _own_code(task.name, network.kind)
    training = {**common, "training": declared["training"], "behaviour": declared["behaviour"]}
    jobs, needs = [Job(f"train/{name}", TRAIN, training)], (f"train/{name}",)
    algorithms = [choice.algorithm for choice in study.alignments]
    if study.alignments:
        asked = {key: declared[key] for key in ("alignments", "search", "interventions")}
        asked |= _own_code(task.name, network.kind, *algorithms)
        jobs.append(Job(f"align/{name}", ALIGN, {**common, **asked}, needs))
    if study.whole_state_swaps:
        asked = {"swaps": study.whole_state_swaps}
        if is_import_path(task.name):
            asked |= {"algorithm": algorithms[0], **_own_code(task.name, network.kind, algorithms[0])}
        jobs.append(Job(f"swap/{name}", SWAP, {**common, **asked}, needs))
    return jobs


def _own_code(*names: str) -> dict[str, dict[str, str]]:
    """What of the user's own code a result depends on, so that a change of it makes the result another one."""
    own = {name: fingerprint(name) for name in names if is_import_path(name)}
    return {"own_code": own} if own else {}
