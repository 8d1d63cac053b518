"""The explorer of a study: its networks and alignments, from the store, as one page in which they run."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from symscope.alignment import Results, read_results
from symscope.errors import CheckpointError, InvalidArgumentError, SymscopeError, UnknownNameError
from symscope.explorer import Explorer, explore_subjects
from symscope.explorer import Subject as ExplorerSubject
from symscope.explorer.document import explorer_document
from symscope.runner import Manifest, Store
from symscope.studies.align import ALIGNMENT, align_stage
from symscope.studies.arguments import AlignArguments
from symscope.studies.choices import build_algorithm
from symscope.studies.subject import Subject

MAX_MEGABYTES = 6.0
"""Default size of a page; further networks are left out."""
_STAGE = f"{align_stage.__module__}:{align_stage.__name__}"


@dataclass(frozen=True)
class StudyExplorer:
    """The page of a study.

    Attributes:
        explorer: the page.
        included: names of its networks.
        left_out: names of the networks that it does not hold, with the reason.
    """

    explorer: Explorer
    included: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        if not self.left_out:
            return f"{len(self.included)} network{'s' if len(self.included) > 1 else ''}"
        return f"{len(self.included)} of {len(self.included) + len(self.left_out)} networks"


@dataclass(frozen=True)
class _Search:
    """A search stage of the store, and the folder of its result."""

    job: AlignArguments
    manifest: Manifest
    folder: Path

    @property
    def key(self) -> tuple[str, str, int, int, str]:
        job = self.job
        return job.task.label, job.network.label, job.network.d, job.seed, job.request.algorithm


def explore_study(
    store: Store,
    title: str,
    *,
    locations: Iterable[str] | None = None,
    networks: Sequence[str] = (),
    megabytes: float = MAX_MEGABYTES,
    report: str | None = None,
) -> StudyExplorer:
    """The page of a study, with as many of its networks as its size allows.

    The first seed of every network comes before the second seeds.

    Args:
        store: the results of the study.
        title: title of the page.
        locations: the results to use; default: the newest result of each job.
        networks: parts of names; only networks whose name contains one of them are used. Default: all.
        megabytes: largest size of the page; the first network is always included.
        report: a page that it links.

    Raises:
        InvalidArgumentError: the study has no search of an algorithm, or the page can run none of its networks.
        UnknownNameError: no network has such a name.
    """
    groups = _groups(store, locations)
    if not groups:
        raise InvalidArgumentError(f"{store.address} holds no search of variables, so there is nothing to explore")
    names = _names(groups)
    for part in networks:
        if not any(part in name for name in names.values()):
            raise UnknownNameError("network of the study", part, names.values())
    chosen = {key: name for key, name in names.items() if not networks or any(part in name for part in networks)}
    subjects, included, left_out, size = [], [], [], 0.0
    for key, name in sorted(chosen.items(), key=lambda item: (item[0][3], list(names).index(item[0]))):
        try:
            subject = _subject(name, groups[key], store)
            entry_size = len(json.dumps(explorer_document([subject], title))) / 1e6
        except SymscopeError as error:
            left_out.append((name, str(error)))
            continue
        if subjects and size + entry_size > megabytes:
            left_out.append((name, f"the page would be larger than {megabytes:g} MB"))
            continue
        subjects.append(subject)
        included.append(name)
        size += entry_size
    if not subjects:
        raise InvalidArgumentError(f"the page can run no network of {store.address}: {left_out[0][1]}")
    return StudyExplorer(explore_subjects(subjects, title=title, report=report), tuple(included), tuple(left_out))


def _groups(store: Store, locations: Iterable[str] | None) -> dict[tuple[str, str, int, int, str], list[_Search]]:
    """The searches by network and algorithm, in the order of their names."""
    newest: dict[str, _Search] = {}
    for search in _searches(store, store.locations() if locations is None else locations):
        known = newest.get(search.manifest.name)
        if known is None or known.manifest.finished <= search.manifest.finished:
            newest[search.manifest.name] = search
    groups: dict[tuple[str, str, int, int, str], list[_Search]] = {}
    for search in sorted(newest.values(), key=lambda search: search.key):
        groups.setdefault(search.key, []).append(search)
    return groups


def _searches(store: Store, locations: Iterable[str]) -> Iterator[_Search]:
    for location, check in store.check_all(locations).items():
        if check.state != "valid":
            continue
        manifest = store.manifest(location)
        if manifest.stage == _STAGE:
            yield _Search(AlignArguments.read(manifest.arguments), manifest, store.fetch(location))


def _names(groups: Iterable[tuple[str, str, int, int, str]]) -> dict[tuple[str, str, int, int, str], str]:
    """A name for each network and algorithm, with only what distinguishes them."""
    keys = list(groups)
    several_tasks = len({task for task, *_ in keys}) > 1
    several_algorithms = len({(*network, algorithm) for *network, algorithm in keys}) > len(
        {tuple(network) for *network, _ in keys}
    )
    names = {}
    for task, network, d, seed, algorithm in keys:
        parts = [*([task] if several_tasks else []), network, f"d = {d}", f"seed {seed}"]
        names[task, network, d, seed, algorithm] = ", ".join([*parts, *([algorithm] if several_algorithms else [])])
    return names


def _subject(name: str, searches: Sequence[_Search], store: Store) -> ExplorerSubject:
    job = searches[0].job
    subject = replace(Subject.of(job), device="cpu")
    needs = {need: store.fetch(location) for need, location in searches[0].manifest.needs.items()}
    network = subject.trained_network(needs)
    results = []
    for search in searches:
        try:
            results += read_results(search.folder / ALIGNMENT)
        except CheckpointError:  # an alignment function of the user, whose class only the user knows
            continue
    if not results:
        raise InvalidArgumentError("its alignments cannot be read without the classes of their functions")
    algorithm = build_algorithm(job.request.algorithm, subject.task)
    facts = (f"task {subject.task_label}", f"algorithm {algorithm.name}", f"trained with seed {subject.seed}")
    return ExplorerSubject(name, network, algorithm, Results(results), facts)
