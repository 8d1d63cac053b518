"""The page in a real browser: every chart is drawn, what a reader does works, nothing is fetched."""

import base64
import json
import re

import pytest
from tests.report.browser import CHROMIUM, Page

from symscope.figures import draw_figures
from symscope.report import ReportInputs, write_report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

WIDE, PHONE = (1200, 1000), (390, 844)

DRAWN = """new Promise((done) => {
  const look = () => document.documentElement.dataset.drawn && done(true);
  new MutationObserver(look).observe(document.documentElement, { attributes: true });
  look();
})"""
COUNTS = """({
  figures: document.querySelectorAll("figure").length,
  drawn: document.querySelectorAll("figure.drawn .live svg.marks").length,
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  background: getComputedStyle(document.body).backgroundColor,
})"""

# A reader's hands: `press` gives what a button would save, `touch` what a pointer does to a mark.
HANDS = """
const figure = (name) => document.querySelector(`figure[data-figure="${name}"]`);
let take, name;
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { take(blob); return make(blob); };
HTMLAnchorElement.prototype.click = function () { name = this.download; };
async function press(button) {
  const made = new Promise((done) => { take = done; });
  button.click();
  const bytes = new Uint8Array(await (await made).arrayBuffer());
  const text = Array.from(bytes.slice(0, 200_000), (byte) => String.fromCharCode(byte)).join("");
  return { name, size: bytes.length, text: btoa(text) };
}
function touch(node, ...kinds) {
  const box = node.getBoundingClientRect();
  const where = { bubbles: true, clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  for (const kind of kinds) {
    node.dispatchEvent(new (kind.startsWith("pointer") ? PointerEvent : MouseEvent)(kind, where));
  }
  return new Promise((done) => setTimeout(done, 300));
}
async function choose(figure, column, value) {
  const select = figure.querySelector(`select[data-choice="${column}"]`);
  const before = figure.drawing;
  select.value = value;
  select.dispatchEvent(new Event("change"));
  while (figure.drawing === before) await new Promise((done) => setTimeout(done, 50));
}
"""


@pytest.fixture(scope="module")
def written(synthetic, tmp_path_factory):
    """The pages of a study and of a zoo, and how many figures each must have."""
    pages = {}
    study = {**synthetic.tables(), "scores": synthetic.scores(ks=(1, 4, 24))}
    for kind, tables in (("study", study), ("zoo", synthetic.zoo())):
        files = write_report(ReportInputs("Browser", tables), tmp_path_factory.mktemp(kind))
        pages[kind] = files.page, len(draw_figures(tables))
    return pages


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("kind", ["study", "zoo"])
def test_every_chart_is_drawn_in_silence_and_nothing_is_fetched(kind, size, dark, written, tmp_path):
    path, figures = written[kind]
    with Page(tmp_path, size, dark=dark) as page:
        page.open(path)
        assert page.value(DRAWN)
        counts = page.value(COUNTS)
        assert counts["figures"] == counts["drawn"] == figures
        assert counts["wide"] <= 0, "the page is wider than the screen"
        assert counts["background"] == ("rgb(21, 25, 30)" if dark else "rgb(255, 255, 255)")
        assert page.said == []
        assert [url for url in page.requests if not url.startswith(("file:", "data:", "blob:"))] == []


def test_without_scripts_the_images_and_the_links_stand(written, tmp_path):
    path, figures = written["study"]
    with Page(tmp_path, WIDE, script=False) as page:
        page.open(path)
        text = base64.b64decode(page.call("Page.captureScreenshot")["data"])
        assert text[1:4] == b"PNG"
        tree = page.call("DOM.getOuterHTML", nodeId=page.call("DOM.getDocument", depth=-1)["root"]["nodeId"])
        assert 'class="drawn"' not in tree["outerHTML"]
        assert tree["outerHTML"].count('class="tools needs-script" hidden') == figures


def test_the_page_is_printed_with_every_figure(written, tmp_path):
    with Page(tmp_path, WIDE) as page:
        page.open(written["study"][0])
        assert page.value(DRAWN)
        pdf = base64.b64decode(page.call("Page.printToPDF")["data"])
        assert pdf.startswith(b"%PDF")
        assert 3 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 20


@pytest.fixture(scope="module", params=[WIDE, PHONE], ids=["wide", "phone"])
def reader(request, written, tmp_path_factory):
    """A drawn page with a reader's hands on it."""
    with Page(tmp_path_factory.mktemp("reader"), request.param) as page:
        page.open(written["study"][0])
        assert page.value(DRAWN)
        page.value(f"{HANDS}; true")
        yield page


