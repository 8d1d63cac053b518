"""Atomic writes: a failure leaves the old file and nothing else."""

import pytest

from symscope.files import atomic_write, write_text


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "name.txt"
    write_text(path, "first\r\nsecond\n")
    assert path.read_bytes() == b"first\r\nsecond\n"
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_bytes() == b"first\r\nsecond\n"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_no_temporary_file(tmp_path):
    path = tmp_path / "name.txt"
    write_text(path, "old")
    try:
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        pass
    with pytest.raises(FileNotFoundError), atomic_write(path):
        pass  # the block writes nothing
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_writes_of_the_same_path_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "name.txt"
    with atomic_write(path) as outer:
        outer.write_text("outer")
        write_text(path, "inner")
        assert path.read_text() == "inner"
    assert path.read_text() == "outer"
