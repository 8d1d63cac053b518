"""Jobs, the store of their results, and executors. Knows nothing of the science.

A *job* calls a *stage* function with arguments and the results of other jobs; a *plan* is a checked graph of jobs; the
*store* keeps each result under a key made of everything that determines it; `run` does what is not there yet.

A stage is a function of an importable module:

    def stage(
        arguments: Mapping[str, Any],            # the job's arguments
        needs: Mapping[str, Path],               # name of each needed job -> folder of its result (read only)
        folder: Path,                            # write the result's files here, in subfolders too if you like
        report: Callable[[Progress], None],      # call it as often as you like
    ) -> Mapping[str, Any] | None:               # facts to keep in the manifest, such as {"device": "cpu"}

`folder / "scratch"` exists, outlives an interruption, and is dropped when the job is done: that is the place for
checkpoints to go on from (write them under another name and rename, since the process may die at any moment).
Everything else in `folder` is cleared when an interrupted job starts again. A stage must let nothing but its arguments
and the contents of its needs into its result: not the names of the needs, not the time, not the number of workers.

Jobs of a *group* are done in one call, `stage(members, needs, report) -> [facts, ...]`: each `Member` has arguments and
a folder, and an exception among the facts is the failure of that member alone.
"""

from symscope.runner.events import Event, Outcome, Progress
from symscope.runner.execute import Member
from symscope.runner.jobs import Job, Plan
from symscope.runner.manifest import Manifest
from symscope.runner.places import existing_store, open_store
from symscope.runner.pool import Executor, local
from symscope.runner.schedule import run
from symscope.runner.store import Check, Store

__all__ = [
    "Check",
    "Event",
    "Executor",
    "Job",
    "Manifest",
    "Member",
    "Outcome",
    "Plan",
    "Progress",
    "Store",
    "existing_store",
    "local",
    "open_store",
    "run",
]
