import importlib.util
from pathlib import Path

import pytest

_FILE = Path(__file__).parents[1] / "analysis" / "synthetic.py"
_SPEC = importlib.util.spec_from_file_location("synthetic", _FILE)
synthetic_module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(synthetic_module)


@pytest.fixture(scope="session")
def synthetic():
    """Made-up tables: `synthetic.scores()`, `synthetic.tables()` and so on."""
    return synthetic_module
