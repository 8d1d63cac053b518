"""What the documents show runs as pasted, and what they link to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
EXAMPLES = {page: re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) for page in PAGES}


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/own-network.md", "docs/concepts/alignments.md"])
def test_examples_run_as_pasted(page: str) -> None:
    (code,) = EXAMPLES[ROOT / page]
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr
    assert "IIA" in ended.stdout
    if page == "README.md":
        shown = [float(share) / 100 for share in re.findall(r"(\d+)% of trials", ended.stdout)]
        found = [float(iia) for iia in re.findall(r"up-down at h, k = 24: IIA ([\d.]+)", ended.stdout)]
        assert (len(shown), len(found)) == (4, 2)
        assert min(shown) > 0.8
        assert min(found) > 0.8


def test_what_is_shown_of_networks_is_what_comes_out() -> None:
    (code,) = EXAMPLES[ROOT / "docs/how-to/networks.md"]
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr
    shapes = re.findall(r"torch\.Size\(\[(.*?)\]\)", ended.stdout)
    assert shapes == ["2, 9, 64", "2, 2, 4, 9, 9", "8, 1"]
    assert all(f"({shape})" in code for shape in shapes)
    assert "up-down h" in ended.stdout


def test_what_is_shown_of_checks_is_what_comes_out() -> None:
    page = ROOT / "docs/how-to/checks.md"
    (code,) = EXAMPLES[page]
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr
    (shown,) = re.findall(r"It prints\n\n```\n(.*?)```", page.read_text(), re.DOTALL)
    assert ended.stdout == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target
