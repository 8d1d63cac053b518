"""The pyvene process of the benchmark `causal_lm`: a language model of transformers under `IntervenableModel`.

It runs in the environment of pyvene, without symscope; requests are those of `benchmarks/pyvene_server.py`. The model
and the interventions are used as in pyvene's tutorials of distributed alignment search: the output of a block, one
position, a low-rank rotated space, gradients of the model off.
"""

from pathlib import Path
from time import perf_counter

import torch
from pyvene_server import memory, pyvene, serve
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM


class Server:
    """A model, pairs of prompts of one length, and a search at their last position; a method for each request."""

    def load(self, model: str, pairs: str, layer: int, device: str, threads: int) -> None:
        """Reads the model and the pairs, and computes the source states once, for the searches that are given them."""
        torch.set_num_threads(threads)
        self.model = AutoModelForCausalLM.from_pretrained(Path(model), dtype=torch.float32, local_files_only=True)
        self.model.eval().to(device)
        self.device, self.layer = device, layer
        self.pairs = load_file(pairs, device)
        with torch.no_grad():
            blocks = [
                self.model.model(input_ids=rows, output_hidden_states=True, use_cache=False).hidden_states[layer + 1]
                for rows in self.pairs["source"].split(32)
            ]
        self.source_states = torch.cat([block[:, -1:] for block in blocks])

    def start(self, k: int, learning_rate: float, seed: int, frame: list[list[float]] | None = None) -> None:
        """Starts a fit at a random frame or at the given frame."""
        torch.manual_seed(seed)
        site = pyvene.RepresentationConfig(self.layer, "block_output", "pos", 1, low_rank_dimension=k)
        config = pyvene.IntervenableConfig([site], pyvene.LowRankRotatedSpaceIntervention)
        self.intervenable = pyvene.IntervenableModel(config, self.model)
        self.intervenable.set_device(self.device)
        self.intervenable.disable_model_gradients()
        (self.key,) = self.intervenable.sorted_keys
        if frame is not None:
            rotation = self.intervenable.interventions[self.key].rotate_layer
            rotation.weight = torch.tensor(frame, device=self.device)
        self.adam = torch.optim.Adam(self.intervenable.get_trainable_parameters(), lr=learning_rate)
        self.draws = torch.Generator(self.device).manual_seed(seed)

    def loss(self, rows: int, way: str) -> float:
        """Mean cross-entropy of the labels of the first pairs."""
        return float(self._loss(torch.arange(rows, device=self.device), way).detach())

    def steps(self, count: int, batch: int, way: str) -> float:
        """Makes `count` steps; returns the mean seconds per step."""
        self._synchronize()
        began = perf_counter()
        for _ in range(count):
            index = torch.randint(len(self.pairs["label"]), (batch,), generator=self.draws, device=self.device)
            loss = self._loss(index, way)
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()
        self._synchronize()
        return (perf_counter() - began) / count

    def memory(self) -> dict[str, float]:
        """Memory of this process in MiB: at its peak, and now."""
        if self.device == "cuda":
            return {"peak": torch.cuda.max_memory_allocated() / 2**20, "now": torch.cuda.memory_allocated() / 2**20}
        return memory()

    def _loss(self, index: Tensor, way: str) -> Tensor:
        """The loss of pairs, where pyvene runs the sources itself (`sources`) or is given their states.

        With `last logits` the model is asked for the logits of the last token alone.
        """
        base, last = {"input_ids": self.pairs["base"][index]}, self.pairs["base"].shape[1] - 1
        if way == "last logits":
            base["logits_to_keep"] = 1
        if way == "sources":
            given = {"sources": [{"input_ids": self.pairs["source"][index]}]}
        else:
            given = {"source_representations": {self.key: self.source_states[index]}}
        _, output = self.intervenable(base, unit_locations={"sources->base": last}, **given)
        return cross_entropy(output.logits[:, -1], self.pairs["label"][index])

    def _synchronize(self) -> None:
        if self.device == "cuda":
            torch.cuda.synchronize()


if __name__ == "__main__":
    serve(Server())
