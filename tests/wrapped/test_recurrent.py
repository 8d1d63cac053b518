"""Recurrent modules of torch, and any recurrence."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symscope as sc
from symscope.errors import BrokenLawError, InvalidArgumentError

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections")  # torch says that it is slow

KINDS: dict[str, dict[str, Any]] = {
    "gru": {"kind": nn.GRU, "num_layers": 1, "batch_first": True},
    "gru-2": {"kind": nn.GRU, "num_layers": 2, "batch_first": False},
    "gru-no-bias": {"kind": nn.GRU, "num_layers": 2, "bias": False, "batch_first": True},
    "lstm": {"kind": nn.LSTM, "num_layers": 1, "batch_first": False},
    "lstm-3": {"kind": nn.LSTM, "num_layers": 3, "batch_first": True, "dropout": 0.5},
    "lstm-projected": {"kind": nn.LSTM, "num_layers": 2, "proj_size": 3, "batch_first": True},
    "tanh-2": {"kind": nn.RNN, "num_layers": 2, "batch_first": True},
    "relu-2": {"kind": nn.RNN, "num_layers": 2, "nonlinearity": "relu", "batch_first": True},
}


def make(name: str, **options: Any) -> tuple[nn.Embedding, Any, nn.Linear]:
    torch.manual_seed(0)
    settings = dict(KINDS[name])
    kind = settings.pop("kind")
    rnn = kind(5, 6, **settings | options)
    return (
        nn.Embedding(7, 5),
        rnn,
        nn.Linear(rnn.proj_size or 6, 7) if not options.get("bidirectional") else nn.Linear(12, 7),
    )


def unrolled(
    rnn: Any, inputs: Tensor, rewrite: tuple[int, str, Tensor] | None
) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
    """Outputs of the last layer and states by site after each step, cell by cell in a loop over time and layers.

    `rewrite`: a time, a site, and the new state there.
    """
    layers = rnn.num_layers
    hidden = [torch.zeros(len(inputs), rnn.proj_size or rnn.hidden_size) for _ in range(layers)]
    cells = [torch.zeros(len(inputs), rnn.hidden_size) for _ in range(layers)]
    outputs, states = [], []
    for time in range(inputs.shape[1]):
        x = inputs[:, time]
        for layer in range(layers):
            w = [getattr(rnn, f"weight_{k}_l{layer}") for k in ("ih", "hh")]
            b = [getattr(rnn, f"bias_{k}_l{layer}") if rnn.bias else torch.zeros(len(w[0])) for k in ("ih", "hh")]
            from_x, from_h = x @ w[0].T + b[0], hidden[layer] @ w[1].T + b[1]
            if isinstance(rnn, nn.GRU):
                (rx, zx, nx), (rh, zh, nh) = from_x.chunk(3, 1), from_h.chunk(3, 1)
                z = torch.sigmoid(zx + zh)
                new = (1 - z) * torch.tanh(nx + torch.sigmoid(rx + rh) * nh) + z * hidden[layer]
            elif isinstance(rnn, nn.LSTM):
                i, f, g, o = (from_x + from_h).chunk(4, 1)
                cells[layer] = torch.sigmoid(f) * cells[layer] + torch.sigmoid(i) * torch.tanh(g)
                if rewrite and rewrite[:2] == (time, f"c.{layer}"):
                    cells[layer] = rewrite[2]
                new = torch.sigmoid(o) * torch.tanh(cells[layer])
                if rnn.proj_size:
                    new = new @ getattr(rnn, f"weight_hr_l{layer}").T
            else:
                new = torch.relu(from_x + from_h) if rnn.nonlinearity == "relu" else torch.tanh(from_x + from_h)
            if rewrite and rewrite[:2] == (time, f"h.{layer}"):
                new = rewrite[2]
            x = hidden[layer] = new
        outputs.append(x)
        found = {f"h.{layer}": hidden[layer] for layer in range(layers)}
        states.append(
            found | ({f"c.{layer}": cells[layer] for layer in range(layers)} if isinstance(rnn, nn.LSTM) else {})
        )
    return outputs, states


@pytest.mark.parametrize("name", KINDS)
def test_rewritten_states_agree_with_the_stack_of_unrolled_cells(name: str) -> None:
    embedding, rnn, output = make(name)
    network = sc.wrap_recurrent(embedding, rnn, output).eval()
    network._checked = set(network.sites)
    tokens, fed = torch.randint(7, (4, 6)), torch.randint(7, (4, 3))
    mask = torch.tensor(
        [[True, False, True, True], [True, True, False, False], [False, True, True, False], [True, True, True, True]]
    )
    for site in network.sites:
        for at in (0, 4):
            state = network.run_until(tokens, torch.full((4,), at), site)
            new = torch.randn(state.states.shape)
            with torch.no_grad():
                features = network.resume(state.rewrite(new), fed, mask)
                inputs = embedding(torch.cat([tokens[:, : at + 1], fed], 1))
                if site == "state":
                    hidden = new[:, : rnn.num_layers * (rnn.proj_size or 6)].unflatten(1, (rnn.num_layers, -1))
                    cells = new[:, hidden[0].numel() :].unflatten(1, (rnn.num_layers, -1)).transpose(0, 1)
                    start = [part.contiguous() for part in (hidden.transpose(0, 1), cells)]
                    after = embedding(fed) if rnn.batch_first else embedding(fed).transpose(0, 1)
                    later, _ = rnn(after, tuple(start) if isinstance(rnn, nn.LSTM) else start[0])
                    later = later if rnn.batch_first else later.transpose(0, 1)
                    expected = torch.cat([hidden[:, -1:], later], 1)[mask]
                    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
                    continue
                outputs, _ = unrolled(rnn, inputs, (at, site, new))
                natural = unrolled(rnn, inputs, None)[1][at][site]
            torch.testing.assert_close(state.states, natural, atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(features, torch.stack(outputs[at:], 1)[mask], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(("name", "bias"), [("gru", True), ("gru", False), ("lstm", True), ("lstm", False)])
def test_a_table_of_token_inputs_gives_the_states_and_gradients_of_the_fused_module(name: str, bias: bool) -> None:
    network = sc.wrap_recurrent(*make(name, bias=bias))
    tokens, lengths = torch.randint(7, (5, 4)), torch.tensor([2, 0, 4, 1, 4])
    assert network._has_table(tokens)
    assert not network._has_table(tokens[:, :1])  # fewer tokens than rows of the table
    found = []
    for run in (network._scan, network._run_fused):
        torch.manual_seed(0)
        start = tuple(torch.randn(1, 5, 6, requires_grad=True) for _ in network._widths)
        hidden, end = run(start, tokens, lengths)
        parts = [hidden, *end]
        torch.stack([(part * torch.randn(part.shape)).sum() for part in parts]).sum().backward()
        weights = [network.embedding.weight, *network.rnn.parameters()]  # pyright: ignore[reportAttributeAccessIssue]
        gradients = [tensor.grad.clone() for tensor in (*start, *weights) if tensor.grad is not None]
        assert len(gradients) == len(start) + len(weights)
        network.zero_grad()
        found.append([*parts, *gradients])
    for table, fused in zip(*found, strict=True):
        torch.testing.assert_close(table, fused, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_a_single_layer_with_a_table_keeps_the_laws(name: str) -> None:
    initial = [torch.randn(1, 6), torch.randn(1, 6)]
    sc.check_network(sc.wrap_recurrent(*make(name), initial=initial if name == "lstm" else initial[0]))


@pytest.mark.parametrize("name", ["gru-2", "lstm-projected", "relu-2"])
def test_wrapped_modules_keep_the_laws_at_every_site(name: str) -> None:
    embedding, rnn, output = make(name)
    initial = [torch.randn(2, rnn.proj_size or 6), torch.randn(2, 6)]
    start = initial if name.startswith("lstm") else initial[0]
    sc.check_network(sc.wrap_recurrent(embedding, rnn, output, initial=start))


def test_unrolled_initial_states_and_layouts_agree_with_the_fused_module() -> None:
    embedding, rnn, output = make("gru-2")
    initial = torch.randn(2, 6)
    network = sc.wrap_recurrent(embedding, rnn, output, initial=initial)
    tokens = torch.randint(7, (3, 5))
    fused, _ = rnn(embedding(tokens).transpose(0, 1), initial[:, None].expand(-1, 3, -1).contiguous())
    torch.testing.assert_close(network(tokens), output(fused).transpose(0, 1))


def test_modules_that_cannot_be_right_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="bidirectional"):
        sc.wrap_recurrent(*make("gru", bidirectional=True))
    with pytest.raises(InvalidArgumentError, match=r"sc\.Stepwise"):
        sc.wrap_recurrent(nn.Embedding(7, 5), nn.GRUCell(5, 6), nn.Linear(6, 7))
    with pytest.raises(InvalidArgumentError, match=r"expected \(1, 1, 5\)"):
        sc.wrap_recurrent(nn.Embedding(7, 4), nn.GRU(5, 6), nn.Linear(6, 7))
    with pytest.raises(InvalidArgumentError, match="does not take 6 hidden units"):
        sc.wrap_recurrent(nn.Embedding(7, 5), nn.GRU(5, 6), nn.Linear(5, 7))
    with pytest.raises(InvalidArgumentError, match="initial states"):
        sc.wrap_recurrent(*make("gru-2"), initial=torch.zeros(1, 6))


class Leaky(nn.Module):
    """A recurrence with two tensors in its state, one of them a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.mix, self.output = nn.Embedding(7, 4), nn.Linear(4, 4), nn.Linear(10, 7)

    def initial(self, rows: int) -> dict[str, Tensor]:
        weight = self.mix.weight
        return {"fast": weight.new_zeros(rows, 4), "slow": weight.new_zeros(rows, 2, 3)}

    def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
        fast = torch.tanh(self.mix(state["fast"]) + self.inputs(tokens) + state["slow"].sum((1, 2))[:, None])
        return {"fast": fast, "slow": 0.9 * state["slow"] + 0.1 * fast[:, None, :3].expand(-1, 2, -1)}

    def readout(self, state: dict[str, Tensor]) -> Tensor:
        return self.output(torch.cat([state["fast"], state["slow"].flatten(1)], 1))


