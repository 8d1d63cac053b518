"""A store at a URL: in memory, and through fsspec on the disk, where tests can damage every file."""

import os
import shutil
from pathlib import Path

import pytest

from symscope.errors import CheckpointError, StoreError
from symscope.runner import Job, Plan, existing_store, local, open_store, run
from symscope.runner.query import list_results, read_rows

WRITE = "tests.runner.stages:write"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SYMSCOPE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["memory", "file"])
def url(request, tmp_path):
    return f"memory://{tmp_path.name}/store" if request.param == "memory" else f"file://{tmp_path}/store"


@pytest.fixture
def plan():
    jobs = [Job("a", WRITE, {"text": "a"}), Job("b", WRITE, {"text": "b"}, ("a",)), Job("c", WRITE, {"text": "c"})]
    return Plan(jobs, result_version="1")


def test_results_are_written_to_the_url_and_read_from_it(url, plan, cache, log):
    store = open_store(url, study="test")
    assert run(plan, store, local(0)).ok
    shutil.rmtree(cache)  # another machine has no local copies
    again = existing_store(url)
    assert again == store
    assert list(again.locations()) == sorted(map(plan.location, "abc"))
    assert (again.fetch(plan.location("b")) / "text.txt").read_text() == "b\na"
    assert again.manifest(plan.location("b")).needs == {"a": plan.location("a")}
    assert again.verify() == {}
    outcome = run(plan, again, local(0), on_event=log)
    assert set(outcome.cached) == {"a", "b", "c"}
    assert not [path for work in cache.glob("*/work") for path in work.glob("*/*")]


def test_worker_processes_write_to_the_url(tmp_path, plan, light_path):
    store = open_store(f"file://{tmp_path}/store", study="test")
    assert set(run(plan, store, local(2)).done) == {"a", "b", "c"}
    assert store.verify() == {}


def test_another_study_a_newer_format_and_unrelated_files_are_refused(url, tmp_path):
    store = open_store(url, study="test")
    with pytest.raises(StoreError, match=r"'test', not of 'other'"):
        open_store(url, study="other")
    store.write("store.json", '{"format": 99, "study": "test"}')
    for open_it in (lambda: open_store(url, study="test"), lambda: existing_store(url)):
        with pytest.raises(StoreError, match=r"newer symscope \(store format 99.*upgrade"):
            open_it()
    with pytest.raises(StoreError, match="holds no results"):
        existing_store(f"{url}/nowhere")
    store.write("elsewhere/thesis.tex", "precious")
    with pytest.raises(StoreError, match=r"holds other files \(thesis.tex\)"):
        open_store(f"{url}/elsewhere", study="test")


def test_a_url_that_fsspec_cannot_open_is_refused():
    with pytest.raises(StoreError, match="a URL that fsspec can open"):
        open_store("nonsense://bucket/store", study="test")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where even root cannot write")
def test_a_place_where_nothing_can_be_written_is_refused():
    with pytest.raises(StoreError, match="cannot be written to file:///proc/symscope"):
        open_store("file:///proc/symscope", study="test")


