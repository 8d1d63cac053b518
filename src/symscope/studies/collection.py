"""A collection: several studies that are planned, run and reported together, each in a folder of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pydantic import Field, ValidationError

from symscope.errors import ConfigurationError, UnknownNameError
from symscope.studies.check import read_study
from symscope.studies.declaration import Study
from symscope.studies.options import Section, Values
from symscope.studies.presets import preset_names, preset_text
from symscope.studies.settings import Setting
from symscope.studies.source import read_source

ALL_PARTS = ("seeds", "device")
"""Settings that apply to every study of a collection."""


class StudyCollection(Section):
    """A declared collection. `title` is the question that its page answers."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    title: str
    studies: Values[str] = Field(min_length=2, description="presets, in the order in which they run")


def is_collection(text: str) -> bool:
    """Whether a declaration is a collection."""
    declared, _, faults = read_source(text)
    return not faults and isinstance(declared, Mapping) and "studies" in declared


def read_collection(text: str, where: str) -> StudyCollection:
    """A collection from YAML text, checked.

    Raises:
        ConfigurationError: a fault of a field, a study that is no preset of one study, or one that is named twice.
    """
    declared, source, faults = read_source(text)
    if faults:
        raise ConfigurationError(where, source.messages(faults))
    try:
        collection = StudyCollection.model_validate(declared)
    except ValidationError as error:
        messages = [f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()]
        raise ConfigurationError(where, messages) from error
    known = preset_names()
    messages = [str(UnknownNameError("preset", name, known)) for name in collection.studies if name not in known]
    if len(set(collection.studies)) < len(collection.studies):
        messages.append(f"studies: each once, got {list(collection.studies)}")
    if messages:
        raise ConfigurationError(where, messages)
    return collection


def studies_of(collection: StudyCollection, settings: Sequence[Setting] = ()) -> list[Study]:
    """The studies of a collection, with settings of the command line.

    A setting that starts with the name of a study applies to it, `iclr.seeds=[0]`; seeds and device apply to all.

    Raises:
        ConfigurationError: a setting that belongs to no study, or faults of a study with its settings.
    """
    lost = [
        setting for setting in settings if setting.location[0] not in (*collection.studies, *ALL_PARTS)
    ]  # fmt: skip
    if lost:
        names = ", ".join(collection.studies)
        messages = [
            f"{setting.option} {'.'.join(map(str, setting.location))}: start with the name of a study of the "
            f"collection ({names}), or set {' or '.join(ALL_PARTS)}"
            for setting in lost
        ]
        raise ConfigurationError(f"collection {collection.name}", messages)
    return [
        read_study(preset_text(name), f"preset {name}", _settings_of(name, settings)) for name in collection.studies
    ]


def _settings_of(name: str, settings: Sequence[Setting]) -> list[Setting]:
    of_all = [setting for setting in settings if setting.location[0] in ALL_PARTS]
    of_study = [setting for setting in settings if setting.location[0] == name and len(setting.location) > 1]
    return of_all + [replace(setting, location=setting.location[1:]) for setting in of_study]
