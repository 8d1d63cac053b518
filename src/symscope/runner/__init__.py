"""Jobs, the store of their results, and executors. This package knows nothing of the science.

A *job* calls a *stage* function with arguments and the results of other jobs; a *plan* is a valid graph of jobs; the
*store* keeps each result under a key, a hash of everything that determines it; `run` executes the jobs whose results
are not in the store.

A stage is a function of an importable module:

    def stage(
        arguments: Mapping[str, Any],            # the job's arguments
        needs: Mapping[str, Path],               # name of each needed job -> folder of its result (read only)
        folder: Path,                            # the result's files are written here, also to subfolders
        report: Callable[[Progress], None],      # call it as often as you like
    ) -> Mapping[str, Any] | None:               # facts for the manifest, such as {"device": "cpu"}

`folder / "scratch"` exists, is kept after an interruption, and is removed when the job is done. Write checkpoints
there: under a temporary name, then renamed, since the process may die at any moment. All other contents of `folder`
are removed when an interrupted job starts again. The result may depend only on the arguments and on the contents of
the needs, not on the names of the needs, the time or the number of workers.
"""

from symscope.runner.events import Event, Outcome, Progress
from symscope.runner.jobs import Job, JobSpec, Plan
from symscope.runner.manifest import Manifest
from symscope.runner.pool import PASSIVE_WAITING, Executor, local
from symscope.runner.schedule import run
from symscope.runner.store import Check, Store, existing_store, open_store

__all__ = [
    "PASSIVE_WAITING",
    "Check",
    "Event",
    "Executor",
    "Job",
    "JobSpec",
    "Manifest",
    "Outcome",
    "Plan",
    "Progress",
    "Store",
    "existing_store",
    "local",
    "open_store",
    "run",
]
