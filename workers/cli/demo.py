"""`secondsight demo`: the whole loop on one machine."""

import json
import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from workers.demo.outcomes import reasons
from workers.demo.page import write_page
from workers.demo.run import LISTINGS, run_demo
from workers.demo.stages import Stages
from workers.demo.tables import facts, reasons_table, suggestions_table
from workers.errors import FAILED
from workers.runtime.logging import configure
from workers.runtime.settings import Settings


def demo(
    dataset: Annotated[
        Path | None,
        typer.Option(help="Take listings from this folder. Without it a market is simulated."),
    ] = None,
    listings: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"How many listings to simulate ({LISTINGS} by default), or the most to take of "
            "the dataset. Two thirds are learnt from, one third is streamed.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all that is drawn.")] = 7,
    out: Annotated[
        Path, typer.Option(help="Folder for the bundle, the logs and demo.html.")
    ] = Path("out/demo"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the line of JSON alone, without tables.")
    ] = False,
) -> None:
    """Run the whole loop on this machine: photos and sales in, price suggestions out.

    Trains a small model on past listings, streams new ones through a real Kafka and the workers,
    and checks that each was answered once and that every statistic is right. Exit code 1 when
    not. The last line on stdout is one JSON object.

    Topics have one partition, so that every statistic is exact at once and can be counted anew.
    """
    # SIGTERM ends the demo as Ctrl-C does, and with it the workers and Kafka.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = Settings()
    if settings.log_level == "info":  # what training and its exporters tell would hide the stages
        configure(level="warning", form=settings.log_format, worker="demo")
    stages = Stages(Console(stderr=True))
    try:
        result = run_demo(settings, stages, out=out, dataset=dataset, listings=listings, seed=seed)
    except KeyboardInterrupt:
        typer.echo("The demo was stopped; its workers and its Kafka have ended.", err=True)
        raise
    page = out / "demo.html"
    with stages.stage("page", f"Writing {page}"):
        write_page(
            page,
            result.outcomes,
            dataset=result.dataset,
            facts=facts(result),
            reasons=reasons(result.outcomes),
            problems=result.verdict.problems,
        )
    if not as_json:
        console = Console()
        console.print(suggestions_table(result.outcomes))
        console.print(reasons_table(result.outcomes))
    for problem in result.verdict.problems:
        typer.echo(f"wrong: {problem}", err=True)
    typer.echo(json.dumps(result.summary()))
    if result.verdict.problems:
        raise typer.Exit(FAILED)
