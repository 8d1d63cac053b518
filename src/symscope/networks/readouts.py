"""The output layers: from a network's last activity to logits."""

from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu, linear

from symscope.networks.initial import uniform_parameter


@final
class MLPReadout(nn.Module):
    """The paper's output layer: d to 4d, GELU, dropout 0.5, to the vocabulary (TMLR 2025, appendix).

    Args:
        d: width of the features.
        vocabulary: number of tokens.
        generator: draws the initial weights (torch's defaults for linear layers).
        dropout: share of hidden units dropped while training.
    """

    def __init__(self, d: int, vocabulary: int, generator: Generator, dropout: float = 0.5) -> None:
        super().__init__()
        hidden = 4 * d
        self.dropout = dropout
        self.hidden_weight = uniform_parameter((hidden, d), d, generator)
        self.hidden_bias = uniform_parameter((hidden,), d, generator)
        self.output_weight = uniform_parameter((vocabulary, hidden), hidden, generator)
        self.output_bias = uniform_parameter((vocabulary,), hidden, generator)

    def forward(
        self, features: Float[Tensor, "*batch d"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits; hidden units are dropped only when a generator is given."""
        hidden = gelu(linear(features, self.hidden_weight, self.hidden_bias))
        if dropout is not None:
            kept = torch.rand(hidden.shape, generator=dropout, device=hidden.device) >= self.dropout
            hidden = hidden * kept / (1 - self.dropout)
        return linear(hidden, self.output_weight, self.output_bias)


@final
class LinearReadout(nn.Module):
    """A fixed linear output layer, for networks written by hand."""

    def __init__(self, weight: Float[Tensor, "vocabulary feature"], bias: Float[Tensor, " vocabulary"]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits; there is nothing to drop."""
        return linear(features, self.weight, self.bias)
