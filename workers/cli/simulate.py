"""`secondsight simulate`: writes a marketplace with a known price law as a dataset."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from simulator.catalogue import CATEGORIES
from simulator.market import START
from simulator.market import simulate as simulate_market


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write; new or empty.")],
    listings: Annotated[int, typer.Option(min=1, help="Number of listings.")] = 3000,
    sellers: Annotated[
        int | None, typer.Option(min=1, help="Number of sellers. [default: a 15th of listings]")
    ] = None,
    categories: Annotated[
        int | None,
        typer.Option(min=1, max=len(CATEGORIES), help="Kinds of things. [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")] = 7,
    days: Annotated[int, typer.Option(min=1, help="Days in which things are listed.")] = 60,
    start: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%d"], help="First day, UTC.")
    ] = datetime(START.year, START.month, START.day),
    currency: Annotated[str, typer.Option(help="ISO 4217 code of all prices.")] = "GBP",
    fault_share: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of listings with spoilt photos.")
    ] = 0.12,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that draw. [default: one a core]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Write a marketplace with a known price law: photos, listings, sales, and the truth.

    The folder gets images/, listings.csv, sales.csv and dataset.json, as every dataset has, and
    oracle.csv: for each listing the best possible guess of its price, the noise around it, what
    is wrong with the photos, and what the photos alone are worth. The same options give the same
    bytes.
    """
    columns = (TextColumn("photos"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("photos", total=listings)
        written = simulate_market(
            out,
            listings=listings,
            sellers=sellers,
            categories=categories,
            seed=seed,
            days=days,
            start=start.date(),
            currency=currency,
            fault_share=fault_share,
            workers=workers,
            on_progress=lambda done: progress.advance(bar, done),
        )
    if as_json:
        counts = {"rows": written.listings, "sales": written.sales, "photos": written.photos}
        typer.echo(json.dumps(counts))
    else:
        typer.echo(
            f"{written.listings} listings, {written.sales} rows of sales and "
            f"{written.photos} photos in {out}"
        )
