"""The pyvene process of the benchmark: it runs in a separate environment, without symscope, and answers requests.

A request is a JSON object on one line of standard input; the result is one line of standard output. Weights and
interventions come as safetensors. `Server` has a method for each request; `benchmarks/pyvene_client.py` sends them.

The model gives pyvene its best case: the part before the stop, one identity module where the state is swapped, and the
part after it. Each part is one fused call over a padded batch, only targets are read out, the source states are passed
in, so that no second run is needed, and no unit locations have to be gathered.
"""

import contextlib
import json
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

with contextlib.redirect_stdout(sys.stderr):  # standard output is for results
    import pyvene

Batch = dict[str, Tensor]


class Recurrent(nn.Module):
    """A GRU over the base up to the stop, the swap point, the same GRU over the fed tokens."""

    def __init__(self, weights: Batch) -> None:
        super().__init__()
        self.config = SimpleNamespace(to_dict=dict)
        d = weights["cell.state_weight"].shape[1]
        self.embedding = nn.Embedding.from_pretrained(weights["cell.embedding"])
        self.gru = nn.GRU(d, d, batch_first=True)
        for in_torch, name in {"ih": "input", "hh": "state"}.items():
            getattr(self.gru, f"weight_{in_torch}_l0").data.copy_(weights[f"cell.{name}_weight"])
            getattr(self.gru, f"bias_{in_torch}_l0").data.copy_(weights[f"cell.{name}_bias"])
        self.swap = nn.Identity()
        self.output = _readout(weights)

    def states(self, tokens: Tensor, positions: Tensor) -> Tensor:
        after, _ = self.gru(self.embedding(tokens[:, : int(positions.max()) + 1]))
        return after[torch.arange(len(tokens)), positions]

    def forward(
        self, base: Tensor, base_positions: Tensor, fed: Tensor, target_mask: Tensor, states: Tensor | None = None
    ) -> Tensor:
        stopped = self.swap(self.states(base, base_positions) if states is None else states)
        features = stopped[:, None]
        if fed.shape[1] > 0:
            after, _ = self.gru(self.embedding(fed), stopped[None])
            features = torch.cat([features, after], 1)
        return self.output(features[target_mask])


class Transformer(nn.Module):
    """Two layers, one head, RoPE; the residual stream after layer 1, at the stop, goes through the swap point."""

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

    def forward(self, base: Tensor, base_positions: Tensor, fed: Tensor, target_mask: Tensor) -> Tensor:
        batch, steps = fed.shape
        # The base up to the stop, then the fed tokens, without a gap; padding comes last and cannot be attended to.
        width = int(base_positions.max()) + 1
        tokens = torch.cat([base[:, :width], torch.zeros_like(fed)], 1)
        tokens.scatter_(1, base_positions[:, None] + 1 + torch.arange(steps), fed)
        residual = self.layers[0](self.embedding(tokens))
        rows = torch.arange(batch)
        residual = residual.index_put((rows, base_positions), self.swap(residual[rows, base_positions]))
        after = self.final_norm(self.layers[1](residual))
        at = base_positions[:, None] + torch.arange(steps + 1)
        return self.output(after.gather(1, at[:, :, None].expand(-1, -1, after.shape[2]))[target_mask])


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
        mixed = scaled_dot_product_attention(
            _apply_rope(queries, angles), _apply_rope(keys, angles), values, is_causal=True
        )
        residual = residual + self.attended(mixed)
        return residual + self.output(gelu(self.hidden(self.forward_norm(residual))))