def test_a_figure_and_its_data_are_saved_from_the_page_alone(reader, synthetic):
    saved = reader.value("""(async () => {
      const saved = {};
      for (const button of figure("trial_accuracy").querySelectorAll("button")) {
        saved[button.textContent] = await press(button);
      }
      return saved;
    })()""")
    texts = {name: base64.b64decode(one["text"]) for name, one in saved.items()}
    assert {name: one["name"] for name, one in saved.items()} == {
        "SVG": "trial_accuracy.svg",
        "PNG": "trial_accuracy.png",
        "Data (CSV)": "trial_accuracy.csv",
        "Vega-Lite (JSON)": "trial_accuracy.vl.json",
    }
    assert texts["SVG"].startswith(b"<svg ")
    assert texts["PNG"][1:4] == b"PNG"
    header, *rows = texts["Data (CSV)"].decode().splitlines()
    assert {"seed", "quantity", "kind", "accuracy"} <= set(header.split(","))
    assert len(rows) == synthetic.trial_accuracy().height
    assert json.loads(texts["Vega-Lite (JSON)"])["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    table = reader.value("""press(document.querySelector('button[data-table="training"]'))""")
    assert table["name"] == "training.csv"
    assert base64.b64decode(table["text"]).decode() == synthetic.training().write_csv()


def test_a_seed_is_chosen_by_a_control(reader):
    dots = """figure("iia_bars").querySelectorAll(".mark-symbol path").length"""
    every = reader.value(dots)
    reader.value("""choose(figure("iia_bars"), "seed", "1")""")
    one = reader.value(dots)
    reader.value("""choose(figure("iia_bars"), "seed", "")""")
    assert 0 < one < every == reader.value(dots)


def test_a_seed_is_chosen_in_the_legend(reader):
    faint = """[...figure("training").querySelectorAll(".mark-line path")].filter(
      (line) => Number(line.getAttribute("opacity") ?? line.getAttribute("stroke-opacity") ?? 1) < 0.5).length"""
    assert reader.value(faint) == 0
    symbol = """figure("training").querySelector(".role-legend-symbol path")"""
    reader.value(f"""touch({symbol}, "pointerdown", "mousedown", "pointerup", "mouseup", "click")""")
    assert reader.value(faint) > 0


def test_states_are_zoomed_with_the_wheel_and_ctrl_alone_and_come_back(reader):
    labels = """[...figure("aligned_states-count").querySelectorAll(".role-axis-label text")]
      .map((label) => label.textContent).sort().join(" ")"""
    wheel = """(async (ctrlKey, kind) => {
      const plot = figure("aligned_states-count").querySelector(".role-scope .mark-symbol path");
      const box = plot.getBoundingClientRect();
      const where = { bubbles: true, cancelable: true, clientX: box.x, clientY: box.y, deltaY: -400, ctrlKey };
      plot.dispatchEvent(kind === "wheel" ? new WheelEvent(kind, where) : new MouseEvent(kind, where));
      await new Promise((done) => setTimeout(done, 300));
    })"""
    before = reader.value(labels)
    reader.value(f"{wheel}(false, 'wheel')")
    assert reader.value(labels) == before
    reader.value(f"{wheel}(true, 'wheel')")
    assert reader.value(labels) != before
    reader.value(f"{wheel}(false, 'dblclick')")
    assert reader.value(labels) == before


def test_one_network_of_several_is_shown_alone(reader):
    plots = """figure("aligned_states-count").querySelectorAll(".live .role-legend-title").length"""
    every = reader.value(plots)
    reader.value("""choose(figure("aligned_states-count"), "panel", "seed 1")""")
    assert reader.value(plots) == every // 2
    assert "seed 0" not in reader.value("""figure("aligned_states-count").querySelector(".live").textContent""")


def test_a_pointer_is_told_the_value_and_its_interval(reader):
    reader.value("""touch(figure("iia_bars").querySelector(".mark-rect.role-mark path"), "pointermove", "mousemove")""")
    tooltip = reader.value("""document.querySelector("#vg-tooltip-element").innerText""")
    assert "IIA" in tooltip
    assert "95% from" in tooltip


def test_everything_can_be_reached_by_keyboard_and_has_a_name(reader):
    unnamed = """[...document.querySelectorAll("button, select, a, summary")].filter(
      (node) => !(node.textContent.trim() || node.ariaLabel || node.labels?.length)).length"""
    assert reader.value(unnamed) == 0
    reader.call("Input.dispatchKeyEvent", type="keyDown", key="Tab", code="Tab", windowsVirtualKeyCode=9)
    assert reader.value("document.activeElement.className") == "skip"
    assert reader.value("getComputedStyle(document.activeElement).outlineStyle") == "solid"
