"""Made-up tables for the claims on alignments, tasks and phases, each in which it holds or fails."""

from symscope.analysis import make_table

SEEDS = range(5)
VARIABLES = {"up-down": ("count", "phase"), "increment": ("count", "increment", "phase"), "up-down-modulo": ("count",)}


def trial_accuracy(networks, seeds):
    return make_table("trial_accuracy", (
        {"task": task, "network": network, "d": d, "seed": seed, "quantity": quantity, "held_out": out,
         "trial_accuracy": 1.0, "n": 15}
        for task, network, d in dict.fromkeys(networks) for seed in seeds for quantity, out in ((1, False), (2, True))
    ))  # fmt: skip


def share(level, seed):
    level = min(1.0, max(0.0, level + 0.004 * (seed - 2)))
    return {"iia": level, "low": max(0.0, level - 0.03), "high": min(1.0, level + 0.03), "n": 1000}


def scores(entries, seeds=SEEDS):
    """Tables with a row for each entry, variable and seed; an entry is task, network, function, level, and more."""
    rows, networks = [], []
    for task, network, function, level, more in entries:
        networks.append((task, network, 16))
        algorithm = more.get("algorithm", "up-down")
        for seed in seeds:
            measured = share(level, seed)
            rows += [
                {"task": task, "network": network, "d": 16, "seed": seed, "algorithm": algorithm, "variable": variable,
                 "site": "h", "function": function, "k": 8, "control": "none", "validation_iia": measured["iia"],
                 **measured, **more}
                for variable in VARIABLES[algorithm]
            ]  # fmt: skip
    return {"scores": make_table("scores", rows), "trial_accuracy": trial_accuracy(networks, seeds)}


def one(task, high, low, network="gru", **more):
    return lambda good, seeds=SEEDS: scores([(task, network, "orthogonal", high if good else low, more)], seeds)


def two(first, second, bad, *, task="multi-object", network="gru"):
    """Two functions in one network: name and level of each, and the level of the second where the claim fails."""
    return lambda good, seeds=SEEDS: scores(
        [(task, network, *first, {}), (task, network, second[0], second[1] if good else bad, {})], seeds
    )


def pair(first, second, bad):
    """Two entries, and the level of the second where the claim fails."""

    def made(good, seeds=SEEDS):
        task, network, function, level, more = second
        return scores([first, (task, network, function, level if good else bad, more)], seeds)

    return made


def whole_state(good, seeds=SEEDS):
    rows = [
        {"task": "single-object", "network": f"transformer-nope-layers{layers}", "d": 16, "seed": seed,
         "algorithm": "up-down", "site": site, "outcome": "source", "n": 1000,
         **{n if n != "iia" else "share": v for n, v in share(0.1 if good else 0.9, seed).items() if n != "n"}}
        for layers in (1, 3) for seed in seeds for site in ("embedding", *(f"layer{i + 1}" for i in range(layers)))
    ]  # fmt: skip
    networks = [("single-object", f"transformer-nope-layers{layers}", 16) for layers in (1, 3)]
    return {"whole_state": make_table("whole_state", rows), "trial_accuracy": trial_accuracy(networks, seeds)}


def calibration(good, seeds=SEEDS):
    levels = {"oblique-natural-span": 0.2, "linear": 0.3, "reversible": 0.9 if good else 0.3}
    rows = [
        {"part": "known", "network": "magnitude", "change_of_basis": "orthogonal", "d": 8, "seed": seed,
         "algorithm": "up-up", "variable": variable, "function": function, "k": 1, "latent_weight": 0.0,
         "coordinates": "state", "held": held, **share(1.0 if held else level, seed)}
        for seed in seeds for function, level in levels.items()
        for variable, held in (("demo_count", False), ("phase", True))
    ]  # fmt: skip
    return {"calibration": make_table("calibration", rows)}


def length_errors(good, seeds=SEEDS):
    tables = scores([("same-object", "gru", "orthogonal", 0.7, {})], seeds)
    counts = {0: 700, 1: 130, -1: 130, 3: 20, None: 20} if good else {0: 700, 1: 20, 4: 200, None: 80}
    rows = [
        {"task": "same-object", "network": "gru", "d": 16, "seed": seed, "algorithm": "up-down", "variable": "count",
         "site": "h", "function": "orthogonal", "k": 8, "error": error, "count": count + (error == 1) * seed, "n": 1000}
        for seed in seeds for error, count in counts.items()
    ]  # fmt: skip
    return {**tables, "length_errors": make_table("length_errors", rows)}


