"""A small study of resumable jobs; tests start it as a separate program and kill it.

`python small_study.py FOLDER WORKERS STEPS SECONDS`; exit code 130 after an interruption.
"""

import sys

from symscope.runner import Job, Plan, local, open_store, run

CHAIN = "tests.runner.stages:chain"


def make_plan(*, steps, seconds):
    def job(name, *needs):
        return Job(name, CHAIN, {"seed": name, "steps": steps, "seconds": seconds}, needs)

    first = [job(f"first{number}") for number in range(4)]
    second = [job(f"second{number}", f"first{number}", f"first{(number + 1) % 4}") for number in range(4)]
    return Plan([*first, *second, job("last", *(job.name for job in second))], result_version="1")


def main(folder, workers, steps, seconds):
    plan = make_plan(steps=int(steps), seconds=float(seconds))
    store = open_store(folder, study="small")

    def print_event(event):
        sys.stdout.write(f"{event.kind} {event.job}\n")
        sys.stdout.flush()

    try:
        outcome = run(plan, store, local(int(workers)), on_event=print_event)
    except KeyboardInterrupt:
        return 130
    return 0 if outcome.ok else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
