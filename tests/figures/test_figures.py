import json
from itertools import pairwise
from xml.etree import ElementTree as ET

import altair as alt
import polars as pl
import pytest
import vl_convert

from symscope.analysis.schemas import CONTROLS
from symscope.errors import StoreError
from symscope.figures import aligned_states, draw_figures, iia_bars, save_figure, training, trial_accuracy, whole_state
from symscope.figures.panels import in_panels, panel_width, with_panels, with_task_panels
from symscope.figures.series import SERIES_COLOURS
from symscope.figures.theme import NARROW, SCHEMES, WIDTH, chart_spec, count_axis, number_axis

NAMES = [
    "iia_bars",
    "length_errors",
    "gradience",
    "gradience_by_value",
    "iia_by_value",
    "development",
    "trial_accuracy",
    "training",
    "frontier",
    "whole_state",
    "locations",
    "calibration",
    "comparison",
    "aligned_states-count",
    "aligned_states-phase",
    "state_space",
    "attention",
    "dimensions",
    "strength",
    "theory",
    "reach",
    "claim-recurrent-prefer-up-down",
]


SEVERAL = ["iia_by_k", "iia_by_function", "iia_by_size"]
"""Figures of several subspaces, functions and sizes."""


@pytest.fixture(scope="module")
def several(synthetic):
    """Tables of several networks, sizes, and subspaces."""
    parts = [
        synthetic.scores(ks=(1, 8, 24)),
        synthetic.scores(network="lstm", seeds=(0, 1, 2)),
        synthetic.scores(task="same-object", d=20, ks=(10,)),
        synthetic.scores(d=96, ks=(48,)),
    ]
    linear = parts[0].filter(pl.col("function") == "orthogonal").with_columns(function=pl.lit("linear"))
    parts.append(linear)
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


def axis_labels(svg):
    """The labels of each axis that are drawn."""
    for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g"):
        if "role-axis-label" in group.get("class", ""):
            labels = ("".join(text.itertext()) for text in group.iter("{http://www.w3.org/2000/svg}text"))
            yield [label for label in labels if label]


@pytest.mark.parametrize("width", [WIDTH, NARROW])
def test_every_table_has_its_figure_and_every_figure_is_drawn(synthetic, several, width):
    assert list(draw_figures(synthetic.tables(), width=width)) == NAMES
    charts = draw_figures(several, width=width)
    assert {*SEVERAL} <= set(charts)
    for name, chart in charts.items():
        spec = chart_spec(chart)
        svg = vl_convert.vegalite_to_svg(json.dumps(spec))
        px = float(ET.fromstring(svg).get("width"))
        assert px <= width + 60, f"{name} is {px} px wide"
        assert svg.count("<path") > 10
        assert "NaN" not in svg
        assert not [labels for labels in axis_labels(svg) if len(labels) > len(set(labels))], name


@pytest.mark.parametrize("spread", [0.3, 0.03, 0.0003])
def test_labels_of_an_axis_are_exact(spread):
    rows = [{"value": step * spread, "count": step, "y": 0} for step in range(4)]
    axes = {"value": number_axis(), "share": number_axis("%"), "count": count_axis()}
    for name, axis in axes.items():
        x = alt.X(f"{'value' if name == 'share' else name}:Q", axis=axis, scale=alt.Scale(nice=True))
        chart = alt.Chart(pl.DataFrame(rows)).mark_point().encode(x=x)
        (labels,) = axis_labels(vl_convert.vegalite_to_svg(chart.to_json()))
        numbers = [float(label.removesuffix("%")) for label in labels]
        steps = [after - before for before, after in pairwise(numbers)]
        assert steps == pytest.approx([steps[0]] * len(steps)), (name, labels)
        largest = 3 * {"value": spread, "share": 100 * spread, "count": 1}[name]
        assert largest - steps[0] <= numbers[-1] <= largest + steps[0]


