"""The laws of networks."""

import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor

from symscope.checks.laws import Laws
from symscope.errors import SymscopeError
from symscope.networks import Network, RunState, join_run_states
from symscope.seeds import generator

ROUNDING = 1e-5
"""Two routes to the same float32 activity may differ by this share of its largest entry."""
ROWS, TIME = 6, 8


def check_network(network: Network, *, seed: int = 0) -> None:
    """Runs a network whole, cut and resumed, on random tokens, and holds it to the laws of `Network`.

    The network is left as it was. Gradients of a rewritten state are checked on a copy in double precision.

    Raises:
        BrokenLawError: which law is broken, at which site.
    """
    laws = Laws(f"network {network.architecture!r}")
    laws.hold(bool(network.architecture), "a network says its architecture")
    laws.hold(bool(network.sites) and min(network.sites.values()) > 0, "a network has sites, each at least 1 wide")
    laws.hold(network.default_site in network.sites, "the default site is one of the sites",
              f"{network.default_site!r} is not among {list(network.sites)}")  # fmt: skip
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    device = next(network.parameters()).device
    tokens = torch.randint(network.vocabulary, (ROWS, TIME), generator=generator(seed, "tokens")).to(device)
    with torch.no_grad():
        whole = _whole(laws, network, tokens)
        for site in network.sites:
            _site(laws, network, site, tokens, whole)
            _rewritten(laws, network, site, tokens, seed)
    _refuses(laws, network, tokens)
    _gradient(laws, network, tokens, seed)
    for name, tensor in network.state_dict().items():
        laws.hold(torch.equal(tensor, before[name]), "running a network changes none of its weights", f"{name} changed")


def _close(one: Tensor, other: Tensor) -> bool:
    scale = max(float(one.abs().max()), float(other.abs().max()), 1.0)
    return one.shape == other.shape and float((one - other).abs().max()) <= ROUNDING * scale


