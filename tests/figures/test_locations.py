"""The heat map of whole-state swaps."""

import polars as pl
import pytest
from tests.analysis.synthetic import locations as table

from symscope.errors import InvalidArgumentError
from symscope.figures import draw_figures, locations
from symscope.figures.theme import chart_spec


def test_sites_and_positions_are_in_their_order_with_marks():
    spec = chart_spec(locations(table()))
    heat, outline, cross, frame = spec["spec"]["layer"] if "spec" in spec else spec["layer"]
    assert heat["encoding"]["y"]["sort"] == ["c", "b", "a"]  # the last layer on top
    assert heat["encoding"]["x"]["sort"] == ["-2", "-1"]
    assert outline["mark"]["text"] == cross["mark"]["text"] == "×"
    assert frame["mark"]["filled"] is False
    assert "country: best b at -1, 0.900" in spec["description"]
    assert "2 of 3 cells are trivial" in spec["description"]


def test_the_figure_belongs_to_the_table():
    assert "locations" in draw_figures({"locations": table()})
    python = table().drop("task", "network", "d", "seed")  # `Locations.table()` has no columns of a study
    assert "best b at -1" in chart_spec(locations(python))["description"]
    with pytest.raises(InvalidArgumentError, match="0 to 1"):
        table(iia=1.5)
    assert isinstance(python, pl.DataFrame)
