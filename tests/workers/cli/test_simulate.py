import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from simulator.errors import SimulatorError
from workers.cli.simulate import simulate


@pytest.fixture
def application() -> typer.Typer:
    application = typer.Typer()
    application.command()(simulate)
    return application


def test_the_last_line_counts_the_rows(application: typer.Typer, tmp_path: Path) -> None:
    options = ["--out", str(tmp_path / "d"), "--listings", "3", "--workers", "1", "--json"]
    result = CliRunner().invoke(application, [*options, "--start", "2024-02-29"])
    assert result.exit_code == 0
    counts = json.loads(result.stdout)
    assert counts["rows"] == 3
    assert counts["photos"] == len(list((tmp_path / "d/images").iterdir()))
    assert "3/3" in result.stderr
    lines = (tmp_path / "d/listings.csv").read_text().splitlines()
    assert len(lines) == 4


def test_wrong_usage_and_a_folder_in_use(application: typer.Typer, tmp_path: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(application, []).exit_code == 2
    out = ["--out", str(tmp_path)]
    assert runner.invoke(application, [*out, "--listings", "0"]).exit_code == 2
    assert runner.invoke(application, [*out, "--start", "today"]).exit_code == 2
    (tmp_path / "file").touch()
    result = runner.invoke(application, [*out, "--listings", "2", "--workers", "1"])
    assert isinstance(result.exception, SimulatorError)