DAMAGES = {
    "truncated": lambda result, file: os.truncate(file, 0),
    "another byte": lambda result, file: file.write_bytes(b"X" * file.stat().st_size),
    "a file missing": lambda result, file: file.unlink(),
    "no manifest": lambda result, file: (result / "manifest.json").unlink(),
    "half a manifest": lambda result, file: os.truncate(result / "manifest.json", 100),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result_is_detected_and_made_again_before_it_is_read(tmp_path, plan, cache, log, damage):
    store = open_store(f"file://{tmp_path}/store", study="test")
    assert run(plan, store, local(0)).ok
    shutil.rmtree(cache)
    result = tmp_path / "store" / "results" / plan.location("a")
    damage(result, next(result.glob("*/text.txt")))
    assert list(store.verify()) == [plan.location("a")]
    store.remove(plan.location("b"))  # it reads a
    outcome = run(plan, store, local(0), on_event=log)
    assert set(outcome.done) == {"a", "b"}
    assert "damaged" in log.kinds("a")
    assert store.verify() == {}


def test_a_damaged_copy_on_this_machine_is_fetched_again(tmp_path, plan):
    store = open_store(f"file://{tmp_path}/store", study="test")
    assert run(plan, store, local(0)).ok
    copy = store.fetch(plan.location("a")) / "text.txt"
    copy.write_text("X")
    assert (store.fetch(plan.location("a")) / "text.txt").read_text() == "a"
    with pytest.raises(CheckpointError, match="no result at"):
        store.fetch("write/none")


def test_a_machine_that_dies_while_it_writes_leaves_no_result(tmp_path, plan, monkeypatch):
    store = open_store(f"file://{tmp_path}/store", study="test")
    write = store.write

    def die(path, text):
        if path.endswith("manifest.json"):
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr(store, "write", die)
    with pytest.raises(KeyboardInterrupt):
        run(plan, store, local(0))
    monkeypatch.undo()
    monkeypatch.setenv("SYMSCOPE_CACHE", str(tmp_path / "cache"))
    location = plan.location("a")
    assert store.check(location).state == "damaged"
    assert store.check_all([location])[location].state == "damaged"
    # The result is complete on this machine; it is published without another call of the stage.
    monkeypatch.setattr("symscope.runner.execute.import_object", None)
    outcome = run(Plan([plan["a"]], result_version="1"), store, local(0))
    assert outcome.done == ("a",)
    assert store.verify() == {}


def test_two_machines_that_run_the_same_job_leave_valid_results(tmp_path, plan, monkeypatch):
    url = f"file://{tmp_path}/store"
    first = open_store(url, study="test")
    monkeypatch.setenv("SYMSCOPE_CACHE", str(tmp_path / "other"))
    second = open_store(url, study="test")
    publish = first.publish

    def publish_late(location):
        assert second.check(location).state == "missing"
        assert run(plan, second, local(0)).ok  # the second machine finishes before the first publishes
        monkeypatch.setattr(first, "publish", publish)
        publish(location)

    monkeypatch.setattr(first, "publish", publish_late)
    assert run(plan, first, local(0)).ok
    assert first.verify() == second.verify() == {}
    leftovers = [path for path, _ in first.leftovers()]
    assert leftovers  # the files of the manifest that was written first
    for path in leftovers:
        first.delete(path)
    assert list(first.leftovers()) == []
    assert first.verify() == {}


def test_one_query_gives_all_results(url, plan):
    store = open_store(url, study="test")
    assert run(plan, store, local(0)).ok
    table = list_results(store).sort("name")
    assert table["name"].to_list() == ["a", "b", "c"]
    assert set(table["state"]) == {"valid"}
    assert (table["seconds"] >= 0).all()
    assert set(table["result_version"]) == {"1"}
    assert read_rows(store, "rows.parquet").is_empty()


@pytest.mark.parametrize("name", ["run[1]", "run*", "run?", "{run1}"])
@pytest.mark.parametrize("scheme", ["", "file://", "memory://"])
def test_addresses_are_literal(tmp_path, plan, name, scheme):
    named, neighbour = (open_store(f"{scheme}{tmp_path}/{folder}", study="test") for folder in (name, "run1"))
    for store in (named, neighbour):
        assert run(plan, store, local(0)).ok
    named.remove(plan.location("a"))
    assert list(named.locations()) == sorted(map(plan.location, "bc"))
    assert list(neighbour.locations()) == sorted(map(plan.location, "abc"))
    assert run(plan, named, local(0)).done == ("a",)
    assert named.verify() == neighbour.verify() == {}
    assert list_results(named).height == list_results(neighbour).height == 3


def test_deleting_leaves_no_folders(tmp_path, plan):
    store = open_store(f"file://{tmp_path}/store", study="test")
    assert run(plan, store, local(0)).ok
    for name in "abc":
        store.remove(plan.location(name))
    assert not [path for path in (tmp_path / "store" / "results").rglob("*") if plan.key("a") in path.name]
    store.delete("results/write/none")  # does nothing
