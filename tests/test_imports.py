"""Import paths: objects that they name, and what is wrong with those that name none."""

import pytest

from symscope.errors import ImportPathError, InvalidArgumentError, UnknownNameError
from symscope.imports import import_object, is_import_path, source_digest


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_an_import_path_names_a_class_or_a_function(module):
    name = module("users_module", "def build(): return 3\nclass Task: pass\nNUMBER = 3\n")
    assert import_object(f"{name}:build", "network")() == 3
    assert import_object(f"{name}:Task", "task").__name__ == "Task"
    assert is_import_path(f"{name}:Task")
    assert not is_import_path("multi-object")
    with pytest.raises(UnknownNameError, match=r"unknown network in users_module 'built': did you mean 'build'"):
        import_object(f"{name}:built", "network")
    with pytest.raises(UnknownNameError, match="NUMBER"):
        import_object(f"{name}:NUMBER", "network")


def test_wrong_import_paths(module):
    for path in ("name", ":name", "module:", "module:not a name", "module:a:b"):
        with pytest.raises(InvalidArgumentError, match=r"is no import path: write 'package\.module:Name'"):
            import_object(path, "task")
    with pytest.raises(ImportPathError, match="task 'no_such_module:Task' cannot be imported: No module named"):
        import_object("no_such_module:Task", "task")
    with pytest.raises(ImportPathError, match="No module named 'no_such_module'"):
        import_object(module("imports_another", "import no_such_module") + ":Task", "task")
    assert issubclass(ImportPathError, ImportError)  # another machine may have the module
    with pytest.raises(InvalidArgumentError, match="cannot be imported: ZeroDivisionError") as raised:
        import_object(module("fails", "1 / 0") + ":Task", "task")
    assert not isinstance(raised.value, ImportError)


def test_a_digest_follows_the_source(module):
    first, second = module("first_module", "A = 1\n"), module("second_module", "A = 2\n")
    assert source_digest(f"{first}:A") == source_digest(f"{first}:B")
    assert source_digest(f"{first}:A") != source_digest(f"{second}:A")
    assert source_digest("sys:exit") == ""
