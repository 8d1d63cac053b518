import json
import os
import shutil
from pathlib import Path

import pytest

from symscope.errors import CheckpointError, StoreError
from symscope.runner import Job, Plan, existing_store, local, open_store, run

WRITE = "tests.runner.stages:write"


@pytest.fixture
def plan():
    jobs = [
        Job("a", WRITE, {"text": "a"}),
        Job("b", WRITE, {"text": "b"}, ("a",)),
        Job("c", WRITE, {"text": "c"}, ("b",)),
    ]
    return Plan(jobs, result_version="1")


@pytest.fixture
def finished(store, plan):
    assert run(plan, store, local(0)).ok
    return store


def test_a_result_holds_the_files_of_the_stage_and_a_manifest(finished, plan):
    manifest = finished.manifest(plan.location("b"))
    path = finished.path(plan.location("b"))
    assert sorted(manifest.files) == ["parts/length.json", "text.txt"]
    assert (path / "text.txt").read_text() == "b\na"
    assert not (path / "scratch").exists()
    assert (manifest.name, manifest.stage, manifest.arguments) == ("b", WRITE, {"text": "b"})
    assert manifest.needs == {"a": plan.location("a")}
    assert manifest.facts == {"device": "cpu", "texts": 2}
    assert manifest.python
    assert manifest.packages["torch"]
    assert manifest.seconds >= 0
    assert not manifest.resumed
    assert manifest.started <= manifest.finished
    assert json.loads((path / "manifest.json").read_text())["checksum"]
    assert list(finished.locations()) == sorted(map(plan.location, "abc"))
    assert not list((finished.folder / "locks").glob("*/*"))
    assert not list((finished.folder / "work").glob("*/*"))


def damage_a_byte(path):
    content = bytearray((path / "text.txt").read_bytes())
    content[0] ^= 1
    (path / "text.txt").write_bytes(content)


def damage_the_manifest(path):
    text = (path / "manifest.json").read_text()
    (path / "manifest.json").write_text(text.replace('"resumed": false', '"resumed": true'))


