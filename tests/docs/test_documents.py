"""Documents: their examples run and print what they show, links exist, lines are short, and names are current."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from symscope.studies import read_study
from symscope.studies.collection import is_collection, read_collection, studies_of

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
TEXTS = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in PAGES}

PARTS_OF_FILES = {"docs/how-to/own-task.md", "docs/how-to/studies.md"}
"""Pages with Python blocks that cannot run alone: parts of a tested file, and a query of a finished study."""
EXAMPLES = [
    (page, number)
    for page, text in TEXTS.items()
    if page not in PARTS_OF_FILES
    for number in range(text.count("```python\n"))
]
NUMBER = re.compile(r"\d[\d,]*\.?\d*")

OLD_WORDS = re.compile(
    r"\b(Evidence|save_evidence|load_evidence|Unseen|UnseenDraws|draw_unseen|Examined|draw_apart|wanted_states|"
    r"shuffled-values|random-subspace|losses_after|redrawn|more_demo|told_apart|function_options|prefeed|onwards|"
    r"disguised?|disguises|in_a_row|keep_every|SURE_DIVERGENCE|Ticket|Stretch|Workbench|settle_what_is_there|"
    r"errors_told|whole_lines|GeneralLinear|company|anew|apart|beside|asked|told)\b"
)
"""Words that no page may use."""
OLD_NAMES = re.compile(
    r"\b(find|matters?|relabel|prepare|Prepared|Question|Found|Blocks|Learned|Through|View|Cut|landmark)\b"
)
"""Names that no code of a page may use; as words of a sentence they are allowed."""


def blocks(text: str) -> list[tuple[str, str | None, bool]]:
    """Each Python block of a page, the output that the page shows for it, and whether that is only an example.

    The output is the next block after the word "prints"; "prints, for example," may change with rounding.
    """
    parts = re.findall(r"```python\n(.*?)```(.*?)(?=```python\n|\Z)", text, re.DOTALL)
    shown = [re.match(r"([^`]*\bprints?\b[^`]*)```(?:text)?\n(.*?)```", after, re.DOTALL) for _, after in parts]
    return [
        (code, output and output.group(2), bool(output and "for example" in output.group(1)))
        for (code, _), output in zip(parts, shown, strict=True)
    ]


def run(code: str) -> str:
    with TemporaryDirectory() as folder:
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=folder, encoding="utf-8"
        )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


SLOW_PAGES = (
    "docs/concepts/alignments.md",
    "docs/how-to/own-network.md",
    "docs/how-to/state-space.md",
    "docs/start.md",
    "docs/tutorials/hypothesis.md",
    "docs/tutorials/torch-rnn.md",
    "docs/tutorials/two-models.md",
)
"""Their examples import transformers, or train networks."""


@pytest.mark.parametrize(
    ("page", "number"),
    [
        pytest.param(page, number, marks=[pytest.mark.slow] if page in SLOW_PAGES else [], id=f"{page} {number}")
        for page, number in EXAMPLES
    ],
)
def test_examples_run_and_print_what_the_page_shows(page: str, number: int) -> None:
    """Words are equal up to line breaks; a number may differ a little on a processor with other rounding."""
    code, shown, only_an_example = blocks(TEXTS[page])[number]
    printed = run(code)
    if shown is None:
        return
    if only_an_example:
        printed, shown = ("\n".join(re.findall(r"^\w+: IIA.*$", text, re.MULTILINE)) for text in (printed, shown))
        assert printed
    assert words(printed) == words(shown)
    for got, expected in zip(numbers(printed), numbers(shown), strict=True):
        assert got == pytest.approx(expected, rel=0.1, abs=0.1)


def words(text: str) -> str:
    """The words of a text, numbers as #, on one line."""
    return " ".join(NUMBER.sub("#", text).split())


def numbers(text: str) -> list[float]:
    return [float(number.replace(",", "").rstrip(".")) for number in NUMBER.findall(text)]


