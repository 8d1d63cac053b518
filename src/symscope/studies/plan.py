"""From a declared study to the jobs that it takes: train a network, then look for each variable in it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import yaml

from symscope.imports import is_import_path, source_digest
from symscope.runner import Job, Plan
from symscope.seeds import generator
from symscope.studies.declaration import FunctionChoice, NetworkChoice, Search, Study, TaskChoice

RESULT_VERSION = "1"
"""Raise this when the code gives other results for the same arguments; stored results are then done again."""

_STAGES = "symscope.studies"
TRAIN, ALIGN = f"{_STAGES}.train:train_stage", f"{_STAGES}.align:align_stage"
CEILING, SWAP = f"{_STAGES}.swap:ceiling_stage", f"{_STAGES}.swap:swap_stage"
CALIBRATE = f"{_STAGES}.calibrate:calibrate_stage"
DISGUISE, REACH = f"{_STAGES}.theory:disguise_stage", f"{_STAGES}.theory:reach_stage"
DEVELOP, STRENGTH = f"{_STAGES}.develop:develop_stage", f"{_STAGES}.observe:strength_stage"
STATES, ATTENTION = f"{_STAGES}.observe:states_stage", f"{_STAGES}.observe:attention_stage"


EQUAL_TASKS = ("multi-object", "single-object", "same-object")
"""Tasks that answer n demo tokens with n responses."""

COUNTED_TASKS = (*EQUAL_TASKS, "modulo", "rounding", "square")
"""Tasks with a trigger, whose algorithms have a count and a phase."""


def plan_study(study: Study) -> Plan:
    """The jobs of a study, with the keys of their results: for each network train, then search, and swap.

    Each search is a job; those on one network are a group, since they share the network and so a batch.
    """
    declared = study.model_dump(mode="json")
    jobs: list[Job] = list(_theory_jobs(study, declared))
    for network in study.networks:
        for d in network.sizes:
            made = network.make(d, 4, generator(0))
            for task in study.tasks:
                searches = [
                    search for grid in study.alignments for search in grid.searches(task, made.sites, made.default_site)
                ]
                subject = _Subject(study, declared, task, network, d, searches)
                for seed in study.seeds:
                    jobs += subject.jobs(seed)
    jobs += _calibration(study, declared)
    return Plan(jobs, result_version=RESULT_VERSION)


def _calibration(study: Study, declared: Mapping[str, Any]) -> Iterator[Job]:
    """One job a question to a network whose answer is known."""
    task = TaskChoice(name="multi-object").model_dump(mode="json")
    for seed in study.seeds:
        for asked in study.calibration.questions() if study.calibration else ():
            function = FunctionChoice(**asked["function"])
            hidden = [str(asked[name]) for name in ("disguise", "latent_weight", "view") if name in asked]
            label = "-".join([asked["network"], *hidden, f"d{asked['d']}", f"k{asked['k']}", function.label])
            network = {"kind": asked["network"], "options": {}, "label": asked["network"], "d": asked["d"]}
            common = {"task": task, "network": network, "seed": seed, "device": study.device}
            options = {"search": declared["search"], "interventions": declared["interventions"]}
            code = _own_code(function.name)
            name = f"calibrate/{asked['part']}/{label}-seed{seed}"
            yield Job(name, CALIBRATE, {**common, **code, **options, "asked": asked})


def _theory_jobs(study: Study, declared: Mapping[str, Any]) -> Iterator[Job]:
    """Each disguise with all functions, and the reach of each depth."""
    if study.theory is None:
        return
    options = {"search": declared["search"], "interventions": declared["interventions"]}
    for d in study.theory.sizes:
        for seed in study.seeds:
            yield Job(f"disguise/d{d}-seed{seed}", DISGUISE, {"d": d, "seed": seed, **options})
    for layers in study.theory.layers:
        yield Job(f"reach/layers{layers}", REACH, {"layers": layers, "seed": study.seeds[0]})


def declared_text(study: Study) -> str:
    """A study as YAML, with every default written out: the same for two declarations that mean the same."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


