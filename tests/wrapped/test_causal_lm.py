"""Causal language models of transformers, made from tiny configurations."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symscope as sc
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.wrapped import CausalLM

transformers = pytest.importorskip("transformers")

SMALL: dict[str, Any] = {
    "vocab_size": 37, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 24,
    "eos_token_id": 1, "pad_token_id": 0,
}  # fmt: skip
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", {"vocab_size": 37, "n_embd": 16, "n_layer": 3, "n_head": 4, "bos_token_id": 0, "eos_token_id": 1}),
    "llama": ("LlamaConfig", SMALL | {"num_key_value_heads": 2, "tie_word_embeddings": False}),
    "llama-tied": ("LlamaConfig", SMALL | {"num_key_value_heads": 4, "tie_word_embeddings": True}),
    "neox-parallel": ("GPTNeoXConfig", SMALL | {"use_parallel_residual": True}),
    "neox-sequential": ("GPTNeoXConfig", SMALL | {"use_parallel_residual": False}),
    "qwen2": ("Qwen2Config", SMALL | {"num_key_value_heads": 1}),
    "qwen3": ("Qwen3Config", SMALL | {"num_key_value_heads": 2, "head_dim": 4}),
    "gemma": ("GemmaConfig", SMALL | {"num_key_value_heads": 1, "head_dim": 4}),
    "gemma2": (
        "Gemma2Config",
        SMALL | {
            "num_key_value_heads": 2, "head_dim": 4, "layer_types": ["full_attention"] * 3,
            "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        },
    ),
}  # fmt: skip
SITES = ("resid_pre.0", "resid_pre.1", "resid_post.1", "resid_post.2", "attn_out.1", "mlp_out.1", "z.1.2")
TOKENS, POSITIONS = torch.arange(12).reshape(2, 6), torch.tensor([5, 3])


def make(kind: str, **options: Any) -> nn.Module:
    config, settings = CONFIGS[kind]
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**settings | options)).eval()


def unchecked(model: nn.Module, **options: int) -> CausalLM:
    """A network whose sites count as checked; the laws have tests of their own."""
    network = sc.wrap_causal_lm(model, **options)
    network._checked = set(network.sites)
    return network


def place_of(model: Any, kind: str, site: str) -> tuple[nn.Module, bool, slice]:
    """The module of a site, whether its input is meant, and the entries."""
    name, layer, *head = site.split(".")
    family = kind.split("-")[0]
    block = (model.base_model.h if family == "gpt2" else model.base_model.layers)[int(layer)]
    attention = getattr(block, {"gpt2": "attn", "neox": "attention"}.get(family, "self_attn"))
    if head:
        projection = getattr(attention, {"gpt2": "c_proj", "neox": "dense"}.get(family, "o_proj"))
        return projection, True, slice(4 * int(head[0]), 4 * int(head[0]) + 4)
    post = {"attn_out": "post_attention_layernorm", "mlp_out": "post_feedforward_layernorm"}
    if kind == "gemma2" and name in post:
        return getattr(block, post[name]), False, slice(None)
    module = {"resid_pre": block, "resid_post": block, "attn_out": attention, "mlp_out": block.mlp}[name]
    return module, name == "resid_pre", slice(None)


def plain_route(model: Any, kind: str, site: str, tokens: Tensor, at: int, new: Tensor | None) -> tuple[Tensor, Tensor]:
    """State and logits of one sequence by the model's own forward pass, with a hook that reads or writes the state."""
    module, is_input, columns = place_of(model, kind, site)
    found: list[Tensor] = []

    def change(tensor: Tensor) -> Tensor:
        found.append(tensor[0, at, columns].clone())
        changed = tensor.clone()
        if new is not None:
            changed[0, at, columns] = new
        return changed

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if args:
            return (change(args[0]), *args[1:]), kwargs
        return args, kwargs | {"hidden_states": change(kwargs["hidden_states"])}

    def after(_: nn.Module, __: Any, output: Any) -> Any:
        return (change(output[0]), *output[1:]) if isinstance(output, tuple) else change(output)

    register = module.register_forward_pre_hook if is_input else module.register_forward_hook
    handle = register(before, with_kwargs=True) if is_input else register(after)
    with torch.no_grad():
        logits = model(input_ids=tokens[None]).logits[0]
    handle.remove()
    return found[0], logits


