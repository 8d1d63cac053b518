"""The laws of networks."""

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from symscope.checks.laws import Laws
from symscope.errors import InvalidArgumentError, SymscopeError, UnknownNameError
from symscope.networks import Network, RunState, evaluation_mode, join_run_states, require_network
from symscope.seeds import generator

ROUNDING = 1e-5
"""Largest difference between two computations of the same features, as a share of the largest entry."""
LIKE_ROUNDING = 1e-4
"""The same between the logits of a network and of its original module, which may use other kernels."""
STEPS, SLOPE = (1e-3, 1e-4, 1e-5), 0.05
"""Finite differences: the steps as shares of the norm of the states, and the largest error of a slope as a share of its
typical size. One step has to agree: a long one crosses the kinks of a ReLU, and of a short one nothing is left where a
module computes norms in single precision whatever the type of its weights."""
ROWS, TIME = 6, 8
ORDER = torch.tensor([3, 1, 1, 5, 0, 4])
"""Selection of rows that permutes, repeats and leaves out."""


def check_network(
    network: nn.Module,
    *,
    like: nn.Module | Callable[[Tensor], object] | None = None,
    sites: Sequence[str] | None = None,
    seed: int = 0,
) -> None:
    """Runs a network on random tokens, stops and resumes it, and checks the laws of `Network`.

    The network is checked in evaluation mode and is left unchanged. Gradients of a rewritten state are computed in the
    type of the weights and checked on a copy in double precision; of a half-precision network the other laws are
    checked on a copy in single precision.

    Args:
        network: the network; one inside `nn.DataParallel` or `torch.compile` is unwrapped.
        like: the original model that the network is a version of: takes tokens (batch, time) and returns logits
            (batch, time, vocabulary). Both must give the same logits.
        sites: the sites to check; default: every site of the network.
        seed: draws tokens and rewritten states.

    Raises:
        BrokenLawError: the network breaks a law; the message names the law and the site.
        InvalidArgumentError: it is no network, or `like` returns no logits.
        UnknownNameError: the network has no such site.
    """
    network = require_network(network)
    laws = Laws(f"network {network.architecture!r}")
    laws.hold(bool(network.architecture), "a network has a description of its architecture")
    laws.hold(bool(network.sites) and min(network.sites.values()) > 0, "a network has sites, each at least 1 wide")
    laws.hold(network.default_site in network.sites, "the default site is one of the sites",
              f"{network.default_site!r} is not among {list(network.sites)}")  # fmt: skip
    every_site = sites is None
    sites = tuple(network.sites) if sites is None else tuple(sites)
    for site in sites:
        if site not in network.sites:
            raise UnknownNameError("site", site, network.sites)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if network.input_width is not None:
        _check_vectors(laws, network, sites, seed)
    else:
        _check_tokens(laws, network, sites, like, seed, every_site=every_site)
    for name, tensor in network.state_dict().items():
        laws.hold(torch.equal(tensor, before[name]), "running a network changes none of its weights", f"{name} changed")


def _check_tokens(
    laws: Laws,
    network: Network,
    sites: Sequence[str],
    like: nn.Module | Callable[[Tensor], object] | None,
    seed: int,
    *,
    every_site: bool,
) -> None:
    """The laws of a network that takes token ids."""
    tokens = torch.randint(network.vocabulary, (ROWS, TIME), generator=generator(seed, "tokens")).to(network.device)
    with evaluation_mode(network):
        with torch.no_grad():
            if like is not None:
                _check_like(laws, network, like, tokens)
            _check_calls(laws, network, tokens, sites[0])
            precise = network if torch.finfo(network.dtype).bits >= 32 else copy.deepcopy(network).float()
            features = _check_features(laws, precise, tokens)
            for site in sites:
                _check_site(laws, precise, site, tokens, features)
            changed = [_check_rewritten(laws, precise, site, tokens, seed) for site in sites]
            _check_several_sites(laws, precise, sites, tokens)
            later = not every_site or any(changed)  # some sites are read by the prediction at the stop alone
            laws.hold(later, "at some site a rewritten state changes the features after the next tokens",
                      "it changes the prediction at the stop only: later steps do not see it")  # fmt: skip
        _check_refusals(laws, network, tokens, sites[0])
        with torch.enable_grad():
            _check_gradients(laws, network, tokens, sites, seed)