def _apply_rope(heads: Tensor, angles: Tensor) -> Tensor:
    first, second = heads.chunk(2, -1)
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


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
    """A network, sets of interventions on it, and a search of a subspace of k dimensions; a method for each request."""

    def load(self, path: str, device: str, threads: int) -> None:
        """Reads weights (`network.`) and sets (`train.`, ...), and computes the source states once."""
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
            for part in parts.values():
                part["source_states"] = self.model.states(part.pop("source"), part.pop("source_positions"))
            self._synchronize()
            self.preparing = perf_counter() - began
            for part in parts.values():
                part["base_states"] = self.model.states(part["base"], part["base_positions"])

    def start(self, k: int, learning_rate: float, seed: int, frame: list[list[float]] | None = None) -> None:
        """Starts a fit at a random frame or at the given frame."""
        torch.manual_seed(seed)
        swap = pyvene.LowRankRotatedSpaceIntervention(embed_dim=self.d, low_rank_dimension=k)
        if frame is not None:
            swap.rotate_layer.weight = torch.tensor(frame)
        site = pyvene.RepresentationConfig(component="swap.output", intervention=swap)
        self.intervenable = pyvene.IntervenableModel(pyvene.IntervenableConfig([site]), self.model)
        self.key = self.intervenable.sorted_keys[0]
        self.adam = torch.optim.Adam(self.intervenable.get_trainable_parameters(), lr=learning_rate)
        self.draws, self.taken = torch.Generator(self.device).manual_seed(seed), 0

    def loss(self, rows: int) -> float:
        """Mean cross-entropy of the targets of the first rows."""
        return float(self._loss(self._rows("train", torch.arange(rows))))

    def steps(self, count: int, batch: int, cached: bool = False) -> float:
        """Makes `count` steps; returns the mean seconds per step. `cached`: the base states are passed in as well."""
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
        """Share of the interventions of a set after which every target is predicted."""
        correct = 0
        with torch.no_grad():
            for index in torch.arange(self._size(name)).split(1000):
                rows = self._rows(name, index)
                wrong = self._logits(rows).argmax(-1) != rows["targets"][rows["target_mask"]]
                row = rows["target_mask"].nonzero()[:, 0]
                correct += int((torch.zeros(len(index)).index_add_(0, row, wrong.float()) == 0).sum())
        return correct / self._size(name)

    def search(self, batch: int, max_steps: int, every: int, target_iia: float) -> dict[str, float]:
        """Steps until validation and test IIA reach the target; it tests where the validation IIA reaches it.

        The seconds include computing the source states.
        """
        began, validation, test = perf_counter() - self.preparing, 0.0, 0.0
        while self.taken < max_steps and test < target_iia:
            self.steps(every, batch)
            validation = self.iia("validation")
            test = self.iia("test") if validation >= target_iia else test
        test = test or self.iia("test")
        return {"seconds": perf_counter() - began, "steps": self.taken, "validation": validation, "iia": test}

    def memory(self) -> dict[str, float]:
        """Resident memory of this process, in MiB: at its peak, and now."""
        return memory()

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
        shortened = {key: rows[key][:, :longest] for key in ("targets", "target_mask")}
        return rows | shortened | {"fed": rows["fed"][:, : longest - 1]}

    def _logits(self, rows: Batch, cached: bool = False) -> Tensor:
        inputs = {key: rows[key] for key in ("base", "base_positions", "fed", "target_mask")}
        if cached:
            inputs["states"] = rows["base_states"]
        _, logits = self.intervenable(inputs, source_representations={self.key: rows["source_states"]})
        return logits

    def _loss(self, rows: Batch, cached: bool = False) -> Tensor:
        return cross_entropy(self._logits(rows, cached), rows["targets"][rows["target_mask"]])


def _under(tensors: Batch, name: str) -> Batch:
    return {key.removeprefix(name + "."): value for key, value in tensors.items() if key.startswith(name + ".")}


def memory() -> dict[str, float]:
    """Resident memory of this process, in MiB: at its peak, and now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"peak": int(status["VmHWM"].split()[0]) / 1024, "now": int(status["VmRSS"].split()[0]) / 1024}


def serve(server: Any) -> None:
    """Answers requests from standard input with methods of a server, one after another."""
    output, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        result = getattr(server, request.pop("method"))(**request)
        print(json.dumps({"result": result}), file=output, flush=True)


if __name__ == "__main__":
    serve(Server())
