"""Trial accuracy of six small GRUs by length of training: `python -m benchmarks.training_length`.

It decides how long the presets that reproduce the paper train, by accuracy alone, before any alignment is searched.
Each network (Multi-Object, d = 20) is trained once, for 20,000 updates; its checkpoints are tested on new sequences at
the first solution (3 validations in a row without a fault), after 4,800 updates and at the end. Rows are appended to
`out/bench/training_length.jsonl`; a run that was interrupted continues there.
"""

import json
from statistics import median

from benchmarks.rows import CACHE
from symscope.networks import make_network
from symscope.seeds import generator
from symscope.tasks import make_task
from symscope.training import TrainingOptions, Validation, load_network, train, trial_accuracy
from symscope.training.trainer import UPDATES_AN_EPOCH

ROWS = CACHE / "training_length.jsonl"
TASK = make_task("multi-object")
SEEDS = range(6)
LENGTHS = (4_800, 20_000)
EACH = 100
"""Trials for each quantity."""
OPTIONS = TrainingOptions(learning_rate=1e-3, epochs=2_500, consecutive=10**6, checkpoint_every=5)


def first_solution(history: tuple[Validation, ...], consecutive: int = 3) -> int:
    """Update at which `consecutive` validations in a row were without a fault."""
    faultless = [min(row.trained_accuracy, row.held_out_accuracy) == 1 for row in history]
    run = 0
    for row, good in zip(history, faultless, strict=True):
        run = run + 1 if good else 0
        if run == consecutive:
            return row.update
    raise ValueError("the network did not solve its task")


def measure(seed: int) -> list[dict[str, float | int | str]]:
    """Rows of one network: accuracy on trained, held-out and larger quantities at each length."""
    network = make_network("gru", 20, len(TASK.vocabulary), generator(seed, "network"))
    folder = CACHE / "training_length" / str(seed)
    history = train(network, TASK, seed, OPTIONS, folder=folder).history
    rows = []
    for name, update in (("first solution", first_solution(history)), *((f"{n:,}", n) for n in LENGTHS)):
        trained = load_network(folder / f"epoch-{update // UPDATES_AN_EPOCH:05d}.safetensors")
        beyond = range(21, 31)
        scores = trial_accuracy(
            trained, TASK, generator(seed, "test"), each=EACH, quantities=[*TASK.quantities, *beyond]
        )
        mean = {
            part: sum(s.trial_accuracy for s in scores if s.quantity in chosen) / len(chosen)
            for part, chosen in (("trained", TASK.trained), ("held_out", TASK.held_out), ("beyond", beyond))
        }
        rows.append({"seed": seed, "length": name, "updates": update, **mean, "seconds": history[-1].seconds})
    return rows


def main() -> None:
    ROWS.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []
    for seed in SEEDS:
        if all(row["seed"] != seed for row in rows):
            rows += measure(seed)
            ROWS.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print("| length | updates | trained | held out | 21 to 30 |\n|---|---|---|---|---|")
    for length in dict.fromkeys(row["length"] for row in rows):
        chosen = [row for row in rows if row["length"] == length]
        parts = (
            f"{median(values):.4f} ({min(values):.4f})"
            for values in ([row[part] for row in chosen] for part in ("trained", "held_out", "beyond"))
        )
        updates = sorted(row["updates"] for row in chosen)
        print(f"| {length} | {updates[0]:,} to {updates[-1]:,} | {' | '.join(parts)} |")


if __name__ == "__main__":
    main()
