"""From a declared study to its jobs: train each network, search variables in it, and measure it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from symscope.imports import is_import_path, source_digest
from symscope.runner import Job, Plan
from symscope.studies.arguments import (
    AlignArguments,
    AttentionArguments,
    CalibrateArguments,
    CeilingArguments,
    ChangeOfBasisArguments,
    CompareArguments,
    DevelopArguments,
    DimensionsArguments,
    FrontierArguments,
    MeasureArguments,
    NetworkArguments,
    PhaseArguments,
    ReachArguments,
    StageArguments,
    StatesArguments,
    StrengthArguments,
    SwapArguments,
    TrainArguments,
)
from symscope.studies.choices import NetworkChoice, TaskChoice
from symscope.studies.comparisons import Member
from symscope.studies.declaration import Search, Study
from symscope.studies.options import InterventionCounts

RESULT_VERSION = "1"
"""Raise this when the code gives other results for the same arguments; stored results are then computed again."""

_STAGES: Mapping[type[StageArguments], str] = {
    TrainArguments: "train:train_stage",
    MeasureArguments: "train:measure_stage",
    AlignArguments: "align:align_stage",
    CeilingArguments: "swap:ceiling_stage",
    SwapArguments: "swap:swap_stage",
    DevelopArguments: "develop:develop_stage",
    FrontierArguments: "frontier:frontier_stage",
    CompareArguments: "compare:compare_stage",
    DimensionsArguments: "compare:dimensions_stage",
    StatesArguments: "observe:states_stage",
    AttentionArguments: "observe:attention_stage",
    StrengthArguments: "observe:strength_stage",
    PhaseArguments: "phases:phase_stage",
    CalibrateArguments: "calibrate:calibrate_stage",
    ChangeOfBasisArguments: "theory:change_of_basis_stage",
    ReachArguments: "theory:reach_stage",
}

EQUAL_TASKS = ("multi-object", "single-object", "same-object")
"""Tasks in which n demo tokens are followed by n responses."""

COUNTED_TASKS = (*EQUAL_TASKS, "modulo", "rounding", "square")
"""Tasks with a trigger, whose algorithms have a count and a phase."""


def plan_study(study: Study) -> Plan:
    """The jobs of a study, with the keys of their results.

    Each network has a job that trains it, and a job for each search: one algorithm, site and alignment function, with
    all variables and subspace sizes. Each pair of compared networks has a job, with all variables, subspace sizes and
    functions.
    """
    jobs: list[Job] = list(_theory_jobs(study))
    subjects = [
        _Subject.of(study, choice, network, d)
        for network in study.networks
        for d in network.sizes
        for choice in study.tasks
    ]
    for subject in subjects:
        for seed in study.seeds:
            jobs += subject.jobs(seed)
    for choice in study.tasks:
        jobs += _comparison_jobs(study, [subject for subject in subjects if subject.task == choice])
    jobs += _calibration_jobs(study)
    return Plan(jobs, result_version=RESULT_VERSION)


def declared_text(study: Study) -> str:
    """A study as YAML with every default: the same for two declarations that mean the same."""
    return yaml.safe_dump(study.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)


def _job(name: str, arguments: StageArguments, needs: tuple[str, ...] = ()) -> Job:
    stage = f"symscope.studies.{_STAGES[type(arguments)]}"
    return Job(name, stage, arguments.model_dump(mode="json"), needs)


def _calibration_jobs(study: Study) -> Iterator[Job]:
    for seed in study.seeds:
        for question in study.calibration.questions() if study.calibration else ():
            arguments = CalibrateArguments(
                seed=seed,
                code=_source_digests(question.function.name),
                question=question,
                device=study.device,
                search=study.search,
                interventions=study.interventions,
            )
            yield _job(f"calibrate/{question.part}/{question.label}-seed{seed}", arguments)


def _theory_jobs(study: Study) -> Iterator[Job]:
    """A job for each state size after a change of basis, and for each depth of a transformer."""
    if study.theory is None:
        return
    options = {"search": study.search, "interventions": study.interventions}
    for d in study.theory.sizes:
        for seed in study.seeds:
            yield _job(f"change-of-basis/d{d}-seed{seed}", ChangeOfBasisArguments(seed=seed, d=d, **options))
    for layers in study.theory.layers:
        yield _job(f"reach/layers{layers}", ReachArguments(seed=study.seeds[0], layers=layers))


def _comparison_jobs(study: Study, subjects: Sequence["_Subject"]) -> Iterator[Job]:
    """A job for each pair of compared networks of one task, and for the number of dimensions that each needs."""
    networks = [(subject, seed) for subject in subjects for seed in study.seeds]
    members = [Member(subject.network.label, subject.d, seed) for subject, seed in networks]
    counts = {"interventions": study.interventions, "search": study.search}
    for grid in study.comparisons:
        if not (subjects and grid.includes(subjects[0].task)):
            continue
        options = {"algorithm": grid.algorithm, **counts}
        used = grid.algorithm.rpartition(":")[2]
        pairs = grid.chosen(members)
        compared = sorted({number for pair in pairs for number in pair}) if grid.minimal_dimensions else []
        for subject, seed in (networks[number] for number in compared):
            function = grid.functions[0]
            arguments = DimensionsArguments(
                **subject.common(seed, grid.algorithm, function.name),
                k=grid.minimal_dimensions,
                function=function,
                **options,
            )
            yield _job(f"dimensions/{subject.name(seed)}/{used}", arguments, (subject.first_name(seed),))
        for (first, seed), (second, partner_seed) in ((networks[i], networks[j]) for i, j in pairs):
            common = first.common(seed, grid.algorithm, *(function.name for function in grid.functions))
            partner = second.common(partner_seed)
            arguments = CompareArguments(
                **{**common, "code": common["code"] | partner["code"]},
                partner=partner["network"],
                partner_seed=partner_seed,
                variables=grid.variables,
                k=grid.k,
                functions=grid.functions,
                stitching=grid.stitching,
                **options,
            )
            needs = first.first_name(seed), second.first_name(partner_seed)
            partner_name = f"{second.network.label}-d{second.d}-seed{partner_seed}"
            yield _job(f"compare/{first.name(seed)}/{partner_name}/{used}", arguments, needs)


@dataclass(frozen=True)
class _Subject:
    """The networks of one kind and size on one task, which differ in their seeds only."""

    study: Study
    task: TaskChoice
    network: NetworkChoice
    d: int
    searches: Sequence[Search]
    digest: str
    """Hash of the weights of a trained network of the user."""

    @classmethod
    def of(cls, study: Study, task: TaskChoice, network: NetworkChoice, d: int) -> "_Subject":
        tokens = len(task.make().vocabulary)
        shape = network.shape(d, tokens)
        usual = study.interventions.protocol
        searches = [
            search.model_copy(update={"protocol": None}) if search.protocol == usual else search
            for grid in study.alignments
            for search in grid.searches(task, shape.sites, shape.default_site)
        ]
        digest = "" if network.needs_training else network.weights_digest(d, tokens)
        return cls(study, task, network, d, searches, digest)

    def name(self, seed: int) -> str:
        """The name of one network in names of jobs."""
        return f"{self.task.label}-{self.network.label}-d{self.d}-seed{seed}"

    def first_name(self, seed: int) -> str:
        """The name of the job that stores the weights of a network."""
        return f"{'train' if self.network.needs_training else 'measure'}/{self.name(seed)}"

    def jobs(self, seed: int) -> Iterator[Job]:
        """All jobs that concern one network alone. Each has only the arguments that determine its result."""
        name = self.name(seed)
        first = self._first_job(seed)
        yield first
        needs, study = (first.name,), self.study
        for search in self.searches:
            arguments = AlignArguments(
                **self.common(seed, search.algorithm, search.function.name, *search.controls),
                request=search,
                search=search.options or study.search,
                interventions=self.interventions(search),
            )
            yield _job(f"align/{name}/{search.label}", arguments, needs)
            if study.frontier is not None and search.mask is None:
                weights = study.frontier.latent_weights
                arguments = FrontierArguments(**dict(arguments), latent_weights=weights)
                yield _job(f"frontier/{name}/{search.label}", arguments, needs)
        ceilings = {f"{search.algorithm_label}-{search.site}": search for search in self.searches}
        for label, search in ceilings.items():
            arguments = CeilingArguments(
                **self.common(seed, search.algorithm),
                algorithm=search.algorithm,
                site=search.site,
                test=study.interventions.test,
                protocol=self.interventions(search).protocol,
            )
            yield _job(f"ceiling/{name}/{label}", arguments, needs)
        if study.whole_state_swaps:
            algorithm = self.searches[0].algorithm if is_import_path(self.task.name) else None
            common = self.common(seed, algorithm or "")
            arguments = SwapArguments(**common, algorithm=algorithm, swaps=study.whole_state_swaps)
            yield _job(f"swap/{name}", arguments, needs)
        if self.network.needs_training:
            yield from self._development(name, needs, seed)
        yield from self._observations(name, needs, seed)

    def _first_job(self, seed: int) -> Job:
        """The job that stores the weights of the network."""
        training, counts = self.study.training, self.study.trial_accuracy
        common = self.common(seed)
        if self.network.needs_training:
            arguments = TrainArguments(**common, training=training, trial_accuracy=counts)
            return _job(self.first_name(seed), arguments)
        arguments = MeasureArguments(
            **common,
            weights=self.network.weights,
            digest=self.digest,
            target_accuracy=training.target_accuracy,
            trial_accuracy=counts,
        )
        return _job(self.first_name(seed), arguments)

    def _development(self, name: str, needs: tuple[str, ...], seed: int) -> Iterator[Job]:
        """A job for each search and checkpoint."""
        declared = self.study.development
        if declared is None:
            return
        shorter = {"restarts": declared.restarts, "steps": declared.steps}
        for search in self.searches:
            options = (search.options or self.study.search).model_copy(update=shorter)
            for checkpoint in range(declared.checkpoints):
                arguments = DevelopArguments(
                    **self.common(seed, search.algorithm, search.function.name),
                    request=search,
                    search=options,
                    interventions=self.interventions(search),
                    checkpoint=checkpoint,
                    checkpoints=declared.checkpoints,
                    each=self.study.trial_accuracy.each,
                )
                yield _job(f"develop/{name}/{search.label}/{checkpoint}", arguments, needs)

    def _observations(self, name: str, needs: tuple[str, ...], seed: int) -> Iterator[Job]:
        """The measurements without a search, where this kind of network allows them."""
        declared, common = self.study.observe, self.common(seed)
        counted = self.task.name.removesuffix("-void") in COUNTED_TASKS
        if declared.states and counted:
            yield _job(f"states/{name}", StatesArguments(**common, each=declared.states), needs)
        attends = counted and self.network.kind.startswith("transformer")
        if declared.phase and attends:
            arguments = PhaseArguments(**common, each=declared.phase, swaps=self.study.interventions.test)
            yield _job(f"phase/{name}", arguments, needs)
        if declared.attention and attends:
            yield _job(f"attention/{name}", AttentionArguments(**common, sequences=declared.attention), needs)
        if declared.strength and self._has_strength_values():
            yield _job(f"strength/{name}", StrengthArguments(**common, trials=declared.strength), needs)

    def interventions(self, search: Search) -> InterventionCounts:
        """The interventions of a search, by its protocol."""
        counts = self.study.interventions
        return counts if search.protocol is None else counts.model_copy(update={"protocol": search.protocol})

    def common(self, seed: int, *names: str) -> dict[str, Any]:
        """The arguments that identify the network, with digests of the user's modules among `names`."""
        choice = self.network
        network = NetworkArguments(
            kind=choice.kind,
            options=choice.options,
            label=choice.label,
            d=self.d,
            trained=choice.trained,
            fresh=choice.fresh,
        )
        code = _source_digests(self.task.name, choice.kind, choice.fresh or "", *names)
        return {"seed": seed, "code": code, "task": self.task, "network": network, "device": self.study.device}

    def _has_strength_values(self) -> bool:
        """Whether it is a one-layer NoPE transformer on a task whose response equals the quantity."""
        one_layer = self.network.kind == "transformer-nope" and self.network.options.get("layers", 2) == 1
        return one_layer and self.task.name.removesuffix("-void") in EQUAL_TASKS


def _source_digests(*names: str) -> dict[str, str]:
    """Digests of the user's modules that a result depends on, so that changed code gives another key."""
    return {name: source_digest(name) for name in names if is_import_path(name)}
