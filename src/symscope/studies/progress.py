"""Progress of the stages of a study: what the screen shows, and what `on_step` of the study gets."""

from collections.abc import Callable

from symscope.alignment import MAIN
from symscope.runner import Event, Progress
from symscope.tracking import STEP, OnStep, Values

Report = Callable[[Progress], None]
TRAINING_FIGURES = {"loss": "loss", "trained": "trained_accuracy", "held out": "held_out_accuracy"}


def show_training(report: Report, updates: int) -> OnStep:
    """The callback of a training that reports its progress."""

    def on_step(name: str, values: Values) -> None:
        figures = {label: values[key] for label, key in TRAINING_FIGURES.items()}
        report(Progress(values[STEP], updates, name, figures, values, name))

    return on_step


def show_search(report: Report, steps: int) -> OnStep:
    """The callback of a search that reports its progress: the range of validation IIAs, or the highest of a control."""

    def on_step(name: str, values: Values) -> None:
        best = [value for key, value in values.items() if key != STEP]
        if name != MAIN:
            text, figures = f"control {name}, a low IIA is expected", {"control IIA": max(best)}
        elif len(best) == 1:
            text, figures = "search", {"IIA": best[0]}
        else:
            text, figures = "search", {"lowest IIA": min(best), "highest IIA": max(best)}
        report(Progress(values[STEP], steps, text, figures, values, name))

    return on_step


def steps_of_events(on_step: OnStep) -> Callable[[Event], None]:
    """A callback for the events of a run that calls `on_step` with `job/name`, such as `train/gru-seed0/training`."""

    def on_event(event: Event) -> None:
        if event.progress is not None and event.progress.values:
            on_step(f"{event.job}/{event.progress.name}", event.progress.values)

    return on_event
