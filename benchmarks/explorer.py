"""The explorer: milliseconds for 400 swaps in the page, in a headless Chromium, and the size of the page."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.explorer.examples import make_subject
from tests.report.browser import CHROMIUM, Page

import symscope as sc
from benchmarks.cases import ALGORITHM, trained_network
from benchmarks.rows import Row, Setting
from symscope.explorer import Subject, explore_subjects

RUNS = 5
SWAPS = 400
TARGETS = {("gru", 48): "target: 1,000 ms", ("gru", 128): "target: 4,000 ms"}
"""The other networks have fresh weights: they do not end their answers, so each swap runs for longer."""
FRESH = (("lstm", 128), ("transformer-rope", 128), ("transformer-rope-4", 128))
SIZES = {"gru": 3, "lstm": 3, "transformer-rope-4": 6}
"""Largest size of a page for d = 128, in MB."""
MAP = """new Promise((done) => {
  const look = () => {
    const map = symscopeExplorer.map();
    if (map?.milliseconds) done([map.milliseconds, map.cells.length]);
    else setTimeout(look, 50);
  };
  look();
})"""


def rows(setting: Setting) -> Iterator[Row]:
    """The map of all pairs of counts, loaded in a new browser each time; the time is that of the swaps alone."""
    if CHROMIUM is None:
        return
    subjects = [(f"gru, d = {d}, trained", _trained(d, setting), note) for (_, d), note in TARGETS.items()]
    subjects += [(f"{kind}, d = {d}, fresh weights", make_subject(kind, d=d), "") for kind, d in FRESH]
    for name, subject, note in subjects:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "page.html"
            explore_subjects([subject], path)
            took = [_milliseconds(path) for _ in range(RUNS)]
            clock, processor = zip(*took, strict=True)
            yield Row.of(f"{SWAPS} swaps, {name}, by the clock", clock, "ms", note)
            yield Row.of(f"loading and all swaps, {name}, of the processor", processor, "ms")
            kind, size = subject.name, path.stat().st_size / 1e6
            limit = f"target: {SIZES[kind]} MB" if kind in SIZES else ""
            yield Row(f"page, {name}", size, size, size, "MB", 1, limit)


def _trained(d: int, setting: Setting) -> Subject:
    network = trained_network("gru", d, replace(setting, device="cpu")).eval()
    function, options = sc.Oblique(coordinates="natural-span"), sc.SearchOptions(steps=100)
    results = sc.align(network, ALGORITHM, ["count"], k=8, function=function, options=options, controls=[])
    return Subject("gru", network, ALGORITHM, results)


def _milliseconds(path: Path) -> tuple[float, float]:
    """Milliseconds of the swaps by the clock, and of the processor for the whole page with its swaps."""
    with tempfile.TemporaryDirectory() as folder, Page(Path(folder)) as page:
        page.call("Performance.enable", timeDomain="threadTicks")
        page.open(path)
        milliseconds, swaps = page.value(MAP)
        metrics = {entry["name"]: entry["value"] for entry in page.call("Performance.getMetrics")["metrics"]}
        return milliseconds * SWAPS / swaps, 1000 * metrics["TaskDuration"]
