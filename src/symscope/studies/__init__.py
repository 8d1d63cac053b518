"""Studies: what to run, declared; the jobs that it takes; and what comes out."""

from symscope.studies.check import check_study, read_study
from symscope.studies.declaration import Study
from symscope.studies.plan import declared_text, plan_study
from symscope.studies.presets import preset, preset_names, preset_text
from symscope.studies.results import collect, query

__all__ = [
    "Study",
    "check_study",
    "collect",
    "declared_text",
    "plan_study",
    "preset",
    "preset_names",
    "preset_text",
    "query",
    "read_study",
]
