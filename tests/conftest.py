"""Settings that every test runs under."""

import importlib
import os
from types import ModuleType

# One thread for each process of the tests and each that it starts, set before any library reads it: matrices here are
# small, and threads that wait for each other on a busy machine cost more than they bring.
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
    os.environ.setdefault(name, "1")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)

# Examples here take as long as a batch takes, so no deadline. CI draws the same ones every time.
slow_is_fine = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("default", deadline=None, suppress_health_check=slow_is_fine)
hypothesis.settings.register_profile(
    "ci", deadline=None, suppress_health_check=slow_is_fine, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """Made-up tables, for tests of what is done with tables: `synthetic.scores()`, `synthetic.tables()` and so on."""
    return importlib.import_module("tests.analysis.synthetic")
