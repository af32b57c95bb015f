"""`secondsight inspect stats`: sold-price statistics out of a worker's data folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from schemas.currencies import MINOR_UNIT_DIGITS
from schemas.partitioner import partition_for
from schemas.statistics import Scope
from stats_store.histogram import PriceHistogram
from stats_store.scope import ScopeKey
from workers.cli import inspect_display as display
from workers.errors import WorkersError
from workers.runtime.settings import Settings
from workers.stats.found import FoundStore, stores_in


def inspect_stats(
    seller: Annotated[
        str | None, typer.Option(metavar="ID", help="Show what a seller sold for.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Show a category's sales, such as 'Clothing > Shoes'."),
    ] = None,
    overall: Annotated[bool, typer.Option("--global", help="Show all sales.")] = False,
    listing: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Show what is remembered of the sales of a listing."),
    ] = None,
    currency: Annotated[
        str | None,
        typer.Option(help="Show sales in this currency only. [default: each that there is]"),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Data folder of a stats worker. [default: the setting's]")
    ] = None,
    partitions: Annotated[
        int | None,
        typer.Option(min=1, help="Partitions in all, to tell which are not in this folder."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON.")] = False,
) -> None:
    """Show sold-price statistics as a stats worker last committed them.

    The worker may run meanwhile; it is neither stopped nor changed. Of a category and of all
    sales, what the partitions in the folder have counted is added up. A seller, category or
    listing without sales is said to have none, with exit code 0; exit code 1 where the seller's
    partition is known not to be in the folder, 3 where the folder holds no statistics.
    """
    named = [name for name in (seller, category, listing) if name is not None]
    if len(named) + overall != 1 or "" in named:
        raise typer.BadParameter("give one of --seller, --category, --global and --listing")
    if currency is not None and currency not in MINOR_UNIT_DIGITS:
        raise typer.BadParameter(f"--currency {currency} is not an ISO 4217 currency code")
    with stores_in(data_dir or Settings().data_dir) as stores:
        missing = _missing(stores, partitions)
        if listing is not None:
            sales = [(each, sale) for each in stores for sale in each.store.sales_of(listing)]
            if as_json:
                typer.echo(json.dumps(display.sales_json(listing, sales, missing)))
            else:
                display.echo(display.sales_lines(listing, sales, missing))
            return
        scope, name = _scope(seller, category)
        counted = _counted(stores, scope, name, [currency] if currency else _currencies(stores))
        if scope is Scope.SELLER and not counted and partitions is not None:
            _check_here(name, stores, partitions)
        if as_json:
            typer.echo(json.dumps(display.counted_json(scope, name, counted, missing)))
        else:
            display.echo(display.counted_lines(scope, name, counted, missing))


def _scope(seller: str | None, category: str | None) -> tuple[Scope, str]:
    if seller is not None:
        return Scope.SELLER, seller
    return (Scope.GLOBAL, "") if category is None else (Scope.CATEGORY, category)


def _currencies(stores: Sequence[FoundStore]) -> list[str]:
    return sorted({currency for each in stores for currency in each.currencies})


def _missing(stores: Sequence[FoundStore], partitions: int | None) -> list[int]:
    """Return the partitions that are not in the folder, as far as one can know."""
    here = [each.store.partition for each in stores]
    return sorted(set(range(partitions or max(here) + 1)) - set(here))


def _counted(
    stores: Sequence[FoundStore], scope: Scope, name: str, currencies: Sequence[str]
) -> list[display.Counted]:
    """Add up what the stores hold of a statistic, by currency; without those without sales."""
    results = []
    for currency in currencies:
        total, parts = PriceHistogram(), []
        for each in stores:
            part = each.store.histogram(ScopeKey(scope, currency, name))
            if part is not None:
                total.merge(part)
                parts.append(each)
        if parts:
            # A part without sales says something too, of a seller's only partition it does not.
            of = parts if scope is Scope.SELLER else stores
            results.append(display.Counted(currency, total, [each.age for each in of]))
    return results


def _check_here(seller: str, stores: Sequence[FoundStore], partitions: int) -> None:
    home = partition_for(seller.encode(), partitions)
    here = [each.store.partition for each in stores]
    if home not in here:
        raise WorkersError(
            f"{seller!r} lies in partition {home} of {partitions}, which is not in this folder "
            f"({', '.join(map(str, here))} {'is' if len(here) == 1 else 'are'}); ask where its "
            "worker runs"
        )
