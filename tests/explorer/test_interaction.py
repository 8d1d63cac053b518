"""What a reader does on the page, by mouse, by keyboard and by its address, in a real browser."""

import ast
import contextlib
import io
import json
from types import SimpleNamespace

import pytest
from tests.explorer.examples import make_result, make_subject, random_projector
from tests.explorer.hostile import IMAGE, NAMES, QUOTES, SCRIPT, HostileAlgorithm, hostile_task
from tests.report.browser import CHROMIUM, Page

import symscope as sc
from symscope.alignment import Results
from symscope.explorer import Subject, explore_subjects

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

WIDE, PHONE = (1400, 1000), (390, 844)
READY = """new Promise((done) => {
  const look = () => document.documentElement.dataset.mapped && done(true);
  new MutationObserver(look).observe(document.documentElement, { attributes: true });
  look();
})"""
MAPPED = """new Promise((done) => {
  const text = document.getElementById("map-share");
  const look = () => (text.textContent.includes("%") ? done(true) : setTimeout(look, 50));
  look();
})"""
SETTING = "symscopeExplorer.setting()"
MESSAGE = """document.getElementById("message").textContent"""
KEYS = {"ArrowRight": 39, "ArrowLeft": 37, "ArrowDown": 40, "Enter": 13, "Tab": 9, "Home": 36, "z": 90}


def hostile_subject():
    algorithm = HostileAlgorithm(hostile_task())
    draws = sc.generator(0, "hostile")
    network = sc.make_network("gru", 8, len(algorithm.task.vocabulary), draws).eval()
    results = [
        make_result(name, {name: random_projector(8, 2, draws)}, "h", SCRIPT)
        for name in (variable.name for variable in algorithm.variables)
    ]
    return Subject(SCRIPT + QUOTES, network, algorithm, Results(results), (IMAGE, QUOTES))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    explore_subjects([make_subject("magnitude"), make_subject("gru")], folder / "page.html")
    explore_subjects([hostile_subject()], folder / "hostile.html", title=SCRIPT + IMAGE)
    return folder


@pytest.fixture(scope="module")
def reader(pages, tmp_path_factory):
    """A page that several tests use one after another; each begins with `begin`."""
    with Page(tmp_path_factory.mktemp("reader"), WIDE) as page:
        page.open(pages / "page.html")
        assert page.value(READY)
        page.value("window.first = symscopeExplorer.setting()")
        yield page
        assert page.said == []
        assert [url for url in page.requests if not url.startswith("file:")] == []


@pytest.fixture
def begin(reader):
    reader.value("symscopeExplorer.load(first)")
    return reader


def press(page, key, modifiers=0):
    for kind in ("keyDown", "keyUp"):
        page.call(
            "Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=KEYS[key], modifiers=modifiers
        )


