"""The page in a real browser: every chart is drawn, nothing is complained about, nothing is fetched."""

import json
import re
import shutil
import subprocess

import pytest

from symscope.report import ReportInputs, save_inputs, write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # Chromium's own services stay offline, too
]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture(scope="module", params=["wide", "phone", "zoo wide", "zoo phone"])
def visit(request, synthetic, tmp_path_factory):
    """The page after its scripts ran: its elements, the browser's console, what was fetched, and how many figures."""
    folder = tmp_path_factory.mktemp("page")
    study = {**synthetic.tables(), "scores": synthetic.scores(ks=(1, 4, 24))}
    inputs = ReportInputs("Browser", synthetic.zoo() if "zoo" in request.param else study)
    save_inputs(inputs, folder)
    page = write_report(inputs, folder).page
    size = {"wide": "1200,1000", "phone": "500,900"}[request.param.removeprefix("zoo ")]
    net_log = folder / "net.json"
    result = subprocess.run(
        [
            CHROMIUM,
            *QUIET,
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={size}",
            f"--log-net-log={net_log}",
            "--enable-logging=stderr",
            "--virtual-time-budget=30000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return result.stdout, result.stderr, net_log.read_text(), 3 if "zoo" in request.param else 8


def test_every_chart_is_drawn(visit):
    dom, _, _, count = visit
    figures = re.findall(r"<figure [^>]*>", dom)
    assert len(figures) == count
    assert all('class="drawn"' in figure for figure in figures)
    assert len(re.findall(r'<svg [^>]*class="marks"', dom)) == count
    assert 'data-drawn="yes"' in dom


def test_the_console_stays_silent(visit):
    _, log, _, _ = visit
    assert "CONSOLE" not in log, [line for line in log.splitlines() if "CONSOLE" in line]


def test_no_request_leaves_the_page(visit):
    _, _, net_log, _ = visit
    # Chromium's own services are not the page's: only requests that name the page as their initiator count.
    text = net_log if net_log.rstrip().endswith("}") else net_log.rstrip().rstrip(",") + "]}"
    events = [event.get("params", {}) for event in json.loads(text)["events"]]
    urls = [e["url"] for e in events if "url" in e and str(e.get("initiator", "")) not in ("", "not an origin")]
    assert [url for url in urls if not url.startswith(("file:", "data:", "blob:"))] == []
