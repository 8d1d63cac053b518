"""pyvene's side of the bench: runs in an environment of its own, where symscope is not installed, and takes orders.

One JSON object a line on standard input, one line back. Weights and interventions come as safetensors. What the
orders mean: `Server` below; who sends them: `benchmarks/theirs.py`.

The model is built so that pyvene is at its best: what lies before the cut, one identity module where the state is
swapped, what lies after it. Either part is one fused call over a padded batch, only scored positions are read out, the
source states are handed in, so that no second run is needed, and no unit locations have to be gathered.
"""

import contextlib
import json
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, scaled_dot_product_attention

with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers
    import pyvene

Batch = dict[str, Tensor]


class Recurrent(nn.Module):
    """A GRU over the base up to the cut, the swap point, the same GRU over the continuation."""

    def __init__(self, weights: Batch) -> None:
        super().__init__()
        self.config = SimpleNamespace(to_dict=dict)
        d = weights["cell.state_weight"].shape[1]
        self.embedding = nn.Embedding.from_pretrained(weights["cell.embedding"])
        self.gru = nn.GRU(d, d, batch_first=True)
        for theirs, ours in {"ih": "input", "hh": "state"}.items():
            getattr(self.gru, f"weight_{theirs}_l0").data.copy_(weights[f"cell.{ours}_weight"])
            getattr(self.gru, f"bias_{theirs}_l0").data.copy_(weights[f"cell.{ours}_bias"])
        self.swap = nn.Identity()
        self.output = _readout(weights)

    def states(self, tokens: Tensor, positions: Tensor) -> Tensor:
        after, _ = self.gru(self.embedding(tokens[:, : int(positions.max()) + 1]))
        return after[torch.arange(len(tokens)), positions]

    def forward(
        self, base: Tensor, positions: Tensor, continuation: Tensor, scored: Tensor, states: Tensor | None = None
    ) -> Tensor:
        cut = self.swap(self.states(base, positions) if states is None else states)
        features = cut[:, None]
        if continuation.shape[1] > 1:
            after, _ = self.gru(self.embedding(continuation[:, :-1]), cut[None])
            features = torch.cat([features, after], 1)
        return self.output(features[scored])


class Transformer(nn.Module):
    """Two layers, one head, RoPE; the residual stream after the first, at the cut, goes through the swap point."""

    def __init__(self, weights: Batch) -> None:
        super().__init__()
        self.config = SimpleNamespace(to_dict=dict)
        self.embedding = nn.Embedding.from_pretrained(weights["embedding"])
        self.layers = nn.ModuleList(_Layer(weights, f"layers.{index}.") for index in range(2))
        self.final_norm = _norm(weights, "final_norm.")
        self.swap = nn.Identity()
        self.output = _readout(weights)

    def states(self, tokens: Tensor, positions: Tensor) -> Tensor:
        return self.layers[0](self.embedding(tokens))[torch.arange(len(tokens)), positions]

    def forward(self, base: Tensor, positions: Tensor, continuation: Tensor, scored: Tensor) -> Tensor:
        batch, time = continuation.shape
        # The base up to the cut, then the continuation, without a gap: padding comes last, where causality hides it.
        width = int(positions.max()) + 1
        tokens = torch.cat([base[:, :width], torch.zeros_like(continuation)], 1)
        tokens.scatter_(1, positions[:, None] + 1 + torch.arange(time), continuation)
        residual = self.layers[0](self.embedding(tokens))
        rows = torch.arange(batch)
        residual = residual.index_put((rows, positions), self.swap(residual[rows, positions]))
        after = self.final_norm(self.layers[1](residual))
        at = positions[:, None] + torch.arange(time)
        return self.output(after.gather(1, at[:, :, None].expand(-1, -1, after.shape[2]))[scored])


