"""Theory: searches after a change of basis, and the reach of transformers."""

import polars as pl
import pytest
import torch

from symscope.algorithms import make_algorithm
from symscope.alignment import follows_swap, subspace
from symscope.analysis import validate
from symscope.errors import ConfigurationError
from symscope.interchange import cache_states, draw_interventions
from symscope.seeds import generator
from symscope.studies import plan_study, preset, read_study
from symscope.studies.subject import part_file
from symscope.studies.theory import change_of_basis_stage, network_in_new_basis, reach_stage
from symscope.tasks import multi_object

SEARCH = {"learning_rate": 1e-2, "steps": 300, "validate_every": 50, "restarts": 6, "init": "random"}
COUNTS = {"train": 1000, "validation": 200, "test": 200}


@pytest.mark.parametrize("d", [2, 16])
def test_a_network_in_a_new_basis_has_its_variables_in_the_transformed_subspaces(d):
    task = multi_object()
    hidden, algorithm = network_in_new_basis(task, d, 0), make_algorithm("up-down", task)
    for variable in ("count", "phase"):
        known = subspace(hidden.writes[variable], hidden.reads[variable])
        drawn = draw_interventions(algorithm, [variable], 200, generator(1))
        cached = cache_states(hidden.network, drawn, hidden.site)
        assert follows_swap(hidden.network, {variable: known}, cached).all()
    write, read = hidden.writes["count"], hidden.reads["count"]
    orthogonal = write @ write.T / (write.T @ write)
    assert not torch.allclose(write @ read, orthogonal, atol=0.05)  # so no orthogonal projector is the swap


@pytest.mark.slow
def test_spare_dimensions_let_an_orthogonal_map_pass_and_its_effect_is_dormant(tmp_path):
    rows = {}
    for d in (2, 16):
        arguments = {"d": d, "seed": 1, "search": SEARCH, "interventions": COUNTS}
        change_of_basis_stage(arguments, {}, tmp_path, lambda _: None)
        table = validate("theory", pl.read_parquet(tmp_path / part_file("theory")))
        assert table.height == 4 * 2
        of_count = table.filter(pl.col("variable") == "count").iter_rows(named=True)
        rows |= {(row["spare"], row["function"], row["coordinates"]): row for row in of_count}
    assert rows[0, "orthogonal", "state"]["iia"] < 0.8
    assert max(row["iia"] for (spare, name, _), row in rows.items() if spare == 0 and name != "orthogonal") > 0.95
    assert rows[14, "orthogonal", "state"]["iia"] > 0.95
    assert rows[14, "orthogonal", "state"]["dormant_share"] > 0.5
    assert rows[14, "oblique", "natural-span"]["off_span_share"] < 1e-3


def test_reach_stores_every_pair_of_activations(tmp_path):
    reach_stage({"layers": 2, "seed": 0}, {}, tmp_path, lambda _: None)
    table = validate("reach", pl.read_parquet(tmp_path / part_file("reach")))
    assert table.height == (3 * 7) ** 2
    assert table.filter(pl.col("reaches") != (pl.col("change") > 0)).is_empty()
    assert table["updates"].max() == 2


def test_a_study_may_have_theory_alone_but_not_nothing():
    names = [job.name for job in plan_study(preset("theory"))]
    assert len(names) == 10 * 3 + 4
    with pytest.raises(ConfigurationError, match="nothing to do"):
        read_study("name: x\ntitle: What?\nseeds: [0]\n", "x")
