"""Transformers: pre-norm, causal, with rotary position encoding (RoPE) or none (NoPE).

The state at a site is the residual stream after a layer, at one position. It is not Markov: what comes later also
attends to everything before. So a cut carries the keys and values of what lies before it, and `resume` runs the
layers above the site from the rewritten state, and the continuation, all tokens in one pass, through all layers.
"""

from collections.abc import Mapping
from typing import cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from symscope.errors import InvalidArgumentError
from symscope.networks.attention import Layer, Rotation, rotation
from symscope.networks.base import Network, RunState, check_positions
from symscope.networks.initial import normal_parameter
from symscope.networks.packing import pick, repeat, to_device
from symscope.networks.ragged import Cached, Earlier, Projected, Ragged
from symscope.networks.readouts import MLPReadout

MOST_LAYERS = 4
_FED = ("fed", "queries", "mean", "mass")


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
        InvalidArgumentError: a size that is not possible; RoPE needs heads of an even width.
    """

    def __init__(
        self, d: int, vocabulary: int, generator: Generator, *, layers: int = 2, heads: int = 1, rope: bool = True
    ) -> None:
        super().__init__()
        _check_sizes(d, layers, heads, rope)
        self.vocabulary, self.rope, self.head_width = vocabulary, rope, d // heads
        self.sites = dict.fromkeys(("embedding", *(f"layer{index + 1}" for index in range(layers))), d)
        self.architecture = f"transformer, {layers} layers, {heads} heads, {'RoPE' if rope else 'NoPE'}"
        self.default_site = "layer1"  # where the paper intervenes, in its two layers
        self.embedding = normal_parameter((vocabulary, d), generator)
        self.layers = nn.ModuleList(Layer(d, heads, generator) for _ in range(layers))
        self.final_norm = nn.LayerNorm(d)
        self.output = MLPReadout(d, vocabulary, generator)

    def features(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch time feature"]:
        """See `Network.features`; what is read out is the residual stream after the last layer, normed."""
        residual, _, ragged = self._run(tokens, lengths, len(self.layers))
        return ragged.spread(self.final_norm(residual), *tokens.shape)

    def readout(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """See `Network.readout`."""
        return self.output(features, dropout)

    def states(self, tokens: Int[Tensor, "batch time"], site: str) -> Float[Tensor, "batch time state"]:
        """See `Network.states`."""
        self.check_site(site)
        residual, _, ragged = self._run(tokens, None, self._below(site))
        return ragged.spread(residual, *tokens.shape)

    @torch.no_grad()
    def attention(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch layers heads query key"]:
        """How much each position attends to each, in every layer and head; each row of keys sums to 1."""
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
        """`features`, each position's contribution to every attention sum counted so many times over.

        0 takes a position out of what others see, 2 puts it in once more; the sum is normed by its weights, as always.
        The first position must count.
        """
        self.check_tokens(tokens, None)
        return self.final_norm(self.onwards(self.embedding[tokens], 0, counts)[-1])

    def onwards(
        self, residual: Float[Tensor, "batch time d"], below: int, counts: Float[Tensor, "batch time"] | None = None
    ) -> list[Float[Tensor, "batch time d"]]:
        """The residual stream after each layer above `below` layers, from that of whole sequences there.

        Every position may be rewritten, which a cut does to one. For `counts` see `features_counting`.
        """
        time, device = residual.shape[1], residual.device
        later = torch.ones(time, time, dtype=torch.bool, device=device).triu(1)
        weights = torch.zeros(len(residual), time, device=device) if counts is None else counts.log()
        mask = weights[:, None, None, :].expand(-1, 1, time, -1).masked_fill(later, -torch.inf)
        by, after = self._rotation(torch.arange(time, device=device)), []
        for layer in self._stack()[below:]:
            heads = (x.transpose(1, 2) for x in layer.project(residual, by))
            attended = scaled_dot_product_attention(*heads, attn_mask=mask)
            residual = layer.update(residual, attended.transpose(1, 2).flatten(2))
            after.append(residual)
        return after

    def run_until(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> RunState:
        """See `Network.run_until`; the context holds every layer's keys and values, and the positions."""
        self.check_site(site)
        check_positions(tokens, positions)
        below, lengths = self._below(site), positions.cpu() + 1
        tokens = tokens[:, : int(lengths.max())]
        residual, projected, ragged = self._run(tokens, lengths, below)
        states = residual.index_select(0, to_device(ragged.begins + lengths - 1, residual.device))
        by = self._rotation(ragged.positions)
        for index, layer in enumerate(self._stack()[below:], below):
            now = layer.project(residual, by)
            projected.append(now)
            if index < len(self.layers) - 1:
                residual = layer.update(residual, ragged.attend(now))
        context = {"positions": positions.cpu()}
        for index, now in enumerate(projected):
            context[f"keys{index}"] = ragged.spread(now.keys, *tokens.shape)
            context[f"values{index}"] = ragged.spread(now.values, *tokens.shape)
        return RunState(site, states, context)

    def states_at(
        self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str
    ) -> Float[Tensor, "batch state"]:
        """See `Network.states_at`."""
        self.check_site(site)
        check_positions(tokens, positions)
        lengths = positions.cpu() + 1
        residual, _, ragged = self._run(tokens[:, : int(lengths.max())], lengths, self._below(site))
        return residual.index_select(0, to_device(ragged.begins + lengths - 1, residual.device))

    def precompute(self, state: RunState, fed: Int[Tensor, "batch steps"], lengths: Int[Tensor, " batch"]) -> RunState:
        """See `Network.precompute`.

        No rewritten state changes the residual stream of the fed tokens at the site. In the first layer above, the
        rewritten state is one key and one value among those that a token attends to: the contribution of the others is
        known, as their mean and the logarithm of the sum of their weights.
        """
        below, positions = self._below(state.site), state.context["positions"]
        lengths = lengths.cpu()
        ragged = Ragged(lengths, fed.device, Earlier(state.context_rows, positions + 1))
        by, residual = self._rotation(ragged.positions), self.embedding[ragged.pack(fed)]
        for index in range(below):
            layer = self._stack()[index]
            residual = layer.update(residual, ragged.attend(layer.project(residual, by), _cached(state, index)))
        computed = {"fed": residual}
        if below < len(self.layers):
            now = self._stack()[below].project(residual, by)
            others = Ragged(lengths, fed.device, Earlier(state.context_rows, positions))
            mean, mass = others.attend_with_mass(now, _cached(state, below))
            computed |= {"queries": now.queries, "mean": mean, "mass": mass}
        stored = {name: state.context[name] for name in _above(state.stored, below)}
        stored |= {name: ragged.spread(entry, *fed.shape) for name, entry in computed.items()}
        return RunState(state.site, state.states, stored)

    def resume(
        self, state: RunState, fed: Int[Tensor, "batch steps"], target_mask: Bool[Tensor, "batch steps+1"]
    ) -> Float[Tensor, "targets feature"]:
        """See `Network.resume`."""
        lengths = (target_mask * torch.arange(1, target_mask.shape[1] + 1)).amax(1).clamp(min=1)
        state = state if "fed" in state.stored else self.precompute(state, fed, lengths - 1)
        below, last = self._below(state.site), len(self.layers) - 1
        rows, steps = target_mask.nonzero().unbind(1)
        if below >= last:
            return self.final_norm(self._first_above(state, rows, steps))
        ragged = Ragged(lengths, state.states.device, Earlier(state.context_rows, state.context["positions"]))
        residual = self._first_above(state, ragged.rows, ragged.steps)
        by = self._rotation(ragged.positions)
        for index in range(below + 1, last + 1):
            layer = self._stack()[index]
            attended = ragged.attend(layer.project(residual, by), _cached(state, index))
            if index == last:
                at = to_device(ragged.begins[rows] + steps, residual.device)
                residual, attended = pick(residual, at), pick(attended, at)
            residual = layer.update(residual, attended)
        return self.final_norm(residual)

    def _first_above(
        self, state: RunState, rows: Int[Tensor, " some"], steps: Int[Tensor, " some"]
    ) -> Float[Tensor, "some d"]:
        """The residual stream after the first layer above the site (or at it, if there is none), at some steps."""
        below, device = self._below(state.site), state.states.device
        on = steps > 0  # step 0 is the stop itself
        mine, first = rows[~on], to_device(rows[~on], device)
        there = to_device(state.context_rows[rows[on]] * state.stored["fed"].shape[1] + steps[on] - 1, device)
        fed = {name: state.stored[name].flatten(0, 1).index_select(0, there) for name in _FED if name in state.stored}
        residual = torch.cat([pick(state.states, first), fed["fed"]])
        if below < len(self.layers):
            layer, positions = self._stack()[below], state.context["positions"]
            now = layer.project(state.states, self._rotation(to_device(positions, device)))
            earlier = Earlier(state.context_rows[mine], positions[mine])
            alone = Ragged(torch.ones_like(mine), device, earlier)
            own = alone.attend(Projected(*(pick(x, first) for x in now)), _cached(state, below))
            # What a fed token attends to: a weighted mean of what is known, and of the stopped position.
            each = torch.bincount(rows[on], minlength=len(state))
            keys, values = repeat(now.keys, each), repeat(now.values, each)
            share = ((fed["queries"] * keys).sum(-1) / self.head_width**0.5 - fed["mass"]).sigmoid()
            mixed = torch.lerp(fed["mean"], values, share[..., None])
            residual = layer.update(residual, torch.cat([own, mixed.flatten(1)]))
        order = torch.empty_like(rows)
        order[torch.cat([(~on).nonzero()[:, 0], on.nonzero()[:, 0]])] = torch.arange(len(rows))
        return pick(residual, to_device(order, device))

    def _run(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None, layers: int
    ) -> tuple[Float[Tensor, "total d"], list[Projected], Ragged]:
        """The residual stream after so many layers, what their attention saw, and where its tokens belong."""
        self.check_tokens(tokens, lengths)
        batch, time = tokens.shape
        ragged = Ragged(torch.full((batch,), time) if lengths is None else lengths.cpu(), tokens.device)
        by = self._rotation(ragged.positions)
        residual, projected = self.embedding[ragged.pack(tokens)], []
        for layer in self._stack()[:layers]:
            now = layer.project(residual, by)
            projected.append(now)
            residual = layer.update(residual, ragged.attend(now))
        return residual, projected, ragged

    def _rotation(self, positions: Int[Tensor, "*tokens"]) -> Rotation | None:
        return rotation(positions, self.head_width, self.embedding) if self.rope else None

    def _stack(self) -> list[Layer]:
        return cast("list[Layer]", list(self.layers))

    def _below(self, site: str) -> int:
        """How many layers lie before a site."""
        return list(self.sites).index(site)


