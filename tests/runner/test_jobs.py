import random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symscope.errors import ConfigurationError, UnknownNameError
from symscope.runner import Job, Plan

STAGE = "package.module:stage"


def key_of(job, *others, version="1"):
    return Plan([job, *others], result_version=version).key(job.name)


def test_jobs_come_after_their_needs_and_otherwise_as_declared():
    jobs = [
        Job("report", STAGE, {"i": 0}, ("b", "a")),
        Job("c", STAGE, {"i": 1}),
        Job("b", STAGE, {"i": 2}, ("a",)),
        Job("a", STAGE, {"i": 3}),
    ]
    assert [job.name for job in Plan(jobs, result_version="1")] == ["c", "a", "b", "report"]


@given(st.integers(1, 25), st.randoms(use_true_random=False))
def test_any_acyclic_graph_is_ordered(size, rng):
    jobs = [
        Job(str(i), STAGE, {"i": i}, tuple(str(j) for j in rng.sample(range(i), rng.randint(0, min(i, 4)))))
        for i in range(size)
    ]
    rng.shuffle(jobs)
    position = {job.name: index for index, job in enumerate(Plan(jobs, result_version="1"))}
    assert len(position) == size
    assert all(position[need] < position[job.name] for job in jobs for need in job.needs)


def test_all_faults_are_reported_together():
    jobs = [
        Job("twice", STAGE),
        Job("twice", STAGE),
        Job(" ", STAGE),
        Job("nowhere", "package.module.stage"),
        Job("main", "__main__:stage"),
        Job("nan", STAGE, {"rates": [0.1, float("nan")]}),
        Job("object", STAGE, {"path": {"of": object}}),
        Job("number-key", STAGE, {"sizes": {3: 1}}),
        Job("unknown", STAGE, {"u": 1}, ("missing",)),
        Job("doubled", STAGE, {"d": 1}, ("nan", "nan")),
        Job("chicken", STAGE, {"c": 1}, ("egg",)),
        Job("egg", STAGE, {"e": 1}, ("chicken",)),
        Job("self", STAGE, {"s": 1}, ("self",)),
        Job("after", STAGE, {"a": 1}, ("self",)),
    ]
    with pytest.raises(ConfigurationError) as caught:
        Plan(jobs, result_version="1")
    message = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 11
    for part in (
        "'twice' is used by 2 jobs",
        "got ' '",
        "'package.module.stage' is not an import path",
        "'__main__:stage' is not an import path",
        "arguments.rates[1]: nan is not a finite number",
        "arguments.path.of: <class 'object'> (type) is not a JSON value",
        "arguments.sizes: the key 3 is not a string",
        "needs 'missing', which is not in the plan",
        "needs 'nan' more than once",
        "'self' needs 'self'",
    ):
        assert part in message
    assert "'chicken' needs 'egg' needs 'chicken'" in message or "'egg' needs 'chicken' needs 'egg'" in message
    assert "after" not in message  # it only depends on a cycle


def test_two_jobs_with_the_same_key_are_a_fault():
    with pytest.raises(ConfigurationError, match="'a' and 'b' have the same stage, arguments and needs"):
        Plan([Job("a", STAGE, {"x": 1}), Job("b", STAGE, {"x": 1})], result_version="1")


def test_an_unknown_job_is_named_with_the_nearest():
    plan = Plan([Job("train/gru-seed0", STAGE)], result_version="1")
    with pytest.raises(UnknownNameError, match="did you mean 'train/gru-seed0'"):
        plan.spec("train/gru-seed1")


def test_the_key_changes_with_everything_that_determines_the_result():
    need, other_need = Job("need", STAGE, {"n": 1}), Job("need", STAGE, {"n": 2})
    variants = [
        key_of(Job("job", STAGE, {"x": 1})),
        key_of(Job("job", STAGE, {"x": 1.5})),
        key_of(Job("job", STAGE, {"x": "1"})),
        key_of(Job("job", STAGE, {"x": True})),
        key_of(Job("job", STAGE, {"x": [1]})),
        key_of(Job("job", STAGE, {"x": 1, "y": None})),
        key_of(Job("job", "package.module:other", {"x": 1})),
        key_of(Job("job", "package.other:stage", {"x": 1})),
        key_of(Job("job", STAGE, {"x": 1}), version="2"),
        key_of(Job("job", STAGE, {"x": 1}, ("need",)), need),
        key_of(Job("job", STAGE, {"x": 1}, ("need",)), other_need),
    ]
    assert len(set(variants)) == len(variants)


def test_the_key_changes_with_an_indirect_need():
    def last_key(seed):
        jobs = [Job("a", STAGE, {"seed": seed}), Job("b", STAGE, {"b": 1}, ("a",)), Job("c", STAGE, {"c": 1}, ("b",))]
        return Plan(jobs, result_version="1").key("c")

    assert last_key(0) != last_key(1)
    assert last_key(0) == last_key(0)


def test_the_order_of_needs_matters_and_their_names_do_not():
    a, b = Job("a", STAGE, {"a": 1}), Job("b", STAGE, {"b": 1})
    renamed = Job("renamed", STAGE, {"a": 1})
    forward = key_of(Job("job", STAGE, {}, ("a", "b")), a, b)
    assert key_of(Job("job", STAGE, {}, ("b", "a")), a, b) != forward
    assert key_of(Job("other name", STAGE, {}, ("renamed", "b")), b, renamed) == forward


def test_the_key_does_not_depend_on_notation():
    expected = key_of(Job("job", STAGE, {"x": [1, 2], "y": {"a": 1, "b": 2}}))
    assert key_of(Job("name", STAGE, {"y": {"b": 2, "a": 1}, "x": (1, 2)})) == expected
    assert (
        key_of(Job("job", STAGE, MappingProxyType({"x": [1, 2], "y": MappingProxyType({"a": 1, "b": 2})}))) == expected
    )
    assert key_of(Job("job", STAGE, {"x": [1, 2], "y": {"a": 1, "b": 2}}), Job("unrelated", STAGE)) == expected


def test_keys_stay_what_they_are_between_releases():
    # If this fails, stored results are no longer found: increase KEY_FORMAT, and say so in the changelog.
    plan = Plan([Job("job", STAGE, {"d": 48, "rate": 1e-3, "word": "µ"})], result_version="1")
    assert plan.location("job") == "stage/08e07803f7373d068de5"


def test_ten_thousand_jobs_are_planned_with_distinct_keys():
    def needs(i):
        return tuple(f"job{j}" for j in {i // 2, i // 3} if j != i and j > 0)

    jobs = [Job(f"job{i}", STAGE, {"i": i, "rates": [1e-3, 1e-4], "task": {"low": 1}}, needs(i)) for i in range(10_000)]
    random.Random(0).shuffle(jobs)
    plan = Plan(jobs, result_version="1")
    assert len({plan.key(job.name) for job in plan}) == len(jobs)
