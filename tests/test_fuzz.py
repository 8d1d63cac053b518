"""Fuzzing: a few mutated inputs for each target, and all inputs that ever found a fault; many with `python -m fuzz`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.__main__ import NAMES

ROOT = Path(__file__).parents[1]
# In a process without run-time checks of types: a user's process has none either.
PROGRAM = """
import contextlib, json, sys, tempfile
from pathlib import Path
from fuzz import cases
from fuzz.cases import load_target, run_case, run_input, watch_process
from fuzz.fixed import fixed_cases
cases.TIME_LIMIT_S = 300.0  # this test does not depend on speed
watch_process()
findings, fixed = [], 0
with tempfile.TemporaryDirectory(prefix="fuzz") as name:
    folder = Path(name)
    targets = {}
    for target in sys.argv[2:]:
        (folder / target).mkdir()
        targets[target] = load_target(target, folder / target)
        for number in range(int(sys.argv[1])):
            with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
                findings.append(run_case(targets[target], target, number, 0, folder))
    for target, content in fixed_cases():
        fixed += 1
        finding = run_input(targets[target], target, content, folder, repr(content)[:200])
        findings.append(finding)
print(json.dumps({"cases": len(findings), "fixed": fixed, "faults": [vars(f) for f in findings if f]}))
"""


def test_mutated_inputs_work_or_are_refused() -> None:
    command = [sys.executable, "-c", PROGRAM, "15", *NAMES]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    seen = json.loads(ended.stdout.splitlines()[-1])
    assert seen["faults"] == []
    assert seen["fixed"] > 20
    assert seen["cases"] == 15 * len(NAMES) + seen["fixed"]


BROKEN = """
import os, sys, tempfile
from pathlib import Path
from fuzz import cases
cases.TIME_LIMIT_S = 0.2
cases.watch_process()
class Target:
    def run(self, content, folder): exec(content)
with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
    for text in sys.argv[1:]:
        finding = cases.run_input(Target(), "broken", text, Path(folder), text)
        print(finding.text if finding else "none")
"""


def test_each_kind_of_fault_is_found(tmp_path) -> None:
    """A traceback, a hang, exhausted memory, a file outside, an import of the canary; and nothing where all is well."""
    outside = Path.home() / "fuzz-outside.txt"
    texts = {
        "pass": "none",
        "from symscope.errors import StoreError; raise StoreError('refused')": "none",
        "raise KeyError('x')": "KeyError",
        "while True: pass": "TooSlowError",
        "bytearray(2**42)": "MemoryError",
        f"open({str(outside)!r}, 'w')": f"wrote {outside}",
        "import fuzz_canary": "ModuleNotFoundError",
        "from symscope.errors import StoreError; raise StoreError('')": "an error without a message",
    }
    try:
        ended = subprocess.run(
            [sys.executable, "-c", BROKEN, *texts], cwd=ROOT, capture_output=True, text=True, check=True
        )
    finally:
        outside.unlink(missing_ok=True)
    assert all(line.startswith(text) for line, text in zip(ended.stdout.splitlines(), texts.values(), strict=True)), (
        ended
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_mutated_inputs(name) -> None:
    ended = subprocess.run([sys.executable, "-m", "fuzz", name, "--cases", "1000", "--seed", "7"], cwd=ROOT,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert ended.returncode == 0, ended.stdout
