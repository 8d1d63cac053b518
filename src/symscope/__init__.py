"""symscope: does this neural network compute with this variable?

What a user subclasses, calls, saves, checks and catches is here. Names load on first use, so `import symscope` is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "symscope.algorithms": ("Algorithm", "make_algorithm"),
    "symscope.alignment": (
        "Alignment",
        "AlignmentFunction",
        "AlignmentResult",
        "BoundaryMask",
        "ComputedControl",
        "DEFAULT_CONTROLS",
        "LinearAlignment",
        "Oblique",
        "Orthogonal",
        "PrincipalComponents",
        "RandomSubspace",
        "Results",
        "Reversible",
        "SearchOptions",
        "SearchedControl",
        "ShuffledLabels",
        "SingleNeurons",
        "Untrained",
        "WholeState",
        "align",
        "compare",
        "evaluate",
        "fit",
        "save_alignments",
        "trial_accuracy",
    ),
    "symscope.checks": ("check_algorithm", "check_alignment_function", "check_network", "check_task"),
    "symscope.errors": ("SymscopeError",),
    "symscope.interchange": ("CounterfactualData", "InterventionProtocol", "Interventions", "counterfactuals"),
    "symscope.loading": ("load",),
    "symscope.networks": ("Cell", "Network", "RecurrentNetwork", "RunState", "make_network"),
    "symscope.seeds": ("generator",),
    "symscope.tasks": ("Task", "TokenBatch", "Vocabulary", "make_task"),
    "symscope.training": ("TrainingOptions", "load_network", "save_network", "train"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE_OF)  # noqa: PLE0605  (made from the table above)

if TYPE_CHECKING:
    from symscope.algorithms import Algorithm as Algorithm
    from symscope.algorithms import make_algorithm as make_algorithm


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'symscope' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
