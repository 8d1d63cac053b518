"""Interventions on the algorithms themselves: what follows a swap, compared with the reference implementation."""

import pytest
import torch
from tests.algorithms.reference import FOREVER, allowed_names, plain, read_void, value

from symscope.algorithms import Increment, UpDown, UpUp, make_algorithm, supported_variables
from symscope.interchange import continue_from, draw_interventions
from symscope.seeds import generator
from symscope.tasks import make_task, multi_object

CASES = sorted({(entry.task, entry.algorithm, entry.variable.name) for entry in supported_variables()})
SMALL = {"quantities": range(1, 8), "held_out": [4]}


def follow(algorithm, reference, names, determined):
    """Checks a continuation token by token."""
    for step, name in enumerate(names):
        possible = allowed_names(algorithm, reference)
        assert possible != FOREVER
        assert name in possible
        assert determined[step] == (len(possible) == 1)
        if name == "V":
            read_void(reference)
        elif name != "EOS":
            reference.read(name)
    assert names[-1] == "EOS"
    assert "EOS" not in names[:-1]


@pytest.mark.parametrize(("task_name", "name", "variable"), CASES)
def test_what_follows_a_swap(task_name, name, variable):
    # The limit of Up-Down-Square depends on the quantities; the reference has it for 1..20.
    algorithm = make_algorithm(name, make_task(task_name, **({} if "square" in task_name else SMALL)))
    drawn = draw_interventions(algorithm, [variable], 60, generator(0, task_name, name, variable))
    decode = algorithm.task.vocabulary.decode
    for row in range(len(drawn)):
        base, source = (
            plain(algorithm, decode(tokens[row, : at[row] + 1].tolist()))
            for tokens, at in ((run.inputs, run.position) for run in (drawn.base, *drawn.sources))
        )
        for entry in algorithm.variables:
            assert value(entry, drawn.base.values[entry.name][row]) == base.state[entry.name]
            assert value(entry, drawn.sources[0].values[entry.name][row]) == source.state[entry.name]
        base.state[variable] = source.state[variable]
        then = decode(drawn.targets[row, : drawn.lengths[row]].tolist())
        follow(algorithm, base, then, drawn.target_mask[row].tolist())
        assert not drawn.target_mask[row, drawn.lengths[row] :].any()
        if "T" in then:
            before = [token for token in then[: then.index("T")] if token != "V"]
            assert len(before) <= 3


@pytest.mark.parametrize(
    ("name", "variable"), [("up-up", "demo_count"), ("up-up", "resp_count"), ("increment", "count")]
)
def test_swaps_without_an_end_are_those_of_the_reference(name, variable):
    algorithm = make_algorithm(name, multi_object(**SMALL))
    task = algorithm.task
    base, source = (task.draw(torch.arange(1, 8).repeat(20), generator(seed)) for seed in (0, 1))
    shuffled = torch.randperm(len(source), generator=generator(2))
    cuts = [
        1 + (torch.rand(140, generator=generator(3 + i)) * (s.lengths - 2)).long() for i, s in enumerate((base, source))
    ]
    base_values, source_values = (
        {key: column.gather(1, at[:, None])[:, 0] for key, column in algorithm.run(sequences.tokens).items()}
        for sequences, at in zip((base, source), cuts, strict=True)
    )
    swapped = {**base_values, variable: source_values[variable][shuffled]}
    more = torch.randint(4, (140,), generator=generator(5))
    tokens, _, ends = continue_from(algorithm, swapped, more, generator(6))
    for row in range(140):
        reference = plain(algorithm, task.vocabulary.decode(base.tokens[row, : cuts[0][row] + 1].tolist()))
        index = int(shuffled[row])
        donor = plain(algorithm, task.vocabulary.decode(source.tokens[index, : cuts[1][index] + 1].tolist()))
        reference.state[variable] = donor.state[variable]
        if reference.state["phase"] == "demo":
            for token in ["D1"] * int(more[row]) + ["T"]:
                reference.read(token)
        length = 0
        while (answer := reference.next()) not in ("EOS", FOREVER):
            reference.read(answer)
            length += 1
        assert bool(ends[row]) == (answer == "EOS")
        if answer == "EOS":
            assert int((tokens[row] == task.response).sum()) == length
    assert 0 < ends.sum() < 140


