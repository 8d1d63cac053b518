"""Causal language models of Hugging Face `transformers`, with their prefix cached.

The states before the stop are constant in a search, so their keys and values are computed once. `resume` runs only the
tokens from the stop on, through the layers above the site. The model itself is not changed: hooks exist during a call
only, and parts of it run as shallow copies that share its modules.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn

from symscope.networks import RunState, evaluation_mode
from symscope.wrapped._checked import CheckedNetwork, check_logits
from symscope.wrapped._hooks import Change, Place
from symscope.wrapped._language_model import KeysValues, LanguageModel, load_model

MEMORY = 6 * 2**30
"""Default limit of the cached prefixes of one call, in bytes."""
TOKENS_AT_ONCE = 8192
"""Tokens of prefixes that run at once."""


def wrap_causal_lm(model: nn.Module, tokenizer: Any = None, *, memory: int = MEMORY) -> "CausalLM":
    """A causal language model of `transformers` as a network, its logits compared with those of the model.

    Sites, with L counted from 0: `resid_pre.L` and `resid_post.L`, the residual stream before and after layer L;
    `attn_out.L` and `mlp_out.L`, what attention and MLP add to it; `z.L.H`, the output of head H before the output
    projection of its layer. The first site of each kind passes `check_network` at its
    first use, the same kind at other layers a check of natural runs.

    Args:
        model: a model with a language-modelling head, such as `AutoModelForCausalLM.from_pretrained` returns; a
            compiled one is unwrapped. Its weights are shared and not changed.
        tokenizer: its tokenizer, kept for those who make data for the network.
        memory: the most bytes of cached keys and values for one set of up to 4,096 runs. Beyond it the prefix of a run
            is computed again in each step.

    Raises:
        InvalidArgumentError: it is no such model, its cache is not a plain one (sliding windows, recurrent layers), or
            its layers have other parts.
        BrokenLawError: the network's logits differ from the model's.
    """
    network = CausalLM(getattr(model, "_orig_mod", model), tokenizer, memory)
    check_logits(network, lambda tokens: network.model(input_ids=tokens).logits)
    return network


def load_causal_lm(folder: str | Path) -> "CausalLM":
    """A language model with its tokenizer from a local folder, in single precision; nothing is downloaded.

    Weights are read from safetensors, or from the one GGUF file of the folder; no code of the folder is run.

    Raises:
        ImportPathError: `transformers` is not installed.
        InvalidArgumentError: the folder holds no such model.
    """
    model, tokenizer = load_model(Path(folder))
    return wrap_causal_lm(model, tokenizer)


@final
class CausalLM(CheckedNetwork):
    """A causal language model whose runs can be stopped, rewritten and resumed; see `wrap_causal_lm`.

    Attributes:
        model: the model.
        tokenizer: its tokenizer; `None`: unknown.
        memory: the most bytes of the cached prefixes of one call.
        bytes_per_token: bytes of the keys and values of all layers for one token of a prefix.
    """

    def __init__(self, model: nn.Module, tokenizer: Any = None, memory: int = MEMORY) -> None:
        super().__init__()
        self.model, self.tokenizer, self.memory = model, tokenizer, memory
        parts = LanguageModel(model)
        parts.check_cache()
        tokens = torch.zeros(1, 2, dtype=torch.long, device=self.device)
        with torch.no_grad(), evaluation_mode(model):
            self.sites = parts.widths(tokens)
            _, features, cached = parts.run(parts.embed(tokens))
            self.vocabulary = parts.logits(features).shape[-1]
        size = sum(keys.numel() + values.numel() for keys, values in cached.values())
        self.bytes_per_token = size * torch.finfo(self.dtype).bits // 8 // tokens.numel()
        depth, width = len(parts.layers), self.sites["resid_pre.0"]
        self.default_site = f"resid_post.{(depth - 1) // 2}"
        self.architecture = f"{type(model).__name__}, {depth} layers, width {width}, {parts.heads} heads"

    def kind_of_site(self, site: str) -> str:
        """The part of a layer: sites of all layers share their code."""
        return site.split(".", maxsplit=1)[0]

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """The residual stream after the last layer, normalised."""
        self.check_tokens(tokens, lengths)
        parts = LanguageModel(self.model)
        return torch.cat([parts.run(parts.embed(block))[1] for block in _blocks(tokens)])

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        del dropout  # a wrapped model is not trained here
        logits = LanguageModel(self.model).logits(features.reshape(1, -1, features.shape[-1]))
        return logits.reshape(*features.shape[:-1], -1)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        self.check_site(site)
        self.check_tokens(tokens)
        parts = LanguageModel(self.model)
        return torch.cat([parts.states(block, [site])[site] for block in _blocks(tokens)])

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """The run state stores tokens and positions, and the keys and values of every layer where they fit."""
        return next(self.run_until_each(tokens, positions, [site]))

    def run_until_each(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], sites: Sequence[str]
    ) -> Iterator[RunState]:
        """One pass through the model for all sites; their run states share the cached prefix."""
        tokens = self._checked_stops(tokens, positions, sites)
        parts, stored = LanguageModel(self.model), {"tokens": tokens, "positions": positions.cpu()}
        named, fits = {site: parts.site(site) for site in sites}, tokens.numel() * self.bytes_per_token <= self.memory
        states: dict[str, list[Tensor]] = {site: [] for site in sites}
        blocks: list[dict[int, KeysValues]] = []
        for block, at in _blocks_at(tokens, positions):
            read, cached = parts.read(block, named)
            for site in sites:
                states[site].append(_select(read[site], at))
            blocks.append(cached if fits else {})
        for layer in blocks[0]:
            for side, name in enumerate(("keys", "values")):
                stored[f"{name}{layer}"] = torch.cat([cached[layer][side] for cached in blocks])
        for site in sites:
            yield RunState(site, torch.cat(states[site]), stored)

    def states_at(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str
    ) -> Float[Tensor, "batch state"]:
        return next(self.states_at_each(tokens, positions, [site]))

    def states_at_each(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], sites: Sequence[str]
    ) -> Iterator[Float[Tensor, "batch state"]]:
        """One pass through the layers up to the last of the sites."""
        tokens = self._checked_stops(tokens, positions, sites)
        parts = LanguageModel(self.model)
        states: dict[str, list[Tensor]] = {site: [] for site in sites}
        for block, at in _blocks_at(tokens, positions):
            for site, tensor in parts.states(block, sites).items():
                states[site].append(_select(tensor, at))
        for site in sites:
            yield torch.cat(states[site])

    def precompute(self, state: RunState, fed: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> RunState:
        """The residual stream of the stop and the fed tokens where the site is, which no rewritten state changes.

        Keys and values of the layers below are not needed afterwards.
        """
        del lengths
        parts = LanguageModel(self.model)
        site = parts.site(state.site)
        context = state.context
        prefix = self._prefix(parts, context, site.first)
        at = context["positions"].to(fed.device)
        tokens = torch.cat([context["tokens"].gather(1, at[:, None]), fed], 1)
        stream = parts.run(parts.embed(tokens, at), last=site.first, prefix=prefix, stop=at)[0]
        kept = {name: context[name] for name in ("tokens", "positions")}
        for layer in range(site.first, len(parts.layers)):
            kept |= {name: context[name] for name in (f"keys{layer}", f"values{layer}") if name in context}
        return RunState(state.site, state.states, {**kept, "stream": stream})

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        state = state if "stream" in state.stored else self.precompute(state, fed, target_mask.sum(1))
        parts, context = LanguageModel(self.model), state.context
        site = parts.site(state.site)
        at, stream = context["positions"].to(fed.device), context["stream"][:, : fed.shape[1] + 1]
        prefix = self._prefix(parts, context, len(parts.layers), first=site.first)
        changes: dict[Place, Change] = {}
        if site.place is None:
            stream = torch.cat([state.states[:, None], stream[:, 1:]], 1)
        else:
            changes[site.place] = lambda tensor: _overwrite(tensor, state.states, site.columns)
        features = parts.run(stream, site.first, prefix=prefix, stop=at, changes=changes)[1]
        rows, steps = target_mask.nonzero().to(features.device).unbind(1)
        return features[rows, steps]

    def _prefix(
        self, parts: LanguageModel, context: Mapping[str, Tensor], last: int, first: int = 0
    ) -> dict[int, KeysValues]:
        """Keys and values of layers first to last - 1 before the stops: stored, or computed again."""
        layers = range(first, last)
        if layers and f"keys{first}" not in context:
            with torch.no_grad():
                return parts.run(parts.embed(context["tokens"]), last=last)[2]
        return {layer: (context[f"keys{layer}"], context[f"values{layer}"]) for layer in layers}

    def _checked_stops(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " count"], sites: Sequence[str]
    ) -> Int[Tensor, "batch end"]:
        """The tokens up to the last stop."""
        for site in sites:
            self.check_site(site)
        self.check_positions(tokens, positions)
        tokens = tokens[:, : int(positions.max()) + 1]
        self.check_tokens(tokens)
        return tokens


def _blocks(tokens: Int[Tensor, "batch time"]) -> Iterator[Int[Tensor, "some time"]]:
    """Rows that run at once."""
    yield from tokens.split(max(TOKENS_AT_ONCE // tokens.shape[1], 1))


def _blocks_at(tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"]) -> Iterator[tuple[Tensor, Tensor]]:
    rows = max(TOKENS_AT_ONCE // tokens.shape[1], 1)
    yield from zip(tokens.split(rows), positions.to(tokens.device).split(rows), strict=True)


def _select(states: Float[Tensor, "batch time state"], at: Int[Tensor, " batch"]) -> Float[Tensor, "batch state"]:
    return states[torch.arange(len(states), device=states.device), at]


def _overwrite(
    tensor: Float[Tensor, "batch time d"], states: Float[Tensor, "batch state"], columns: slice
) -> Float[Tensor, "batch time d"]:
    """A copy of a tensor with some of its entries at the first time step replaced."""
    changed = tensor.clone()
    changed[:, 0, columns] = states
    return changed
