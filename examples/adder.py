"""Does a GRU that adds two numbers of four bits compute with the carries? After Datla, Chang and Goldfeld (2026).

At each of four steps the network reads a bit of each number, lowest first, and predicts the bit of the sum; then it
reads an end token and predicts the last carry. The carries C1 to C3 are searched after every step.

    python examples/adder.py --seeds 10
"""

import argparse
import time

import torch
from torch import Tensor, nn

import symscope as sc

BITS, END, CARRIES = 4, 4, ("C1", "C2", "C3")
PAIRS_PER_BASE = 26
"""128, 64 and 64 bases give 3,328, 1,664 and 1,664 pairs."""


class Adder(nn.Module):
    """A GRU cell of 16 units; tokens 0 to 3 are two bits, 4 is the end."""

    def __init__(self, hidden: int = 16) -> None:
        super().__init__()
        self.inputs, self.cell, self.output = nn.Embedding(5, 8), nn.GRUCell(8, hidden), nn.Linear(hidden, 2)

    def initial(self, rows: int) -> dict[str, Tensor]:
        return {"h": self.output.weight.new_zeros(rows, self.cell.hidden_size)}

    def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
        return {"h": self.cell(self.inputs(tokens), state["h"])}

    def readout(self, state: dict[str, Tensor]) -> Tensor:
        return self.output(state["h"])


def all_inputs() -> Tensor:
    """The tokens of all 256 sums."""
    bits = (torch.arange(256)[:, None] >> torch.arange(2 * BITS)) & 1
    return torch.cat([2 * bits[:, :BITS] + bits[:, BITS:], torch.full((256, 1), END)], 1)


def run(tokens: Tensor, overwrite: tuple[int, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor]]:
    """The labels after each token, and the carries C1 to C3; one carry may be overwritten."""
    carry, labels, carries = torch.zeros(len(tokens), dtype=torch.long), [], {}
    for step in range(BITS):
        total = tokens[:, step] // 2 + tokens[:, step] % 2 + carry
        labels.append(total % 2)
        carry = total // 2
        if overwrite is not None and overwrite[0] == step + 1:
            carry = overwrite[1]
        if step + 1 <= len(CARRIES):
            carries[f"C{step + 1}"] = carry
    return torch.stack([*labels, carry], 1), carries


def train(seed: int, epochs: int = 250) -> Adder:
    """AdamW at 1e-2 over all inputs, until they are all correct with a margin or the epochs are over."""
    torch.manual_seed(seed)
    adder, tokens = Adder(), all_inputs()
    labels, _ = run(tokens)
    optimizer = torch.optim.AdamW(adder.parameters(), lr=1e-2)
    for _ in range(epochs):
        for batch in torch.randperm(256).split(32):
            state, loss = adder.initial(len(batch)), torch.zeros(())
            for step in range(BITS + 1):
                state = adder.step(state, tokens[batch, step])
                loss = loss + nn.functional.cross_entropy(adder.readout(state), labels[batch, step])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return adder.eval()


def interventions(inputs: Tensor, variable: str, step: int, draws: torch.Generator) -> sc.Interventions:
    """Pairs that overwrite a carry with that of a source, both stopped after a step (counted from 1)."""
    base = inputs.repeat_interleave(PAIRS_PER_BASE, 0)
    source = inputs[torch.randint(len(inputs), (len(base),), generator=draws)]
    at = torch.full((len(base),), step - 1)
    (_, of_base), (_, of_source) = run(base), run(source)
    labels, _ = run(base, (CARRIES.index(variable) + 1, of_source[variable]))
    prediction, _ = run(base)
    changes = (labels != prediction)[:, step - 1 :].any(1)
    return sc.Interventions(
        variables=(variable,),
        base=sc.StoppedInputs(base, at, of_base),
        sources=(sc.StoppedInputs(source, at, of_source),),
        source_of=(0,),
        fed=base[:, step:],
        targets=labels[:, step - 1 :],
        target_mask=torch.ones(len(base), BITS + 2 - step, dtype=torch.bool),
        changes_base=changes,
    )


def data_after(step: int, seed: int) -> sc.CounterfactualData:
    """Interventions on the carries that matter after a step, from disjoint sets of bases."""
    draws = sc.generator(seed, "adder", step)
    parts = dict(
        zip(
            ("train", "validation", "test"),
            all_inputs()[torch.randperm(256, generator=draws)].split([128, 64, 64]),
            strict=True,
        )
    )
    splits = {
        split: {name: interventions(inputs, name, step, draws) for name in CARRIES[:step]}
        for split, inputs in parts.items()
    }
    tokens = all_inputs()
    labels, _ = run(tokens)
    uncut = sc.Interventions(
        (), sc.StoppedInputs(tokens, torch.zeros(256, dtype=torch.long), {}), (), (), tokens[:, 1:], labels,
        torch.ones(256, BITS + 1, dtype=torch.bool),
    )  # fmt: skip
    return sc.CounterfactualData(
        "4-bit adder", **splits, cause={}, isolation={}, seed=seed, uncut=uncut, vocabulary=5,
        value_names=dict.fromkeys(CARRIES[: step], ()),
    )  # fmt: skip


def main(seeds: int, k: int = 2) -> dict[str, list[sc.AlignmentResult]]:
    """Trains, searches, prints, and returns for each carry the result at its best step, for each seed."""
    best: dict[str, list[sc.AlignmentResult]] = {name: [] for name in CARRIES}
    started, searching = time.perf_counter(), 0.0
    for seed in range(seeds):
        adder = train(seed)
        network = sc.Stepwise(adder.initial, adder.step, adder.readout, vocabulary=5)
        found: dict[str, list[sc.AlignmentResult]] = {name: [] for name in CARRIES}
        begun = time.perf_counter()
        for step in range(1, BITS + 1):
            data = data_after(step, seed)
            for result in sc.align(network, data, k=[k], site="h", function=sc.Oblique(coordinates="natural-span"),
                                   controls=[], progress=False).all:  # fmt: skip
                found[result.variable].append(result)
        searching += time.perf_counter() - begun
        for name, results in found.items():
            best[name].append(max(results, key=lambda result: result.validation_iia))
        accuracy = found["C1"][0].trial_accuracy
        print(f"seed {seed}: accuracy {accuracy:.3f}; " + ", ".join(f"{n} {best[n][-1].score}" for n in CARRIES))
    for name, results in best.items():
        iias = sorted(result.iia for result in results)
        print(f"{name}: median over seeds {iias[len(iias) // 2]:.3f}, from {iias[0]:.3f} to {iias[-1]:.3f}")
    print(
        f"{seeds} seeds, searches of all steps and carries: {searching:.0f} s of {time.perf_counter() - started:.0f} s"
    )
    return best


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=10)
    main(parser.parse_args().seeds)
