"""`secondsight reproduce`, and its display, on a small market."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from models.errors import DatasetError
from models.joint.trainer import Plan
from models.reproduction.cell import Outcome
from models.reproduction.grid import Cell, Setting
from workers.cli import reproduce as command
from workers.cli.cells_display import CellsDisplay

SHORT = Plan(epochs=(16, 4, 8, 4), batch_size=64, beta=None)


def run(*arguments: object, code: int = 0) -> Any:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(command.reproduce)
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == code, found.output
    return found


@pytest.fixture
def market(
    write_market: Callable[..., Any],
    colour_backbone: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(command, "backbone", lambda _: colour_backbone)
    monkeypatch.setattr("models.reproduction.reproduce.network_plan", lambda _: SHORT)
    folder: Path = write_market(tmp_path / "few", count=160, seed=4, timed=False).folder
    return folder


def test_tables_are_written_and_a_second_run_finds_them(market: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("--dataset", market, "--out", out, "--tables", "5,1", "--quick", "--jobs", 1)
    first = run(*arguments, "--json")
    (line,) = first.stdout.splitlines()
    told = json.loads(line)
    assert (told["listings"], told["trained"], told["known"]) == (160, 4, 0)
    assert list(told["tables"]) == ["1", "5"]
    assert told["tables"]["1"]["total"]["test"] == 16
    assert "4 of 4 trainings are left" in first.stderr
    assert "4/4 joint, epsilon 0.5, no kernel, seed 0: " in first.stderr
    assert "quick runs" in (out / "results.md").read_text(encoding="utf-8")

    again = run(*arguments)
    assert "0 trainings, 4 were there already" in again.stdout
    assert "Warm-up ahead of training without in MALE (percentile rule)" in again.stdout
    assert str(out / "results.html") in again.stdout


@pytest.mark.parametrize("tables", ["0", "7", "2;3", ""])
def test_tables_that_there_are_not_are_wrong_usage(tables: str, tmp_path: Path) -> None:
    found = run("--dataset", tmp_path, "--out", tmp_path / "o", "--tables", tables, code=2)
    assert "numbers of tables" in found.stderr
    assert not (tmp_path / "o").exists()


def test_a_dataset_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is not a folder"):
        run("--dataset", tmp_path / "none", "--out", tmp_path / "o")


@pytest.mark.parametrize("terminal", [True, False])
def test_the_display_tells_each_training_and_the_time_left(terminal: bool) -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=terminal, width=120)
    cells = [Cell(Setting(parameter=delta), 0) for delta in (0.3, 0.4, 0.5)]
    failed = Outcome(measures=None, error="the loss [is] not finite", seconds=120.0)
    with CellsDisplay(console) as display:
        display.stage("photos", 2, 2)
        display.begin(cells[1:], {cells[0]: failed}, 1)
        display.steps(cells[1], 3, 9)
        display.done(cells[1], failed)
    shown = stream.getvalue()
    assert "2/3 joint, delta 0.4, seed 0: the loss [is] not finite (120 s)" in shown
    assert "about 2 min left" in shown
    assert ("━" in shown) is terminal
    assert ("2 of 3 trainings are left, about 4 min left" in shown) is not terminal
