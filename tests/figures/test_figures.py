import json
from xml.etree import ElementTree as ET

import polars as pl
import pytest
import vl_convert

from symscope.errors import StoreError
from symscope.figures import draw_figures, iia_bars, save_figure
from symscope.figures.iia_bars import SERIES_COLOURS
from symscope.figures.panels import panel_width, with_panels
from symscope.figures.theme import NARROW, SCHEMES, WIDTH, chart_spec

NAMES = ["behaviour", "iia_bars", "gradience", "aligned_states-count", "aligned_states-phase", "training"]


@pytest.fixture(scope="module")
def several(synthetic):
    """Tables of several networks, sizes, and subspaces."""
    parts = [
        synthetic.scores(ks=(1, 8, 24)),
        synthetic.scores(network="lstm", seeds=(0, 1, 2)),
        synthetic.scores(task="same-object", d=20, ks=(10,)),
    ]
    return {**synthetic.tables(), "scores": pl.concat(parts)}


@pytest.fixture(scope="module")
def drawn(several):
    return draw_figures(several)


def walk(node):
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from walk(value)


@pytest.mark.parametrize("width", [WIDTH, NARROW])
def test_every_table_has_its_figure_and_every_figure_is_drawn(synthetic, several, width):
    assert list(draw_figures(synthetic.tables(), width=width)) == NAMES
    charts = draw_figures(several, width=width)
    assert "iia_by_k" in charts
    for name, chart in charts.items():
        spec = chart_spec(chart)
        svg = vl_convert.vegalite_to_svg(json.dumps(spec))
        px = float(ET.fromstring(svg).get("width"))
        assert px <= width + 60, f"{name} is {px} px wide"
        assert svg.count("<path") > 10
        assert "NaN" not in svg


@pytest.mark.parametrize("name", [*NAMES, "iia_by_k"])
def test_a_figure_has_title_alt_text_tooltips_and_axis_titles(drawn, name):
    spec = chart_spec(drawn[name])
    assert spec["title"]["text"]
    assert len(spec["description"]) > 40
    encodings = [node["encoding"] for node in walk(spec) if "encoding" in node]
    assert any("tooltip" in encoding for encoding in encodings)
    titled = [encoding[axis].get("title") for encoding in encodings for axis in "xy" if axis in encoding]
    assert any(titled)


def test_light_and_dark_differ_in_ink_only(synthetic):
    chart = iia_bars(synthetic.scores())
    light, dark = chart_spec(chart, "light"), chart_spec(chart, "dark")
    assert light.pop("config") != dark.pop("config")
    assert light == dark


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_marks_and_text_stand_out_on_both_backgrounds(scheme):
    def contrast(colour):
        low, high = sorted((luminance(colour), luminance(SCHEMES[scheme].background)))
        return (high + 0.05) / (low + 0.05)

    assert all(contrast(colour) >= 2.9 for colour in SERIES_COLOURS.values())
    assert contrast(SCHEMES[scheme].muted) >= 4.5


def test_a_pair_of_counts_without_interventions_is_an_empty_cell(synthetic):
    table = synthetic.gradience(variables=("Count",))
    spec = chart_spec(draw_figures({"gradience": table})["gradience"])
    (cells,) = spec["datasets"].values()
    empty = [cell for cell in cells if cell["iia"] is None]
    assert len(cells) == 21 * 21
    assert empty
    assert all(cell["n"] is None for cell in empty)


def test_one_dimension_is_drawn_over_the_position(synthetic):
    one = synthetic.aligned_states(variables=("Count",)).with_columns(k=1, c2=pl.lit(None, dtype=pl.Float64))
    spec = chart_spec(draw_figures({"aligned_states": one})["aligned_states-count"])
    assert "position in the sequence" in json.dumps(spec)


def test_only_the_chosen_alignment_is_in_the_bars(synthetic):
    rows = synthetic.scores(ks=(1, 8, 24))
    drawn = [
        row for data in chart_spec(draw_figures({"scores": rows})["iia_bars"])["datasets"].values() for row in data
    ]
    assert len({row["name"] for row in drawn if row["name"].startswith("Count")}) == 1
    assert {row["panel"] for row in drawn} == {""}
    assert drawn[0]["name"].startswith("Count")


def test_variables_with_subspaces_of_their_own_size_stand_beside_one_whole_state(synthetic):
    scores = synthetic.scores(ks=(4, 24)).filter(
        (pl.col("variable") == "all") | ((pl.col("variable") == "Phase") == (pl.col("k") == 4))
    )
    rows = [row for data in chart_spec(iia_bars(scores))["datasets"].values() for row in data]
    assert {row["name"].replace("\u00a0", " ") for row in rows} == {"Count, k = 24", "Phase, k = 4", "Whole state"}
    assert {row["panel"] for row in rows} == {""}
    assert len(rows) == len(scores) + len(scores) // 2


def test_tables_that_are_missing_or_empty_give_no_figure(synthetic):
    tables = {name: table.clear() for name, table in synthetic.tables().items()}
    assert draw_figures(tables) == {}
    assert draw_figures({}) == {}


def test_panels_tell_apart_what_varies_and_say_what_does_not(several):
    frame, constant = with_panels(several["scores"], ("task", "network", "algorithm", "site"))
    assert set(frame["panel"]) == {"multi-object, gru", "multi-object, lstm", "same-object, gru"}
    assert constant == "up-down"
    assert panel_width(720, 2, least=270)[0] == 2
    assert panel_width(340, 2, least=270)[0] == 1


def test_a_figure_is_saved_as_svg_and_png(synthetic, tmp_path):
    svg, png = save_figure(iia_bars(synthetic.scores()), tmp_path / "figures", "iia_bars")
    assert ET.parse(svg).getroot().tag.endswith("svg")
    assert png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert sorted(p.name for p in svg.parent.iterdir()) == ["iia_bars.png", "iia_bars.svg"]
    with pytest.raises(StoreError):
        save_figure(iia_bars(synthetic.scores()), svg, "inside-a-file")