def aligned_states(good, seeds=SEEDS):
    """Demo tokens move the state by 2; responses move it back by as much, or hardly."""
    rows = []
    for seed in seeds:
        for quantity in (1, 2, 3):
            at, tokens = 0.0, ["BOS", *["C"] * quantity, "T", *["C"] * quantity, "EOS"]
            for step, token in enumerate(tokens):
                phase = "demo" if step <= quantity else "resp"
                at += {"demo": 2.0, "resp": -2.0 if good else -0.1}[phase] * (token == "C") * (1 + 0.01 * seed)
                rows.append({
                    "task": "same-object", "network": "gru", "d": 16, "seed": seed, "algorithm": "up-down",
                    "variable": "count", "function": "orthogonal", "k": 8, "quantity": quantity, "sequence": quantity,
                    "step": step, "token": token, "count": 0, "phase": phase, "c1": at + 0.01 * step * (token == "C"),
                    "c2": None,
                })  # fmt: skip
    networks = [("same-object", "gru", 16)]
    return {"aligned_states": make_table("aligned_states", rows), "trial_accuracy": trial_accuracy(networks, seeds)}


def phases(good, seeds=SEEDS):
    """The embedding says the phase, except at a token of both phases, and moves it as well as layer 1 does."""
    rows = []
    for task in ("multi-object", "same-object"):
        for seed in seeds:
            for site in ("embedding", "layer1"):
                for token in ("all", "C") if task == "same-object" else ("all", "R"):
                    shared = task == "same-object"
                    known = not shared or site == "layer1"
                    iia = share(0.95 if good or site == "layer1" else 0.2, seed)
                    rows.append({
                        "task": task, "network": "transformer-nope", "d": 16, "seed": seed, "algorithm": "up-down",
                        "site": site, "token": token, "accuracy": (1.0 if known else 0.55) if good else 0.7,
                        "most_common": 0.5 if shared else 1.0, "states": 500 + seed, **iia,
                    })  # fmt: skip
    networks = [(task, "transformer-nope", 16) for task in ("multi-object", "same-object")]
    return {"phases": make_table("phases", rows), "trial_accuracy": trial_accuracy(networks, seeds)}


def off_span(good, seeds=SEEDS):
    return scores([("multi-object", "gru", "orthogonal", 0.9, {"off_span_share": 0.5 if good else 0.05})], seeds)


SPAN = "oblique-natural-span"
CODE = {"protocol": "paper-code"}
TABLES = {
    "recurrent-align-highly": one("multi-object", 0.97, 0.6),
    "same-object-approximate": one("same-object", 0.6, 0.99),
    "linear-at-equal-k": two(("orthogonal", 0.7), ("linear-ordercode", 0.9), 0.6),
    "linear-reaches-further-same-object": two(("orthogonal", 0.5), ("linear", 0.9), 0.5, task="same-object"),
    "linear-reaches-further-gru": two(("orthogonal", 0.5), ("linear-ordercode", 0.9), 0.5),
    "linear-reaches-further-lstm": two(("orthogonal", 0.5), ("linear", 0.9), 0.5, network="lstm"),
    "no-layer-holds-a-count": whole_state,
    "up-down-over-increment": pair(
        ("multi-object", "gru", "orthogonal", 0.9, {}),
        ("multi-object", "gru", "orthogonal", 0.1, {"algorithm": "increment"}),
        0.99,
    ),
    "further-tasks-align": one("modulo", 0.97, 0.6, algorithm="up-down-modulo"),
    "voids-keep-the-variables": pair(
        ("multi-object", "gru", "orthogonal", 0.9, {}), ("multi-object-void", "gru", "orthogonal", 0.9, {}), 0.5
    ),
    "reversible-fits-what-is-not-there": calibration,
    "orthogonal-is-off-manifold": off_span,
    "span-aligns-better": two(("orthogonal", 0.8), (SPAN, 0.95), 0.7),
    "code-is-harder": pair(
        ("multi-object", "gru", "orthogonal", 0.95, {}), ("multi-object", "gru", "orthogonal", 0.8, CODE), 0.96
    ),
    "same-object-errors-of-one": length_errors,
    "same-object-takes-away": aligned_states,
    "phase-in-the-token": phases,
    "phase-of-a-shared-token": phases,
    "phase-moves-with-tokens": phases,
}
"""For each claim, tables in which it holds (good) or fails."""
