"""The studies that come with the package, one readable file each."""

from importlib import resources

from symscope.errors import UnknownNameError
from symscope.studies.check import read_study
from symscope.studies.declaration import Study

ORDER = ("quick", "frontier", "comparison", "theory", "calibration", "transformers", "zoo")
"""The presets that take minutes, the quickest first; the others follow by name."""
COLLECTIONS = ("paper",)
"""Presets of several studies."""


def preset_names() -> list[str]:
    """Names of the presets of one study, those that take minutes first."""
    names = _files() - set(COLLECTIONS)
    return [name for name in ORDER if name in names] + sorted(names - set(ORDER))


def _files() -> set[str]:
    entries = resources.files(__name__).iterdir()
    return {entry.name.removesuffix(".yaml") for entry in entries if ".yaml" in entry.name}


def preset_text(name: str) -> str:
    """The declaration of a preset as it is written; `UnknownNameError` names the nearest ones when there is none."""
    if name not in _files():
        raise UnknownNameError("preset", name, [*preset_names(), *COLLECTIONS])
    return (resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8")


def preset(name: str) -> Study:
    """The preset of that name."""
    return read_study(preset_text(name), f"preset {name}")