def _cached(state: RunState, index: int) -> Cached:
    return Cached(state.stored[f"keys{index}"], state.stored[f"values{index}"])


def _above(context: Mapping[str, Tensor], below: int) -> list[str]:
    """What of a context is not of a layer before the site."""
    before = {f"{kind}{index}" for kind in ("keys", "values") for index in range(below)}
    return [name for name in context if name not in before]


def _check_sizes(d: int, layers: int, heads: int, rope: bool) -> None:
    if d < 1:
        raise InvalidArgumentError(f"the width d is at least 1, got {d}")
    if not 1 <= layers <= MOST_LAYERS:
        raise InvalidArgumentError(f"a transformer has 1 to {MOST_LAYERS} layers, got {layers}")
    if heads < 1 or d % heads:
        divisors = ", ".join(str(n) for n in range(1, d + 1) if d % n == 0)
        raise InvalidArgumentError(f"{heads} heads do not divide d = {d}; possible numbers of heads: {divisors}")
    if rope and d // heads % 2:
        raise InvalidArgumentError(
            f"RoPE turns pairs of dimensions, and heads of width {d // heads} have none; make d / heads even"
        )


def transformer_rope(d: int, vocabulary: int, generator: Generator, *, layers: int = 2, heads: int = 1) -> Transformer:
    """The paper's transformer: rotary position encoding; see `Transformer`."""
    return Transformer(d, vocabulary, generator, layers=layers, heads=heads, rope=True)


def transformer_nope(d: int, vocabulary: int, generator: Generator, *, layers: int = 2, heads: int = 1) -> Transformer:
    """A transformer without position encoding; see `Transformer`."""
    return Transformer(d, vocabulary, generator, layers=layers, heads=heads, rope=False)
