"""Tracking of trainings, searches and studies: a callback for their figures, and adapters for experiment trackers.

`train`, `fit`, `align` and studies call `on_step(name, values)` after each validation. A tracker is such a callback
that records the figures. This is the only file that imports TensorBoard, Weights & Biases and MLflow, and it does so
only when a tracker is made.
"""

import importlib
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, final

from symscope.arguments import FilePath
from symscope.errors import ImportPathError, UnknownNameError

Values = Mapping[str, float | int]
OnStep = Callable[[str, Values], None]
"""Callback `on_step(name, values)`.

The name says what runs: `training`, `alignment`, the name of a control, or `job/name` in a study. The values are
numbers by name; `step` is the number of updates or steps so far.
"""
STEP = "step"


class Tracker(ABC):
    """An experiment tracker: records the values of `on_step`, and is closed at the end of a `with` block.

    Where a search of the same name starts again, its figures are recorded under `name 2`, `name 3` and so on.
    """

    def __init__(self) -> None:
        self._last_steps: dict[str, int] = {}
        self._starts: dict[str, int] = {}

    def __call__(self, name: str, values: Values) -> None:
        """Records the finite values of one step."""
        step = int(values[STEP])
        starts = self._starts.setdefault(name, 1) + (step <= self._last_steps.get(name, -1))
        self._starts[name], self._last_steps[name] = starts, step
        finite = {key: float(value) for key, value in values.items() if key != STEP and math.isfinite(value)}
        self.write(name if starts == 1 else f"{name} {starts}", step, finite)

    @abstractmethod
    def write(self, name: str, step: int, values: Values) -> None:
        """Records finite values of one step."""

    @abstractmethod
    def close(self) -> None:
        """Writes what is left, and closes the record."""

    def __enter__(self) -> "Tracker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@final
class TensorBoard(Tracker):
    """Records for TensorBoard: event files in a folder, which `tensorboard --logdir FOLDER` shows.

    Args:
        folder: the folder; it is created if necessary.

    Raises:
        ImportPathError: TensorBoard is not installed.
    """

    def __init__(self, folder: FilePath) -> None:
        super().__init__()
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  (an optional dependency)
        except ImportError as error:
            raise _missing("TensorBoard", "symscope[tracking]", error) from error
        self._writer: Any = SummaryWriter(str(folder))

    def write(self, name: str, step: int, values: Values) -> None:
        for key, value in values.items():
            self._writer.add_scalar(f"{name}/{key}", value, step)

    def close(self) -> None:
        self._writer.close()


@final
class WeightsAndBiases(Tracker):
    """Records for Weights & Biases, offline: `wandb sync FOLDER/wandb/offline-run-*` uploads them.

    Args:
        folder: the folder of the record; it is created if necessary.
        project: name of the project.
        run: name of the run; default: one that Weights & Biases makes.

    Raises:
        ImportPathError: Weights & Biases is not installed.
    """

    def __init__(self, folder: FilePath, project: str = "symscope", run: str | None = None) -> None:
        super().__init__()
        try:
            wandb = importlib.import_module("wandb")
        except ImportError as error:
            raise _missing("Weights & Biases", "wandb", error) from error
        Path(folder).mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(silent=True, console="off")
        self._run: Any = wandb.init(project=project, name=run, dir=str(folder), mode="offline", settings=settings)
        self._defined: set[str] = set()

    def write(self, name: str, step: int, values: Values) -> None:
        own_step = f"{name}/{STEP}"
        for key in values:
            if f"{name}/{key}" not in self._defined:
                self._defined.add(f"{name}/{key}")
                self._run.define_metric(f"{name}/{key}", step_metric=own_step)
        self._run.log({own_step: step, **{f"{name}/{key}": value for key, value in values.items()}})

    def close(self) -> None:
        self._run.finish()


@final
class MLflow(Tracker):
    """Records for MLflow: a local database in a folder, which `mlflow ui --backend-store-uri sqlite:///FILE` shows.

    Characters that MLflow does not allow in names become `-`.

    Args:
        folder: the folder of `mlflow.db`; it is created if necessary.
        experiment: name of the experiment.
        run: name of the run; default: one that MLflow makes.

    Raises:
        ImportPathError: MLflow is not installed.
    """

    def __init__(self, folder: FilePath, experiment: str = "symscope", run: str | None = None) -> None:
        super().__init__()
        try:
            client = importlib.import_module("mlflow.tracking").MlflowClient
        except ImportError as error:
            raise _missing("MLflow", "mlflow", error) from error
        root = Path(folder).resolve()
        root.mkdir(parents=True, exist_ok=True)
        self._client: Any = client(tracking_uri=f"sqlite:///{root / 'mlflow.db'}")
        known = self._client.get_experiment_by_name(experiment)
        number = (
            known.experiment_id
            if known is not None
            else self._client.create_experiment(experiment, artifact_location=(root / "artifacts").as_uri())
        )
        self._run_id: str = self._client.create_run(number, run_name=run).info.run_id

    def write(self, name: str, step: int, values: Values) -> None:
        for key, value in values.items():
            self._client.log_metric(self._run_id, re.sub(r"[^\w./ -]", "-", f"{name}/{key}"), value, step=step)

    def close(self) -> None:
        self._client.set_terminated(self._run_id)


TRACKERS: Mapping[str, Callable[[FilePath], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WeightsAndBiases,
    "mlflow": MLflow,
}
"""The trackers by their name on the command line."""


def make_tracker(name: str, folder: FilePath) -> Tracker:
    """A tracker of `TRACKERS` that records in a folder; `UnknownNameError` if there is none of this name."""
    if name not in TRACKERS:
        raise UnknownNameError("tracker", name, TRACKERS)
    return TRACKERS[name](folder)


def call_each(*callbacks: OnStep | None) -> OnStep | None:
    """A callback that calls several callbacks in order; `None` if all of them are `None`."""
    present = [callback for callback in callbacks if callback is not None]
    if not present:
        return None

    def on_step(name: str, values: Values) -> None:
        for callback in present:
            callback(name, values)

    return on_step


def with_prefix(callback: OnStep | None, prefix: str) -> OnStep | None:
    """A callback that gets every name with a prefix."""
    if callback is None or not prefix:
        return callback

    def on_step(name: str, values: Values) -> None:
        callback(f"{prefix}{name}", values)

    return on_step


def _missing(product: str, package: str, error: ImportError) -> ImportPathError:
    return ImportPathError(f"{product} is not installed ({error}): pip install '{package}'")
