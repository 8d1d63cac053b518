import os
import subprocess
import sys
from pathlib import Path

import pytest

from symscope.runner import open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "store", study="test")


@pytest.fixture
def log():
    """A list that is also a callback for events; `kinds(job)` are the kinds of the events of a job."""

    class Log(list):
        def __call__(self, event):
            self.append(event)

        def kinds(self, job):
            return [event.kind for event in self if event.job == job and event.kind != "progress"]

    return Log()


@pytest.fixture
def light_path(tmp_path, monkeypatch):
    """Lets new processes import symscope.runner without the rest of symscope, so that they start in 0.1 s.

    This also tests that the runner needs no other package of symscope.
    """
    package = tmp_path / "light" / "symscope"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f"__path__ = [{str(ROOT / 'src' / 'symscope')!r}]\n")
    paths = [str(package.parent), str(ROOT)]
    monkeypatch.setattr(sys, "path", [*paths, *sys.path])
    return paths


@pytest.fixture
def start_program(light_path):
    """Starts the small study as a separate program; programs that are alive at the end are killed."""
    programs = []

    def start(folder, *, workers, steps, seconds):
        command = [
            sys.executable,
            "-m",
            "tests.runner.small_study",
            str(folder),
            str(workers),
            str(steps),
            str(seconds),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(light_path)}
        program = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        programs.append(program)
        return program

    yield start
    for program in programs:
        if program.poll() is None:
            program.kill()
        program.wait()
        program.stdout.close()
