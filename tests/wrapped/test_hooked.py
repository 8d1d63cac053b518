"""Torch modules as networks, by hooks."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symscope as sc
from symscope.errors import BrokenLawError, InvalidArgumentError, UnknownNameError
from symscope.networks import make_network


class Block(nn.Module):
    """A causal block that returns a tuple."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.mix, self.mlp = nn.Linear(d, d), nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d))

    def forward(self, x: Tensor) -> tuple[Tensor, None]:
        before = x.cumsum(1) / torch.arange(1, x.shape[1] + 1, device=x.device)[:, None]
        x = x + self.mix(before)
        return x + self.mlp(x), None


class Model(nn.Module):
    """Token ids to logits, through two blocks."""

    def __init__(self, d: int = 6, vocabulary: int = 9) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d)
        self.blocks = nn.ModuleList([Block(d), Block(d)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocabulary)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for block in self.blocks:
            x, _ = block(x)
        return self.head(self.norm(x))


SITES = {"embedding": "embedding", "layer1": "blocks.0", "mlp2": "blocks.1.mlp"}
TOKENS = torch.arange(12).reshape(2, 6) % 9


def make() -> Model:
    torch.manual_seed(0)
    return Model()


@pytest.mark.parametrize("head", [None, "head"])
def test_a_sequence_model_keeps_the_laws_at_every_site(head: str | None) -> None:
    network = sc.wrap(make(), SITES, head=head, example=TOKENS)
    assert network.sites == {"embedding": 6, "layer1": 6, "mlp2": 6}
    sc.check_network(network)


def test_a_classifier_of_vectors_keeps_the_laws() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 5), nn.Tanh(), nn.Linear(5, 3))
    network = sc.wrap(module, {"first": "0", "second": "2"}, head="4", example=torch.randn(7, 4))
    sc.check_network(network)
    state = network.run_until(torch.randn(2, 4), torch.zeros(2, dtype=torch.long), "second")
    new = torch.randn(2, 5)
    with torch.no_grad():
        features = network.resume(state.rewrite(new), torch.zeros(2, 0, dtype=torch.long), torch.ones(2, 1).bool())
        torch.testing.assert_close(network.readout(features), module[4](torch.tanh(new)))


def test_hooks_agree_with_our_transformer_which_resumes_from_its_cache() -> None:
    ours: Any = make_network("transformer-rope", 8, 9, sc.generator(0), layers=2)

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stack, self.mark = ours, nn.Identity()

        def forward(self, tokens: Tensor) -> Tensor:
            stream = self.mark(ours.run_layers(ours.embedding[tokens], 0)[0])
            return ours.readout(ours.final_norm(ours.run_layers(stream, 1)[-1]))

    network = sc.wrap(Plain(), {"layer1": "mark"}, example=TOKENS)
    positions, fed, mask = torch.tensor([2, 4]), torch.tensor([[1, 2], [3, 4]]), torch.ones(2, 3).bool()
    states = torch.randn(2, 8)
    with torch.no_grad():
        by_hooks = network.resume(network.run_until(TOKENS, positions, "layer1").rewrite(states), fed, mask)
        features = ours.resume(ours.run_until(TOKENS, positions, "layer1").rewrite(states), fed, mask)
    torch.testing.assert_close(by_hooks, ours.readout(features), atol=1e-5, rtol=1e-4)


def test_an_alignment_of_a_classifier_from_a_table() -> None:
    """The class is the sign of the first entry; it stands in the first hidden unit."""
    module = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    with torch.no_grad():
        module[0].weight.copy_(torch.eye(2))
        module[1].weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    network = sc.wrap(module, {"hidden": "0"}, example=torch.randn(2, 2))
    draws = torch.randn(400, 2, 2, generator=torch.Generator().manual_seed(0))
    rows = [
        {"base": base, "source": source, "label": int(source[0] > 0), "base_label": int(base[0] > 0)}
        | {"source_label": int(source[0] > 0), "variable": "sign"}
        for base, source in draws.tolist()
    ]
    data = sc.CounterfactualData.from_table(rows)
    result = sc.align(network, data, k=1, progress=False)["sign"]
    assert result.iia == 1.0
    assert result.trial_accuracy == 1.0


class Forgetful(nn.Module):
    """Returns a tensor that nothing reads."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model, self.unread = model, nn.Linear(6, 6)

    def forward(self, tokens: Tensor) -> Tensor:
        self.unread(self.model.embedding(tokens))
        return self.model(tokens)


def test_what_cannot_be_right_is_refused() -> None:
    model = make()
    with pytest.raises(UnknownNameError, match=r"blocks\.1"):
        sc.wrap(model, {"layer": "blocks.7"}, example=TOKENS)
    shared = nn.Linear(6, 6)
    with pytest.raises(InvalidArgumentError, match="runs 2 times"):
        sc.wrap(
            nn.Sequential(nn.Embedding(9, 6), shared, nn.ReLU(), shared, nn.Linear(6, 9)), {"x": "1"}, example=TOKENS
        )
    with pytest.raises(InvalidArgumentError, match="at least one site"):
        sc.wrap(model, {}, example=TOKENS)
    unread = sc.wrap(Forgetful(model), {"unread": "unread"}, example=TOKENS)
    with pytest.raises(BrokenLawError, match="changes the features"):
        unread.check_site("unread")
