"""The command `secondsight`: finds the command asked for and turns errors into exit codes.

Only the module of the command asked for is imported: some of them bring torch, and
`secondsight topics` shall not wait for that.
"""

import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from workers.errors import FAILED
from workers.runtime.logging import configure, one_line
from workers.runtime.settings import Settings

# Name and meaning. `workers/cli/NAME.py` holds a function of that name, or a typer.Typer where
# the command has commands of its own.
COMMANDS: Mapping[str, str] = {
    "broker": "Run a real Apache Kafka on this machine.",
    "demo": "Run the whole loop on this machine.",
    "drift": "Compare what is listed now with what the live model learnt from.",
    "evaluate": "Measure a model bundle on a dataset.",
    "inspect": "Show what is stored: sold-price statistics.",
    "models": "Announce model bundles to the workers, withdraw them, list them.",
    "outcomes": "Score suggestions by sales and write training examples.",
    "price": "Price a thing from its photos.",
    "record": "Record topics of a Kafka into a log.",
    "replay": "Publish a dataset or a recorded log in order of time.",
    "report": "Draw what a model bundle does on a dataset into one page.",
    "reproduce": "Make the paper's tables anew from a dataset.",
    "retrain": "Learn from outcomes, and publish the model if it is fit to take over.",
    "schemas": "Write the generated contract, or check that it is current.",
    "settings": "Show every setting and its value.",
    "simulate": "Write a dataset of a marketplace with a known price law.",
    "stats": "Keep sold-price statistics and write them into listings.",
    "suggest": "Answer listings with a price or a request for better photos.",
    "topics": "Create the Kafka topics, or say what differs.",
    "train": "Train a model bundle on a dataset.",
}

# These say what the settings are, or need none: a wrong one must not keep them from running.
_WITHOUT_SETTINGS = ("schemas", "settings")

# The roots of our errors, by module: what is raised on purpose is told in one sentence. They are
# not imported here, for an error of a package that was never imported cannot have happened.
_ROOTS = {
    "schemas.errors": "SchemaError",
    "stats_store.errors": "StatsStoreError",
    "models.errors": "ModelsError",
    "simulator.errors": "SimulatorError",
    "workers.errors": "WorkersError",
}


def main() -> None:
    """Run the command line of this process and end it."""
    # OpenMP's threads otherwise spin while they wait for one another: with anything else on the
    # cores (the broker, the workers) an epoch of training then takes 2.5 to 4 times as long.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # torch asks the kernel for large tensors anew in each step; in pages of 2 MB rather than 4 KB
    # that is cheap: a training step of 4096 items of the paper's width takes 305 ms, not 350.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    code = run(sys.argv[1:])
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, `head` for one, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command and give its exit code: 0 done, 1 failed, 2 wrong usage, 3 bad data.

    130 stands for Ctrl-C, as in shells.
    """
    try:
        _application(arguments)(args=list(arguments), prog_name="secondsight")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort: it is told and ends the command
        if not _on_purpose(error) or "--debug" in arguments:
            traceback.print_exception(error)
        else:
            print(f"error: {one_line(str(error))}", file=sys.stderr)  # noqa: T201
        return int(getattr(error, "exit_code", FAILED))
    return 0


def _application(arguments: Sequence[str]) -> typer.Typer:
    """Give the command line with the command asked for loaded, the others by name only."""
    asked = next((word for word in arguments if not word.startswith("-")), None)
    application = typer.Typer(
        help="Price suggestions for second-hand items from their photos.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )

    @application.callback()
    def options(
        _version: Annotated[
            bool, typer.Option("--version", callback=_print_version, help="Print the version.")
        ] = False,
        _debug: Annotated[
            bool, typer.Option("--debug", help="Print the traceback of every error.")
        ] = False,
    ) -> None:
        if asked not in _WITHOUT_SETTINGS and "--help" not in arguments:
            settings = Settings()
            configure(level=settings.log_level, form=settings.log_format, worker=asked)

    for name, meaning in COMMANDS.items():
        if name != asked:
            application.command(name, help=meaning)(_not_loaded)
            continue
        command = getattr(importlib.import_module(f"workers.cli.{name}"), name)
        if isinstance(command, typer.Typer):
            application.add_typer(command, name=name, help=meaning)
        else:
            application.command(name)(command)
    return application


def _not_loaded() -> None:
    """Stand for a command that was not asked for; only its line in the help is used."""


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(version("secondsight"))
        raise typer.Exit


def _on_purpose(error: Exception) -> bool:
    roots = tuple(
        getattr(sys.modules[module], root)
        for module, root in _ROOTS.items()
        if module in sys.modules
    )
    return isinstance(error, roots)


if __name__ == "__main__":
    main()
