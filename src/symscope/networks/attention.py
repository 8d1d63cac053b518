"""One layer of a transformer: attention and a feed-forward network, each pre-normed and added to the residual stream.

A layer is taken in two parts, so that keys and values can come from a cache: `project` gives the queries, keys and
values of some positions, `update` moves their residual stream, given all keys and values that they may see.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from symscope.networks.initial import uniform_parameter

Heads = Float[Tensor, "batch heads time width"]


class Rotation(NamedTuple):
    """The angles of rotary position encoding (RoPE), as cosines and sines."""

    cos: Float[Tensor, "rows 1 time pairs"]
    sin: Float[Tensor, "rows 1 time pairs"]


class Projected(NamedTuple):
    """What a layer's attention makes of some positions."""

    queries: Heads
    keys: Heads
    values: Heads


def rotation(positions: Int[Tensor, "rows time"], width: int, like: Tensor) -> Rotation:
    """RoPE for heads of an even width: pair i turns by 10000^(-2i/width) a position (Su et al. 2021)."""
    pairs = torch.arange(width // 2, device=like.device, dtype=like.dtype)
    angles = positions[:, None, :, None].to(like.dtype) * 10_000.0 ** (-2 * pairs / width)
    return Rotation(angles.cos(), angles.sin())


def turn(heads: Heads, by: Rotation | None) -> Heads:
    """Queries or keys, turned by their positions; unchanged where the network has no position encoding (NoPE)."""
    if by is None:
        return heads
    one, other = heads.chunk(2, -1)
    return torch.cat([one * by.cos - other * by.sin, one * by.sin + other * by.cos], -1)


@final
class Layer(nn.Module):
    """A pre-norm layer; the feed-forward network has 4d hidden units and GELU.

    Args:
        d: width of the residual stream.
        heads: number of attention heads, a divisor of d.
        generator: draws the initial weights: torch's defaults for linear layers.
    """

    def __init__(self, d: int, heads: int, generator: Generator) -> None:
        super().__init__()
        self.heads, self.width = heads, d // heads
        self.attention_norm, self.forward_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.project_weight = uniform_parameter((3 * d, d), d, generator)
        self.project_bias = uniform_parameter((3 * d,), d, generator)
        self.attended_weight = uniform_parameter((d, d), d, generator)
        self.attended_bias = uniform_parameter((d,), d, generator)
        self.hidden_weight = uniform_parameter((4 * d, d), d, generator)
        self.hidden_bias = uniform_parameter((4 * d,), d, generator)
        self.output_weight = uniform_parameter((d, 4 * d), 4 * d, generator)
        self.output_bias = uniform_parameter((d,), 4 * d, generator)

    def project(self, residual: Float[Tensor, "batch time d"], by: Rotation | None) -> Projected:
        """Queries, keys (both turned by position) and values of each position."""
        batch, time, _ = residual.shape
        every = linear(self.attention_norm(residual), self.project_weight, self.project_bias)
        queries, keys, values = every.view(batch, time, 3, self.heads, self.width).permute(2, 0, 3, 1, 4)
        return Projected(turn(queries, by), turn(keys, by), values)

    def update(
        self,
        residual: Float[Tensor, "batch time d"],
        queries: Heads,
        keys: Float[Tensor, "batch heads seen width"],
        values: Float[Tensor, "batch heads seen width"],
        visible: Bool[Tensor, "batch 1 time seen"] | None = None,
    ) -> Float[Tensor, "batch time d"]:
        """The residual stream after the layer; without `visible`, each position sees those up to itself."""
        mixed = scaled_dot_product_attention(queries, keys, values, visible, is_causal=visible is None)
        attended = mixed.transpose(1, 2).reshape(residual.shape)
        residual = residual + linear(attended, self.attended_weight, self.attended_bias)
        hidden = gelu(linear(self.forward_norm(residual), self.hidden_weight, self.hidden_bias))
        return residual + linear(hidden, self.output_weight, self.output_bias)
