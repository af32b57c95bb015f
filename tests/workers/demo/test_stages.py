from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from workers.demo.stages import Stages


def lines_of(out: StringIO) -> list[str]:
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_without_a_terminal_stages_are_plain_lines() -> None:
    out = StringIO()
    stages = Stages(Console(file=out, width=100))

    with stages.stage("one", "Doing [one]", total=3) as stage:
        stage.advance()
        stage.advance(2)
    stages.say("a sentence about [bold]")
    with stages.stage("two", "Doing two") as stage:
        stage.reach(5, "some", total=9)

    lines = lines_of(out)
    assert lines[0] == "Doing [one] ..."
    assert lines[1].startswith("✓ Doing [one]: 3 (")
    assert lines[2] == "  a sentence about [bold]"
    assert lines[3] == "Doing two ..."
    assert lines[4].startswith("✓ Doing two (")
    assert list(stages.seconds) == ["one", "two"]
    assert all(seconds >= 0 for seconds in stages.seconds.values())


def test_a_long_stage_says_now_and_then_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("workers.demo.stages.time.monotonic", lambda: clock[0])
    out = StringIO()
    stages = Stages(Console(file=out, width=100))

    with stages.stage("one", "Doing", total=100) as stage:
        for second in range(25):
            clock[0] = float(second)
            stage.advance(1, "things")

    assert lines_of(out)[1:3] == ["  11 of 100 things", "  21 of 100 things"]
    assert stages.seconds["one"] == 24.0


def test_a_stage_that_fails_is_said_to() -> None:
    out = StringIO()
    stages = Stages(Console(file=out, width=100))

    with pytest.raises(ZeroDivisionError), stages.stage("one", "Dividing"):
        _ = 1 / 0

    assert lines_of(out)[1].startswith("✗ Dividing (")
    assert stages.seconds == {}


def test_on_a_terminal_there_is_a_bar() -> None:
    out = StringIO()
    stages = Stages(Console(file=out, width=100, force_terminal=True))

    with stages.stage("one", "Doing", total=4) as stage:
        stage.advance(4, "the last")

    assert "4/4" in out.getvalue()
    assert "✓" in out.getvalue()
