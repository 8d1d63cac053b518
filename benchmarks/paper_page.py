"""The claims of `docs/results/paper.md`, from the tables of studies: `python -m benchmarks.paper_page [FOLDER ...]`.

Each FOLDER is that of a finished study: the tables that decide claims are first copied to `docs/results/paper/data`.
The page is decided by the tables there alone. Its text up to the heading `## The claims` is written by hand.
"""

import json
import shutil
import sys
from pathlib import Path

from benchmarks.rows import CACHE
from symscope.analysis.claim_list import CLAIMS
from symscope.cli.collection import write_claims_page
from symscope.cli.results import combined_inputs
from symscope.report import claims_inputs, claims_markdown
from symscope.report.inputs import FACTS_FILE, TABLES_FOLDER

PAGE = Path("docs/results/paper.md")
DATA = Path("docs/results/paper/data")
FIGURES = Path("docs/results/paper/figures")
TITLE = "The paper, claim by claim"
HEADING = "## The claims\n"
NEEDED = {name for claim in CLAIMS for name in claim.needs}
"""Tables that decide claims."""


def add(study: Path) -> None:
    """Copies the facts of a finished study and its tables that decide claims; replaces those of an earlier copy."""
    to = DATA / study.name
    shutil.rmtree(to, ignore_errors=True)
    (to / TABLES_FOLDER).mkdir(parents=True)
    facts = json.loads((study / FACTS_FILE).read_text(encoding="utf-8"))
    facts["facts"].pop("Duration", None)
    (to / FACTS_FILE).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for table in sorted((study / TABLES_FOLDER).glob("*.parquet")):
        if table.stem in NEEDED:
            shutil.copy(table, to / TABLES_FOLDER)


def studies() -> list[Path]:
    """The copies, in the order of their names."""
    return sorted(DATA.iterdir())


def decided() -> str:
    """What stands below the heading of the page."""
    tables = claims_inputs(combined_inputs(studies()), TITLE).tables
    return claims_markdown(tables, TITLE, FIGURES.relative_to(PAGE.parent).as_posix()).partition("\n\n")[2]


def main() -> None:
    for study in map(Path, sys.argv[1:]):
        add(study)
    folder = CACHE / "paper_page"
    write_claims_page(studies(), folder, TITLE, "python -m benchmarks.paper_page")
    shutil.rmtree(FIGURES, ignore_errors=True)
    FIGURES.mkdir(parents=True)
    for figure in sorted((folder / "figures").glob("claim-*.svg")):
        shutil.copy(figure, FIGURES)
    by_hand = PAGE.read_text(encoding="utf-8").partition(HEADING)[0]
    PAGE.write_text(f"{by_hand}{HEADING}\n{decided()}", encoding="utf-8")


if __name__ == "__main__":
    main()