@pytest.mark.parametrize("name", [*NAMES, *SEVERAL])
def test_a_figure_has_title_alt_text_tooltips_and_axis_titles(drawn, name):
    spec = chart_spec(drawn[name])
    assert spec["title"]["text"]
    assert len(spec["description"]) > 40
    encodings = [node["encoding"] for node in walk(spec) if "encoding" in node]
    assert any("tooltip" in encoding for encoding in encodings)
    titled = [encoding[axis].get("title") for encoding in encodings for axis in "xy" if axis in encoding]
    assert any(titled)


@pytest.fixture(scope="module")
def many(several, synthetic):
    """Every figure, also those of many networks, in both widths."""
    charts = []
    for tables in (several, synthetic.zoo()):
        for width in (WIDTH, NARROW):
            charts += draw_figures(tables, width=width).items()
    return charts


def test_view_names_are_unique_in_every_figure(many):
    # Vega-Lite draws the data of one view in all views of the same name.
    for name, chart in many:
        views = [node["name"] for node in walk(chart_spec(chart)) if {"mark", "layer", "vconcat", "hconcat"} & set(node)
                 and "name" in node]  # fmt: skip
        assert len(views) == len(set(views)), name


@pytest.mark.parametrize("name", ["aligned_states-count", "state_space"])
def test_every_network_has_its_own_trajectories(name, synthetic):
    tables = synthetic.tables()
    tables["state_space"] = pl.concat([tables["state_space"], tables["state_space"].with_columns(
        pl.col("c1", "c2") * 2, network=pl.lit("lstm"))])  # fmt: skip
    svg = vl_convert.vegalite_to_svg(json.dumps(chart_spec(draw_figures(tables)[name])))
    trails = [
        tuple(path.get("d") for path in group.iter("{http://www.w3.org/2000/svg}path"))
        for group in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}g")
        if "mark-trail" in group.get("class", "") and len(list(group)) > 0
    ]
    trails = [paths for paths in trails if any(len(path or "") > 100 for path in paths)]
    rows = [trails[i : i + len(trails) // 2] for i in (0, len(trails) // 2)]
    assert rows[0]
    assert not {path for row in rows[0] for path in row} & {path for row in rows[1] for path in row}


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


def test_cells_of_few_interventions_fade(synthetic):
    spec = chart_spec(draw_figures({"gradience": synthetic.gradience()})["gradience"])
    (opacity,) = (node["opacity"] for node in walk(spec) if isinstance(node.get("opacity"), dict))
    assert (opacity["field"], opacity["scale"]["domain"]) == ("n", [0, 20])
    assert "fewer than 20 interventions fade" in " ".join(spec["title"]["subtitle"])


def test_an_axis_of_values_fits_the_values_of_each_variable(synthetic):
    values = synthetic.values().filter((pl.col("variable") == "Count") | (pl.col("value") < 2))
    chart = draw_figures({"values": values})["iia_by_value"]
    scene = vl_convert.vegalite_to_svg(json.dumps(chart_spec(chart)))
    assert chart_spec(chart)["resolve"]["scale"]["x"] == "independent"
    labels = [text.text for text in ET.fromstring(scene).iter("{http://www.w3.org/2000/svg}text")]
    assert labels.count("20") == 1
    assert labels.count("1") == 2, "of the shares and of the variable with two values"
    assert "0.0" not in labels


def test_intervals_and_seeds_are_on_the_centre_of_their_bar(synthetic):
    spec = chart_spec(iia_bars(synthetic.scores()))
    marks = [node["mark"] for node in walk(spec) if isinstance(node.get("mark"), dict)]
    assert {mark["type"] for mark in marks} >= {"bar", "rule", "circle"}
    assert not any("yOffset" in mark for mark in marks)


def test_numbers_and_labels_of_bars_are_within_the_view(synthetic):
    scores = synthetic.scores(seeds=(0,))
    longest = scores.filter(control="untrained").with_columns(control=pl.lit("a control with a name that is too long"))
    spec = chart_spec(iia_bars(pl.concat([scores, longest]), width=NARROW))
    for block in spec["vconcat"]:
        for layer in block["layer"]:
            if layer["mark"]["type"] == "text":
                assert layer["encoding"]["x"]["value"] <= block["width"]
        assert block["width"] + block["layer"][0]["encoding"]["y"]["axis"]["labelLimit"] <= NARROW


def test_states_have_the_labels_of_the_algorithm(synthetic):
    states = synthetic.aligned_states(seeds=(0,), variables=("Count",))
    labels = pl.when(pl.col("step") == 0).then(pl.lit("listen")).when(pl.col("phase") == "resp").then(pl.lit("answer"))
    three = states.with_columns(phase=labels.otherwise(pl.lit("count")))
    spec = chart_spec(aligned_states(three))
    domains = [node["domain"] for node in walk(spec) if "listen" in (node.get("domain") or ())]
    assert domains[0] == ["listen", "count", "answer"]  # in the order in which sequences reach them
    no_count = chart_spec(aligned_states(three.with_columns(count=pl.lit(None, dtype=pl.Int64))))
    assert "coloured by phase" in no_count["description"]
    neither = three.with_columns(count=pl.lit(None, dtype=pl.Int64), phase=pl.lit(None, dtype=pl.String))
    assert "coloured by quantity" in chart_spec(aligned_states(neither))["description"]
    for table in (three, neither):
        assert "NaN" not in vl_convert.vegalite_to_svg(json.dumps(chart_spec(aligned_states(table))))


def test_captions_name_the_length_of_the_searches(synthetic):
    charts = draw_figures(synthetic.tables())
    bars, development = (
        " ".join(chart_spec(charts[name])["title"]["subtitle"]) for name in ("iia_bars", "development")
    )
    assert "Each search: 2 restarts, 1,200 to 1,300 steps in all." in bars
    assert "Each search: 1 restart, 200 steps in all." in development
    assert "shorter than those of the answer (up to 1,300 steps)" in development


def test_controls_have_one_order(synthetic):
    alignment = synthetic.scores().filter(control="none", variable="Count", seed=0)
    scores = pl.concat([alignment.with_columns(control=pl.lit(name)) for name in reversed(CONTROLS)])
    (order,) = {
        tuple(node["sort"]) for node in walk(chart_spec(iia_bars(scores))) if isinstance(node.get("sort"), list)
    }
    assert order == tuple(CONTROLS.values())


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


def test_a_long_title_takes_several_lines_above_its_subtitle(synthetic, tmp_path):
    def lines(words):
        spec = chart_spec(iia_bars(synthetic.scores()))
        spec["title"]["text"] = " ".join(["word"] * words)
        texts = [element for element in ET.parse(save_figure(spec, tmp_path, "x")[0]).iter() if element.get("x") == "8"]
        return [(element.text, float(element.get("y"))) for element in texts]

    short, long = lines(3), lines(60)
    assert short[0][0] == "word word word"
    added = len(long) - len(short)
    assert added > 1
    assert " ".join(text for text, _ in long[: added + 1]) == " ".join(["word"] * 60)
    assert [height for _, height in long] == sorted(height for _, height in long)


@pytest.fixture(scope="module")
def zoo(synthetic):
    return synthetic.zoo()


def data_of(chart):
    return [row for data in chart_spec(chart)["datasets"].values() for row in data]


@pytest.mark.parametrize("width", [WIDTH, NARROW])
@pytest.mark.parametrize("name", ["trial_accuracy", "training", "whole_state"])
def test_forty_networks_are_drawn_in_panels_by_task(zoo, synthetic, name, width):
    chart = draw_figures({name: zoo[name]}, width=width)[name]
    svg = vl_convert.vegalite_to_svg(json.dumps(chart_spec(chart)))
    assert float(ET.fromstring(svg).get("width")) <= width + 60
    assert "NaN" not in svg
    for task in (*synthetic.ZOO_TASKS, *synthetic.ZOO_VOID_TASKS):
        assert f">{task}</text>" in svg
    for network in synthetic.ZOO_NETWORKS:
        assert f">{network}" in svg


def test_every_network_and_quantity_has_its_cell(zoo):
    cells = data_of(trial_accuracy(zoo["trial_accuracy"]))
    assert len(cells) == 40 * 30
    table = {
        (r["task"], r["network"], r["quantity"]): r["trial_accuracy"] for r in zoo["trial_accuracy"].rows(named=True)
    }
    assert all(c["accuracy"] == pytest.approx(table[c["panel"], c["kind_of"], c["quantity"]], abs=1e-4) for c in cells)
    strip = [c for c in cells if c["first"]]
    assert {(c["panel"], c["quantity"]) for c in strip} == {(c["panel"], c["quantity"]) for c in cells}
    assert len(strip) == 10 * 30


def test_long_curves_are_thinned_but_keep_their_ends(synthetic):
    parts = [
        synthetic.training(seeds=(0,), updates=40_000).with_columns(network=pl.lit(f"n{i % 4}"), task=pl.lit(f"t{i}"))
        for i in range(8)
    ]
    rows = data_of(training(pl.concat(parts)))
    loss = [row for row in rows if "loss" in row]
    assert 8 * 50 < len(loss) < 8 * 120
    assert sum(row["update"] == 40_000 for row in loss) == 8
    assert sum(row["update"] == 80 for row in loss) == 8


def test_more_networks_of_a_task_than_colours_have_panels_of_their_own(synthetic):
    parts = [synthetic.training(seeds=(0,)).with_columns(d=pl.lit(2**i, dtype=pl.Int64)) for i in range(8)]
    rows = data_of(training(pl.concat(parts)))
    assert len({row["panel"] for row in rows}) == 8
    svg = vl_convert.vegalite_to_svg(json.dumps(chart_spec(training(pl.concat(parts)))))
    assert "d\u00a0=\u00a0128" in svg


def test_networks_that_never_learned_are_drawn(synthetic):
    failed = synthetic.zoo(learned=False)
    failed["training"] = failed["training"].with_columns(
        loss=pl.lit(None, dtype=pl.Float64), trained_accuracy=0.0, held_out_accuracy=pl.lit(None, dtype=pl.Float64)
    )
    for chart in draw_figures(failed).values():
        assert "NaN" not in vl_convert.vegalite_to_svg(json.dumps(chart_spec(chart)))


def test_whole_state_sites_go_from_the_embedding_upwards_with_both_outcomes(synthetic):
    chart = whole_state(synthetic.whole_state(network="transformer-rope"))
    encoded = [node["encoding"]["y"] for node in walk(chart_spec(chart)) if "y" in node.get("encoding", {})]
    assert encoded[0]["sort"] == ["at embedding", "at layer1", "at layer2"]
    rows = data_of(chart)
    assert len(rows) == 3 * 2 * (1 + 2)
    assert all(row["low"] <= row["share"] <= row["high"] for row in rows)
    assert {row["outcome"] for row in rows} == {"continues as the source", "continues as the base"}


def test_algorithms_of_one_task_are_told_apart_in_whole_state_swaps(synthetic):
    one = synthetic.whole_state()
    other = one.with_columns(algorithm=pl.lit("ctx-distr"))
    assert {row["panel"] for row in data_of(whole_state(pl.concat([one, other])))} == {"up-down", "ctx-distr"}


def test_task_panels_name_what_differs_within_a_task(zoo, synthetic):
    frame, constant = with_task_panels(zoo["trial_accuracy"])
    assert (frame["panel"].n_unique(), frame["kind_of"].n_unique(), constant) == (10, 4, "")
    one_network, constant = with_task_panels(zoo["trial_accuracy"].filter(pl.col("network") == "gru"))
    assert set(one_network["panel"]) == {""}
    assert (one_network["kind_of"].n_unique(), constant) == (10, "gru, d\u00a0=\u00a048")
    one_task, constant = with_task_panels(zoo["trial_accuracy"].filter(pl.col("task") == "square"))
    assert (set(one_task["panel"]), one_task["kind_of"].n_unique(), constant) == ({""}, 4, "square")
    sizes = pl.concat(
        [synthetic.trial_accuracy(), synthetic.trial_accuracy().with_columns(d=pl.lit(8, dtype=pl.Int64))]
    )
    assert set(with_task_panels(sizes)[0]["kind_of"]) == {"d\u00a0=\u00a048", "d\u00a0=\u00a08"}


def test_panels_leave_no_gap_where_a_column_less_fills_the_rows(synthetic):
    assert panel_width(720, 10, least=190)[0] == 2
    assert panel_width(720, 9, least=190)[0] == 3
    assert panel_width(720, 3, least=270)[0] == 2
    chart = whole_state(synthetic.whole_state())
    assert in_panels(chart, ["one"], 1) is chart


def test_states_of_many_networks_are_panels_of_one_seed_each_and_the_figure_says_so(synthetic):
    one = synthetic.aligned_states(variables=("Count",))
    many = pl.concat([one.with_columns(network=pl.lit(f"n{number}")) for number in range(7)])
    spec = chart_spec(draw_figures({"aligned_states": many})["aligned_states-count"])
    assert len(spec["vconcat"]) == 2
    (rows,) = spec["datasets"].values()
    assert {row["panel"] for row in rows} == {f"n{number}" for number in range(7)}
    assert sum(row["step"] is not None for row in rows) == 7 * one.filter(pl.col("seed") == 0).height
    assert "the lowest seed" in " ".join(spec["title"]["subtitle"])


def test_arrows_point_along_the_trajectory_on_the_page(synthetic):
    states = synthetic.aligned_states(seeds=(0,), variables=("Count",)).filter(pl.col("quantity") <= 5)
    turn = pl.col("step").cast(pl.Float64)
    line = states.with_columns(c1=10 * turn, c2=-turn)  # to the right and down, over the whole of both axes
    spec = chart_spec(aligned_states(line))
    heads = [row for rows in spec["datasets"].values() for row in rows if row["angle"] is not None]
    assert heads
    assert {row["angle"] for row in heads} == {135.0}, "clockwise from upwards"
    domains = {n["x"]["field"]: n["x"]["scale"]["domain"] for n in walk(spec) if isinstance(n.get("x"), dict)}
    assert domains["c1"][0] < 0 < line["c1"].max() < domains["c1"][1]


def test_errors_of_answers_are_bars_by_size(synthetic):
    spec = chart_spec(draw_figures({"length_errors": synthetic.length_errors()})["length_errors"])
    (rows,) = spec["datasets"].values()
    shares = {row["label"]: row["share"] for row in rows if row["panel"] == "Count"}
    assert shares == {"\u22122": 0.002, "\u22121": 0.009, "+1": 0.015, "+3": 0.001, "other": 0.003}
    (axis,) = {tuple(n["x"]["sort"]) for n in walk(spec) if isinstance(n.get("x"), dict)}
    assert axis == ("\u22122", "\u22121", "+1", "+2", "+3", "other")
    assert "97.0% of the answers are correct" in " ".join(spec["title"]["subtitle"])
    right = synthetic.length_errors().filter(pl.col("error") == 0).with_columns(count=pl.lit(10_000))
    spec = chart_spec(draw_figures({"length_errors": right})["length_errors"])
    assert "no answer is wrong" in spec["description"]


def test_captions_say_how_long_the_search_was(synthetic):
    charts = draw_figures({**synthetic.tables(), "scores": synthetic.scores()})
    for name in ("iia_bars", "length_errors", "gradience", "gradience_by_value", "iia_by_value"):
        assert "Each search: 2 restarts, 1,2" in " ".join(chart_spec(charts[name])["title"]["subtitle"]), name
    assert "Each search: 2 restarts" in " ".join(chart_spec(charts["aligned_states-count"])["title"]["subtitle"])


def test_every_figure_fits_the_schema(drawn):
    for chart in drawn.values():
        chart.to_dict(validate=True)
