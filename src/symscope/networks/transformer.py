"""Transformers: pre-norm, causal, with rotary position encoding (RoPE) or none (NoPE).

The state at a site is the residual stream after a layer, at one position. It is not Markov: later tokens also attend to
all earlier ones. So a run state stores the keys and values of the positions before its stop. `resume` runs the layers
above the site from the rewritten state, and the fed tokens through all layers, all of them in one pass.
"""

from collections.abc import Mapping
from typing import SupportsIndex, cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from symscope.arguments import integer
from symscope.errors import InvalidArgumentError
from symscope.networks.attention import Layer, Rotation, rope_rotation
from symscope.networks.base import Network, RunState
from symscope.networks.packing import pick, repeat, to_device
from symscope.networks.parameters import MAX_SIZE, normal_parameter
from symscope.networks.ragged import Cached, Earlier, Projected, Ragged
from symscope.networks.readouts import MLPReadout

MAX_LAYERS = 4
_PRECOMPUTED = ("fed", "queries", "mean", "mass")


@final
class Transformer(Network):
    """Embedding, layers, a final norm and the MLP output layer; sites `embedding`, `layer1`, `layer2`, ...

    Args:
        d: width of the embedding and the residual stream.
        vocabulary: number of tokens.
        generator: draws the initial weights: torch's defaults for linear layers, embeddings normal with std 1.
        layers: number of layers, 1 to 4.
        heads: number of attention heads, a divisor of d.
        rope: whether positions are encoded, by rotation.

    Raises:
        InvalidArgumentError: a size is out of range; RoPE needs heads of an even width.
    """

    def __init__(
        self,
        d: SupportsIndex,
        vocabulary: SupportsIndex,
        generator: Generator,
        *,
        layers: SupportsIndex = 2,
        heads: SupportsIndex = 1,
        rope: bool = True,
    ) -> None:
        super().__init__()
        d, vocabulary = integer(d, "the width d", 1, MAX_SIZE), integer(vocabulary, "the vocabulary size", 1, MAX_SIZE)
        layers = integer(layers, "the number of layers", 1, MAX_LAYERS)
        heads = integer(heads, "the number of heads", 1, MAX_SIZE)
        _check_heads(d, heads, rope)
        self.vocabulary, self.rope, self.head_width = vocabulary, rope, d // heads
        self.sites = dict.fromkeys(("embedding", *(f"layer{index + 1}" for index in range(layers))), d)
        self.architecture = f"transformer, {layers} layers, {heads} heads, {'RoPE' if rope else 'NoPE'}"
        self.default_site = "layer1"  # where the paper intervenes in its two-layer transformers
        self.embedding = normal_parameter((vocabulary, d), generator)
        self.layers = nn.ModuleList(Layer(d, heads, generator) for _ in range(layers))
        self.final_norm = nn.LayerNorm(d)
        self.output = MLPReadout(d, vocabulary, generator)

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """The residual stream after the last layer, normalised."""
        residual, _, ragged = self._run(tokens, lengths, len(self.layers))
        return ragged.spread(self.final_norm(residual), *tokens.shape)

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        return self.output(features, dropout)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        self.check_site(site)
        residual, _, ragged = self._run(tokens, None, self._layers_below(site))
        return ragged.spread(residual, *tokens.shape)

    @torch.no_grad()
    def attention(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch layers heads query key"]:
        """Attention weights of each position in every layer and head; those of a query sum to 1."""
        _, projected, ragged = self._run(tokens, None, len(self.layers))
        later = torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool, device=tokens.device).triu(1)
        scores = []
        for layer in projected:
            queries, keys = (ragged.spread(x, *tokens.shape).transpose(1, 2) for x in (layer.queries, layer.keys))
            scores.append((queries @ keys.mT / self.head_width**0.5).masked_fill(later, -torch.inf))
        return torch.stack(scores, 1).softmax(-1)

    @torch.no_grad()
    def features_counting(
        self, tokens: Int[Tensor, "batch time"], counts: Float[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time feature"]:
        """`features`, with each position's contribution to every attention sum multiplied by its count.

        A count of 0 hides a position from all others, a count of 2 adds it twice; the sum is normalised by its weights
        as usual. The count of the first position must not be 0.
        """
        self.check_tokens(tokens, None)
        return self.final_norm(self.run_layers(self.embedding[tokens], 0, counts)[-1])

    def run_layers(
        self, residual: Float[Tensor, "batch time d"], first: int, counts: Float[Tensor, "batch time"] | None = None
    ) -> list[Float[Tensor, "batch time d"]]:
        """The residual stream after each layer from index `first` on, from the stream of whole sequences before it.

        Every position may be rewritten, whereas a run state rewrites one. For `counts` see `features_counting`.
        """
        time, device = residual.shape[1], residual.device
        later = torch.ones(time, time, dtype=torch.bool, device=device).triu(1)
        weights = residual.new_zeros(len(residual), time) if counts is None else counts.log().to(residual.dtype)
        mask = weights[:, None, None, :].expand(-1, 1, time, -1).masked_fill(later, -torch.inf)
        rotation, after = self._rotation(torch.arange(time, device=device)), []
        for layer in self._stack()[first:]:
            heads = (x.transpose(1, 2) for x in layer.project(residual, rotation))
            attended = scaled_dot_product_attention(*heads, attn_mask=mask)
            residual = layer.update(residual, attended.transpose(1, 2).flatten(2))
            after.append(residual)
        return after

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """The run state stores the keys and values of every layer, and the positions."""
        self.check_site(site)
        self.check_positions(tokens, positions)
        below, lengths = self._layers_below(site), positions.cpu() + 1
        tokens = tokens[:, : int(lengths.max())]
        residual, cache, ragged = self._run(tokens, lengths, below)
        states = residual.index_select(0, to_device(ragged.begins + lengths - 1, residual.device))
        rotation = self._rotation(ragged.positions)
        for index, layer in enumerate(self._stack()[below:], below):
            projected = layer.project(residual, rotation)
            cache.append(projected)
            if index < len(self.layers) - 1:
                residual = layer.update(residual, ragged.attend(projected))
        stored = {"positions": positions.cpu()}
        for index, projected in enumerate(cache):
            stored[f"keys{index}"] = ragged.spread(projected.keys, *tokens.shape)
            stored[f"values{index}"] = ragged.spread(projected.values, *tokens.shape)
        return RunState(site, states, stored)

    def states_at(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str
    ) -> Float[Tensor, "batch state"]:
        self.check_site(site)
        self.check_positions(tokens, positions)
        lengths = positions.cpu() + 1
        residual, _, ragged = self._run(tokens[:, : int(lengths.max())], lengths, self._layers_below(site))
        return residual.index_select(0, to_device(ragged.begins + lengths - 1, residual.device))

    def precompute(self, state: RunState, fed: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> RunState:
        """The residual stream of the fed tokens at the site, and their attention to all but the rewritten position.

        No rewritten state changes the residual stream of the fed tokens at the site. In the first layer above, the
        rewritten state contributes one key and one value to the attention of each fed token. The contribution of all
        other positions is stored, as their mean and the logarithm of the sum of their weights.
        """
        below, positions = self._layers_below(state.site), state.context["positions"]
        lengths = lengths.cpu()
        ragged = Ragged(lengths, fed.device, Earlier(state.context_rows, positions + 1))
        rotation, residual = self._rotation(ragged.positions), self.embedding[ragged.pack(fed)]
        for index in range(below):
            layer = self._stack()[index]
            residual = layer.update(residual, ragged.attend(layer.project(residual, rotation), _cached(state, index)))
        computed = {"fed": residual}
        if below < len(self.layers):
            projected = self._stack()[below].project(residual, rotation)
            without_stop = Ragged(lengths, fed.device, Earlier(state.context_rows, positions))
            mean, mass = without_stop.attend_with_mass(projected, _cached(state, below))
            computed |= {"queries": projected.queries, "mean": mean, "mass": mass}
        stored = {name: state.context[name] for name in _from_layer(state.stored, below)}
        stored |= {name: ragged.spread(entry, *fed.shape) for name, entry in computed.items()}
        return RunState(state.site, state.states, stored)

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        lengths = (target_mask * torch.arange(1, target_mask.shape[1] + 1)).amax(1).clamp(min=1)
        state = state if "fed" in state.stored else self.precompute(state, fed, lengths - 1)
        below, last = self._layers_below(state.site), len(self.layers) - 1
        rows, steps = target_mask.nonzero().unbind(1)
        if below >= last:
            return self.final_norm(self._first_layer_above(state, rows, steps))
        ragged = Ragged(lengths, state.states.device, Earlier(state.context_rows, state.context["positions"]))
        residual = self._first_layer_above(state, ragged.rows, ragged.steps)
        rotation = self._rotation(ragged.positions)
        for index in range(below + 1, last + 1):
            layer = self._stack()[index]
            attended = ragged.attend(layer.project(residual, rotation), _cached(state, index))
            if index == last:
                targets = to_device(ragged.begins[rows] + steps, residual.device)
                residual, attended = pick(residual, targets), pick(attended, targets)
            residual = layer.update(residual, attended)
        return self.final_norm(residual)

    def _first_layer_above(
        self, state: RunState, rows: Int[Tensor, " some"], steps: Int[Tensor, " some"]
    ) -> Float[Tensor, "some d"]:
        """The residual stream after the first layer above the site (without such a layer: at the site), at some steps.

        Step 0 is the stop, where the state is; step j is the j-th fed token.
        """
        below, device = self._layers_below(state.site), state.states.device
        is_fed = steps > 0
        stop_rows, fed_rows = rows[~is_fed], rows[is_fed]
        stops = to_device(stop_rows, device)
        index = to_device(state.context_rows[fed_rows] * state.stored["fed"].shape[1] + steps[is_fed] - 1, device)
        precomputed = {
            name: state.stored[name].flatten(0, 1).index_select(0, index)
            for name in _PRECOMPUTED
            if name in state.stored
        }
        residual = torch.cat([pick(state.states, stops), precomputed["fed"]])
        if below < len(self.layers):
            layer, positions = self._stack()[below], state.context["positions"]
            projected = layer.project(state.states, self._rotation(to_device(positions, device)))
            earlier = Earlier(state.context_rows[stop_rows], positions[stop_rows])
            stop_tokens = Ragged(torch.ones_like(stop_rows), device, earlier)
            at_stops = Projected(*(pick(x, stops) for x in projected))
            attended_at_stops = stop_tokens.attend(at_stops, _cached(state, below))
            # A fed token attends to a weighted mean of the precomputed positions and the stopped one.
            counts = torch.bincount(fed_rows, minlength=len(state))
            keys, values = repeat(projected.keys, counts), repeat(projected.values, counts)
            scores = (precomputed["queries"] * keys).sum(-1) / self.head_width**0.5
            share = (scores - precomputed["mass"]).sigmoid()
            mixed = torch.lerp(precomputed["mean"], values, share[..., None])
            residual = layer.update(residual, torch.cat([attended_at_stops, mixed.flatten(1)]))
        order = torch.empty_like(rows)
        order[torch.cat([(~is_fed).nonzero()[:, 0], is_fed.nonzero()[:, 0]])] = torch.arange(len(rows))
        return pick(residual, to_device(order, device))

    def _run(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None, layers: int
    ) -> tuple[Float[Tensor, "total d"], list[Projected], Ragged]:
        """The residual stream after the first `layers` layers, their queries, keys and values, and the packing."""
        self.check_tokens(tokens, lengths)
        batch, time = tokens.shape
        ragged = Ragged(torch.full((batch,), time) if lengths is None else lengths.cpu(), tokens.device)
        rotation = self._rotation(ragged.positions)
        residual, cache = self.embedding[ragged.pack(tokens)], []
        for layer in self._stack()[:layers]:
            projected = layer.project(residual, rotation)
            cache.append(projected)
            residual = layer.update(residual, ragged.attend(projected))
        return residual, cache, ragged

    def _rotation(self, positions: Int[Tensor, "*tokens"]) -> Rotation | None:
        return rope_rotation(positions, self.head_width, self.embedding) if self.rope else None

    def _stack(self) -> list[Layer]:
        return cast("list[Layer]", list(self.layers))

    def _layers_below(self, site: str) -> int:
        """Number of layers before a site."""
        return list(self.sites).index(site)


def _cached(state: RunState, index: int) -> Cached:
    return Cached(state.stored[f"keys{index}"], state.stored[f"values{index}"])


def _from_layer(stored: Mapping[str, Tensor], first: int) -> list[str]:
    """The names of stored tensors, without the keys and values of layers before index `first`."""
    before = {f"{kind}{index}" for kind in ("keys", "values") for index in range(first)}
    return [name for name in stored if name not in before]


def _check_heads(d: int, heads: int, rope: bool) -> None:
    if d % heads:
        divisors = ", ".join(str(n) for n in range(1, d + 1) if d % n == 0)
        raise InvalidArgumentError(f"{heads} heads do not divide d = {d}; possible numbers of heads: {divisors}")
    if rope and d // heads % 2:
        raise InvalidArgumentError(
            f"RoPE turns pairs of dimensions, and heads of width {d // heads} have none; make d / heads even"
        )


def transformer_rope(
    d: SupportsIndex,
    vocabulary: SupportsIndex,
    generator: Generator,
    *,
    layers: SupportsIndex = 2,
    heads: SupportsIndex = 1,
) -> Transformer:
    """The paper's transformer, with rotary position encoding; arguments as of `Transformer`."""
    return Transformer(d, vocabulary, generator, layers=layers, heads=heads, rope=True)


def transformer_nope(
    d: SupportsIndex,
    vocabulary: SupportsIndex,
    generator: Generator,
    *,
    layers: SupportsIndex = 2,
    heads: SupportsIndex = 1,
) -> Transformer:
    """A transformer without position encoding; arguments as of `Transformer`."""
    return Transformer(d, vocabulary, generator, layers=layers, heads=heads, rope=False)