def middle(page, selector):
    box = page.value(
        f"(() => {{ const box = document.querySelector({json.dumps(selector)}).getBoundingClientRect(); "
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    return {"x": box[0], "y": box[1]}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("name", ["page", "hostile"])
def test_the_page_opens_in_silence_and_fits_the_screen(name, size, dark, pages, tmp_path):
    with Page(tmp_path, size, dark=dark) as page:
        page.open(pages / f"{name}.html")
        assert page.value(READY)
        assert page.value("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert page.value("window.hacked") is None
        assert page.said == []
        assert [url for url in page.requests if not url.startswith("file:")] == []
        background = page.value("getComputedStyle(document.body).backgroundColor")
        assert background == ("rgb(21, 25, 30)" if dark else "rgb(255, 255, 255)")


def test_no_script_and_no_markup_can_be_added(pages, tmp_path):
    with Page(tmp_path, WIDE) as page:
        page.open(pages / "page.html")
        assert page.value(READY)
        attempts = """(() => {
          const kept = [];
          const attempt = (name, action) => { try { action(); kept.push(name); } catch { } };
          attempt("markup", () => { document.body.insertAdjacentHTML("beforeend", "<b>x</b>"); });
          attempt("eval", () => { window.hacked = (0, eval)("1"); });
          const script = document.createElement("script");
          attempt("script", () => { script.textContent = "window.hacked = 4"; document.body.append(script); });
          return kept;
        })()"""
        answer = page.call(
            "Runtime.evaluate", expression=attempts, returnByValue=True, allowUnsafeEvalBlockedByCSP=False
        )
        assert answer["result"]["value"] == []
        assert page.value("window.hacked") is None


def test_hostile_names_are_shown_as_text_and_copied_as_literals(pages, tmp_path):
    with Page(tmp_path, WIDE) as page:
        page.open(pages / "hostile.html")
        assert page.value(READY)
        assert page.value("document.title") == SCRIPT + IMAGE
        assert page.value("""document.querySelector("#subject option").textContent""") == SCRIPT + QUOTES
        code = page.value(f"symscopeExplorer.pythonOf({SETTING})")
        literals = [node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)]
        assert {IMAGE, *hostile_task().vocabulary.names} & set(literals) >= set(NAMES[2:4])
        assert printed(code).count("\n") >= 2


def printed(code):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return out.getvalue()


def test_copied_python_repeats_what_the_page_shows(begin):
    settings = [
        {}, {"how": "random"}, {"how": "rest"}, {"variable": "whole"}, {"variable": "none"}, {"value": 4.5},
        {"basePosition": 2, "demos": 2}, {"subject": 1},
    ]  # fmt: skip
    for changes in settings:
        begin.value(f"symscopeExplorer.load({{...first, ...{json.dumps(changes)}}})")
        code = begin.value("""document.getElementById("python").textContent""")
        swap = begin.value(f"symscopeExplorer.intervene({SETTING})")
        names = sc.make_task("multi-object").vocabulary.names
        _, produced, _ = printed(code).splitlines()[:3]
        assert produced.startswith("network after swap: " + " ".join(names[token] for token in swap["produced"])), code


def test_the_address_holds_the_setting_and_gives_it_back(begin, pages, tmp_path):
    begin.value("symscopeExplorer.load({...first, basePosition: 3, how: 'rest', demos: 1})")
    address, setting = begin.value("location.hash"), begin.value(SETTING)
    with Page(tmp_path, WIDE) as page:
        page.open(SimpleNamespace(as_uri=lambda: (pages / "page.html").as_uri() + address))
        assert page.value(READY)
        assert page.value(SETTING) == setting
        assert page.value(MESSAGE) == ""


GOOD = "net=0&swap=0&map=0&how=map&base=1.3.4.6.7.7.2&at=3&source=1.3.6.7.2&from=2&demos=0"
BAD = [
    "x", "net=0", "__proto__=1", GOOD + "&net=0", GOOD + "&value=NaN", GOOD + "&value=1e9", GOOD + "&value=99",
    GOOD.replace("net=0", "net=7"), GOOD.replace("swap=0", "swap=9"), GOOD.replace("map=0", "map=1"),
    GOOD.replace("how=map", "how=<script>"), GOOD.replace("at=3", "at=6"), GOOD.replace("at=3", "at=0"),
    GOOD.replace("at=3", "at=-1"), GOOD.replace("1.3.4.6", "1.7.4.6"), GOOD.replace("1.3.4.6", "3.4.6"),
    GOOD.replace("1.3.4.6", "1.3.4.99"), GOOD.replace("base=1", "base=1" + ".3" * 3000), "a" * 10_000,
    GOOD.replace("demos=0", "demos=4"), GOOD.replace("&demos=0", ""), GOOD + "=1", "%3Cscript%3E",
]  # fmt: skip


def test_a_hostile_address_is_ignored_with_a_message(begin):
    assert begin.value(f"'setting' in symscopeExplorer.readAddress('#{GOOD}')")
    for text in BAD:
        read = begin.value(f"symscopeExplorer.readAddress({json.dumps('#' + text)})")
        assert list(read) == ["fault"], text
        assert read["fault"].startswith("The address was ignored. ")
    before = begin.value(SETTING)
    changed = "addEventListener('hashchange', () => done(true), { once: true });"
    begin.value(f"new Promise((done) => {{ {changed} location.hash = '#{BAD[6]}'; }})")
    assert begin.value(SETTING) == before
    assert begin.value(MESSAGE).startswith("The address was ignored. ")


def test_stops_are_moved_by_keys_and_undone(begin):
    before = begin.value(f"{SETTING}.basePosition")
    begin.value("""document.querySelector('#base-tokens [aria-checked="true"]').focus()""")
    press(begin, "ArrowLeft")
    assert begin.value(f"{SETTING}.basePosition") == before - 1
    assert begin.value("document.activeElement.getAttribute('aria-checked')") == "true"
    press(begin, "Home")
    assert begin.value(f"{SETTING}.basePosition") == 1
    press(begin, "z", modifiers=2)
    assert begin.value(f"{SETTING}.basePosition") == before - 1
    press(begin, "z", modifiers=2 | 8)
    assert begin.value(f"{SETTING}.basePosition") == 1


def test_a_source_token_is_dragged_onto_a_base_token(begin):
    start = middle(begin, '#source-tokens [data-position="3"]')
    end = middle(begin, '#base-tokens [data-position="2"]')
    half = {name: (start[name] + end[name]) / 2 for name in start}
    begin.call("Input.dispatchMouseEvent", type="mousePressed", button="left", buttons=1, clickCount=1, **start)
    for at in (half, end):
        begin.call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **at)
    assert begin.value("document.querySelectorAll('.ghost').length") == 1
    begin.call("Input.dispatchMouseEvent", type="mouseReleased", button="left", clickCount=1, **end)
    assert begin.value(f"[{SETTING}.sourcePosition, {SETTING}.basePosition]") == [3, 2]
    assert begin.value("document.querySelectorAll('.ghost, .over').length") == 0
    begin.value("document.querySelector('#base-tokens [data-position=\"1\"]').click()")
    assert begin.value(f"{SETTING}.basePosition") == 1, "a click after a drag must work"