class _Layer(nn.Module):
    def __init__(self, weights: Batch, name: str) -> None:
        super().__init__()
        self.attention_norm, self.forward_norm = (
            _norm(weights, name + "attention_norm."),
            _norm(weights, name + "forward_norm."),
        )
        for part in ("project", "attended", "hidden", "output"):
            setattr(self, part, _linear(weights[f"{name}{part}_weight"], weights[f"{name}{part}_bias"]))

    def forward(self, residual: Tensor) -> Tensor:
        time, d = residual.shape[1:]
        angles = torch.arange(time)[:, None] * 10_000.0 ** (-2 * torch.arange(d // 2) / d)
        queries, keys, values = self.project(self.attention_norm(residual)).chunk(3, -1)
        mixed = scaled_dot_product_attention(_turn(queries, angles), _turn(keys, angles), values, is_causal=True)
        residual = residual + self.attended(mixed)
        return residual + self.output(gelu(self.hidden(self.forward_norm(residual))))


def _turn(heads: Tensor, angles: Tensor) -> Tensor:
    one, other = heads.chunk(2, -1)
    return torch.cat([one * angles.cos() - other * angles.sin(), one * angles.sin() + other * angles.cos()], -1)


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer


def _norm(weights: Batch, name: str) -> nn.LayerNorm:
    layer = nn.LayerNorm(len(weights[name + "weight"]))
    layer.load_state_dict({part: weights[name + part] for part in ("weight", "bias")})
    return layer


def _readout(weights: Batch) -> nn.Module:
    layers = [
        _linear(weights[f"output.{part}_weight"], weights[f"output.{part}_bias"]) for part in ("hidden", "output")
    ]
    return nn.Sequential(layers[0], nn.GELU(), layers[1])


class Server:
    """A network, sets of interventions on it, and a search for a subspace of k dimensions."""

    def load(self, path: str, device: str, threads: int) -> None:
        """Weights (`network.`) and sets (`train.`, ...); works out the source states, once."""
        torch.set_num_threads(threads)
        torch.set_default_device(device)
        self.device = device
        tensors = load_file(path, device)
        parts = {name: _under(tensors, name) for name in {name.partition(".")[0] for name in tensors}}
        weights = parts.pop("network")
        self.model = (Recurrent if "cell.embedding" in weights else Transformer)(weights).requires_grad_(False)
        self.d, self.sets = len(self.model.embedding.weight[0]), parts
        with torch.no_grad():
            began = perf_counter()
            for one in parts.values():
                one["source_states"] = self.model.states(one.pop("source"), one.pop("source_positions"))
            self._synchronize()
            self.preparing = perf_counter() - began
            for one in parts.values():
                one["base_states"] = self.model.states(one["base"], one["positions"])

    def start(self, k: int, learning_rate: float, seed: int, frame: list[list[float]] | None = None) -> None:
        """A frame to fit: random, or the given one."""
        torch.manual_seed(seed)
        swap = pyvene.LowRankRotatedSpaceIntervention(embed_dim=self.d, low_rank_dimension=k)
        if frame is not None:
            swap.rotate_layer.weight = torch.tensor(frame)
        place = pyvene.RepresentationConfig(component="swap.output", intervention=swap)
        self.intervenable = pyvene.IntervenableModel(pyvene.IntervenableConfig([place]), self.model)
        self.key = self.intervenable.sorted_keys[0]
        self.adam = torch.optim.Adam(self.intervenable.get_trainable_parameters(), lr=learning_rate)
        self.draws, self.taken = torch.Generator(self.device).manual_seed(seed), 0

    def loss(self, rows: int) -> float:
        """Mean cross-entropy of the scored tokens of the first rows."""
        return float(self._loss(self._rows("train", torch.arange(rows))))

    def steps(self, count: int, batch: int, cached: bool = False) -> float:
        """Takes so many steps; seconds of each, in the mean. `cached`: the base states are handed in as well."""
        self._synchronize()
        began = perf_counter()
        for _ in range(count):
            index = torch.randint(self._size("train"), (batch,), generator=self.draws)
            loss = self._loss(self._rows("train", index), cached)
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()
        self.taken += count
        self._synchronize()
        return (perf_counter() - began) / count

    def iia(self, name: str) -> float:
        """Share of a set's interventions after which every scored token is predicted."""
        right = 0
        with torch.no_grad():
            for index in torch.arange(self._size(name)).split(1000):
                rows = self._rows(name, index)
                hit = self._logits(rows).argmax(-1) == rows["continuation"][rows["scored"]]
                owner = rows["scored"].nonzero()[:, 0]
                right += int((torch.zeros(len(index)).index_add_(0, owner, (~hit).float()) == 0).sum())
        return right / self._size(name)

    def search(self, batch: int, most: int, every: int, wanted: float) -> dict[str, float]:
        """Steps until validation and test IIA are as wanted; validates now and then, tests where that is promising.

        The seconds include working out the source states.
        """
        began, validation, test = perf_counter() - self.preparing, 0.0, 0.0
        while self.taken < most and test < wanted:
            self.steps(every, batch)
            validation = self.iia("validation")
            test = self.iia("test") if validation >= wanted else test
        test = test or self.iia("test")
        return {"seconds": perf_counter() - began, "steps": self.taken, "validation": validation, "iia": test}

    def memory(self) -> dict[str, float]:
        """Resident memory of this process, in MiB: at its peak, and now."""
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"peak": peak, "now": pages * resource.getpagesize() / 2**20}

    def versions(self) -> dict[str, str]:
        return {name: version(name) for name in ("pyvene", "torch", "transformers")}

    def _synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _size(self, name: str) -> int:
        return len(self.sets[name]["lengths"])

    def _rows(self, name: str, index: Tensor) -> Batch:
        rows = {key: value[index] for key, value in self.sets[name].items()}
        longest = int(rows.pop("lengths").max())
        return rows | {key: rows[key][:, :longest] for key in ("continuation", "scored")}

    def _logits(self, rows: Batch, cached: bool = False) -> Tensor:
        inputs = {key: rows[key] for key in ("base", "positions", "continuation", "scored")}
        if cached:
            inputs["states"] = rows["base_states"]
        _, logits = self.intervenable(inputs, source_representations={self.key: rows["source_states"]})
        return logits

    def _loss(self, rows: Batch, cached: bool = False) -> Tensor:
        return cross_entropy(self._logits(rows, cached), rows["continuation"][rows["scored"]])


def _under(tensors: Batch, name: str) -> Batch:
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def main() -> None:
    server, answers = Server(), sys.stdout
    sys.stdout = sys.stderr
    for line in sys.stdin:
        order: dict[str, Any] = json.loads(line)
        answer = getattr(server, order.pop("do"))(**order)
        print(json.dumps({"answer": answer}), file=answers, flush=True)


if __name__ == "__main__":
    main()
