import base64
import gzip
import json
import re
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.analysis import comparisons
from tests.analysis.test_claims import behaviour

from symscope.analysis import make_table
from symscope.analysis.comparison_effects import between_grus
from symscope.errors import CheckpointError, InvalidArgumentError, StoreError
from symscope.figures import draw_figures
from symscope.report import ReportInputs, combine_inputs, load_inputs, save_inputs, write_report
from symscope.report.answers import kind_text, overview, questions
from symscope.report.learning import learning_of
from symscope.report.next_step import next_step
from symscope.report.page import DrawnFigures
from symscope.report.sentences import whole_state_sentences
from symscope.report.tables import diagnostics_table, score_table


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


def test_every_table_can_be_saved_from_the_page_alone(inputs, written):
    html = written[1].page.read_text()
    for name, table in inputs.tables.items():
        packed = re.search(f'<script type="application/gzip" id="table-{name}">([^<]*)</script>', html)
        saved = gzip.decompress(base64.b64decode(packed[1])).decode()
        assert saved == (written[0] / "tables" / f"{name}.csv").read_text()
        assert f'data-table="{name}"' in html
        assert f"{table.height:,} rows" in html


def test_texts_of_the_user_are_escaped(inputs, written):
    html = written[1].page.read_text()
    assert "A &lt;b&gt;study&lt;/b&gt; &amp; its title" in html
    assert "<script>alert(1)" not in html
    assert html.count("<script") == html.count("</script>") == 5 + len(inputs.tables)


def test_every_figure_has_an_image_with_alt_text(inputs, written):
    images = re.findall(r'<img src="data:image/svg\+xml;base64,[^"]+" alt="([^"]*)"', written[1].page.read_text())
    assert len(images) == len(draw_figures(inputs.tables)) >= 7
    assert all(len(alt) > 40 for alt in images)


def test_the_first_screen_has_question_answer_and_uncertainty(synthetic):
    (question,) = questions(synthetic.scores().with_columns(off_span_share=0.04), synthetic.trial_accuracy())
    assert question.question == "Does this network compute with Count and Phase of the algorithm up-down?"
    assert question.summary == "Yes, in the span of natural states, for Count and Phase."
    assert "2 networks of type gru with state size 48, trained on multi-object (seeds 0 and 1)" in question.network
    count = question.answers[0]
    assert count.measures[0].main
    assert [m.label for m in count.measures][-1] == "whole-state swap"
    assert [(check.name, check.state) for check in count.checks] == [
        ("at least 0.9", "yes"),
        ("above controls", "yes"),
        ("natural states", "some"),
        ("cause, isolation", "open"),
    ]
    assert count.checks[0].value == f"{count.measures[0].iia:.3f}"
    assert count.checks[2].value == "in the span"
    assert count.sentence[1] == f"{count.measures[0].iia:.1%}"
    assert count.sentence[0].startswith("Overwriting Count changes behaviour")
    assert [m.label for m in count.measures] == [name for name, _ in question.series]
    assert [m.label for m in count.measures if m.best_null] == ["principal components"]
    assert re.match(r"95% interval 0\.9\d\d to 0\.9\d\d over 20,000 interventions and 2 seeds", count.checks[0].text)
    assert count.checks[1].text.startswith("The best is principal components, 0.3")
    assert count.checks[2].text.startswith("4% of the rewritten states' norm outside")


def test_a_high_iia_off_the_manifold_is_steering_only(synthetic):
    far = pl.when(pl.col("variable") == "Count").then(pl.col("seed") * 0.23 + 0.2).otherwise(0.02)
    (question,) = questions(synthetic.scores().with_columns(off_span_share=far, dormant_share=far * 0.75), None)
    assert question.summary == (
        "Yes, in the span of natural states, for Phase. Count can be steered, but the rewritten states are unlike any "
        "state that the network reaches by itself: this does not show that the network uses it."
    )
    count, phase = question.answers
    assert (count.short, phase.short) == ("Steerable only", "Yes, in the span")
    assert [check.state for check in count.checks] == ["yes", "yes", "no", "open"]
    assert count.checks[2].value == "off-manifold, 43% off"
    assert (
        "43% of the rewritten states' norm outside the natural span, 32% of the effect dormant" in count.checks[2].text
    )
    (question,) = questions(synthetic.scores(), None)
    assert question.answers[0].checks[2].state == "open"


