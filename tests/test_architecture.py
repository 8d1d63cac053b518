"""The house stands as its plan says: who imports whom, and what `import symscope` costs."""

import subprocess
import sys
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[1]

# Imported where they are used, so that `import symscope` stays quick.
HEAVY = ("altair", "fsspec", "jinja2", "polars", "ray", "rich", "scipy", "sklearn", "typer", "upath", "vl_convert")


def test_import_contracts(capsys):
    broken = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert not broken, capsys.readouterr().out


def test_import_stays_light():
    # Compared with torch alone, which brings some of these itself.
    report = f"import sys; print(*sorted(set({HEAVY!r}) & set(sys.modules)))"
    loaded = {
        start: subprocess.run(
            [sys.executable, "-c", f"import {start}; {report}"], capture_output=True, text=True, check=True
        ).stdout.split()
        for start in ("torch", "symscope")
    }
    assert set(loaded["symscope"]) <= set(loaded["torch"])
