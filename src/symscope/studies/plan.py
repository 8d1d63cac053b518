"""From a declared study to the jobs that it takes: train a network, then look for variables in it."""

import hashlib
from typing import Any

from symscope.runner import Job, Plan
from symscope.studies.declaration import Study

RESULT_VERSION = "1"
"""Raise this when the code gives other results for the same arguments; stored results are then done again."""

TRAIN, ALIGN = "symscope.studies.train:train_stage", "symscope.studies.align:align_stage"


def plan_study(study: Study) -> Plan:
    """The jobs of a study, with the keys of their results; `train/...` for each network and `align/...` on it."""
    declared = study.model_dump(mode="json")
    jobs: list[Job] = []
    for task in declared["tasks"]:
        for network in declared["networks"]:
            for d in network["sizes"]:
                for seed in declared["seeds"]:
                    jobs += _network_jobs(declared, task, network["kind"], d, seed)
    return Plan(jobs, result_version=RESULT_VERSION)


def declaration_key(study: Study) -> str:
    """A hash of what a study declares; a default that is written out is the same as one that is not."""
    return hashlib.sha256(study.model_dump_json(exclude_defaults=True).encode()).hexdigest()[:16]


def _network_jobs(declared: dict[str, Any], task: dict[str, Any], kind: str, d: int, seed: int) -> list[Job]:
    name = f"{task['name']}-{kind}-d{d}-seed{seed}"
    common = {"task": task, "network": {"kind": kind, "d": d}, "seed": seed, "device": declared["device"]}
    training = {**common, "training": declared["training"], "behaviour": declared["behaviour"]}
    jobs = [Job(f"train/{name}", TRAIN, training)]
    if declared["alignments"]:
        asked = {key: declared[key] for key in ("alignments", "search", "interventions")}
        jobs.append(Job(f"align/{name}", ALIGN, {**common, **asked}, needs=(f"train/{name}",)))
    return jobs
