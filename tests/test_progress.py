"""Progress bars: in a notebook one HTML output that is replaced, nothing where nobody would see a bar."""

import sys
from types import SimpleNamespace

import pytest

from symscope import progress
from symscope.progress import progress_bar, track


@pytest.fixture
def shown(monkeypatch):
    """A kernel that keeps the HTML of each output and of its updates."""
    outputs = []

    class Output:
        def __init__(self, html):
            outputs.append([html])

        def update(self, html):
            outputs[-1].append(html)

    display = SimpleNamespace(HTML=lambda html: html, display=lambda html, display_id: Output(html))
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell, display=display))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    return outputs


def test_a_notebook_gets_one_output_whose_last_state_is_complete(shown):
    with progress_bar(10, {"loss": "loss"}, visible=True) as on_step:
        for name in ("training", "<b>"):
            for step in (0, 5, 10):
                on_step(name, {"step": step, "loss": 0.25})
    (states,) = shown
    assert "5/10 steps" in states[1]
    assert states[-1].count("10/10 steps") == 2
    assert "width:100%" in states[-1]
    assert "loss 0.25" in states[-1]
    assert "&lt;b&gt;" in states[-1]
    assert "<b>" not in states[-1]


def test_a_name_that_starts_again_gets_a_further_bar(shown):
    with progress_bar(4, visible=True) as on_step:
        for step in (0, 4, 0, 2):
            on_step("alignment", {"step": step, "count": 0.5})
    assert "4/4 steps" in shown[0][-1]
    assert "2/4 steps" in shown[0][-1]
    assert "validation IIA 0.50" in shown[0][-1]


def test_updates_are_rare_and_the_last_is_shown(shown, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH", 1e9)
    monkeypatch.setattr(progress.time, "monotonic", lambda: 0.0)
    assert sum(track(range(100), "loop")) == 4950
    assert len(shown[0]) == 1
    assert "100/100 steps" in shown[0][0]


def test_a_loop_that_ends_early_shows_where(shown):
    for item in track(iter("abcdef")):
        if item == "c":
            break
    assert "2/6 steps" in shown[0][-1]


@pytest.mark.parametrize("visible", [True, False])
def test_without_a_screen_there_is_no_bar(monkeypatch, visible):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: not visible, raising=False)
    with progress_bar(10, visible=visible) as on_step:
        assert on_step is None
    assert list(track([], progress=visible)) == []


def test_a_terminal_gets_bars_of_rich(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(track("ab", "loop")) == ["a", "b"]
    assert "loop" in capsys.readouterr().err