def test_the_share_of_swaps_without_an_end_is_reported():
    # n = 3 has 7 cuts: 3 demo tokens, T, 3 responses. Demo Count of the source is 1 or 2 at one cut each, else 3; it
    # is passed where Resp Count of the base is 2 or 3, or 3: (2 + 1) of 49 pairs.
    algorithm = UpUp(multi_object(quantities=[3], held_out=[]))
    drawn = draw_interventions(algorithm, ["demo_count"], 20_000, generator(0))
    assert drawn.rejection_rate == pytest.approx(3 / 49, abs=5 * (3 / 49 / 20_000) ** 0.5)
    # Resp Count of the source is 1, 2, 3 at a cut each. Of the base's cuts, those with Demo Count 3 (T and responses)
    # are never passed. At Demo Count 1, m more come: passed by 2 if m = 0, by 3 if m < 2; at 2: by 3 if m = 0.
    drawn = draw_interventions(algorithm, ["resp_count"], 20_000, generator(1))
    assert drawn.rejection_rate == pytest.approx(1 / 49, abs=5 * (1 / 49 / 20_000) ** 0.5)
    for name in ("demo_count", "resp_count"):
        assert len(draw_interventions(algorithm, [name], 300, generator(2))) == 300
    assert draw_interventions(UpDown(algorithm.task), ["count", "phase"], 300, generator(0)).rejection_rate == 0


def continuation(algorithm, **values):
    """Names of the tokens that follow a state, without further demo tokens."""
    start = algorithm.start(1)
    state = {**start, **{key: torch.tensor([entry], dtype=start[key].dtype) for key, entry in values.items()}}
    tokens, _, ends = continue_from(algorithm, state, torch.tensor([0]), generator(0))
    return algorithm.task.vocabulary.decode(tokens[0].tolist()) if ends[0] else FOREVER


def test_terminal_values_end_at_once():
    task = multi_object()
    up_down, up_up, increment, ctx_distr = (
        make_algorithm(n, task) for n in ("up-down", "up-up", "increment", "ctx-distr")
    )
    assert continuation(up_down, count=0, phase=1) == ["EOS"]
    assert continuation(up_down, count=0, phase=0) == ["T", "EOS"]
    assert continuation(up_down, count=2, phase=1) == ["R", "R", "EOS"]  # no trigger is needed after a phase swap
    assert continuation(up_up, demo_count=5, resp_count=5, phase=1) == ["EOS"]
    assert continuation(up_up, demo_count=5, resp_count=6, phase=1) == FOREVER
    assert continuation(up_up, demo_count=5, resp_count=6, phase=0) == FOREVER
    assert continuation(up_up, demo_count=6, resp_count=5, phase=0) == ["T", "R", "EOS"]
    assert continuation(ctx_distr, context=1, value=-1, phase=1) == ["EOS"]
    assert continuation(ctx_distr, context=-2, value=1, phase=1) == ["EOS"]
    assert continuation(ctx_distr, context=1, value=1, phase=1) == ["R", "R", "EOS"]
    assert continuation(increment, count=1.0, increment=0.2, phase=1) == ["EOS"]
    assert continuation(increment, count=7.0, increment=0.2, phase=1) == ["EOS"]
    assert continuation(increment, count=0.6, increment=0.2, phase=1) == ["R", "R", "EOS"]
    assert continuation(increment, count=3.4, increment=0.2, phase=0) == ["T", "R", "R", "R", "R", "EOS"]
    assert continuation(increment, count=0.0, phase=0) == FOREVER
    arithmetic = make_algorithm("running-total", make_task("arithmetic"))
    assert continuation(arithmetic, total=7, remaining=0, phase=2) == ["EOS"]
    assert continuation(arithmetic, total=7, remaining=0, phase=5) == ["=", "7", ",", "EOS"]
    assert continuation(arithmetic, total=20, remaining=0, phase=3) == ["0", "=", "20", ",", "EOS"]


def test_increment_reaches_one_exactly_however_far():
    algorithm = Increment(multi_object())
    for n in [*range(1, 61), 199, 400]:
        assert continuation(algorithm, count=float(n)) == ["T"] + ["R"] * n + ["EOS"]
