"""From a declared study to the jobs that it takes: train a network, then look for variables in it."""

import hashlib

from symscope.runner import Job, Plan
from symscope.studies.declaration import NetworkChoice, Study, TaskChoice

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


def declaration_key(study: Study) -> str:
    """A hash of what a study declares; a default that is written out is the same as one that is not."""
    return hashlib.sha256(study.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]


def _network_jobs(study: Study, task: TaskChoice, network: NetworkChoice, d: int, seed: int) -> list[Job]:
    declared = study.model_dump(mode="json")
    name = f"{task.label}-{network.label}-d{d}-seed{seed}"
    built = {"kind": network.kind, "options": network.options, "label": network.label, "d": d}
    common = {"task": task.model_dump(mode="json"), "network": built, "seed": seed, "device": study.device}
    training = {**common, "training": declared["training"], "behaviour": declared["behaviour"]}
    jobs, needs = [Job(f"train/{name}", TRAIN, training)], (f"train/{name}",)
    if study.alignments:
        asked = {key: declared[key] for key in ("alignments", "search", "interventions")}
        jobs.append(Job(f"align/{name}", ALIGN, {**common, **asked}, needs))
    if study.whole_state_swaps:
        jobs.append(Job(f"swap/{name}", SWAP, {**common, "swaps": study.whole_state_swaps}, needs))
    return jobs