def test_the_answer_has_three_numbers_and_all_parts_of_naturalness(synthetic):
    scores = synthetic.three_alignments()
    (question,) = questions(scores, None)
    (count,) = question.answers
    assert count.short == "Yes"
    assert count.checks[2].value == "natural"
    assert count.best == "IIA of the best alignment: natural 0.930; in the span 0.950; unrestricted 0.970."
    assert (
        "3% of them farther out than natural states (limit 8%), 1.5 times the natural distance" in count.checks[2].text
    )


def test_baselines_have_labels_and_are_after_the_controls(synthetic):
    scores = synthetic.scores(ks=(8,))
    lda = scores.filter(pl.col("control") == "principal_components").with_columns(control=pl.lit("lda"))
    (question,) = questions(pl.concat([scores, lda]), None)
    assert [measure.label for measure in question.answers[0].measures][-2:] == ["LDA", "whole-state swap"]


def test_the_interval_of_one_seed_is_about_that_network(synthetic):
    (question,) = questions(synthetic.scores(seeds=(3,)), None)
    assert "1 network of type" in question.network
    assert "the variation between networks is unknown" in question.answers[0].checks[0].text


def test_variables_that_are_not_found_have_an_answer(synthetic):
    scores = synthetic.scores().with_columns(
        pl.when(pl.col("control") == "none").then(0.01).otherwise(pl.col(c)).alias(c) for c in ("iia", "low", "high")
    )
    (question,) = questions(scores, None)
    assert question.summary == "Count and Phase: not found."
    assert [check.state for check in question.answers[0].checks] == ["no", "no", "open", "open"]
    assert "none of 2 seeds above all" in question.answers[0].checks[1].text
    (question,) = questions(synthetic.scores().filter(pl.col("control") == "none"), None)
    assert question.summary == "Count and Phase: undecided."


def claim(name, verdict, **figures):
    texts = {"statement": f"<i>{name}</i> is so.", "source": "Paper, 1", "measure": f"What {name} measures."}
    return {"claim": name, **texts, "rule": f"Rule of {name}.", "verdict": verdict, **figures}


def test_claims_that_a_run_does_not_decide_are_listed_when_asked_for(synthetic, tmp_path):
    rows = [
        claim("one", "holds", value=0.61, low=0.5, high=0.7, seeds=3, p=0.0001, p_holm=0.0002, kinds=4, kinds_above=3),
        claim("two", "does not hold", value=-0.02, low=-0.1, high=0.004, seeds=3, p=0.7, p_holm=0.7),
        claim("three", "not decided by this run", value=0.2, low=-0.1, high=0.4, seeds=2),
        claim("four", "not decided by this run"),
    ]
    tables = {"scores": synthetic.scores(), "claims": make_table("claims", rows)}
    html = write_report(ReportInputs("Claims", tables), tmp_path).page.read_text()
    assert "Of 4 claims 1 holds, 1 does not hold." in html
    table = html[html.index('<table class="claims"') :].split("</table>")[0]
    assert table.count("<tr ") == 1 + 2
    assert "&lt;i&gt;one&lt;/i&gt; is so." in table
    assert (
        "95% interval 0.500 to 0.700, 3 seeds, above the threshold in 3 of 4 kinds of network, p &lt; 0.001 after "
        in table
    )
    assert '<span class="verdict v-does-not-hold">Does not hold</span>' in table
    assert html.index('id="answer"') < html.index("<figure ") < html.index('id="claims"')
    html = write_report(ReportInputs("Claims", tables), tmp_path, undecided_claims=True).page.read_text()
    assert "Of 4 claims 1 holds, 1 does not hold, 2 are not decided by this run." in html
    assert html[html.index('<table class="claims"') :].split("</table>")[0].count("<tr ") == 1 + 4
    undecided = {**tables, "claims": make_table("claims", rows[2:])}
    assert 'id="claims"' not in write_report(ReportInputs("Claims", undecided), tmp_path).page.read_text()


