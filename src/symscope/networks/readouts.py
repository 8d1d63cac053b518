"""Output layers: from the features of a network to logits."""

from typing import final

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.functional import gelu, linear

from symscope.errors import InvalidArgumentError
from symscope.networks.parameters import uniform_parameter


@final
class MLPReadout(nn.Module):
    """The paper's output layer: d to 4d, GELU, dropout 0.5, to the vocabulary (TMLR 2025, appendix).

    Args:
        d: width of the features.
        vocabulary: number of tokens.
        generator: draws the initial weights (torch's defaults for linear layers).
        dropout: share of hidden units dropped during training, in steps of 1/256.
        hidden: number of hidden units; default 4d.
    """

    def __init__(
        self, d: int, vocabulary: int, generator: Generator, dropout: float = 0.5, hidden: int | None = None
    ) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise InvalidArgumentError(f"the share of dropped units is at least 0 and below 1, got {dropout}")
        hidden = 4 * d if hidden is None else hidden
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
            hidden = hidden * _dropout_mask(hidden, self.dropout, dropout)
        return linear(hidden, self.output_weight, self.output_bias)


def _dropout_mask(hidden: Tensor, share: float, generator: Generator) -> Tensor:
    """Zero for dropped units, else the factor that keeps the mean; one random byte per unit, eight drawn at a time."""
    dropped = min(round(256 * share), 255)
    words = torch.empty((hidden.numel() + 7) // 8, dtype=torch.int64, device=hidden.device)
    words.random_(-(2**63), None, generator=generator)
    kept = words.view(torch.uint8)[: hidden.numel()].view(hidden.shape).ge_(dropped)  # bytes: booleans are slower
    return kept.to(hidden.dtype).mul_(256 / (256 - dropped))


@final
class LinearReadout(nn.Module):
    """A linear output layer with given weights, for constructed networks."""

    def __init__(self, weight: Float[Tensor, "vocabulary feature"], bias: Float[Tensor, " vocabulary"]) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(
        self, features: Float[Tensor, "*batch feature"], dropout: Generator | None = None
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits; this layer has no dropout."""
        return linear(features, self.weight, self.bias)
