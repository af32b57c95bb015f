"""`secondsight replay`: a dataset or a recorded log into a Kafka."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from workers.replay import publishing
from workers.replay.sources import open_source
from workers.runtime.service import client_options
from workers.runtime.settings import Settings


def replay(
    source: Annotated[
        Path, typer.Argument(metavar="DATASET|LOG", help="A dataset folder or a recorded log.")
    ],
    speed: Annotated[
        float,
        typer.Option(
            min=0,
            help="1: in real time; 60: an hour a minute; 0: as fast as possible.",
        ),
    ] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Publish a dataset or a recorded log in order of time, with the timestamps it has.

    The topics must exist (`secondsight topics --keep-all`, since a retention deletes old
    records). A record of a log goes into the partition it came from where the topic has as many
    as then, else where its key belongs. The photos of a dataset are files: the suggest worker
    needs the folder in SECONDSIGHT_IMAGE_FILE_ROOTS.
    """
    if not math.isfinite(speed):
        raise typer.BadParameter("--speed must be a number")
    settings = Settings()
    options = client_options(settings)
    columns = (TextColumn("events"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("events", total=None)
        events = publishing.replay(
            open_source(source),
            options=options,
            topic_prefix=settings.topic_prefix,
            speed=speed,
            on_start=lambda count: progress.update(bar, total=count),
            on_stored=lambda: progress.advance(bar),
        )
    if as_json:
        typer.echo(json.dumps({"events": events}))
    else:
        typer.echo(f"{events} events published")
