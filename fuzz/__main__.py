"""`python -m fuzz TARGET --cases 10000`: many cases of a target; exit code 1 if one has a fault."""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.cases import load_target, run_case, watch_process

NAMES = sorted(path.stem for path in (Path(__file__).parent / "targets").glob("[a-z]*.py"))
STALLED_S = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--worker", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        return work(options.target, options.first, options.cases, options.seed, Path(options.worker))
    return supervise(options.target, options.first, options.cases, options.seed)


def work(name: str, first: int, cases: int, seed: int, state: Path) -> int:
    """Runs cases in this process; the file holds the number of the case that runs."""
    watch_process()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        target = load_target(name, Path(folder))
        for number in range(first, first + cases):
            state.write_text(str(number))
            with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
                finding = run_case(target, name, number, seed, Path(folder))
            if finding is not None:
                print(json.dumps({"case": finding.case, "text": finding.text}), flush=True)
        state.write_text("done")
    return 0


def supervise(name: str, first: int, cases: int, seed: int) -> int:
    """Runs a worker, and another one after each case that ends or stops it."""
    started, end, findings = time.monotonic(), first + cases, []
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        state, output = Path(folder) / "state", Path(folder) / "output"
        while first < end:
            state.write_text(str(first))
            command = [sys.executable, "-m", "fuzz", name, "--first", str(first), "--cases", str(end - first)]
            with output.open("a") as stream:
                worker = subprocess.Popen(
                    [*command, "--seed", str(seed), "--worker", str(state)], stdout=stream, stderr=subprocess.DEVNULL
                )
                while worker.poll() is None:
                    time.sleep(0.2)
                    if time.time() - state.stat().st_mtime > STALLED_S:
                        worker.kill()
            if state.read_text() == "done":
                break
            first = int(state.read_text())
            findings.append({"case": f"seed {seed}, case {first}", "text": f"the process ended: {worker.returncode}"})
            first += 1
        findings += [json.loads(line) for line in output.read_text().splitlines() if line.startswith("{")]
    for finding in findings:
        print(f"{name}, {finding['case']}: {finding['text']}")
    print(f"{name}: {cases} cases in {time.monotonic() - started:.0f} s, {len(findings)} with a fault")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
