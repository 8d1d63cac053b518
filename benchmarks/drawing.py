"""Drawing interventions: the algorithm runs on base and source and continues after the swap. Target: under 1 second."""

from collections.abc import Iterator

from benchmarks.rows import Row, Setting, in_turns, threads
from symscope.algorithms import make_algorithm
from symscope.interchange import draw_interventions
from symscope.seeds import generator
from symscope.tasks import make_task

MANY = 12_000
TASKS = ("multi-object", "multi-object-void", "same-object")


def rows(setting: Setting) -> Iterator[Row]:
    """Seconds to draw 12,000 interventions on the count of Up-Down; drawing always runs on the CPU."""
    for count in setting.threads:
        algorithms = {name: make_algorithm("up-down", make_task(name)) for name in TASKS}
        calls = {
            name: lambda algorithm=algorithm: draw_interventions(algorithm, ["count"], MANY, generator(0))
            for name, algorithm in algorithms.items()
        }
        with threads(count):
            took = in_turns(calls, 9, setting)
        for name, seconds in took.items():
            yield Row.of(f"{MANY:,} interventions on the count, {name}, threads: {count}", seconds, "s", "target: 1 s")