@dataclass(frozen=True)
class _Subject:
    """Networks of one kind and size on one task, which differ only in their seed."""

    study: Study
    declared: Mapping[str, Any]
    task: TaskChoice
    network: NetworkChoice
    d: int
    searches: Sequence[Search]

    def jobs(self, seed: int) -> Iterator[Job]:
        """All jobs about one network: each gets only what determines its result."""
        name = f"{self.task.label}-{self.network.label}-d{self.d}-seed{seed}"
        built = {"kind": self.network.kind, "options": self.network.options, "label": self.network.label, "d": self.d}
        task = self.task.model_dump(mode="json")
        common = {"task": task, "network": built, "seed": seed, "device": self.study.device}
        own = (self.task.name, self.network.kind)
        training = {"training": self.declared["training"], "behaviour": self.declared["behaviour"]}
        yield Job(f"train/{name}", TRAIN, {**common, **_own_code(*own), **training})
        needs = (f"train/{name}",)
        options = {"search": self.declared["search"], "interventions": self.declared["interventions"]}
        for search in self.searches:
            code = _own_code(*own, search.algorithm, search.function.name)
            asked = {"asked": search.model_dump(mode="json"), **options}
            yield Job(f"align/{name}/{search.label}", ALIGN, {**common, **code, **asked}, needs)
        for algorithm, site in dict.fromkeys((search.algorithm, search.site) for search in self.searches):
            asked = {"algorithm": algorithm, "site": site, "test": self.study.interventions.test}
            label = f"{algorithm.rpartition(':')[2]}-{site}"
            yield Job(f"ceiling/{name}/{label}", CEILING, {**common, **_own_code(*own, algorithm), **asked}, needs)
        if self.study.whole_state_swaps:
            swaps: dict[str, Any] = {"swaps": self.study.whole_state_swaps}
            if is_import_path(self.task.name):
                swaps["algorithm"] = self.searches[0].algorithm
            code = _own_code(*own, swaps.get("algorithm", ""))
            yield Job(f"swap/{name}", SWAP, {**common, **code, **swaps}, needs)
        if self.study.development and self.searches:
            yield from self._development(name, needs, common)
        yield from self._observations(name, needs, {**common, **_own_code(*own)})

    def _development(self, name: str, needs: tuple[str, ...], common: Mapping[str, Any]) -> Iterator[Job]:
        """One job a search and moment of training."""
        wanted = self.study.development
        assert wanted is not None
        options = {
            "search": {**self.declared["search"], "starts": wanted.starts, "steps": wanted.steps},
            "interventions": self.declared["interventions"],
            "behaviour": {"each": self.study.behaviour.each},
            "moments": wanted.moments,
        }
        for search, moment in product(self.searches, range(wanted.moments)):
            code = _own_code(self.task.name, self.network.kind, search.algorithm, search.function.name)
            asked = {"asked": search.model_dump(mode="json"), "moment": moment, **options}
            yield Job(f"develop/{name}/{search.label}/{moment}", DEVELOP, {**common, **code, **asked}, needs)

    def _observations(self, name: str, needs: tuple[str, ...], common: Mapping[str, Any]) -> Iterator[Job]:
        """What is looked at without any search, as far as this kind of network has it."""
        wanted = self.study.observe
        counted = self.task.name.removesuffix("-void") in COUNTED_TASKS
        if wanted.states and counted:
            yield Job(f"states/{name}", STATES, {**common, "each": wanted.states}, needs)
        if wanted.attention and counted and self.network.kind.startswith("transformer"):
            yield Job(f"attention/{name}", ATTENTION, {**common, "sequences": wanted.attention}, needs)
        if wanted.strength and self._has_strength_values():
            yield Job(f"strength/{name}", STRENGTH, {**common, "trials": wanted.strength}, needs)

    def _has_strength_values(self) -> bool:
        """Whether it is a one-layer NoPE transformer of a task that answers a quantity with itself."""
        one_layer = self.network.kind == "transformer-nope" and self.network.options.get("layers", 2) == 1
        return one_layer and self.task.name.removesuffix("-void") in EQUAL_TASKS


def _own_code(*names: str) -> dict[str, dict[str, str]]:
    """What of the user's own code a result depends on, so that a change of it makes the result another one."""
    own = {name: source_digest(name) for name in names if is_import_path(name)}
    return {"own_code": own} if own else {}
