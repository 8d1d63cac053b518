"""Calibration: the table of known variables is correct, and a calibration is a study with a report."""

import polars as pl
import pytest

from symscope.algorithms import make_algorithm
from symscope.alignment import follows_swap, subspace
from symscope.errors import ConfigurationError
from symscope.figures._calibration import calibration
from symscope.figures.theme import chart_spec
from symscope.interchange import cache_states, draw_interventions
from symscope.report import write_report
from symscope.runner import local, open_store, run
from symscope.seeds import generator
from symscope.studies import check_study, collect, plan_study, preset
from symscope.studies.calibrate import HELD, constructed_network
from symscope.tasks import multi_object


@pytest.mark.parametrize("network", HELD)
def test_networks_have_the_variables_that_the_table_lists(network):
    task = multi_object()
    constructed = constructed_network(network, task, 10 if network == "averaging" else 5, generator(0, network))
    for name, variables in HELD[network].items():
        algorithm = make_algorithm(name, task)
        for variable in variables:
            if variable in constructed.writes:
                known = subspace(constructed.writes[variable], constructed.reads[variable])
            else:  # the count of Up-Down is the difference of the counts of Up-Up
                demo, resp = constructed.writes["demo_count"], constructed.writes["resp_count"]
                known = subspace((demo - resp) / 2, (demo - resp).T)
            drawn = draw_interventions(algorithm, [variable], 400, generator(0, name, variable))
            cached = cache_states(constructed.network, drawn, "h")
            assert follows_swap(constructed.network, {variable: known}, cached).all()


TINY = {
    "name": "tiny",
    "title": "Where the answer is known",
    "seeds": [0],
    "calibration": {
        "networks": ["magnitude"], "changes_of_basis": ["invertible"], "functions": ["oblique"], "d": 4, "k": [1],
        "null_sizes": [4], "curve_d": 4, "curve_k": [1], "curve_functions": ["orthogonal"], "latent_weights": [1.0],
    },
    "search": {"learning_rate": 1e-2, "batch": 16, "steps": 4, "validate_every": 2, "restarts": 1},
    "interventions": {"train": 60, "validation": 30, "test": 40},
}  # fmt: skip


def test_a_calibration_is_a_study_that_continues_and_reports(tmp_path):
    study = check_study(TINY, "a test")
    plan, store = plan_study(study), open_store(tmp_path, study="tiny")
    assert [job.name.split("/")[1] for job in plan] == ["curve", "curve", "known", "null"]
    assert run(plan, store, local(0)).done == tuple(job.name for job in plan)
    outcome = run(plan, store, local(0))
    assert not outcome.done

    inputs = collect(study, plan, store, outcome, "symscope study run tiny.yaml")
    table = inputs.tables["calibration"]
    assert table.height == 5 + 2 + 1 + 1
    assert table.filter("held")["variable"].to_list() == ["count", "count", "count", "phase", "phase"]
    assert table["untrained_iia"].null_count() == 4
    shown = table.select("neurons_iia", "shuffled_labels_iia", "off_span_share", "cause_iia").null_count()
    assert shown.row(0) == (0, 0, 0, 0)
    assert set(table.filter(pl.col("part") == "curve")["coordinates"]) == {"state", "natural-span"}
    spec = chart_spec(calibration(table))
    assert len(spec["vconcat"]) == 3
    assert "held: 3 questions" in spec["description"]
    page = write_report(inputs, tmp_path).page.read_text("utf-8")
    assert "false positive" in page
    assert "Highest IIA of untrained networks, which hold no variable" in page
    assert "Which networks learned" not in page


def test_the_preset_is_the_whole_grid():
    questions = list(preset("calibration").calibration.questions())
    assert [sum(question.part == part for question in questions) for part in ("known", "null", "curve")] == [52, 12, 20]


def test_faults_of_a_calibration_are_reported():
    wrong = {**TINY, "calibration": {"functions": ["orthogonl"], "k": [9], "curve_k": [17], "networks": ["gru"]}}
    with pytest.raises(ConfigurationError) as error:
        check_study(wrong, "a test")
    assert "calibration.networks[0]: input should be 'magnitude', 'two-counts', 'angle', 'power' or 'averaging'" in str(
        error.value
    )
    with pytest.raises(ConfigurationError) as error:
        check_study({**wrong, "calibration": {**wrong["calibration"], "networks": ["magnitude"]}}, "a test")
    for message in (
        "unknown alignment function 'orthogonl': did you mean 'orthogonal'",
        "calibration.k: a variable takes 1 to d = 8 dimensions",
        "calibration.curve_k: a variable takes 1 to d = 16 dimensions",
    ):
        assert message in str(error.value)
    narrow = {**TINY["calibration"], "networks": ["power", "averaging"]}
    with pytest.raises(ConfigurationError, match="the networks power, averaging need d of at least 5, got 4"):
        check_study({**TINY, "calibration": narrow}, "a test")
    with pytest.raises(ConfigurationError, match="nothing to do: name at least one task and one network, or add"):
        check_study({"name": "empty", "title": "?", "seeds": [0]}, "a test")