def _check_vectors(laws: Laws, network: Network, sites: Sequence[str], seed: int) -> None:
    """The laws of a network that takes one vector for each row."""
    draws = generator(seed, "vectors")
    shape, at = (ROWS, network.input_width or 0), torch.zeros(ROWS, dtype=torch.long, device=network.device)
    inputs = torch.randn(shape, generator=draws).to(network.device, network.dtype)
    fed, mask, some = at[:, None][:, :0], torch.ones(ROWS, 1, dtype=torch.bool), torch.tensor([0, 2, 5])
    with evaluation_mode(network), torch.no_grad():
        with laws.nothing_else_changes("features", inputs=inputs):
            features = network.features(inputs)
        laws.hold(
            features.shape[:2] == (ROWS, 1), "features are given once for each vector", str(tuple(features.shape))
        )
        laws.hold(features.isfinite(), "features are finite")
        on_device = some.to(inputs.device)
        alone = network.features(inputs[on_device])
        laws.hold(_close(alone, features[on_device]), "features of a row do not depend on other rows")
        logits = network.readout(features)
        laws.shape("readout", logits, (ROWS, 1, network.outputs or network.vocabulary), features.dtype)
        for site in sites:
            where = f"site {site!r}"
            natural = network.run_until(inputs, at, site)
            width = (ROWS, network.sites[site])
            laws.hold(natural.states.shape == width, "there is a state for each vector, as wide as the site", where)
            resumed = network.resume(natural, fed, mask)
            law = "a run that is stopped and resumed gives the features of the whole run"
            laws.hold(_close(resumed, features[:, 0]), law, where)
            noise = torch.randn(width, generator=draws).to(natural.states)
            state = natural.rewrite(natural.states + 0.5 * noise)
            moved = network.resume(state, fed, mask)
            laws.hold((moved != resumed).any(1), "a rewritten state changes the features of its run", where)
            selected = network.resume(state[ORDER], fed[ORDER], mask[ORDER])
            laws.hold(_close(selected, moved[ORDER.to(moved.device)]), "selected rows of a run state, permuted or "
                      "repeated, resume with the features of those rows", where)  # fmt: skip
    for law, wrong in (
        ("vectors of another width are refused", inputs[:, 1:]),
        ("an empty batch is refused", inputs[:0]),
    ):
        try:
            network.run_until(wrong, at[: len(wrong)], sites[0])
        except SymscopeError:
            continue
        laws.hold(False, law, "nothing was raised")
    with evaluation_mode(network), torch.enable_grad():
        _check_gradients(laws, network, inputs, sites, seed)


