"""`on_step`: what trainings, searches and studies pass to it, and what the trackers record."""

import math
import sys
from dataclasses import asdict

import pytest

import symscope as sc
from symscope.errors import ImportPathError, UnknownNameError
from symscope.networks import gru
from symscope.networks.constructed import CONSTRUCTED
from symscope.runner import Event, Progress
from symscope.seeds import generator
from symscope.studies.progress import show_search, show_training, steps_of_events
from symscope.tasks import multi_object
from symscope.tracking import MLflow, TensorBoard, Tracker, WeightsAndBiases, make_tracker

TASK = multi_object(quantities=range(1, 5), held_out=(3,))
ALGORITHM = sc.make_algorithm("up-down", TASK)
QUICK = sc.SearchOptions(steps=40, validate_every=20, more_restarts=0)
FEW = {"n_train": 200, "n_validation": 60, "n_test": 60}


class Recording(Tracker):
    """A tracker that keeps what it records."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, int, dict[str, float]]] = []

    def write(self, name, step, values) -> None:
        self.rows.append((name, step, dict(values)))

    def close(self) -> None:
        self.rows.append(("closed", 0, {}))


def network():
    return CONSTRUCTED["magnitude"](**TASK.roles).network


def test_a_training_passes_each_validation() -> None:
    seen = []
    options = sc.TrainingOptions(epochs=4, batch=8, validate_every=2, validate_each=2)
    net = gru(8, len(TASK.vocabulary), generator(0))
    trained = sc.train(net, TASK, 0, options, on_step=lambda *step: seen.append(step))
    assert [name for name, _ in seen] == ["training", "training"]
    for (_, values), validation in zip(seen, trained.history, strict=True):
        expected = asdict(validation)
        assert values["step"] == expected.pop("update")
        assert {key: value for key, value in values.items() if key != "step"} == expected


def test_a_search_passes_the_best_iia_of_each_alignment_and_says_which_function() -> None:
    seen = []
    functions = [sc.Orthogonal(), sc.Oblique()]
    results = sc.align(network(), ALGORITHM, ["count", "phase"], [1, 2], function=functions, options=QUICK, **FEW,
                       on_step=lambda *step: seen.append(step))  # fmt: skip
    assert {name for name, _ in seen} == {"orthogonal/alignment", "oblique/alignment"}
    assert {tuple(values) for _, values in seen} == {("step", "count.k1", "count.k2", "phase.k1", "phase.k2")}
    last = dict(seen)
    for result in results.all:
        assert last[f"{result.function}/alignment"][f"{result.variable}.k{result.k}"] == result.validation_iia


def test_variables_in_one_map_have_one_entry() -> None:
    seen = []
    data = sc.counterfactuals(ALGORITHM, ["count", "phase"], **FEW)
    sc.fit(network(), data, 1, joint=True, controls=(), options=QUICK, on_step=lambda *step: seen.append(step))
    assert list(seen[0][1]) == ["step", "count,phase.k1"]


def test_a_callback_that_raises_ends_the_training_and_the_search() -> None:
    class StopError(Exception):
        pass

    def stop(name, values) -> None:
        raise StopError

    with pytest.raises(StopError):
        sc.train(gru(8, len(TASK.vocabulary), generator(0)), TASK, 0, on_step=stop)
    with pytest.raises(StopError):
        sc.align(network(), ALGORITHM, "count", 1, options=QUICK, **FEW, on_step=stop)


def test_a_study_passes_what_its_stages_report() -> None:
    recording, events = Recording(), []
    report = lambda progress: events.append(Event("progress", "train/gru-seed0", progress=progress))  # noqa: E731
    training = {"step": 8, "epoch": 1, "loss": 2.0, "trained_accuracy": 0.5, "held_out_accuracy": math.nan}
    show_training(report, 80)("training", training)
    show_search(report, 100)("alignment", {"step": 25, "count.k4": 0.5, "phase.k4": 0.75})
    show_search(report, 100)("untrained", {"step": 25, "count.k4": 0.0})
    events.append(Event("progress", "train/gru-seed0", progress=Progress(1, 2, "states")))  # nothing to record
    events.append(Event("done", "train/gru-seed0"))
    for event in events:
        steps_of_events(recording)(event)
    assert recording.rows == [
        ("train/gru-seed0/training", 8, {"epoch": 1.0, "loss": 2.0, "trained_accuracy": 0.5}),  # no value that is NaN
        ("train/gru-seed0/alignment", 25, {"count.k4": 0.5, "phase.k4": 0.75}),
        ("train/gru-seed0/untrained", 25, {"count.k4": 0.0}),
    ]
    assert events[2].progress.text == "control untrained, a low IIA is expected"
    assert events[1].progress.fields == {"lowest IIA": 0.5, "highest IIA": 0.75}


def test_a_search_that_starts_again_is_recorded_under_another_name() -> None:
    with Recording() as recording:
        for step in (0, 25, 0, 25, 0):
            recording("alignment", {"step": step, "count.k4": 0.5})
        recording("untrained", {"step": 0, "count.k4": 0.0})
    names = ["alignment", "alignment", "alignment 2", "alignment 2", "alignment 3", "untrained", "closed"]
    assert [name for name, _, _ in recording.rows] == names


def test_a_tracker_that_is_not_installed_or_does_not_exist(monkeypatch, tmp_path) -> None:
    for module, kind, package in (
        ("torch.utils.tensorboard", TensorBoard, r"symscope\[tracking\]"),
        ("wandb", WeightsAndBiases, "wandb"),
        ("mlflow.tracking", MLflow, "mlflow"),
    ):
        monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(ImportPathError, match=f"is not installed .*pip install '{package}'"):
            kind(tmp_path / "runs")
    with pytest.raises(UnknownNameError, match="did you mean 'tensorboard'"):
        make_tracker("tensorbord", tmp_path)
    assert not (tmp_path / "runs").exists()


@pytest.mark.filterwarnings("default")  # of the trackers
def test_tensorboard_has_every_value(tmp_path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with TensorBoard(tmp_path) as tracker:
        tracker("training", {"step": 8, "loss": 2.0})
        tracker("training", {"step": 16, "loss": 1.5, "held_out_accuracy": math.nan})
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Tags()["scalars"] == ["training/loss"]
    assert [(point.step, point.value) for point in read.Scalars("training/loss")] == [(8, 2.0), (16, 1.5)]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_mlflow_has_every_value(tmp_path) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    for _ in range(2):  # a second run of the same experiment
        with MLflow(tmp_path) as tracker:
            tracker("align", {"step": 25, "count,phase.k4": 0.5})
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("symscope").experiment_id])
    assert [run.data.metrics for run in runs] == [{"align/count-phase.k4": 0.5}] * 2
    assert [run.info.status for run in runs] == ["FINISHED"] * 2


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_weights_and_biases_writes_an_offline_run(tmp_path) -> None:
    pytest.importorskip("wandb")
    with WeightsAndBiases(tmp_path) as tracker:
        tracker("training", {"step": 8, "loss": 2.0})
        tracker("training", {"step": 16, "loss": 1.5})
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    assert b"training/loss" in written.read_bytes()
