"""The committed logs are what the code makes, and what a recording of their replay gives."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from workers.cli.main import run


def test_the_committed_log_is_what_the_code_makes(
    day: tuple[str, str], log_file: Callable[[str], Path], tmp_path: Path
) -> None:
    name, text = day
    committed = log_file(name)
    made = tmp_path / committed.name
    made.write_text(text, encoding="utf-8")
    assert committed.read_bytes() == made.read_bytes(), f"if meant so: cp {made} {committed}"


def test_a_recording_of_the_replay_is_the_log_again(
    kafka: str,
    topic_prefix: str,
    make_contract_topics: Callable[[int], None],
    day: tuple[str, str],
    log_file: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make_contract_topics(1)
    monkeypatch.setenv("SECONDSIGHT_KAFKA_BOOTSTRAP_SERVERS", kafka)
    monkeypatch.setenv("SECONDSIGHT_TOPIC_PREFIX", topic_prefix)
    name, text = day
    events = text.count("\n") - 1
    recorded = tmp_path / "recorded.jsonl"
    for arguments in (
        ["replay", str(log_file(name)), "--json"],
        ["record", "--out", str(recorded), "--json"],
    ):
        assert run(arguments) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"events": events}
    assert recorded.read_bytes() == log_file(name).read_bytes()
