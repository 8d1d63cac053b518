"""Arithmetic of the rows, and a section run from the command line."""

import pytest
from benchmarks.__main__ import SECTIONS, main
from benchmarks.rows import Row, Setting, in_turns, ratios


def test_row_of_values():
    row = Row.of("x", [3.0, 1.0, 2.0], "ms", "note")
    assert (row.median, row.minimum, row.maximum, row.runs) == (2, 1, 3, 3)
    assert str(row) == "| x | 2 | 1 to 3 | ms | 3 | note |"


def test_calls_take_turns():
    order = []
    took = in_turns({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 2, Setting("cpu", (1,)))
    assert order == ["a", "b"] * 3  # one round to warm up
    assert [len(seconds) for seconds in took.values()] == [2, 2]


def test_ratios_are_taken_round_by_round():
    assert ratios([1, 2], [10, 40]) == [10, 20]


def test_an_unknown_section_is_refused_with_the_list_of_sections(capsys):
    with pytest.raises(SystemExit):
        main(["serach"])
    assert next(iter(SECTIONS)) in capsys.readouterr().err


def test_a_section_prints_its_table(capsys):
    main(["drawing", "--threads", "1"])
    assert capsys.readouterr().out.count("| s |") == 3