def test_a_recurrence_from_three_functions_keeps_the_laws() -> None:
    torch.manual_seed(0)
    leaky = Leaky()
    network = sc.Stepwise(leaky.initial, leaky.step, leaky.readout, vocabulary=7)
    assert network.sites == {"state": 10, "fast": 4, "slow": 6}
    sc.check_network(network)


def test_a_part_of_the_state_that_nothing_reads_breaks_a_law() -> None:
    class Dead(Leaky):
        def readout(self, state: dict[str, Tensor]) -> Tensor:
            return super().readout(state | {"slow": torch.zeros_like(state["slow"])})

        def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
            return super().step(state | {"slow": torch.zeros_like(state["slow"])}, tokens)

    dead = Dead()
    with pytest.raises(BrokenLawError, match="changes the features"):
        sc.check_network(sc.Stepwise(dead.initial, dead.step, dead.readout, vocabulary=7), sites=["slow"])


def test_a_step_with_a_hidden_memory_breaks_a_law() -> None:
    class Counting(Leaky):
        calls = 0

        def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
            type(self).calls += 1
            return {name: part + 0.01 * (self.calls % 3) for name, part in super().step(state, tokens).items()}

    counting = Counting()
    with pytest.raises(BrokenLawError):
        sc.check_network(sc.Stepwise(counting.initial, counting.step, counting.readout, vocabulary=7))


