"""Calibration: what it takes for the right answer is right, and its rows fit their table and figure."""

import pytest
import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import SearchOptions, Subspace, score
from symscope.analysis import make_table
from symscope.figures.calibration import calibration
from symscope.figures.theme import chart_spec
from symscope.interventions import draw_interventions, prepare
from symscope.networks import CONSTRUCTED
from symscope.seeds import generator
from symscope.studies.calibrate import HELD, PARTS, Budget
from symscope.tasks import multi_object

TINY = Budget(SearchOptions(learning_rate=1e-2, batch=16, steps=4, validate_every=2, starts=1), (60, 30, 40))


@pytest.mark.parametrize("network", HELD)
def test_what_is_said_to_be_held_is_held(network):
    task = multi_object()
    constructed = CONSTRUCTED[network](**task.roles, d=5)
    for name, variables in HELD[network].items():
        algorithm = make_algorithm(name, task)
        for variable in variables:
            if variable in constructed.writes:
                known = Subspace(constructed.writes[variable], constructed.reads[variable])
            else:  # the count of Up-Down is the difference of the counts of Up-Up
                demo, resp = constructed.writes["demo_count"], constructed.writes["resp_count"]
                known = Subspace((demo - resp) / 2, (demo - resp).T)
            drawn = draw_interventions(algorithm, [variable], 400, generator(0, name, variable))
            assert score(constructed.network, known, prepare(constructed.network, drawn, "h")).iia == 1


def test_rows_fit_their_table_and_the_figure_shows_all_parts():
    rows = [
        *PARTS["known"](TINY, 0, network="magnitude", hide="invertible", d=4, k=1, function="oblique"),
        *PARTS["null"](TINY, 0, d=4, function="orthogonal"),
        *PARTS["curve"](TINY, 0, d=4, k=1, function="orthogonal", latent_weight=1.0, view="spanned"),
    ]
    table = make_table("calibration", rows)
    assert table.height == 5 + 2 + 1
    assert table.filter("held")["variable"].to_list() == ["count", "phase", "phase", "count"]
    assert table["untrained_iia"].null_count() == 3
    assert table.select("neurons_iia", "shuffled_values_iia", "outside", "cause_iia").null_count().row(0) == (
        0,
        0,
        0,
        0,
    )
    spec = chart_spec(calibration(table))
    assert len(spec["vconcat"]) == 3
    assert "held: 3 questions" in spec["description"]
    assert torch.get_num_threads() >= 1
