"""`secondsight broker`: a real Kafka on this machine, in the foreground."""

import signal
from pathlib import Path
from typing import Annotated

import typer

from workers.local.broker import LocalBroker


def broker(
    data_dir: Annotated[
        Path | None,
        typer.Option(
            help="Keeps the data in this folder, to go on with next time. "
            "Without it they are in a temporary one that is removed at the end."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="The port to listen on. Without it: any free one."),
    ] = None,
) -> None:
    """Run a real Apache Kafka on this machine until Ctrl-C or SIGTERM.

    Prints the bootstrap address on stdout when it is ready. Needs the extra `local`; the first
    start fetches Kafka (44 MB), later ones need no network.
    """
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with LocalBroker(data_dir=data_dir, port=port) as running:
            typer.echo(running.bootstrap_servers)
            try:
                running.wait()
            finally:
                # A second Ctrl-C of an impatient person must not cut the orderly end short.
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                signal.signal(signal.SIGTERM, signal.SIG_IGN)
    except KeyboardInterrupt:
        typer.echo("Kafka has been stopped.", err=True)