def stepwise(vocabulary: int = 7, **functions: Any) -> sc.Stepwise:
    leaky = Leaky()
    given = {"initial": leaky.initial, "step": leaky.step, "readout": leaky.readout} | functions
    return sc.Stepwise(**given, vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        (0, "vocabulary must be at least 1, got 0"),
        (8, "cannot read token 7, the last of vocabulary=8 .*; pass the number of rows of the embedding"),
    ],
)
def test_an_impossible_vocabulary_is_refused(vocabulary: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        stepwise(vocabulary)


def test_a_vocabulary_smaller_than_the_embedding_is_possible() -> None:
    assert stepwise(1)(torch.zeros(2, 3, dtype=torch.long)).shape == (2, 3, 7)


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (lambda rows: torch.zeros(rows, 4), r"dictionary of tensors .* initial\(2\) returns Tensor"),
        (lambda rows: {}, "returns an empty one"),
        (lambda rows: {"state": torch.zeros(rows, 4)}, "the name 'state'"),
        (lambda rows: {0: torch.zeros(rows, 4)}, "the name 0"),
        (lambda rows: {"h": [0.0] * rows}, "returns 'h' as list"),
        (lambda rows: {"h": torch.zeros(rows, 4, dtype=torch.long)}, "returns 'h' as torch.int64"),
        (lambda rows: {"h": torch.zeros(4)}, r"'h' with the shape \(4,\); .* \(2, width, ...\)"),
        (lambda rows: {"h": torch.zeros(4, rows)}, r"'h' with the shape \(4, 2\)"),
        (lambda rows: {"h": torch.zeros(2, 4)}, r"initial\(3\) returns 'h' with the shape \(2, 4\)"),
        (lambda rows: {"h": torch.zeros(rows, rows)}, r"initial\(2\) and initial\(3\) differ"),
        (lambda rows: {"h": torch.zeros(rows, 0)}, r"'h' with the shape \(2, 0\)"),
    ],
)
def test_an_impossible_initial_state_is_refused(initial: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        stepwise(initial=initial)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (lambda h: h, "a step returns Tensor"),
        (lambda h: {"h": h.numpy()}, "a step returns 'h' as ndarray"),
        (lambda h: {"h": h > 0}, "a step returns 'h' as torch.bool"),
        (lambda h: {"h": h.double()}, r"'h' as torch.float64, and the weights are torch.float32.*state\['h'\].dtype"),
        (lambda h: {"h": h[:1]}, r"'h' with the shape \(1, 4\)"),
        (lambda h: {"h": h[:, :3]}, r"from \{'h': \(4,\)\} to \{'h': \(3,\)\}"),
        (lambda h: {"g": h}, r"to \{'g': \(4,\)\}"),
    ],
)
def test_a_step_to_another_kind_of_state_is_refused(after: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        stepwise(initial=lambda rows: {"h": torch.zeros(rows, 4)}, step=lambda state, tokens: after(state["h"]))


@pytest.mark.parametrize("logits", [lambda h: {"logits": h}, lambda h: h[0], lambda h: h[:1], lambda h: h[:, None]])
def test_a_readout_without_logits_is_refused(logits: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"expected logits \(2, vocabulary\)"):
        stepwise(readout=lambda state: logits(state["fast"]))


def test_a_function_that_overwrites_its_state_is_refused() -> None:
    class Cache(Leaky):
        def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
            for name, part in super().step(state, tokens).items():
                state[name].copy_(part)
            return state

    def scales(state: dict[str, Tensor]) -> Tensor:
        return state["slow"].mul_(2).flatten(1)

    message = r"step changes 'fast' of its argument in place.*state\['fast'\].clone\(\)"
    with pytest.raises(InvalidArgumentError, match=message):
        stepwise(step=Cache().step)
    with pytest.raises(InvalidArgumentError, match="readout changes 'slow' of its argument in place"):
        stepwise(readout=scales)


def test_a_step_may_put_new_tensors_into_its_dictionary() -> None:
    class Dictionary(Leaky):
        def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
            state |= super().step(state, tokens)
            return state

    leaky = Dictionary()
    sc.check_network(sc.Stepwise(leaky.initial, leaky.step, leaky.readout, vocabulary=7))


class Unregistered(Leaky):
    """Holds a cell in a list, where torch does not find it."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cells = [cell]

    def step(self, state: dict[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
        return state | {"fast": self.cells[0](self.inputs(tokens), state["fast"])}


@pytest.mark.parametrize("trained", [True, False])
def test_weights_that_the_network_would_miss_are_refused(trained: bool) -> None:
    leaky, cell = Leaky(), nn.GRUCell(4, 4).requires_grad_(trained)
    with pytest.raises(InvalidArgumentError, match=r"step uses a weight of the shape \(7, 4\) and is a plain function"):
        stepwise(step=lambda state, tokens: {"fast": leaky.inputs(tokens), "slow": state["slow"]})
    with pytest.raises(
        InvalidArgumentError, match=r"weight of the shape \(12, 4\) and belongs to Unregistered without"
    ):
        stepwise(step=Unregistered(cell).step)
    scale = torch.ones(4, requires_grad=True)
    with pytest.raises(InvalidArgumentError, match=r"initial uses a weight of the shape \(4,\)"):
        stepwise(initial=lambda rows: {"fast": scale.expand(rows, 4), "slow": torch.zeros(rows, 2, 3)})


def test_a_plain_function_may_ask_for_the_type_of_a_weight() -> None:
    leaky = Leaky()
    weight = leaky.mix.weight

    def initial(rows: int) -> dict[str, Tensor]:
        return {"fast": weight.new_zeros(rows, 4), "slow": torch.zeros(rows, 2, 3, dtype=weight.dtype)}

    sc.check_network(sc.Stepwise(initial, leaky.step, leaky.readout, vocabulary=7))
