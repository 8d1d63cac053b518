"""Does a network that compares two comparisons compute with both? After Geiger et al. (2021, 2024).

Inputs are four vectors a, b, c, d. The class says whether (a == b) agrees with (c == d). A trained MLP is searched for
the variables left = (a == b) and right = (c == d): each in a map of its own, and both in one map, where they are also
overwritten together from two sources.

    python examples/hierarchical_equality.py --seeds 9
"""

import argparse
import statistics
import time
from typing import Any

import torch
from torch import Tensor, nn

import symscope as sc

WIDTH, UNITS = 4, 32
"""Numbers in a vector, and units in each of three hidden layers."""
SITES = {"layer1": "1", "layer2": "3", "layer3": "5"}
"""The outputs of the three ReLUs."""
VARIABLES = ("left", "right")
OBLIQUE, ORTHOGONAL = sc.Oblique(coordinates="natural-span"), sc.Orthogonal()
QUICK, LONG = sc.SearchOptions(), sc.SearchOptions(steps=1_000, patience=12, restarts=3)


def inputs(rows: int, draws: torch.Generator) -> tuple[Tensor, Tensor]:
    """Four vectors in each row, each pair equal with probability 1/2, and the classes."""
    a, b, c, d = torch.rand(4, rows, WIDTH, generator=draws) * 2 - 1
    left, right = torch.rand(2, rows, generator=draws) < 0.5
    b, d = torch.where(left[:, None], a, b), torch.where(right[:, None], c, d)
    return torch.cat([a, b, c, d], 1), (left == right).long()


def causal_graph() -> sc.CausalGraph:
    """The hypothesis, with inputs of the same distribution as in training."""

    def sampler(draws: torch.Generator) -> dict[str, Any]:
        (row,), _ = inputs(1, draws)
        return dict(zip("abcd", row.reshape(4, WIDTH).tolist(), strict=True))

    return sc.CausalGraph(
        ["a", "b", "c", "d", "left", "right", "output"],
        {"output": [False, True]},
        {"left": ["a", "b"], "right": ["c", "d"], "output": ["left", "right"]},
        {"left": lambda a, b: a == b, "right": lambda c, d: c == d, "output": lambda left, right: left == right},
        sampler=sampler,
        name="hierarchical equality",
    )


def mlp(seed: int) -> nn.Sequential:
    """An untrained network."""
    torch.manual_seed(seed)
    widths = [4 * WIDTH, UNITS, UNITS, UNITS]
    hidden = [layer for i in range(3) for layer in (nn.Linear(widths[i], widths[i + 1]), nn.ReLU())]
    return nn.Sequential(*hidden, nn.Linear(UNITS, 2))


def train(seed: int, steps: int = 4_000, batch: int = 1_024) -> nn.Sequential:
    """AdamW on new inputs in every step; the learning rate rises to 3e-3 and falls to 0 (one cycle)."""
    module, draws = mlp(seed), sc.generator(seed, "training")
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        vectors, classes = inputs(batch, draws)
        loss = nn.functional.cross_entropy(module(vectors), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return module.eval()


@torch.no_grad()
def accuracy(module: nn.Module, rows: int = 100_000) -> float:
    """Accuracy on new inputs."""
    vectors, classes = inputs(rows, sc.generator(0, "accuracy"))
    return float((module(vectors).argmax(1) == classes).double().mean())


def wrap(module: nn.Module) -> sc.Network:
    return sc.wrap(module, SITES, head="6", example=inputs(2, sc.generator(0))[0])


def compare_layers(network: sc.Network, data: sc.CounterfactualData) -> dict[str, dict[str, float]]:
    """Validation IIA of short searches at each layer with k = 8, by map; the lowest over the variables."""
    found: dict[str, dict[str, float]] = {}
    for site in SITES:
        for name, function in (("oblique", OBLIQUE), ("orthogonal", ORTHOGONAL)):
            results = sc.align(
                network, data, k=8, site=site, function=function, options=QUICK, controls=[], progress=False
            )
            found.setdefault(name, {})[site] = min(result.validation_iia for result in results.all)
    return found


def search(seed: int, network: sc.Network) -> list[sc.AlignmentResult]:
    """The results at the layer that is best on validation; those of the joint map are the last three."""
    data = sc.counterfactuals(causal_graph(), [*VARIABLES, "left+right"], seed=seed)
    each = data.select(VARIABLES)
    for cell in sc.locate(network, each, progress=False).cells:
        swaps = ", ".join(f"{name} {score.iia:.3f}" for name, score in cell.scores.items())
        print(f"  whole state of {cell.site}: {swaps}" + (f", trivial ({cell.trivial})" if cell.trivial else ""))
    layers = compare_layers(network, each)
    for name, scores in layers.items():
        print(
            f"  {name:<10} " + ", ".join(f"{site} {iia:.3f}" for site, iia in scores.items()) + " (validation, k = 8)"
        )
    site = max(layers["oblique"], key=layers["oblique"].__getitem__)
    settings: dict[str, Any] = {
        "site": site,
        "function": OBLIQUE,
        "options": LONG,
        "controls": [*sc.DEFAULT_CONTROLS, sc.Untrained(wrap(mlp(seed + 1_000)))],
        "progress": False,
    }
    alone = sc.align(network, each, k=[1, 2, 4], **settings)
    joint = sc.align(network, data, k=4, joint=True, **settings)
    return [alone["left"], alone["right"], *joint.all]


def main(seeds: int) -> dict[str, list[sc.AlignmentResult]]:
    """Trains, searches, prints, and returns the results of each search, for each seed."""
    names = ("left", "right", "left, joint", "right, joint", "left+right, joint")
    found: dict[str, list[sc.AlignmentResult]] = {name: [] for name in names}
    started = time.perf_counter()
    for seed in range(seeds):
        module = train(seed)
        print(f"seed {seed}: accuracy {accuracy(module):.5f}")
        for name, result in zip(names, search(seed, wrap(module)), strict=True):
            found[name].append(result)
            controls = ", ".join(f"{control} {score.iia:.3f}" for control, score in result.controls.items())
            print(f"  {name:<17} {result.site}, k = {result.k}: {result.score}; {controls}; {result.verdict.word}")
    print(f"{'variable':<17} {'median':>7} {'lowest':>7}  95% interval     shuffled  untrained  verdicts")
    for name, results in found.items():
        lowest = min(results, key=lambda result: result.iia).score
        highest = {
            control: max(result.controls[control].iia for result in results)
            for control in ("shuffled_labels", "untrained")
        }
        words = [result.verdict.word for result in results]
        print(
            f"{name:<17} {statistics.median(result.iia for result in results):7.3f} {lowest.iia:7.3f}  "
            f"{lowest.low:.3f} to {lowest.high:.3f}  {highest['shuffled_labels']:8.3f}  {highest['untrained']:9.3f}  "
            + ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        )
    print(f"{seeds} seeds, {time.perf_counter() - started:.0f} s. Interval: that of the lowest; controls: the highest.")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=9)
    main(parser.parse_args().seeds)
