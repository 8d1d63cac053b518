"""Transformers: pre-norm, causal, with rotary position encoding (RoPE) or none (NoPE).

The state at a site is the residual stream after a layer, at one position. It is not Markov: what comes later also
attends to everything before. So a cut carries the keys and values of what lies before it, and `resume` runs the
layers above the site from the rewritten state, and the continuation, all tokens in one pass, through all layers.
"""

from dataclasses import replace
from typing import cast, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from symscope.errors import InvalidArgumentError
from symscope.networks.attention import Layer, Rotation, rotation
from symscope.networks.base import Cut, Network, check_positions, rows_at
from symscope.networks.initial import normal_parameter
from symscope.networks.packing import pick, to_device
from symscope.networks.ragged import Projected, Ragged
from symscope.networks.readouts import MLPReadout

MOST_LAYERS = 4


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

    def cut(self, tokens: Int[Tensor, "batch time"], positions: Int[Tensor, " batch"], site: str) -> Cut:
        """See `Network.cut`; the context holds every layer's keys and values, and the positions."""
        self.check_site(site)
        check_positions(tokens, positions)
        below, lengths = self._below(site), positions.cpu() + 1
        tokens = tokens[:, : int(lengths.max())]
        residual, projected, ragged = self._run(tokens, lengths, below)
        states = rows_at(ragged.spread(residual, *tokens.shape), positions)
        by = self._rotation(ragged.positions)
        for index, layer in enumerate(self._stack()[below:], below):
            now = layer.project(residual, by)
            projected.append(now)
            if index + 1 < len(self.layers):
                residual = layer.update(residual, ragged.attend(now))
        context = {
            "keys": ragged.spread(torch.stack([p.keys for p in projected], 1), *tokens.shape),
            "values": ragged.spread(torch.stack([p.values for p in projected], 1), *tokens.shape),
            "positions": positions,
        }
        return Cut(site, states, context)

    def prefeed(self, cut: Cut, continuation: Int[Tensor, "batch time"]) -> Cut:
        """See `Network.prefeed`: the continuation's residual stream at the site depends on no rewritten state."""
        below = self._below(cut.site)
        above = {name: cut.context[name][:, :, below:] for name in ("keys", "values")}
        return replace(cut, context={**cut.context, **above, "fed": self._fed(cut, continuation)})

    def resume(
        self, cut: Cut, continuation: Int[Tensor, "batch time"], wanted: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "wanted feature"]:
        """See `Network.resume`."""
        positions, time = cut.context["positions"], continuation.shape[1]
        fed = cut.context["fed"][:, : time - 1] if "fed" in cut.context else self._fed(cut, continuation)
        residual = torch.cat([cut.states[:, None], fed], 1)
        by = self._rotation(positions[:, None] + torch.arange(time, device=positions.device))
        # Above the site the cut position's own keys and values come from the rewritten state, so none cached is seen.
        visible = _visible(cut, positions, time)
        for index in range(self._below(cut.site), len(self.layers)):
            residual = self._resume_layer(index, residual, cut, by, visible)
        at = to_device(wanted.flatten().nonzero()[:, 0], residual.device)
        return self.final_norm(pick(residual.flatten(0, 1), at))

    def _fed(self, cut: Cut, continuation: Int[Tensor, "batch time"]) -> Float[Tensor, "batch fed d"]:
        """The residual stream of the continuation's tokens, but the last, at the site of the cut."""
        positions, residual = cut.context["positions"], self.embedding[continuation[:, :-1]]
        time, below = residual.shape[1], self._below(cut.site)
        if time == 0 or below == 0:
            return residual
        by = self._rotation(positions[:, None] + 1 + torch.arange(time, device=positions.device))
        visible = _visible(cut, positions + 1, time)
        for index in range(below):
            residual = self._resume_layer(index, residual, cut, by, visible)
        return residual

    def _resume_layer(
        self, index: int, residual: Tensor, cut: Cut, by: Rotation | None, visible: Bool[Tensor, "batch 1 time seen"]
    ) -> Float[Tensor, "batch time d"]:
        layer = self._stack()[index]
        now = layer.project(residual, by)
        keys, values = cut.context["keys"], cut.context["values"]
        cached = index - (len(self.layers) - keys.shape[2])  # a prefed cut holds the layers above its site only
        heads = (
            now.queries,
            torch.cat([keys[:, :, cached], now.keys], 1),
            torch.cat([values[:, :, cached], now.values], 1),
        )
        mixed = scaled_dot_product_attention(*(x.transpose(1, 2) for x in heads), attn_mask=visible)
        return layer.update(residual, mixed.transpose(1, 2).flatten(2))

    def _run(
        self, tokens: Int[Tensor, "batch time"], lengths: Int[Tensor, " batch"] | None, layers: int
    ) -> tuple[Float[Tensor, "total d"], list[Projected], Ragged]:
        """The residual stream after so many layers, what their attention saw, and where its tokens belong."""
        self.check_tokens(tokens, lengths)
        batch, time = tokens.shape
        ragged = Ragged.of(torch.full((batch,), time) if lengths is None else lengths, time, tokens.device)
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


def _visible(cut: Cut, before: Int[Tensor, " batch"], time: int) -> Bool[Tensor, "batch 1 time seen"]:
    """New positions see the cached ones `before` a position of each row, and the new ones up to themselves."""
    batch, width = cut.context["keys"].shape[:2]
    device = before.device
    cached = (torch.arange(width, device=device) < before[:, None])[:, None, None].expand(batch, 1, time, width)
    new = torch.ones(time, time, dtype=torch.bool, device=device).tril()
    return torch.cat([cached, new.expand(batch, 1, time, time)], 3)


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
