"""Complement, probe, length errors and held-out values, on networks whose answer is known."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from tests.alignment.examples import ALGORITHM, BRIEF, TASK, TINY, hidden

import symscope as sc
from symscope.alignment._answers import EXTRA_TOKENS, answers_to
from symscope.alignment.baseline_directions import probe_score
from symscope.errors import InvalidArgumentError, UnknownNameError
from symscope.interchange import cache_states, draw_interventions
from symscope.networks import magnitude_network, make_network
from symscope.seeds import generator

EOS = TASK.vocabulary.eos
START = replace(BRIEF, init="least-squares")


@pytest.mark.parametrize("shift", [2, -1, EXTRA_TOKENS + 5])
def test_a_shifted_count_gives_answers_that_are_as_much_too_long(shift):
    known = magnitude_network(**TASK.roles)
    drawn = draw_interventions(ALGORITHM, ["count"], 200, generator(0, "drawn"))
    cached = cache_states(known.network, drawn, "h")
    states = cached.base_states.clone()
    states[:, 0] = cached.source_states[0][:, 0] + shift
    answers_given = answers_to(known.network, drawn, "h", cached, states, torch.arange(200), EOS)
    answers = (drawn.targets == TASK.roles["response"]).sum(1)  # an answer cannot be shorter than nothing
    assert answers_given.counts() == Counter(
        None if shift > EXTRA_TOKENS else max(shift, -int(length)) for length in answers
    )


@pytest.mark.parametrize("kind", ["gru", pytest.param("transformer-rope", marks=pytest.mark.slow)])
def test_lengths_are_those_of_a_network_that_runs_on_its_own_answers(kind):
    """The slow route: token by token, each fed back, from a state that was rewritten at random."""
    network = make_network(kind, 16, len(TASK.vocabulary), generator(1, "network")).eval()
    for parameter in network.parameters():
        parameter.data.mul_(3)  # answers that vary
    network.output.output_bias.data[[TASK.roles["response"], EOS]] += 20
    site, rows = network.default_site, 25
    drawn = draw_interventions(ALGORITHM, ["count"], rows, generator(0, "drawn"))
    cached = cache_states(network, drawn, site)
    states = cached.base_states + torch.randn(cached.base_states.shape, generator=generator(2))
    expected = Counter()
    for row in range(rows):
        columns = drawn.target_mask[row].nonzero()[:, 0].tolist()
        fed, given, error = drawn.fed[row, : columns[0]].tolist(), [], None
        while len(given) < len(columns) + EXTRA_TOKENS and EOS not in given:
            one = replace(
                drawn.select(torch.tensor([row])),
                fed=torch.tensor([[*fed, *given]], dtype=torch.long),
                targets=torch.zeros(1, len(fed) + len(given) + 1, dtype=torch.long),
                target_mask=(torch.arange(len(fed) + len(given) + 1) == len(fed) + len(given))[None],
            )
            state = cache_states(network, one, site).base.select(torch.tensor([0]), states[[row]])
            given.append(int(network.readout(network.resume(state, one.fed, one.target_mask)).argmax()))
        wanted = drawn.targets[row, columns].tolist()
        if EOS in given:
            length, right = len(given), wanted[:-1]
            repeated = given[: len(right)] == right and len(set(given[len(right) : -1])) <= 1
            if length <= len(wanted):
                error = length - len(wanted) if given[:-1] == right[: length - 1] else None
            elif repeated:
                error = length - len(wanted)
        expected[error] += 1
    assert answers_to(network, drawn, site, cached, states, torch.arange(rows), EOS).counts() == expected
    assert len(expected) > 1


def test_an_answer_is_written_up_to_its_first_mistake():
    known = magnitude_network(**TASK.roles)
    drawn = draw_interventions(ALGORITHM, ["count"], 60, generator(0, "drawn"))
    cached = cache_states(known.network, drawn, "h")
    response, rows = TASK.roles["response"], torch.arange(60)
    for shift in (0, 2, -1, EXTRA_TOKENS + 5):
        states = cached.base_states.clone()
        states[:, 0] = cached.source_states[0][:, 0] + shift
        given = answers_to(known.network, drawn, "h", cached, states, rows, EOS)
        for row in range(60):
            target = drawn.targets[row, : int(drawn.lengths[row])].tolist()
            answer, error = given.tokens(row), given.errors[row]
            if error is None:
                assert shift > EXTRA_TOKENS
                assert answer == [*target[:-1], response, None]
            else:
                body = target[: len(target) - 1 + min(error, 0)]
                assert answer == [*body, *[response] * max(error, 0), EOS]


def test_failing_interventions_are_reported_with_their_tokens(tmp_path):
    data = sc.counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    random = sc.fit(hidden().network, data, 1, controls=[], options=replace(BRIEF, init="random", steps=1))
    results = sc.evaluate(random)
    result, drawn = results["count"], data.test["count"]
    frame = result.failures()
    assert frame.height == min(result.failure_count, 64) > 0
    assert frame["row"].to_list() == (~result.score.correct).nonzero()[:64, 0].tolist()
    names = TASK.vocabulary.names
    for record in frame.head(5).iter_rows(named=True):
        row = record["row"]
        stop = int(drawn.base.position[row])
        assert record["base"] == [names[token] for token in drawn.base.inputs[row, : stop + 1]]
        assert record["base_position"] == stop
        assert record["source_value"] == str(int(drawn.sources[0].values["count"][row]))
        assert f"phase = {['demo', 'resp'][int(drawn.base.values['phase'][row])]}" in record["base_values"]
        assert record["predicted"] == [names[t] for t in drawn.targets[row, : int(drawn.lengths[row])]]
        assert record["produced"] != record["predicted"]
        if record["error"] is not None:
            assert len(record["produced"]) - len(record["predicted"]) == record["error"]
    assert set(frame["error"].drop_nulls()) <= set(result.metrics.length_errors) - {0}
    results.save(tmp_path / "results.safetensors")
    loaded = sc.load(tmp_path / "results.safetensors")["count"]
    assert loaded.failures().equals(frame)
    assert loaded.metrics.example == result.metrics.example


def test_the_worked_example_succeeds_and_is_informative():
    data = sc.counterfactuals(ALGORITHM, "count", **TINY)
    result = sc.evaluate(sc.fit(hidden().network, data, 1, controls=[], options=START))["count"]
    example = result.metrics.example
    assert result.failures().is_empty()
    assert data.test["count"].informative[example.row]
    assert example.produced == example.predicted != example.unswapped
    assert example.error == 0


def test_probe_scores_agree_with_scikit_learn():
    draws = generator(0, "probe")
    states = torch.randn(400, 5, generator=draws, dtype=torch.double)
    values = states @ torch.arange(5).double() + torch.randn(400, generator=draws, dtype=torch.double)
    train, test = slice(200), slice(200, 400)
    ridge = Ridge(alpha=1.0).fit(states[train], values[train])
    assert probe_score(states, values, numeric=True) == pytest.approx(ridge.score(states[test], values[test]), abs=1e-3)
    for count in (2, 3):
        labels = (values.argsort().argsort() * count // 400).long()
        logistic = LogisticRegression(C=1.0, max_iter=5000, tol=1e-8).fit(states[train], labels[train])
        assert probe_score(states, labels) == pytest.approx(logistic.score(states[test], labels[test]), abs=0.006)
    with pytest.raises(InvalidArgumentError, match="one value"):
        probe_score(states, torch.cat([labels[:200], torch.zeros(200, dtype=torch.long)]))


def test_the_complement_of_all_variables_changes_nothing():
    network, data = hidden().network, sc.counterfactuals(ALGORITHM, ["count", "phase"], **TINY)
    results = sc.evaluate(sc.fit(network, data, 1, controls=[], options=START))
    for name in ("count", "phase"):
        assert results[name].complement.iia == 1
        assert results[name].metrics.probe > 0.99
        assert results[name].metrics.length_errors == {0: TINY["n_test"]}
        assert "behaviour unchanged in 1.000" in repr(results[name])
    random = sc.fit(network, data, 1, controls=[], options=replace(BRIEF, init="random", steps=1, validate_every=1))
    assert sc.evaluate(random)["count"].complement.iia < 0.9
    alone = sc.evaluate(sc.fit(network, data["count"], 1, controls=[], options=START))
    assert alone["count"].complement is None


def test_held_out_values_are_tested_and_not_trained_on():
    held_out = {"count": [3, 4]}
    data = sc.counterfactuals(ALGORITHM, "count", held_out=held_out, **TINY)
    for split in (data.train, data.validation):
        assert not split["count"].has_values(held_out).any()
        assert len(split["count"]) in (TINY["n_train"], TINY["n_validation"])
    some = data.test["count"].has_values(held_out)
    result = sc.evaluate(sc.fit(hidden().network, data, 1, controls=[], options=START))["count"]
    assert result.metrics.held_out.n == int(some.sum()) > 0
    assert result.metrics.held_out.iia == 1
    assert "held out of training" in repr(result)
    with pytest.raises(UnknownNameError, match="cuont"):
        sc.counterfactuals(ALGORITHM, "count", held_out={"cuont": [3]}, **TINY)
    with pytest.raises(InvalidArgumentError, match="none of"):
        sc.counterfactuals(ALGORITHM, "count", held_out={"phase": [0, 1]}, **TINY)


def test_results_keep_their_diagnostics(tmp_path):
    data = sc.counterfactuals(ALGORITHM, ["count", "phase"], held_out={"count": [3]}, **TINY)
    results = sc.evaluate(sc.fit(hidden().network, data, 2, controls=[], options=BRIEF))
    results.save(tmp_path / "results.safetensors")
    for saved, loaded in zip(results.all, sc.load(tmp_path / "results.safetensors").all, strict=True):
        assert loaded.metrics.length_errors == saved.metrics.length_errors
        assert (loaded.metrics.probe, loaded.complement.iia) == (saved.metrics.probe, saved.complement.iia)
        assert loaded.metrics.held_out.iia == saved.metrics.held_out.iia
