import re

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from symscope.errors import CheckpointError, InvalidArgumentError, StoreError
from symscope.report import ReportInputs, load_inputs, save_inputs, write_report
from symscope.report.answers import questions


@pytest.fixture(scope="module")
def inputs(synthetic):
    return ReportInputs(
        title="A <b>study</b> & its title",
        tables=synthetic.tables(),
        command="symscope study run quick --out 'out/quick' --seed 0",
        notes=("Seed 1 </script><script>alert(1)</script> stopped at the cap.",),
        facts={"Versions": {"torch": "2.8.0"}, "Machine": {"threads": 2, "deterministic": True, "memory": None}},
    )


@pytest.fixture(scope="module")
def written(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    save_inputs(inputs, folder)
    return folder, write_report(load_inputs(folder), folder)


def test_inputs_are_saved_and_loaded_without_loss(inputs, written):
    loaded = load_inputs(written[0])
    assert (loaded.title, loaded.command, loaded.notes, loaded.facts) == (
        inputs.title,
        inputs.command,
        inputs.notes,
        inputs.facts,
    )
    for name, table in inputs.tables.items():
        assert_frame_equal(loaded.tables[name], table)


def test_the_page_is_whole_small_and_fetches_nothing(written):
    html = written[1].page.read_text()
    assert len(html) < 5_000_000
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r'(?:src|srcset|action)="(?!data:)[^"]*"', markup)
    assert "<link" not in markup
    assert "default-src 'none'" in html


def test_every_link_leads_to_a_file_beside_the_page_or_a_place_in_it(written):
    folder, files = written
    html = files.page.read_text()
    for target in set(re.findall(r'<a [^>]*href="([^"]+)"', html)):
        if target.startswith("#"):
            assert f'id="{target[1:]}"' in html
        else:
            assert (folder / target).is_file(), target
    assert len(files.figures) == 2 * html.count("<figure ")


def test_what_is_given_is_escaped(written):
    html = written[1].page.read_text()
    assert "A &lt;b&gt;study&lt;/b&gt; &amp; its title" in html
    assert "<script>alert(1)" not in html
    assert html.count("<script") == html.count("</script>") == 3


def test_every_figure_has_an_image_with_alt_text(written):
    images = re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="([^"]*)"', written[1].page.read_text())
    assert len(images) == 6
    assert all(len(alt) > 40 for alt in images)


def test_the_first_screen_says_what_was_asked_the_answer_and_how_sure(synthetic):
    (question,) = questions(synthetic.scores(), synthetic.behaviour())
    assert question.question == "Does this network compute with Count and Phase of the algorithm up-down?"
    assert question.summary == "Yes for Count and Phase."
    assert "2 networks of type gru with state size 48, trained on multi-object (seeds 0 and 1)" in question.network
    count = question.answers[0]
    assert count.measures[0].main
    assert [m.label for m in count.measures][-1] == "whole-state swap"
    assert "best null control (principal components)" in count.sentence
    assert "the 2 seeds lie between" in count.certainty


def test_one_seed_is_not_passed_off_as_more(synthetic):
    (question,) = questions(synthetic.scores(seeds=(3,)), None)
    assert "1 network of type" in question.network
    assert "not known" in question.answers[0].certainty


def test_what_is_not_found_is_said(synthetic):
    scores = synthetic.scores().with_columns(
        pl.when(pl.col("control") == "none").then(0.01).otherwise(pl.col(c)).alias(c) for c in ("iia", "low", "high")
    )
    (question,) = questions(scores, None)
    assert question.summary == "Count: not found; Phase: not found."
    (question,) = questions(synthetic.scores().filter(pl.col("control") == "none"), None)
    assert question.summary == "Count: undecided; Phase: undecided."


def test_scores_alone_make_a_report(synthetic, tmp_path):
    files = write_report(ReportInputs("Scores alone", {"scores": synthetic.scores(ks=(1, 4, 24))}), tmp_path)
    assert {path.stem for path in files.figures} == {"iia_bars", "iia_by_k"}


def test_a_report_needs_scores(synthetic):
    with pytest.raises(InvalidArgumentError, match="needs the table 'scores'"):
        ReportInputs("No scores", {"behaviour": synthetic.behaviour()})


def test_a_folder_without_results_or_with_damaged_ones_is_told(tmp_path):
    with pytest.raises(StoreError, match=r"facts\.json is missing"):
        load_inputs(tmp_path)
    (tmp_path / "facts.json").write_text("{")
    with pytest.raises(CheckpointError, match="run the study again"):
        load_inputs(tmp_path)
