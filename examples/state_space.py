"""Does a state-space model, or an xLSTM, count? Tiny models of transformers enter by `sc.Stepwise`.

Each model learns to answer n demo tokens with n response tokens. Its state is the cache that transformers keeps from
token to token, and the last hidden state, from which the next token is predicted.

    pip install 'symscope[hf]'
    python examples/state_space.py
"""

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, MambaConfig, MambaForCausalLM, xLSTMConfig, xLSTMForCausalLM
from transformers.models.xlstm.modeling_xlstm import xLSTMCache

import symscope as sc

SPECIAL = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


class Mamba(nn.Module):
    """Of each layer: `conv`, the inputs of its convolution that later tokens read, and `ssm`, its recurrent state."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def initial(self, rows: int) -> dict[str, Tensor]:
        config, zeros = self.model.config, self.model.lm_head.weight.new_zeros
        state = {"hidden": zeros(rows, config.hidden_size)}
        for layer in range(config.num_hidden_layers):
            state[f"conv.{layer}"] = zeros(rows, config.intermediate_size, config.conv_kernel - 1)
            state[f"ssm.{layer}"] = zeros(rows, config.intermediate_size, config.state_size)
        return state

    def step(self, state: Mapping[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
        config = self.model.config
        cache = DynamicCache(config=config)
        for layer in range(config.num_hidden_layers):  # both calls copy the state into the cache
            cache.update_conv_state(state[f"conv.{layer}"], layer, conv_kernel_size=config.conv_kernel)
            # The model overwrites this entry, which its backward pass needs. Of double precision it uses a copy.
            cache.update_recurrent_state(state[f"ssm.{layer}"].double(), layer)
        output = self.model.backbone(tokens[:, None], cache=cache, use_cache=True)
        after = {"hidden": output.last_hidden_state[:, 0]}
        for layer in range(config.num_hidden_layers):
            after[f"conv.{layer}"] = cache.get_conv_state(layer)[..., 1:]  # the oldest input is not read again
            after[f"ssm.{layer}"] = cache.get_recurrent_state(layer).to(state["hidden"].dtype)
        return after

    def readout(self, state: Mapping[str, Tensor]) -> Tensor:
        return self.model.lm_head(state["hidden"])


class XLSTM(nn.Module):
    """Of each layer: `memory`, for each head the matrix C, the normaliser n and the logarithm m of their scale.

    They are one site: a norm after the memory removes most of what n does, so that n alone is not a valid site.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.widths = [config.qk_head_dim * config.v_head_dim, config.qk_head_dim, 1]

    def initial(self, rows: int) -> dict[str, Tensor]:
        config, zeros = self.model.config, self.model.lm_head.weight.new_zeros
        memory = {
            f"memory.{layer}": zeros(rows, config.num_heads, sum(self.widths))
            for layer in range(config.num_hidden_layers)
        }
        return {"hidden": zeros(rows, config.hidden_size), **memory}

    def step(self, state: Mapping[str, Tensor], tokens: Tensor) -> dict[str, Tensor]:
        hidden = state["hidden"]
        cache = xLSTMCache(self.model.config, len(tokens), dtype=hidden.dtype, device=hidden.device)
        for layer, parts in cache.rnn_state.items():
            for part, given in zip(parts, state[f"memory.{layer}"].split(self.widths, 2), strict=True):
                part.copy_(given.reshape(part.shape))
        output = self.model.backbone(tokens[:, None], cache=cache, use_cache=True)
        memory = {
            f"memory.{layer}": torch.cat([part.flatten(2) for part in parts], 2)
            for layer, parts in cache.rnn_state.items()
        }
        return {"hidden": output.last_hidden_state[:, 0], **memory}

    def readout(self, state: Mapping[str, Tensor]) -> Tensor:
        cap = self.model.config.output_logit_soft_cap
        return cap * torch.tanh(self.model.lm_head(state["hidden"]) / cap)


def make_mamba(tokens: int, layers: int = 1) -> Mamba:
    config = MambaConfig(vocab_size=tokens, hidden_size=16, state_size=4, num_hidden_layers=layers, **SPECIAL)
    return Mamba(MambaForCausalLM(config))


def make_xlstm(tokens: int, layers: int = 1) -> XLSTM:
    """Projections of transformers' xLSTM are at least 64 wide, and bfloat16 by default."""
    config = xLSTMConfig(
        vocab_size=tokens, hidden_size=64, num_hidden_layers=layers, num_blocks=layers, num_heads=8, qk_dim_factor=1.0,
        autocast_kernel_dtype="float32", **SPECIAL,
    )  # fmt: skip
    return XLSTM(xLSTMForCausalLM(config))


def network_of(adapter: Mamba | XLSTM) -> sc.Network:
    return sc.Stepwise(adapter.initial, adapter.step, adapter.readout, vocabulary=adapter.model.config.vocab_size)


@torch.no_grad()
def largest_difference(network: sc.Network, model: nn.Module, rows: int = 16, time: int = 20) -> float:
    """Between the logits of the network, step by step, and those of the model's pass over the whole sequence."""
    tokens = torch.randint(network.vocabulary, (rows, time), generator=sc.generator(0, "tokens"))
    return float((network.eval()(tokens) - model(tokens, use_cache=False).logits).abs().max())


def main(quantities: int = 8, epochs: int = 100) -> dict[str, sc.Results]:
    task = sc.make_task("multi-object", quantities=range(1, quantities + 1), held_out=[])
    algorithm = sc.make_algorithm("up-down", task)
    found = {}
    for name, make, learning_rate in (("Mamba", make_mamba, 1e-2), ("xLSTM", make_xlstm, 3e-3)):
        torch.manual_seed(0)
        adapter = make(len(task.vocabulary))
        network = network_of(adapter)
        began = time.monotonic()
        trained = sc.train(
            network, task, seed=0, options=sc.TrainingOptions(learning_rate=learning_rate, epochs=epochs)
        )
        last = trained.history[-1]
        print(f"{name}: trial accuracy {last.trained_accuracy:.0%} after {last.update} updates")
        print(f"  sites {dict(network.sites)}")
        sc.check_network(network, like=adapter.model)
        print(f"  all laws hold; logits differ by at most {largest_difference(network, adapter.model):.1g}")
        found[name] = sc.align(
            network, algorithm, "count", k=4, function=sc.Oblique(coordinates="natural-span"), progress=False
        )
        print(found[name])
        print(f"  {time.monotonic() - began:.0f} seconds", flush=True)
    return found


if __name__ == "__main__":
    main()