@pytest.mark.parametrize("kind", CONFIGS)
def test_stopped_rewritten_and_resumed_runs_agree_with_hooks_on_the_model(kind: str) -> None:
    model, generator = make(kind), torch.Generator().manual_seed(1)
    network = unchecked(model)
    tokens, positions = torch.randint(37, (3, 9), generator=generator), torch.tensor([5, 2, 4])
    fed = tokens.gather(1, positions[:, None] + 1 + torch.arange(3))
    mask = torch.tensor([[True, True, True, True], [True, False, True, False], [False, False, False, True]])
    for site in SITES:
        state = network.run_until(tokens, positions, site)
        states = torch.randn(state.states.shape, generator=generator)
        with torch.no_grad():
            stopped = network.precompute(state.rewrite(states), fed, mask.sum(1))
            logits = network.readout(network.resume(stopped, fed, mask))
        expected = []
        for row, at in enumerate(positions.tolist()):
            natural, _ = plain_route(model, kind, site, tokens[row], at, None)
            torch.testing.assert_close(state.states[row], natural, atol=1e-5, rtol=1e-4)
            sequence = torch.cat([tokens[row, : at + 1], fed[row]])
            _, changed = plain_route(model, kind, site, sequence, at, states[row])
            expected.append(changed[at:][mask[row]])
        torch.testing.assert_close(logits, torch.cat(expected), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(("kind", "site"), [("llama", "resid_post.0"), ("gpt2", "z.1.1")])
def test_a_site_passes_the_laws_at_its_first_use(kind: str, site: str) -> None:
    network = sc.wrap_causal_lm(make(kind))
    network.run_until(TOKENS, POSITIONS, site)
    assert network._checked == {site}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_every_kind_of_site_passes_the_laws(kind: str) -> None:
    network = sc.wrap_causal_lm(make(kind))
    for site in SITES:
        network.check_site(site)


def test_several_sites_come_from_one_pass_and_share_the_prefix() -> None:
    network = unchecked(make("llama"))
    several = list(network.run_until_each(TOKENS, POSITIONS, SITES))
    for site, state in zip(SITES, several, strict=True):
        torch.testing.assert_close(state.states, network.run_until(TOKENS, POSITIONS, site).states)
        assert state.stored["keys0"] is several[0].stored["keys0"]


def test_prefixes_beyond_the_memory_are_computed_again() -> None:
    model = make("llama")
    fed, mask = torch.tensor([[3, 4], [5, 6]]), torch.ones(2, 3, dtype=torch.bool)
    networks = unchecked(model), unchecked(model, memory=0)
    for site in ("resid_post.0", "z.1.1"):
        states = [network.run_until(TOKENS, POSITIONS, site) for network in networks]
        assert ["keys1" in state.stored for state in states] == [True, False]
        resumed = [network.resume(state, fed, mask) for network, state in zip(networks, states, strict=True)]
        torch.testing.assert_close(*resumed, atol=1e-5, rtol=1e-4)


def test_layers_below_the_site_do_not_run_in_resume() -> None:
    model: Any = make("llama")
    network, nothing = unchecked(model), TOKENS[:, :0]
    state = network.run_until(TOKENS, POSITIONS, "resid_post.1")
    state = network.precompute(state, nothing, torch.zeros(2, dtype=torch.long))
    ran: list[int] = []
    for index, layer in enumerate(model.base_model.layers):
        layer.register_forward_pre_hook(lambda *_, index=index: ran.append(index))
    network.resume(state, nothing, torch.ones(2, 1, dtype=torch.bool))
    assert ran == [2]


def test_the_model_is_left_as_it_was_and_other_types_work() -> None:
    model = make("gpt2")
    before = copy.deepcopy(model.state_dict())
    for copied in (model, copy.deepcopy(model).double(), copy.deepcopy(model).bfloat16()):
        network = unchecked(copied)
        state = network.run_until(TOKENS, POSITIONS, "resid_post.0")
        features = network.resume(state, TOKENS[:, :0], torch.ones(2, 1, dtype=torch.bool))
        assert features.dtype == network.dtype
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_models_that_cannot_be_stopped_are_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="DynamicSlidingWindowLayer"):
        sc.wrap_causal_lm(make("gemma2", layer_types=["sliding_attention", "full_attention", "full_attention"]))
    with pytest.raises(InvalidArgumentError, match=r"sc\.wrap"):
        sc.wrap_causal_lm(nn.Linear(2, 2))
    with pytest.raises(UnknownNameError, match="resid_post"):
        unchecked(make("llama")).run_until(TOKENS, POSITIONS, "resid_post.7")


def test_a_folder_is_read_from_safetensors(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="not a folder"):
        sc.load_causal_lm(tmp_path / "none")
    with pytest.raises(InvalidArgumentError, match="no safetensors and 0 GGUF"):
        sc.load_causal_lm(tmp_path)
