import importlib.util
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location("synthetic", Path(__file__).with_name("synthetic.py"))
synthetic_module = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(synthetic_module)


@pytest.fixture(scope="session")
def synthetic():
    """Made-up tables: `synthetic.scores()`, `synthetic.tables()` and so on."""
    return synthetic_module
