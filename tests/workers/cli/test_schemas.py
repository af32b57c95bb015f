from pathlib import Path

import pytest

from workers.cli.main import run


def test_what_is_written_is_current_until_a_file_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["schemas", "--out", str(tmp_path)]
    assert run([*out, "--check"]) == 1
    assert run(out) == 0
    assert run([*out, "--check"]) == 0
    (tmp_path / "asyncapi.yaml").write_text("asyncapi: 2.0.0\n")
    capsys.readouterr()
    assert run([*out, "--check"]) == 1
    assert "asyncapi.yaml; run `secondsight schemas`" in capsys.readouterr().err
    assert (tmp_path / "asyncapi.yaml").read_text() == "asyncapi: 2.0.0\n"


def test_the_committed_contract_is_current() -> None:
    assert run(["schemas", "--check"]) == 0
