"""Long work is heard of, with and without a terminal, and no longer than it lasts."""

import io
import threading
from pathlib import Path

import pytest
from rich.console import Console

from matrix.ground.waiting import clock, doing, shown


def test_without_a_terminal_it_says_now_and_then_what_it_does(tmp_path: Path) -> None:
    stage, said_twice = tmp_path / "stage", threading.Event()
    stage.write_text("compile\n")
    heard: list[str] = []

    class Listening(Console):
        def print(self, *words: object, **_: object) -> None:
            heard.append(str(words[0]))
            if len(heard) > 2:
                said_twice.set()

    with shown(Listening(file=io.StringIO()), "probe of a", lambda: doing(stage), still_seconds=0.01):
        assert said_twice.wait(30)
    assert heard[0] == "probe of a started"
    assert heard[1].startswith("probe of a still running: compile, 0:0")
    assert heard[-1].startswith("probe of a finished after 0:")


def test_on_a_terminal_it_is_one_line_that_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with shown(console, "probe of a", lambda: "compile"):
        pass
    assert "probe of a" in screen.getvalue()
    assert "finished" not in screen.getvalue()


def test_on_a_terminal_that_changes_no_line_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    screen = io.StringIO()
    with shown(Console(file=screen, force_terminal=True, width=80), "probe of a", lambda: "compile"):
        pass
    assert "probe of a started" in screen.getvalue()
    assert "probe of a finished" in screen.getvalue()


def test_a_clock_reads_minutes_and_seconds() -> None:
    assert [clock(seconds) for seconds in (0, 59.9, 187, 3600)] == ["0:00", "0:59", "3:07", "60:00"]