def test_many_questions_have_an_overview_first(synthetic, tmp_path):
    parts = [synthetic.scores(task=task, network=net, seeds=(0,)) for task in ("a", "b") for net in ("gru", "lstm")]
    parts[3] = parts[3].filter(pl.col("variable") != "Phase")
    scores = pl.concat(parts).with_columns(off_span_share=pl.when(pl.col("task") == "a").then(0.1).otherwise(0.5))
    seen = overview(questions(scores, None))
    assert seen.summary == "Of 7 questions: 4 “yes, in the span”, 3 “steerable only”."
    assert seen.columns == ("gru, d\u00a0=\u00a048", "lstm, d\u00a0=\u00a048")
    assert [task for task, _ in seen.rows] == ["a", "b"]
    verdicts = [[[a.verdict for _, given in cell.answers for a in given] for cell in cells] for _, cells in seen.rows]
    assert verdicts == [[["holds, in the span"] * 2] * 2, [["off-manifold"] * 2, ["off-manifold"]]]
    html = write_report(ReportInputs("Many", {"scores": scores}), tmp_path).page.read_text()
    assert html.index("Overview of all answers") < html.index('<details class="question"')
    assert html.count('<details class="question"') == 4


def test_the_diagnostics_of_alignments_have_a_table(synthetic):
    scores = synthetic.scores().with_columns(
        off_span_share=pl.when(pl.col("control") == "none").then(0.31), nearest_control=pl.lit("untrained")
    )
    table = diagnostics_table(scores)
    assert [name for name, *_ in table.columns] == ["seed", "variable", "IIA", "best null control", "off span"]
    assert len(table.rows) == 4
    assert [cell.text for cell in table.rows[0]][-2:] == ["untrained", "31%"]
    assert table.caption.startswith("4 alignments. In all of them: multi-object, gru, ")
    assert diagnostics_table(synthetic.scores()) is None
    assert len(score_table(scores).rows) == scores.height
    many = pl.concat([synthetic.scores(task=f"t{i}") for i in range(20)])
    assert len(score_table(many).rows) == 300
    assert "400 scores, first 300 listed" in score_table(many).caption


def test_scores_alone_make_a_report(synthetic, tmp_path):
    files = write_report(ReportInputs("Scores alone", {"scores": synthetic.scores(ks=(1, 4, 24))}), tmp_path)
    assert {path.stem for path in files.figures} == {"iia_bars", "iia_by_k"}


def test_a_report_needs_a_table():
    with pytest.raises(InvalidArgumentError, match="needs at least one table, got none; known: claims, claim_values"):
        ReportInputs("No tables", {})