def test_the_readme_shows_the_output_of_its_example() -> None:
    ((_, shown, _),) = blocks(TEXTS["README.md"])
    assert shown is not None
    assert "IIA" in shown


STUDIES = [
    (page, block) for page, text in TEXTS.items() for block in re.findall(r"```yaml\n(name: .*?)```", text, re.DOTALL)
]


@pytest.mark.parametrize(("page", "block"), STUDIES, ids=[page for page, _ in STUDIES])
def test_declarations_of_studies_are_valid(page: str, block: str) -> None:
    if is_collection(block):
        studies_of(read_collection(block, page))
    else:
        read_study(block, page)


def test_shapes_in_comments_of_the_networks_page_are_the_printed_shapes() -> None:
    code, _, _ = blocks(TEXTS["docs/how-to/networks.md"])[0]
    shapes = re.findall(r"torch\.Size\(\[(.*?)\]\)", run(code))
    assert shapes
    assert all(f"({shape})" in code for shape in shapes)


@pytest.mark.parametrize("page", TEXTS)
def test_relative_links_exist(page: str) -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", TEXTS[page]):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in TEXTS if page.startswith("docs/") and page != "docs/index.md"])
def test_the_index_links_every_page(page: str) -> None:
    assert f"]({Path(page).relative_to('docs')})" in TEXTS["docs/index.md"]


@pytest.mark.parametrize("page", TEXTS)
def test_lines_are_short(page: str) -> None:
    """At most 120 characters, rows of tables at most 200."""
    lines = enumerate(TEXTS[page].splitlines(), 1)
    long = {number: len(line) for number, line in lines if len(line) > (200 if line.lstrip().startswith("|") else 120)}
    assert not long, f"lines and their lengths: {long}"


@pytest.mark.parametrize("page", TEXTS)
def test_names_are_current(page: str) -> None:
    text = re.sub(r"\]\([^)]*\)", "]", TEXTS[page])  # addresses are no prose
    assert not OLD_WORDS.findall(text)
    for fenced, inline in re.findall(r"```.*?\n(.*?)```|`([^`\n]+)`", text, re.DOTALL):
        assert not OLD_NAMES.findall(fenced or inline)


def test_contributing_names_every_make_target() -> None:
    targets = re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(targets) > 6
    for target in set(targets) - {"help"}:
        assert f"| `make {target}` |" in TEXTS["CONTRIBUTING.md"], target


def test_the_fuzz_target_of_contributing_finds_no_fault(tmp_path: Path) -> None:
    """In a process without run-time checks of types, as in `tests/test_fuzz.py`."""
    (code,) = re.findall(r"```py\n(.*?)```", TEXTS["CONTRIBUTING.md"], re.DOTALL)
    program = f"""{code}
import json, sys
from pathlib import Path
from random import Random
from fuzz.cases import run_input
target, draws, folder = Target(Path(sys.argv[1])), Random(0), Path(sys.argv[1])
findings = [run_input(target, "target", target.draw(draws), folder, str(case)) for case in range(10)]
print(json.dumps([finding.text for finding in findings if finding]))
target.run(target.content, folder)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == "[]"


def test_the_glossary_is_sorted() -> None:
    terms = re.findall(r"^\*\*(.+?)\*\*", TEXTS["docs/glossary.md"], re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(terms, key=str.casefold)


def test_the_names_of_paper_to_code_exist() -> None:
    """Each row of the page names files of the package, each with names that the file defines or holds."""
    rows = [line for line in TEXTS["docs/concepts/paper-to-code.md"].splitlines() if line.startswith("| ")]
    checked = 0
    for row in rows:
        file = None
        for code in re.findall(r"`([^`]+)`", row.rsplit(" | ", 1)[-1]):
            if code.endswith((".py", ".yaml")):
                file = ROOT / "src/symscope" / code
                assert file.exists(), code
            elif file:
                text = file.read_text(encoding="utf-8")
                for name in re.findall(r"\w+", code):
                    assert re.search(rf"\b{name}\b", text), f"{name} in {file.name}"
                    checked += 1
    assert checked > 60