def _whole(laws: Laws, network: Network, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time feature"]:
    with laws.nothing_else_changes("features", tokens=tokens):
        features = network.features(tokens)
    laws.hold(features.shape[:2] == tokens.shape, "features are given after every token", str(tuple(features.shape)))
    laws.hold(features.isfinite(), "features are finite")
    logits = network.readout(features)
    laws.shape("readout", logits, (ROWS, TIME, network.vocabulary), features.dtype)
    laws.hold(torch.equal(logits, network.readout(features)), "readout drops units only when it is given a generator")
    some = torch.tensor([0, 2, 5], device=tokens.device)
    laws.hold(_close(network.readout(features[some, 3]), logits[some, 3]), "readout reads each position on its own")
    early = network.features(tokens[:, : TIME // 2])
    laws.hold(_close(early, features[:, : TIME // 2]), "features do not depend on later tokens")
    laws.hold(_close(network.features(tokens[some]), features[some]), "features of a row do not depend on other rows")
    lengths = torch.tensor([TIME, 1, 4, 7, 2, TIME])
    real = (torch.arange(TIME) < lengths[:, None]).to(tokens.device)
    other = torch.where(real, tokens, tokens.flip(0))
    laws.hold(
        _close(network.features(other, lengths)[real], features[real]),
        "given lengths, features before them are the same and padding changes nothing",
    )
    return features


def _site(
    laws: Laws,
    network: Network,
    site: str,
    tokens: Int[Tensor, "batch time"],
    whole: Float[Tensor, "batch time feature"],
) -> None:
    """RunState at each position, and resumed as it is."""
    states, width = network.states(tokens, site), network.sites[site]
    laws.hold(
        states.shape == (ROWS, TIME, width),
        "there is a state after every token, as wide as the site says",
        f"at site {site!r}, {width} wide, states are {tuple(states.shape)}",
    )
    for position in range(TIME - 1):
        where = f"not so at site {site!r}, position {position}"
        cut = network.run_until(tokens, torch.full((ROWS,), position, device=tokens.device), site)
        laws.hold(_close(cut.states, states[:, position]), "the states of a cut are those of the whole run", where)
        rest = tokens[:, position + 1 : -1]
        resumed = network.resume(cut, rest, torch.ones(ROWS, rest.shape[1] + 1, dtype=torch.bool))
        laws.hold(
            _close(resumed, whole[:, position:-1].flatten(0, 1)),
            "a run that is cut and resumed gives the features of the whole run, those of the cut first",
            where,
        )


def _rewritten(laws: Laws, network: Network, site: str, tokens: Int[Tensor, "batch time"], seed: int) -> None:
    """RunState at different positions, and resumed from other states."""
    device, where = tokens.device, f"not so at site {site!r}"
    positions = torch.tensor([6, 0, 3, 5, 1, 2], device=device)
    fed = tokens.flip(0, 1)[:, :3]
    wanted = torch.arange(4) < torch.tensor([3, 1, 4, 2, 4, 4])[:, None]
    row, _ = wanted.nonzero().unbind(1)
    with laws.nothing_else_changes("cut", tokens=tokens, positions=positions):
        cut = network.run_until(tokens, positions, site)
    moved = cut.rewrite(cut.states + 0.5 * torch.randn(cut.states.shape, generator=generator(seed, "moved")).to(device))
    given = {"states": moved.states, "context": moved.stored, "fed": fed, "wanted": wanted}
    with laws.nothing_else_changes("resume", **given):
        after = network.resume(moved, fed, wanted)
    moves = (after - network.resume(cut, fed, wanted)).abs().amax(1).cpu() > 0
    for number in (wanted.sum(1) > 1).nonzero()[:, 0].tolist():
        laws.hold(moves[row == number].any(), "a run that is resumed from another state goes on from it", where)
    again = network.resume(moved, fed, wanted)
    laws.hold(torch.equal(after, again), "resume keeps nothing back: asked twice, it says the same", where)
    for number in range(ROWS):
        only, length = torch.tensor([number], device=device), int(wanted[number].sum())
        own = network.run_until(tokens[only, : int(positions[number]) + 1], positions[only], site)
        alone = network.resume(
            own.rewrite(moved.states[only]), fed[only, : length - 1], torch.ones(1, length, dtype=torch.bool)
        )
        laws.hold(
            _close(alone, after[(row == number).to(device)]),
            "a resumed run depends neither on the rows beside it, nor on tokens after its cut or its length",
            where,
        )
    joined = join_run_states([moved[rows] for rows in torch.arange(ROWS, device=device).split(2)])
    resumed = network.resume(joined, fed, wanted)
    laws.hold(_close(resumed, after), "cuts can be taken apart by rows and joined again", where)
    resumed = network.resume(network.precompute(moved, fed, wanted.sum(1) - 1), fed, wanted)
    laws.hold(_close(resumed, after), "what is fed beforehand changes no feature", where)
    fewer = wanted & (torch.arange(4) % 2 == 0)
    resumed = network.resume(moved, fed, fewer)
    laws.hold(
        _close(resumed, after[fewer[wanted].to(device)]), "resume gives the wanted features, and no others", where
    )


def _refuses(laws: Laws, network: Network, tokens: Int[Tensor, "batch time"]) -> None:
    outside = tokens.clone()
    outside[0, 0] = network.vocabulary
    beyond = torch.full((ROWS,), TIME, device=tokens.device)
    for law, call in (
        ("a token outside the vocabulary is refused", lambda: network.features(outside)),
        ("a site that does not exist is refused", lambda: network.states(tokens, "no such site")),
        ("a position that does not exist is refused", lambda: network.run_until(tokens, beyond, network.default_site)),
    ):
        try:
            call()
        except SymscopeError:
            continue
        except (LookupError, ValueError, TypeError, RuntimeError) as error:
            laws.hold(False, f"{law}, with an error of symscope's family", f"{type(error).__name__}: {error}")
        laws.hold(False, law, "nothing was raised")


def _gradient(laws: Laws, network: Network, tokens: Int[Tensor, "batch time"], seed: int) -> None:
    double = copy.deepcopy(network).double().requires_grad_(False)
    positions = torch.tensor([5, 2, 0, 3], device=tokens.device)
    wanted = torch.arange(3) < torch.tensor([3, 2, 2, 3])[:, None]
    for site in network.sites:
        cut = double.run_until(tokens[:4], positions, site)

        def resumed(states: Tensor, cut: RunState = cut) -> Tensor:
            return double.resume(cut.rewrite(states), tokens[:4, :2], wanted)

        states, where = cut.states.detach().requires_grad_(), f"not so at site {site!r}"
        after = resumed(states)
        total = (after * torch.randn(after.shape, generator=generator(seed, "gradient")).to(after)).sum()
        reached = total.requires_grad and bool((torch.autograd.grad(total, states)[0].abs().sum(1) > 0).all())
        laws.hold(reached, "gradients reach a rewritten state", where)
        right = torch.autograd.gradcheck(resumed, (states,), fast_mode=True, raise_exception=False)
        laws.hold(right, "gradients of a rewritten state agree with finite differences", where)
