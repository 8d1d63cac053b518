"""One transformer layer: attention and a feed-forward network, each pre-normed and added to the residual stream.

A layer consists of two functions of each token alone: `project` gives a token's query, key and value, and `update`
adds the results of attention and of the feed-forward network to its residual stream. The caller computes attention
between them, and so decides which tokens see which.
"""

from typing import NamedTuple, final

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu, linear

from symscope.networks.parameters import uniform_parameter
from symscope.networks.ragged import Heads, Projected


class Rotation(NamedTuple):
    """The angles of rotary position encoding (RoPE), as cosines and sines."""

    cos: Float[Tensor, "*tokens 1 pairs"]
    sin: Float[Tensor, "*tokens 1 pairs"]


def rope_rotation(positions: Int[Tensor, "*tokens"], width: int, like: Tensor) -> Rotation:
    """RoPE for heads of an even width: pair i turns by 10000^(-2i/width) per position (Su et al. 2021)."""
    pairs = torch.arange(width // 2, device=like.device, dtype=like.dtype)
    angles = positions[..., None, None].to(like.dtype) * 10_000.0 ** (-2 * pairs / width)
    return Rotation(angles.cos(), angles.sin())


def apply_rope(heads: Heads, rotation: Rotation | None) -> Heads:
    """Queries or keys, rotated by their positions; unchanged without position encoding (NoPE)."""
    if rotation is None:
        return heads
    first, second = heads.chunk(2, -1)
    cos, sin = rotation
    return torch.cat([first * cos - second * sin, first * sin + second * cos], -1)


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

    def project(self, residual: Float[Tensor, "*tokens d"], rotation: Rotation | None) -> Projected:
        """Query, key (both rotated by position) and value of each token."""
        projected = linear(self.attention_norm(residual), self.project_weight, self.project_bias)
        queries, keys, values = projected.view(*residual.shape[:-1], 3, self.heads, self.width).unbind(-3)
        return Projected(apply_rope(queries, rotation), apply_rope(keys, rotation), values)

    def update(
        self, residual: Float[Tensor, "*tokens d"], attended: Float[Tensor, "*tokens d"]
    ) -> Float[Tensor, "*tokens d"]:
        """The residual stream after the layer, from the stream before it and the outputs of the heads."""
        residual = residual + linear(attended, self.attended_weight, self.attended_bias)
        hidden = gelu(linear(self.forward_norm(residual), self.hidden_weight, self.hidden_bias))
        return residual + linear(hidden, self.output_weight, self.output_bias)
