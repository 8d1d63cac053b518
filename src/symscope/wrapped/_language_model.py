"""The parts of a causal language model of `transformers`, and runs through some of its layers.

The only file that imports `transformers`. A part of a model runs as a shallow copy of its module that has fewer layers
and shares everything else.
"""

import copy
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, final

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from torch import Tensor, nn

from symscope.errors import ImportPathError, InvalidArgumentError, UnknownNameError
from symscope.wrapped._hooks import Change, Place, hooked

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one layer: batch x time x heads x width."""

_NAMES = {
    "list of layers": ("layers", "h", "blocks"),
    "final norm": ("norm", "ln_f", "final_layer_norm", "final_layernorm"),
    "attention": ("self_attn", "attn", "attention"),
    "MLP": ("mlp", "feed_forward"),
    "output projection of attention": ("o_proj", "c_proj", "dense", "out_proj"),
}
"""What the parts of a model are called in transformers; the first name that exists is the part."""
ADDS_UP = 1e-3
"""Largest difference between a layer's output and its input plus both contributions, as a share of the output."""


def load_model(folder: Path) -> tuple[nn.Module, Any]:
    """A model in single precision and its tokenizer from a local folder; nothing is downloaded, no code of it is run.

    Raises:
        ImportPathError: `transformers` is not installed.
        InvalidArgumentError: the folder holds no complete causal language model in safetensors or one GGUF file, or
            no tokenizer.
    """
    transformers = _transformers()
    if not folder.is_dir():
        raise InvalidArgumentError(f"{folder} is not a folder: expected a local folder of a Hugging Face model")
    gguf = sorted(folder.glob("*.gguf"))
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    if any(folder.glob("*.safetensors")):
        weights = {"use_safetensors": True}
    elif len(gguf) == 1:
        weights, options["gguf_file"] = {}, gguf[0].name
    else:
        raise InvalidArgumentError(
            f"{folder} has no safetensors and {len(gguf)} GGUF files: weights are read from safetensors or from one "
            "GGUF file"
        )
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **options)
        model, loaded = transformers.AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.float32, output_loading_info=True, **weights, **options
        )
    except (OSError, ValueError, ImportError, KeyError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())  # on one line
        raise InvalidArgumentError(
            f"transformers cannot read a causal language model from {folder}: {reason}"
        ) from error
    if loaded["missing_keys"]:
        missing = sorted(loaded["missing_keys"])
        raise InvalidArgumentError(
            f"the weights in {folder} are not complete: {missing[0]} is missing ({len(missing)} in all), and "
            "transformers would draw it at random"
        )
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise InvalidArgumentError(
            f"{folder} has no tokenizer, such as tokenizer.json; a model without one is wrapped by sc.wrap_causal_lm"
        )
    return model.eval(), tokenizer


def _transformers() -> Any:
    try:
        import transformers  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ImportPathError("language models need transformers: pip install 'symscope[hf]'") from error
    return transformers


@dataclass(frozen=True)
class Site:
    """Where a state is.

    Attributes:
        first: the first layer that a rewritten state changes, or in which it is.
        place: where it is rewritten; `None`: the residual stream before layer `first`.
        columns: the entries of the tensor at the place.
    """

    first: int
    place: Place | None = None
    columns: slice = field(default_factory=lambda: slice(None))