@pytest.fixture(scope="module")
def zoo(synthetic, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    inputs = ReportInputs("What learns what?", synthetic.zoo())
    save_inputs(inputs, folder)
    return folder, write_report(load_inputs(folder), folder).page.read_text()


def test_a_study_without_searches_answers_which_networks_learned(zoo):
    folder, html = zoo
    assert "<h2>Which networks learned their tasks?</h2>" in html
    assert "37 of 40 networks reach a trial accuracy of 99.99% on trained and on held-out quantities" in html
    assert html.index("37 of 40") < html.index("<figure ")
    assert 'id="scores"' not in html
    assert "How this was decided" not in html
    assert len(html) < 5_000_000
    table = html[html.index("Table of trial accuracies") :].split("</table>")[0]
    assert table.count("<tr>") == 41
    assert table.count("missed") == 6
    for target in set(re.findall(r'<a [^>]*href="([^"]+)"', html)):
        assert f'id="{target[1:]}"' in html if target.startswith("#") else (folder / target).is_file()


def test_whole_state_swaps_have_an_explanation_and_results(zoo, synthetic):
    assert "replaces that of another sequence" in zoo[1]
    assert "<li>gru: continues as the source in 0.98" in zoo[1]
    (gru,) = whole_state_sentences(synthetic.whole_state(seeds=(0,)))
    assert re.fullmatch(r"gru: continues as the source in \d\.\d{3}, continues as the base in \d\.\d{3}\.", gru)
    (rope,) = whole_state_sentences(synthetic.whole_state(network="transformer-rope"))
    assert rope.index("at embedding") < rope.index("at layer1") < rope.index("at layer2")


def accuracies(*pairs):
    """Behaviour of networks of one task each, with these accuracies on a trained and on a held-out quantity."""
    rows = [
        {
            "task": f"t{number}",
            "network": "gru",
            "d": 8,
            "seed": 0,
            "quantity": quantity,
            "held_out": quantity == 1,
            "trial_accuracy": accuracy,
            "n": 100_000,
        }
        for number, pair in enumerate(pairs)
        for quantity, accuracy in ((2, pair[0]), (1, pair[1]))
    ]
    return make_table("trial_accuracy", rows)


@pytest.mark.parametrize(
    ("pairs", "summary"),
    [
        ([(1, 1), (1, 1)], "All 2 networks reach {}."),
        ([(1, 1)], "The network reaches {}."),
        ([(1, 0.9998)], "The network does not reach {}."),
        ([(1, 1), (1, 0.9998)], "1 of 2 networks reaches {}; 2 reach 99%."),
        ([(1, 1), (0.95, 1), (1, 0.5)], "1 of 3 networks reaches {}; 2 reach 90%; 1 stays below 90%."),
        ([(0.1, 0.1), (0, 0)], "None of 2 networks reaches {}; all stay below 90%."),
    ],
)
def test_how_many_networks_learned_is_counted(pairs, summary):
    target = "a trial accuracy of 99.99% on trained and on held-out quantities"
    assert learning_of(accuracies(*pairs), None).summary == summary.format(target)


def test_networks_that_did_not_learn_are_named_and_no_share_is_rounded_up():
    learned = learning_of(accuracies((1, 1), (0.99999, 0.99989)), None)
    assert learned.detail[0] == "Below 99.99%: gru on t1 (trained 99.99%, held-out 99.98%)."
    assert [cell.text for cell in learned.table.rows[0][4:7]] == ["100.00%", "100.00%", "–"]
    assert [cell.missed for cell in learned.table.rows[1][4:7]] == [False, True, False]
    assert "95% interval" in learned.table.rows[0][4].tooltip


def test_networks_that_all_failed_still_make_a_report(synthetic, tmp_path):
    failed = synthetic.zoo(learned=False)
    html = write_report(ReportInputs("All failed", failed), tmp_path / "low").page.read_text()
    assert "None of 40 networks reaches" in html
    empty = {name: table.clear() for name, table in failed.items()}
    html = write_report(ReportInputs("Nothing", empty), tmp_path / "empty").page.read_text()
    assert "No network was trained." in html
    untested = ReportInputs("Untested", {"training": failed["training"]})
    html = write_report(untested, tmp_path / "untested").page.read_text()
    assert "40 further networks without trial accuracy" not in html
    assert "No network&#39;s trial accuracy was measured." in html


def test_with_scores_the_table_of_learning_is_in_the_section_on_trial_accuracy(synthetic, written, tmp_path):
    html = written[1].page.read_text()
    assert "Which networks learned" not in html
    assert html.index('id="iia_bars"') < html.index('id="trial_accuracy"') < html.index("Table of trial accuracies")
    one = {"scores": synthetic.scores(seeds=(0,)), "trial_accuracy": synthetic.trial_accuracy(seeds=(0,))}
    assert "Table of trial accuracies" not in write_report(ReportInputs("One", one), tmp_path).page.read_text()


def test_a_missing_or_damaged_folder_is_an_error(tmp_path):
    with pytest.raises(StoreError, match=r"facts\.json is missing"):
        load_inputs(tmp_path)
    (tmp_path / "facts.json").write_text("{")
    with pytest.raises(CheckpointError, match="run the study again"):
        load_inputs(tmp_path)


def test_the_first_screen_has_a_worked_intervention_and_a_command(inputs, written):
    html = written[1].page.read_text()
    screen = html[html.index('<section id="answer"') : html.index("</section>")]
    example = screen[screen.index('<div class="example">') :]
    strips = re.findall(r'<span class="label">([^<]*)</span><span class="tokens">(.*?)</div>', example)
    assert [label for label, _ in strips] == [
        "base: Count 3, Phase resp",
        "source: Count 5, Phase demo",
        "predicted",
        "produced",
        "without the swap",
    ]
    assert re.findall(r'class="t t-([a-z]+)">([^<]+)<', strips[0][1])[-1] == ("stop", "T")
    assert "as an example and not as evidence" in example
    scores = questions(inputs.tables["scores"], None)[0].answers[0].measures[0].iia
    assert f"{1 - scores:.1%} of all test interventions on it fail." in example
    assert "<strong>Next:</strong>" in screen
    assert screen.index('<table class="answers"') < screen.index("Next:")


def commands(synthetic, seeds, **columns):
    scores = synthetic.scores(seeds=seeds).with_columns(**columns)
    facts = {"Study": {"seeds": ", ".join(map(str, seeds))}}
    made = ReportInputs("T", {"scores": scores}, command="symscope study run quick --out 'a b'", facts=facts)
    return next_step(made, questions(scores, None), Path("a b")).command


def test_the_next_command_asks_for_more_seeds_or_for_natural_states(synthetic):
    more = "symscope study run quick --seed 2 --seed 3 --seed 4 --out 'a b-seeds-2-4'"
    assert commands(synthetic, (0, 1)) == more
    assert commands(synthetic, (0, 1), off_span_share=0.5) == "symscope study show quick"
    assert commands(synthetic, (0, 1, 2, 3, 4)) == "symscope figures 'a b'"
    assert next_step(ReportInputs("T", {"training": synthetic.training()}), [], Path()) is None


def test_failing_interventions_are_strips_and_columns_of_the_page(inputs, written):
    html = written[1].page.read_text()
    section = html[html.index('<section id="failures"') :].split("</section>")[0]
    assert "Count: 600 of 20,000 test interventions fail (3.0%)" in section
    assert section.count('<div class="record">') == 4
    assert 't-wrong">EOS<' in section
    packed = re.search(r'id="failing-interventions">([^<]*)<', html)[1]
    columns = json.loads(gzip.decompress(base64.b64decode(packed)))
    rows = inputs.tables["failures"]
    assert len(columns["base"]["rows"]) == rows.height
    levels, index = columns["produced"]["levels"], columns["produced"]["rows"]
    assert [levels[i] for i in index] == rows["produced"].to_list()
    assert f"{rows.height} of 1,200 failing" in section


def test_names_are_escaped_in_markup_and_in_scripts(synthetic, tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
    tables = {}
    for name in ("scores", "failures", "examples", "length_errors", "gradience", "values"):
        frame = synthetic.tables()[name].with_columns(network=pl.lit(evil), task=pl.lit(evil))
        variable = pl.when(pl.col("variable") == "Count").then(pl.lit(evil)).otherwise(pl.col("variable"))
        tables[name] = frame.with_columns(variable.alias("variable"))
    tables["failures"] = tables["failures"].with_columns(produced=pl.lit(json.dumps([evil, "EOS"])))
    facts = {evil: {evil: evil}}
    inputs = ReportInputs(evil, tables, command=evil, notes=(evil,), facts=facts)
    html = write_report(inputs, tmp_path).page.read_text()
    assert "<script>alert(1)" not in html
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror" in html


def test_an_explorer_beside_the_page_has_a_link(synthetic, tmp_path):
    inputs = ReportInputs("T", {"scores": synthetic.scores()})
    assert "explorer.html" not in write_report(inputs, tmp_path).page.read_text()
    (tmp_path / "explorer.html").write_text("")
    html = write_report(inputs, tmp_path).page.read_text()
    assert '<link rel="related" href="explorer.html">' in html
    assert '<a href="explorer.html">' in html


def test_studies_on_one_page_keep_networks_of_one_name_apart(synthetic):
    first = ReportInputs("A", {"scores": synthetic.scores(), "training": synthetic.training()}, notes=("slow",))
    second = ReportInputs("B", {"scores": synthetic.scores(ks=(8,))}, facts={"Study": {"name": "b"}})
    other = ReportInputs("C", {"scores": synthetic.scores(network="lstm")})
    both = combine_inputs([("one", first), ("two", second), ("three", other)])
    assert both.tables["scores"]["network"].unique(maintain_order=True).to_list() == ["gru (one)", "gru (two)", "lstm"]
    assert both.tables["scores"].height == sum(part.tables["scores"].height for part in (first, second, other))
    assert both.tables["training"]["network"].unique().to_list() == ["gru (one)"]
    assert both.notes == ("one: slow",)
    assert both.facts == {"two: Study": {"name": "b"}}
    assert len(questions(both.tables["scores"], None)) == 3
    with pytest.raises(InvalidArgumentError, match="different names"):
        combine_inputs([("one", first), ("one", second)])


def test_partners_of_a_comparison_are_renamed_with_their_networks(synthetic):
    tables = {"comparison": comparisons.comparison(), "trial_accuracy": behaviour((0, 1, 2))}
    further = ReportInputs("B", {"trial_accuracy": tables["trial_accuracy"]}, facts={"Study": {"name": "b"}})
    both = combine_inputs([("one", ReportInputs("A", tables)), ("two", further)])
    rows = both.tables["comparison"]
    assert all(name.endswith(" (one)") for name in {*rows["network"], *rows["partner_network"]})
    effect = between_grus(both.tables)
    assert effect is not None
    assert effect.groups == between_grus(tables).groups


def test_three_warnings_are_shown_and_more_are_folded(synthetic, tmp_path):
    def warnings(n):
        inputs = ReportInputs("T", {"scores": synthetic.scores()}, notes=tuple(f"Warning {i}." for i in range(n)))
        return write_report(inputs, tmp_path).page.read_text().partition('class="notes"')[2].partition("</div>")[0]

    assert "<details>" not in warnings(3)
    shown, _, folded = warnings(5).partition("<summary>2 more</summary>")
    assert [f"Warning {i}." in shown for i in range(5)] == [True] * 3 + [False] * 2
    assert [f"Warning {i}." in folded for i in range(5)] == [False] * 3 + [True] * 2


def test_parts_of_one_study_are_one_study_on_a_page(synthetic):
    def part(seeds, name="iclr", **facts):
        scores = synthetic.scores().filter(pl.col("seed").is_in(seeds))
        return ReportInputs("A", {"scores": scores}, facts={"Study": {"name": name, "seeds": str(seeds), **facts}})

    assert synthetic.scores()["seed"].unique().to_list() == [0, 1]

    def names(*parts):
        return combine_inputs(parts).tables["scores"]["network"].unique(maintain_order=True).to_list()

    assert names(("one", part([0])), ("two", part([1]))) == ["gru"]
    whole = [("whole", part([0, 1])), ("other", part([0, 1], name="sizes"))]
    in_parts = [("one", part([0])), ("two", part([1])), ("other", part([0, 1], name="sizes"))]
    assert names(*whole) == ["gru (whole)", "gru (other)"]
    assert names(*in_parts) == ["gru (one)", "gru (other)"]
    # not parts of one study: a network in both, or other settings
    assert names(("one", part([0, 1])), ("two", part([0, 1]))) == ["gru (one)", "gru (two)"]
    assert names(("one", part([0], search="a")), ("two", part([1], search="b"))) == ["gru (one)", "gru (two)"]
    larger = ReportInputs("B", {"scores": synthetic.scores().with_columns(d=pl.lit(128, pl.Int64))})
    assert names(("one", part([0, 1])), ("two", larger)) == ["gru (one)", "gru (two)"]  # sizes of different studies


def test_the_page_of_many_networks_is_compact_and_shows_one_kind(synthetic, tmp_path):
    kinds = [(task, network) for task in ("a", "b") for network in ("gru", "lstm", "rnn", "nope")]
    tables = {}
    for name in ("scores", "gradience", "values", "aligned_states", "length_errors", "failures"):
        frame = synthetic.tables()[name]
        parts = [frame.with_columns(task=pl.lit(task), network=pl.lit(network)) for task, network in kinds]
        tables[name] = pl.concat(parts)
    inputs = ReportInputs("Many", tables)
    drawn = DrawnFigures.of(inputs)
    rows = [row for name in drawn.still["gradience"]["datasets"].values() for row in name]
    assert {row["panel"] for row in rows} == {"Count, a, gru", "Phase, a, gru"}
    assert set(drawn.panels["iia_by_value"].values()) == {kind_text(*kind, 48) for kind in kinds}
    files = write_report(inputs, tmp_path)
    html = files.page.read_text()
    assert 'data-kind="b, nope, d\u00a0=\u00a048"' in html
    assert len(html) < 4_000_000
    packed = re.search(r'id="drawing-data">([^<]*)<', html)[1]
    data = json.loads(gzip.decompress(base64.b64decode(packed)))
    for figure in data["figures"].values():
        assert figure["wide"]["datasets"] == figure["narrow"]["datasets"], "data is stored once"
