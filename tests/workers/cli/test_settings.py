import json
import os
from pathlib import Path

import pytest

from workers.cli.main import run
from workers.cli.settings import page
from workers.runtime.settings import Settings

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


@pytest.fixture(autouse=True)
def no_settings_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.upper().startswith("SECONDSIGHT_"):
            monkeypatch.delenv(name)


def test_the_page_in_docs_is_current() -> None:
    assert DOCUMENT.read_text() == page(), "run `make schemas`"


def test_the_page_has_a_row_for_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["settings", "--markdown"]) == 0
    out = capsys.readouterr().out
    for name in Settings.model_fields:
        assert out.count(f"| `SECONDSIGHT_{name.upper()}` |") == 1
    assert "| `SECONDSIGHT_PARTITIONS` | partitions (1 to 4096) | `4` | " in out


def test_the_effective_values_are_printed_and_what_is_set_is_marked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDSIGHT_PARTITIONS", "9")
    monkeypatch.setenv("SECONDSIGHT_IMAGE_HOSTS", "a.example,b.example")
    monkeypatch.setenv("SECONDSIGHT_KAFKA_OPTIONS", '{"ssl.key.password": "hunter2"}')
    assert run(["settings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(Settings.model_fields)
    assert "* SECONDSIGHT_PARTITIONS=9" in lines
    assert "* SECONDSIGHT_IMAGE_HOSTS=a.example,b.example" in lines
    assert '* SECONDSIGHT_KAFKA_OPTIONS={"ssl.key.password": "(hidden)"}' in lines
    assert "  SECONDSIGHT_LOG_LEVEL=info" in lines


def test_json_holds_every_setting_and_no_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDSIGHT_KAFKA_OPTIONS", '{"ssl.key.password": "hunter2"}')
    assert run(["settings", "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values.keys() == Settings.model_fields.keys()
    assert values["kafka_options"] == {"ssl.key.password": "(hidden)"}


def test_a_wrong_value_is_told_but_the_page_is_still_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDSIGHT_LOG_LEVEL", "loud")
    assert run(["settings", "--markdown"]) == 0
    assert run(["settings"]) == 3
    assert "SECONDSIGHT_LOG_LEVEL=loud" in capsys.readouterr().err