@final
class LanguageModel:
    """A model taken apart: embedding, layers, final norm, output layer.

    Args:
        model: a causal language model of `transformers`.

    Attributes:
        layers: its layers.
        heads: number of attention heads of a layer.

    Raises:
        InvalidArgumentError: it is no such model, a part of it is not found, or its cache is not a plain one.
    """

    def __init__(self, model: nn.Module) -> None:
        base = getattr(model, "base_model", None)
        if not isinstance(base, nn.Module) or base is model or not hasattr(model, "config"):
            raise InvalidArgumentError(
                f"{type(model).__name__} is no causal language model of transformers, such as "
                "AutoModelForCausalLM.from_pretrained returns; for another torch module use sc.wrap"
            )
        self._model, self._base = model, cast("Any", base)
        self._config = cast("Any", model.config).get_text_config()
        self._layers_name, layers = _part(base, "list of layers")
        self.layers = list(cast("nn.ModuleList", layers))
        self._norm = _part(base, "final norm")[1]
        self.heads = int(self._config.num_attention_heads)
        arguments = inspect.signature(base.forward).parameters
        self._cache_argument = "cache" if "cache" in arguments else "past_key_values"

    def check_cache(self) -> None:
        """Raises `InvalidArgumentError` unless each layer keeps the keys and values of all tokens, and nothing else."""
        transformers = _transformers()
        layers = transformers.DynamicCache(config=self._config).layers
        plain = transformers.cache_utils.DynamicLayer
        kinds = sorted({type(layer).__name__ for layer in layers if type(layer) is not plain})
        if kinds or getattr(self._config, "alibi", False):
            raise InvalidArgumentError(
                f"{type(self._model).__name__} cannot be stopped and resumed: it has "
                + (", ".join(kinds) if kinds else "position biases that depend on where a key is stored (ALiBi)")
                + "; a plain cache of the keys and values of all tokens is needed (no sliding window, no recurrence)"
            )

    def site(self, name: str) -> Site:
        """The site of a name, such as `resid_post.3` or `z.3.0`."""
        kind, *numbers = name.split(".")
        index = int(numbers[0])
        if kind == "resid_pre":
            return Site(index)
        if kind == "resid_post":
            return Site(index + 1)
        layer = self.layers[index]
        if kind == "z":
            attention = _part(layer, "attention")[1]
            projection = _part(attention, "output projection of attention")[1]
            head, width = int(numbers[1]), _inputs(projection) // self.heads
            return Site(index, Place(projection, "input"), slice(head * width, (head + 1) * width))
        normed = hasattr(layer, "post_feedforward_layernorm")  # a norm between a module and the residual stream
        if kind == "attn_out":
            module = layer.post_attention_layernorm if normed else _part(layer, "attention")[1]
        elif kind == "mlp_out":
            module = layer.post_feedforward_layernorm if normed else _part(layer, "MLP")[1]
        else:
            raise UnknownNameError("kind of site", kind, ["resid_pre", "resid_post", "attn_out", "mlp_out", "z"])
        return Site(index, Place(cast("nn.Module", module)))

    def widths(self, tokens: Int[Tensor, "batch time"]) -> dict[str, int]:
        """The name and width of every site.

        Sites of contributions exist only where a layer's output is its input plus both contributions.
        """
        depth = len(self.layers)
        contributions = [f"{kind}.{index}" for index in range(depth) for kind in ("attn_out", "mlp_out")]
        streams = [f"{kind}.{index}" for index in range(depth) for kind in ("resid_pre", "resid_post")]
        read = self.states(tokens, [*streams, *contributions])
        widths = {name: read[name].shape[-1] for name in streams}
        for index in range(depth):
            parts = read[f"resid_pre.{index}"] + read[f"attn_out.{index}"] + read[f"mlp_out.{index}"]
            output = read[f"resid_post.{index}"]
            if (parts - output).abs().max() <= ADDS_UP * output.abs().max():
                widths |= {f"{kind}.{index}": output.shape[-1] for kind in ("attn_out", "mlp_out")}
            for head in range(self.heads):
                columns = self.site(f"z.{index}.{head}").columns
                widths[f"z.{index}.{head}"] = columns.stop - columns.start
        return widths

    def embed(
        self, tokens: Int[Tensor, "batch time"], first_position: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time d"]:
        """The residual stream before the first layer, of tokens from a position on (default: 0)."""
        return self._forward(0, 0, first_position, {}, input_ids=tokens)[0]

    def run(
        self,
        stream: Float[Tensor, "batch time d"],
        first: int = 0,
        last: int | None = None,
        *,
        prefix: Mapping[int, KeysValues] | None = None,
        stop: Int[Tensor, " batch"] | None = None,
        changes: Mapping[Place, Change] | None = None,
    ) -> tuple[Float[Tensor, "batch time d"], Float[Tensor, "batch time d"], dict[int, KeysValues]]:
        """Runs layers `first` to `last` - 1 on the residual stream before them.

        Args:
            stream: the stream, of whole sequences, or of tokens from a stop on.
            first: the first layer that runs.
            last: the layer before which the run ends; default: after the last layer.
            prefix: with `stop`: keys and values of each layer that runs, of the tokens before the stop at least.
            stop: the position of the first token of the stream; default: 0.
            changes: what changes on the way.

        Returns:
            The residual stream after these layers, the same normalised, and the keys and values of each layer.
        """
        last = len(self.layers) if last is None else last
        changes, at = dict(changes or {}), Place(self.layers[first] if first < last else self._norm, "input")
        changes = {at: lambda _: stream, **changes}
        return self._forward(first, last, stop, changes, prefix, inputs_embeds=stream.detach())

    def states(self, tokens: Int[Tensor, "batch time"], sites: Sequence[str]) -> dict[str, Tensor]:
        """The states at several sites after each token, from one pass through the layers that they need."""
        named = {name: self.site(name) for name in sites}
        last = max(site.first + (site.place is not None) for site in named.values())
        return self.read(tokens, named, last)[0]

    def read(
        self, tokens: Int[Tensor, "batch time"], sites: Mapping[str, Site], last: int | None = None
    ) -> tuple[dict[str, Tensor], dict[int, KeysValues]]:
        """The states at several sites after each token, and the keys and values of the layers up to `last` - 1."""
        last = len(self.layers) if last is None else last
        found: dict[Place | int, Tensor] = {0: self.embed(tokens)}

        def keep(place: Place | int) -> Change:
            def change(tensor: Tensor) -> None:
                found[place] = tensor

            return change

        changes: dict[Place, Change] = {}
        for site in sites.values():
            if site.place is not None:
                changes[site.place] = keep(site.place)
            elif 0 < site.first < last:
                changes[Place(self.layers[site.first], "input")] = keep(site.first)
        found[last], _, cached = self.run(found[0], 0, last, changes=changes)
        read = {
            name: found[site.first if site.place is None else site.place][..., site.columns]
            for name, site in sites.items()
        }
        return read, cached

    def logits(self, features: Float[Tensor, "batch time d"]) -> Float[Tensor, "batch time vocabulary"]:
        """The logits of normalised features, by the model's own forward pass around a stand-in for its base."""
        prefix = cast("Any", self._model).base_model_prefix
        return cast("Any", _with(self._model, **{prefix: _Features(features)}))(
            input_ids=torch.zeros(features.shape[:2], dtype=torch.long, device=features.device), use_cache=False
        ).logits

    def _forward(
        self,
        first: int,
        last: int,
        stop: Int[Tensor, " batch"] | None,
        changes: Mapping[Place, Change],
        prefix: Mapping[int, KeysValues] | None = None,
        **inputs: Tensor,
    ) -> tuple[Tensor, Tensor, dict[int, KeysValues]]:
        """The base model with layers first to last - 1 only."""
        (given,) = inputs.values()
        rows, time = given.shape[:2]
        positions = torch.arange(time, device=given.device)[None].expand(rows, -1)
        options: dict[str, Any] = {}
        cache = _transformers().DynamicCache()
        if stop is not None:
            positions = positions + stop[:, None]
            for layer in range(first, last):
                keys, values = (prefix or {})[layer]
                cache.update(keys.transpose(1, 2), values.transpose(1, 2), layer)
            width = prefix[first][0].shape[1] if prefix and first < last else 0
            options["attention_mask"] = _mask(stop, width, time, self._norm)
        after: list[Tensor] = []
        norm = Place(self._norm, "input")
        inject = changes.get(norm)

        def capture(stream: Tensor) -> Tensor | None:
            changed = inject(stream) if inject else None
            after.append(stream if changed is None else changed)
            return changed

        base = _with(self._base, **{self._layers_name: nn.ModuleList(self.layers[first:last])})
        with hooked({**changes, norm: capture}):
            output = cast("Any", base)(
                position_ids=positions, use_cache=True, **{self._cache_argument: cache}, **options, **inputs
            )
        cached = {
            layer: (cache.layers[layer].keys.transpose(1, 2), cache.layers[layer].values.transpose(1, 2))
            for layer in range(first, last)
        }
        return after[0], output.last_hidden_state, cached


@final
class _Features(nn.Module):
    """Stands in for the base of a model: returns given features."""

    def __init__(self, features: Tensor) -> None:
        super().__init__()
        self.features = features

    def forward(self, *_: Any, **__: Any) -> Any:
        return _transformers().modeling_outputs.BaseModelOutputWithPastAndCrossAttentions(
            last_hidden_state=self.features
        )


def _with(module: nn.Module, **replaced: nn.Module) -> nn.Module:
    """A shallow copy of a module with some of its submodules replaced; everything else is shared."""
    shallow = copy.copy(module)
    shallow.__dict__["_modules"] = {**module.__dict__["_modules"], **replaced}
    return shallow


def _mask(stop: Int[Tensor, " batch"], prefix: int, time: int, like: nn.Module) -> Float[Tensor, "batch 1 time keys"]:
    """What tokens from a stop on attend to, as scores to add: the prefix before the stop, and each other in order."""
    dtype = next(like.parameters()).dtype
    earlier = torch.arange(prefix, device=stop.device)[None, None] < stop[:, None, None]
    order = torch.ones(time, time, dtype=torch.bool, device=stop.device).tril()
    seen = torch.cat([earlier.expand(-1, time, -1), order[None].expand(len(stop), -1, -1)], 2)
    return torch.zeros(seen.shape, dtype=dtype, device=stop.device).masked_fill(~seen, torch.finfo(dtype).min)[:, None]


def _part(module: nn.Module, what: str) -> tuple[str, nn.Module]:
    for name in _NAMES[what]:
        part = getattr(module, name, None)
        if isinstance(part, nn.Module):
            return name, part
    raise InvalidArgumentError(
        f"{type(module).__name__} has no {what} under one of the names {', '.join(_NAMES[what])}: this architecture is "
        "not supported; sc.wrap works with any module"
    )


def _inputs(projection: nn.Module) -> int:
    """Width of the input of a linear layer; a `Conv1D` of transformers stores it as nx."""
    return int(getattr(projection, "in_features", None) or projection.nx)  # pyright: ignore[reportArgumentType]
