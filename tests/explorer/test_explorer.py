"""The page without a browser: its table is the algorithm, its networks are the networks, its names stay text."""

import base64
import hashlib
import html
import json
import re

import pytest
import torch
from tests.explorer.examples import KINDS, make_result, make_subject, random_projector
from tests.explorer.hostile import IMAGE, LINES, QUOTES, SCRIPT, HostileAlgorithm, hostile_task

import symscope as sc
from symscope.alignment import Results
from symscope.errors import CheckpointError, InvalidArgumentError, UnknownNameError
from symscope.explorer import Subject, explore_subjects
from symscope.explorer.algorithm_table import AlgorithmTable
from symscope.explorer.networks import network_document, read_network
from symscope.explorer.page import json_in_html
from symscope.explorer.replay import Table
from symscope.networks import NetworkIdentity

PAIRS = [
    ("multi-object-void", "up-down"), ("same-object", "up-up"), ("single-object", "ctx-distr"),
    ("square", "up-down-square"),
]  # fmt: skip
SWAPS = 20


def table_of(algorithm):
    document = AlgorithmTable(algorithm).document()
    return Table(json.loads(json.dumps(document)), {"tokens": list(algorithm.task.vocabulary.names)})


@pytest.mark.parametrize(("task", "name"), PAIRS, ids=[f"{task} {name}" for task, name in PAIRS])
def test_the_table_is_the_algorithm(task, name):
    """States, swaps and continuations of random sequences; the algorithm itself says what is possible."""
    task = sc.make_task(task, quantities=range(1, 8), held_out=())
    algorithm = sc.make_algorithm(name, task)
    table, draws = table_of(algorithm), sc.generator(0, "swaps")
    drawn = [task.draw(task.draw_quantities(SWAPS, draws), draws) for _ in range(2)]
    every, continued = [variable.name for variable in algorithm.variables], 0
    for row in range(SWAPS):
        tokens = []
        for batch in drawn:
            stop = int(torch.randint(2, int(batch.lengths[row]), (1,), generator=draws))
            tokens.append(batch.tokens[row, :stop].tolist())
        states = [table.state_after(part) for part in tokens]
        values = [
            {name: column[:, -1] for name, column in algorithm.run(torch.tensor([part])).items()} for part in tokens
        ]
        for state, expected in zip(states, values, strict=True):
            assert {name: table.value(state, name) for name in every} == {n: float(expected[n]) for n in every}
        taken = [name for name in every if torch.rand(1, generator=draws) < 0.6]
        after = table.overwrite(states[0], {name: table.value(states[1], name) for name in taken})
        now = {**values[0], **{name: values[1][name] for name in taken}}
        predicted = table.follow(after, int(torch.randint(4, (1,), generator=draws)))
        if predicted is None:
            assert name in ("up-up", "up-down-square")
            continue
        continued += 1
        for token, alone in zip(predicted.tokens, predicted.determined, strict=True):
            allowed = algorithm.next_token_mask(now)[0]
            assert allowed[token]
            assert alone == (int(allowed.sum()) == 1)
            now = algorithm.step(now, torch.tensor([token]))
        assert predicted.tokens[-1] == task.vocabulary.eos
    assert continued > SWAPS / 3


def test_every_token_that_may_follow_is_in_the_table():
    task = sc.make_task("arithmetic", largest_total=4, quantities=range(1, 4), held_out=())
    algorithm = sc.make_algorithm("running-total", task)
    table = AlgorithmTable(algorithm)
    for state, row in enumerate(table.states):
        if table.can_end[state]:
            values = {name: torch.tensor([int(value)]) for name, value in zip(table.entries, row, strict=True)}
            allowed = algorithm.next_token_mask(values)[0].nonzero()[:, 0].tolist()
            assert list(table.choices[table.choice_of[state]].tokens) == allowed


def test_extra_demo_tokens_follow_a_swap_in_the_demo_phase():
    table = table_of(sc.make_algorithm("up-down", sc.make_task("single-object")))
    start = table.state_after(table.encode(["BOS", "D", "D"]))
    assert table.vocabulary.decode(table.follow(start, 2).tokens) == [*"DDTRRRR", "EOS"]
    assert table.vocabulary.decode(table.follow(start, 0).tokens) == [*"TRR", "EOS"]


def test_an_algorithm_with_too_many_states_is_refused():
    task = sc.make_task("multi-object", quantities=range(1, 120), held_out=())
    with pytest.raises(InvalidArgumentError, match="smaller quantities"):
        AlgorithmTable(sc.make_algorithm("increment", task))


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_comes_back_from_its_document(kind):
    subject = make_subject(kind)
    back = read_network(json.loads(json.dumps(network_document(subject.network))))
    tokens = torch.randint(1, 8, (3, 9), generator=sc.generator(0))
    assert back.sites == subject.network.sites
    with torch.no_grad():
        assert torch.equal(back(tokens), subject.network(tokens))