DAMAGES = {
    "truncated": lambda path: os.truncate(path / "text.txt", 1),
    "a byte": damage_a_byte,
    "a file missing": lambda path: (path / "parts" / "length.json").unlink(),
    "a folder instead of a file": lambda path: ((path / "text.txt").unlink(), (path / "text.txt").mkdir()),
    "no manifest": lambda path: (path / "manifest.json").unlink(),
    "half a manifest": lambda path: os.truncate(path / "manifest.json", 100),
    "an empty manifest": lambda path: os.truncate(path / "manifest.json", 0),
    "a manifest that is not text": lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe\x00"),
    "an edited manifest": damage_the_manifest,
    "all files gone": lambda path: [shutil.rmtree(path), path.mkdir()],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_result_is_detected_and_made_again(finished, plan, log, damage):
    location = plan.location("b")
    untouched = (finished.path(location) / "text.txt").read_bytes()
    damage(finished.path(location))
    assert finished.check(location).state == "damaged"
    assert list(finished.verify()) == [location]
    outcome = run(plan, finished, local(0), on_event=log)
    assert set(outcome.done) == {"b"}
    assert set(outcome.cached) == {"a", "c"}
    assert log.kinds("b") == ["damaged", "started", "done"]
    assert finished.verify() == {}
    assert (finished.path(location) / "text.txt").read_bytes() == untouched


def damage_invisibly(path):
    """Changes a byte and restores the time of change, as a failing disk would."""
    status = (path / "text.txt").stat()
    damage_a_byte(path)
    os.utime(path / "text.txt", ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_result_is_read_completely_before_a_job_uses_it(finished, plan, log):
    for name in "ab":
        damage_invisibly(finished.path(plan.location(name)))
    shutil.rmtree(finished.path(plan.location("c")))
    outcome = run(plan, finished, local(0), on_event=log)
    assert set(outcome.done) == {"a", "b", "c"}  # b is read by c, and then a by b
    assert (finished.path(plan.location("c")) / "text.txt").read_text() == "c\nb\na"


def test_verify_reads_every_byte(finished, plan):
    damage_invisibly(finished.path(plan.location("c")))
    assert finished.check(plan.location("c")).state == "valid"
    assert "SHA-256" in finished.verify()[plan.location("c")]


def test_a_result_that_was_moved_is_not_mistaken_for_another(finished, plan):
    shutil.rmtree(finished.path(plan.location("a")))
    finished.path(plan.location("b")).rename(finished.path(plan.location("a")))
    assert "belongs to" in finished.check(plan.location("a")).fault


def test_a_copied_store_is_valid(finished, plan, tmp_path):
    shutil.copytree(finished.folder, tmp_path / "copy", copy_function=shutil.copyfile)  # different times of change
    copy = open_store(tmp_path / "copy", study="test")
    assert set(run(plan, copy, local(0)).cached) == {"a", "b", "c"}


def test_reading_the_manifest_of_a_missing_result_raises(store, plan):
    assert store.check(plan.location("a")).state == "missing"
    with pytest.raises(CheckpointError, match="no result at"):
        store.manifest(plan.location("a"))


@pytest.mark.parametrize(
    ("stage", "message"),
    [("bad_facts", "facts that cannot be stored"), ("own_manifest", "may not write"), ("link", "not a plain file")],
)
def test_a_result_that_cannot_be_stored_fails_the_job(store, stage, message):
    plan = Plan([Job("job", f"tests.runner.stages:{stage}")], result_version="1")
    outcome = run(plan, store, local(0))
    assert message in outcome.failed["job"]
    assert store.check(plan.location("job")).state == "missing"


@pytest.mark.parametrize("moment", ["scratch moved", "published"])
def test_a_death_between_the_steps_of_a_commit_loses_nothing(store, moment):
    chain = Job("chain", "tests.runner.stages:chain", {"seed": 1, "steps": 3, "seconds": 0})
    plan = Plan([chain], result_version="1")
    location = plan.location("chain")
    work = store.work_folder(location)
    work.prepare()
    folder = work.path
    (folder / "scratch" / "checkpoint.json").write_text('{"step": 2, "digest": "d"}')
    (folder / "half-written").write_text("of the dead attempt")
    (folder / "scratch").rename(folder.with_name(f"{folder.name}.scratch"))
    if moment == "published":
        shutil.rmtree(folder)
    assert run(plan, store, local(0)).ok
    manifest = store.manifest(location)
    assert manifest.resumed
    assert sorted(manifest.files) == ["digest.txt", "large.bin"]


def test_a_result_that_was_complete_when_the_process_died_is_published_without_another_call(store, plan, monkeypatch):
    def die(location):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "publish", die)
    with pytest.raises(KeyboardInterrupt):
        run(plan, store, local(0))
    monkeypatch.undo()
    location = plan.location("a")
    assert store.check(location).state == "missing"
    completed = store.work_folder(location).path / "manifest.json"
    content = completed.read_bytes()
    monkeypatch.setattr("symscope.runner.execute.import_object", None)
    assert run(Plan([plan["a"]], result_version="1"), store, local(0)).done == ("a",)
    assert store.manifest_bytes(location) == content
    assert store.verify() == {}
    assert not [path for path, _ in store.leftovers()]


# ------------------------------------------------------------------------------------------------ opening a folder


def test_opening_twice_gives_the_same_store(tmp_path):
    first = open_store(tmp_path / "a" / "b", study="quick")
    assert open_store(tmp_path / "a" / "b", study="quick") == first
    assert existing_store(tmp_path / "a" / "b") == first


def test_a_folder_of_another_study_is_refused(tmp_path):
    open_store(tmp_path, study="quick")
    before = (tmp_path / "store.json").read_bytes()
    with pytest.raises(StoreError, match=r"'quick'.*choose another folder"):
        open_store(tmp_path, study="tmlr")
    assert (tmp_path / "store.json").read_bytes() == before


def test_a_newer_format_is_refused(tmp_path):
    open_store(tmp_path, study="quick")
    identity = json.loads((tmp_path / "store.json").read_text())
    (tmp_path / "store.json").write_text(json.dumps({**identity, "format": 99}))
    for open_it in (lambda: open_store(tmp_path, study="quick"), lambda: existing_store(tmp_path)):
        with pytest.raises(StoreError, match=r"newer symscope \(store format 99.*upgrade"):
            open_it()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', '{"format": "x", "study": 1, "declaration": 1}'])
def test_a_damaged_identity_is_refused(tmp_path, content):
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(StoreError, match="damaged"):
        open_store(tmp_path, study="quick")


def test_a_folder_of_unrelated_files_is_refused_and_unchanged(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StoreError, match=r"holds other files \(thesis.tex\)"):
        open_store(tmp_path, study="quick")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_instead_of_a_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(StoreError, match="choose a"):
            open_store(path, study="quick")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder where even root cannot write")
def test_a_folder_that_cannot_be_written_is_refused():
    with pytest.raises(StoreError, match="cannot be written to /proc/symscope"):
        open_store("/proc/symscope", study="quick")


def test_a_store_that_became_read_only_is_refused(tmp_path, monkeypatch):
    open_store(tmp_path, study="quick")

    def refuse(*args, **kwargs):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)  # root can write to every folder
    with pytest.raises(StoreError, match="Read-only file system; choose another folder"):
        open_store(tmp_path, study="quick")


def test_reading_a_store_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(StoreError, match="holds no results"):
        existing_store(tmp_path / "nowhere")


def test_a_full_disk_fails_the_job_with_a_clear_error(store, plan, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("symscope.runner.files.flush_file", full)
    outcome = run(plan, store, local(0))
    assert "No space left on device; free space" in outcome.failed["a"]
    assert store.check(plan.location("a")).state == "missing"
    monkeypatch.undo()
    assert run(plan, store, local(0)).ok


def test_only_one_process_holds_a_lock(store):
    def lock(location):
        return store.work_folder(location).lock()

    with lock("stage/key") as first:
        with lock("stage/key") as second, lock("stage/different") as different:
            assert (first, second, different) == (True, False, True)
        with lock("stage/key") as still:
            assert not still
    with lock("stage/key") as again:
        assert again
