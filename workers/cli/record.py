"""`secondsight record`: topics of a Kafka into a log file."""

import json
import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from schemas.topics import LISTING_CREATED, TRANSACTIONS
from workers.replay.recording import record_topics
from workers.runtime.service import client_options
from workers.runtime.settings import Settings


def record(
    out: Annotated[
        Path, typer.Option(help="File to write; it is packed when its name ends in .gz.")
    ],
    topics: Annotated[
        str, typer.Option(help="Topics to record, without prefix, separated by commas.")
    ] = f"{TRANSACTIONS},{LISTING_CREATED}",
    seconds: Annotated[
        float | None, typer.Option(min=0, help="Go on for so long, then end.")
    ] = None,
    until_quiet_ms: Annotated[
        int | None, typer.Option(min=1, help="Go on until nothing has come for so long.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Record topics into one file, in order of time: a log that `secondsight replay` publishes.

    It holds what is committed in all partitions up to now, and with --seconds or
    --until-quiet-ms what is still to come. The file is there when it is whole: a recording that
    is cut short leaves none.
    """
    if seconds is not None and until_quiet_ms is not None:
        raise typer.BadParameter("give --seconds or --until-quiet-ms, not both")
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter("--seconds must be a number")
    names = list(dict.fromkeys(name.strip() for name in topics.split(",") if name.strip()))
    if not names:
        raise typer.BadParameter("--topics names none")
    settings = Settings()
    columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("events", total=None)
        events = record_topics(
            out,
            names,
            options=client_options(settings),
            topic_prefix=settings.topic_prefix,
            seconds=seconds or 0.0,
            until_quiet=None if until_quiet_ms is None else until_quiet_ms / 1000,
            on_progress=lambda count: progress.update(bar, completed=count),
        )
    if as_json:
        typer.echo(json.dumps({"events": events}))
    else:
        typer.echo(f"{events} events in {out}")