def test_what_the_page_cannot_run_is_refused():
    task = sc.make_task("multi-object")
    gru = torch.nn.GRU(4, 4, batch_first=True)
    wrapped = sc.wrap_recurrent(torch.nn.Embedding(8, 4), gru, torch.nn.Linear(4, 8))
    with pytest.raises(InvalidArgumentError, match="WrappedRecurrent"):
        network_document(wrapped)
    subject = make_subject("gru")
    with pytest.raises(InvalidArgumentError, match="at least one network"):
        explore_subjects([])
    loaded = Results(subject.results.all)
    with pytest.raises(InvalidArgumentError, match="network="):
        sc.explore(loaded)
    with pytest.raises(InvalidArgumentError, match="algorithm="):
        sc.explore(loaded, network=subject.network)
    other = sc.make_algorithm("up-down", sc.make_task("single-object"))
    with pytest.raises(InvalidArgumentError, match="8 tokens"):
        sc.explore(loaded, network=subject.network, algorithm=other)
    found = make_result("count", subject.results["count"].alignments, "h", network=NetworkIdentity.of(subject.network))
    fresh = sc.make_network("gru", 16, len(task.vocabulary), sc.generator(5))
    with pytest.raises(InvalidArgumentError, match="other weights"):
        sc.explore(Results([found]), network=fresh, algorithm=subject.algorithm)


def test_maps_that_are_not_linear_are_left_out_with_a_sentence():
    subject = make_subject("gru")
    function = sc.Reversible()
    tensors = function.initialise(16, 4, None, sc.generator(0))
    reversible = make_result("count", {"count": function.select(tensors, 4, slice(0, 4))}, "h")
    both = Results([*subject.results.all, reversible])
    mixed = explore_subjects([Subject("gru", subject.network, subject.algorithm, both)])
    (entry,) = mixed.document["subjects"]
    assert entry["leftOut"] == ["count, reversible, k = 4"]
    assert len(entry["alignments"]) == len(subject.results.all)
    with pytest.raises(InvalidArgumentError, match="linear alignments only"):
        explore_subjects([Subject("gru", subject.network, subject.algorithm, Results([reversible]))])


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "page.html"
    subject = make_subject("magnitude")
    return path, sc.explore(subject.results, path, title="A title")


def test_the_policy_allows_exactly_the_script_and_the_style_of_the_page(page):
    path, _ = page
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', text).group(1)
    rules = dict(rule.split(" ", 1) for rule in html.unescape(policy).split("; "))
    for kind, tag in (("script-src", "script"), ("style-src", "style")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert rules[kind] == "'sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode() + "'"
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy
    assert not re.findall(r"<[^>]*\s(?:style|on\w+)=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", text)


def test_a_page_is_read_back_and_swaps_in_python(page):
    path, explorer = page
    back = sc.load_explorer(path)
    assert back.document == explorer.document
    assert back.subjects == explorer.subjects
    swap = back.swap(["BOS", "D1", "D2", "T"], ["BOS", "D1", "D1", "D1", "D1"])
    assert swap.produced == swap.predicted == (*"RRRR", "EOS")
    assert swap.matches
    assert back.swap(["BOS", "D1"], ["BOS", "D1", "D1", "T"], how="whole").produced == ("R", "R", "EOS")
    assert back.swap(["BOS", "D1"], ["BOS", "T"], value=3.0).produced == (*"TRRR", "EOS")
    assert back.swap(["BOS", "D1"], ["BOS", "T"], how="none").unswapped == ("T", "R", "EOS")
    halfway = back.swap(["BOS", "D1"], ["BOS", "T"], value=2.5)
    assert halfway.predicted is None
    assert halfway.matches is None
    for changes, match in (
        ({"how": "all"}, "how is one of"), ({"alignment": 9}, "alignment"), ({"subject": 1}, "subject"),
        ({"value": 99.0}, "values of 'count'"), ({"value": 1.0, "how": "rest"}, "single variable"),
    ):  # fmt: skip
        with pytest.raises(InvalidArgumentError, match=match):
            back.swap(["BOS", "D1"], ["BOS", "T"], **changes)
    with pytest.raises(InvalidArgumentError, match="not the beginning"):
        back.swap(["D1"], ["BOS", "T"])
    with pytest.raises(UnknownNameError):
        back.swap(["BOS", "X"], ["BOS", "T"])


def test_files_that_are_no_pages_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="cannot be read"):
        sc.load_explorer(tmp_path / "missing.html")
    (tmp_path / "other.html").write_text("<p>other</p>")
    with pytest.raises(CheckpointError, match="no page of an explorer"):
        sc.load_explorer(tmp_path / "other.html")


def test_a_notebook_shows_the_page_in_a_frame(page):
    _, explorer = page
    frame = explorer._repr_html_()
    (content,) = re.findall(r'srcdoc="([^"]*)"', frame)
    assert html.unescape(content) == explorer.html
    assert 'sandbox="allow-scripts allow-forms"' in frame


def test_results_open_their_page():
    subject = make_subject("magnitude")
    assert subject.results.explore().subjects == (subject.network.architecture,)


def test_names_stay_text_in_every_part_of_the_page():
    algorithm = HostileAlgorithm(hostile_task())
    network = sc.make_network("gru", 6, len(algorithm.task.vocabulary), sc.generator(0))
    alignments = {variable.name: random_projector(6, 2, sc.generator(0)) for variable in algorithm.variables}
    results = Results([make_result(name, {name: alignment}, "h", SCRIPT) for name, alignment in alignments.items()])
    explorer = explore_subjects([Subject(SCRIPT, network, algorithm, results, (QUOTES,))], title=SCRIPT + IMAGE)
    text = explorer.html
    assert text.count("</script>") == 2
    assert "<img" not in text
    assert not set(LINES[:2]) & set(text)
    assert json.loads(json_in_html(explorer.document)) == explorer.document


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "megabytes"), [("gru", 3.0), ("lstm-each", 3.0), ("transformer-rope-4", 6.0)])
def test_pages_of_networks_of_128_units_are_small(kind, megabytes):
    subject = make_subject(kind, d=128)
    assert len(explore_subjects([subject]).html) < megabytes * 1e6