def test_a_cell_of_the_map_is_reached_by_keys_and_loads_its_pair(begin):
    begin.value("document.querySelector('#map td[tabindex=\"0\"]').focus()")
    label = "document.activeElement.getAttribute('aria-label')"
    before = begin.value(label)
    press(begin, "ArrowDown")
    press(begin, "ArrowRight")
    after = begin.value(label)
    assert after != before
    press(begin, "Enter")
    base, source = (int(word.split()[1]) for word in after.split(":")[0].split(", "))
    values = begin.value(
        """["base", "source"].map((which) => document.getElementById(`${which}-values`).textContent)"""
    )
    assert [int(text.split(",")[0].split()[1]) for text in values] == [base, source]
    assert begin.value("document.activeElement.classList.contains('current')")


def test_typed_sequences_are_checked(begin):
    typed = """((text) => {
      const input = document.getElementById("base-typed");
      input.value = text;
      document.getElementById("base-form").requestSubmit();
      return document.getElementById("message").textContent;
    })"""
    assert begin.value(f"{typed}('BOS D1*2 #4 T R R R EOS')") == ""
    assert begin.value(f"{SETTING}.base") == [1, 3, 3, 4, 6, 7, 7, 7, 2]
    assert "possible: R" in begin.value(f"{typed}('BOS D1 T D1')")
    assert "There is no token X" in begin.value(f"{typed}('BOS X')")
    assert "must begin with BOS" in begin.value(f"{typed}('D1 T R')")
    assert begin.value(f"{SETTING}.base") == [1, 3, 3, 4, 6, 7, 7, 7, 2]


def test_failures_are_stepped_through(begin):
    begin.value("symscopeExplorer.load({...first, subject: 1})")
    assert begin.value(MAPPED)
    seen = []
    for button in ("failure-on", "failure-on", "failure-back"):
        begin.value(f"document.getElementById('{button}').click()")
        assert begin.value("document.getElementById('answer').classList.contains('no')")
        seen.append(int(begin.value("document.getElementById('failure-text').textContent").split()[1]))
    assert seen[1] == seen[0] + 1
    assert seen[2] == seen[0]


def test_the_value_is_slid(begin):
    slide = """((value) => { const input = document.getElementById("value"); input.value = value;
      input.dispatchEvent(new Event("input")); })"""
    begin.value(f"{slide}(5)")
    assert begin.value("document.getElementById('answer').textContent").endswith("5 × R, EOS.")
    assert "5 after the swap" in begin.value("document.getElementById('decoded').textContent")
    begin.value(f"{slide}(5.5)")
    assert "never has this value" in begin.value("document.getElementById('answer').textContent")
    begin.value("document.getElementById('value-reset').click()")
    assert begin.value(f"{SETTING}.value") is None


def test_everything_that_is_operated_has_a_name(begin):
    unnamed = """[...document.querySelectorAll("button, select, input, a, summary, [role=radiogroup], [role=grid]")]
      .filter((node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length))
      .filter((node) => !node.hasAttribute("aria-labelledby")).length"""
    assert begin.value(unnamed) == 0
    assert begin.value("document.querySelectorAll('[aria-live], [role=status]').length") >= 3
