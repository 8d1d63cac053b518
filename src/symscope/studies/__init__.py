"""Studies: what to run, declared; the jobs that it takes; and what comes out."""

from symscope.studies.declaration import Study, check_study, read_study
from symscope.studies.plan import declaration_key, plan_study
from symscope.studies.presets import preset, preset_names, preset_text
from symscope.studies.results import collect

__all__ = [
    "Study",
    "check_study",
    "collect",
    "declaration_key",
    "plan_study",
    "preset",
    "preset_names",
    "preset_text",
    "read_study",
]