@torch.no_grad()
def check_natural_runs(network: Network, site: str, seed: int = 0) -> None:
    """Checks at one site that runs which are stopped and resumed without a rewrite give the features of whole runs.

    A cheap check for the sites of a network that share the code of a site which `check_network` has checked.

    Raises:
        BrokenLawError: they differ.
    """
    laws = Laws(f"network {network.architecture!r}")
    tokens = torch.randint(network.vocabulary, (ROWS, TIME), generator=generator(seed, "tokens")).to(network.device)
    with evaluation_mode(network):
        _check_site(laws, network, site, tokens, network.features(tokens), positions=[TIME // 2])


def _close(first: Tensor, second: Tensor, rounding: float = ROUNDING) -> bool:
    scale = max(float(first.abs().max()), float(second.abs().max()), 1.0)
    return first.shape == second.shape and float((first - second).abs().max()) <= rounding * scale


def _check_like(
    laws: Laws, network: Network, like: Callable[[Tensor], object], tokens: Int[Tensor, "batch time"]
) -> None:
    with evaluation_mode(*([like] if isinstance(like, nn.Module) else [])):
        output = like(tokens)
    output = output[0] if isinstance(output, tuple) else getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise InvalidArgumentError(f"like(tokens) must return logits, a tensor; got {type(output).__name__}")
    logits = network(tokens)
    law = "the network gives the logits of the original module"
    laws.hold(logits.shape == output.shape, law, f"shapes are {tuple(logits.shape)} and {tuple(output.shape)}")
    difference = (logits - output).abs().float()
    worst = int(difference.argmax())
    row, position = divmod(worst // network.vocabulary, TIME)
    ours, original = float(logits.flatten()[worst]), float(output.flatten()[worst])
    laws.hold(
        _close(logits, output.to(logits.dtype), max(LIKE_ROUNDING, 16 * torch.finfo(logits.dtype).eps)),
        law,
        f"the largest difference is {float(difference.max()):.3g}: {ours:.4g}, not {original:.4g}, at position "
        f"{position}, token {worst % network.vocabulary} of the sequence {tokens[row].tolist()}",
    )


def _check_calls(laws: Laws, network: Network, tokens: Int[Tensor, "batch time"], site: str) -> None:
    """Each method leaves its arguments unchanged and computes in the network's own floating-point type."""
    positions = torch.full((ROWS,), 2, device=tokens.device)
    with laws.nothing_else_changes("features", tokens=tokens):
        features = network.features(tokens)
    with laws.nothing_else_changes("states", tokens=tokens):
        states = network.states(tokens, site)
    with laws.nothing_else_changes("run_until", tokens=tokens, positions=positions):
        state = network.run_until(tokens, positions, site)
    fed, target_mask = tokens[:, :1].clone(), torch.ones(ROWS, 2, dtype=torch.bool)
    state = state.rewrite(state.states.double())
    arguments = {"states": state.states, "context": state.stored, "fed": fed, "target_mask": target_mask}
    with laws.nothing_else_changes("resume", **arguments):
        resumed = network.resume(state, fed, target_mask)
    lengths = torch.ones(ROWS, dtype=torch.long)
    with laws.nothing_else_changes("precompute", **arguments, lengths=lengths):
        network.precompute(state, fed, lengths)
    for name, tensor in (("features", features), ("states", states), ("resumed features", resumed)):
        laws.hold(
            tensor.dtype == network.dtype, "features and states have the type of the weights",
            f"{name} are {tensor.dtype}, the weights {network.dtype}",
        )  # fmt: skip
        laws.hold(tensor.isfinite(), "features and states are finite", f"{name} are not")


def _check_features(
    laws: Laws, network: Network, tokens: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time feature"]:
    features = network.features(tokens)
    laws.hold(features.shape[:2] == tokens.shape, "features are given after every token", str(tuple(features.shape)))
    some = torch.tensor([0, 2, 5], device=tokens.device)
    _check_readout(laws, network, features, some)
    early = network.features(tokens[:, : TIME // 2])
    laws.hold(_close(early, features[:, : TIME // 2]), "features do not depend on later tokens")
    laws.hold(_close(network.features(tokens[some]), features[some]), "features of a row do not depend on other rows")
    lengths = torch.tensor([TIME, 1, 4, 7, 2, TIME])
    real = (torch.arange(TIME) < lengths[:, None]).to(tokens.device)
    padded = torch.where(real, tokens, tokens.flip(0))
    laws.hold(
        _close(network.features(padded, lengths)[real], features[real]),
        "with lengths, features do not depend on padding",
    )
    return features


def _check_readout(
    laws: Laws, network: Network, features: Float[Tensor, "batch time feature"], some: Int[Tensor, " some"]
) -> None:
    logits = network.readout(features)
    laws.shape("readout", logits, (ROWS, TIME, network.outputs or network.vocabulary), features.dtype)
    laws.hold(torch.equal(logits, network.readout(features)), "readout drops units only when it is given a generator")
    laws.hold(_close(network.readout(features[some, 3]), logits[some, 3]), "readout reads each position separately")
    with laws.nothing_else_changes("readout", features=features):
        dropped = [network.readout(features, generator(0, "dropout", device=features.device)) for _ in range(2)]
    laws.hold(torch.equal(*dropped), "the generator determines which units readout drops")


def _check_site(
    laws: Laws,
    network: Network,
    site: str,
    tokens: Int[Tensor, "batch time"],
    features: Float[Tensor, "batch time feature"],
    positions: Sequence[int] = range(TIME - 1),
) -> None:
    """Runs stopped at some positions, and resumed from their natural states."""
    states, width = network.states(tokens, site), network.sites[site]
    laws.hold(
        states.shape == (ROWS, TIME, width),
        "there is a state after every token, with the width of the site",
        f"site {site!r} is {width} wide, its states have the shape {tuple(states.shape)}",
    )
    for position in positions:
        where = f"site {site!r}, position {position}"
        state = network.run_until(tokens, torch.full((ROWS,), position, device=tokens.device), site)
        laws.hold(_close(state.states, states[:, position]), "run_until gives the states of the whole run", where)
        fed = tokens[:, position + 1 : -1]
        resumed = network.resume(state, fed, torch.ones(ROWS, fed.shape[1] + 1, dtype=torch.bool))
        laws.hold(
            _close(resumed, features[:, position:-1].flatten(0, 1)),
            "a run that is stopped and resumed gives the features of the whole run, those of the stop first",
            where,
        )


def _check_several_sites(laws: Laws, network: Network, sites: Sequence[str], tokens: Int[Tensor, "batch time"]) -> None:
    """The same stops at several sites: they may share what is stored, and must not share what differs."""
    positions = torch.tensor([2, 0, 5, 1, 6, 3], device=tokens.device)
    several = list(network.run_until_each(tokens, positions, sites))
    states = list(network.states_at_each(tokens, positions, sites))
    laws.hold(
        len(several) == len(states) == len(sites), "run_until_each and states_at_each give one entry for each site"
    )
    fed, mask = tokens[:, :1], torch.ones(ROWS, 2, dtype=torch.bool)
    for site, run, found in zip(sites, several, states, strict=True):
        alone = network.run_until(tokens, positions, site)
        laws.hold(run.site == site and _close(run.states, alone.states), "run_until_each gives the run states of "
                  "run_until", f"site {site!r}")  # fmt: skip
        laws.hold(_close(found, alone.states), "states_at_each gives the states of run_until", f"site {site!r}")
        resumed = network.resume(run, fed, mask)
        laws.hold(_close(resumed, network.resume(alone, fed, mask)), "run_until_each gives runs that resume like those "
                  "of run_until", f"site {site!r}")  # fmt: skip


def _check_rewritten(laws: Laws, network: Network, site: str, tokens: Int[Tensor, "batch time"], seed: int) -> bool:
    """Runs stopped at different positions, and resumed from rewritten states; whether later features depend on them."""
    device, where = tokens.device, f"site {site!r}"
    positions = torch.tensor([6, 0, 3, 5, 1, 2], device=device)
    fed = tokens.flip(0, 1)[:, :3]
    target_mask = torch.arange(4) < torch.tensor([3, 1, 4, 2, 4, 4])[:, None]
    natural = network.run_until(tokens, positions, site)
    with laws.nothing_else_changes("states_at", tokens=tokens, positions=positions):
        states = network.states_at(tokens, positions, site)
    laws.hold(_close(states, natural.states), "states_at gives the states of run_until", where)
    noise = torch.randn(natural.states.shape, generator=generator(seed, "moved")).to(natural.states)
    state = natural.rewrite(natural.states + 0.5 * noise)
    features = network.resume(state, fed, target_mask)
    again = network.resume(state, fed, target_mask)
    laws.hold(torch.equal(features, again), "resume keeps no memory: the same call gives the same features", where)
    row, step = target_mask.nonzero().to(device).unbind(1)
    changed = (features - network.resume(natural, fed, target_mask)).abs().amax(1) > 0
    for number in range(ROWS):
        only, length = torch.tensor([number], device=device), int(target_mask[number].sum())
        laws.hold(length == 1 or changed[row == number].any(), "a rewritten state changes the features of its run",
                  where)  # fmt: skip
        alone = network.run_until(tokens[only, : int(positions[number]) + 1], positions[only], site)
        resumed = network.resume(
            alone.rewrite(state.states[only]), fed[only, : length - 1], torch.ones(1, length, dtype=torch.bool)
        )
        laws.hold(
            _close(resumed, features[row == number]),
            "a resumed run depends neither on other rows, nor on tokens after its stop or after its last target",
            where,
        )
    _check_selection(laws, network, state, fed, target_mask)
    parts = []
    for rows in torch.arange(ROWS, device=device).split(2):
        width = int(positions[rows].max()) + 1  # stored tensors of different widths are padded when they are joined
        parts.append(network.run_until(tokens[rows, :width], positions[rows], site).rewrite(state.states[rows]))
    resumed = network.resume(join_run_states(parts), fed, target_mask)
    laws.hold(_close(resumed, features), "joined run states give the features of their parts", where)
    fewer = target_mask & (torch.arange(4) % 2 == 0)
    resumed = network.resume(state, fed, fewer)
    laws.hold(_close(resumed, features[fewer[target_mask].to(device)]), "resume gives the features of the targets, and "
              "no others", where)  # fmt: skip
    return bool(changed[step > 0].any())


def _check_selection(
    laws: Laws,
    network: Network,
    state: RunState,
    fed: Int[Tensor, "batch steps"],
    target_mask: Bool[Tensor, "batch steps+1"],
) -> None:
    """Rows of a run state are selected and precomputed."""
    features, where = network.resume(state, fed, target_mask), f"site {state.site!r}"
    by_row = features.split(target_mask.sum(1).tolist())
    lengths = target_mask.sum(1) - 1
    precomputed = network.precompute(state, fed, lengths)
    resumed = network.resume(precomputed, fed, target_mask)
    laws.hold(_close(resumed, features), "resume gives the same features with and without precompute", where)
    for rows in (ORDER, ORDER[-2:]):
        expected = torch.cat([by_row[number] for number in rows.tolist()])
        again = network.precompute(state[rows], fed[rows], lengths[rows])
        for selected in (state[rows], precomputed[rows], again):
            laws.hold(
                _close(network.resume(selected, fed[rows], target_mask[rows]), expected),
                "selected rows of a run state, permuted or repeated, resume with the features of those rows",
                f"{where}; resume and precompute read stored tensors through state.context",
            )
    first = target_mask & (torch.arange(target_mask.shape[1]) < 2)
    resumed = network.resume(precomputed, fed[:, :1], first[:, :2])
    laws.hold(
        _close(resumed, features[first[target_mask].to(features.device)]),
        "a precomputed run state can be fed fewer tokens",
        where,
    )


def _check_refusals(laws: Laws, network: Network, tokens: Int[Tensor, "batch time"], site: str) -> None:
    for law, call in _forbidden_calls(network, tokens, site):
        try:
            call()
        except SymscopeError:
            continue
        except (LookupError, ValueError, TypeError, RuntimeError) as error:
            laws.hold(False, f"{law}, with a SymscopeError", f"{type(error).__name__}: {error}")
        laws.hold(False, law, "nothing was raised")


def _forbidden_calls(
    network: Network, tokens: Int[Tensor, "batch time"], site: str
) -> Iterator[tuple[str, Callable[[], object]]]:
    last = torch.full((ROWS,), TIME - 1, device=tokens.device)

    def stops(law: str, tokens: Tensor, positions: Tensor, site: str) -> Iterator[tuple[str, Callable[[], object]]]:
        yield f"{law} by run_until", lambda: network.run_until(tokens, positions, site)
        yield f"{law} by states_at", lambda: network.states_at(tokens, positions, site)

    def runs(law: str, tokens: Tensor, positions: Tensor) -> Iterator[tuple[str, Callable[[], object]]]:
        yield f"{law} by features", lambda: network.features(tokens)
        yield f"{law} by states", lambda: network.states(tokens, site)
        yield from stops(law, tokens, positions, site)

    for wrong in (network.vocabulary, -1):
        outside = tokens.index_fill(1, torch.tensor([1], device=tokens.device), wrong)
        yield from runs("a token outside the vocabulary is refused", outside, last)
    for empty in (tokens[:0], tokens[:, :0]):
        yield from runs("an empty batch is refused", empty, last[: len(empty)])
    for wrong in (0, TIME + 1):
        lengths = torch.full((ROWS,), wrong)
        yield f"the length {wrong} is refused", lambda lengths=lengths: network.features(tokens, lengths)
    for wrong in (-1, TIME):
        yield from stops("a position that does not exist is refused", tokens, last.new_full((ROWS,), wrong), site)
    law = "a site that does not exist is refused"
    yield f"{law} by states", lambda: network.states(tokens, "no such site")
    yield from stops(law, tokens, last, "no such site")


def _check_gradients(
    laws: Laws, network: Network, inputs: Shaped[Tensor, "batch time"], sites: Sequence[str], seed: int
) -> None:
    double = copy.deepcopy(network).double().requires_grad_(False)
    vectors = network.input_width is not None
    positions = torch.tensor([0] * 4 if vectors else [5, 2, 0, 3], device=inputs.device)
    target_mask = torch.arange(1 if vectors else 3) < torch.tensor([3, 2, 2, 3])[:, None]
    fed = positions[:, None][:, :0] if vectors else inputs[:4, :2]
    for site in sites:
        _check_backward(laws, network, inputs[:4], positions, site, fed, target_mask)
        state = double.run_until(inputs[:4].double() if vectors else inputs[:4], positions, site)

        def resumed(states: Tensor, state: RunState = state) -> Tensor:
            return double.resume(state.rewrite(states), fed, target_mask)

        draws, where = generator(seed, "gradient"), f"site {site!r}"
        moved = state.states + 0.5 * torch.randn(state.states.shape, generator=draws).to(state.states)
        states = moved.detach().requires_grad_()
        features = resumed(states)
        weights = torch.randn(features.shape, generator=draws).to(features)
        total = (features * weights).sum()
        gradient = torch.autograd.grad(total, states)[0] if total.requires_grad else torch.zeros_like(states)
        laws.hold((gradient.abs().sum(1) > 0).all(), "gradients reach a rewritten state", where)
        with torch.no_grad():
            for _ in range(2):
                direction = torch.randn(states.shape, generator=draws).to(states)
                direction *= states.norm() / direction.norm()
                slope, typical = (gradient * direction).sum(), gradient.norm() * direction.norm()
                errors = []
                for step in STEPS:
                    ends = [(resumed(states + sign * step * direction) * weights).sum() for sign in (1, -1)]
                    errors.append(float(((ends[0] - ends[1]) / (2 * step) - slope).abs()))
                agree = min(errors) <= SLOPE * float(typical) / states.numel() ** 0.5
                laws.hold(agree, "gradients of a rewritten state agree with finite differences", where)


def _check_backward(
    laws: Laws,
    network: Network,
    inputs: Shaped[Tensor, "batch time"],
    positions: Int[Tensor, " batch"],
    site: str,
    fed: Int[Tensor, "batch steps"],
    target_mask: Bool[Tensor, "batch steps+1"],
) -> None:
    """The backward pass in the network's type: a tensor that is overwritten there may be a converted copy in double."""
    with torch.no_grad():
        state = network.run_until(inputs, positions, site)
    states = state.states.clone().requires_grad_()
    try:
        features = network.resume(state.rewrite(states), fed, target_mask)
        if features.requires_grad:
            torch.autograd.grad(features.sum(), states, allow_unused=True)
    except RuntimeError as error:
        law = "gradients of a rewritten state can be computed in the type of the weights"
        laws.hold(False, law, f"site {site!r}: {error}")
