import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
import typer

from stats_store.errors import StatsStoreError
from workers.cli import main
from workers.errors import BadDataError, ConfigurationError, WorkersError

# What a command must not wait for: torch where nothing is trained, and where there is no model
# its runtime neither.
SERVING = ("price", "suggest")
LIGHT = ("broker", "record", "replay", "schemas", "settings", "simulate", "stats", "topics")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Gives a function that puts another into the catalogue, under the name `probe`."""

    def put(function: Callable[[], Any]) -> None:
        module = ModuleType("workers.cli.probe")
        setattr(module, "probe", function)  # noqa: B010 - a module has no such attribute to mypy
        monkeypatch.setitem(sys.modules, "workers.cli.probe", module)
        monkeypatch.setattr(main, "COMMANDS", {**main.COMMANDS, "probe": "Try."})
        monkeypatch.setattr(main, "_WITHOUT_SETTINGS", ("probe",))

    return put


def raising(error: BaseException) -> Callable[[], None]:
    def probe() -> None:
        raise error

    return probe


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (WorkersError("the broker is gone"), 1),
        (ConfigurationError("the port is none"), 3),
        (BadDataError("no rows"), 3),
        (StatsStoreError("the store is gone"), 1),
    ],
)
def test_an_error_raised_on_purpose_is_one_sentence(
    error: Exception,
    code: int,
    command: Callable[[Callable[[], Any]], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(raising(error))
    assert main.run(["probe"]) == code
    assert capsys.readouterr() == ("", f"error: {error}\n")


def test_a_hostile_message_stays_one_line(
    command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(BadDataError("row 3\nerror: all is well\x1b[2J" + "x" * 100_000)))
    assert main.run(["probe"]) == 3
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "\x1b" not in err
    assert len(err) < 2_000


def test_debug_prints_the_traceback_of_a_known_error(
    command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(BadDataError("no rows")))
    assert main.run(["--debug", "probe"]) == 3
    assert "Traceback" in capsys.readouterr().err


def test_an_unexpected_error_prints_its_traceback(
    command: Callable[[Callable[[], Any]], None], capsys: pytest.CaptureFixture[str]
) -> None:
    command(raising(ZeroDivisionError("by zero")))
    assert main.run(["probe"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("ZeroDivisionError: by zero\n")


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt(), 130), (typer.Exit(3), 3)])
def test_other_ends_keep_their_code(
    end: BaseException, code: int, command: Callable[[Callable[[], Any]], None]
) -> None:
    command(raising(end))
    assert main.run(["probe"]) == code


@pytest.mark.parametrize(
    "arguments", [[], ["nosuch"], ["--nosuch"], ["settings", "--nosuch"], ["settings", "more"]]
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    assert "Usage: secondsight" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--help"]) == 0
    out = capsys.readouterr().out
    for name, meaning in main.COMMANDS.items():
        assert f"  {name} " in out
        assert meaning.split()[0] in out


def test_version_is_that_of_the_distribution(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("workers.cli.main.version", {"secondsight": "1.2.3"}.__getitem__)
    assert main.run(["--version"]) == 0
    assert capsys.readouterr().out == "1.2.3\n"


@pytest.mark.parametrize("name", main.COMMANDS)
def test_every_command_of_the_catalogue_is_there(name: str) -> None:
    command = getattr(importlib.import_module(f"workers.cli.{name}"), name)
    assert isinstance(command, typer.Typer) or command.__doc__


@pytest.mark.parametrize("name", [name for name in LIGHT + SERVING if name in main.COMMANDS])
def test_a_command_imports_only_what_it_needs(name: str) -> None:
    unwanted = {"torch", "torchvision"} | ({"onnxruntime"} if name in LIGHT else set())
    code = (
        "import sys; from workers.cli.main import run\n"
        f"assert run([{name!r}, '--help']) == 0\n"
        f"heavy = {unwanted} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: secondsight {name}" in done.stdout


def test_a_wrong_setting_ends_a_command_with_3_but_not_its_help(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECONDSIGHT_PARTITIONS", "none")
    assert main.run(["broker", "--help"]) == 0
    assert main.run(["broker"]) == 3
    assert capsys.readouterr().err.startswith("error: SECONDSIGHT_PARTITIONS=none: ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "workers.cli.main", "settings", "--markdown"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr as stderr:
        assert stderr.read() == b""
    process.wait(timeout=60)


def roots() -> Mapping[str, str]:
    return main._ROOTS


@pytest.mark.parametrize("module", roots())
def test_the_roots_of_errors_exist(module: str) -> None:
    root = getattr(importlib.import_module(module), roots()[module])
    assert issubclass(root, Exception)
