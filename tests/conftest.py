"""Settings that every test runs under."""

import os

# Each worker of pytest-xdist gets one thread, and so do the processes it starts; set before any library reads it.
UNDER_XDIST = "PYTEST_XDIST_WORKER" in os.environ
if UNDER_XDIST:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(name, "1")

import hypothesis
import torch

if UNDER_XDIST:
    torch.set_num_threads(1)

# Examples here take as long as a batch takes, so no deadline. CI draws the same ones every time.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")
